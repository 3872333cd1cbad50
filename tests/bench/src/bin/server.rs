//! Runs the fake server in a process of its own, so that its cost is measured separately.
//!
//! Prints its address as one line, then responds to each line of its input with one line: `requests` with the number of
//! requests, `change SHARE` with the number of runs that changed in an hour, `advance SECONDS` with the time. The
//! process exits at the end of its input.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use bench::{latency, workspace};
use chrono::TimeDelta;
use clap::Parser;
use prefect_fake::Server;
use tokio::io::{AsyncBufReadExt, BufReader, stdin};

/// Runs the fake server.
#[derive(Parser)]
struct Arguments {
    /// The number of flow runs.
    #[arg(long)]
    runs: u32,
    /// The delay of responses, in milliseconds.
    #[arg(long, default_value_t = 0)]
    latency_ms: u64,
    /// The approximate JSON size of a run, in bytes.
    #[arg(long, default_value_t = workspace::RUN_BYTES)]
    run_bytes: usize,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let server = workspace::start(arguments.runs, arguments.run_bytes).await?;
    println!("{}", address(&server, arguments.latency_ms).await?);
    let mut lines = BufReader::new(stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        println!("{}", answer(&server, &line)?);
    }
    Ok(())
}

async fn address(server: &Server, latency_ms: u64) -> Result<String> {
    let url = server.url();
    if latency_ms == 0 {
        return Ok(url);
    }
    let port = url
        .trim_start_matches("http://127.0.0.1:")
        .trim_end_matches("/api")
        .parse()
        .context("the server's port")?;
    let port = latency::start(port, Duration::from_millis(latency_ms)).await?;
    Ok(format!("http://127.0.0.1:{port}/api"))
}

fn answer(server: &Server, line: &str) -> Result<String> {
    let words: Vec<&str> = line.split_whitespace().collect();
    Ok(match words.as_slice() {
        ["requests"] => server.requests().to_string(),
        ["change", share] => {
            let share = share.parse()?;
            server
                .with_store(|store| workspace::change(store, share))?
                .to_string()
        }
        ["advance", seconds] => {
            let by = TimeDelta::seconds(seconds.parse()?);
            server.with_store(|store| {
                store.advance(by);
                store.now().to_rfc3339()
            })
        }
        _ => bail!("unknown command: {line}"),
    })
}
