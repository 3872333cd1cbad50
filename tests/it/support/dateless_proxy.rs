//! A TCP proxy that removes the `Date` header from every response.

use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    task::JoinSet,
};

/// A running proxy; dropping it ends the proxy.
pub(crate) struct DatelessProxy {
    url: String,
    _tasks: JoinSet<()>,
}

impl DatelessProxy {
    /// Starts a proxy in front of `http://HOST:PORT/PATH`.
    pub(crate) async fn start(server_url: &str) -> Self {
        let address = server_url.strip_prefix("http://").unwrap();
        let (server, path) = address.split_once('/').unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/{path}", listener.local_addr().unwrap());
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, server.to_owned()));
        Self { url, _tasks: tasks }
    }

    /// Returns the server's URL through the proxy.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }
}

async fn accept(listener: TcpListener, server: String) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        let Ok(server) = TcpStream::connect(&server).await else {
            return;
        };
        connections.spawn(async move {
            let (mut from_client, to_client) = client.into_split();
            let (from_server, mut to_server) = server.into_split();
            tokio::select! {
                _ = tokio::io::copy(&mut from_client, &mut to_server) => {}
                _ = answers(from_server, to_client) => {}
            }
        });
    }
}

/// Forwards one response after the other; the demo server sends the length of each.
async fn answers(from: OwnedReadHalf, mut to: OwnedWriteHalf) -> std::io::Result<()> {
    let mut from = BufReader::new(from);
    loop {
        let (mut head, mut length) = (String::new(), 0);
        loop {
            let mut line = String::new();
            if from.read_line(&mut line).await? == 0 {
                return Ok(());
            }
            let lower = line.to_ascii_lowercase();
            if let Some(value) = lower.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            if !lower.starts_with("date:") {
                head.push_str(&line);
            }
            if line == "\r\n" {
                break;
            }
        }
        to.write_all(head.as_bytes()).await?;
        tokio::io::copy(&mut (&mut from).take(length), &mut to).await?;
    }
}
