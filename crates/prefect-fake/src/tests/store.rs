use chrono::TimeDelta;
use serde_json::json;

use super::{filled, list, store};
use crate::{
    changes::{NewDeployment, NewRun, NewState, RunEdit},
    error_response::ErrorResponse,
    id::Id,
    model::{Json, Rule, Schedule, StateType, Time},
    population::{Population, fixed_now},
    query,
    schema::Collection,
    store::{Database, Settings, Store, StoreError},
    versions,
};

fn step(store: &mut Store) -> Time {
    store.advance(TimeDelta::seconds(10));
    store.now()
}

fn set(store: &mut Store, id: Id, kind: StateType) -> Time {
    let now = step(store);
    store.set_state(id, NewState::new(kind)).unwrap();
    now
}

fn flow_and_run(store: &mut Store) -> (Id, Id) {
    let (flow, _) = store.create_flow("f", &[], Json::object());
    let (run, _) = store.create_run(NewRun::new(flow)).unwrap();
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
            .set_state(run, NewState::new(StateType::Running))
            .unwrap();
        let run = store.run(run).unwrap();
        assert_eq!(run.updated.timestamp_subsec_micros(), fraction);
        assert_eq!(run.state.timestamp.timestamp_subsec_micros(), 123_456);
    }
}

/// Creates a deployment with a scheduled run of its schedule, one created by hand, and one that started.
fn deployed(store: &mut Store) -> (Id, [Id; 3]) {
    let (flow, _) = store.create_flow("f", &[], Json::object());
    let (id, _) = store
        .create_deployment(NewDeployment::new(flow, "d"))
        .unwrap();
    let due = store.now() + TimeDelta::hours(1);
    let mut new = NewRun {
        deployment_id: Some(id),
        ..NewRun::new(flow)
    };
    new.state = Some(NewState::new(StateType::Scheduled).due(due));
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
        parameters: Json::object(),
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
fn deleting_a_deployment_deletes_waiting_runs_and_deleting_a_flow_everything() {
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
fn deleting_a_parent_run_clears_the_reference_of_its_child() {
    let mut store = store(Settings::default());
    let (flow, parent) = flow_and_run(&mut store);
    let task = store.new_id();
    let new = NewRun {
        parent_task_run_id: Some(task),
        parent_run: Some(parent),
        ..NewRun::new(flow)
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
fn nulls_are_sorted_as_by_the_database() {
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
fn the_largest_page_is_a_setting_and_a_refusal_names_it() {
    let mut store = filled(
        &Population::small(1, fixed_now()),
        Settings {
            page_limit: 50,
            ..Settings::default()
        },
    );
    assert_eq!(list(&mut store, &json!({})).len(), 50);
    let refused = query::list(&mut store, Collection::FlowRuns, &json!({ "limit": 51 }));
    let text = "Invalid limit: must be less than or equal to 50.".to_owned();
    assert_eq!(refused, Err(ErrorResponse::Detail(422, text)));
}

#[test]
fn parameters_come_back_as_they_were_written() {
    let mut store = store(Settings::default());
    let (flow, _) = store.create_flow("f", &[], Json::object());
    let text = r#"{"big": 123456789012345678901234567890, "exponent": 1.50e3, "z": 1, "a": 2}"#;
    let parameters = Json::parse(text).unwrap();
    store
        .create_run(NewRun {
            parameters,
            ..NewRun::new(flow)
        })
        .unwrap();
    let page = query::list(&mut store, Collection::FlowRuns, &json!({})).unwrap();
    assert!(page.contains(text), "{page}");
}

#[test]
fn changes_are_stamped_by_the_databases_clock_and_all_else_by_the_apis() {
    let mut store = store(Settings {
        database: Database::Postgres,
        database_ahead: TimeDelta::seconds(-70),
        ..Settings::default()
    });
    let now = store.now();
    let (flow, _) = store.create_flow("f", &[], Json::object());
    assert_eq!(store.flow(flow).unwrap().updated, now);
    store.set_flow_tags(flow, vec!["t".to_owned()]).unwrap();
    assert_eq!(
        store.flow(flow).unwrap().updated,
        now - TimeDelta::seconds(70)
    );
}
