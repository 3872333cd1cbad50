//! The parameters of the measurements, from the command line and the environment.

use std::{path::PathBuf, time::Duration};

use clap::Parser;

use crate::caller::Caller;

/// Runs the end-to-end benchmark and prints its tables in Markdown; fails if a goal is missed.
#[derive(Debug, Parser)]
pub struct Plan {
    /// The connector's executable, as Fivetran builds it.
    #[arg(long)]
    pub connector: PathBuf,
    /// An earlier build of the connector, to compare with.
    #[arg(long)]
    pub baseline: Option<PathBuf>,
    /// A Python interpreter with grpcio, for the caller that uses it.
    #[arg(long)]
    pub grpcio: Option<PathBuf>,
    /// The classpath of grpc-java, for the caller that uses it.
    #[arg(long)]
    pub grpc_java: Option<String>,
    /// A Python interpreter with dlt; without it, dlt is not measured.
    #[arg(long)]
    pub dlt: Option<PathBuf>,
    /// The file of the official Python connector; without it, that connector is not measured.
    #[arg(long, env = "BENCH_OFFICIAL_CONNECTOR")]
    pub official: Option<PathBuf>,
    /// A Python interpreter with Fivetran's Connector SDK, for the official connector.
    #[arg(long)]
    pub sdk: Option<PathBuf>,
    /// The folder of the programs that are compared with, and of the callers.
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/peers"))]
    pub peers: PathBuf,
    /// The number of runs in the workspace.
    #[arg(long, env = "BENCH_RUNS", default_value_t = 100_000)]
    pub runs: u32,
    /// The number of runs in the small workspace, for memory.
    #[arg(long, env = "BENCH_SMALL", default_value_t = 10_000)]
    pub small: u32,
    /// The number of runs in the large workspace, for memory; 0 skips it.
    #[arg(long, env = "BENCH_LARGE", default_value_t = 0)]
    pub large: u32,
    /// The number of seconds for which a reader stalls; 0 skips this measurement.
    #[arg(long, env = "BENCH_STALL", default_value_t = 0)]
    pub stall: u64,
    /// The number of syncs at once in one process, for memory; 0 skips this measurement.
    #[arg(long, env = "BENCH_TOGETHER", default_value_t = 64)]
    pub together: usize,
    /// The number of runs in the workspace that these syncs read.
    #[arg(long, default_value_t = 20_000)]
    pub together_runs: u32,
    /// The number of repetitions of each measurement; the median counts.
    #[arg(long, env = "BENCH_TIMES", default_value_t = 3)]
    pub times: usize,
    /// The number of measured starts of the connector.
    #[arg(long, env = "BENCH_STARTS", default_value_t = 20)]
    pub starts: usize,
    /// The number of requests at once.
    #[arg(long, default_value_t = 8)]
    pub in_flight: usize,
    /// The latency of the distant server, in milliseconds.
    #[arg(long, default_value_t = 20)]
    pub latency_ms: u64,
    /// The share of runs that change in an hour.
    #[arg(long, default_value_t = 0.001)]
    pub changed: f64,
}

impl Plan {
    /// Returns the standard callers that are installed.
    pub fn callers(&self) -> Vec<Caller> {
        let grpcio = self.grpcio.iter().map(|it| Caller::grpcio(it, &self.peers));
        let java = self
            .grpc_java
            .iter()
            .map(|it| Caller::java(it, &self.peers));
        grpcio.chain(java).collect()
    }

    /// Returns the time for which a reader stalls, if one does.
    pub fn stall(&self) -> Option<Duration> {
        (self.stall > 0).then(|| Duration::from_secs(self.stall))
    }
}
