//! The cost of a sync in a large workspace: requests, rows sent again, the age at which edits are found.
//!
//! The tests use simulated time and the demo store, without sockets. The short test runs with the other tests, the long
//! ones with `make scale`.

use std::{
    collections::{BTreeMap, HashMap},
    fmt::Write as _,
    sync::{Arc, Mutex},
    time::Duration,
};

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use fivetran_source::{
    clock::SystemClock,
    prefect::{CountRequest, Error, ListRequest, ListResponse, PrefectApi},
    rows::{Context, fingerprint},
    sync::{Engine, Op, STATE_BYTES, SelectedTable, Selection, SyncQuota, SyncSettings},
    telemetry::Telemetry,
};
use prefect_fake::{
    ApiRequest, ApiResponse, Auth, Id, NewRun, NewState, Population, RunEdit, Settings, Store,
    handler, model::StateType, population,
};
use rand::{Rng, SeedableRng, rngs::SmallRng, seq::IndexedRandom};
use serde::Serialize;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// The store, and the number of requests for each collection.
#[derive(Clone)]
struct Server(Arc<Mutex<(Store, BTreeMap<String, u64>)>>);

impl Server {
    fn ask(&self, path: &str, body: &impl Serialize) -> (String, DateTime<Utc>) {
        let mut guard = self.0.lock().unwrap();
        let (store, asked) = &mut *guard;
        let collection = path.trim_start_matches('/').split('/').next().unwrap();
        *asked.entry(collection.to_owned()).or_default() += 1;
        let request = ApiRequest {
            method: "POST".to_owned(),
            path: path.to_owned(),
            body: serde_json::to_string(body).unwrap(),
            ..ApiRequest::default()
        };
        let ApiResponse { status, body, .. } = handler::respond(store, &Auth::Open, &request);
        assert_eq!(status, 200, "{path}: {body}");
        (body, store.now().trunc_subsecs(0))
    }
}

impl PrefectApi for Server {
    async fn list<T: Send>(
        &self,
        request: &ListRequest,
        read: impl Fn(String) -> Result<T, serde_json::Error> + Send + Sync,
    ) -> Result<ListResponse<T>, Error> {
        let (body, now) = self.ask(&request.collection.filter_path(), request);
        Ok(ListResponse {
            page: read(body).unwrap(),
            server_time: Some(now),
        })
    }

    async fn count(&self, request: &CountRequest) -> Result<Option<u64>, Error> {
        let (body, _) = self.ask(&request.collection.count_path(), request);
        Ok(body.parse().ok())
    }

    async fn version(&self) -> Result<Option<String>, Error> {
        Ok(None)
    }
}

/// The results of one sync.
#[derive(Debug, Default)]
struct Synced {
    /// The table and the id of each upsert.
    upserts: Vec<(&'static str, String)>,
    deletes: u64,
    /// The number of rows that were sent again unchanged.
    again: u64,
    requests: BTreeMap<String, u64>,
}

/// A connection: its server, its state, and the fingerprint of each row as it was last sent.
struct Connection {
    server: Server,
    state: Option<String>,
    sent: HashMap<(&'static str, String), u64>,
}

impl Connection {
    fn to(population: &Population) -> Self {
        let mut store = Store::new(Settings::default(), population.now);
        population::fill(&mut store, population);
        Self {
            server: Server(Arc::new(Mutex::new((store, BTreeMap::new())))),
            state: None,
            sent: HashMap::new(),
        }
    }

    fn with_store<T>(&self, act: impl FnOnce(&mut Store) -> T) -> T {
        act(&mut self.server.0.lock().unwrap().0)
    }

    async fn sync(&mut self) -> Synced {
        let engine = Engine {
            schedule: fivetran_source::sync::Schedule::default(),
            api: Arc::new(self.server.clone()),
            clock: Arc::new(SystemClock),
            telemetry: Telemetry::default(),
            page_size: 200,
            in_flight: SyncQuota::alone(std::num::NonZeroUsize::MIN.saturating_add(3)),
            context: Context::default(),
            settings: SyncSettings::default(),
            workspace: "scale".to_owned(),
            retention: None,
            state_bytes: STATE_BYTES,
            stop: CancellationToken::new(),
        };
        let selection = Selection {
            tables: crate::support::core_tables()
                .into_iter()
                .map(SelectedTable::all)
                .collect(),
        };
        self.server.0.lock().unwrap().1.clear();
        let (outbox, mut steps) = mpsc::channel(4);
        let state = self.state.clone();
        let sync = tokio::spawn(async move {
            engine.run(&selection, state.as_deref(), outbox).await;
        });
        let mut synced = Synced::default();
        while let Some(step) = steps.recv().await {
            for op in step.unwrap() {
                match op {
                    Op::Upsert { table, row } => {
                        let id = row.id().to_owned();
                        let hash = fingerprint(&row);
                        let before = self.sent.insert((table, id.clone()), hash);
                        synced.again += u64::from(before == Some(hash));
                        synced.upserts.push((table, id));
                    }
                    Op::Delete { .. } => synced.deletes += 1,
                    Op::Checkpoint { state_json } => self.state = Some(state_json),
                    Op::Truncate { .. } => {}
                    Op::Warning { message } => panic!("{message}"),
                }
            }
        }
        sync.await.unwrap();
        synced.requests = self.server.0.lock().unwrap().1.clone();
        synced
    }
}

#[tokio::test]
async fn a_quiet_workspace_costs_a_handful_of_requests() {
    let population = Population {
        runs: 100_000,
        open_share: 0.002,
        ..Population::large(3, population::fixed_now())
    };
    let mut connection = Connection::to(&population);
    connection.sync().await;
    for hours in [1, 1, 1, 24] {
        connection.with_store(|store| store.advance(TimeDelta::hours(hours)));
        let quiet = connection.sync().await;
        assert_eq!((quiet.upserts.len(), quiet.deletes), (0, 0));
        let requests: u64 = quiet.requests.values().sum();
        assert!(requests <= 20, "{:?}", quiet.requests);
    }
}

/// The changes in the large workspace.
struct Life {
    rng: SmallRng,
    flows: Vec<Id>,
    running: Vec<Id>,
    /// Ended runs with their end times, for edits.
    ended: Vec<(Id, DateTime<Utc>)>,
    /// Edits that were not sent yet: the run, its end time, and its age at the edit.
    edits: HashMap<String, (DateTime<Utc>, TimeDelta)>,
    /// The number of edits found, by age in powers of four minutes, and the largest multiple of the age.
    found: BTreeMap<u32, (u64, f64)>,
}

impl Life {
    fn new(connection: &Connection) -> Self {
        let mut rng = SmallRng::seed_from_u64(11);
        connection.with_store(|store| {
            let mut ended: Vec<_> = store
                .runs()
                .filter_map(|run| Some((run.id, run.end_time?)))
                .collect();
            ended.sort_unstable();
            let flows = store.flows().map(|flow| flow.id).collect();
            let _: u64 = rng.random();
            Self {
                rng,
                flows,
                running: Vec::new(),
                ended,
                edits: HashMap::new(),
                found: BTreeMap::new(),
            }
        })
    }

    /// Simulates an hour with `runs` new runs and `edits` edits of ended ones.
    fn hour(&mut self, store: &mut Store, runs: i64, edits: i64) {
        let step = TimeDelta::microseconds(3_600_000_000 / runs);
        for n in 0..runs {
            store.advance(step);
            let run = NewRun {
                state: Some(NewState::new(StateType::Pending)),
                ..NewRun::new(*self.flows.choose(&mut self.rng).unwrap())
            };
            let (id, _) = store.create_run(run).unwrap();
            store
                .set_state(id, NewState::new(StateType::Running))
                .unwrap();
            self.running.push(id);
            // About a thousand runs are open at any time.
            if self.running.len() > 1_000 {
                let nth = self.rng.random_range(0..self.running.len());
                let id = self.running.swap_remove(nth);
                store
                    .set_state(id, NewState::new(StateType::Completed))
                    .unwrap();
                self.ended.push((id, store.now()));
            }
            if n * edits / runs != (n + 1) * edits / runs {
                self.edit(store);
            }
        }
    }

    /// Renames a run whose age is between a minute and a fifth of the look-back, log-uniformly distributed.
    fn edit(&mut self, store: &mut Store) {
        let now = store.now();
        let seconds = self
            .rng
            .random_range((60_f64).ln()..(6.0 * 86_400_f64).ln())
            .exp();
        let ended = now - TimeDelta::from_std(Duration::from_secs_f64(seconds)).unwrap();
        // The end times of the first population are not in order: up to 2,000 random runs are tried until one is near.
        let near = |end: DateTime<Utc>| (end - ended).abs() < (now - ended) / 4;
        let recent = self.ended.partition_point(|_| false);
        for _ in 0..2_000 {
            let nth = self.rng.random_range(recent..self.ended.len());
            let (id, end) = self.ended[nth];
            if near(end) && !self.edits.contains_key(&id.to_string()) {
                let edit = RunEdit {
                    name: Some(format!("renamed at {now}")),
                    ..RunEdit::default()
                };
                store.edit_run(id, edit).unwrap();
                self.edits.insert(id.to_string(), (end, now - end));
                return;
            }
        }
    }

    fn see(&mut self, synced: &Synced, now: DateTime<Utc>) {
        for (table, id) in &synced.upserts {
            if *table == "flow_runs"
                && let Some((end, age)) = self.edits.remove(id)
            {
                let minutes = age.num_minutes().max(1).unsigned_abs();
                let (count, worst) = self.found.entry(minutes.ilog(4)).or_default();
                *count += 1;
                // The delay without the hour between two syncs.
                let found = now - end - TimeDelta::hours(1);
                *worst = worst.max(found.as_seconds_f64() / age.as_seconds_f64());
            }
        }
    }

    /// Returns the number of edits that should have been found already.
    fn overdue(&self, now: DateTime<Utc>) -> usize {
        self.edits
            .values()
            .filter(|(end, age)| *end + *age * 5 + TimeDelta::hours(2) < now)
            .count()
    }

    fn histogram(&self) -> String {
        let mut text = String::from(
            "age when edited   edits   found by age (multiple, less a sync interval)\n",
        );
        for (power, (count, worst)) in &self.found {
            let from = 4_u64.pow(*power);
            let _ = writeln!(text, "from {from:>6} min {count:>9}   {worst:.2}");
        }
        text
    }
}

#[tokio::test]
#[ignore = "minutes: make scale"]
async fn a_million_runs_and_a_thousand_more_each_hour() {
    let population = Population {
        runs: setting("SCALE_RUNS", 1_000_000),
        open_share: 0.0,
        ..Population::large(5, population::fixed_now())
    };
    let mut connection = Connection::to(&population);
    let first = connection.sync().await;
    let state = connection.state.as_ref().map_or(0, String::len);
    println!(
        "backfill: {} rows, {:?} requests, state {state} bytes",
        first.upserts.len(),
        first.requests
    );

    let mut life = Life::new(&connection);
    let (mut requests, mut again) = (Vec::new(), 0);
    for hour in 0..setting("SCALE_HOURS", 48) {
        // After two days of a thousand runs an hour the workspace is quieter, so that edits have time to be found.
        let (runs, edits) = if hour < 48 { (1_000, 50) } else { (20, 0) };
        connection.with_store(|store| life.hour(store, runs, edits));
        let synced = connection.sync().await;
        let now = connection.with_store(|store| store.now());
        life.see(&synced, now);
        again += synced.again;
        if hour < 48 {
            requests.push(synced.requests["flow_runs"]);
        }
        assert_eq!(life.overdue(now), 0, "hour {hour}");
    }
    let syncs = u64::try_from(requests.len()).unwrap();
    let tenths = requests.iter().sum::<u64>() * 10 / syncs;
    let mean = format!("{}.{}", tenths / 10, tenths % 10);
    let state = connection.state.as_ref().map_or(0, String::len);
    println!(
        "requests a sync for flow_runs: mean {mean}, most {:?}",
        requests.iter().max()
    );
    println!(
        "rows sent again unchanged: {again}; state {state} bytes; edits not found yet: {}",
        life.edits.len()
    );
    println!("{}", life.histogram());
    assert!(tenths <= 600);
    assert_eq!(again, 0);
}

#[tokio::test]
#[ignore = "minutes: make scale"]
async fn the_state_of_ten_thousand_open_runs_stays_small() {
    let population = Population {
        runs: setting("SCALE_RUNS", 1_000_000),
        open_share: 10_000.0 / f64::from(setting("SCALE_RUNS", 1_000_000)),
        ..Population::large(5, population::fixed_now())
    };
    let mut connection = Connection::to(&population);
    connection.sync().await;
    let bytes = connection.state.as_ref().map_or(0, String::len);
    println!("state with ten thousand open runs: {bytes} bytes");
    assert!(bytes < 1 << 20);
}

/// Reads a number from the environment, for a smaller or a longer test.
fn setting(name: &str, default: u32) -> u32 {
    std::env::var(name)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(default)
}
