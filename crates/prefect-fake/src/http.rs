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
    front,
    message::{ApiRequest, ApiResponse},
    model::Time,
    population::{self, Population},
    record::Recorded,
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
    fn before(&mut self, _store: &mut Store, _asked: &ApiRequest) -> Option<ApiResponse> {
        None
    }

    /// Called after a request was handled and before the response is sent.
    fn after(&mut self, _store: &mut Store, _asked: &ApiRequest, _answer: &mut ApiResponse) {}
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
    pub fn of(population: Population) -> Self {
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
        let mut options = Self::of(population);
        options.settings.database = Database::Postgres;
        options.profile = Profile::Cloud(cloud);
        options.auth = Auth::Bearer(key.to_owned());
        options
    }
}

/// The state that the requests and the owner share.
struct Shared {
    world: Mutex<World>,
    profile: Profile,
    auth: Auth,
    clock: Option<Arc<dyn Clock>>,
}

struct World {
    store: Store,
    gate: Option<Gate>,
    record: Vec<Recorded>,
    requests: u64,
    interceptor: Box<dyn Interceptor>,
}

impl Shared {
    fn world(&self) -> MutexGuard<'_, World> {
        // Each change of the store is complete in itself, so a panic elsewhere leaves the store consistent.
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A running server, which stops when it is dropped.
pub struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
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
        let world = World {
            store,
            gate: Gate::of(&options.profile),
            record: Vec::new(),
            requests: 0,
            interceptor: options.interceptor,
        };
        let shared = Arc::new(Shared {
            world: Mutex::new(world),
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
        act(&mut self.shared.world().store)
    }

    /// Replaces the hook between the callers and the store.
    pub fn set_interceptor(&self, interceptor: impl Interceptor + 'static) {
        self.shared.world().interceptor = Box::new(interceptor);
    }

    /// Returns the number of requests so far.
    pub fn requests(&self) -> u64 {
        self.shared.world().requests
    }

    /// Removes and returns the recorded requests with their results.
    pub fn take_record(&self) -> Vec<Recorded> {
        std::mem::take(&mut self.shared.world().record)
    }

    /// Removes and returns the recorded requests.
    pub fn take_log(&self) -> Vec<ApiRequest> {
        let record = self.take_record();
        record.into_iter().map(|entry| entry.asked).collect()
    }
}

async fn handle(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let header = |name: HeaderName| head.headers.get(name).and_then(|value| value.to_str().ok());
    let host = header(header::HOST).unwrap_or("localhost").to_owned();
    let authorization = header(header::AUTHORIZATION).map(str::to_owned);
    let content_length = header(header::CONTENT_LENGTH).and_then(|value| value.parse().ok());
    let Ok(bytes) = to_bytes(body, MOST_BODY_BYTES).await else {
        return plain(StatusCode::PAYLOAD_TOO_LARGE);
    };
    let Some(path) = head
        .uri
        .path()
        .strip_prefix("/api")
        .filter(|path| path.is_empty() || path.starts_with('/'))
    else {
        return plain(StatusCode::NOT_FOUND);
    };
    let within = shared.profile.within(path);
    let before = within.and_then(|within| path.strip_suffix(within));
    let asked = ApiRequest {
        method: head.method.as_str().to_owned(),
        path: within.unwrap_or(path).to_owned(),
        elsewhere: within.is_none(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        base: format!("http://{host}/api{}", before.unwrap_or_default()),
        authorization,
        content_length,
        body: String::from_utf8_lossy(&bytes).into_owned(),
    };
    let (answer, now) = answer(&shared, &asked);
    respond(answer, &host, now)
}

fn answer(shared: &Shared, asked: &ApiRequest) -> (ApiResponse, Time) {
    let mut guard = shared.world();
    let world = &mut *guard;
    if let Some(clock) = &shared.clock {
        world.store.set_now(clock.now());
    }
    world.requests += 1;
    let mut answer = world
        .interceptor
        .before(&mut world.store, asked)
        .or_else(|| {
            let gate = world.gate.as_mut()?;
            gate.refuse(&shared.auth, world.store.now(), asked)
        })
        .unwrap_or_else(|| front::answer(&mut world.store, &shared.auth, asked));
    // The time that the response shows: the hook may advance the clock afterwards.
    let now = world.store.now() + world.store.settings().date_ahead;
    world
        .interceptor
        .after(&mut world.store, asked, &mut answer);
    if world.record.len() < MOST_LOGGED {
        world.record.push(Recorded::of(asked, &answer, now));
    }
    (answer, now)
}

fn plain(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

fn respond(answer: ApiResponse, host: &str, now: Time) -> Response {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = plain(status);
    let headers = response.headers_mut();
    if let Ok(date) = HeaderValue::from_str(&httpdate::fmt_http_date(now.into())) {
        headers.insert(header::DATE, date);
    }
    if !answer.body.is_empty() {
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        );
    }
    for (name, value) in answer.headers {
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
    *response.body_mut() = Body::from(answer.body);
    response
}
