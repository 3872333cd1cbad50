//! The effects of changes: states, edits, deletes.

use prefect_fake::model::StateType;
use serde_json::{Map, Value, json};

use super::{asker::Asker, asker::DUE};

/// Returns which times of a run a change moved, and the values of its other fields.
pub(super) fn moved(before: &Value, after: &Value) -> Map<String, Value> {
    let mut moved = Map::new();
    for key in [
        "updated",
        "end_time",
        "start_time",
        "expected_start_time",
        "state_id",
    ] {
        moved.insert(key.to_owned(), json!(before[key] != after[key]));
    }
    for key in [
        "state_type",
        "state_name",
        "run_count",
        "next_scheduled_start_time",
        "name",
        "tags",
        "parameters",
    ] {
        moved.insert(key.to_owned(), after[key].clone());
    }
    for key in ["end_time", "start_time"] {
        moved.insert(format!("has {key}"), json!(!after[key].is_null()));
    }
    moved
}

/// Probes the history of a run, step by step.
pub(super) async fn lives(asker: &mut Asker) {
    asker
        .make(
            "run life",
            "/flow_runs/",
            &json!({ "name": "life", "flow_id": asker.id("flow c") }),
        )
        .await;
    let steps = [
        ("SCHEDULED", "", true),
        ("SCHEDULED", "Late", true),
        ("PENDING", "", true),
        ("PENDING", "", false),
        ("RUNNING", "", false),
        ("PAUSED", "", false),
        ("RUNNING", "", false),
        ("FAILED", "", false),
        ("COMPLETED", "Cached", false),
        ("CRASHED", "", false),
        ("CANCELLED", "", true),
        ("SCHEDULED", "AwaitingRetry", true),
        ("RUNNING", "Retrying", true),
        ("PENDING", "", false),
        ("CANCELLING", "", true),
        ("COMPLETED", "", false),
        ("CANCELLED", "", false),
    ];
    for (number, (kind, name, force)) in steps.into_iter().enumerate() {
        let before = asker.row("run life").await;
        let mut state = json!({ "type": kind });
        if kind == "SCHEDULED" {
            state["state_details"] = json!({ "scheduled_time": DUE[0] });
        }
        if !name.is_empty() {
            state["name"] = json!(name);
        }
        let got = asker.set("run life", state, force).await;
        let after = asker.row("run life").await;
        let outcome = json!({
            "status": got.status, "verdict": got.body["status"], "details": got.body["details"],
            "state": got.body["state"]["type"], "moved": moved(&before, &after),
        });
        asker.note(&format!("life/{number:02} {kind} {name}"), outcome);
    }
    let path = format!("/flow_runs/{}", asker.id("run life"));
    for (name, body) in [
        ("rename", json!({ "name": "other" })),
        ("same name", json!({ "name": "other" })),
        ("tags", json!({ "tags": ["z"] })),
        ("parameters", json!({ "parameters": { "p": 1 } })),
        ("unknown key", json!({ "bogus": 1 })),
    ] {
        let before = asker.row("run life").await;
        let got = asker.ask("PATCH", &path, Some(body.to_string())).await;
        let after = asker.row("run life").await;
        asker.note(
            &format!("edit/{name}"),
            json!({ "status": got.status, "body": got.body, "moved": moved(&before, &after) }),
        );
    }
    for kind in ["COMPLETED", "CANCELLED", "RUNNING", "PAUSED"] {
        let body =
            json!({ "name": "born", "flow_id": asker.id("flow c"), "state": { "type": kind } });
        asker
            .whole(&format!("born/{kind}"), "POST", "/flow_runs/", Some(body))
            .await;
    }
    let body = json!({ "name": "twin", "flow_id": asker.id("flow a"), "idempotency_key": format!("{}0", asker.nonce) });
    asker
        .whole("born/twin", "POST", "/flow_runs/", Some(body))
        .await;
    let body = json!({ "name": format!("{} a", asker.nonce), "tags": ["other"] });
    asker
        .whole("born/flow twin", "POST", "/flows/", Some(body))
        .await;
    let body = json!({ "name": format!("{} two", asker.nonce), "flow_id": asker.id("flow b") });
    asker
        .whole("born/deployment twin", "POST", "/deployments/", Some(body))
        .await;
}

/// Probes every change of state without force.
pub(super) async fn verdicts(asker: &mut Asker) {
    for from in StateType::ALL {
        for to in StateType::ALL {
            let label = format!("{} to {}", from.text(), to.text());
            let body = json!({ "name": "verdict", "flow_id": asker.id("flow c") });
            asker.make(&label, "/flow_runs/", &body).await;
            for kind in [StateType::Running, from] {
                asker
                    .set(&label, json!({ "type": kind.text() }), true)
                    .await;
            }
            let got = asker.set(&label, json!({ "type": to.text() }), false).await;
            let after = asker.row(&label).await;
            let outcome = json!({
                "status": got.status, "verdict": got.body["status"], "details": got.body["details"],
                "state": after["state_type"], "name": after["state_name"], "runs": after["run_count"],
                "ended": !after["end_time"].is_null(),
            });
            asker.note(&format!("verdict/{label}"), outcome);
        }
    }
}

pub(super) async fn deletes(asker: &mut Asker) {
    let path = format!("/flow_runs/{}", asker.id("run spare"));
    asker.whole("delete/run", "DELETE", &path, None).await;
    asker.whole("delete/run again", "DELETE", &path, None).await;
    asker.whole("delete/run read", "GET", &path, None).await;
    let life = format!("/flow_runs/{}/set_state", asker.id("run s0"));
    asker
        .post(
            &life,
            &json!({ "state": { "type": "RUNNING" }, "force": true }),
        )
        .await;
    let before = asker.row("run s0").await;
    asker
        .whole(
            "delete/deployment",
            "DELETE",
            &format!("/deployments/{}", asker.id("deployment one")),
            None,
        )
        .await;
    asker
        .runs("delete/runs after the deployment", json!({}), None)
        .await;
    let after = asker.row("run s0").await;
    let outcome = json!({ "deployment_id": after["deployment_id"], "moved": before["updated"] != after["updated"] });
    asker.note("delete/run of the deployment", outcome);
    asker
        .whole(
            "delete/flow",
            "DELETE",
            &format!("/flows/{}", asker.id("flow a")),
            None,
        )
        .await;
    asker
        .runs("delete/runs after the flow", json!({}), None)
        .await;
    for flow in ["flow b", "flow c"] {
        asker
            .ask("DELETE", &format!("/flows/{}", asker.id(flow)), None)
            .await;
    }
    asker.runs("delete/nothing is left", json!({}), None).await;
}
