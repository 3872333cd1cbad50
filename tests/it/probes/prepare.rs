//! Fills a server through its API.

use serde_json::json;

use super::{asker::Asker, asker::DUE};

/// Creates three flows, two deployments, and ten runs in various states.
pub(super) async fn prepare(asker: &mut Asker) {
    let nonce = asker.nonce.clone();
    for (letter, tags) in [
        ("a", json!(["x", "y"])),
        ("b", json!(["y"])),
        ("c", json!([])),
    ] {
        let body = json!({ "name": format!("{nonce} {letter}"), "tags": tags });
        asker
            .make(&format!("flow {letter}"), "/flows/", &body)
            .await;
    }
    let schedules = json!([
        { "schedule": { "cron": "0 6 * * *", "timezone": "Europe/Berlin" } },
        { "schedule": { "interval": 3600, "anchor_date": "2099-01-01T00:00:00Z" }, "active": false },
        { "schedule": { "rrule": "FREQ=DAILY;COUNT=3" } },
    ]);
    let deployed = json!({
        "name": format!("{nonce} one"), "flow_id": asker.id("flow a"), "tags": ["x"],
        "parameters": { "n": 1.5, "deep": [null, { "k": "ü" }] }, "schedules": schedules,
    });
    asker
        .make("deployment one", "/deployments/", &deployed)
        .await;
    let two =
        json!({ "name": format!("{nonce} two"), "flow_id": asker.id("flow b"), "paused": true });
    asker.make("deployment two", "/deployments/", &two).await;
    for (number, due) in DUE.iter().enumerate() {
        let state = json!({ "type": "SCHEDULED", "state_details": { "scheduled_time": due } });
        let body = json!({
            "name": format!("s{number}"), "flow_id": asker.id("flow a"), "deployment_id": asker.id("deployment one"),
            "state": state, "tags": ["x", "y"], "idempotency_key": format!("{nonce}{number}"),
            "parameters": { "date": "2099", "list": [1, 2.5, true] },
        });
        asker
            .make(&format!("run s{number}"), "/flow_runs/", &body)
            .await;
    }
    let ends = [
        ("done", "COMPLETED"),
        ("failed", "FAILED"),
        ("crashed", "CRASHED"),
        ("running", "RUNNING"),
    ];
    for (name, state) in ends {
        let body = json!({ "name": name, "flow_id": asker.id("flow b"), "tags": ["y"] });
        asker
            .make(&format!("run {name}"), "/flow_runs/", &body)
            .await;
        asker
            .set(&format!("run {name}"), json!({ "type": "RUNNING" }), true)
            .await;
        if state != "RUNNING" {
            asker
                .set(
                    &format!("run {name}"),
                    json!({ "type": state, "message": "m" }),
                    true,
                )
                .await;
        }
    }
    for name in ["waiting", "spare"] {
        asker
            .make(
                &format!("run {name}"),
                "/flow_runs/",
                &json!({ "name": name, "flow_id": asker.id("flow c") }),
            )
            .await;
    }
}
