//! The generic collections: listings, filters, sorts, errors, counts, single objects, releases.

use chrono::TimeDelta;
use serde_json::{Value, json};

use super::{all, ask, post, store};
use crate::{
    generic_collections::{GenericCollection as C, Get},
    id::Id,
    store::{Database, Settings, Store, StoreError},
    versions::{self, Capabilities},
};

pub(super) fn store_with(capabilities: &Capabilities) -> Store {
    store(Settings {
        capabilities: capabilities.clone(),
        ..Settings::default()
    })
}

pub(super) fn one(store: &mut Store, collection: C, fields: Value) -> Id {
    store.advance(TimeDelta::seconds(1));
    store.create_object(collection, fields)
}

/// Returns the path of a listing; empty for a collection with special routes.
fn path(collection: C) -> String {
    let spec = collection.spec();
    if spec.special {
        String::new()
    } else {
        format!("/{}/filter", spec.path)
    }
}

#[test]
fn an_empty_workspace_lists_nothing_and_keeps_the_rules_of_every_listing() {
    for capabilities in versions::ALL {
        let mut store = store_with(capabilities);
        for collection in C::ALL {
            let path = path(collection);
            if path.is_empty() || (collection == C::Automations && !capabilities.events) {
                continue;
            }
            let own = collection.spec().form.name;
            for body in [Value::Null, json!({}), json!({ "bogus": 1, "sort": null })] {
                assert_eq!(post(&mut store, &path, &body), json!([]));
            }
            let (status, body) = ask(&mut store, "POST", &path, &json!({ "limit": 201 }));
            let text = "Invalid limit: must be less than or equal to 200.";
            assert_eq!((status, body), (422, json!({ "detail": text })), "{path}");
            let (status, _) = ask(&mut store, "POST", &path, &json!({ "offset": -1 }));
            assert_eq!(status, 422, "{path}");
            let filtered = !collection.spec().form.filters.is_empty();
            let unknown = json!({ own: { "zz": {} } });
            let (status, body) = ask(&mut store, "POST", &path, &unknown);
            assert_eq!(status, if filtered { 422 } else { 200 }, "{path}");
            if filtered {
                let at = &body["exception_detail"][0]["loc"];
                assert_eq!(*at, json!(["body", own, "zz"]), "{path}");
            }
            let sorted = !collection.spec().form.sorts.is_empty();
            let (status, _) = ask(&mut store, "POST", &path, &json!({ "sort": "ZZ" }));
            assert_eq!(status, if sorted { 422 } else { 200 }, "{path}");
            let count = path.replace("/filter", "/count");
            let (status, body) = ask(&mut store, "POST", &count, &json!({}));
            if collection.spec().count {
                assert_eq!((status, body), (200, json!(0)), "{count}");
            } else {
                assert_ne!(status, 200, "{count}");
            }
        }
    }
}

#[test]
fn a_missing_object_has_the_error_text_of_its_collection() {
    let nil = "00000000-0000-0000-0000-000000000000";
    let words = [
        (C::Artifacts, json!({ "detail": "Artifact not found." })),
        (C::Variables, json!({ "detail": "Variable not found." })),
        (
            C::WorkPools,
            json!({ "detail": format!("Work pool \"{nil}\" not found.") }),
        ),
        (
            C::Automations,
            json!({ "exception_message": "Automation not found" }),
        ),
        (
            C::ConcurrencyLimitsV2,
            json!({ "detail": "Concurrency Limit not found" }),
        ),
        (
            C::BlockDocuments,
            json!({ "detail": "Block document not found" }),
        ),
    ];
    let mut store = store_with(&versions::V3_9);
    for (collection, expected) in words {
        let path = path(collection).replace("filter", nil);
        assert_eq!(ask(&mut store, "GET", &path, &Value::Null), (404, expected));
        if collection.spec().get == Get::Id {
            let path = path.replace(nil, "zz");
            assert_eq!(ask(&mut store, "GET", &path, &Value::Null).0, 404);
            let (status, _) = ask(
                &mut store_with(&versions::V2_20),
                "GET",
                &path,
                &Value::Null,
            );
            assert_eq!(status, if collection.spec().typed { 404 } else { 422 });
        }
    }
}

#[test]
fn variables_are_filtered_sorted_counted_and_found() {
    let mut store = store_with(&versions::V3_9);
    let first = json!({ "name": "b", "value": { "x": [1, null] }, "tags": ["t"] });
    let b = one(&mut store, C::Variables, first);
    one(
        &mut store,
        C::Variables,
        json!({ "name": "A_x", "value": 5, "tags": [] }),
    );
    let path = "/variables/filter";
    let names = |store: &mut Store, body: Value| all(store, path, &body, "name");
    assert_eq!(names(&mut store, json!({})), ["A_x", "b"]);
    assert_eq!(
        names(&mut store, json!({ "sort": "NAME_DESC" })),
        ["b", "A_x"]
    );
    store.advance(TimeDelta::seconds(1));
    let edit = |fields: &mut serde_json::Map<String, Value>| {
        fields.insert("value".to_owned(), json!("new"));
    };
    store.edit_object(C::Variables, b, edit).unwrap();
    assert_eq!(
        names(&mut store, json!({ "sort": "UPDATED_DESC" })),
        ["b", "A_x"]
    );
    let filter = |filter: Value| json!({ "variables": filter });
    for (given, expected) in [
        (json!({ "name": { "like_": "a_" } }), ["A_x"].as_slice()),
        (json!({ "tags": { "all_": ["t"] } }), &["b"]),
        (json!({ "tags": { "is_null_": true } }), &["A_x"]),
        (json!({ "id": { "any_": [b] } }), &["b"]),
        (json!({ "name": { "any_": [] } }), &[]),
    ] {
        assert_eq!(
            names(&mut store, filter(given.clone())),
            expected,
            "{given}"
        );
        let count = post(&mut store, "/variables/count", &filter(given));
        assert_eq!(count, json!(expected.len()));
    }
    let (_, found) = ask(&mut store, "GET", &format!("/variables/{b}"), &Value::Null);
    assert_eq!(found["value"], "new");
    assert!(found["updated"].as_str() > found["created"].as_str());
    store.delete_object(C::Variables, b).unwrap();
    let gone = store.delete_object(C::Variables, b);
    assert!(matches!(gone, Err(StoreError::Nothing { .. })));
    let old = filter(json!({ "value": { "any_": ["5"] } }));
    assert_eq!(ask(&mut store, "POST", path, &old).0, 422);
    assert_eq!(
        post(&mut store_with(&versions::V2_20), path, &old),
        json!([])
    );
}

#[test]
fn artifacts_without_a_key_are_sorted_like_the_nulls_of_the_database() {
    for (database, expected) in [
        (Database::Sqlite, [Value::Null, json!("a"), json!("b")]),
        (Database::Postgres, [json!("a"), json!("b"), Value::Null]),
    ] {
        let mut store = store(Settings {
            database,
            ..Settings::default()
        });
        for (key, kind) in [
            (json!("b"), "table"),
            (Value::Null, "progress"),
            (json!("a"), "link"),
        ] {
            one(
                &mut store,
                C::Artifacts,
                json!({ "key": key, "type": kind }),
            );
        }
        let path = "/artifacts/filter";
        assert_eq!(
            all(&mut store, path, &json!({ "sort": "KEY_ASC" }), "key"),
            expected
        );
        let ids = all(&mut store, path, &json!({}), "id");
        assert!(
            ids.windows(2)
                .all(|pair| pair[0].as_str() > pair[1].as_str())
        );
        let keyed = json!({ "artifacts": { "key": { "exists_": true }, "type": { "not_any_": ["link"] } } });
        assert_eq!(all(&mut store, path, &keyed, "key"), ["b"]);
        let elsewhere = json!({ "flow_runs": { "name": { "any_": ["x"] } } });
        assert_eq!(ask(&mut store, "POST", path, &elsewhere).0, 501);
    }
}

#[test]
fn deleting_a_pool_deletes_its_queues_and_workers() {
    let mut store = store_with(&versions::V3_9);
    let pool = one(
        &mut store,
        C::WorkPools,
        json!({ "name": "a b", "type": "process", "active_slots": 0 }),
    );
    for (number, status) in [(1, "ONLINE"), (2, "OFFLINE")] {
        let beat = store.now() + TimeDelta::seconds(number);
        let worker = json!({
            "name": format!("w{number}"), "work_pool_id": pool, "status": status, "last_heartbeat_time": beat,
        });
        one(&mut store, C::Workers, worker);
    }
    let queue = one(
        &mut store,
        C::WorkQueues,
        json!({ "name": "High", "work_pool_id": pool }),
    );
    let workers = "/work_pools/a%20b/workers/filter";
    assert_eq!(all(&mut store, workers, &json!({}), "name"), ["w2", "w1"]);
    let online = json!({ "workers": { "status": { "any_": ["ONLINE"] } } });
    assert_eq!(all(&mut store, workers, &online, "name"), ["w1"]);
    let wrong = json!({ "workers": { "status": { "any_": ["ASLEEP"] } } });
    assert_eq!(ask(&mut store, "POST", workers, &wrong).0, 422);
    let nowhere = ask(
        &mut store,
        "POST",
        "/work_pools/zz/workers/filter",
        &json!({}),
    );
    assert_eq!(
        nowhere,
        (404, json!({ "detail": "Work pool \"zz\" not found." }))
    );
    let starts = json!({ "work_queues": { "name": { "startswith_": ["hi"] } } });
    assert_eq!(
        all(&mut store, "/work_queues/filter", &starts, "name"),
        ["High"]
    );
    let (status, found) = ask(&mut store, "GET", "/work_pools/a%20b", &Value::Null);
    assert_eq!((status, &found["active_slots"]), (200, &json!(0)));
    let before = store.object(C::WorkQueues, queue).unwrap().updated;
    store.advance(TimeDelta::seconds(1));
    store
        .edit_object_quietly(C::WorkQueues, queue, |_| {})
        .unwrap();
    assert_eq!(store.object(C::WorkQueues, queue).unwrap().updated, before);
    store.delete_object(C::WorkPools, pool).unwrap();
    assert_eq!(
        (
            store.object_count(C::WorkQueues),
            store.object_count(C::Workers)
        ),
        (0, 0)
    );
}

#[test]
fn two_generations_show_the_same_pool_differently() {
    let fields = json!({ "name": "p", "active_slots": 0, "storage_configuration": {} });
    let mut old = store_with(&versions::V2_20);
    one(&mut old, C::WorkPools, fields.clone());
    let row = post(&mut old, "/work_pools/filter", &json!({}))[0].clone();
    assert!(row.get("active_slots").is_none() && row.get("storage_configuration").is_none());
    assert!(row["created"].as_str().unwrap().ends_with("+00:00"));
    let mut new = store_with(&versions::V3_9);
    one(&mut new, C::WorkPools, fields);
    let row = post(&mut new, "/work_pools/filter", &json!({}))[0].clone();
    assert!(row.get("active_slots").is_some());
    assert!(row["created"].as_str().unwrap().ends_with('Z'));
}

#[test]
fn limits_of_tags_are_named_limits_in_new_releases() {
    for (capabilities, expected) in [
        (&versions::V3_9, ["api", "tag:db"].as_slice()),
        (&versions::V2_20, &["api"]),
    ] {
        let mut store = store_with(capabilities);
        let tag = json!({ "tag": "db", "concurrency_limit": 3, "active_slots": [] });
        let id = one(&mut store, C::ConcurrencyLimits, tag);
        one(
            &mut store,
            C::ConcurrencyLimitsV2,
            json!({ "name": "api", "limit": 5 }),
        );
        let named = "/v2/concurrency_limits/filter";
        assert_eq!(all(&mut store, named, &json!({}), "name"), expected);
        assert_eq!(
            all(&mut store, "/concurrency_limits/filter", &json!({}), "tag"),
            ["db"]
        );
        let (_, found) = ask(
            &mut store,
            "GET",
            "/v2/concurrency_limits/api",
            &Value::Null,
        );
        assert_eq!(found["limit"], 5);
        store.delete_object(C::ConcurrencyLimits, id).unwrap();
        assert_eq!(all(&mut store, named, &json!({}), "name"), ["api"]);
    }
}

#[test]
fn limits_of_tags_are_left_out_behind_other_named_limits_in_new_releases() {
    for (capabilities, expected) in [
        (&versions::V3_9, [["a"].as_slice(), &[], &["b"], &[]]),
        (&versions::V2_20, [&["a", "b"], &["a", "b"], &["b"], &[]]),
    ] {
        let mut store = store_with(capabilities);
        for tag in ["b", "a"] {
            let tag = json!({ "tag": tag, "concurrency_limit": 3, "active_slots": [] });
            one(&mut store, C::ConcurrencyLimits, tag);
        }
        for name in ["deployment:1", "deployment:2", "zone"] {
            let named = json!({ "name": name, "limit": 5 });
            one(&mut store, C::ConcurrencyLimitsV2, named);
        }
        let pages = [(3, 0), (2, 0), (4, 1), (2, 2)].map(|(limit, offset)| {
            let page = json!({ "limit": limit, "offset": offset });
            all(&mut store, "/concurrency_limits/filter", &page, "tag")
        });
        assert_eq!(pages, expected, "{}", capabilities.release);
    }
}

#[test]
fn limits_of_tags_become_named_limits_at_an_upgrade_and_back_at_a_downgrade() {
    let mut store = store_with(&versions::V2_20);
    let tag = json!({ "tag": "db", "concurrency_limit": 3, "active_slots": [] });
    let id = one(&mut store, C::ConcurrencyLimits, tag);
    let names = |store: &mut Store| {
        let named = all(store, "/v2/concurrency_limits/filter", &json!({}), "name");
        (
            named,
            all(store, "/concurrency_limits/filter", &json!({}), "tag"),
        )
    };
    assert_eq!(names(&mut store), (vec![], vec![json!("db")]));
    store.upgrade(versions::V3_9);
    let both = (vec![json!("tag:db")], vec![json!("db")]);
    assert_eq!(names(&mut store), both);
    assert!(store.object(C::ConcurrencyLimitsV2, id).is_some());
    store.upgrade(versions::V2_20);
    assert_eq!(names(&mut store), (vec![], vec![json!("db")]));
}
