//! A proxy that simulates a distant server: responses arrive later, at the same rate.
//!
//! Only responses are delayed, because a request waits for the sum of both directions.

use std::{io, net::Ipv4Addr, time::Duration};

use bytes::BytesMut;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time::{Instant, sleep_until},
};

/// The maximum number of bytes read at once.
const CHUNK: usize = 256 << 10;

/// Listens on a free port of this machine for `server` and returns the port.
pub async fn start(server: u16, latency: Duration) -> io::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let port = listener.local_addr()?.port();
    tokio::spawn(async move {
        while let Ok((caller, _)) = listener.accept().await {
            tokio::spawn(async move {
                // The caller notices a broken connection.
                let _ = pass(caller, server, latency).await;
            });
        }
    });
    Ok(port)
}

async fn pass(caller: TcpStream, server: u16, latency: Duration) -> io::Result<()> {
    let server = TcpStream::connect((Ipv4Addr::LOCALHOST, server)).await?;
    caller.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (mut from_caller, mut to_caller) = caller.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    tokio::spawn(async move {
        let _ = copy(&mut from_caller, &mut to_server).await;
        let _ = to_server.shutdown().await;
    });
    // The channel is unbounded, because a network holds everything that is in transit.
    let (put, mut take) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        loop {
            let mut chunk = BytesMut::with_capacity(CHUNK);
            match from_server.read_buf(&mut chunk).await {
                Ok(0) | Err(_) => break,
                Ok(_) => {
                    if put.send((Instant::now() + latency, chunk)).is_err() {
                        break;
                    }
                }
            }
        }
    });
    while let Some((due, chunk)) = take.recv().await {
        sleep_until(due).await;
        to_caller.write_all(&chunk).await?;
    }
    to_caller.shutdown().await
}
