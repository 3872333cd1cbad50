//! The cost of another process: CPU time by its own clock, and peak memory.

use std::{fs, time::Duration};

use anyhow::{Context, Result};
use nix::{
    time::{ClockId, clock_getcpuclockid},
    unistd::Pid,
};

/// A process to measure.
#[derive(Debug, Clone, Copy)]
pub struct Meter {
    pid: Pid,
    clock: ClockId,
}

impl Meter {
    /// Creates a meter for the process with this id.
    pub fn for_process(pid: u32) -> Result<Self> {
        let pid = Pid::from_raw(i32::try_from(pid)?);
        let clock = clock_getcpuclockid(pid).context("no such process")?;
        Ok(Self { pid, clock })
    }

    /// Returns the CPU time of all threads, including ended ones, user and system together.
    pub fn cpu(&self) -> Result<Duration> {
        Ok(self.clock.now().context("the process is gone")?.into())
    }

    /// Returns the peak of the resident memory so far, in bytes; `None` if the process has ended.
    pub fn peak_rss(&self) -> Option<u64> {
        self.status("VmHWM:")
    }

    /// Returns the current resident memory, in bytes; `None` if the process has ended.
    pub fn rss(&self) -> Option<u64> {
        self.status("VmRSS:")
    }

    fn status(&self, key: &str) -> Option<u64> {
        let text = fs::read_to_string(format!("/proc/{}/status", self.pid)).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix(key))?;
        let kib: u64 = line.trim().trim_end_matches(" kB").parse().ok()?;
        Some(kib << 10)
    }

    /// Returns the process's id.
    pub fn pid(&self) -> Pid {
        self.pid
    }
}
