//! User instructions of a sync, counted by valgrind: repeatable on any machine, without the kernel's share.

use std::{path::Path, process::Stdio};

use anyhow::{Context, Result};
use tempfile::NamedTempFile;

use crate::{connector::Connector, program::command, server::Server};

/// The numbers of instructions of a process that runs one sync and exits.
#[derive(Debug, Clone, Copy)]
pub struct Instructions {
    /// A first sync.
    pub first: u64,
    /// A sync an hour later in which nothing changed.
    pub quiet: u64,
}

/// Counts the instructions of both syncs.
pub async fn count(executable: &Path, runs: u32, in_flight: usize) -> Result<Instructions> {
    let mut server = Server::start(runs, 0).await?;
    let (first, state) = one(executable, &server, in_flight, None).await?;
    server.pass_an_hour().await?;
    let (quiet, _) = one(executable, &server, in_flight, state).await?;
    Ok(Instructions { first, quiet })
}

async fn one(
    executable: &Path,
    server: &Server,
    in_flight: usize,
    state: Option<String>,
) -> Result<(u64, Option<String>)> {
    let log = NamedTempFile::new()?;
    let mut valgrind = command("valgrind");
    valgrind
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(format!("--log-file={}", log.path().display()))
        .arg(executable)
        .args(["--port", "0"])
        .stdout(Stdio::piped());
    let connector = Connector::start_command(&mut valgrind).await?;
    let synced = connector.sync(&server.url, in_flight, state, None).await?;
    connector.stop().await?;
    let text = std::fs::read_to_string(log.path())?;
    let collected = text
        .lines()
        .find_map(|line| line.split_once("Collected : "));
    let (_, count) = collected.context("valgrind reported no count")?;
    Ok((count.trim().parse()?, synced.drained.state))
}
