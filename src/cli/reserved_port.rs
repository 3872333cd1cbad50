//! A port that no other process is given while a connector starts.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use anyhow::Context as _;
use socket2::{Domain, Protocol, Socket, Type};

/// A free TCP port of this machine.
///
/// While the socket is open and does not listen, the system gives the port to no other process that asks for any port.
/// A process that asks for this very port gets it, if it sets `SO_REUSEADDR` as servers do (Linux, `socket(7)`).
pub(super) struct ReservedPort {
    pub(super) number: u16,
    _socket: Option<Socket>,
}

impl ReservedPort {
    /// Reserves a free port until this value is dropped.
    pub(super) fn new() -> anyhow::Result<Self> {
        Self::reserve().context("no free port")
    }

    /// Returns a port that is free now and not reserved, for a connector that does not set `SO_REUSEADDR`.
    pub(super) fn unreserved() -> anyhow::Result<Self> {
        Ok(Self {
            number: Self::new()?.number,
            _socket: None,
        })
    }

    fn reserve() -> std::io::Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        socket.bind(&any.into())?;
        let address = socket.local_addr()?.as_socket();
        Ok(Self {
            number: address.map_or(0, |address| address.port()),
            _socket: Some(socket),
        })
    }

    /// Returns true while no process listens on the port.
    pub(super) fn is_free(&self) -> bool {
        TcpListener::bind((Ipv4Addr::LOCALHOST, self.number)).is_ok()
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_reserved_port_is_given_to_the_process_that_names_it_only() {
        let port = ReservedPort::new().unwrap();
        // About 28,000 ports are chosen from: without the reservation one of these sockets would get this one.
        for _ in 0..200_000 {
            let other = ReservedPort::new().unwrap();
            assert_ne!(other.number, port.number);
        }
        assert!(port.is_free());
        let server = TcpListener::bind((Ipv4Addr::LOCALHOST, port.number)).unwrap();
        assert_eq!(server.local_addr().unwrap().port(), port.number);
        assert!(!port.is_free());
    }
}
