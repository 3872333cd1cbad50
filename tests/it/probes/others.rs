//! Every other collection, on a server that has only its built-in objects: limits, rejections, missing objects, paths.

use prefect_fake::{GenericCollection, generic_collections::Spec};
use serde_json::{Value, json};

use super::asker::Asker;

const NIL: &str = "00000000-0000-0000-0000-000000000000";

/// Returns paths, each with the key of its own filter, or an empty text if it has none.
fn collections() -> Vec<(&'static str, &'static str)> {
    let all = GenericCollection::ALL.into_iter();
    // The listing of a tag's limits depends on the other limits of the server.
    let all = all.filter(|collection| *collection != GenericCollection::ConcurrencyLimits);
    let listed = all
        .map(GenericCollection::spec)
        .filter(|spec| !spec.special);
    let own = |spec: &'static Spec| match spec.form.filters {
        [] => "",
        _ => spec.form.name,
    };
    let listed = listed.map(|spec| (spec.path, own(spec)));
    listed.chain([("task_runs", "task_runs")]).collect()
}

/// Returns request bodies that are rejected or that match no object.
fn bodies(own: &str) -> Vec<(&'static str, Value)> {
    let mut bodies = vec![
        ("too many", json!({ "limit": 201 })),
        ("too few", json!({ "limit": -1 })),
        ("none", json!({ "limit": 0 })),
        ("negative offset", json!({ "offset": -1 })),
        ("far", json!({ "offset": 1_000_000 })),
    ];
    if !own.is_empty() {
        bodies.push((
            "updated",
            json!({ own: { "updated": { "after_": "2099-01-01" } } }),
        ));
        bodies.push(("no object", json!({ own: 1 })));
    }
    bodies
}

/// Returns filters of task runs.
fn task_filters() -> Vec<(&'static str, &'static str, Value)> {
    let far = "2099-01-01T00:00:00Z";
    let task = |filter: Value| json!({ "task_runs": filter });
    vec![
        ("task sort", "task_runs", json!({ "sort": "UPDATED_DESC" })),
        (
            "task end",
            "task_runs",
            task(json!({ "end_time": { "after_": far } })),
        ),
        (
            "task expected",
            "task_runs",
            task(json!({ "expected_start_time": { "after_": far } })),
        ),
        (
            "task start",
            "task_runs",
            task(json!({ "start_time": { "after_": far, "is_null_": false } })),
        ),
        (
            "task state",
            "task_runs",
            task(json!({ "state": { "type": { "any_": ["NEVER"] } } })),
        ),
        (
            "task not",
            "task_runs",
            task(json!({ "state": { "type": { "not_any_": [] } } })),
        ),
        (
            "task ids",
            "task_runs",
            task(json!({ "id": { "not_any_": [] } })),
        ),
        (
            "task of runs",
            "task_runs",
            json!({ "flow_runs": { "id": { "any_": [NIL] } } }),
        ),
        (
            "task of wrong runs",
            "task_runs",
            json!({ "flow_runs": { "updated": {} } }),
        ),
        (
            "task of a run",
            "task_runs",
            task(json!({ "flow_run_id": { "any_": [NIL] } })),
        ),
        (
            "task subflows",
            "task_runs",
            task(json!({ "subflow_runs": { "exists_": true } })),
        ),
    ]
}

/// Returns filters of artifacts, variables, work pools, work queues and automations.
fn set_up_filters() -> Vec<(&'static str, &'static str, Value)> {
    vec![
        ("artifact sort", "artifacts", json!({ "sort": "NAME_ASC" })),
        (
            "artifact key",
            "artifacts",
            json!({ "artifacts": { "key": { "exists_": "maybe" } } }),
        ),
        ("variable sort", "variables", json!({ "sort": "ID_DESC" })),
        (
            "variable tags",
            "variables",
            json!({ "variables": { "tags": { "any_": ["x"] } } }),
        ),
        (
            "pool sort",
            "work_pools",
            json!({ "sort": "X", "work_pools": { "name": { "any_": [] } } }),
        ),
        (
            "pool name",
            "work_pools",
            json!({ "work_pools": { "name": { "like_": "x" } } }),
        ),
        (
            "queue name",
            "work_queues",
            json!({ "work_queues": { "name": { "startswith_": ["zz"] } } }),
        ),
        (
            "automation sort",
            "automations",
            json!({ "sort": "ID_DESC" }),
        ),
    ]
}

/// Returns filters of blocks and logs.
fn other_filters() -> Vec<(&'static str, &'static str, Value)> {
    let logs = |filter: Value| json!({ "logs": filter });
    vec![
        (
            "type slug",
            "block_types",
            json!({ "block_types": { "slug": { "any_": [] } } }),
        ),
        (
            "type operator",
            "block_types",
            json!({ "block_types": { "operator": "and_" } }),
        ),
        (
            "schema ids",
            "block_schemas",
            json!({ "block_schemas": { "id": { "any_": [NIL] } } }),
        ),
        (
            "document sort",
            "block_documents",
            json!({ "sort": "ID_DESC" }),
        ),
        ("log sort", "logs", json!({ "sort": "ID_DESC" })),
        (
            "log level",
            "logs",
            logs(json!({ "level": { "ge_": "x" } })),
        ),
        (
            "log levels",
            "logs",
            logs(json!({ "level": { "ge_": 10, "le_": 20 } })),
        ),
        (
            "log time",
            "logs",
            logs(json!({ "timestamp": { "after_": "x" } })),
        ),
        (
            "log nulls",
            "logs",
            logs(json!({ "task_run_id": { "is_null_": true } })),
        ),
        ("log created", "logs", logs(json!({ "created": {} }))),
    ]
}

pub(super) async fn others(asker: &mut Asker) {
    for (path, own) in collections() {
        let filter = format!("/{path}/filter");
        for (name, body) in bodies(own) {
            let name = format!("{path}/{name}");
            asker.whole(&name, "POST", &filter, Some(body)).await;
        }
        let slash = format!("{filter}/");
        let name = format!("{path}/slash");
        asker.whole(&name, "POST", &slash, Some(json!({}))).await;
        for last in ["filter", NIL, "zz"] {
            let name = format!("{path}/get {last}");
            asker
                .whole(&name, "GET", &format!("/{path}/{last}"), None)
                .await;
        }
    }
    for (name, path, body) in [task_filters(), set_up_filters(), other_filters()].concat() {
        let path = format!("/{path}/filter");
        asker
            .whole(&format!("others/{name}"), "POST", &path, Some(body))
            .await;
    }
    for path in [
        "task_runs",
        "artifacts",
        "variables",
        "work_pools",
        "automations",
    ] {
        let (name, path) = (format!("{path}/count"), format!("/{path}/count"));
        asker.whole(&name, "POST", &path, Some(json!({}))).await;
    }
    let workers = "/work_pools/nowhere/workers/filter";
    asker
        .whole("workers/nowhere", "POST", workers, Some(json!({})))
        .await;
    for kind in ["flow", "task"] {
        let path = format!("/{kind}_run_states/?{kind}_run_id={NIL}");
        asker
            .whole(&format!("states/{kind}"), "GET", &path, None)
            .await;
        let path = format!("/{kind}_run_states/");
        asker
            .whole(&format!("states/{kind} of none"), "GET", &path, None)
            .await;
    }
}

pub(super) async fn events(asker: &mut Asker) {
    let filters = [
        ("too many", json!({ "limit": 51 })),
        ("too few", json!({ "limit": -1 })),
        ("unknown", json!({ "filter": { "zz": {} } })),
        ("order", json!({ "filter": { "order": "UP" } })),
        (
            "time",
            json!({ "filter": { "occurred": { "since": "x" } } }),
        ),
        (
            "nothing",
            json!({ "filter": { "event": { "name": ["zz"] } } }),
        ),
    ];
    for (name, body) in filters {
        let name = format!("events/{name}");
        asker
            .whole(&name, "POST", "/events/filter", Some(body))
            .await;
    }
    for (name, query) in [("no token", ""), ("wrong token", "?page-token=zz")] {
        let path = format!("/events/filter/next{query}");
        asker
            .whole(&format!("events/{name}"), "GET", &path, None)
            .await;
    }
}
