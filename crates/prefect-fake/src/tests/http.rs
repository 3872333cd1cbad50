use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::{
    ApiRequest, ApiResponse, Auth, Collection, Interceptor, Options, Population, Server, Store,
    population::fixed_now,
};

pub(super) struct Got {
    pub(super) status: u16,
    date: String,
    pub(super) body: Value,
}

pub(super) fn client() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().build().unwrap()
}

async fn get(server: &Server, path: &str, authorization: Option<&str>) -> Got {
    let mut request = client().get(format!("{}{path}", server.url()));
    if let Some(authorization) = authorization {
        request = request.header("authorization", authorization);
    }
    read(request).await
}

async fn count(server: &Server) -> Got {
    read(
        client()
            .post(format!("{}/flow_runs/count", server.url()))
            .body("{}"),
    )
    .await
}

pub(super) async fn read(request: reqwest::RequestBuilder) -> Got {
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    let date = response
        .headers()
        .get("date")
        .unwrap()
        .to_str()
        .unwrap()
        .to_owned();
    let text = response.text().await.unwrap();
    Got {
        status,
        date,
        body: serde_json::from_str(&text).unwrap_or(Value::Null),
    }
}

async fn start(auth: Auth) -> Server {
    let mut options = Options::new(Population::small(1, fixed_now()));
    options.auth = auth;
    Server::start(options).await.unwrap()
}

#[tokio::test]
async fn the_key_is_asked_for_except_where_health_is() {
    let cases = [
        (
            Auth::Bearer("pnu_k".to_owned()),
            "Bearer pnu_k",
            json!({ "detail": "Invalid authentication credentials" }),
        ),
        (
            Auth::Basic("YTpi".to_owned()),
            "Basic YTpi",
            json!({ "exception_message": "Unauthorized" }),
        ),
    ];
    for (auth, right, refusal) in cases {
        let server = start(auth).await;
        for wrong in [None, Some("Bearer x"), Some("basic YTpi"), Some("")] {
            let got = get(&server, "/admin/version", wrong).await;
            assert_eq!((got.status, &got.body), (401, &refusal), "{wrong:?}");
        }
        assert_eq!(
            get(&server, "/admin/version", Some(right)).await.status,
            200
        );
        assert_eq!(get(&server, "/health", None).await.body, json!(true));
        assert_eq!(get(&server, "/ready", None).await.status, 200);
    }
}

#[tokio::test]
async fn the_date_is_the_stores_and_the_owner_sees_and_changes_everything() {
    let server = start(Auth::Open).await;
    let before = count(&server).await;
    assert_eq!(before.date, httpdate::fmt_http_date(fixed_now().into()));
    let runs = server.with_store(|store| {
        store.advance(TimeDelta::hours(1));
        let id = store.runs().next().unwrap().id;
        store.delete_run(id).unwrap();
        store.len(Collection::FlowRuns)
    });
    let after = count(&server).await;
    assert_eq!((before.body, after.body), (json!(runs + 1), json!(runs)));
    assert_eq!(
        after.date,
        httpdate::fmt_http_date((fixed_now() + TimeDelta::hours(1)).into())
    );
    assert_eq!(server.requests(), 2);
    let log = server.take_requests();
    assert_eq!(
        (
            log[0].method.as_str(),
            log[0].path.as_str(),
            log[0].body.as_str()
        ),
        ("POST", "/flow_runs/count", "{}")
    );
    assert!(server.take_requests().is_empty());
}

/// Deletes a run before each request, and makes every third request fail.
struct BrokenResponses(Arc<AtomicUsize>);

impl Interceptor for BrokenResponses {
    fn before(&mut self, store: &mut Store, _: &ApiRequest) -> Option<ApiResponse> {
        let id = store.runs().next().unwrap().id;
        store.delete_run(id).unwrap();
        let number = self.0.fetch_add(1, Ordering::SeqCst);
        (number % 3 == 2)
            .then(|| ApiResponse::json(503, &json!({ "exception_message": "Service Unavailable" })))
    }

    fn after(&mut self, _: &mut Store, _: &ApiRequest, answer: &mut ApiResponse) {
        answer.headers.push(("retry-after", "1".to_owned()));
    }
}

#[tokio::test]
async fn an_interceptor_changes_the_store_between_requests_and_answers_instead() {
    let server = start(Auth::Open).await;
    server.set_interceptor(BrokenResponses(Arc::default()));
    let mut seen = Vec::new();
    for _ in 0..3 {
        let got = count(&server).await;
        seen.push((got.status, got.body));
    }
    assert_eq!(seen[..2], [(200, json!(1_999)), (200, json!(1_998))]);
    assert_eq!(seen[2].0, 503);
}

#[tokio::test]
async fn a_dropped_server_stops_listening() {
    let server = start(Auth::Open).await;
    let url = format!("{}/health", server.url());
    assert!(client().get(&url).send().await.is_ok());
    drop(server);
    // The listening socket closes when its task runs next.
    for _ in 0..1_000 {
        if client().get(&url).send().await.is_err() {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("still there");
}
