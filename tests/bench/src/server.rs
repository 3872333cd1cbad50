//! The fake server's process, controlled from outside.

use std::process::Stdio;

use anyhow::{Context, Result};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout},
};

use crate::{
    meter::Meter,
    program::{command, sibling},
};

/// A fake server, which stops when it is dropped.
pub struct Server {
    // The process is killed when this is dropped.
    _child: Child,
    meter: Meter,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
    /// The address, with `/api`.
    pub url: String,
}

impl Server {
    /// Starts a server with `runs` flow runs whose responses arrive `latency_ms` later.
    pub async fn start(runs: u32, latency_ms: u64) -> Result<Self> {
        let mut child = command(sibling("server")?)
            .arg(format!("--runs={runs}"))
            .arg(format!("--latency-ms={latency_ms}"))
            .stdin(Stdio::piped())
            .spawn()?;
        let input = child.stdin.take().context("stdin")?;
        let output = child.stdout.take().context("stdout")?;
        let mut output = BufReader::new(output).lines();
        let url = output.next_line().await?.context("the server has ended")?;
        Ok(Self {
            meter: Meter::for_process(child.id().context("the server has ended")?)?,
            _child: child,
            input,
            output,
            url,
        })
    }

    async fn ask(&mut self, command: &str) -> Result<String> {
        self.input.write_all(command.as_bytes()).await?;
        self.input.write_all(b"\n").await?;
        let answer = self.output.next_line().await?;
        answer.context("the server has ended")
    }

    /// Returns the number of requests so far.
    pub async fn requests(&mut self) -> Result<u64> {
        Ok(self.ask("requests").await?.parse()?)
    }

    /// Advances the clock by an hour without changes.
    pub async fn pass_an_hour(&mut self) -> Result<()> {
        self.ask("advance 3600").await.map(drop)
    }

    /// Advances the clock by an hour in which a share of the runs changes, and returns their number.
    pub async fn change(&mut self, share: f64) -> Result<u64> {
        Ok(self.ask(&format!("change {share}")).await?.parse()?)
    }

    /// Returns the meter of the server's process.
    pub fn meter(&self) -> Meter {
        self.meter
    }
}
