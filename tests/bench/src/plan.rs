//! How much is measured, and with what: the command line and the environment.

use std::{path::PathBuf, time::Duration};

use clap::Parser;

/// The end-to-end benchmark: prints its tables in Markdown; fails when a goal is missed.
#[derive(Debug, Parser)]
pub struct Plan {
    /// The connector's executable, as Fivetran builds it.
    #[arg(long)]
    pub connector: PathBuf,
    /// A Python with dlt; without it dlt is left out.
    #[arg(long)]
    pub dlt: Option<PathBuf>,
    /// The dlt program.
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/dlt_extract.py"))]
    pub dlt_program: PathBuf,
    /// Runs of the workspace.
    #[arg(long, env = "BENCH_RUNS", default_value_t = 100_000)]
    pub runs: u32,
    /// Runs of the small workspace, for memory.
    #[arg(long, env = "BENCH_SMALL", default_value_t = 10_000)]
    pub small: u32,
    /// Runs of the large one, for memory; 0 leaves it out.
    #[arg(long, env = "BENCH_LARGE", default_value_t = 0)]
    pub large: u32,
    /// For how many seconds a reader stalls; 0 leaves it out.
    #[arg(long, env = "BENCH_STALL", default_value_t = 0)]
    pub stall: u64,
    /// How many syncs run at once in one process, for memory; 0 leaves it out.
    #[arg(long, env = "BENCH_TOGETHER", default_value_t = 64)]
    pub together: usize,
    /// Runs of the workspace that they read.
    #[arg(long, default_value_t = 20_000)]
    pub together_runs: u32,
    /// How often each is measured; the median counts.
    #[arg(long, env = "BENCH_TIMES", default_value_t = 3)]
    pub times: usize,
    /// How often the start is measured.
    #[arg(long, env = "BENCH_STARTS", default_value_t = 20)]
    pub starts: usize,
    /// Requests at once.
    #[arg(long, default_value_t = 8)]
    pub in_flight: usize,
    /// The latency of the server that is far away.
    #[arg(long, default_value_t = 20)]
    pub latency_ms: u64,
    /// The share of runs that change in an hour.
    #[arg(long, default_value_t = 0.001)]
    pub changed: f64,
}

impl Plan {
    /// How long a reader stalls, if one does.
    pub fn stall(&self) -> Option<Duration> {
        (self.stall > 0).then(|| Duration::from_secs(self.stall))
    }
}
