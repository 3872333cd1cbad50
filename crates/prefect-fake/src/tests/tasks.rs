//! Task runs: states, cascades, listings, releases.

use chrono::TimeDelta;
use serde_json::{Value, json};

use super::{all, ask, post, store};
use crate::{
    changes::{NewRun, NewState},
    generic_collections::GenericCollection,
    id::Id,
    model::{Json, StateType, Time},
    store::{Database, Settings, Store},
    tasks::NewTaskRun,
    versions::{self, Capabilities},
};

const PATH: &str = "/task_runs/filter";

fn run(store: &mut Store, name: &str) -> Id {
    let (flow, _) = store.create_flow(name, &[], Json::object());
    let mut new = NewRun::new(flow);
    new.name = Some(name.to_owned());
    store.create_run(new).unwrap().0
}

fn task(store: &mut Store, run: Id, name: &str) -> Id {
    store.advance(TimeDelta::seconds(1));
    let (id, new) = store.create_task_run(NewTaskRun::new(run, name)).unwrap();
    assert!(new);
    id
}

fn set(store: &mut Store, id: Id, kind: StateType) -> Time {
    store.advance(TimeDelta::seconds(1));
    store.set_task_state(id, NewState::new(kind)).unwrap();
    store.now()
}

fn store_with(capabilities: &Capabilities) -> Store {
    store(Settings {
        capabilities: capabilities.clone(),
        ..Settings::default()
    })
}

/// Creates run a with the task runs done, failed and open, and run b with the task run other.
fn some(store: &mut Store) -> (Id, [Id; 4]) {
    let (a, b) = (run(store, "a"), run(store, "b"));
    let ids = ["done", "failed", "open"].map(|name| task(store, a, name));
    for (id, kind) in [(ids[0], StateType::Completed), (ids[1], StateType::Failed)] {
        set(store, id, StateType::Running);
        set(store, id, kind);
    }
    let other = task(store, b, "other");
    (a, [ids[0], ids[1], ids[2], other])
}

#[test]
fn task_runs_live_like_flow_runs() {
    let mut store = store(Settings::default());
    let flow_run = run(&mut store, "a");
    let id = task(&mut store, flow_run, "t");
    let again = NewTaskRun::new(flow_run, "t");
    assert_eq!(store.create_task_run(again).unwrap(), (id, false));
    let started = set(&mut store, id, StateType::Running);
    let ended = set(&mut store, id, StateType::Completed);
    assert_eq!(store.task_run(id).unwrap().end_time, Some(ended));
    let moved = set(&mut store, id, StateType::Failed);
    let task = store.task_run(id).unwrap();
    assert_eq!((task.end_time, task.updated), (Some(ended), moved));
    set(&mut store, id, StateType::Running);
    let task = store.task_run(id).unwrap();
    assert_eq!(
        (task.end_time, task.start_time, task.run_count),
        (None, Some(started), 2)
    );
    store.advance(TimeDelta::seconds(1));
    let now = store.now();
    store
        .edit_task_run(id, |task| task.name = "n".to_owned())
        .unwrap();
    let task = store.task_run(id).unwrap();
    assert_eq!((task.name.as_str(), task.updated), ("n", now));
    let (status, reported) = ask(
        &mut store,
        "GET",
        &format!("/task_run_states/?task_run_id={id}"),
        &Value::Null,
    );
    let names: Vec<&Value> = reported
        .as_array()
        .unwrap()
        .iter()
        .map(|s| &s["type"])
        .collect();
    assert_eq!(status, 200);
    assert_eq!(
        names,
        ["PENDING", "RUNNING", "COMPLETED", "FAILED", "RUNNING"]
    );
}

#[test]
fn deleting_a_flow_run_deletes_its_task_runs_and_logs() {
    for (capabilities, logs) in [(&versions::V3_9, 0), (&versions::V2_20, 1)] {
        let mut store = store_with(capabilities);
        let (a, ids) = some(&mut store);
        store.create_object(GenericCollection::Logs, json!({ "flow_run_id": a }));
        store.create_object(GenericCollection::Artifacts, json!({ "flow_run_id": a }));
        store.delete_run(a).unwrap();
        let left: Vec<Id> = store.task_runs().map(|task| task.id).collect();
        assert_eq!(left, [ids[3]]);
        assert_eq!(store.object_count(GenericCollection::Logs), logs);
        assert_eq!(store.object_count(GenericCollection::Artifacts), 1);
    }
}

#[test]
fn they_are_filtered_by_themselves_and_by_their_flow_runs() {
    let mut store = store_with(&versions::V3_9);
    let (a, ids) = some(&mut store);
    let end = store.task_run(ids[1]).unwrap().end_time.unwrap();
    let expected = store.task_run(ids[3]).unwrap().expected_start_time;
    let own = |filter: Value| json!({ "task_runs": filter });
    for (body, names) in [
        (
            json!({}),
            ["done-0", "failed-0", "open-0", "other-0"].as_slice(),
        ),
        (
            json!({ "work_pools": { "zz": 1 } }),
            &["done-0", "failed-0", "open-0", "other-0"],
        ),
        (
            json!({ "flow_runs": { "id": { "any_": [a] } } }),
            &["done-0", "failed-0", "open-0"],
        ),
        (
            json!({ "flows": { "name": { "any_": ["b"] } } }),
            &["other-0"],
        ),
        (
            json!({ "flow_runs": { "name": { "any_": ["none"] } } }),
            &[],
        ),
        (
            own(json!({ "state": { "type": { "any_": ["FAILED"] } } })),
            &["failed-0"],
        ),
        (
            own(json!({ "start_time": { "is_null_": true } })),
            &["open-0", "other-0"],
        ),
        (
            own(json!({ "start_time": { "after_": "2000-01-01" } })),
            &["done-0", "failed-0"],
        ),
        (own(json!({ "end_time": { "after_": end } })), &["failed-0"]),
        (
            own(json!({ "expected_start_time": { "after_": expected } })),
            &["other-0"],
        ),
        (own(json!({ "id": { "any_": [ids[0]] } })), &["done-0"]),
        (
            own(json!({ "name": { "like_": "O" } })),
            &["done-0", "open-0", "other-0"],
        ),
        (own(json!({ "tags": { "is_null_": false } })), &[]),
        (own(json!({ "subflow_runs": { "exists_": true } })), &[]),
        (own(json!({ "flow_run_id": { "any_": [] } })), &[]),
    ] {
        let mut sorted = body.clone();
        sorted["sort"] = json!("NAME_ASC");
        assert_eq!(all(&mut store, PATH, &sorted, "name"), names, "{body}");
        assert_eq!(
            post(&mut store, "/task_runs/count", &body),
            json!(names.len())
        );
    }
    let unknown = json!({ "task_runs": { "updated": { "after_": "2000-01-01" } } });
    let (status, body) = ask(&mut store, "POST", PATH, &unknown);
    let first = &body["exception_detail"][0];
    assert_eq!((status, &first["type"]), (422, &json!("extra_forbidden")));
    let parent = json!({ "flow_runs": { "updated": {} } });
    assert_eq!(ask(&mut store, "POST", PATH, &parent).0, 422);
}

#[test]
fn nulls_are_sorted_as_by_the_database_and_ids_descend() {
    for (database, first) in [
        (Database::Sqlite, "failed-0"),
        (Database::Postgres, "open-0"),
    ] {
        let mut store = store(Settings {
            database,
            ..Settings::default()
        });
        let (_, ids) = some(&mut store);
        store.delete_task_run(ids[3]).unwrap();
        let sort = json!({ "sort": "END_TIME_DESC" });
        assert_eq!(all(&mut store, PATH, &sort, "name")[0], first);
        let got = all(&mut store, PATH, &json!({}), "id");
        assert!(
            got.windows(2)
                .all(|pair| pair[0].as_str() > pair[1].as_str())
        );
        let pages: Vec<Value> = (0..3)
            .flat_map(|offset| {
                let body =
                    json!({ "limit": 1, "offset": offset, "sort": "EXPECTED_START_TIME_ASC" });
                all(&mut store, PATH, &body, "name")
            })
            .collect();
        assert_eq!(pages, ["done-0", "failed-0", "open-0"]);
    }
}

#[test]
fn releases_differ_in_filters_sorts_and_shape() {
    let end = json!({ "task_runs": { "end_time": { "is_null_": true } } });
    let expected = json!({ "task_runs": { "expected_start_time": { "after_": "2000-01-01" } } });
    let duration = json!({ "sort": "DURATION_ASC" });
    for (capabilities, statuses) in [
        (&versions::V3_9, [200, 200, 200]),
        (&versions::V3_8, [200, 200, 422]),
        (&versions::V3_0, [422, 200, 422]),
        (&versions::V2_20, [422, 422, 422]),
    ] {
        let mut store = store_with(capabilities);
        let (a, ids) = some(&mut store);
        let got = [&end, &expected, &duration].map(|body| ask(&mut store, "POST", PATH, body).0);
        assert_eq!(got, statuses, "{}", capabilities.release);
        let path = format!("/task_runs/{}", ids[0]);
        let (_, row) = ask(&mut store, "GET", &path, &Value::Null);
        assert_eq!(row.get("labels").is_some(), capabilities.labels);
        let details = &row["state"]["state_details"];
        assert_eq!(details["flow_run_id"], json!(a));
        assert_eq!(details["task_run_id"], json!(ids[0]));
        let zone = if capabilities.zulu { "Z" } else { "+00:00" };
        assert!(row["end_time"].as_str().unwrap().ends_with(zone));
    }
    let missing = ask(
        &mut store_with(&versions::V3_9),
        "GET",
        "/task_runs/00000000-0000-0000-0000-000000000000",
        &Value::Null,
    );
    assert_eq!(missing, (404, json!({ "detail": "Task not found" })));
}
