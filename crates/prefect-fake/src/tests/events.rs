//! The listing of events.

use chrono::TimeDelta;
use serde_json::{Value, json};

use super::{
    ask,
    http::{client, read},
    post, store,
};
use crate::{
    Cloud, Options, Server,
    changes::{NewRun, NewState},
    id::Id,
    model::{Json, StateType},
    population::{Population, fixed_now},
    store::{Settings, Store},
    versions,
};

const PATH: &str = "/events/filter";

/// Creates a run that runs and completes `times` times, with one event per change, a second apart.
fn create_run_with_events(store: &mut Store, times: usize) -> Id {
    store.feed_events(true);
    let (flow, _) = store.create_flow("f", &["tag".to_owned()], Json::object());
    let (run, _) = store.create_run(NewRun::new(flow)).unwrap();
    for _ in 0..times {
        for kind in [StateType::Running, StateType::Completed] {
            store.advance(TimeDelta::seconds(1));
            store.set_state(run, NewState::new(kind)).unwrap();
        }
    }
    run
}

#[test]
fn an_event_of_a_state_change_names_its_resources() {
    let mut store = store(Settings::default());
    let run = create_run_with_events(&mut store, 1);
    let page = post(&mut store, PATH, &json!({}));
    assert_eq!(
        (&page["total"], &page["next_page"]),
        (&json!(3), &Value::Null)
    );
    let last = &page["events"][0];
    assert_eq!(last["event"], "prefect.flow-run.Completed");
    let resource = &last["resource"];
    assert_eq!(
        resource["prefect.resource.id"],
        format!("prefect.flow-run.{run}")
    );
    assert_eq!(resource["prefect.state-type"], "COMPLETED");
    assert_eq!(resource["prefect.run-count"], "1");
    assert_eq!(last["id"], json!(store.run(run).unwrap().state.id));
    assert_eq!(last["follows"], page["events"][1]["id"]);
    assert_eq!(
        last["payload"]["intended"],
        json!({ "from": "RUNNING", "to": "COMPLETED" })
    );
    let roles: Vec<&Value> = last["related"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| &r["prefect.resource.role"])
        .collect();
    assert_eq!(roles, ["flow", "tag"]);
    assert!(last.get("created").is_none() && last["occurred"].as_str().unwrap().ends_with('Z'));
}

#[test]
fn pages_follow_by_token_and_contain_no_later_events() {
    let mut store = store(Settings::default());
    let run = create_run_with_events(&mut store, 30);
    let mut page = post(
        &mut store,
        PATH,
        &json!({ "limit": 25, "filter": { "order": "ASC" } }),
    );
    assert_eq!(page["total"], 61);
    let mut seen: Vec<Value> = page["events"].as_array().unwrap().clone();
    while let Some(next) = page["next_page"].as_str() {
        store.advance(TimeDelta::seconds(1));
        store
            .set_state(run, NewState::new(StateType::Running))
            .unwrap();
        let path = next.strip_prefix("http://demo/api").unwrap().to_owned();
        let (status, answer) = ask(&mut store, "GET", &path, &Value::Null);
        assert_eq!((status, &answer["total"]), (200, &json!(61)));
        seen.extend(answer["events"].as_array().unwrap().iter().cloned());
        page = answer;
    }
    let times: Vec<&str> = seen
        .iter()
        .map(|event| event["occurred"].as_str().unwrap())
        .collect();
    assert_eq!(times.len(), 61);
    assert!(times.is_sorted());
}

#[test]
fn the_feed_is_filtered_by_time_name_and_resource() {
    let mut store = store(Settings::default());
    let run = create_run_with_events(&mut store, 2);
    let at = |second| fixed_now() + TimeDelta::seconds(second);
    for (filter, total) in [
        (json!({ "occurred": { "since": at(1), "until": at(2) } }), 2),
        (json!({ "occurred": { "since": at(3) }, "event": null }), 2),
        (
            json!({ "event": { "name": ["prefect.flow-run.Running"] } }),
            2,
        ),
        (json!({ "event": { "prefix": ["prefect.flow-run."] } }), 5),
        (
            json!({ "event": { "exclude_prefix": ["prefect.flow-run.C"] } }),
            3,
        ),
        (
            json!({ "resource": { "id": [format!("prefect.flow-run.{run}")] } }),
            5,
        ),
        (
            json!({ "resource": { "id_prefix": ["prefect.deployment."] } }),
            0,
        ),
    ] {
        let page = post(&mut store, PATH, &json!({ "filter": filter }));
        assert_eq!(page["total"], total, "{filter}");
        assert_eq!(page["events"].as_array().unwrap().len(), total);
    }
}

#[test]
fn invalid_requests_of_the_feed_are_rejected() {
    let mut store = store(Settings::default());
    let (status, body) = ask(&mut store, "POST", PATH, &json!({ "limit": 51 }));
    let first = &body["exception_detail"][0];
    assert_eq!((status, &first["type"]), (422, &json!("less_than_equal")));
    for body in [
        json!({ "filter": { "zz": {} } }),
        json!({ "filter": { "order": "UP" } }),
        json!({ "filter": { "occurred": { "since": "x" } } }),
        json!({ "limit": -1 }),
    ] {
        assert_eq!(ask(&mut store, "POST", PATH, &body).0, 422, "{body}");
    }
    let text = json!({ "filter": { "text": { "query": "x" } } });
    assert_eq!(ask(&mut store, "POST", PATH, &text).0, 501);
    let next = "/events/filter/next";
    assert_eq!(ask(&mut store, "GET", next, &Value::Null).0, 422);
    assert_eq!(
        ask(
            &mut store,
            "GET",
            &format!("{next}?page-token=zz"),
            &Value::Null
        )
        .0,
        403
    );
}

#[test]
fn there_is_no_feed_in_the_old_generation_nor_before_it_is_switched_on() {
    let mut old = store(Settings {
        capabilities: versions::V2_20,
        ..Settings::default()
    });
    create_run_with_events(&mut old, 1);
    let (status, body) = ask(&mut old, "POST", PATH, &json!({}));
    let text = "Events are not enabled. Please enable the PREFECT_EXPERIMENTAL_EVENTS setting.";
    assert_eq!((status, body), (404, json!({ "detail": text })));
    let mut quiet = store(Settings::default());
    let (flow, _) = quiet.create_flow("f", &[], Json::object());
    quiet.create_run(NewRun::new(flow)).unwrap();
    assert_eq!(post(&mut quiet, PATH, &json!({}))["total"], 0);
}

#[tokio::test]
async fn the_next_page_has_the_address_by_which_the_caller_knows_the_workspace() {
    let population = Population::small(2, fixed_now()).with_full_workspace();
    let own = Options::new(population);
    let cloud = Options::cloud(population, Cloud::default(), "pnu_k");
    for (options, key) in [(own, "none"), (cloud, "pnu_k")] {
        let server = Server::start(options).await.unwrap();
        let key = format!("Bearer {key}");
        let first = client().post(format!("{}{PATH}", server.url())).body("{}");
        let first = read(first.header("authorization", &key)).await;
        let next = first.body["next_page"].as_str().unwrap().to_owned();
        assert!(
            next.starts_with(&format!("{}{PATH}/next?page-token=", server.url())),
            "{next}"
        );
        let next = read(client().get(next).header("authorization", &key)).await;
        assert_eq!(
            (next.status, &next.body["total"]),
            (200, &first.body["total"])
        );
        assert_ne!(next.body["events"], first.body["events"]);
    }
}
