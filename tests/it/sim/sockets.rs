//! The same histories over HTTP: the connector's own client against the demo server with the simulated workspace.
//!
//! | subject | variations |
//! |---|---|
//! | releases 2.20, 3.0, 3.8 and 3.9, Prefect Cloud | with and without counts and `/admin/version` (Cloud: without) |
//! | changes between pages, late ones, retention | this machine's clock off by hours, the database's by a minute |
//!
//! Sockets decide the order of the responses to tables that are read concurrently. A seed is the same history, but not
//! down to the last request.

use std::{collections::HashMap, future::Future, mem, pin::Pin, sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use fivetran_source::{
    clock::Clock,
    config,
    prefect::{CountRequest, Error, HttpApi, ListRequest, ListResponse, PrefectApi, RetryPolicy},
    telemetry::Telemetry,
};
use prefect_fake::{
    self, ApiRequest, ApiResponse, Auth, Capabilities, Cloud, Interceptor, Options, Population,
    Profile, RateLimit, Store, cloud, store::Database, versions,
};
use rand::{SeedableRng, rngs::SmallRng};
use serde_json::json;

use super::{
    Tally,
    api::{Server, unavailable},
    continue_history, report,
    simulation_harness::SimulationHarness,
    world::Nature,
};

const KEY: &str = "pnu_sim";
/// A limit low enough that most syncs reach it.
const LIMIT: RateLimit = RateLimit {
    requests: 15,
    ..RateLimit::HOBBY
};
/// The lead of this machine's clock over the server's, in hours.
const AHEAD: [i64; 3] = [-7, 0, 7];

/// The connector's way to the server: direct calls or HTTP.
#[derive(Clone)]
pub(super) enum Way {
    Direct(Server),
    Sockets(Arc<HttpApi>, Server),
}

impl Way {
    /// Returns the connector's client, or an error after a cut, when the server state must not change.
    fn client(&self, path: &str) -> Result<&HttpApi, Error> {
        match self {
            Self::Sockets(api, server) if !server.world().visit.cut => Ok(api),
            _ => Err(unavailable(path)),
        }
    }
}

impl PrefectApi for Way {
    async fn list<T: Send>(
        &self,
        request: &ListRequest,
        read: impl Fn(String) -> Result<T, serde_json::Error> + Send + Sync,
    ) -> Result<ListResponse<T>, Error> {
        match self {
            Self::Direct(server) => server.list(request, read).await,
            Self::Sockets(..) => self.client("a listing")?.list(request, read).await,
        }
    }

    async fn count(&self, request: &CountRequest) -> Result<Option<u64>, Error> {
        match self {
            Self::Direct(server) => server.count(request).await,
            Self::Sockets(..) => self.client("a count")?.count(request).await,
        }
    }

    async fn version(&self) -> Result<Option<String>, Error> {
        match self {
            Self::Direct(server) => server.version().await,
            Self::Sockets(..) => self.client("the version")?.version().await,
        }
    }
}

/// The clock of a machine that is ahead of the server by a fixed time.
struct Ahead(Server, TimeDelta);

impl Clock for Ahead {
    fn now(&self) -> DateTime<Utc> {
        self.0.now() + self.1
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        self.0.sleep(duration)
    }
}

/// Moves the workspace's store into the demo server for the time of a response. No other code uses the workspace during
/// that time: the runtime has one thread, and a response is produced without a pause.
struct StoreSwapper {
    world: Server,
    /// True if the current response comes from the workspace and not from a simulated failure before it.
    is_answer: bool,
}

impl Interceptor for StoreSwapper {
    fn before(&mut self, store: &mut Store, request: &ApiRequest) -> Option<ApiResponse> {
        let mut world = self.world.world();
        let received = world.receive(&request.path);
        mem::swap(store, &mut world.store);
        let said =
            |status| ApiResponse::json(status, &json!({ "detail": "said by the simulation" }));
        let trouble = match received {
            Err(status) => Some(said(status)),
            Ok(()) if world.nature.cloud && cloud::is_missing(&request.path) => Some(said(404)),
            Ok(()) => None,
        };
        self.is_answer = trouble.is_none();
        trouble
    }

    fn after(&mut self, store: &mut Store, request: &ApiRequest, response: &mut ApiResponse) {
        let mut world = self.world.world();
        mem::swap(store, &mut world.store);
        if self.is_answer {
            world.answered(request, response);
        }
    }
}

/// Starts the demo server between the connector of a harness and its workspace.
async fn connect(
    harness: &mut SimulationHarness,
    profile: Profile,
    ahead: TimeDelta,
) -> prefect_fake::Server {
    let now = harness.world().store.now();
    let interceptor = Box::new(StoreSwapper {
        world: harness.server.clone(),
        is_answer: false,
    });
    let options = Options {
        profile,
        auth: Auth::Bearer(KEY.to_owned()),
        interceptor,
        ..Options::new(Population::empty(0, now))
    };
    let server = prefect_fake::Server::start(options)
        .await
        .expect("a free port");
    let form = HashMap::from([
        ("api_url".to_owned(), server.url()),
        ("api_key".to_owned(), KEY.to_owned()),
    ]);
    let settings = config::parse(&form).expect("a configuration").settings;
    let clock = Arc::new(Ahead(harness.server.clone(), ahead));
    let api = HttpApi::new(
        settings,
        RetryPolicy::SYNC,
        clock.clone(),
        Telemetry::default(),
    );
    harness.way = Way::Sockets(Arc::new(api.expect("a client")), harness.server.clone());
    harness.clock = clock;
    server
}

/// Runs one history with its own server. Returns its tally and the number of requests rejected by the rate limit.
fn live(capabilities: &Capabilities, profile: Profile, helpers: bool, seed: u64) -> (Tally, usize) {
    let nature = Nature {
        capabilities: capabilities.clone(),
        database: match seed % 2 {
            0 => Database::Postgres,
            _ => Database::Sqlite,
        },
        cloud: !helpers,
        errors: 0.01,
        change_rate: 0.3,
        late: 0.3,
        retention: Some(TimeDelta::days(30)),
        database_ahead: TimeDelta::seconds([0, -60, 60][usize::try_from(seed % 3).unwrap_or(0)]),
        runs: 120,
        ..Nature::calm()
    };
    let ahead = TimeDelta::hours(AHEAD[usize::try_from(seed / 3 % 3).unwrap_or(0)]);
    let name = format!("sockets-{}-{helpers}-{seed}", capabilities.release);
    let mut harness = SimulationHarness::new(nature, seed, true);
    let history = async {
        let server = connect(&mut harness, profile, ahead).await;
        let mut rng = SmallRng::seed_from_u64(seed);
        let result = continue_history(&mut harness, &mut rng).await;
        (result, server.take_request_log())
    };
    let (result, record) = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(history);
    let mut bounds = HashMap::new();
    for entry in &record {
        let path = entry.request.path.as_str();
        let early = bounds
            .get(path)
            .is_some_and(|not_before| entry.at < *not_before);
        assert!(!early, "before its time: {entry:?}");
        bounds.extend(entry.not_before.map(|not_before| (path, not_before)));
        let (request, missing) = (&entry.request, cloud::is_missing(&entry.request.path));
        let bytes = (request.method == "POST").then_some(request.body.len() as u64);
        assert_eq!(request.content_length, bytes, "{}", request.path);
        assert!(entry.status != 404 || (missing && !helpers), "{entry:?}");
    }
    let refused = record.iter().filter(|entry| entry.status == 429).count();
    let tally = result.unwrap_or_else(|violation| {
        let story = harness.world().story.take().unwrap_or_default();
        panic!(
            "{}",
            report(&violation, &story, &name, "this test by its name")
        )
    });
    (tally, refused)
}

/// Runs some histories of one kind. Returns the number of requests rejected by the rate limit.
fn try_all(capabilities: &Capabilities, profile: &Profile, helpers: &[bool]) -> usize {
    let mut all = 0;
    for (number, helpers) in helpers.iter().enumerate() {
        for seed in 0..3 {
            // Each kind covers every difference between the clocks.
            let seed = 3 * number as u64 + 4 * seed;
            let (tally, refused) = live(capabilities, profile.clone(), *helpers, seed);
            assert!(tally.upserts > 0 && tally.changes > 20, "{tally:?}");
            all += refused;
        }
    }
    all
}

#[test]
fn on_2_20_with_and_without_helpers() {
    try_all(&versions::V2_20, &Profile::SelfHosted, &[true, false]);
}

#[test]
fn on_3_0_with_and_without_helpers() {
    try_all(&versions::V3_0, &Profile::SelfHosted, &[true, false]);
}

#[test]
fn on_3_8_with_and_without_helpers() {
    try_all(&versions::V3_8, &Profile::SelfHosted, &[true, false]);
}

#[test]
fn on_3_9_with_and_without_helpers() {
    try_all(&versions::V3_9, &Profile::SelfHosted, &[true, false]);
}

#[test]
fn on_prefect_cloud() {
    let cloud = Cloud {
        limit: LIMIT,
        ..Cloud::default()
    };
    let refused = try_all(&versions::V3_9, &Profile::Cloud(cloud), &[false]);
    assert!(refused > 10, "{refused} refusals");
}
