//! The simulation: the whole sync engine against a random workspace, in simulated time, from a seed.
//!
//! | file | content |
//! |---|---|
//! | `world`, `source_changes`, `maintenance` | a workspace and its changes |
//! | `journal` | every version of every object, and the time from which others could see it |
//! | `api` | the server that the connector calls, with failures and changes between requests |
//! | `warehouse` | Fivetran in memory |
//! | `harness` | one connection: engine, workspace and warehouse together |
//! | `selection` | a user who deselects tables and columns, and selects them again |
//! | `rewind` | a user who rewinds a table to a time |
//! | `checker`, `protocol`, `windows` | the checks after each sync, of each operation, of each cursor |
//! | `catalogue` | a second simulation, of all tables under every change of settings, servers and responses |
//! | `sockets` | the same over HTTP, for each release and Prefect Cloud |
//! | `named_histories`, `idempotence` | histories written by hand; rows that must be sent only once |
//! | `unusual_values`, `sweep` | changes outside the workspace, such as a new address; a cut after every single operation |
//!
//! `SIM_SEEDS=n` runs n histories (300 without it), from seed `SIM_FIRST` on; `SIM_SEED=n` runs that seed only. The run
//! ends after `SIM_FAILURES` failures (10 without it). `SIM_STABLE_TIES=1` gives equal rows a fixed order, to
//! distinguish faults of pagination from others.

mod api;
mod catalogue;
mod checker;
mod idempotence;
mod journal;
mod maintenance;
mod named_histories;
mod protocol;
mod rewind;
mod selection;
mod simulation_harness;
mod sockets;
mod source_changes;
mod sweep;
mod unusual_values;
mod warehouse;
mod windows;
mod world;

use std::{
    env, fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use chrono::TimeDelta;
use rand::{Rng, SeedableRng, rngs::SmallRng};

use self::{
    checker::Violation,
    simulation_harness::SimulationHarness,
    world::{Nature, World},
};

/// The number of lines shown from the end of a failed history.
const TAIL: usize = 25;
/// The number of lines shown about the object concerned, and about the syncs.
const ABOUT: usize = 40;
/// The number of characters shown of a line.
const WIDTH: usize = 200;

/// The totals of the histories. A simulation in which nothing happens proves nothing.
#[derive(Debug, Default, Clone, Copy)]
struct Tally {
    syncs: u64,
    complete: u64,
    /// The number of syncs whose caller disconnected.
    cut: u64,
    upserts: u64,
    again: u64,
    deletes: u64,
    requests: u64,
    changes: u64,
}

#[test]
fn random_histories_keep_the_promise() {
    let number = |name: &str| env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    if let Some(seed) = number("SIM_SEED") {
        let tally = live(seed).unwrap_or_else(|report| panic!("{report}"));
        println!("seed {seed}: {tally:?}");
        return;
    }
    let first = number("SIM_FIRST").unwrap_or(0);
    let seeds = number("SIM_SEEDS").unwrap_or(300);
    let most = number("SIM_FAILURES").unwrap_or(10);
    let next = AtomicU64::new(first);
    let failures: Mutex<Vec<(u64, String)>> = Mutex::default();
    let total: Mutex<Tally> = Mutex::default();
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= first + seeds || failures.lock().unwrap().len() as u64 >= most {
                return;
            }
            match live(seed) {
                Ok(tally) => total.lock().unwrap().add(&tally),
                Err(report) => failures.lock().unwrap().push((seed, report)),
            }
        }
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    let mut failures = failures.into_inner().unwrap();
    failures.sort_unstable();
    let total = total.into_inner().unwrap();
    println!("{seeds} seeds: {total:?}");
    if let Some((_, report)) = failures.first() {
        let all: Vec<String> = failures
            .iter()
            .map(|(seed, report)| format!("{seed}: {}", report.lines().next().unwrap_or_default()))
            .collect();
        panic!("{report}\n--- failing seeds\n{}", all.join("\n"));
    }
    // A few histories may lack something.
    assert!(seeds < 20 || total.has_everything(), "{total:?}");
}

/// Runs the histories that once found a fault.
///
/// | seed | fault |
/// |---|---|
/// | 500181, 500231, 500342, 500510 | an open run sent twice, after a page of open runs that was requested again |
/// | 1051, 3606, 4794, 5275, 9612 | runs that ended after an interrupted sync, sent only by the sync after the next |
/// | 71582 | a run that changed to and from a terminal state between two listings of a sync, sent days later |
#[test]
fn histories_that_once_failed_keep_the_promise() {
    for seed in [
        1051, 3606, 4794, 5275, 9612, 71_582, 500_181, 500_231, 500_342, 500_510,
    ] {
        live(seed).unwrap_or_else(|report| panic!("{report}"));
    }
}

impl Tally {
    fn add(&mut self, other: &Self) {
        self.syncs += other.syncs;
        self.complete += other.complete;
        self.cut += other.cut;
        self.upserts += other.upserts;
        self.again += other.again;
        self.deletes += other.deletes;
        self.requests += other.requests;
        self.changes += other.changes;
    }

    /// Returns true if the histories had everything that the tally counts.
    fn has_everything(&self) -> bool {
        let Self {
            syncs,
            complete,
            cut,
            upserts,
            again,
            deletes,
            requests,
            changes,
        } = *self;
        let failed = syncs - complete - cut;
        [
            complete, cut, failed, upserts, again, deletes, requests, changes,
        ]
        .iter()
        .all(|count| *count > 0)
    }
}

/// Runs the history of one seed. Returns a report if it fails.
fn live(seed: u64) -> Result<Tally, String> {
    let attempt = |is_logged| {
        let mut story = Vec::new();
        let result = catch_unwind(AssertUnwindSafe(|| {
            block_on(history(seed, is_logged, &mut story))
        }));
        let result = result.unwrap_or_else(|_| Err(Violation::new("a panic, see above")));
        (result, story)
    };
    attempt(false).0.map_err(|_| {
        // Run the seed again and log every step.
        let (again, story) = attempt(true);
        match again {
            Ok(_) => {
                format!("seed {seed} fails, but not twice: the simulation is not deterministic")
            }
            Err(violation) => report(&violation, &story, &seed.to_string(), &repeat(seed)),
        }
    })
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime")
        .block_on(future)
}

fn repeat(seed: u64) -> String {
    format!(
        "SIM_SEED={seed} cargo test --profile local --features local --test it sim::random -- --nocapture"
    )
}

/// Writes the log of a history to a file with this name.
fn write_story(name: &str, story: &[String]) -> PathBuf {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("sim-{name}.txt"));
    fs::write(&file, story.join("\n")).expect("the story is written down");
    file
}

/// Formats a failure for reading, and writes the complete log to a file.
fn report(violation: &Violation, story: &[String], name: &str, repeat: &str) -> String {
    let file = write_story(name, story);
    let mut parts = vec![
        violation.what.clone(),
        format!("repeat with: {repeat}"),
        format!("the whole story: {}", file.display()),
    ];
    let mut show = |title: &str, lines: Vec<&String>, most: usize| {
        parts.push(format!("--- {title}"));
        let last = &lines[lines.len().saturating_sub(most)..];
        parts.extend(last.iter().map(|line| line.chars().take(WIDTH).collect()));
    };
    if let Some((_, id)) = &violation.key {
        let is_about = |line: &&String| line.contains(id.as_str()) && !line.contains("/filter");
        show(
            "what happened to it",
            story.iter().filter(is_about).collect(),
            ABOUT,
        );
    }
    let is_sync = |line: &&String| line.contains("== ");
    show("the syncs", story.iter().filter(is_sync).collect(), ABOUT);
    show("the end", story.iter().collect(), TAIL);
    parts.join("\n")
}

/// Runs a random history of a connection.
async fn history(seed: u64, is_logged: bool, story: &mut Vec<String>) -> Result<Tally, Violation> {
    let mut rng = SmallRng::seed_from_u64(seed ^ 0x5eed);
    let nature = Nature::random(&mut rng);
    let mut harness = SimulationHarness::new(nature, seed, is_logged);
    let result = continue_history(&mut harness, &mut rng).await;
    story.extend(harness.world().story.take().unwrap_or_default());
    result
}

async fn continue_history(
    harness: &mut SimulationHarness,
    rng: &mut SmallRng,
) -> Result<Tally, Violation> {
    let cuts = if rng.random_bool(0.4) {
        rng.random_range(0.0..0.5)
    } else {
        0.0
    };
    // The share of syncs after which the user selects or deselects a table or column.
    let choosy = if rng.random_bool(0.3) { 0.3 } else { 0.0 };
    for _ in 0..if choosy > 0.0 {
        rng.random_range(0..4)
    } else {
        0
    } {
        harness.choose_otherwise(rng);
    }
    let nature = harness.world().nature.clone();
    harness.world().log(|| format!("{nature:?}"));
    harness.world().grow_up();
    let mut tally = Tally::default();
    for _ in 0..rng.random_range(4..16) {
        let cut = if rng.random_bool(cuts) {
            rng.random_range(0..60)
        } else {
            usize::MAX
        };
        let synced = harness.sync_until(cut).await?;
        tally.syncs += 1;
        tally.complete += u64::from(synced.complete);
        tally.cut += u64::from(!synced.complete && synced.ops == cut);
        tally.upserts += u64::from(synced.upserts);
        tally.again += u64::from(synced.again);
        tally.deletes += u64::from(synced.deletes);
        tally.requests += u64::from(synced.requests);
        let interval = match rng.random_range(0..10) {
            0..=3 => TimeDelta::minutes(rng.random_range(5..30)),
            4..=7 => TimeDelta::minutes(rng.random_range(30..600)),
            8 => TimeDelta::hours(rng.random_range(10..60)),
            _ => TimeDelta::hours(rng.random_range(48..300)),
        };
        harness.world().pass(interval);
        if rng.random_bool(choosy) {
            harness.choose_otherwise(rng);
        }
    }
    harness.settle().await?;
    tally.changes = harness.world().journal.clock;
    Ok(tally)
}

/// Runs a history written by hand, and panics with a report if it fails.
fn run_history(
    name: &str,
    nature: Nature,
    history: impl AsyncFnOnce(&mut SimulationHarness) -> Result<(), Violation>,
) {
    let mut harness = SimulationHarness::new(nature, 1, true);
    if let Err(violation) = block_on(history(&mut harness)) {
        let story = harness.world().story.take().unwrap_or_default();
        panic!(
            "{}",
            report(&violation, &story, name, "this test by its name")
        );
    }
}

/// Advances the clock without any change in the workspace.
fn advance_clock(world: &mut World, time: TimeDelta) {
    let later = world.store.now() + time;
    world.reach(later);
}
