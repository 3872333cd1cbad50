//! Faults of the network, the server, a row or the caller. A sync survives each of them, or ends with an error that
//! says what to do, after a checkpoint from which the next sync completes the destination.
//!
//! | module | what it is |
//! |---|---|
//! | [`proxy`] | a proxy between connector and server that causes one fault at a known request |
//! | [`tls`] | certificates |
//! | [`faults`], [`answers`] | tables of the faults of connections and responses |
//! | [`world`], [`run`] | one run of a case, and its checks |
//! | [`rows`] | objects that no Prefect server should send |
//! | [`requests`] | invalid requests of the platform |
//! | [`matrix`] | the outcomes as `docs/RELIABILITY.md` |
//! | [`soak`] | hours of all faults together |

mod answers;
mod faults;
mod matrix;
mod proxy;
mod requests;
mod rows;
mod run;
mod soak;
mod tls;
mod world;

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use futures::{StreamExt as _, stream};
use test_support::Destination;
use tokio::{net::TcpListener, task::JoinSet};

use self::{
    faults::Case,
    matrix::Row,
    proxy::At,
    run::{FaultOutcome, Setting, run},
    world::TABLES,
};

/// The number of concurrent runs.
const AT_ONCE: usize = 12;

/// The end of a sync.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Ends {
    /// The sync succeeds, and the destination equals the server's content.
    Survives,
    /// The sync succeeds, and a warning says what is missing.
    Warned,
    /// The sync succeeds, and no client could detect that something is missing. The next sync sends it.
    Believed,
    /// The sync ends with a gRPC status after which it is tried again.
    Unavailable,
    /// The sync ends with a task for the user.
    Task,
    /// The sync ends with a status that requests a report.
    Internal,
    /// The request is rejected, and nothing is read.
    InvalidArgument,
}

/// The combinations of frequency and place of a fault.
const WAYS: [(bool, At); 6] = [
    (false, At::First),
    (false, At::Middle),
    (false, At::Second),
    (true, At::First),
    (true, At::Middle),
    (true, At::Second),
];

/// Runs each case with a single fault and with a lasting one, at each place.
async fn run_all(
    cases: &[Arc<Case>],
    want: &Arc<Destination>,
    wrong: &mut Vec<String>,
) -> Vec<Row> {
    let by_case = run_in_ways(cases, &WAYS, want, wrong).await;
    let by_case = by_case.into_iter();
    by_case
        .map(|(number, outcomes)| Row::from_outcomes(&cases[number], &outcomes))
        .collect()
}

/// Runs each case in some ways: with a lasting fault or a single one, and at a place. Returns the outcomes by case.
async fn run_in_ways(
    cases: &[Arc<Case>],
    ways: &[(bool, At)],
    want: &Arc<Destination>,
    wrong: &mut Vec<String>,
) -> BTreeMap<usize, Vec<FaultOutcome>> {
    let only = std::env::var("CHAOS").unwrap_or_default();
    let runs = cases
        .iter()
        .enumerate()
        .filter(|(_, case)| case.name.contains(&only))
        .flat_map(|(number, case)| {
            ways.iter().map(move |&(forever, at)| {
                let setting = Setting {
                    at,
                    forever,
                    first: None,
                };
                (number, Arc::clone(case), setting)
            })
        })
        .map(|(number, case, setting)| {
            let want = Arc::clone(want);
            async move {
                let outcome = tokio::spawn(run(case, setting, want)).await;
                let outcome = outcome.unwrap_or_else(|error| Err(error.to_string()));
                (number, setting, outcome)
            }
        });
    let outcomes: Vec<_> = stream::iter(runs).buffered(AT_ONCE).collect().await;
    let mut by_case: BTreeMap<usize, Vec<FaultOutcome>> = BTreeMap::new();
    for (number, setting, outcome) in outcomes {
        if let Some(outcome) = judge(&cases[number], setting, outcome, wrong) {
            by_case.entry(number).or_default().push(outcome);
        }
    }
    by_case
}

/// Compares an outcome with the one that the case expects.
fn judge(
    case: &Case,
    setting: Setting,
    outcome: Result<FaultOutcome, String>,
    wrong: &mut Vec<String>,
) -> Option<FaultOutcome> {
    let Setting { at, forever, .. } = setting;
    let how = if forever { "for ever" } else { "once" };
    let which = format!("{}: {}, {how}, {at:?}", case.group, case.name);
    let expected = if forever { case.forever } else { case.once };
    let expected = expected[at as usize];
    match outcome {
        Ok(outcome) => {
            if outcome.ends != expected {
                wrong.push(format!(
                    "{which}: {:?}, not {expected:?}: {:?}",
                    outcome.ends, outcome.reported
                ));
            }
            Some(outcome)
        }
        Err(why) => {
            wrong.push(format!("{which}: {why}"));
            None
        }
    }
}

/// The target of redirects; counts connections and never responds.
struct Canary {
    url: String,
    visits: Arc<AtomicUsize>,
    _task: JoinSet<()>,
}

impl Canary {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let visits = Arc::new(AtomicUsize::new(0));
        let mut task = JoinSet::new();
        let counted = Arc::clone(&visits);
        task.spawn(async move {
            while listener.accept().await.is_ok() {
                counted.fetch_add(1, Ordering::Relaxed);
            }
        });
        Self {
            url,
            visits,
            _task: task,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_fault_matrix_is_as_documented() {
    let canary = Canary::start().await;
    let url = canary.url.clone();
    let cases: Vec<Arc<Case>> = faults::all(&url).into_iter().map(Arc::new).collect();
    let mut wrong = Vec::new();
    let want = Arc::new(world::reference().await);
    let mut rows = run_all(&cases, &want, &mut wrong).await;
    rows.extend(rows::run_all(&want, &mut wrong).await);
    rows.extend(requests::run_all(&want, &mut wrong).await);
    if canary.visits.load(Ordering::Relaxed) > 0 {
        wrong.push("a redirect was followed".to_owned());
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    if std::env::var("CHAOS").is_err() {
        matrix::compare(&matrix::document(&rows));
    }
}

/// Tables are read concurrently. The table that is requested first depends on the machine and must not matter.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_result_does_not_depend_on_the_table_requested_first() {
    let want = Arc::new(world::reference().await);
    let mut wrong = Vec::new();
    for case in answers::statuses().into_iter().map(Arc::new) {
        if !["401", "403", "404", "422", "503"].contains(&case.name) {
            continue;
        }
        for first in TABLES {
            for (forever, at) in WAYS.into_iter().filter(|(_, at)| *at != At::Middle) {
                let setting = Setting {
                    at,
                    forever,
                    first: Some(first),
                };
                let outcome = run(Arc::clone(&case), setting, Arc::clone(&want)).await;
                let before = wrong.len();
                judge(&case, setting, outcome, &mut wrong);
                for text in &mut wrong[before..] {
                    *text = format!("{first} first: {text}");
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The behaviour of a cache or of a replica that lags, once. (A server that always reports an empty workspace cannot be
/// distinguished from one that was emptied.)
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_response_without_existing_objects_loses_nothing() {
    let cases: Vec<Arc<Case>> = answers::incomplete_responses()
        .into_iter()
        .map(Arc::new)
        .collect();
    let want = Arc::new(world::reference().await);
    let mut wrong = Vec::new();
    let once: Vec<(bool, At)> = WAYS.into_iter().filter(|(forever, _)| !forever).collect();
    run_in_ways(&cases, &once, &want, &mut wrong).await;
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
