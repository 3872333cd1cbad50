//! The measurements: each contender runs several times, and those that are compared take turns.

use std::{path::Path, time::Duration};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::{
    connector::{self, Connector, Synced},
    drain::{CORE, Stall},
    plan::Plan,
    program::{Cost, command, run, sibling},
    server::Server,
    table::{Table, grouped, megabytes, rate, seconds},
};

/// The measurements of one contender.
#[derive(Debug, Default)]
pub struct Samples {
    name: String,
    costs: Vec<Cost>,
    rows: Vec<u64>,
    requests: Vec<u64>,
}

/// Returns the median.
fn median<T: Ord + Copy + Default>(values: impl Iterator<Item = T>) -> T {
    let mut sorted: Vec<T> = values.collect();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

impl Samples {
    fn of(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            ..Self::default()
        }
    }

    /// Returns an empty table with the headings of [`Self::row`].
    pub fn table() -> Table {
        Table::new(&[
            "",
            "wall s",
            "CPU s",
            "rows",
            "rows/s",
            "peak RSS MB",
            "requests",
        ])
    }

    /// Returns a table row: medians, and the maximum of the memory.
    pub fn row(&self) -> Vec<String> {
        let rows = median(self.rows.iter().copied());
        let per_second = match rows {
            0 => String::new(),
            rows => grouped(rate(rows, self.wall())),
        };
        vec![
            self.name.clone(),
            seconds(self.wall()),
            seconds(self.cpu()),
            rows.to_string(),
            per_second,
            format!("{:.1}", megabytes(self.rss())),
            median(self.requests.iter().copied()).to_string(),
        ]
    }

    /// Returns the median of the wall time.
    pub fn wall(&self) -> Duration {
        median(self.costs.iter().map(|cost| cost.wall))
    }

    /// Returns the median of the CPU time.
    pub fn cpu(&self) -> Duration {
        median(self.costs.iter().map(|cost| cost.cpu))
    }

    /// Returns the maximum of the peak memory.
    pub fn rss(&self) -> u64 {
        self.costs.iter().map(|cost| cost.rss).max().unwrap_or(0)
    }

    /// Returns the rows per second.
    pub fn rate(&self) -> f64 {
        rate(median(self.rows.iter().copied()), self.wall())
    }

    fn add(&mut self, cost: Cost, rows: u64, requests: u64) {
        self.costs.push(cost);
        self.rows.push(rows);
        self.requests.push(requests);
    }
}

/// Measurements at one server.
pub struct Bench<'a> {
    plan: &'a Plan,
    server: Server,
    runs: u32,
    /// The state of the last sync.
    state: Option<String>,
}

impl<'a> Bench<'a> {
    /// Starts a server with `runs` runs, and reads everything from it once.
    pub async fn at(plan: &'a Plan, runs: u32, latency_ms: u64) -> Result<Self> {
        let server = Server::start(runs, latency_ms).await?;
        let mut bench = Self {
            plan,
            server,
            runs,
            state: None,
        };
        // The server sorts its rows at the first request for an order, which must not be measured.
        bench.floor("drop", &mut Samples::default()).await?;
        bench.sync(&mut Samples::default(), None, None).await?;
        let size = bench.server.meter().rss().unwrap_or(0);
        eprintln!(
            "server: {runs} runs, {latency_ms} ms, {:.0} MB",
            megabytes(size)
        );
        Ok(bench)
    }

    async fn floor(&mut self, floor: &str, samples: &mut Samples) -> Result<()> {
        let before = self.server.requests().await?;
        let mut command = command(sibling("floor")?);
        command
            .arg(floor)
            .arg(format!("--in-flight={}", self.plan.in_flight))
            .arg(&self.server.url);
        let ran = run(&mut command).await?;
        let requests = self.server.requests().await? - before;
        samples.add(ran.cost, u64::from(self.runs), requests);
        Ok(())
    }

    /// Runs a sync in a process of its own, as Fivetran does.
    async fn sync(
        &mut self,
        samples: &mut Samples,
        state: Option<String>,
        stall: Option<Stall>,
    ) -> Result<Synced> {
        let before = self.server.requests().await?;
        let connector = Connector::start(&self.plan.connector).await?;
        let synced = connector
            .sync(&self.server.url, self.plan.in_flight, state, stall)
            .await?;
        let requests = self.server.requests().await? - before;
        samples.add(synced.cost, synced.drained.records, requests);
        self.state.clone_from(&synced.drained.state);
        Ok(synced)
    }

    async fn first(&mut self, samples: &mut Samples, stall: Option<Stall>) -> Result<()> {
        let synced = self.sync(samples, None, stall).await?;
        let records = synced.drained.records;
        ensure!(records > u64::from(self.runs), "only {records} rows came");
        Ok(())
    }

    /// Measures the floors and first syncs in turns: drop, split, connector.
    pub async fn firsts(&mut self, at: &str) -> Result<[Samples; 3]> {
        let mut drop = Samples::of(format!("drop floor, {at}"));
        let mut split = Samples::of(format!("split floor, {at}"));
        let mut first = Samples::of(format!("connector, first sync, {at}"));
        for _ in 0..self.plan.times {
            self.floor("drop", &mut drop).await?;
            self.floor("split", &mut split).await?;
            self.first(&mut first, None).await?;
        }
        Ok([drop, split, first])
    }

    /// Measures one first sync, for its memory.
    pub async fn one_first(&mut self, name: String, stall: Option<Stall>) -> Result<Samples> {
        let mut samples = Samples::of(name);
        self.first(&mut samples, stall).await?;
        Ok(samples)
    }

    /// Measures `syncs` first syncs at once, in one process.
    pub async fn together(&mut self, syncs: usize) -> Result<Samples> {
        let mut samples = Samples::of(format!("{syncs} first syncs at once, {} runs", self.runs));
        let before = self.server.requests().await?;
        let connector = Connector::start(&self.plan.connector).await?;
        let (url, in_flight) = (self.server.url.as_str(), self.plan.in_flight);
        let all = (0..syncs).map(|_| connector.sync(url, in_flight, None, None));
        let all = futures::future::try_join_all(all).await?;
        let requests = self.server.requests().await? - before;
        let least = all.iter().map(|synced| synced.drained.records).min();
        ensure!(
            least > Some(u64::from(self.runs)),
            "only {least:?} rows came"
        );
        let rows = all.iter().map(|synced| synced.drained.records).sum();
        // The cost of the sync that ended last covers all syncs.
        let last = all.into_iter().max_by_key(|synced| synced.cost.wall);
        let last = last.context("no sync")?;
        samples.add(last.cost, rows, requests);
        Ok(samples)
    }

    /// Measures syncs after an hour without changes, and after one in which some runs changed.
    pub async fn hourly(&mut self) -> Result<[Samples; 2]> {
        let mut quiet = Samples::of("connector, quiet sync");
        let share = self.plan.changed * 100.0;
        let mut changed = Samples::of(format!("connector, {share} % changed"));
        for _ in 0..self.plan.times {
            self.server.pass_an_hour().await?;
            let state = self.state.clone();
            self.sync(&mut quiet, state, None).await?;
            let changes = self.server.change(self.plan.changed).await?;
            let state = self.state.clone();
            let synced = self.sync(&mut changed, state, None).await?;
            let records = synced.drained.records;
            // Renamed runs may be found by a later sync.
            ensure!(
                records * 4 >= changes,
                "{records} rows for {changes} changes"
            );
        }
        Ok([quiet, changed])
    }

    /// Measures dlt's extract step.
    pub async fn dlt(&mut self, python: &Path) -> Result<Samples> {
        let mut samples = Samples::of("dlt, extract step");
        let folder = TempDir::new()?;
        let before = self.server.requests().await?;
        let mut command = command(python);
        command
            .arg(&self.plan.dlt_program)
            .arg(&self.server.url)
            .arg(folder.path());
        let ran = run(&mut command).await?;
        let rows: u64 = ran.output.trim().parse().context("dlt's number of rows")?;
        let requests = self.server.requests().await? - before;
        samples.add(ran.cost, rows, requests);
        Ok(samples)
    }

    /// Measures the local run: a first sync into a new DuckDB file.
    pub async fn local(&mut self) -> Result<Samples> {
        let mut samples = Samples::of("local run into DuckDB");
        for _ in 0..self.plan.times {
            let folder = TempDir::new()?;
            let file = folder.path().join("configuration.json");
            let configuration = connector::configuration(&self.server.url, self.plan.in_flight);
            std::fs::write(&file, serde_json::to_string(&configuration)?)?;
            let files = folder.path().join("files");
            let before = self.server.requests().await?;
            let mut sync = command(sibling("local")?);
            sync.arg("debug").arg("--configuration").arg(&file);
            sync.arg("--dir").arg(&files);
            for table in CORE {
                sync.args(["--table", table]);
            }
            let ran = run(&mut sync).await?;
            let requests = self.server.requests().await? - before;
            let mut count = command(sibling("local")?);
            count.args(["query", "select count(*) from tester.flow_runs"]);
            let counted = run(count.arg("--dir").arg(&files)).await?.output;
            let runs = counted.split(|c: char| !c.is_ascii_digit());
            let rows = runs.filter_map(|word| word.parse().ok()).max().unwrap_or(0);
            ensure!(
                rows >= u64::from(self.runs),
                "the warehouse has {rows} runs"
            );
            samples.add(ran.cost, rows, requests);
        }
        Ok(samples)
    }
}

/// Returns the median time from the process's start to its first response.
pub async fn time_to_serve(plan: &Plan) -> Result<Duration> {
    let mut times = Vec::new();
    for _ in 0..plan.starts {
        times.push(Connector::time_to_serve(&plan.connector).await?);
    }
    Ok(median(times.into_iter()))
}
