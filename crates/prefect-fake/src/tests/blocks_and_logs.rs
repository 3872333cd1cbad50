//! Generic collections with special filters: blocks, automations, logs.

use chrono::TimeDelta;
use serde_json::{Value, json};

use super::{
    all, ask,
    generic_collections::{one, store_with},
    post,
};
use crate::{
    generic_collections::{GenericCollection as C, GenericObject},
    population::fixed_now,
    store::Store,
    versions,
};

#[test]
fn secrets_are_masked_and_anonymous_documents_left_out() {
    let mut store = store_with(&versions::V3_9);
    let schema = json!({ "fields": { "secret_fields": ["password", "auth.token", "env.*"] } });
    let document = |name: &str, kind: &str, anonymous: bool| {
        json!({
            "name": name,
            "block_type_name": kind,
            "block_schema": schema,
            "is_anonymous": anonymous,
            "data": { "user": "u", "password": "p", "auth": { "token": "t", "kind": "k" }, "env": { "A": "1" } },
        })
    };
    one(&mut store, C::BlockDocuments, document("a", "Z", false));
    one(&mut store, C::BlockDocuments, document("b", "A", false));
    one(&mut store, C::BlockDocuments, document("c", "A", true));
    let path = "/block_documents/filter";
    let shown = post(&mut store, path, &json!({ "include_secrets": true }));
    let masked = json!({
        "user": "u",
        "password": "********",
        "auth": { "token": "********", "kind": "k" },
        "env": { "A": "********" },
    });
    assert_eq!(shown[0]["data"], masked);
    assert_eq!(shown.as_array().unwrap().len(), 2);
    let sorted = json!({ "sort": "BLOCK_TYPE_AND_NAME_ASC" });
    assert_eq!(all(&mut store, path, &sorted, "name"), ["b", "a"]);
    let anonymous = json!({ "block_documents": { "is_anonymous": { "eq_": true } } });
    assert_eq!(all(&mut store, path, &anonymous, "name"), ["c"]);
}

#[test]
fn block_types_and_schemas_are_filtered_by_what_they_are() {
    let mut store = store_with(&versions::V3_9);
    let id = one(
        &mut store,
        C::BlockTypes,
        json!({ "name": "Slack Webhook", "slug": "slack-webhook" }),
    );
    one(
        &mut store,
        C::BlockTypes,
        json!({ "name": "Secret", "slug": "secret" }),
    );
    let slug = json!({ "block_types": { "slug": { "any_": ["secret"] } } });
    assert_eq!(
        all(&mut store, "/block_types/filter", &slug, "name"),
        ["Secret"]
    );
    for (nth, capabilities) in [json!(["notify"]), json!([])].into_iter().enumerate() {
        let schema = json!({ "checksum": nth, "block_type_id": id, "capabilities": capabilities });
        one(&mut store, C::BlockSchemas, schema);
    }
    let path = "/block_schemas/filter";
    assert_eq!(all(&mut store, path, &json!({}), "checksum"), [1, 0]);
    let notify = json!({ "block_schemas": { "block_capabilities": { "all_": ["notify"] } } });
    assert_eq!(all(&mut store, path, &notify, "checksum"), [0]);
}

#[test]
fn automations_are_off_in_the_old_generation() {
    let mut store = store_with(&versions::V3_9);
    for name in ["b", "a"] {
        one(
            &mut store,
            C::Automations,
            json!({ "name": name, "tags": [name] }),
        );
    }
    let path = "/automations/filter";
    assert_eq!(all(&mut store, path, &json!({}), "name"), ["a", "b"]);
    let tagged = json!({ "automations": { "tags": { "any_": ["b", "c"] } } });
    assert_eq!(all(&mut store, path, &tagged, "name"), ["b"]);
    let old =
        json!({ "automations": { "created": { "before_": fixed_now() + TimeDelta::seconds(1) } } });
    assert_eq!(all(&mut store, path, &old, "name"), ["b"]);
    let (status, body) = ask(&mut store_with(&versions::V2_20), "POST", path, &json!({}));
    assert!(
        status == 404
            && body["detail"]
                .as_str()
                .unwrap()
                .starts_with("Automations are not enabled.")
    );
}

#[test]
fn logs_are_read_by_level_time_and_run() {
    let mut store = store_with(&versions::V3_9);
    let (run, task) = (store.new_id(), store.new_id());
    for (second, level) in [(3, 20), (1, 40), (2, 10)] {
        let fields = json!({
            "name": "prefect.flow_runs",
            "level": level,
            "message": format!("at {second}"),
            "timestamp": fixed_now() + TimeDelta::seconds(second),
            "flow_run_id": run,
            "task_run_id": (second == 2).then_some(task),
        });
        let id = store.new_id();
        store.put_object(C::Logs, GenericObject::new(id, fixed_now(), fields));
    }
    let path = "/logs/filter";
    let levels = |store: &mut Store, body: Value| all(store, path, &body, "level");
    assert_eq!(levels(&mut store, json!({})), [40, 10, 20]);
    assert_eq!(
        levels(&mut store, json!({ "sort": "TIMESTAMP_DESC", "limit": 2 })),
        [20, 10]
    );
    let at = |second| fixed_now() + TimeDelta::seconds(second);
    for (filter, expected) in [
        (
            json!({ "timestamp": { "after_": at(2), "before_": at(3) } }),
            [10, 20].as_slice(),
        ),
        (json!({ "level": { "ge_": 20, "le_": 30 } }), &[20]),
        (
            json!({ "flow_run_id": { "any_": [run] }, "level": { "ge_": 30 } }),
            &[40],
        ),
        (json!({ "task_run_id": { "any_": [task] } }), &[10]),
        (json!({ "task_run_id": { "is_null_": true } }), &[40, 20]),
    ] {
        assert_eq!(
            levels(&mut store, json!({ "logs": filter })),
            expected,
            "{filter}"
        );
    }
    let null = json!({ "logs": { "task_run_id": { "is_null_": true } } });
    assert_eq!(
        ask(&mut store_with(&versions::V2_20), "POST", path, &null).0,
        422
    );
    assert_eq!(ask(&mut store, "POST", "/logs/count", &json!({})).0, 404);
}
