//! Tests of the store's rules, the population, the sorted table and the server.

mod blocks_and_logs;
mod cloud;
mod events;
mod full_workspace;
mod generic_collections;
mod http;
mod population;
mod service;
mod store;
mod table;
mod tasks;

use serde_json::Value;

use super::{
    auth::Auth,
    handler::respond,
    message::ApiRequest,
    population::{Population, fill, fixed_now},
    query,
    schema::Collection,
    store::{Settings, Store},
};

fn store(settings: Settings) -> Store {
    Store::new(settings, fixed_now())
}

fn filled(population: &Population, settings: Settings) -> Store {
    let mut store = store(Settings {
        seed: population.seed,
        ..settings
    });
    fill(&mut store, population);
    store
}

fn list(store: &mut Store, body: &Value) -> Vec<Value> {
    serde_json::from_str(&query::list(store, Collection::FlowRuns, body).unwrap()).unwrap()
}

/// Sends a request without a socket and returns the status and the body.
fn ask(store: &mut Store, method: &str, path: &str, body: &Value) -> (u16, Value) {
    let request = ApiRequest {
        method: method.to_owned(),
        path: path.to_owned(),
        base: "http://demo/api".to_owned(),
        body: if body.is_null() {
            String::new()
        } else {
            body.to_string()
        },
        ..ApiRequest::default()
    };
    let response = respond(store, &Auth::Open, &request);
    let body = serde_json::from_str(&response.body).unwrap_or(Value::Null);
    (response.status, body)
}

/// Returns the response to a `POST` that must succeed.
fn post(store: &mut Store, path: &str, body: &Value) -> Value {
    let (status, response) = ask(store, "POST", path, body);
    assert_eq!(status, 200, "{path} {body}: {response}");
    response
}

/// Returns the value of a key for each object of a listing.
fn all(store: &mut Store, path: &str, body: &Value, key: &str) -> Vec<Value> {
    let rows = post(store, path, body);
    let rows = rows.as_array().unwrap().iter();
    rows.map(|row| row[key].clone()).collect()
}
