//! One connection of a client through a proxy: requests that are held, responses that are changed.

use std::{
    future::{Future, pending},
    os::fd::OwnedFd,
    sync::Arc,
    time::{Duration, Instant},
};

use socket2::SockRef;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader},
    net::{TcpStream, ToSocketAddrs},
};

use crate::message::Message;

/// Returns the steps that are performed in place of sending a response.
pub type Change = Arc<dyn Fn(&Message) -> Vec<Step> + Send + Sync>;

/// The treatment of a request.
#[derive(Clone)]
pub enum Action {
    /// The request and its response pass.
    Pass,
    /// The request passes, and its response is changed.
    Change(Change),
    /// The request is not forwarded: the client waits until it closes the connection.
    Hold,
}

/// Changes responses and sends each as a whole.
pub fn edited(change: impl Fn(Message) -> Message + Send + Sync + 'static) -> Change {
    Arc::new(move |response| vec![Step::Send(change(response.clone()).bytes())])
}

/// One step of sending a response.
#[derive(Debug, Clone)]
pub enum Step {
    /// The bytes are sent.
    Send(Vec<u8>),
    /// The bytes are sent in separate pieces of this size.
    Drip(Vec<u8>, usize),
    /// The same byte is sent this number of times.
    Flood(u8, usize),
    /// The connection is closed in an orderly way.
    Close,
    /// The connection is reset.
    Reset,
    /// Nothing more is sent.
    Hang,
}

/// The decisions of a proxy about requests.
pub trait Policy: Send + Sync {
    /// Returns the treatment of a request, if necessary after a wait.
    fn request(&self, request: &Message) -> impl Future<Output = Action> + Send;

    /// Receives a response of the server, before it is changed, and the time that the server took.
    fn response(&self, request: &Message, response: &mut Message, took: Duration);
}

/// Forwards one request after the other until the client or the server closes the connection. `socket` is the client's
/// socket, also under TLS.
pub async fn forward(
    client: impl AsyncRead + AsyncWrite + Unpin,
    socket: &OwnedFd,
    server: impl ToSocketAddrs,
    policy: &impl Policy,
) {
    let mut client = BufReader::new(client);
    let Ok(server) = TcpStream::connect(server).await else {
        return;
    };
    let mut server = BufReader::new(server);
    loop {
        let request = tokio::select! {
            request = Message::read(&mut client) => request,
            // Servers close connections that are idle.
            _ = server.fill_buf() => return,
        };
        let Some(request) = request else { return };
        let change = match policy.request(&request).await {
            Action::Pass => None,
            Action::Change(change) => Some(change),
            Action::Hold => {
                let _ = tokio::io::copy(&mut client, &mut tokio::io::sink()).await;
                return;
            }
        };
        let sent_at = Instant::now();
        if server.get_mut().write_all(&request.bytes()).await.is_err() {
            return;
        }
        let Some(mut response) = Message::read(&mut server).await else {
            return;
        };
        policy.response(&request, &mut response, sent_at.elapsed());
        let steps = match change {
            None => vec![Step::Send(response.bytes())],
            Some(change) => change(&response),
        };
        for step in steps {
            if !perform(step, client.get_mut(), socket).await {
                return;
            }
        }
    }
}

/// Performs a step; returns true if the connection continues.
async fn perform(step: Step, client: &mut (impl AsyncWrite + Unpin), socket: &OwnedFd) -> bool {
    let (bytes, size) = match step {
        Step::Send(bytes) => {
            let size = bytes.len().max(1);
            (bytes, size)
        }
        Step::Drip(bytes, size) => (bytes, size),
        Step::Flood(byte, number) => {
            let piece = vec![byte; 1 << 20];
            let mut left = number;
            while left > 0 {
                let size = left.min(piece.len());
                if client.write_all(&piece[..size]).await.is_err() {
                    return false;
                }
                left -= size;
            }
            return true;
        }
        Step::Close => {
            let _ = client.shutdown().await;
            return false;
        }
        Step::Reset => {
            let _ = SockRef::from(socket).set_linger(Some(Duration::ZERO));
            return false;
        }
        Step::Hang => return pending().await,
    };
    for piece in bytes.chunks(size) {
        if client.write_all(piece).await.is_err() || client.flush().await.is_err() {
            return false;
        }
        tokio::task::yield_now().await;
    }
    true
}
