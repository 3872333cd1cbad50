//! The gRPC server of the service: listening, limits, health checks, graceful shutdown.

use std::{
    future::Future,
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use futures::Stream;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
};
use tokio_util::sync::CancellationToken;
use tonic::{
    codec::CompressionEncoding,
    transport::{
        Server,
        server::{Connected, TcpIncoming},
    },
};
use tower::util::MapResponseLayer;

#[cfg(feature = "local")]
use super::wire::SourceConnector;
use super::{
    Service, message_body::without_copies, proto::MAX_MESSAGE_BYTES, wire::SourceConnectorServer,
};

/// The time for callers to close their connections once no sync is running.
const GOODBYE: Duration = Duration::from_secs(2);

/// The time for running syncs to finish their page once the server is asked to end. With [`GOODBYE`] it is below the
/// 10 s that container platforms grant at least.
const DRAIN: Duration = Duration::from_secs(7);

/// The largest request in bytes, also after decompression: far above a saved state, which has 1 MiB at most.
const MAX_REQUEST_BYTES: usize = 16 << 20;

/// The reason why the server did not start, or failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another program listens on the port.
    #[error(
        "port {0} is in use: stop the program that listens on it, or choose another port with --port"
    )]
    PortInUse(u16),
    /// The port could not be opened for another reason.
    #[error("port {port} cannot be opened: {cause}")]
    Listen {
        /// The port.
        port: u16,
        /// The cause.
        cause: io::Error,
    },
    /// The running server failed.
    #[error("the gRPC server failed: {0}")]
    Serve(#[from] tonic::transport::Error),
}

/// Listens on IPv6 and IPv4, or on IPv4 alone if IPv6 is not available. Port 0 means any free port.
pub fn listen(port: u16) -> Result<TcpListener, Error> {
    let both = bind(Domain::IPV6, (Ipv6Addr::UNSPECIFIED, port).into());
    match both {
        // The fallback must not hide this error, because it may succeed although the other program has the port.
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => Err(error),
        Err(_) => bind(Domain::IPV4, (Ipv4Addr::UNSPECIFIED, port).into()),
        Ok(listener) => Ok(listener),
    }
    .map_err(|cause| match cause.kind() {
        io::ErrorKind::AddrInUse => Error::PortInUse(port),
        _ => Error::Listen { port, cause },
    })
}

/// Listens on a free port, for this machine only.
pub fn listen_locally() -> Result<TcpListener, Error> {
    bind(Domain::IPV4, (Ipv4Addr::LOCALHOST, 0).into())
        .map_err(|cause| Error::Listen { port: 0, cause })
}

fn bind(domain: Domain, address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
    if domain == Domain::IPV6 {
        socket.set_only_v6(false)?;
    }
    // Allows a port whose last connections are still closing. (On Windows the option means something else: two
    // servers could share the port.)
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(1024)?;
    TcpListener::from_std(socket.into())
}

/// Serves until `end` completes, then shuts down. At shutdown the server accepts no more calls, cancels `stop` so that
/// running syncs finish their page and checkpoint, and waits for them, 7 s at most.
pub async fn serve(
    listener: TcpListener,
    service: Service,
    stop: CancellationToken,
    end: impl Future<Output = ()> + Send,
) -> Result<(), Error> {
    let callers = TcpIncoming::from(listener).with_nodelay(Some(true));
    serve_to(callers, service, stop, end).await
}

/// Serves any connector to callers that do not use the network, until the future is dropped.
#[cfg(feature = "local")]
pub async fn serve_any<C>(
    callers: impl Stream<Item = io::Result<C>>,
    connector: impl SourceConnector,
) -> Result<(), Error>
where
    C: AsyncRead + AsyncWrite + Connected + Send + Unpin + 'static,
{
    let server = Server::builder().add_service(SourceConnectorServer::new(connector));
    Ok(server.serve_with_incoming(callers).await?)
}

/// Serves like [`serve`], to callers that need not use the network.
pub async fn serve_to<C>(
    callers: impl Stream<Item = io::Result<C>>,
    service: Service,
    stop: CancellationToken,
    end: impl Future<Output = ()> + Send,
) -> Result<(), Error>
where
    C: AsyncRead + AsyncWrite + Connected + Send + Unpin + 'static,
{
    let syncs = service.syncs();
    let (health, health_service) = tonic_health::server::health_reporter();
    let compresses_responses = service.compresses_responses();
    let mut connector = SourceConnectorServer::new(service)
        .max_decoding_message_size(MAX_REQUEST_BYTES)
        .max_encoding_message_size(MAX_MESSAGE_BYTES)
        .accept_compressed(CompressionEncoding::Gzip);
    if compresses_responses {
        connector = connector.send_compressed(CompressionEncoding::Gzip);
    }
    health.set_serving::<SourceConnectorServer<Service>>().await;

    let drained = stop.clone();
    let server = Server::builder()
        .layer(MapResponseLayer::new(without_copies))
        .add_service(health_service)
        .add_service(connector)
        .serve_with_incoming_shutdown(callers, stop.clone().cancelled_owned());
    let ending = async {
        end.await;
        stop.cancel();
    };
    let limit = async {
        drained.cancelled().await;
        health
            .set_not_serving::<SourceConnectorServer<Service>>()
            .await;
        // The timers start only now: they limit the shutdown, not the time of serving.
        syncs.close();
        let in_time = tokio::time::timeout(DRAIN, syncs.wait()).await.is_ok();
        if in_time {
            let _ = tokio::time::timeout(GOODBYE, std::future::pending::<()>()).await;
        }
        in_time
    };
    tokio::pin!(server, ending, limit);
    let mut asked_to_end = false;
    loop {
        tokio::select! {
            ended = &mut server => return Ok(ended?),
            () = &mut ending, if !asked_to_end => asked_to_end = true,
            in_time = &mut limit => {
                if !in_time {
                    tracing::warn!("syncs did not finish their page within 7 s and are aborted");
                }
                return Ok(());
            }
        }
    }
}
