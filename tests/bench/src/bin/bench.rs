//! Compares the connector with the floors and with dlt, end to end: `make bench`.
//!
//! Prints two tables in Markdown, one of costs and one of goals, and fails if a goal is missed. The ratios compare
//! measurements of one run on one machine. The absolute goals are Fivetran's limits with a large margin, and a user's
//! patience.

use std::{process::ExitCode, time::Duration};

use anyhow::{Context, Result};
use bench::{
    drain::Stall,
    goals::{self, Goal, Wanted},
    instructions,
    plan::Plan,
    program::{command, run, sibling},
    scenarios::{Bench, Samples, time_to_serve},
    table::{megabytes, rate},
};
use clap::Parser;

/// The number of messages after which a stalling reader stalls.
const BEFORE_STALL: u64 = 100;

/// The goal for the peak memory, in megabytes.
const RSS: Wanted = Wanted::AtMost(24.0);

/// The number of runs of the workspace in which instructions are counted.
const COUNTED_RUNS: u32 = 4_000;

#[derive(Default)]
struct Report {
    samples: Vec<Samples>,
    goals: Vec<Goal>,
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let plan = Plan::parse();
    let mut report = Report::default();
    report.rows().await?;
    report.executable(&plan).await?;
    report.instructions(&plan).await?;
    report.near(&plan).await?;
    report.far(&plan).await?;
    for runs in [plan.small, plan.large] {
        if runs > 0 {
            report.memory(&plan, runs).await?;
        }
    }
    if plan.together > 0 {
        report.together(&plan).await?;
    }
    report.print();
    let missed = report.goals.iter().any(Goal::missed);
    Ok(ExitCode::from(u8::from(missed)))
}

impl Report {
    /// Measures flattening and encoding on one core with the program `rows`, which measures nothing else.
    async fn rows(&mut self) -> Result<()> {
        let ran = run(&mut command(sibling("rows")?)).await?;
        println!("{}", ran.output);
        let of_runs = |line: &&str| line.starts_with("flow_runs, benchmark's");
        let line = ran.output.lines().find(of_runs).context("flow_runs")?;
        let before = |unit: &str| {
            let (text, _) = line.split_once(unit)?;
            text.rsplit(' ').next()?.parse::<f64>().ok()
        };
        let rate = before(" rows/s").context("rows a second")?;
        let scans = before(" x scan").context("the ratio")?;
        let name = "flattening and encoding, one core";
        self.goal(name, rate, Wanted::AtLeast(250_000.0), "rows/s");
        let name = "flattening and encoding, of scanning";
        self.goal(name, scans, Wanted::AtMost(2.6), "x");
        Ok(())
    }

    async fn executable(&mut self, plan: &Plan) -> Result<()> {
        let size = std::fs::metadata(&plan.connector)
            .with_context(|| plan.connector.display().to_string())?
            .len();
        let start = time_to_serve(plan).await?.as_secs_f64() * 1e3;
        self.goal("executable", megabytes(size), Wanted::AtMost(12.0), "MB");
        self.goal(
            "process start to serving",
            start,
            Wanted::AtMost(20.0),
            "ms",
        );
        Ok(())
    }

    /// Measures costs with a server without latency.
    async fn near(&mut self, plan: &Plan) -> Result<()> {
        let mut bench = Bench::at(plan, plan.runs, 0).await?;
        let [drop, split, first] = bench.firsts("0 ms").await?;
        let cpu = |samples: &Samples| samples.cpu().as_secs_f64();
        let floor = first.cpu_ratio(&split);
        let wanted = Wanted::AtMost(1.75);
        let goal = Goal::ratio("CPU, of the split floor's", floor, wanted);
        self.goals.push(goal);
        let name = format!("peak RSS, {} runs", plan.runs);
        self.goal(name, megabytes(first.rss()), RSS, "MB");
        let cost = cpu(&first);
        self.samples.extend([drop, split, first]);
        self.callers(&mut bench).await?;
        if let Some(python) = &plan.dlt {
            let dlt = bench.dlt(python).await?;
            self.goal("CPU of dlt", cpu(&dlt) / cost, Wanted::Shown, "x");
            self.samples.push(dlt);
        }
        if let Some(lasts) = plan.stall() {
            let after = BEFORE_STALL;
            let stall = Some(Stall { after, lasts });
            let name = format!("first sync, reader stalls {} s", lasts.as_secs());
            let stalled = bench.one_first(name.clone(), stall).await?;
            self.goal(
                format!("peak RSS, {name}"),
                megabytes(stalled.rss()),
                RSS,
                "MB",
            );
            self.samples.push(stalled);
        }
        let local = bench.local().await?;
        self.goal(
            "local run into DuckDB",
            local.rate(),
            Wanted::AtLeast(30_000.0),
            "rows/s",
        );
        self.goal(
            "local run, peak RSS",
            megabytes(local.rss()),
            Wanted::Shown,
            "MB",
        );
        self.samples.push(local);
        self.samples.extend(bench.hourly().await?);
        Ok(())
    }

    /// Measures first syncs with standard callers, beside an earlier build and the official connector.
    async fn callers(&mut self, bench: &mut Bench<'_>) -> Result<()> {
        for compared in bench.with_callers().await? {
            let current = compared.current;
            let caller = current.caller();
            if let Some(baseline) = compared.baseline {
                let wanted = if caller == "draining" { 0.72 } else { 0.16 };
                self.goals.push(Goal::ratio(
                    format!("CPU, of the baseline's, {caller}"),
                    current.cpu_ratio(&baseline),
                    Wanted::AtMost(wanted),
                ));
                self.samples.push(baseline);
            }
            if let Some(official) = compared.official {
                self.goals.push(Goal::ratio(
                    format!("CPU of the official Python connector, {caller}"),
                    official.cpu_ratio(&current),
                    Wanted::AtLeast(28.0),
                ));
                self.samples.push(official);
            }
            let name = format!("peak RSS, {caller}");
            self.goal(name, megabytes(current.rss()), RSS, "MB");
            self.samples.push(current);
        }
        Ok(())
    }

    /// Counts user instructions, beside those of an earlier build.
    async fn instructions(&mut self, plan: &Plan) -> Result<()> {
        let Some(baseline) = &plan.baseline else {
            return Ok(());
        };
        let before = instructions::count(baseline, COUNTED_RUNS, plan.in_flight).await?;
        let now = instructions::count(&plan.connector, COUNTED_RUNS, plan.in_flight).await?;
        let goals = [
            ("first sync", now.first, before.first, 0.66),
            ("quiet sync", now.quiet, before.quiet, 0.3),
        ];
        for (sync, now, before, most) in goals {
            println!("user instructions, {sync}: {now}, baseline {before}");
            self.goal(
                format!("user instructions, of the baseline's, {sync}"),
                rate(now, Duration::from_secs(before)),
                Wanted::AtMost(most),
                "x",
            );
        }
        Ok(())
    }

    /// Measures durations with a distant server.
    async fn far(&mut self, plan: &Plan) -> Result<()> {
        let at = format!("{} ms", plan.latency_ms);
        let mut bench = Bench::at(plan, plan.runs, plan.latency_ms).await?;
        let [drop, split, first] = bench.firsts(&at).await?;
        let floor = first.wall().as_secs_f64() / drop.wall().as_secs_f64();
        let name = format!("wall at {at}, of the drop floor's");
        self.goal(name, floor, Wanted::AtMost(1.5), "x");
        self.samples.extend([drop, split, first]);
        Ok(())
    }

    async fn memory(&mut self, plan: &Plan, runs: u32) -> Result<()> {
        let mut bench = Bench::at(plan, runs, 0).await?;
        let name = format!("connector, first sync, {runs} runs");
        let first = bench.one_first(name, None).await?;
        self.goal(
            format!("peak RSS, {runs} runs"),
            megabytes(first.rss()),
            RSS,
            "MB",
        );
        self.samples.push(first);
        Ok(())
    }

    /// Measures many syncs in one process.
    async fn together(&mut self, plan: &Plan) -> Result<()> {
        let mut bench = Bench::at(plan, plan.together_runs, 0).await?;
        let all = bench.together(plan.together).await?;
        let name = format!("peak RSS, {} syncs at once", plan.together);
        self.goal(name, megabytes(all.rss()), Wanted::AtMost(256.0), "MB");
        self.samples.push(all);
        Ok(())
    }

    fn goal(&mut self, name: impl Into<String>, measured: f64, wanted: Wanted, unit: &'static str) {
        self.goals.push(Goal::new(name, measured, wanted, unit));
    }

    fn print(&self) {
        let mut table = Samples::table();
        for samples in &self.samples {
            table.push(samples.row());
        }
        println!("{}\n{}", table.markdown(), goals::markdown(&self.goals));
    }
}
