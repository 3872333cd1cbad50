//! The service over real gRPC against the demo server: the response of each call, and its message on failure.

use std::{
    future::Future,
    pin::Pin,
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use chrono::{DateTime, Utc};
use fivetran_source::{
    clock::{Clock, SystemClock},
    fivetran::{
        proto::{ConfigurationFormRequest, FormField, form_field, update_response::Operation},
        server,
    },
    telemetry::Telemetry,
};
use prefect_fake::{ApiRequest, ApiResponse, Auth, Interceptor, Population, Store};
use serde_json::json;
use tonic::{Code, Status};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use crate::support::served::{Served, configuration, last_state, rows};

/// A key that must occur only in request headers.
const CANARY: &str = "pnu_canary_5f3a";

/// A clock that never waits, and records the requested durations.
#[derive(Default)]
struct Impatient(Mutex<Vec<Duration>>);

impl Clock for Impatient {
    fn now(&self) -> DateTime<Utc> {
        SystemClock.now()
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        self.0.lock().unwrap().push(duration);
        Box::pin(std::future::ready(()))
    }
}

/// Responds to some requests instead of the server.
struct Instead<F>(F);

impl<F: FnMut(&ApiRequest) -> Option<ApiResponse> + Send> Interceptor for Instead<F> {
    fn before(&mut self, _: &mut Store, request: &ApiRequest) -> Option<ApiResponse> {
        (self.0)(request)
    }
}

struct ServiceHarness {
    served: Served,
    prefect: prefect_fake::Server,
    clock: Arc<Impatient>,
}

impl ServiceHarness {
    async fn start(auth: Auth) -> Self {
        let population = Population {
            runs: 450,
            ..Population::small(7, prefect_fake::population::fixed_now())
        };
        let prefect = prefect_fake::Server::start(prefect_fake::Options {
            auth,
            ..prefect_fake::Options::new(population)
        })
        .await
        .unwrap();
        let clock = Arc::new(Impatient::default());
        Self {
            served: Served::start(clock.clone(), Telemetry::default()).await,
            prefect,
            clock,
        }
    }

    /// Runs a setup test and returns its failure message.
    async fn test(&mut self, name: &str, more: &[(&str, &str)]) -> Option<String> {
        let configuration = configuration(&self.prefect.url(), more);
        let failure = self.served.test(name, configuration).await;
        if let Some(text) = &failure {
            assert!(!text.contains(CANARY) && !text.contains('\n'), "{text}");
        }
        failure
    }

    /// Runs a sync and returns its operations and its final status.
    async fn update(
        &mut self,
        more: &[(&str, &str)],
        state_json: Option<String>,
    ) -> (Vec<Operation>, Result<(), Status>) {
        let configuration = configuration(&self.prefect.url(), more);
        self.served.update(configuration, state_json).await
    }

    fn instead(&self, answer: impl FnMut(&ApiRequest) -> Option<ApiResponse> + Send + 'static) {
        self.prefect.set_interceptor(Instead(answer));
    }
}

fn answer(status: u16) -> ApiResponse {
    ApiResponse::json(status, &json!({ "detail": "said by the test" }))
}

#[tokio::test]
async fn setup_tests_pass_with_the_right_credentials() {
    let mut harness = ServiceHarness::start(Auth::Bearer(CANARY.to_owned())).await;
    for test in ["connection", "access"] {
        assert_eq!(harness.test(test, &[("api_key", CANARY)]).await, None);
    }
    // base64 of admin:hunter2
    let mut harness = ServiceHarness::start(Auth::Basic("YWRtaW46aHVudGVyMg==".to_owned())).await;
    for test in ["connection", "access"] {
        assert_eq!(
            harness
                .test(test, &[("auth_string", "admin:hunter2")])
                .await,
            None
        );
    }
}

/// Prefect's own client and server accept any text.
#[tokio::test]
async fn an_auth_string_needs_no_colon() {
    // base64 of hunter2, and of a:b:c.
    for (encoded, auth) in [("aHVudGVyMg==", "hunter2"), ("YTpiOmM=", "a:b:c")] {
        let mut harness = ServiceHarness::start(Auth::Basic(encoded.to_owned())).await;
        assert_eq!(harness.test("access", &[("auth_string", auth)]).await, None);
        assert!(
            harness
                .test("access", &[("auth_string", "other")])
                .await
                .is_some()
        );
    }
}

#[tokio::test]
async fn every_field_of_the_form_has_a_label() {
    fn check(fields: &[FormField]) -> usize {
        let groups = fields.iter().map(|field| {
            assert!(!field.label.is_empty(), "{}", field.name);
            match &field.r#type {
                Some(form_field::Type::ConditionalFields(group)) => 1 + check(&group.fields),
                _ => 0,
            }
        });
        groups.sum()
    }
    let mut harness = ServiceHarness::start(Auth::Open).await;
    let form = harness
        .served
        .client
        .configuration_form(ConfigurationFormRequest {});
    let groups = check(&form.await.unwrap().into_inner().fields);
    assert!(groups >= 2, "{groups} groups");
}

#[tokio::test]
async fn a_failed_connection_says_what_to_check() {
    let mut harness = ServiceHarness::start(Auth::Open).await;
    // Bound, so that no other process gets the port, and not listening.
    let closed = tokio::net::TcpSocket::new_v4().unwrap();
    closed.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let refused = format!("http://{}/api", closed.local_addr().unwrap());
    let tls = harness.prefect.url().replace("http://", "https://");
    let elsewhere = format!("{}/nowhere", harness.prefect.url());
    for (url, want) in [
        (
            "http://no-such-host.invalid/api",
            "the host name is not known",
        ),
        (refused.as_str(), "the connection is refused"),
        (tls.as_str(), "the TLS connection fails"),
        (elsewhere.as_str(), "does not exist (404)"),
        ("not a url", "configuration field `api_url`: must be a URL"),
    ] {
        let text = harness
            .test("connection", &[("api_url", url), ("api_key", CANARY)])
            .await;
        let text = text.unwrap_or_else(|| panic!("{url} passed"));
        assert!(text.contains(want), "{url}: {text}");
    }
}

#[tokio::test]
async fn a_failed_answer_says_what_to_check() {
    let mut harness = ServiceHarness::start(Auth::Open).await;
    for (answer, want) in [
        (answer(401), "does not accept the credentials (401)"),
        (
            answer(403),
            "denies access to /admin/version (403: said by the test)",
        ),
        (
            ApiResponse::text(200, "\"2.14.3\"".to_owned()),
            "is Prefect 2.14.3; this connector reads Prefect 2.20 and later",
        ),
        (
            ApiResponse::text(200, "<html>login</html>".to_owned()),
            "it sent a web page",
        ),
        (
            ApiResponse {
                headers: vec![("location", "/login?token=secret".to_owned())],
                ..answer(302)
            },
            "redirects to http://127.0.0.1",
        ),
        (answer(503), "failed on the server (503) after 2 tries"),
    ] {
        harness.instead(move |_| Some(answer.clone()));
        let text = harness
            .test("connection", &[("api_key", CANARY)])
            .await
            .expect("a failure");
        assert!(text.contains(want), "{text}");
        assert!(!text.contains("secret"), "{text}");
    }
    // Prefect Cloud reports no version: a listing shows that its API responds.
    harness.instead(|request| (request.path == "/admin/version").then(|| answer(404)));
    assert_eq!(harness.test("connection", &[]).await, None);
    // A table that the key may not read can be deselected; a key that may read no table is useless.
    harness.instead(|request| (request.path == "/deployments/filter").then(|| answer(403)));
    assert_eq!(harness.test("access", &[]).await, None);
    harness.instead(|_| Some(answer(403)));
    let text = harness.test("access", &[]).await.expect("a failure");
    assert!(text.starts_with("table flows: "), "{text}");
    assert!(
        harness
            .test("colour", &[])
            .await
            .expect("a failure")
            .contains("not known")
    );
}

#[tokio::test]
async fn a_sync_is_complete_and_a_quiet_one_empty() {
    let mut harness = ServiceHarness::start(Auth::Open).await;
    let (operations, end) = harness.update(&[], None).await;
    assert!(end.is_ok());
    assert_eq!(rows(&operations), 450 + 20 + 30);
    for operation in &operations {
        if let Operation::Records(records) = operation {
            assert!(records.records.len() <= 100);
        }
    }
    let (operations, end) = harness.update(&[], last_state(&operations)).await;
    assert!(end.is_ok());
    assert_eq!(rows(&operations), 0);
    assert!(last_state(&operations).is_some());
}

#[tokio::test]
async fn what_cannot_be_used_is_refused_before_anything_is_read() {
    let mut harness = ServiceHarness::start(Auth::Open).await;
    let (_, end) = harness.update(&[("batch_size", "1000")], None).await;
    let status = end.expect_err("refused");
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(
        status
            .message()
            .contains("`batch_size`: must be a whole number from 1 to 200")
    );
    for state in [
        "{",
        "{\"version\":7}",
        "{\"version\":1,\"workspace\":\"elsewhere\",\"tables\":{}}",
    ] {
        let (operations, end) = harness.update(&[], Some(state.to_owned())).await;
        assert!(end.is_ok());
        let [Operation::Task(task)] = operations.as_slice() else {
            panic!("{operations:?}");
        };
        assert!(
            task.message.contains("Re-sync All Historical Data"),
            "{}",
            task.message
        );
    }
    assert_eq!(harness.prefect.requests(), 0);
}

#[tokio::test]
async fn a_lost_permission_is_a_task_for_the_user() {
    let mut harness = ServiceHarness::start(Auth::Bearer("another".to_owned())).await;
    let (operations, end) = harness.update(&[("api_key", CANARY)], None).await;
    assert!(end.is_ok());
    let [Operation::Task(task)] = operations.as_slice() else {
        panic!("{operations:?}");
    };
    assert!(
        task.message.contains("table flows: ") && task.message.contains("(401)"),
        "{}",
        task.message
    );
    assert!(!format!("{operations:?}").contains(CANARY));
}

#[tokio::test]
async fn transient_failures_are_retried_and_lasting_ones_end_after_a_checkpoint() {
    let mut harness = ServiceHarness::start(Auth::Open).await;
    // Every other response fails, each time in a different way.
    let turn = AtomicUsize::new(0);
    harness.instead(move |_| match turn.fetch_add(1, Ordering::Relaxed) % 6 {
        1 => Some(answer(503)),
        3 => Some(ApiResponse::text(200, "{}".to_owned())),
        5 => Some(ApiResponse {
            headers: vec![("retry-after", "7".to_owned())],
            ..answer(429)
        }),
        _ => None,
    });
    let (operations, end) = harness.update(&[("batch_size", "50")], None).await;
    assert!(end.is_ok());
    assert_eq!(rows(&operations), 500);
    let waits = std::mem::take(&mut *harness.clock.0.lock().unwrap());
    assert!(
        waits.iter().any(|wait| *wait >= Duration::from_secs(7)),
        "Retry-After is obeyed"
    );

    // From the fifth request on the server stays down.
    let turn = AtomicUsize::new(0);
    harness.instead(move |_| (turn.fetch_add(1, Ordering::Relaxed) > 3).then(|| answer(500)));
    let (before, end) = harness.update(&[("batch_size", "50")], None).await;
    let status = end.expect_err("it ends early");
    assert_eq!(status.code(), Code::Unavailable);
    assert!(
        status.message().contains("(500) after 8 tries"),
        "{}",
        status.message()
    );
    harness
        .prefect
        .set_interceptor(prefect_fake::NoInterception);
    let (after, end) = harness
        .update(&[("batch_size", "50")], last_state(&before))
        .await;
    assert!(end.is_ok());
    let (sent, rest) = (rows(&before), rows(&after));
    assert!(
        sent > 0 && sent + rest <= 501,
        "{sent} + {rest}: what was committed is not sent again"
    );
}

#[tokio::test]
async fn a_stop_lets_the_page_finish_and_ends_the_server() {
    let mut harness = ServiceHarness::start(Auth::Open).await;
    let stop = harness.served.stop.clone();
    let turn = AtomicUsize::new(0);
    harness.instead(move |_| {
        if turn.fetch_add(1, Ordering::Relaxed) == 2 {
            stop.cancel();
        }
        None
    });
    let (operations, end) = harness.update(&[("batch_size", "50")], None).await;
    assert_eq!(end.expect_err("stopped").code(), Code::Unavailable);
    assert!(matches!(operations.last(), Some(Operation::Checkpoint(_))));
    assert!(rows(&operations) > 0);
    drop((harness.served.client, harness.served.channel));
    harness.served.serving.await.unwrap().unwrap();
}

#[tokio::test]
async fn the_service_reports_its_health() {
    let harness = ServiceHarness::start(Auth::Open).await;
    let mut health = HealthClient::new(harness.served.channel.clone());
    for service in ["", "fivetran_sdk.v2.SourceConnector"] {
        let request = HealthCheckRequest {
            service: service.to_owned(),
        };
        let status = health.check(request).await.unwrap().into_inner().status();
        assert_eq!(status, ServingStatus::Serving, "{service}");
    }
}

#[tokio::test]
async fn it_answers_on_both_families_and_says_when_the_port_is_in_use() {
    let listener = server::listen(0).unwrap();
    let port = listener.local_addr().unwrap().port();
    assert!(
        tokio::net::TcpStream::connect(("127.0.0.1", port))
            .await
            .is_ok()
    );
    if tokio::net::TcpListener::bind("[::1]:0").await.is_ok() {
        assert!(tokio::net::TcpStream::connect(("::1", port)).await.is_ok());
    }
    let output = tokio::task::spawn_blocking(move || {
        Command::new(env!("CARGO_BIN_EXE_fivetran_source"))
            .args(["--port", &port.to_string()])
            .output()
            .unwrap()
    })
    .await
    .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let line: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(line["level"], "SEVERE");
    assert!(
        line["message"]
            .as_str()
            .unwrap()
            .starts_with(&format!("port {port} is in use"))
    );
}
