//! A TCP proxy in front of a server that counts requests and holds one of them.
//!
//! A test can thereby stop the client at a known moment, between two chosen requests, without looking at a clock.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};

/// A running proxy; dropping it ends the proxy.
pub(crate) struct HoldingProxy {
    url: String,
    shared: Arc<Shared>,
    _tasks: JoinSet<()>,
}

struct Shared {
    server: String,
    requests: AtomicU64,
    hold: AtomicU64,
    held: watch::Sender<bool>,
}

impl HoldingProxy {
    /// Starts a proxy in front of `http://HOST:PORT/PATH` that holds no request yet.
    pub(crate) async fn start(server_url: &str) -> Self {
        let address = server_url.strip_prefix("http://").unwrap();
        let (server, path) = address.split_once('/').unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/{path}", listener.local_addr().unwrap());
        let shared = Arc::new(Shared {
            server: server.to_owned(),
            requests: AtomicU64::new(0),
            hold: AtomicU64::new(u64::MAX),
            held: watch::Sender::new(false),
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, Arc::clone(&shared)));
        Self {
            url,
            shared,
            _tasks: tasks,
        }
    }

    /// Returns the server's URL through the proxy.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Returns the number of requests since the last call of [`Self::hold`], or since the start.
    pub(crate) fn requests(&self) -> u64 {
        self.shared.requests.load(Ordering::SeqCst)
    }

    /// Restarts the count, and holds back the request with this number (from 1) and all later ones. `None` lets all
    /// pass.
    pub(crate) fn hold(&self, number: Option<u64>) {
        self.shared.requests.store(0, Ordering::SeqCst);
        self.shared.held.send_replace(false);
        let number = number.unwrap_or(u64::MAX);
        self.shared.hold.store(number, Ordering::SeqCst);
    }

    /// Completes when a request is held.
    pub(crate) async fn held(&self) {
        let mut held = self.shared.held.subscribe();
        held.wait_for(|held| *held).await.unwrap();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        connections.spawn(forward(client, Arc::clone(&shared)));
    }
}

async fn forward(client: TcpStream, shared: Arc<Shared>) {
    let Ok(server) = TcpStream::connect(&shared.server).await else {
        return;
    };
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let up = async {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(length @ 1..) = from_client.read(&mut buffer).await {
            // HTTP/1.1 without pipelining: each read that begins a request starts with its head.
            if (buffer.starts_with(b"POST ") || buffer.starts_with(b"GET "))
                && shared.requests.fetch_add(1, Ordering::SeqCst) + 1
                    >= shared.hold.load(Ordering::SeqCst)
            {
                shared.held.send_replace(true);
                // The test will stop the client; then the client's end of the connection closes.
                let _ = from_client.read_to_end(&mut Vec::new()).await;
                return;
            }
            if to_server.write_all(&buffer[..length]).await.is_err() {
                return;
            }
        }
        let _ = to_server.shutdown().await;
    };
    let down = async {
        let _ = tokio::io::copy(&mut from_server, &mut to_client).await;
    };
    tokio::select! {
        () = up => {}
        () = down => {}
    }
}
