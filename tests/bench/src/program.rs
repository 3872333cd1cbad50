//! A program that is run to its end and measured.

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

/// How often the memory is looked at; it is the highest so far that is read.
const LOOK: Duration = Duration::from_millis(5);

/// What a piece of work cost.
#[derive(Debug, Clone, Copy)]
pub struct Cost {
    /// From its start to its end.
    pub wall: Duration,
    /// CPU time.
    pub cpu: Duration,
    /// Resident memory at its highest, in bytes.
    pub rss: u64,
}

/// The cost of a program's whole life, and what it printed.
#[derive(Debug)]
pub struct Ran {
    /// The cost.
    pub cost: Cost,
    /// Its output.
    pub output: String,
}

/// A command that reaches this machine's servers directly.
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

/// A program that was built beside this one.
pub fn sibling(name: &str) -> Result<PathBuf> {
    let path = std::env::current_exe()?.with_file_name(name);
    ensure!(path.exists(), "{} is not built", path.display());
    Ok(path)
}

/// Runs `command` to its end; it should print little.
#[expect(
    clippy::disallowed_methods,
    reason = "nothing tells how much memory there is but a look"
)]
pub async fn run(command: &mut Command) -> Result<Ran> {
    let started = Instant::now();
    let child = command.spawn().with_context(|| format!("{command:?}"))?;
    let meter = Meter::of(child.id().context("it has ended")?)?;
    let mut rss = 0;
    // It is not reaped before its clock was read.
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
