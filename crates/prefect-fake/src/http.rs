//! The API behind a socket on this machine.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Request, State},
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::Response,
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::{
    auth::Auth,
    cloud::{Cloud, Gate, Profile},
    handler,
    message::{ApiRequest, ApiResponse},
    model::Time,
    population::{self, Population},
    request_log::RequestLogEntry,
    store::{Database, Settings, Store},
};
use sync_clock::Clock;

/// The maximum size of a request's body in bytes, as at Prefect Cloud.
const MOST_BODY_BYTES: usize = 5 * 1024 * 1024;
/// The maximum number of requests in the record; later ones are only counted.
const MOST_LOGGED: usize = 100_000;

/// The reason why a server did not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No port on this machine could be opened.
    #[error("the demo server could not take a port of this machine")]
    Listen(#[source] std::io::Error),
}

/// A hook between the callers and the store. It can change the store, for example between two pages, or a response.
pub trait Interceptor: Send {
    /// Called before a request is handled; a response returned here is sent instead.
    fn before(&mut self, _store: &mut Store, _request: &ApiRequest) -> Option<ApiResponse> {
        None
    }

    /// Called after a request was handled and before the response is sent.
    fn after(&mut self, _store: &mut Store, _request: &ApiRequest, _response: &mut ApiResponse) {}
}

/// A hook that changes nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoInterception;

impl Interceptor for NoInterception {}

/// The configuration of a server and its data.
pub struct Options {
    /// The settings of the server.
    pub settings: Settings,
    /// The initial data; its `now` is the initial time of the server's clock.
    pub population: Population,
    /// The kind of host that serves the workspace.
    pub profile: Profile,
    /// The authentication that callers need.
    pub auth: Auth,
    /// The clock that sets the server's time at each request; without one, the owner sets the time.
    pub clock: Option<Arc<dyn Clock>>,
    /// The hook between the callers and the store.
    pub interceptor: Box<dyn Interceptor>,
}

impl Options {
    /// Options for an open server of the newest release with `population`, whose clock the owner sets.
    pub fn new(population: Population) -> Self {
        Self {
            settings: Settings {
                seed: population.seed,
                ..Settings::default()
            },
            population,
            profile: Profile::SelfHosted,
            auth: Auth::Open,
            clock: None,
            interceptor: Box::new(NoInterception),
        }
    }

    /// Options for a workspace of Prefect Cloud with `population`, for callers with `key`.
    pub fn cloud(population: Population, cloud: Cloud, key: &str) -> Self {
        let mut options = Self::new(population);
        options.settings.database = Database::Postgres;
        options.profile = Profile::Cloud(cloud);
        options.auth = Auth::Bearer(key.to_owned());
        options
    }
}

/// The state that the requests and the owner share.
struct HandlerState {
    state: Mutex<ServerState>,
    profile: Profile,
    auth: Auth,
    clock: Option<Arc<dyn Clock>>,
}

struct ServerState {
    store: Store,
    gate: Option<Gate>,
    log: Vec<RequestLogEntry>,
    requests: u64,
    interceptor: Box<dyn Interceptor>,
}

impl HandlerState {
    fn state(&self) -> MutexGuard<'_, ServerState> {
        // Each change of the store is complete in itself, so a panic elsewhere leaves the store consistent.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A running server, which stops when it is dropped.
pub struct Server {
    address: SocketAddr,
    shared: Arc<HandlerState>,
    stop: CancellationToken,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Server {
    /// Fills a workspace and serves it on a free port of this machine.
    pub async fn start(options: Options) -> Result<Self, Error> {
        let mut store = Store::new(options.settings, options.population.now);
        population::fill(&mut store, &options.population);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .map_err(Error::Listen)?;
        let address = listener.local_addr().map_err(Error::Listen)?;
        let state = ServerState {
            store,
            gate: Gate::for_profile(&options.profile),
            log: Vec::new(),
            requests: 0,
            interceptor: options.interceptor,
        };
        let shared = Arc::new(HandlerState {
            state: Mutex::new(state),
            profile: options.profile,
            auth: options.auth,
            clock: options.clock,
        });
        let stop = CancellationToken::new();
        let router = Router::new()
            .fallback(handle)
            .with_state(Arc::clone(&shared));
        let stopped = stop.clone().cancelled_owned();
        tokio::spawn(async move {
            // An error here is an error of the listening socket: callers then cannot connect.
            let _ = axum::serve(listener, router)
                .with_graceful_shutdown(stopped)
                .await;
        });
        Ok(Self {
            address,
            shared,
            stop,
        })
    }

    /// Returns the address of the workspace's API.
    pub fn url(&self) -> String {
        match &self.shared.profile {
            Profile::SelfHosted => self.root(),
            Profile::Cloud(cloud) => self.workspace_url(&cloud.account, &cloud.workspace),
        }
    }

    fn root(&self) -> String {
        format!("http://{}/api", self.address)
    }

    /// Returns the API's address in the form of Prefect Cloud, with the ids of an account and a workspace. A
    /// self-hosted server accepts any ids.
    pub fn workspace_url(&self, account: &str, workspace: &str) -> String {
        format!("{}/accounts/{account}/workspaces/{workspace}", self.root())
    }

    /// Reads or changes the store between two requests.
    pub fn with_store<T>(&self, act: impl FnOnce(&mut Store) -> T) -> T {
        act(&mut self.shared.state().store)
    }

    /// Replaces the hook between the callers and the store.
    pub fn set_interceptor(&self, interceptor: impl Interceptor + 'static) {
        self.shared.state().interceptor = Box::new(interceptor);
    }

    /// Returns the number of requests so far.
    pub fn requests(&self) -> u64 {
        self.shared.state().requests
    }

    /// Removes and returns the recorded requests with their results.
    pub fn take_request_log(&self) -> Vec<RequestLogEntry> {
        std::mem::take(&mut self.shared.state().log)
    }

    /// Removes and returns the recorded requests.
    pub fn take_requests(&self) -> Vec<ApiRequest> {
        let log = self.take_request_log();
        log.into_iter().map(|entry| entry.request).collect()
    }
}

async fn handle(State(shared): State<Arc<HandlerState>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let header = |name: HeaderName| head.headers.get(name).and_then(|value| value.to_str().ok());
    let host = header(header::HOST).unwrap_or("localhost").to_owned();
    let authorization = header(header::AUTHORIZATION).map(str::to_owned);
    let content_length = header(header::CONTENT_LENGTH).and_then(|value| value.parse().ok());
    let Ok(bytes) = to_bytes(body, MOST_BODY_BYTES).await else {
        return without_body(StatusCode::PAYLOAD_TOO_LARGE);
    };
    let Some(path) = head
        .uri
        .path()
        .strip_prefix("/api")
        .filter(|path| path.is_empty() || path.starts_with('/'))
    else {
        return without_body(StatusCode::NOT_FOUND);
    };
    let within = shared.profile.within(path);
    let before = within.and_then(|within| path.strip_suffix(within));
    let api_request = ApiRequest {
        method: head.method.as_str().to_owned(),
        path: within.unwrap_or(path).to_owned(),
        elsewhere: within.is_none(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        base: format!("http://{host}/api{}", before.unwrap_or_default()),
        authorization,
        content_length,
        body: String::from_utf8_lossy(&bytes).into_owned(),
    };
    let (response, now) = api_response(&shared, &api_request);
    respond(response, &host, now)
}

fn api_response(shared: &HandlerState, api_request: &ApiRequest) -> (ApiResponse, Time) {
    let mut guard = shared.state();
    let state = &mut *guard;
    if let Some(clock) = &shared.clock {
        state.store.set_now(clock.now());
    }
    state.requests += 1;
    let mut response = state
        .interceptor
        .before(&mut state.store, api_request)
        .or_else(|| {
            let gate = state.gate.as_mut()?;
            gate.refuse(&shared.auth, state.store.now(), api_request)
        })
        .unwrap_or_else(|| handler::respond(&mut state.store, &shared.auth, api_request));
    // The time that the response shows: the hook may advance the clock afterwards.
    let now = state.store.now() + state.store.settings().date_ahead;
    state
        .interceptor
        .after(&mut state.store, api_request, &mut response);
    if state.log.len() < MOST_LOGGED {
        state
            .log
            .push(RequestLogEntry::new(api_request, &response, now));
    }
    (response, now)
}

fn without_body(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

fn respond(api_response: ApiResponse, host: &str, now: Time) -> Response {
    let status =
        StatusCode::from_u16(api_response.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = without_body(status);
    let headers = response.headers_mut();
    if let Ok(date) = HeaderValue::from_str(&httpdate::fmt_http_date(now.into())) {
        headers.insert(header::DATE, date);
    }
    if !api_response.body.is_empty() {
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        );
    }
    for (name, value) in api_response.headers {
        let value = if name == "location" {
            format!("http://{host}/api{value}")
        } else {
            value
        };
        if let (Ok(name), Ok(value)) = (
            HeaderName::from_bytes(name.as_bytes()),
            HeaderValue::from_str(&value),
        ) {
            headers.insert(name, value);
        }
    }
    *response.body_mut() = Body::from(api_response.body);
    response
}
