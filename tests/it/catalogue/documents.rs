//! Compares all requests with the OpenAPI documents of real servers.

use std::fs;

use fivetran_source::tables::{self, Feed, LookUp, Strategy};
use prefect_fake::{request_log::RequestLogEntry, versions};
use serde_json::Value;

use super::connection_harness::{ConnectionHarness, change, delete};
use crate::support::in_checkout;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_requests_are_in_the_documents_of_real_servers() {
    let mut checked = 0;
    for (capabilities, documents) in [
        (&versions::V3_9, &["3.9.1", "3.8.8"][..]),
        (&versions::V3_0, &["3.0.11", "3.4.25", "3.9.1"]),
        (&versions::V2_20, &["2.20.27"]),
    ] {
        let mut harness = ConnectionHarness::start(capabilities).await;
        let names: Vec<&str> = tables::ALL.iter().map(|table| table.name).collect();
        for _ in 0..2 {
            harness.sync(&names).await;
            harness.an_hour_later(|store| {
                for table in tables::ALL {
                    change(store, table.name);
                    delete(store, table);
                }
            });
        }
        harness.sync(&names).await;
        let record = harness.prefect.take_request_log();
        for document in documents {
            let file = in_checkout(&format!("tests/fixtures/openapi/{document}.json"));
            let document: Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
            checked += record.iter().filter(|it| is_legal(it, &document)).count();
        }
    }
    assert!(checked > 300, "only {checked} requests were checked");
}

/// Returns true for a POST that was answered with 200. Fails the test if the document does not have such a request.
fn is_legal(recorded: &RequestLogEntry, document: &Value) -> bool {
    let request = &recorded.request;
    let version = &document["version"];
    if recorded.status != 200 {
        // The connector tried it, and the server does not know it.
        assert!(matches!(recorded.status, 404 | 422), "{recorded:?}");
        return false;
    }
    if request.method == "GET" {
        return false;
    }
    let path = match request.path.strip_prefix("/work_pools/") {
        Some(rest) if rest.ends_with("/workers/filter") => {
            "/work_pools/{work_pool_name}/workers/filter"
        }
        _ => request.path.as_str(),
    };
    let known = &document["requests"][path];
    assert!(known.is_object(), "{version}: {path}");
    let body: Value = serde_json::from_str(&request.body).unwrap();
    if let Some(sort) = body.get("sort") {
        let sorts = known["sorts"].as_array().unwrap();
        assert!(sorts.contains(sort), "{version}: {path} {sort}");
    }
    let mut body = body;
    body.as_object_mut().unwrap().remove("sort");
    assert_keys(&body, &known["body"], &format!("{version}: {path}"));
    true
}

fn assert_keys(body: &Value, known: &Value, place: &str) {
    let Some(fields) = body.as_object() else {
        return;
    };
    for (name, value) in fields {
        let inner = known.get(name);
        assert!(inner.is_some(), "{place}: {name} is not known");
        let inner = inner.unwrap();
        if inner.as_object().is_some_and(|inner| !inner.is_empty()) {
            assert_keys(value, inner, &format!("{place}.{name}"));
        }
    }
}

/// The look-ups that the catalogue declares must be those of the documents.
#[test]
fn objects_are_looked_up_as_the_documents_say() {
    for document in ["2.20.27", "3.0.11", "3.4.25", "3.9.1"] {
        let file = in_checkout(&format!("tests/fixtures/openapi/{document}.json"));
        let document: Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
        for table in tables::ALL {
            let way = match table.strategy {
                Strategy::Snapshot(listing) => listing.look_up,
                Strategy::NewestFirst { .. } | Strategy::Runs => LookUp::Filter,
                Strategy::AppendOnly(Feed::Logs | Feed::Events(_))
                | Strategy::Nested(_)
                | Strategy::Server => continue,
            };
            let key = table.endpoint.rsplit('/').next().unwrap();
            match way {
                LookUp::Filter => {
                    let path = format!("{}/filter", table.endpoint);
                    let any = &document["requests"][path]["body"][key]["id"]["any_"];
                    assert!(any.is_object(), "{} {}", table.name, document["version"]);
                }
                LookUp::Get => {
                    let paths = document["reads"].as_object().unwrap().values();
                    let mut paths = paths.flat_map(|paths| paths.as_array().unwrap());
                    let path = format!("{}/{{", table.endpoint);
                    let is_there = paths.any(|it| {
                        let rest = it.as_str().unwrap().strip_prefix(&path);
                        rest.is_some_and(|rest| !rest.contains('/'))
                    });
                    assert!(is_there, "{} {}", table.name, document["version"]);
                }
                LookUp::None => {}
            }
        }
    }
}
