//! The rules of the store, and the population.

use std::collections::{BTreeMap, HashSet};

use chrono::TimeDelta;
use serde_json::{Value, json};

use super::{
    changes::{NewDeployment, NewRun, NewState, RunEdit},
    id::Id,
    model::{Rule, Schedule, StateType, Time},
    population::{Population, fill, fixed_now},
    query,
    schema::Collection,
    store::{Database, Settings, Store, StoreError, Ties},
    versions,
};

fn store(settings: Settings) -> Store {
    Store::new(settings, fixed_now())
}

fn filled(population: &Population, settings: Settings) -> Store {
    let mut store = store(Settings {
        seed: population.seed,
        ..settings
    });
    fill(&mut store, population);
    store
}

fn list(store: &mut Store, body: &Value) -> Vec<Value> {
    serde_json::from_str(&query::list(store, Collection::FlowRuns, body).unwrap()).unwrap()
}

fn step(store: &mut Store) -> Time {
    store.advance(TimeDelta::seconds(10));
    store.now()
}

fn set(store: &mut Store, id: Id, kind: StateType) -> Time {
    let now = step(store);
    store.set_state(id, NewState::of(kind)).unwrap();
    now
}

fn flow_and_run(store: &mut Store) -> (Id, Id) {
    let (flow, _) = store.create_flow("f", &[], super::model::Json::object());
    let (run, _) = store.create_run(NewRun::of(flow)).unwrap();
    (flow, run)
}

#[test]
fn a_retry_clears_the_end_and_a_second_end_keeps_it() {
    let mut store = store(Settings::default());
    let (_, run) = flow_and_run(&mut store);
    let started = set(&mut store, run, StateType::Running);
    let ended = set(&mut store, run, StateType::Failed);
    assert_eq!(store.run(run).unwrap().end_time, Some(ended));
    let moved = set(&mut store, run, StateType::Completed);
    assert_eq!(store.run(run).unwrap().end_time, Some(ended));
    assert_eq!(store.run(run).unwrap().updated, moved);
    set(&mut store, run, StateType::Scheduled);
    assert_eq!(store.run(run).unwrap().end_time, None);
    set(&mut store, run, StateType::Running);
    let run = store.run(run).unwrap();
    assert_eq!(
        (run.run_count, run.start_time, run.total_run_time),
        (2, Some(started), TimeDelta::seconds(10))
    );
}

#[test]
fn a_run_that_never_ran_ends_with_times_only_in_newer_releases() {
    for (capabilities, times) in [
        (versions::V3_9, true),
        (versions::V3_0, false),
        (versions::V2_20, false),
    ] {
        let mut store = store(Settings {
            capabilities,
            ..Settings::default()
        });
        let (_, run) = flow_and_run(&mut store);
        set(&mut store, run, StateType::Cancelled);
        let run = store.run(run).unwrap();
        assert_eq!(
            (run.start_time.is_some(), run.end_time.is_some()),
            (times, times)
        );
    }
}

#[test]
fn an_edit_moves_updated_and_nothing_else() {
    let mut store = store(Settings::default());
    let (_, run) = flow_and_run(&mut store);
    set(&mut store, run, StateType::Running);
    set(&mut store, run, StateType::Completed);
    let before = store.run(run).unwrap().clone();
    let now = step(&mut store);
    store
        .edit_run(
            run,
            RunEdit {
                name: Some("n".to_owned()),
                ..RunEdit::default()
            },
        )
        .unwrap();
    let after = store.run(run).unwrap();
    assert_eq!(
        (after.updated, after.end_time, after.state.id),
        (now, before.end_time, before.state.id)
    );
    assert_eq!(after.tags, before.tags);
}

#[test]
fn changes_are_stamped_as_the_database_stamps_them() {
    for (database, fraction) in [(Database::Sqlite, 123_000), (Database::Postgres, 123_456)] {
        let mut store = store(Settings {
            database,
            ..Settings::default()
        });
        let (_, run) = flow_and_run(&mut store);
        store.advance(TimeDelta::microseconds(123_456));
        store
            .set_state(run, NewState::of(StateType::Running))
            .unwrap();
        let run = store.run(run).unwrap();
        assert_eq!(run.updated.timestamp_subsec_micros(), fraction);
        assert_eq!(run.state.timestamp.timestamp_subsec_micros(), 123_456);
    }
}

/// A deployment with a scheduled run of its schedule, one by hand, and one that ran.
fn deployed(store: &mut Store) -> (Id, [Id; 3]) {
    let (flow, _) = store.create_flow("f", &[], super::model::Json::object());
    let (id, _) = store
        .create_deployment(NewDeployment::of(flow, "d"))
        .unwrap();
    let due = store.now() + TimeDelta::hours(1);
    let mut new = NewRun {
        deployment_id: Some(id),
        ..NewRun::of(flow)
    };
    new.state = Some(NewState::of(StateType::Scheduled).due(due));
    let (by_hand, _) = store.create_run(new.clone()).unwrap();
    let (ran, _) = store.create_run(new.clone()).unwrap();
    set(store, ran, StateType::Running);
    let (automatic, _) = store
        .create_run(NewRun {
            auto_scheduled: true,
            ..new
        })
        .unwrap();
    (id, [automatic, by_hand, ran])
}

fn there(store: &Store, runs: [Id; 3]) -> [bool; 3] {
    runs.map(|id| store.run(id).is_some())
}

#[test]
fn schedules_and_pauses_take_their_waiting_runs_with_them() {
    let mut store = store(Settings::default());
    let (id, runs) = deployed(&mut store);
    let before = store.deployment(id).unwrap().updated;
    step(&mut store);
    let now = store.now();
    let schedule = Schedule {
        id: store.new_id(),
        created: now,
        updated: now,
        rule: Rule::Cron {
            cron: "0 0 * * *".to_owned(),
            timezone: "UTC".to_owned(),
        },
        active: true,
        parameters: super::model::Json::object(),
        slug: None,
    };
    store
        .edit_schedules(id, |schedules| schedules.push(schedule))
        .unwrap();
    assert_eq!(there(&store, runs), [false, true, true]);
    assert_eq!(
        store.deployment(id).unwrap().updated,
        before,
        "a schedule is not the deployment"
    );
    store.poll_deployment(id).unwrap();
    assert_eq!(
        store.deployment(id).unwrap().updated,
        before,
        "nor is a poll"
    );
    store.set_paused(id, true).unwrap();
    assert!(store.deployment(id).unwrap().updated > before);
}

#[test]
fn a_deleted_deployment_takes_waiting_runs_and_a_deleted_flow_everything() {
    let mut store = store(Settings::default());
    let (id, runs) = deployed(&mut store);
    let before = store.run(runs[2]).unwrap().updated;
    step(&mut store);
    store.delete_deployment(id).unwrap();
    assert_eq!(there(&store, runs), [false, false, true]);
    let ran = store.run(runs[2]).unwrap();
    assert_eq!((ran.deployment_id, ran.updated), (Some(id), before));
    let flow = ran.flow_id;
    store.delete_flow(flow).unwrap();
    assert_eq!(there(&store, runs), [false; 3]);
    assert_eq!(
        store.delete_flow(flow),
        Err(StoreError::NotFound {
            collection: Collection::Flows,
            id: flow
        })
    );
}

#[test]
fn a_deleted_parent_leaves_its_child_without_a_trace_of_it() {
    let mut store = store(Settings::default());
    let (flow, parent) = flow_and_run(&mut store);
    let task = store.new_id();
    let new = NewRun {
        parent_task_run_id: Some(task),
        parent_run: Some(parent),
        ..NewRun::of(flow)
    };
    let (child, _) = store.create_run(new).unwrap();
    let before = store.run(child).unwrap().updated;
    step(&mut store);
    store.delete_run(parent).unwrap();
    let child = store.run(child).unwrap();
    assert_eq!((child.parent_task_run_id, child.updated), (None, before));
}

#[test]
fn retention_takes_only_ended_runs() {
    let mut store = filled(&Population::small(3, fixed_now()), Settings::default());
    let open = store
        .runs()
        .filter(|run| !run.state.kind.is_terminal())
        .count();
    let gone = store.vacuum(fixed_now());
    assert!(
        gone > 1_000
            && store
                .runs()
                .filter(|run| !run.state.kind.is_terminal())
                .count()
                == open
    );
}

#[test]
fn volatile_fields_follow_the_clock_and_nothing_else_does() {
    let mut store = store(Settings::default());
    let (_, run) = flow_and_run(&mut store);
    set(&mut store, run, StateType::Running);
    let before = list(&mut store, &json!({})).remove(0);
    step(&mut store);
    let mut after = list(&mut store, &json!({})).remove(0);
    assert_eq!(after["estimated_run_time"], 10.0);
    after["estimated_run_time"] = before["estimated_run_time"].clone();
    assert_eq!(before, after);
}

#[test]
fn nulls_stand_where_the_database_puts_them() {
    for (database, first) in [(Database::Sqlite, false), (Database::Postgres, true)] {
        let mut store = filled(
            &Population::small(1, fixed_now()),
            Settings {
                database,
                ..Settings::default()
            },
        );
        let rows = list(&mut store, &json!({ "sort": "END_TIME_DESC", "limit": 1 }));
        assert_eq!(rows[0]["end_time"].is_null(), first, "{database:?}");
    }
}

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
    let mut due: BTreeMap<Time, usize> = BTreeMap::new();
    for run in store.runs() {
        kinds.insert(run.state.kind);
        *due.entry(run.expected_start_time).or_default() += 1;
        assert!(store.flow(run.flow_id).is_some());
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
        runs: 20_000,
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
        for page in 0..100 {
            let rows = list(
                &mut store,
                &json!({ "sort": sort.name, "offset": page * 200 }),
            );
            ids.extend(
                rows.iter()
                    .map(|row| row["id"].as_str().unwrap().to_owned()),
            );
        }
        assert_eq!(ids.len(), 20_000, "{}", sort.name);
    }
}
