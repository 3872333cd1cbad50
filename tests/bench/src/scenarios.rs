//! The measurements: each contender runs several times, and those that are compared take turns.

use std::{path::Path, time::Duration};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::{
    caller::Caller,
    connector::{self, Connector, Synced},
    drain::{CORE, Stall},
    plan::Plan,
    program::{Cost, command, run, sibling},
    server::Server,
    table::{Table, grouped, megabytes, rate, seconds},
};

/// The measurements of one contender with one caller.
#[derive(Debug, Default)]
pub struct Samples {
    name: String,
    /// The name of the gRPC caller; empty for programs without one.
    caller: &'static str,
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

/// The median of paired ratios, with the least and the most.
#[derive(Debug, Clone, Copy)]
pub struct Ratio {
    /// The median.
    pub median: f64,
    /// The least of the ratios.
    pub least: f64,
    /// The most of the ratios.
    pub most: f64,
}

impl Ratio {
    fn from_ratios(ratios: impl Iterator<Item = f64>) -> Self {
        let mut sorted: Vec<f64> = ratios.collect();
        sorted.sort_by(f64::total_cmp);
        let at = |index: usize| sorted.get(index).copied().unwrap_or(f64::NAN);
        Self {
            median: at(sorted.len() / 2),
            least: at(0),
            most: at(sorted.len().saturating_sub(1)),
        }
    }
}

/// The measurements of first syncs with one caller, made in turns.
pub struct Compared {
    /// The earlier build, if there is one to compare with.
    pub baseline: Option<Samples>,
    /// This build.
    pub current: Samples,
    /// The official Python connector, with grpcio, if its file is given.
    pub official: Option<Samples>,
}

impl Samples {
    /// Creates an empty series of a program that no gRPC caller calls.
    fn uncalled(name: impl Into<String>) -> Self {
        Self::called(name, "")
    }

    /// Creates an empty series with the caller of [`drain`](crate::drain).
    fn drained(name: impl Into<String>) -> Self {
        Self::called(name, "draining")
    }

    fn called(name: impl Into<String>, caller: &'static str) -> Self {
        Self {
            name: name.into(),
            caller,
            ..Self::default()
        }
    }

    /// Returns an empty table with the headings of [`Self::row`].
    pub fn table() -> Table {
        Table::new(&[
            "",
            "caller",
            "wall s",
            "CPU s",
            "from–to",
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
            self.caller.to_owned(),
            seconds(self.wall()),
            seconds(self.cpu()),
            self.spread(),
            rows.to_string(),
            per_second,
            format!("{:.1}", megabytes(self.rss())),
            median(self.requests.iter().copied()).to_string(),
        ]
    }

    /// Returns the name of the gRPC caller.
    pub fn caller(&self) -> &'static str {
        self.caller
    }

    /// Returns the median of the wall time.
    pub fn wall(&self) -> Duration {
        median(self.costs.iter().map(|cost| cost.wall))
    }

    /// Returns the median of the CPU time.
    pub fn cpu(&self) -> Duration {
        median(self.costs.iter().map(|cost| cost.cpu))
    }

    /// Returns the least and the most CPU time, or nothing after a single measurement.
    fn spread(&self) -> String {
        let times = || self.costs.iter().map(|cost| cost.cpu);
        match (times().min(), times().max()) {
            (Some(least), Some(most)) if self.costs.len() > 1 => {
                format!("{}–{}", seconds(least), seconds(most))
            }
            _ => String::new(),
        }
    }

    /// Returns the CPU time divided by that of another contender, of measurements made in turns.
    pub fn cpu_ratio(&self, other: &Self) -> Ratio {
        let pairs = self.costs.iter().zip(&other.costs);
        Ratio::from_ratios(
            pairs.map(|(own, other)| own.cpu.as_secs_f64() / other.cpu.as_secs_f64()),
        )
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
        let mut drop = Samples::uncalled(format!("drop floor, {at}"));
        let mut split = Samples::uncalled(format!("split floor, {at}"));
        let mut first = Samples::drained(format!("connector, first sync, {at}"));
        for _ in 0..self.plan.times {
            self.floor("drop", &mut drop).await?;
            self.floor("split", &mut split).await?;
            self.first(&mut first, None).await?;
        }
        Ok([drop, split, first])
    }

    /// Measures one first sync, for its memory, with the first standard caller that is installed.
    pub async fn one_first(&mut self, name: String, stall: Option<Stall>) -> Result<Samples> {
        let Some(caller) = self.plan.callers().into_iter().next() else {
            let mut samples = Samples::drained(name);
            self.first(&mut samples, stall).await?;
            return Ok(samples);
        };
        let mut samples = Samples::called(name, caller.name);
        let executable = &self.plan.connector;
        self.first_for(executable, Some(&caller), &mut samples, stall)
            .await?;
        Ok(samples)
    }

    /// Measures a first sync of an executable; without `caller`, with the draining one.
    async fn first_for(
        &mut self,
        executable: &Path,
        caller: Option<&Caller>,
        samples: &mut Samples,
        stall: Option<Stall>,
    ) -> Result<()> {
        let before = self.server.requests().await?;
        let connector = Connector::start(executable).await?;
        let (url, in_flight) = (self.server.url.as_str(), self.plan.in_flight);
        let synced = match caller {
            None => connector.sync(url, in_flight, None, stall).await?,
            Some(caller) => {
                let configuration = connector::configuration(url, in_flight);
                connector.sync_for(caller, configuration, stall).await?
            }
        };
        self.add_first(samples, &synced, before).await
    }

    async fn add_first(
        &mut self,
        samples: &mut Samples,
        synced: &Synced,
        requests_before: u64,
    ) -> Result<()> {
        let records = synced.drained.records;
        ensure!(records > u64::from(self.runs), "only {records} rows came");
        let requests = self.server.requests().await? - requests_before;
        samples.add(synced.cost, records, requests);
        Ok(())
    }

    /// Measures a first sync of the official Python connector, served by Fivetran's SDK.
    async fn official(&mut self, caller: &Caller, samples: &mut Samples) -> Result<()> {
        let (Some(python), Some(file)) = (&self.plan.sdk, &self.plan.official) else {
            return Ok(());
        };
        let before = self.server.requests().await?;
        let mut serve = command(python);
        serve.arg(self.plan.peers.join("official_connector.py"));
        serve.arg(file).arg(&self.server.url);
        let connector = Connector::start_command(&mut serve).await?;
        let answers = ["api_key", "account_id", "workspace_id"];
        let answers = answers.map(|name| (name.to_owned(), "bench".to_owned()));
        let synced = connector.sync_for(caller, answers.into(), None).await?;
        self.add_first(samples, &synced, before).await
    }

    /// Measures first syncs with each caller: this build, the earlier one and the official connector take turns.
    pub async fn with_callers(&mut self) -> Result<Vec<Compared>> {
        let standard = self.plan.callers().into_iter().map(Some);
        let callers: Vec<Option<Caller>> = [None].into_iter().chain(standard).collect();
        let mut all = Vec::new();
        for caller in callers {
            all.push(self.with_caller(caller.as_ref()).await?);
        }
        Ok(all)
    }

    async fn with_caller(&mut self, caller: Option<&Caller>) -> Result<Compared> {
        let name = caller.map_or("draining", |caller| caller.name);
        let (plan, executable) = (self.plan, &self.plan.connector);
        let mut current = Samples::called("first sync", name);
        let mut baseline = plan
            .baseline
            .as_ref()
            .map(|file| (file, Samples::called("first sync, baseline", name)));
        let with_official = plan.official.is_some() && plan.sdk.is_some() && name == "grpcio";
        let mut official =
            with_official.then(|| Samples::called("official Python connector, first sync", name));
        for _ in 0..plan.times {
            if let Some((file, samples)) = &mut baseline {
                self.first_for(file, caller, samples, None).await?;
            }
            self.first_for(executable, caller, &mut current, None)
                .await?;
            if let (Some(samples), Some(caller)) = (&mut official, caller) {
                self.official(caller, samples).await?;
            }
        }
        Ok(Compared {
            baseline: baseline.map(|(_, samples)| samples),
            current,
            official,
        })
    }

    /// Measures `syncs` first syncs at once, in one process.
    pub async fn together(&mut self, syncs: usize) -> Result<Samples> {
        let mut samples =
            Samples::drained(format!("{syncs} first syncs at once, {} runs", self.runs));
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
        let mut quiet = Samples::drained("connector, quiet sync");
        let share = self.plan.changed * 100.0;
        let mut changed = Samples::drained(format!("connector, {share} % changed"));
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
        let mut samples = Samples::uncalled("dlt, extract step");
        let folder = TempDir::new()?;
        let before = self.server.requests().await?;
        let mut command = command(python);
        command
            .arg(self.plan.peers.join("dlt_extract.py"))
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
        let mut samples = Samples::uncalled("local run into DuckDB");
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
