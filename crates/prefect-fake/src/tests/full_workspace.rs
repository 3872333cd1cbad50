//! The contents of a full workspace except flows, deployments and flow runs.

use std::collections::{HashMap, HashSet};

use serde_json::{Value, json};

use super::{filled, post};
use crate::{
    generic_collections::GenericCollection as C,
    id::Id,
    population::{Population, fixed_now},
    query,
    schema::Collection,
    store::{Settings, Store},
    versions,
};

fn full(seed: u64, settings: Settings) -> Store {
    filled(
        &Population::small(seed, fixed_now()).with_full_workspace(),
        settings,
    )
}

fn listings(store: &mut Store) -> Vec<String> {
    let mut texts = vec![post(store, "/task_runs/filter", &json!({})).to_string()];
    for collection in C::ALL {
        let spec = collection.spec();
        if !spec.special {
            texts.push(post(store, &format!("/{}/filter", spec.path), &json!({})).to_string());
        }
    }
    texts.push(post(store, "/events/filter", &json!({}))["events"].to_string());
    texts
}

#[test]
fn the_full_workspace_depends_on_the_seed_only_and_changes_no_runs() {
    let (mut one, mut two) = (full(5, Settings::default()), full(5, Settings::default()));
    assert_eq!(listings(&mut one), listings(&mut two));
    assert_ne!(
        listings(&mut one),
        listings(&mut full(6, Settings::default()))
    );
    let mut bare = filled(&Population::small(5, fixed_now()), Settings::default());
    for collection in Collection::ALL {
        let read = |store: &mut Store| {
            query::list(store, collection, &json!({ "sort": "NAME_ASC" })).unwrap()
        };
        assert_eq!(bare.len(collection), one.len(collection));
        let (bare, full): (Value, Value) = (
            serde_json::from_str(&read(&mut bare)).unwrap(),
            serde_json::from_str(&read(&mut one)).unwrap(),
        );
        let names = |rows: Value| -> Vec<Value> {
            rows.as_array()
                .unwrap()
                .iter()
                .map(|row| row["name"].clone())
                .collect()
        };
        assert_eq!(names(bare), names(full));
    }
    assert!(
        C::ALL.iter().all(|of| bare.object_count(*of) == 0) && bare.task_runs().next().is_none()
    );
}

#[test]
fn every_collection_has_rows_in_every_release_that_has_it() {
    for capabilities in versions::ALL {
        let events = capabilities.events;
        let store = full(
            7,
            Settings {
                capabilities: capabilities.clone(),
                ..Settings::default()
            },
        );
        for collection in C::ALL {
            let rows = store.object_count(collection);
            assert_eq!(
                rows > 0,
                events || collection != C::Events,
                "{collection:?}"
            );
        }
        assert!((1_500..5_500).contains(&store.task_runs().count()));
    }
}

#[test]
fn the_full_workspace_is_consistent() {
    let store = full(9, Settings::default());
    let mut of_run: HashMap<Id, HashSet<String>> = HashMap::new();
    for task in store.task_runs() {
        let run = task
            .flow_run_id
            .and_then(|id| store.run(id))
            .expect("its flow run");
        of_run
            .entry(run.id)
            .or_default()
            .insert(task.id.to_string());
        assert!(
            task.start_time >= Some(task.expected_start_time) && task.end_time >= task.start_time
        );
        assert!(task.created <= store.now() && task.updated <= store.now());
        assert_eq!(task.child_flow_run_id.is_some(), task.task_key == "subflow");
    }
    let mut referring = 0;
    for task in store.task_runs() {
        let inputs: Value = serde_json::from_str(task.task_inputs.text()).unwrap();
        for input in inputs
            .as_object()
            .unwrap()
            .values()
            .flat_map(|list| list.as_array().unwrap())
        {
            if input["input_type"] == "task_run" {
                let known = &of_run[&task.flow_run_id.unwrap()];
                assert!(known.contains(input["id"].as_str().unwrap()));
                referring += 1;
            }
        }
    }
    assert!(referring > 500);
    for run in store
        .runs()
        .filter(|run| run.parent_task_run_id.is_some() && run.end_time.is_some())
    {
        let stands = store
            .task_run(run.parent_task_run_id.unwrap())
            .expect("its task run");
        assert_eq!(stands.child_flow_run_id, Some(run.id));
    }
    for deployment in store.deployments() {
        if let Some(queue) = &deployment.queue {
            let known = store.object(C::WorkQueues, queue.id).expect("its queue");
            assert_eq!(known.text("name"), Some(queue.name.as_str()));
            assert!(store.object(C::WorkPools, queue.pool_id).is_some());
        }
    }
    for collection in [C::Logs, C::Artifacts] {
        for row in store.objects(collection) {
            assert!(store.run(row.id_at("flow_run_id").unwrap()).is_some());
            assert!(
                row.id_at("task_run_id")
                    .is_none_or(|id| store.task_run(id).is_some())
            );
        }
    }
}

#[test]
fn objects_have_the_keys_that_a_real_server_gives_them() {
    let document = include_str!("../../../../tests/fixtures/openapi/3.9.1.json");
    let document: Value = serde_json::from_str(document).unwrap();
    let keys = |row: &Value| {
        let mut keys: Vec<&String> = row.as_object().unwrap().keys().collect();
        keys.sort();
        json!(keys)
    };
    let mut store = full(3, Settings::default());
    let collections = C::ALL.map(C::spec);
    let listed = collections.iter().filter(|spec| !spec.special);
    for path in listed.map(|spec| spec.path).chain(["task_runs"]) {
        let rows = post(&mut store, &format!("/{path}/filter"), &json!({}));
        for row in rows.as_array().unwrap() {
            assert_eq!(keys(row), document["objects"][path], "{path}");
        }
    }
    let page = post(&mut store, "/events/filter", &json!({}));
    for event in page["events"].as_array().unwrap() {
        assert_eq!(keys(event), document["objects"]["events"]);
    }
    assert!(page["total"].as_u64() > Some(100) && page["next_page"].is_string());
    let documents = post(&mut store, "/block_documents/filter", &json!({})).to_string();
    assert!(documents.contains("********") && !documents.contains("password-0"));
}

#[test]
fn samples_are_json_objects() {
    for collection in C::ALL {
        for sample in collection.spec().samples {
            let sample: Value = serde_json::from_str(sample).unwrap();
            assert!(sample.is_object(), "{collection:?}: {sample}");
        }
    }
}
