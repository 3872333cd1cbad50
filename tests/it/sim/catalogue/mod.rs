//! The simulation of the whole catalogue: all tables, every strategy, every release, under every change of settings.
//!
//! | file | content |
//! |---|---|
//! | `world`, `life`, `things` | a workspace with everything that Prefect lists, and its changes |
//! | `server` | the server that the connector calls, with faults and changes between requests |
//! | `settings` | the tables and options that the user selects, and their changes |
//! | `disturbances` | what is not ordinary: restored backups, upgrades, clocks, altered responses, older states |
//! | `connection`, `bounds` | engine, workspace and warehouse together; checks of each operation; requests per sync |
//! | `source`, `oracle` | the rows of the source; the guarantee of docs/SYNC.md, checked once nothing changes |
//! | `coverage` | the events that happened, by strategy |
//! | `golden` | states that earlier builds saved |
//! | `digest` | a number for everything that a history did, to compare two builds |
//!
//! The other simulation, a folder up, knows to the minute when each change of flows, deployments and flow runs is due.
//! This one does not check due times, but covers everything else: when the source has stopped changing, the warehouse
//! equals it.
//!
//! `SIM_SEEDS`, `SIM_FIRST`, `SIM_SEED` and `SIM_FAILURES` are those of the other simulation. `SIM_WITH=Filter,Upgrade`
//! applies these disturbances and no others to every history, also known failures. `SIM_DIGESTS=FILE` writes the digest
//! of each history, to compare two builds; see `digest`.

mod bounds;
mod connection;
mod coverage;
mod digest;
mod disturbances;
mod golden;
mod life;
mod oracle;
mod server;
mod settings;
mod source;
mod things;
mod world;

use std::{
    env,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Instant,
};

use chrono::TimeDelta;
use rand::{Rng, SeedableRng, rngs::SmallRng, seq::IndexedRandom};

use self::{
    connection::{Connection, Ending},
    coverage::{Coverage, Event},
    digest::Digests,
    disturbances::Disturbance,
    settings::{Changed, Settings},
    world::Kind,
};
use super::{block_on, checker::Violation, report, write_story};

/// The disturbances that the connector does not handle yet, with the reason. Random histories do not contain them.
const KNOWN_FAILURES: &[(Disturbance, &str)] = &[
    (
        Disturbance::ShortPage,
        "a page shorter than the limit ends a listing: runs and lines that it leaves out are new, and nothing tells of them",
    ),
    (
        Disturbance::LateDuringSyncs,
        "late events, lines and heartbeats shift what is listed by offset while it is read",
    ),
];

/// The number of seeds in which every event happens, except a deselected column of each strategy.
const ENOUGH: u64 = 200;

/// The number of seeds in which a column of each strategy is deselected, too.
const MANY: u64 = 2_000;

#[test]
fn random_histories_of_the_whole_catalogue_end_with_an_equal_warehouse() {
    let number = |name: &str| env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    if let Some(seed) = number("SIM_SEED") {
        if digest::file().is_some() {
            let file = write_story(
                &format!("catalogue-{seed}"),
                &run_history(seed, None, true).1,
            );
            println!("the story: {}", file.display());
        }
        let (coverage, _) = live(seed).unwrap_or_else(|report| panic!("{report}"));
        println!("seed {seed}: {}", coverage.table());
        return;
    }
    let first = number("SIM_FIRST").unwrap_or(0);
    let seeds = number("SIM_SEEDS").unwrap_or(300);
    let most = number("SIM_FAILURES").unwrap_or(10);
    let next = AtomicU64::new(first);
    let failures: Mutex<Vec<(u64, String)>> = Mutex::default();
    let total: Mutex<Coverage> = Mutex::default();
    let digests: Mutex<Digests> = Mutex::default();
    let started = Instant::now();
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= first + seeds || failures.lock().unwrap().len() as u64 >= most {
                return;
            }
            match live(seed) {
                Ok((coverage, digest)) => {
                    total.lock().unwrap().add(&coverage);
                    digests.lock().unwrap().extend(digest.map(|it| (seed, it)));
                }
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
    let coverage = total.into_inner().unwrap();
    if let Some(file) = digest::file() {
        digest::write(&file, &digests.into_inner().unwrap());
    }
    let minutes = started.elapsed().as_secs_f64() / 60.0;
    let lived = next.into_inner().min(first + seeds) - first;
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    let pace = lived as f64 / minutes;
    println!("{lived} seeds, {pace:.0} a minute\n{}", coverage.table());
    if let Some((_, report)) = failures.first() {
        let all: Vec<String> = failures
            .iter()
            .map(|(seed, report)| format!("{seed}: {}", report.lines().next().unwrap_or_default()))
            .collect();
        panic!("{report}\n--- failing seeds\n{}", all.join("\n"));
    }
    if seeds >= ENOUGH && env::var("SIM_WITH").is_err() {
        let mut events = vec![
            Event::Cut,
            Event::Failed,
            Event::PageSizeChanged,
            Event::ChangedUnfinished,
        ];
        let mut usual = usual_disturbances();
        // Most nested tables have few columns that can be deselected.
        usual.retain(|it| *it != Disturbance::Columns || seeds >= MANY);
        events.extend(usual.iter().flat_map(|disturbance| disturbance.events()));
        let missing = coverage.missing(&events);
        assert!(missing.is_empty(), "never happened: {missing:?}");
    }
}

/// Runs the history that once lost the rest of an interrupted window of log lines: the first page of the sync that
/// continued it was empty by mistake.
#[test]
fn a_history_that_once_lost_log_lines_ends_with_an_equal_warehouse() {
    live(21_310).unwrap_or_else(|report| panic!("{report}"));
}

/// Runs the history that once lost the states of a run from before the server had events: the server's clock stepped
/// back before the upgrade, and the rewound state no longer recorded that the server had no events.
#[test]
fn a_history_that_once_lost_states_from_before_the_first_event_ends_with_an_equal_warehouse() {
    live(22_680).unwrap_or_else(|report| panic!("{report}"));
}

/// Runs the history that once lost the start of a task run that had been open for a week. It started on Prefect 3.0,
/// which lists such runs once a day, and the server became Prefect 2.20 before the next listing.
#[test]
fn a_history_that_once_lost_an_old_open_run_ends_with_an_equal_warehouse() {
    let with = [Disturbance::Columns, Disturbance::Upgrade];
    live_with(3_243, Some(&with)).unwrap_or_else(|report| panic!("{report}"));
}

/// Runs the history that once sent an unchanged flow with each sync: it was beside a gap, and had been edited since it
/// was first known there.
#[test]
fn a_history_that_once_repeated_a_row_beside_a_gap_sends_it_once() {
    let with = [Disturbance::Start, Disturbance::Unreadable];
    live_with(30_017, Some(&with)).unwrap_or_else(|report| panic!("{report}"));
}

/// Returns every disturbance that the connector handles.
fn usual_disturbances() -> Vec<Disturbance> {
    let is_known =
        |disturbance: &Disturbance| KNOWN_FAILURES.iter().any(|(known, _)| known == disturbance);
    let all = disturbances::ALL.into_iter();
    all.filter(|disturbance| !is_known(disturbance)).collect()
}

/// Returns the disturbances that `SIM_WITH` names, if it is set.
fn named_disturbances() -> Option<Vec<Disturbance>> {
    let names = env::var("SIM_WITH").ok()?;
    let is_named = |it: &Disturbance| names.split(',').any(|name| name == format!("{it:?}"));
    let all = disturbances::ALL.into_iter();
    Some(all.filter(is_named).collect())
}

/// Draws the disturbances of one history: few, so that a failure shows its cause.
fn draw_disturbances(rng: &mut SmallRng) -> Vec<Disturbance> {
    let usual = usual_disturbances();
    let many = rng.random_range(0..4);
    (0..many)
        .filter_map(|_| usual.choose(rng).copied())
        .collect()
}

/// Runs the history of one seed. Returns its coverage, and its digest if that is wanted, or a report of a failure.
fn live(seed: u64) -> Result<(Coverage, Option<u64>), String> {
    live_with(seed, named_disturbances().as_deref())
}

/// Runs the history of one seed as [`live`] does; `with` replaces the disturbances that are drawn.
fn live_with(seed: u64, with: Option<&[Disturbance]>) -> Result<(Coverage, Option<u64>), String> {
    let with_digest = digest::file().is_some();
    let (result, story) = run_history(seed, with, with_digest);
    let digest = with_digest.then(|| digest::compute(&story));
    result.map(|coverage| (coverage, digest)).map_err(|first| {
        // Run the seed again and log every step.
        let (again, story) = run_history(seed, with, true);
        match again {
            Err(again) if again.what == first.what => {
                let name = format!("catalogue-{seed}");
                report(&again, &story, &name, &repeat(seed, with))
            }
            _ => format!(
                "{} (seed {seed}, but not twice: the simulation is not deterministic)",
                first.what
            ),
        }
    })
}

/// Runs the history of one seed, and returns its log if it is recorded.
fn run_history(
    seed: u64,
    with: Option<&[Disturbance]>,
    is_logged: bool,
) -> (Result<Coverage, Violation>, Vec<String>) {
    let mut story = Vec::new();
    let result = catch_unwind(AssertUnwindSafe(|| {
        block_on(history(seed, with, is_logged, &mut story))
    }));
    let result = result.unwrap_or_else(|_| Err(Violation::new("a panic, see above")));
    (result, story)
}

fn repeat(seed: u64, with: Option<&[Disturbance]>) -> String {
    let with = with.map_or_else(String::new, |with| {
        let names: Vec<String> = with.iter().map(|it| format!("{it:?}")).collect();
        format!("SIM_WITH={} ", names.join(","))
    });
    format!(
        "{with}SIM_SEED={seed} cargo test --profile local --features local --test it sim::catalogue::random -- --nocapture"
    )
}

/// Runs a random history of a connection.
async fn history(
    seed: u64,
    with: Option<&[Disturbance]>,
    is_logged: bool,
    story: &mut Vec<String>,
) -> Result<Coverage, Violation> {
    let mut rng = SmallRng::seed_from_u64(seed ^ 0xca7a_1069);
    let kind = Kind::random(&mut rng);
    let settings = Settings::random(&mut rng);
    let mut connection = Connection::new(kind, settings, seed, is_logged);
    let result = continue_history(&mut connection, with, &mut rng).await;
    story.extend(connection.world().story.take().unwrap_or_default());
    result.map(|()| connection.coverage)
}

async fn continue_history(
    connection: &mut Connection,
    with: Option<&[Disturbance]>,
    rng: &mut SmallRng,
) -> Result<(), Violation> {
    let disturbances = with.map_or_else(|| draw_disturbances(rng), <[_]>::to_vec);
    let cuts = if rng.random_bool(0.6) {
        rng.random_range(0.0..0.7)
    } else {
        0.0
    };
    {
        let mut world = connection.world();
        let kind = format!("{:?}, {disturbances:?}", world.kind);
        world.late_during_syncs = disturbances.contains(&Disturbance::LateDuringSyncs);
        world.ties = disturbances.contains(&Disturbance::Ties);
        if disturbances.contains(&Disturbance::Unreadable) {
            // Otherwise the connector cannot detect that a page which is read in parts has moved.
            world
                .store
                .reconfigure(|settings| settings.ties = prefect_fake::Ties::Stable);
        }
        world.log(|| kind);
        world.grow_up();
    }
    if disturbances.contains(&Disturbance::Start) && rng.random_bool(0.5) {
        let days = TimeDelta::days(*[1, 3, 10, 25].choose(rng).expect("some"));
        let now = connection.world().store.now();
        connection.settings.start = Some(now - days);
    }
    for _ in 0..rng.random_range(3..9) {
        let often = if connection.is_unfinished() { 0.9 } else { 0.7 };
        if rng.random_bool(often) {
            connection.disturb(&disturbances, rng);
        }
        sync(connection, draw_ending(cuts, rng)).await?;
        connection.world().trouble = None;
        let interval = match rng.random_range(0..10) {
            0..=3 => TimeDelta::minutes(rng.random_range(2..30)),
            4..=7 => TimeDelta::minutes(rng.random_range(30..600)),
            8 => TimeDelta::hours(rng.random_range(10..44)),
            _ => TimeDelta::hours(rng.random_range(48..200)),
        };
        let changes = match rng.random_range(0..4) {
            0 => 0,
            1 | 2 => rng.random_range(1..8),
            _ => rng.random_range(8..30),
        };
        connection.world().live_through(interval, changes);
    }
    let widens = disturbances.contains(&Disturbance::Tables) && rng.random_bool(0.5);
    settle(connection, widens).await
}

fn draw_ending(cuts: f64, rng: &mut SmallRng) -> Ending {
    if !rng.random_bool(cuts) {
        return Ending::Complete;
    }
    // Each order of magnitude is equally likely.
    let at = 2_u32.pow(rng.random_range(0..9));
    let at = rng.random_range(at..=2 * at);
    if rng.random_bool(0.6) {
        Ending::Cut(at as usize)
    } else {
        Ending::Fails(at)
    }
}

async fn sync(
    connection: &mut Connection,
    ending: Ending,
) -> Result<connection::Synced, Violation> {
    let synced = connection.sync(ending).await?;
    connection.coverage.syncs += 1;
    connection.coverage.requests += u64::from(synced.requests);
    connection.coverage.upserts += synced.upserts;
    connection.coverage.deletes += synced.deletes;
    Ok(synced)
}

/// Checks a source that has stopped changing. After several syncs with time between them, the warehouse equals the
/// source, and a last sync sends no row.
async fn settle(connection: &mut Connection, widens: bool) -> Result<(), Violation> {
    connection.calm_down();
    if widens {
        connection.settings.widen();
        connection.changed(Changed::Start);
    }
    // Edits of every age become due, and each of the first pauses is shorter than two days.
    for hours in [1, 12, 30, 24 * 5, 24 * 20, 24 * 60, 24 * 90, 24] {
        let later = connection.world().store.now() + TimeDelta::hours(hours);
        connection.world().reach(later);
        let synced = sync(connection, Ending::Complete).await?;
        if !synced.complete {
            return Err(Violation::new("a sync of a source at rest is not complete"));
        }
    }
    oracle::check(connection)?;
    let quiet = sync(connection, Ending::Complete).await?;
    if quiet.upserts + quiet.deletes > 0 {
        return Err(Violation::new("a quiet source has something to say"));
    }
    Ok(())
}
