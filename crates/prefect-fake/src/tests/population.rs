use std::collections::{BTreeMap, HashSet};

use serde_json::{Value, json};

use super::{filled, list};
use crate::{
    id::Id,
    model::{StateType, Time},
    population::{Population, fixed_now},
    query,
    schema::Collection,
    store::{Settings, Ties},
};

#[test]
fn the_same_seed_makes_the_same_workspace_and_another_seed_another() {
    let read = |seed| {
        let mut store = filled(&Population::small(seed, fixed_now()), Settings::default());
        Collection::ALL.map(|of| query::list(&mut store, of, &json!({ "sort": null })).unwrap())
    };
    assert_eq!(read(5), read(5));
    assert_ne!(read(5)[1], read(6)[1]);
}

#[test]
fn the_population_has_every_kind_of_run_and_is_consistent() {
    let store = filled(
        &Population {
            open_share: 0.2,
            ..Population::small(9, fixed_now())
        },
        Settings::default(),
    );
    assert_eq!([20, 2_000, 30], Collection::ALL.map(|of| store.len(of)));
    let mut kinds: HashSet<StateType> = HashSet::new();
    let mut keys: HashSet<(Id, &str)> = HashSet::new();
    let mut due: BTreeMap<Time, usize> = BTreeMap::new();
    for run in store.runs() {
        kinds.insert(run.state.kind);
        *due.entry(run.expected_start_time).or_default() += 1;
        assert!(store.flow(run.flow_id).is_some());
        assert!(
            run.idempotency_key
                .as_deref()
                .is_none_or(|key| keys.insert((run.flow_id, key))),
            "{run:?}"
        );
        assert_eq!(
            run.end_time.is_some(),
            run.state.kind.is_terminal(),
            "{run:?}"
        );
        assert!(
            run.start_time
                .is_none_or(|start| run.end_time.is_none_or(|end| start <= end)),
            "{run:?}"
        );
        assert_eq!(
            run.next_scheduled_start_time.is_some(),
            run.state.kind == StateType::Scheduled
        );
        let moments = [
            Some(run.created),
            Some(run.updated),
            run.start_time,
            run.end_time,
        ];
        assert!(
            moments
                .into_iter()
                .flatten()
                .all(|time| time <= store.now()),
            "{run:?}"
        );
    }
    assert_eq!(kinds.len(), 9);
    assert!(
        due.values().any(|count| *count >= 5),
        "midnights are shared"
    );
    assert!(store.runs().any(|run| run.parent_task_run_id.is_some()));
    assert!(
        store
            .runs()
            .any(|run| run.expected_start_time > store.now())
    );
    assert!(
        store
            .runs()
            .any(|run| run.run_count > 1 && run.retries.is_some())
    );
    assert!(
        store.deployments().any(|d| d.paused) && store.deployments().any(|d| d.schedules.len() > 1)
    );
}

#[test]
fn ties_are_shuffled_for_each_request_unless_they_are_stable() {
    let body = json!({ "sort": "EXPECTED_START_TIME_ASC", "limit": 200 });
    for (ties, same) in [(Ties::Shuffled, false), (Ties::Stable, true)] {
        let mut store = filled(
            &Population::small(2, fixed_now()),
            Settings {
                ties,
                ..Settings::default()
            },
        );
        let (first, second) = (list(&mut store, &body), list(&mut store, &body));
        assert_eq!(first == second, same);
        let dues = |rows: &[Value]| {
            rows.iter()
                .map(|row| row["expected_start_time"].clone())
                .collect::<Vec<_>>()
        };
        assert_eq!(dues(&first), dues(&second));
    }
}

#[test]
fn every_sort_pages_a_large_workspace_without_loss() {
    let population = Population {
        runs: 5_000,
        ..Population::large(4, fixed_now())
    };
    let mut store = filled(
        &population,
        Settings {
            ties: Ties::Stable,
            ..Settings::default()
        },
    );
    for sort in Collection::FlowRuns.sorts() {
        let mut ids: HashSet<String> = HashSet::new();
        for page in 0..25 {
            let rows = list(
                &mut store,
                &json!({ "sort": sort.name, "offset": page * 200 }),
            );
            ids.extend(
                rows.iter()
                    .map(|row| row["id"].as_str().unwrap().to_owned()),
            );
        }
        assert_eq!(ids.len(), 5_000, "{}", sort.name);
    }
}
