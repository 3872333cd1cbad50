//! The endpoints outside of all collections.

use serde_json::{Value, json};

use super::{ask, store};
use crate::{
    changes::{NewRun, NewState},
    cloud,
    model::{Json, StateType},
    store::Settings,
    versions,
};

#[test]
fn the_settings_contain_the_largest_page_size() {
    for (capabilities, place) in [
        (versions::V3_9, "/server/api/default_limit"),
        (versions::V2_20, "/PREFECT_API_DEFAULT_LIMIT"),
    ] {
        let mut store = store(Settings {
            capabilities,
            page_limit: 37,
            ..Settings::default()
        });
        let (status, body) = ask(&mut store, "GET", "/admin/settings", &Value::Null);
        assert_eq!((status, body.pointer(place)), (200, Some(&json!(37))));
        assert_eq!(
            ask(&mut store, "POST", "/admin/settings", &json!({})).0,
            405
        );
    }
    assert!(cloud::is_missing("/admin/settings"));
}

#[test]
fn the_states_of_a_run_are_listed_oldest_first() {
    let mut store = store(Settings::default());
    let (flow, _) = store.create_flow("f", &[], Json::object());
    let (run, _) = store.create_run(NewRun::new(flow)).unwrap();
    for kind in [StateType::Running, StateType::Failed] {
        store.advance(chrono::TimeDelta::seconds(1));
        store.set_state(run, NewState::new(kind)).unwrap();
    }
    let path = format!("/flow_run_states/?flow_run_id={run}");
    let (_, reported) = ask(&mut store, "GET", &path, &Value::Null);
    let kinds: Vec<&Value> = reported
        .as_array()
        .unwrap()
        .iter()
        .map(|s| &s["type"])
        .collect();
    assert_eq!(kinds, ["PENDING", "RUNNING", "FAILED"]);
    assert_eq!(reported[2]["id"], json!(store.run(run).unwrap().state.id));
    store.delete_run(run).unwrap();
    assert_eq!(
        ask(&mut store, "GET", &path, &Value::Null),
        (200, json!([]))
    );
    for (path, status) in [
        ("/flow_run_states/", 422),
        ("/flow_run_states/?flow_run_id=zz", 422),
        ("/flow_run_states?flow_run_id=zz", 307),
        ("/nope/filter", 404),
    ] {
        assert_eq!(
            ask(&mut store, "GET", path, &Value::Null).0,
            status,
            "{path}"
        );
    }
    let (status, _) = ask(&mut store, "POST", "/artifacts/filter/", &json!({}));
    assert_eq!(status, 307);
}
