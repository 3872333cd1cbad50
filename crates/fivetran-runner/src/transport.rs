//! The connection to a connector: over the network, or within the process.

use std::{error, fmt, io, time::Duration};

use hyper_util::rt::TokioIo;
use tokio::{
    io::DuplexStream,
    sync::mpsc::{self, UnboundedReceiver, UnboundedSender},
};
use tonic::transport::{Channel, Endpoint, Uri};

use super::Error;

/// The time limit for establishing a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The largest status of a call, in bytes. It is sent in headers, for which gRPC clients usually allow far less: of a
/// longer message they show nothing.
const STATUS_BYTES: u32 = 1 << 20;
/// The buffer of a connection within the process, in bytes.
const PIPE: usize = 1 << 20;

/// The location of a connector.
#[derive(Clone)]
pub enum Transport {
    /// An address, such as `http://127.0.0.1:50051`, or without the scheme.
    Address(String),
    /// A server in this process, reached without the network.
    Within(InProcessConnector),
}

/// Connects to a server within the process.
#[derive(Clone)]
pub struct InProcessConnector(UnboundedSender<DuplexStream>);

/// The connections that a [`InProcessConnector`] opens, for the server to accept.
pub type InProcessCalls = UnboundedReceiver<DuplexStream>;

/// Creates a connection to a server within the process, and the server's end of it.
pub fn within() -> (Transport, InProcessCalls) {
    let (sender, calls) = mpsc::unbounded_channel();
    (Transport::Within(InProcessConnector(sender)), calls)
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => f.write_str(address),
            Self::Within(_) => f.write_str("this process"),
        }
    }
}

impl<T: Into<String>> From<T> for Transport {
    fn from(address: T) -> Self {
        Self::Address(address.into())
    }
}

impl Transport {
    /// Connects to the connector.
    pub(super) async fn connect(&self) -> Result<Channel, Error> {
        let unreachable = |error: tonic::transport::Error| Error::Connect {
            endpoint: self.to_string(),
            reason: root_cause(&error).to_string(),
            is_closed: is_closed(&error),
        };
        let address = match self {
            Self::Address(address) if address.contains("://") => address.clone(),
            Self::Address(address) => format!("http://{address}"),
            Self::Within(_) => "http://within".to_owned(),
        };
        let endpoint = Endpoint::from_shared(address)
            .map_err(unreachable)?
            .connect_timeout(CONNECT_TIMEOUT)
            .http2_max_header_list_size(STATUS_BYTES);
        let connected = match self {
            Self::Address(_) => endpoint.connect().await,
            Self::Within(dialer) => {
                let dialer = dialer.clone();
                let dial = tower::service_fn(move |_: Uri| {
                    let connected = dialer.dial();
                    async move { connected.map(TokioIo::new) }
                });
                endpoint.connect_with_connector(dial).await
            }
        };
        connected.map_err(unreachable)
    }
}

impl InProcessConnector {
    fn dial(&self) -> io::Result<DuplexStream> {
        let (ours, theirs) = tokio::io::duplex(PIPE);
        let sent = self.0.send(theirs);
        sent.map_err(|_| io::Error::from(io::ErrorKind::ConnectionRefused))?;
        Ok(ours)
    }
}

/// Returns true if the error means that the other side closed the connection.
fn is_closed(error: &(dyn error::Error + 'static)) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    let io = root_cause(error).downcast_ref::<io::Error>();
    let closed = [
        BrokenPipe,
        ConnectionAborted,
        ConnectionReset,
        UnexpectedEof,
    ];
    io.is_some_and(|io| closed.contains(&io.kind()))
}

/// Returns true if the error means that nothing listens at the address.
pub(super) fn is_refused(error: &(dyn error::Error + 'static)) -> bool {
    let io = root_cause(error).downcast_ref::<io::Error>();
    io.is_some_and(|io| io.kind() == io::ErrorKind::ConnectionRefused)
}

/// Returns the innermost cause. The message of a transport error itself does not name it.
fn root_cause<'a>(mut error: &'a (dyn error::Error + 'static)) -> &'a (dyn error::Error + 'static) {
    while let Some(cause) = error.source() {
        error = cause;
    }
    error
}
