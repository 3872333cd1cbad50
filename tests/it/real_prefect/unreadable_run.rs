//! A run that the server cannot return, nor any page that contains it. Prefect 2.20 fails on an integer beyond 64 bits
//! in a run's parameters.

use std::{future::ready, pin::Pin, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use fivetran_source::{
    clock::{Clock, SystemClock},
    telemetry::Telemetry,
};
use reqwest::Method;

use crate::support::{
    prefect_server::{Generation, PrefectServer},
    served::{Served, configuration, empty_destination, rows, warnings},
    workspace::{NewRun, State},
};

/// The system clock, with waits that end at once.
struct Hasty;

impl Clock for Hasty {
    fn now(&self) -> DateTime<Utc> {
        SystemClock.now()
    }

    fn sleep(&self, _: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(ready(()))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_the_server_cannot_show_holds_nothing_up() {
    let server = PrefectServer::start(Generation::Two).await;
    let workspace = server.workspace();
    let flow = workspace
        .flow("numbers", &[], serde_json::Value::Null)
        .await;
    let mut runs = Vec::new();
    for number in 0..12 {
        if number == 5 {
            // The server accepts this run without an error: only reading the run fails.
            let body = format!(
                r#"{{"name": "poison", "flow_id": "{flow}", "parameters": {{"n": 123456789012345678901234567890}}}}"#
            );
            let made = workspace.send_text(Method::POST, "/flow_runs/", Some(&body));
            made.await.unwrap();
        }
        let name = format!("run {number}");
        runs.push(
            workspace
                .run_in(&NewRun::new(&flow, &name), State::Completed)
                .await,
        );
    }
    let mut connector = Served::start(Arc::new(Hasty), Telemetry::default()).await;
    let settings = configuration(server.url(), &[("batch_size", "10")]);
    let mut destination = empty_destination();

    let (operations, ended) = connector.update(settings.clone(), None).await;
    ended.unwrap();
    destination.apply_operations(&operations);
    let live = destination.live("flow_runs");
    assert!(runs.iter().all(|run| live.contains_key(run.as_str())));
    assert_eq!(live.len(), runs.len());
    let reported = warnings(&operations);
    assert!(
        reported.iter().any(|text| text.contains("(500)")),
        "{reported:?}"
    );

    let (operations, ended) = connector
        .update(settings, destination.state().map(str::to_owned))
        .await;
    ended.unwrap();
    assert_eq!(rows(&operations), 0);
}
