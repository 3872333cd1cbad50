//! Runs a program to its end and measures its cost.

use std::{
    ffi::OsStr,
    path::PathBuf,
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use tokio::{process::Command, time::sleep};

use crate::meter::Meter;

/// The interval between two readings of the process's peak memory.
const LOOK: Duration = Duration::from_millis(5);

/// The cost of a piece of work.
#[derive(Debug, Clone, Copy)]
pub struct Cost {
    /// The wall time.
    pub wall: Duration,
    /// The CPU time.
    pub cpu: Duration,
    /// The peak of the resident memory, in bytes.
    pub rss: u64,
}

/// The cost and the output of a program that ran to its end.
#[derive(Debug)]
pub struct Ran {
    /// The cost.
    pub cost: Cost,
    /// The output.
    pub output: String,
}

/// Creates a command that reaches this machine's servers without a proxy.
pub fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command
        .env("NO_PROXY", "127.0.0.1,localhost")
        .env_remove("RUST_LOG")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// Returns the path of a program that was built next to this one.
pub fn sibling(name: &str) -> Result<PathBuf> {
    let path = std::env::current_exe()?.with_file_name(name);
    ensure!(path.exists(), "{} is not built", path.display());
    Ok(path)
}

/// Runs `command` to its end. The output must fit into the pipe, which is read only afterwards.
#[expect(
    clippy::disallowed_methods,
    reason = "nothing tells how much memory there is but a look"
)]
pub async fn run(command: &mut Command) -> Result<Ran> {
    let started = Instant::now();
    let child = command.spawn().with_context(|| format!("{command:?}"))?;
    let meter = Meter::for_process(child.id().context("it has ended")?)?;
    let mut rss = 0;
    // The process must not be reaped before its clock is read.
    let ended = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    while waitid(Id::Pid(meter.pid()), ended)? == WaitStatus::StillAlive {
        rss = meter.peak_rss().unwrap_or(0).max(rss);
        sleep(LOOK).await;
    }
    let cost = Cost {
        wall: started.elapsed(),
        cpu: meter.cpu()?,
        rss,
    };
    let output = child.wait_with_output().await?;
    ensure!(output.status.success(), "{command:?}: {}", output.status);
    Ok(Ran {
        cost,
        output: String::from_utf8_lossy(&output.stdout).into_owned(),
    })
}
