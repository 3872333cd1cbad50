//! A wrong address and a rejected key: the user gets a task, nothing is deleted, and no request is wasted.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use fivetran_source::{
    clock::SystemClock,
    config,
    fivetran::proto::update_response::Operation,
    prefect::{Accounts, Collection, Error, HttpApi, ListRequest, PrefectApi, RetryPolicy},
    tables,
    telemetry::Telemetry,
};
use prefect_fake::{ApiRequest, ApiResponse, Interceptor, NoInterception, Store, versions};
use serde_json::json;
use test_support::records;

use super::connection_harness::{ConnectionHarness, Sent};
use crate::support::served::{configuration, task, warnings};

/// Answers requests with a status chosen by path, in place of the server.
struct Status<F>(F);

impl<F: FnMut(&ApiRequest) -> Option<u16> + Send> Interceptor for Status<F> {
    fn before(&mut self, _: &mut Store, request: &ApiRequest) -> Option<ApiResponse> {
        let status = (self.0)(request)?;
        Some(ApiResponse::json(status, &json!({ "detail": "Not Found" })))
    }
}

fn all_tables() -> Vec<&'static str> {
    tables::ALL.iter().map(|table| table.name).collect()
}

/// Checks that a wrong address causes a task and nothing else.
fn assert_shows_an_address(operations: &[Operation]) {
    let text = task(operations).expect("a task");
    for part in [
        "https://api.prefect.cloud/api/accounts/<account id>/workspaces/<workspace id>",
        "https://prefect.example.com/api",
        "[T04]",
    ] {
        assert!(text.contains(part), "{text}");
    }
    assert_eq!(operations.len(), 1, "{operations:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_address_is_a_task_that_shows_a_correct_one() {
    let opt_in = ["logs", "events", "flow_run_state_history"];
    for names in [&all_tables()[..], &opt_in, &["events"], &["server_info"]] {
        let mut harness = ConnectionHarness::start(&versions::V3_9).await;
        harness
            .prefect
            .set_interceptor(Status(|_: &ApiRequest| Some(404)));
        assert_shows_an_address(&harness.operations(names, &[]).await);
        // Some gateways reject certain paths themselves, independently of the server behind them.
        harness
            .prefect
            .set_interceptor(Status(|request: &ApiRequest| {
                let is_refused =
                    request.path.starts_with("/automations") || request.path == "/version";
                Some(if is_refused { 403 } else { 404 })
            }));
        assert_shows_an_address(&harness.operations(names, &[]).await);
    }
}

/// A proxy may answer like this for a while, in place of a server that was read before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_answers_404_to_everything_loses_no_row() {
    let mut harness = ConnectionHarness::start(&versions::V3_9).await;
    harness.sync(&all_tables()).await;
    let state = harness.state.clone();
    harness.an_hour_later(|_| {});
    harness
        .prefect
        .set_interceptor(Status(|_: &ApiRequest| Some(404)));
    assert_shows_an_address(&harness.operations(&all_tables(), &[]).await);
    harness.prefect.set_interceptor(NoInterception);
    harness.state = state;
    assert_eq!(harness.sync(&all_tables()).await, Sent::new());
}

/// The server does not have the only selected table: the address is correct.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_that_a_server_does_not_have_is_no_wrong_address() {
    let mut harness = ConnectionHarness::start(&versions::V2_20).await;
    let operations = harness.operations(&["events"], &[]).await;
    assert_eq!(task(&operations), None);
    let reported = warnings(&operations);
    assert!(
        reported.len() == 1
            && reported[0].contains("table events was skipped")
            && reported[0].contains("W05"),
        "{reported:?}"
    );
}

/// A static file server answers 405 to every POST.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_server_is_reported_as_a_wrong_address() {
    let mut harness = ConnectionHarness::start(&versions::V3_9).await;
    harness
        .prefect
        .set_interceptor(Status(|_: &ApiRequest| Some(405)));
    let operations = harness.operations(&all_tables(), &[]).await;
    let text = task(&operations).expect("a task");
    assert!(
        text.contains("Check the API URL") && text.contains("[T06]"),
        "{text}"
    );
}

/// Answers 401 from the `from`-th request on, and counts the requests after the first such response.
struct Revoked {
    from: u64,
    received: u64,
    after: Arc<AtomicU64>,
}

impl Interceptor for Revoked {
    fn before(&mut self, _: &mut Store, _: &ApiRequest) -> Option<ApiResponse> {
        self.received += 1;
        if self.received > self.from {
            self.after.fetch_add(1, Ordering::SeqCst);
        }
        (self.received >= self.from).then(|| ApiResponse::json(401, &json!({ "detail": "no" })))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_requests_are_sent_after_a_rejected_key() {
    let mut counts = Vec::new();
    for from in [1, 7, 20] {
        for concurrency in [1, 4, 8] {
            let mut harness = ConnectionHarness::start(&versions::V3_9).await;
            let after = Arc::new(AtomicU64::new(0));
            harness.prefect.set_interceptor(Revoked {
                from,
                received: 0,
                after: Arc::clone(&after),
            });
            let at_once = concurrency.to_string();
            let answers = [("concurrency", at_once.as_str()), ("api_key", "pnu_x")];
            let operations = harness.operations(&all_tables(), &answers).await;
            let text = task(&operations).expect("a task");
            assert!(text.contains("(401)") && text.contains("[T02]"), "{text}");
            if from == 1 {
                assert_eq!(records(&operations).count(), 0);
            }
            let after = after.load(Ordering::SeqCst);
            counts.push((from, concurrency, after));
            assert!(
                after < concurrency,
                "first 401 at request {from}, {concurrency} at once: {after} more"
            );
        }
    }
    println!("first 401 at request, requests at once, requests after it: {counts:?}");
}

/// All running syncs with the same key stop. A later sync tries again, and so does a sync with another key.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_rejected_for_one_sync_is_rejected_for_all_under_way() {
    let harness = ConnectionHarness::start(&versions::V3_9).await;
    harness
        .prefect
        .set_interceptor(Status(|_: &ApiRequest| Some(401)));
    let accounts = Accounts::default();
    let client = |key: &str| {
        let configuration = configuration(&harness.prefect.url(), &[("api_key", key)]);
        let settings = config::parse(&configuration).unwrap().settings;
        let clock = Arc::new(SystemClock);
        let client = HttpApi::new(settings, RetryPolicy::SYNC, clock, Telemetry::default());
        client.unwrap().sharing(&accounts)
    };
    let list = async |client: &HttpApi| {
        let request = ListRequest {
            collection: Collection("/flows"),
            limit: 2,
            ..ListRequest::default()
        };
        client.list(&request, Ok).await
    };
    let (first, second, other) = (client("pnu_a"), client("pnu_a"), client("pnu_b"));
    for client in [&first, &second, &first] {
        let error = list(client).await.expect_err("rejected");
        assert!(matches!(error, Error::Unauthorized { .. }), "{error}");
    }
    assert_eq!(
        harness.prefect.requests(),
        1,
        "after the first answer nobody asks"
    );
    harness.prefect.set_interceptor(NoInterception);
    list(&other).await.unwrap();
    list(&client("pnu_a")).await.unwrap();
}
