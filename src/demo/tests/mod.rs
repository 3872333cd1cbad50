//! The rules of the store, the population, the sorted table, and the server.

mod cloud;
mod http;
mod population;
mod store;
mod table;

use serde_json::Value;

use super::{
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
