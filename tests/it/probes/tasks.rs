//! Task runs of a running flow run: their shape, filters, sorts, and the effects of state changes.

use serde_json::{Value, json};

use super::asker::Asker;

const PATH: &str = "/task_runs/filter";

async fn set(asker: &mut Asker, task: &str, state: &str) {
    let path = format!("/task_runs/{}/set_state", asker.id(task));
    let body = json!({ "state": { "type": state }, "force": true });
    asker.post(&path, &body).await;
}

/// Probes a list of this suite's own task runs.
async fn list(asker: &mut Asker, name: &str, filter: Value, sort: &str) {
    let runs = json!({ "id": { "any_": [asker.id("run running")] } });
    let body = json!({ "flow_runs": runs, "task_runs": filter, "sort": sort });
    asker.rows(&format!("tasks/{name}"), PATH, body, true).await;
}

pub(super) async fn tasks(asker: &mut Asker) {
    for (number, tags) in [json!(["t"]), json!([]), json!(["t", "u"])]
        .iter()
        .enumerate()
    {
        let body = json!({
            "name": format!("t{number}"),
            "flow_run_id": asker.id("run running"),
            "task_key": "k",
            "dynamic_key": number.to_string(),
            "tags": tags,
            "empirical_policy": { "retries": 2, "retry_delay": 5 },
            "task_inputs": { "x": [{ "input_type": "constant", "type": "int" }] },
            "state": { "type": "PENDING" },
        });
        asker
            .make(&format!("task t{number}"), "/task_runs/", &body)
            .await;
    }
    set(asker, "task t0", "RUNNING").await;
    set(asker, "task t0", "COMPLETED").await;
    set(asker, "task t1", "RUNNING").await;
    for number in 0..3 {
        let path = format!("/task_runs/{}", asker.id(&format!("task t{number}")));
        asker
            .whole(&format!("tasks/shape {number}"), "GET", &path, None)
            .await;
    }
    for (name, filter) in [
        ("all", json!({})),
        (
            "state",
            json!({ "state": { "type": { "any_": ["RUNNING"] } } }),
        ),
        ("not started", json!({ "start_time": { "is_null_": true } })),
        (
            "started",
            json!({ "start_time": { "after_": "2000-01-01T00:00:00Z" } }),
        ),
        ("ended", json!({ "end_time": { "is_null_": false } })),
        (
            "expected",
            json!({ "expected_start_time": { "before_": "2099-01-01T00:00:00Z" } }),
        ),
        ("tags", json!({ "tags": { "all_": ["t"] } })),
        ("no tags", json!({ "tags": { "is_null_": true } })),
        ("name", json!({ "name": { "like_": "T1" } })),
        (
            "flow run",
            json!({ "flow_run_id": { "any_": [asker.id("run running")] } }),
        ),
        (
            "no subflow",
            json!({ "subflow_runs": { "exists_": false } }),
        ),
        (
            "either",
            json!({ "operator": "or_", "name": { "any_": ["t2"] }, "state": { "name": { "any_": ["Running"] } } }),
        ),
    ] {
        list(asker, name, filter, "NAME_DESC").await;
    }
    list(
        asker,
        "by expected start",
        json!({}),
        "EXPECTED_START_TIME_ASC",
    )
    .await;
    let first = json!({ "state": { "type": { "any_": ["COMPLETED", "RUNNING"] } } });
    let body = json!({ "task_runs": first, "sort": "END_TIME_DESC", "limit": 1 });
    asker.rows("tasks/by end", PATH, body, true).await;
    set(asker, "task t0", "FAILED").await;
    set(asker, "task t1", "COMPLETED").await;
    set(asker, "task t1", "RUNNING").await;
    for number in 0..2 {
        let path = format!("/task_runs/{}", asker.id(&format!("task t{number}")));
        asker
            .whole(&format!("tasks/later {number}"), "GET", &path, None)
            .await;
    }
    let path = format!("/task_run_states/?task_run_id={}", asker.id("task t0"));
    asker.whole("tasks/states", "GET", &path, None).await;
    let path = format!("/flow_run_states/?flow_run_id={}", asker.id("run done"));
    asker
        .whole("tasks/states of a flow run", "GET", &path, None)
        .await;
}
