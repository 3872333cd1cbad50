//! The demo server responds like Prefect: both get the same requests, and the outcomes are compared.
//!
//! [`outcomes`] prepares a server through its API, runs every probe, and returns the values that must agree: status,
//! rejections, numbers and order of rows, their keys. Placeholders replace ids, times and durations.
//!
//! Both generations are tested, each on a server of the test's own.

mod asker;
mod filters;
mod listings;
mod lives;
mod others;
mod prepare;
mod tasks;

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use chrono::{DateTime, TimeDelta, Utc};
use fivetran_source::clock::Clock;
use prefect_fake::{Options, Population, Server, population, versions};
use serde_json::{Value, json};

use crate::support::prefect_server::{Generation, PrefectServer};

use self::asker::Asker;

/// Runs every probe on the server at `base_url` (with `/api`). `nonce` separates two passes on one server.
pub(crate) async fn outcomes(base_url: &str, nonce: &str) -> BTreeMap<String, Value> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .build()
        .unwrap();
    let mut asker = Asker {
        client,
        base: base_url.to_owned(),
        nonce: nonce.to_owned(),
        known: BTreeMap::new(),
        outcomes: BTreeMap::new(),
        release: String::new(),
    };
    let release = asker.ask("GET", "/admin/version", None).await.body;
    asker.release = release.as_str().unwrap().to_owned();
    prepare::prepare(&mut asker).await;
    listings::shapes(&mut asker).await;
    listings::limits(&mut asker).await;
    filters::refusals(&mut asker).await;
    filters::filters(&mut asker).await;
    listings::sorts(&mut asker).await;
    listings::others(&mut asker).await;
    listings::service(&mut asker).await;
    others::others(&mut asker).await;
    others::events(&mut asker).await;
    tasks::tasks(&mut asker).await;
    lives::lives(&mut asker).await;
    lives::verdicts(&mut asker).await;
    lives::deletes(&mut asker).await;
    asker.outcomes
}

/// A clock that advances by about two milliseconds at each reading.
struct Ticking(AtomicI64);

impl Clock for Ticking {
    fn now(&self) -> DateTime<Utc> {
        let ticks = self.0.fetch_add(1, Ordering::SeqCst);
        population::fixed_now() + TimeDelta::microseconds(ticks * 2_001)
    }

    fn sleep(
        &self,
        _: std::time::Duration,
    ) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(std::future::ready(()))
    }
}

async fn demo(capabilities: &versions::Capabilities) -> Server {
    let mut options = Options::new(Population::empty(7, population::fixed_now()));
    options.settings.capabilities = capabilities.clone();
    options.clock = Some(Arc::new(Ticking(AtomicI64::new(0))));
    Server::start(options).await.unwrap()
}

/// Returns the outcomes of a demo server with these capabilities.
async fn demo_outcomes(capabilities: &versions::Capabilities) -> BTreeMap<String, Value> {
    let server = demo(capabilities).await;
    outcomes(&server.url(), "probe").await
}

#[tokio::test]
async fn every_release_answers_every_probe() {
    for capabilities in versions::ALL {
        let outcomes = demo_outcomes(capabilities).await;
        let broken: Vec<_> = outcomes
            .iter()
            .filter(|(_, o)| o["status"].as_u64().is_some_and(|s| s >= 500))
            .collect();
        assert!(
            outcomes.len() > 200 && broken.is_empty(),
            "{}: {broken:#?}",
            capabilities.release
        );
        assert_eq!(outcomes["delete/nothing is left"]["rows"], 0);
    }
}

#[tokio::test]
async fn releases_differ_where_they_should() {
    let (new, old) = (
        demo_outcomes(&versions::V3_8).await,
        demo_outcomes(&versions::V2_20).await,
    );
    assert_eq!(
        new["filter/end from"]["names"],
        json!(["crashed", "failed"])
    );
    assert_eq!(new["filter/end after"]["names"], json!(["crashed"]));
    assert_eq!(old["filter/end from"]["status"], 422);
    assert_eq!(
        demo_outcomes(&versions::V3_0).await["filter/end from"]["status"],
        422
    );
    assert_eq!(new["get/flow_runs/filter"]["status"], 405);
    assert_eq!(old["get/flow_runs/filter"]["status"], 422);
    assert!(new["shape/flow a"]["body"].get("labels").is_some());
    assert!(old["shape/flow a"]["body"].get("labels").is_none());
    assert!(
        old["shape/deployment one"]["body"]
            .get("infra_overrides")
            .is_some()
    );
}

#[tokio::test]
async fn same_as_prefect_3() {
    same_as_a_real_server(Generation::Three).await;
}

#[tokio::test]
async fn same_as_prefect_2() {
    same_as_a_real_server(Generation::Two).await;
}

async fn same_as_a_real_server(generation: Generation) {
    let server = PrefectServer::start(generation).await;
    let real = outcomes(server.url(), "probe").await;
    let release = real["get/admin/version"]["body"]
        .as_str()
        .unwrap()
        .to_owned();
    let number = |release: &str| release.split('.').take(2).collect::<Vec<_>>().join(".");
    let played = versions::ALL
        .into_iter()
        .find(|c| number(c.release) == number(&release))
        .unwrap();
    let demo = demo_outcomes(played).await;
    let names: std::collections::BTreeSet<&String> = real.keys().chain(demo.keys()).collect();
    let different: Vec<String> = names
        .into_iter()
        .filter(|name| real.get(*name) != demo.get(*name) && *name != "get/admin/version")
        .map(|name| format!("{name}\n   real {}\n   demo {}", real[name], demo[name]))
        .collect();
    assert!(
        different.is_empty(),
        "{} of {} differ:\n{}",
        different.len(),
        real.len(),
        different.join("\n")
    );
}
