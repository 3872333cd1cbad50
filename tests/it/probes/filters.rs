//! Filters: the requests that the server rejects, and the objects that each filter finds.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use super::{asker::Asker, asker::DUE};

pub(super) async fn refusals(asker: &mut Asker) {
    let after = json!({ "after_": "2026-01-01T00:00:00Z" });
    let bodies = [
        ("unknown key", json!({ "flow_runs": { "updated": after } })),
        (
            "unknown keys",
            json!({ "flow_runs": { "b": 1, "a": null, "id": { "zz": [] } }, "offset": -1, "sort": "X" }),
        ),
        (
            "unknown inner key",
            json!({ "flow_runs": { "start_time": { "zz": 1 } } }),
        ),
        (
            "unknown key of another",
            json!({ "flows": { "updated": 1 } }),
        ),
        ("operator", json!({ "flow_runs": { "operator": "xor_" } })),
        ("sort", json!({ "sort": "UPDATED_DESC" })),
        (
            "sort and limit",
            json!({ "sort": "UPDATED_DESC", "limit": 1000 }),
        ),
        ("id", json!({ "flow_runs": { "id": { "any_": ["nope"] } } })),
        (
            "no list",
            json!({ "flow_runs": { "id": { "any_": "nope" } } }),
        ),
        (
            "state type",
            json!({ "flow_runs": { "state": { "type": { "any_": ["COMPLETED", "BOGUS"] } } } }),
        ),
        (
            "time",
            json!({ "flow_runs": { "start_time": { "after_": "garbage" } } }),
        ),
    ];
    for (name, body) in bodies {
        asker
            .whole(
                &format!("refused/{name}"),
                "POST",
                "/flow_runs/filter",
                Some(body),
            )
            .await;
    }
    refused_elsewhere(asker).await;
}

pub(super) async fn refused_elsewhere(asker: &mut Asker) {
    for collection in ["flows", "deployments"] {
        let path = format!("/{collection}/filter");
        asker
            .whole(
                &format!("refused/{collection} sort"),
                "POST",
                &path,
                Some(json!({ "sort": "ID_DESC" })),
            )
            .await;
        let body = json!({ collection: { "updated": 1 } });
        asker
            .whole(
                &format!("refused/{collection} key"),
                "POST",
                &path,
                Some(body),
            )
            .await;
    }
    let body = json!({ "flow_runs": { "zz": 1 } });
    asker
        .whole("refused/count", "POST", "/flow_runs/count", Some(body))
        .await;
    asker
        .whole(
            "refused/flow without name",
            "POST",
            "/flows/",
            Some(json!({})),
        )
        .await;
    asker
        .whole(
            "refused/run without flow",
            "POST",
            "/flow_runs/",
            Some(json!({})),
        )
        .await;
    let nil = "00000000-0000-0000-0000-000000000000";
    asker
        .whole(
            "refused/run of no flow",
            "POST",
            "/flow_runs/",
            Some(json!({ "flow_id": nil })),
        )
        .await;
    let bogus = asker
        .set("run spare", json!({ "type": "BOGUS" }), true)
        .await;
    asker.note(
        "refused/state",
        json!({ "status": bogus.status, "body": bogus.body }),
    );
    let malformed = asker
        .ask("POST", "/flow_runs/filter", Some("{bad".to_owned()))
        .await;
    let keys: Vec<&String> = malformed.body.as_object().unwrap().keys().collect();
    asker.note(
        "refused/malformed",
        json!({ "status": malformed.status, "keys": keys }),
    );
}

/// Returns filters by the properties of a run.
pub(super) fn plain_filters(asker: &Asker) -> Vec<(&'static str, Value)> {
    let id = |label: &str| asker.id(label);
    vec![
        (
            "id",
            json!({ "id": { "any_": [id("run s0"), id("run done")] } }),
        ),
        ("not id", json!({ "id": { "not_any_": [id("run s0")] } })),
        ("none_of_an_empty_list", json!({ "id": { "not_any_": [] } })),
        ("empty list", json!({ "id": { "any_": [] } })),
        (
            "name",
            json!({ "name": { "any_": ["s1", "done", "nobody"] } }),
        ),
        ("name like", json!({ "name": { "like_": "AI" } })),
        ("tags all", json!({ "tags": { "all_": ["y", "x"] } })),
        ("tags any", json!({ "tags": { "any_": ["x"] } })),
        ("tags none", json!({ "tags": { "is_null_": true } })),
        (
            "deployment",
            json!({ "deployment_id": { "any_": [id("deployment one")] } }),
        ),
        (
            "no deployment",
            json!({ "deployment_id": { "is_null_": true } }),
        ),
        (
            "state type",
            json!({ "state": { "type": { "any_": ["FAILED", "CRASHED"] } } }),
        ),
        (
            "state not type",
            json!({ "state": { "type": { "not_any_": ["SCHEDULED", "PENDING"] } } }),
        ),
        (
            "state name",
            json!({ "state": { "name": { "any_": ["Scheduled"] } } }),
        ),
        (
            "state both",
            json!({ "state": { "name": { "any_": ["Failed"] }, "type": { "any_": ["CRASHED"] } } }),
        ),
        (
            "state either",
            json!({ "state": { "operator": "or_", "name": { "any_": ["Failed"] }, "type": { "any_": ["CRASHED"] } } }),
        ),
        (
            "parent",
            json!({ "parent_task_run_id": { "is_null_": true } }),
        ),
        (
            "no parent",
            json!({ "parent_task_run_id": { "is_null_": false } }),
        ),
    ]
}

/// Returns a bound at an exact time.
pub(super) fn exactly(key: &str, at: DateTime<Utc>) -> Value {
    json!({ key: at.to_rfc3339_opts(chrono::SecondsFormat::Micros, true) })
}

/// Returns filters by times; `ended` is the end time of one of the runs.
pub(super) fn time_filters(ended: DateTime<Utc>) -> Vec<(&'static str, Value)> {
    let one = TimeDelta::microseconds(1);
    vec![
        (
            "due from",
            json!({ "expected_start_time": { "after_": DUE[1] } }),
        ),
        (
            "due to",
            json!({ "expected_start_time": { "before_": DUE[1] } }),
        ),
        (
            "due at",
            json!({ "expected_start_time": { "after_": DUE[3], "before_": DUE[3] } }),
        ),
        (
            "due after",
            json!({ "expected_start_time": { "after_": "2099-01-03T00:00:00.000002Z" } }),
        ),
        (
            "due elsewhere",
            json!({ "expected_start_time": { "after_": "2099-01-03T05:00:00.000001+05:00" } }),
        ),
        (
            "due naive",
            json!({ "expected_start_time": { "after_": "2099-01-03T00:00:00" } }),
        ),
        (
            "due date",
            json!({ "expected_start_time": { "after_": "2099-01-03" } }),
        ),
        (
            "due nanoseconds",
            json!({ "expected_start_time": { "after_": "2099-01-03T00:00:00.000001999Z" } }),
        ),
        (
            "due number",
            json!({ "expected_start_time": { "after_": 4_070_908_800_i64 } }),
        ),
        (
            "next due",
            json!({ "next_scheduled_start_time": { "after_": DUE[0], "before_": DUE[1] } }),
        ),
        ("start from", json!({ "start_time": { "after_": DUE[1] } })),
        ("not started", json!({ "start_time": { "is_null_": true } })),
        ("started", json!({ "start_time": { "is_null_": false } })),
        (
            "started text",
            json!({ "start_time": { "is_null_": "yes" } }),
        ),
        ("end from", json!({ "end_time": exactly("after_", ended) })),
        (
            "end after",
            json!({ "end_time": exactly("after_", ended + one) }),
        ),
        ("end to", json!({ "end_time": exactly("before_", ended) })),
        (
            "end before",
            json!({ "end_time": exactly("before_", ended - one) }),
        ),
        ("not ended", json!({ "end_time": { "is_null_": true } })),
        (
            "ended and not",
            json!({ "end_time": { "is_null_": true, "after_": "2020-01-01T00:00:00Z" } }),
        ),
    ]
}

/// Returns filters joined by an operator.
pub(super) fn joined_filters(asker: &Asker, ended: DateTime<Utc>) -> Vec<(&'static str, Value)> {
    let one = TimeDelta::microseconds(1);
    let open = json!(["SCHEDULED", "PENDING", "RUNNING", "PAUSED", "CANCELLING"]);
    vec![
        (
            "ended or open",
            json!({ "operator": "or_", "end_time": exactly("after_", ended + one), "state": { "type": { "any_": open } } }),
        ),
        (
            "either",
            json!({ "operator": "or_", "name": { "any_": ["done"] }, "state": { "type": { "any_": ["SCHEDULED"] } } }),
        ),
        ("either of nothing", json!({ "operator": "or_" })),
        (
            "both",
            json!({ "operator": "and_", "name": { "any_": ["done"] }, "state": { "type": { "any_": ["SCHEDULED"] } } }),
        ),
        ("nothing", json!({})),
        (
            "nulls",
            json!({ "id": null, "state": { "type": null }, "start_time": { "after_": null } }),
        ),
        (
            "idempotency",
            json!({ "idempotency_key": { "any_": [format!("{}1", asker.nonce)] } }),
        ),
    ]
}

pub(super) async fn filters(asker: &mut Asker) {
    let ended = asker.row("run failed").await["end_time"]
        .as_str()
        .unwrap()
        .to_owned();
    let ended: DateTime<Utc> = ended.parse().unwrap();
    let mut cases = plain_filters(asker);
    cases.extend(time_filters(ended));
    cases.extend(joined_filters(asker, ended));
    for (name, filter) in cases {
        asker
            .runs(&format!("filter/{name}"), filter.clone(), None)
            .await;
        let body = json!({ "flows": asker.mine(), "flow_runs": filter });
        asker
            .whole(
                &format!("count/{name}"),
                "POST",
                "/flow_runs/count",
                Some(body),
            )
            .await;
    }
    let body =
        json!({ "flow_run": { "name": { "any_": ["done"] } }, "flows": asker.mine(), "bogus": 1 });
    asker
        .rows(
            "filter/unknown top-level keys",
            "/flow_runs/filter",
            body,
            false,
        )
        .await;
}
