//! Protected servers: a password, CSRF tokens, small pages.

use std::sync::Arc;

use fivetran_source::{clock::SystemClock, telemetry::Telemetry};

use crate::support::{
    prefect_server::{Generation, PrefectServer},
    served::{Served, configuration, empty_destination, rows, task},
    workspace::{NewRun, State},
};

const PASSWORD: &str = "admin:correct horse";
const RUNS: usize = 45;
const LIMIT: &str = "20";

const CSRF: (&str, &str) = ("PREFECT_SERVER_CSRF_PROTECTION_ENABLED", "true");
const SMALL_PAGES: (&str, &str) = ("PREFECT_API_DEFAULT_LIMIT", LIMIT);

/// Starts a server, creates a few runs, and restarts the server with these settings.
async fn protected(generation: Generation, settings: &[(&str, &str)]) -> PrefectServer {
    let server = PrefectServer::start(generation).await;
    let workspace = server.workspace();
    let flow = workspace
        .flow("guarded", &[], serde_json::Value::Null)
        .await;
    for number in 0..RUNS {
        let name = format!("run {number}");
        workspace
            .run_in(&NewRun::new(&flow, &name), State::Completed)
            .await;
    }
    server.restart(settings).await
}

/// Runs two syncs, and checks that the first sends everything and the second nothing.
async fn assert_synced(connector: &mut Served, url: &str, more: &[(&str, &str)]) {
    let settings = configuration(url, more);
    for test in ["connection", "access"] {
        assert_eq!(connector.test(test, settings.clone()).await, None);
    }
    let mut destination = empty_destination();
    let (operations, ended) = connector.update(settings.clone(), None).await;
    ended.unwrap();
    assert_eq!(task(&operations), None);
    destination.apply_operations(&operations);
    assert_eq!(destination.live("flow_runs").len(), RUNS);
    let (operations, ended) = connector
        .update(settings, destination.state().map(str::to_owned))
        .await;
    ended.unwrap();
    assert_eq!(rows(&operations), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_tokens_and_small_pages_on_prefect_3() {
    let auth = ("PREFECT_SERVER_API_AUTH_STRING", PASSWORD);
    let server = protected(Generation::Three, &[auth, CSRF, SMALL_PAGES]).await;
    let mut connector = Served::start(Arc::new(SystemClock), Telemetry::default()).await;
    assert_synced(&mut connector, server.url(), &[("auth_string", PASSWORD)]).await;

    for wrong in [&[][..], &[("auth_string", "admin:wrong battery")]] {
        let settings = configuration(server.url(), wrong);
        let failure = connector.test("connection", settings.clone()).await;
        let failure = match failure {
            Some(failure) => failure,
            None => connector.test("access", settings.clone()).await.unwrap(),
        };
        let (operations, ended) = connector.update(settings, None).await;
        ended.unwrap();
        assert_eq!(rows(&operations), 0);
        let task = task(&operations).unwrap();
        for text in [task, &failure] {
            assert!(text.contains("401") || text.contains("key"), "{text}");
            assert!(!text.contains("battery"), "{text}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_and_small_pages_on_prefect_2() {
    let server = protected(Generation::Two, &[CSRF, SMALL_PAGES]).await;
    let mut connector = Served::start(Arc::new(SystemClock), Telemetry::default()).await;
    assert_synced(&mut connector, server.url(), &[]).await;
}
