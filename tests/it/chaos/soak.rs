//! Hours of faults in simulated time. There is a sync every few minutes, responses have any fault of the matrix,
//! callers disconnect, and the workspace changes. No existing row ever counts as deleted, and when the faults end the
//! destination equals the server's content.
//!
//! `SOAK_HOURS` sets the hours (default 8), `SOAK_SEEDS` the number of seeds, `SOAK_FIRST` the first seed: `make soak`.

use std::{
    collections::BTreeSet,
    env,
    sync::{Arc, Mutex},
};

use chrono::TimeDelta;
use fivetran_source::{
    fivetran::proto::{UpdateRequest, update_response::Operation},
    prefect::RetryPolicy,
};
use prefect_fake::{Auth, Collection, Options, Server, Store, hourly_activity};
use rand::{Rng, SeedableRng, rngs::SmallRng, seq::IndexedRandom};
use test_support::{Step, sync_until};
use tonic::Code;

use super::{
    faults::{self, Case, Way},
    proxy::{At, Fault, Plan, Proxy},
    world::{KEY, TABLES, World, population},
};
use crate::support::served::empty_destination;

/// The number of syncs in an hour.
const SYNCS: u32 = 12;
/// The shares of spoilt responses: mostly few, at times most of them.
const WEATHERS: [f64; 5] = [0.0, 0.02, 0.1, 0.3, 0.7];
/// Days between the final syncs, without changes: an edit may be found when its run is 30 days old.
const REST: [i64; 5] = [1, 2, 5, 10, 20];

/// The counts of a soak.
#[derive(Debug, Default)]
struct Tally {
    syncs: usize,
    ended_well: usize,
    unavailable: usize,
    tasks: usize,
    cut: usize,
    spoilt: usize,
    answers: usize,
}

struct Weather {
    rng: SmallRng,
    share: f64,
    spoilt: usize,
    answers: usize,
}

/// Returns a fault that spoils responses at random with any of these cases.
fn any_of(cases: Vec<Case>, weather: &Arc<Mutex<Weather>>) -> Fault {
    let weather = Arc::clone(weather);
    Fault::Answer(Arc::new(move |answer| {
        let mut weather = weather.lock().unwrap();
        weather.answers += 1;
        let share = weather.share;
        if share > 0.0 && weather.rng.random_bool(share) {
            let case = cases.choose(&mut weather.rng).unwrap();
            if let Fault::Answer(change) = &case.fault {
                weather.spoilt += 1;
                return change(answer);
            }
        }
        vec![Step::Send(answer.bytes())]
    }))
}

/// Returns the cases that spoil a response over plain HTTP and do not last until the client stops waiting.
fn cases() -> Vec<Case> {
    let mut cases = faults::all("http://127.0.0.1:9/elsewhere");
    cases.retain(|case| {
        case.way == Way::Http && !case.hangs && matches!(case.fault, Fault::Answer(_))
    });
    assert!(cases.len() > 50, "{}", cases.len());
    cases
}

fn ids(store: &Store, table: &str) -> BTreeSet<String> {
    match Collection::named(table).unwrap() {
        Collection::Flows => store.flows().map(|row| row.id.to_string()).collect(),
        Collection::FlowRuns => store.runs().map(|row| row.id.to_string()).collect(),
        Collection::Deployments => store.deployments().map(|row| row.id.to_string()).collect(),
    }
}

/// Runs one sync; the caller disconnects after `cut` operations.
async fn sync(world: &mut World, url: &str, cut: Option<usize>, tally: &mut Tally) {
    let request = UpdateRequest {
        configuration: World::configuration(url),
        selection: Some(crate::support::core_selection()),
        state_json: world.destination.state().map(str::to_owned),
    };
    tally.syncs += 1;
    let cut = cut.unwrap_or(usize::MAX);
    let (operations, end) = sync_until(&mut world.served.client, request, cut).await;
    let is_task = |operation: &Operation| matches!(operation, Operation::Task(_));
    match end {
        Ok(()) if operations.len() >= cut => tally.cut += 1,
        Ok(()) if operations.iter().any(is_task) => tally.tasks += 1,
        Ok(()) => tally.ended_well += 1,
        Err(status) => {
            // A gateway's 400, 405 or 411 ends with a status that requests a report.
            let is_expected = [Code::Unavailable, Code::Internal].contains(&status.code());
            assert!(is_expected, "{status}");
            assert!(!status.message().contains(KEY));
            assert!(!status.message().contains("panick"), "{status}");
            tally.unavailable += 1;
        }
    }
    world.destination.apply_operations(&operations);
    for table in TABLES {
        let there = world.prefect.with_store(|store| ids(store, table));
        let gone = world.destination.gone(table);
        let false_delete = gone.iter().find(|id| there.contains(**id));
        assert_eq!(false_delete, None, "{table} in sync {}", tally.syncs);
    }
}

async fn soak(hours: u32, seed: u64) -> Tally {
    let mut world = World::start(RetryPolicy::SYNC).await;
    let clock = world.clock.clone();
    world.prefect = Server::start(Options {
        auth: Auth::Bearer(KEY.to_owned()),
        clock: Some(clock.clone()),
        ..Options::new(population())
    })
    .await
    .unwrap();
    let weather = Arc::new(Mutex::new(Weather {
        rng: SmallRng::seed_from_u64(seed),
        share: 0.0,
        spoilt: 0,
        answers: 0,
    }));
    let plan = Plan {
        fault: any_of(cases(), &weather),
        at: At::First,
        forever: true,
        first: None,
    };
    let direct = world.prefect.url();
    let proxy = Arc::new(Proxy::start(&direct, None, plan));
    world.notify_when_waiting(&proxy);
    let url = format!("http://{}/api", proxy.address());

    let mut tally = Tally::default();
    let mut rng = SmallRng::seed_from_u64(!seed);
    for hour in 0..hours {
        weather.lock().unwrap().share = *WEATHERS.choose(&mut rng).unwrap();
        for at in 0..SYNCS {
            // The changes of an hour happen between two syncs.
            world.prefect.with_store(|store| {
                let now = store.now();
                hourly_activity::simulate_hour(store, hour * SYNCS + at);
                store.set_now(now);
            });
            clock.advance(TimeDelta::minutes(60 / i64::from(SYNCS)));
            let cut = rng.random_bool(0.2).then(|| rng.random_range(1..6));
            sync(&mut world, &url, cut, &mut tally).await;
        }
    }

    // The faults end, and the source no longer changes.
    let spoilt = {
        let mut weather = weather.lock().unwrap();
        weather.share = 0.0;
        (weather.spoilt, weather.answers)
    };
    (tally.spoilt, tally.answers) = spoilt;
    let before = tally.ended_well;
    for days in REST {
        clock.advance(TimeDelta::days(days));
        sync(&mut world, &url, None, &mut tally).await;
    }
    assert_eq!(tally.ended_well - before, REST.len());
    let there = std::mem::replace(&mut world.destination, empty_destination());
    sync(&mut world, &direct, None, &mut tally).await;
    for table in TABLES {
        assert_eq!(there.differences(&world.destination, table), [], "{table}");
    }
    tally
}

fn number<T: std::str::FromStr>(name: &str, without: T) -> T {
    let reported = env::var(name).ok().and_then(|text| text.parse().ok());
    reported.unwrap_or(without)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_syncs_with_random_faults_end_with_an_equal_warehouse() {
    let hours = number("SOAK_HOURS", 8);
    let first = number("SOAK_FIRST", 1);
    for seed in first..first + number("SOAK_SEEDS", 2) {
        // Printed before the soak, so that a failure shows its seed.
        println!("seed {seed}, {hours} h");
        let tally = soak(hours, seed).await;
        println!("{tally:?}");
        assert!(tally.spoilt * 100 > tally.answers, "{tally:?}");
    }
}
