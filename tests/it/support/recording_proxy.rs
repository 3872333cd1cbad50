//! An HTTP proxy that records requests and the server's response times. It can also imitate a server whose clock is
//! ahead.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Request, State},
    response::Response,
};
use chrono::{DateTime, TimeDelta, Utc};
use reqwest::{Client, header};
use serde_json::Value;
use tokio::{net::TcpListener, task::JoinHandle};

/// The headers of a response that matter to a client.
const ANSWERED: [header::HeaderName; 3] = [
    header::CONTENT_TYPE,
    header::CONTENT_ENCODING,
    header::RETRY_AFTER,
];

/// A running proxy; dropping it ends the proxy.
pub(crate) struct RecordingProxy {
    url: String,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

/// A request, with the duration of its response.
#[derive(Debug)]
pub(crate) struct Exchange {
    /// The path below the API's root: `/flow_runs/filter`.
    pub(crate) path: String,
    /// The request's body.
    pub(crate) asked: Value,
    /// The time from sending the request on to the end of the response.
    pub(crate) took: Duration,
}

struct Shared {
    client: Client,
    /// The server's address without a path.
    server: String,
    exchanges: Mutex<Vec<Exchange>>,
    ahead: Mutex<TimeDelta>,
}

impl RecordingProxy {
    /// Starts a proxy in front of `http://HOST:PORT/api`.
    pub(crate) async fn start(server_url: &str) -> Self {
        // reqwest requires a TLS provider even for plain HTTP; another test may have installed one already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder()
            .no_proxy()
            // Compressed responses are forwarded unchanged.
            .gzip(false)
            // The server closes connections that are idle for five seconds.
            .pool_idle_timeout(Duration::from_secs(2))
            .build()
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/api", listener.local_addr().unwrap());
        let shared = Arc::new(Shared {
            client,
            server: server_url.strip_suffix("/api").unwrap().to_owned(),
            exchanges: Mutex::default(),
            ahead: Mutex::default(),
        });
        let router = Router::new()
            .fallback(forward)
            .with_state(Arc::clone(&shared));
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, shared, task }
    }

    /// Returns the server's URL through the proxy.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Moves the `Date` of all later responses ahead by this time. For a client that uses the server's clock, this time
    /// has passed.
    pub(crate) fn set_ahead(&self, ahead: TimeDelta) {
        *self.shared.ahead.lock().unwrap() = ahead;
    }

    /// Returns the requests since the last call, in the order of their responses.
    pub(crate) fn take(&self) -> Vec<Exchange> {
        std::mem::take(&mut self.shared.exchanges.lock().unwrap())
    }
}

impl Drop for RecordingProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn forward(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    let asked = serde_json::from_slice(&body).unwrap_or_default();
    let path = parts.uri.path_and_query().unwrap().as_str();
    let mut headers = parts.headers;
    headers.remove(header::HOST);
    headers.remove(header::CONTENT_LENGTH);
    let sent_at = Instant::now();
    let answer = shared
        .client
        .request(parts.method, format!("{}{path}", shared.server))
        .headers(headers)
        .body(body)
        .send()
        .await
        .unwrap();
    let mut response = Response::builder().status(answer.status());
    for name in ANSWERED {
        if let Some(value) = answer.headers().get(&name) {
            response = response.header(name, value);
        }
    }
    let date = answer.headers()[header::DATE].to_str().unwrap();
    let ahead = *shared.ahead.lock().unwrap();
    let response = response.header(header::DATE, later(date, ahead));
    let answered = answer.bytes().await.unwrap();
    shared.exchanges.lock().unwrap().push(Exchange {
        path: path.trim_start_matches("/api").to_owned(),
        asked,
        took: sent_at.elapsed(),
    });
    response.body(Body::from(answered)).unwrap()
}

/// Returns a `Date` header's value, moved ahead.
fn later(date: &str, ahead: TimeDelta) -> String {
    let date: DateTime<Utc> = httpdate::parse_http_date(date).unwrap().into();
    httpdate::fmt_http_date((date + ahead).into())
}
