//! The engine and its strategies against a small Prefect in memory: every cut, every order of ties,
//! changes between pages.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value as Json, json};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{Engine, Error, Op, SelectedTable, Selection};
use crate::{
    clock::SystemClock,
    prefect::{self, CountRequest, ListRequest, Page, PrefectApi},
    rows::{Context, Row},
    tables,
    telemetry::Telemetry,
};

type Change = Box<dyn FnOnce(&mut World) + Send>;

/// What the server holds, and what happens to it meanwhile.
#[derive(Default)]
struct World {
    /// Seconds since the beginning of the test's time.
    now: i64,
    objects: BTreeMap<&'static str, Vec<Json>>,
    requests: Vec<ListRequest>,
    /// By the number of the request after which it happens.
    changes: BTreeMap<usize, Vec<Change>>,
    limit: u32,
    missing: Vec<&'static str>,
    without_date: bool,
}

fn time(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_795_000_000, 0).expect("in range") + TimeDelta::seconds(seconds)
}

fn text(seconds: i64) -> String {
    time(seconds).to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true)
}

impl World {
    fn run(&mut self, id: usize, expected: i64, updated: i64) {
        self.put(
            "/flow_runs",
            json!({
                "id": uuid(id), "updated": text(updated), "expected_start_time": text(expected),
                "name": format!("run {id} at {updated}"), "estimated_run_time": self.now,
                "state_type": "COMPLETED", "start_time": text(expected), "end_time": text(updated),
            }),
        );
    }

    fn flow(&mut self, id: usize, updated: i64) {
        self.put("/flows", json!({"id": uuid(id), "updated": text(updated), "name": format!("flow {id} at {updated}")}));
    }

    fn deployment(&mut self, id: usize, schedule: &str) {
        self.put("/deployments", json!({
            "id": uuid(id), "created": text(i64::try_from(id).expect("small")), "updated": text(0),
            "schedules": [{"schedule": {"cron": schedule}}], "last_polled": text(self.now),
        }));
    }

    fn put(&mut self, collection: &'static str, object: Json) {
        let objects = self.objects.entry(collection).or_default();
        objects.retain(|other| other["id"] != object["id"]);
        objects.push(object);
    }

    fn remove(&mut self, collection: &'static str, id: usize) {
        self.objects
            .entry(collection)
            .or_default()
            .retain(|other| other["id"] != uuid(id));
    }

    fn page(&mut self, request: &ListRequest) -> Result<Page, prefect::Error> {
        if self.missing.contains(&request.collection.0) {
            return Err(prefect::Error::NotFound {
                url: request.collection.0.to_owned(),
            });
        }
        if request.limit > self.limit {
            return Err(prefect::Error::LimitTooLarge { max: self.limit });
        }
        let mut objects = self
            .objects
            .get(request.collection.0)
            .cloned()
            .unwrap_or_default();
        let filter = serde_json::to_value(&request.filter).expect("serialises");
        objects.retain(|object| matches(object, &filter));
        let key = match request.sort {
            "UPDATED_DESC" => "updated",
            "CREATED_DESC" => "created",
            "EXPECTED_START_TIME_DESC" => "expected_start_time",
            "END_TIME_DESC" => "end_time",
            "ID_DESC" => "id",
            sort => panic!("{sort} is no sort"),
        };
        // Ties in another order at each request, except where the order is unique.
        let turn = self.requests.len() % objects.len().max(1);
        objects.rotate_left(turn);
        objects.sort_by(|a, b| b[key].as_str().cmp(&a[key].as_str()));
        let offset = usize::try_from(request.offset).expect("small");
        let rows: Vec<Json> = objects
            .into_iter()
            .skip(offset)
            .take(usize::try_from(request.limit).expect("small"))
            .collect();
        self.requests.push(request.clone());
        let date = (!self.without_date).then(|| time(self.now));
        let page = Page::parse(&Json::from(rows).to_string(), date).expect("an array");
        for change in self
            .changes
            .remove(&self.requests.len())
            .unwrap_or_default()
        {
            change(self);
        }
        Ok(page)
    }
}

/// Whether an object passes a filter as Prefect reads it.
fn matches(object: &Json, filter: &Json) -> bool {
    let any = |value: &Json, list: &Json| list.as_array().is_none_or(|list| list.contains(value));
    let within = |field: &str| {
        let range = &filter[field];
        let time = |value: &Json| serde_json::from_value::<DateTime<Utc>>(value.clone()).ok();
        let (after, before) = (time(&range["after_"]), time(&range["before_"]));
        let at = time(&object[field]);
        (after.is_none() && before.is_none())
            || at.is_some_and(|at| {
                after.is_none_or(|after| at >= after) && before.is_none_or(|before| at <= before)
            })
    };
    let is_null = &filter["start_time"]["is_null_"];
    any(&object["id"], &filter["id"]["any_"])
        && any(&object["state_type"], &filter["state"]["type"]["any_"])
        && (is_null.is_null() || *is_null == object["start_time"].is_null())
        && within("expected_start_time")
        && within("end_time")
}

fn uuid(id: usize) -> String {
    format!("00000000-0000-0000-0000-{id:012x}")
}

#[derive(Clone)]
struct Server(Arc<Mutex<World>>);

impl PrefectApi for Server {
    async fn list(&self, request: &ListRequest) -> Result<Page, prefect::Error> {
        self.0.lock().expect("lock").page(request)
    }

    async fn count(&self, request: &CountRequest) -> Result<Option<u64>, prefect::Error> {
        let world = self.0.lock().expect("lock");
        Ok(world
            .objects
            .get(request.collection.0)
            .map(|objects| objects.len() as u64))
    }

    async fn version(&self) -> Result<Option<String>, prefect::Error> {
        Ok(None)
    }
}

/// Plays Fivetran: the rows by table and id, and the last state.
#[derive(Debug, Default, Clone, PartialEq)]
struct Warehouse {
    rows: BTreeMap<(&'static str, String), Row>,
    state: Option<String>,
}

impl Warehouse {
    fn commit(&mut self, ops: impl Iterator<Item = Op>) {
        for op in ops {
            match op {
                Op::Upsert { table, row } => {
                    self.rows.insert((table, row.id().to_owned()), row);
                }
                Op::Delete { table, id } => {
                    self.rows.remove(&(table, id));
                }
                Op::Truncate { table } => self.rows.retain(|(of, _), _| *of != table),
                Op::Warning { .. } | Op::Checkpoint { .. } => {}
            }
        }
    }
}

/// What one sync did.
#[derive(Debug, Default)]
struct Synced {
    upserts: Vec<(&'static str, String)>,
    deletes: Vec<(&'static str, String)>,
    warnings: Vec<String>,
    checkpoints: usize,
    operations: usize,
    error: Option<Error>,
}

struct Rig {
    server: Server,
    warehouse: Warehouse,
    page_size: u32,
    selection: Selection,
    stop: CancellationToken,
}

impl Rig {
    fn new(fill: impl FnOnce(&mut World)) -> Self {
        let mut world = World {
            limit: 200,
            ..World::default()
        };
        fill(&mut world);
        Self {
            server: Server(Arc::new(Mutex::new(world))),
            warehouse: Warehouse::default(),
            page_size: 5,
            selection: Selection {
                tables: tables::ALL
                    .iter()
                    .map(|table| SelectedTable::all(table))
                    .collect(),
            },
            stop: CancellationToken::new(),
        }
    }

    fn change(&self, change: impl FnOnce(&mut World)) {
        change(&mut self.server.0.lock().expect("lock"));
    }

    async fn sync(&mut self) -> Synced {
        self.sync_until(usize::MAX).await
    }

    /// Syncs, and goes away after `operations` operations; what follows the last checkpoint is lost.
    async fn sync_until(&mut self, operations: usize) -> Synced {
        let engine = Engine {
            api: self.server.clone(),
            clock: Arc::new(SystemClock),
            telemetry: Telemetry::default(),
            page_size: self.page_size,
            context: Context::default(),
            workspace: "here".to_owned(),
            stop: self.stop.clone(),
        };
        let (outbox, mut steps) = mpsc::channel(1);
        let (selection, state) = (self.selection.clone(), self.warehouse.state.clone());
        let sync = tokio::spawn(async move {
            engine.run(&selection, state.as_deref(), outbox).await;
        });
        let mut synced = Synced::default();
        let mut pending = Vec::new();
        'steps: while let Some(step) = steps.recv().await {
            let ops = match step {
                Ok(ops) => ops,
                Err(error) => {
                    synced.error = Some(error);
                    break;
                }
            };
            for op in ops {
                if synced.operations == operations {
                    break 'steps;
                }
                synced.operations += 1;
                match &op {
                    Op::Upsert { table, row } => {
                        synced.upserts.push((table, row.id().to_owned()));
                    }
                    Op::Delete { table, id } => synced.deletes.push((table, id.clone())),
                    Op::Warning { message } => synced.warnings.push(message.clone()),
                    Op::Checkpoint { .. } => synced.checkpoints += 1,
                    Op::Truncate { .. } => {}
                }
                match op {
                    Op::Checkpoint { state_json } => {
                        self.warehouse.commit(pending.drain(..));
                        self.warehouse.state = Some(state_json);
                    }
                    op => pending.push(op),
                }
            }
        }
        drop(steps);
        sync.await.expect("the sync does not panic");
        synced
    }

    /// Whether the warehouse holds every object as it is now (volatile columns apart).
    fn assert_equal(&self) {
        let world = self.server.0.lock().expect("lock");
        for table in tables::ALL {
            let name = table.position("name");
            for object in world.objects.get(table.endpoint).into_iter().flatten() {
                let id = object["id"].as_str().expect("an id");
                let row = self.warehouse.rows.get(&(table.name, id.to_owned()));
                let row = row.unwrap_or_else(|| panic!("{} {id} is lost", table.name));
                let want = object["name"]
                    .as_str()
                    .map_or(crate::rows::Value::Null, |name| {
                        crate::rows::Value::String(name.to_owned())
                    });
                assert_eq!(
                    name.map(|at| &row.values[at]),
                    Some(&want),
                    "{} {id}",
                    table.name
                );
            }
        }
    }
}

/// 23 runs (a tie group of 12 among them), 13 flows, 7 deployments; pages of 5.
fn fill(world: &mut World) {
    world.now = 1_000;
    for id in 0..11 {
        world.run(id, 10 * i64::try_from(id).expect("small"), 500);
    }
    for id in 11..23 {
        world.run(id, 55, 500);
    }
    for id in 100..113 {
        world.flow(id, i64::try_from(id).expect("small"));
    }
    for id in 200..207 {
        world.deployment(id, "0 6 * * *");
    }
}

#[tokio::test]
async fn the_first_sync_sends_everything_once_and_a_quiet_one_nothing() {
    let mut rig = Rig::new(fill);
    let first = rig.sync().await;
    assert!(first.error.is_none());
    assert_eq!(first.upserts.len(), 23 + 13 + 7);
    assert!(first.checkpoints >= 5 + 3 + 2);
    rig.assert_equal();
    for _ in 0..2 {
        rig.change(|world| {
            world.now += 3_600;
            // Volatile values move by themselves.
            for id in 200..207 {
                world.deployment(id, "0 6 * * *");
            }
        });
        let quiet = rig.sync().await;
        assert_eq!(quiet.upserts, []);
        assert!(quiet.checkpoints > 0);
    }
}

#[tokio::test]
async fn a_change_is_sent_once_also_inside_the_margin() {
    let mut rig = Rig::new(|world| {
        fill(world);
        // Changed a moment before the sync: met again by the next one, and not sent again.
        world.run(3, 30, 999);
        world.flow(105, 999);
    });
    rig.sync().await;
    assert_eq!(rig.sync().await.upserts, []);
    rig.change(|world| {
        world.now = 1_001;
        world.run(3, 30, 1_001);
        world.run(11, 55, 1_000);
        world.run(500, 1_000_000, 1_001);
        world.flow(105, 1_000);
        world.deployment(203, "0 7 * * *");
    });
    let mut upserts = rig.sync().await.upserts;
    upserts.sort_unstable();
    let want = [
        ("deployments", uuid(203)),
        ("flow_runs", uuid(3)),
        ("flow_runs", uuid(11)),
        ("flow_runs", uuid(500)),
        ("flows", uuid(105)),
    ];
    assert_eq!(upserts, want);
    rig.assert_equal();
    assert_eq!(rig.sync().await.upserts, []);
}

#[tokio::test]
async fn cut_anywhere_and_resumed_ends_the_same() {
    let mut whole = Rig::new(fill);
    let operations = whole.sync().await.operations;
    for cut in 0..operations {
        let mut rig = Rig::new(fill);
        rig.sync_until(cut).await;
        // Something changes while nobody reads.
        rig.change(|world| {
            world.now += 10;
            world.run(1, 10, 1_005);
            world.run(600, 5_000, 1_005);
            world.flow(101, 1_005);
        });
        assert!(rig.sync().await.error.is_none());
        rig.assert_equal();
        assert_eq!(rig.sync().await.upserts, [], "cut after {cut}");
    }
}

#[tokio::test]
async fn a_resumed_walk_sends_what_was_committed_only_once() {
    let mut rig = Rig::new(|world| {
        world.now = 100_000;
        for id in 0..100 {
            let at = i64::try_from(id).expect("small");
            world.run(id, at, at);
            world.flow(1_000 + id, at);
        }
    });
    rig.page_size = 10;
    let mut sent = 0;
    for cut in [45, 30, 60, usize::MAX] {
        rig.sync_until(cut).await;
        sent = sent.max(rig.warehouse.rows.len());
    }
    rig.assert_equal();
    assert_eq!(sent, 200);
    // After a cut in the flows (25 operations are two pages): the rest is read, and no more.
    let mut rig2 = Rig::new(|world| {
        world.now = 100_000;
        for id in 0..50 {
            world.flow(id, i64::try_from(id).expect("small"));
        }
    });
    rig2.page_size = 10;
    rig2.sync_until(25).await;
    let committed = rig2.warehouse.rows.len();
    let rest = rig2.sync().await.upserts.len();
    // The row at the edge may come twice.
    assert!(
        (50 - committed..=51 - committed).contains(&rest),
        "{committed} + {rest}"
    );
}

#[tokio::test]
async fn changes_between_pages_are_found_by_the_next_sync_at_the_latest() {
    for at in 1..14 {
        let mut rig = Rig::new(|world| {
            fill(world);
            world.changes.insert(
                at,
                vec![Box::new(|world: &mut World| {
                    world.now += 5;
                    world.run(2, 20, 1_003);
                    world.run(700, 9_999, 1_003);
                    world.run(701, -9_999, 1_003);
                    world.remove("/flow_runs", 5);
                    world.remove("/flows", 112);
                    world.remove("/flows", 111);
                    world.flow(100, 1_003);
                    world.flow(900, 1_003);
                    world.remove("/deployments", 206);
                    world.deployment(201, "0 9 * * *");
                })],
            );
        });
        assert!(rig.sync().await.error.is_none());
        rig.change(|world| world.now += 60);
        rig.sync().await;
        rig.assert_equal();
        assert_eq!(rig.sync().await.upserts, [], "changed after request {at}");
    }
}

#[tokio::test]
async fn a_server_with_smaller_pages_is_obeyed() {
    let mut rig = Rig::new(fill);
    rig.page_size = 200;
    rig.change(|world| world.limit = 7);
    assert!(rig.sync().await.error.is_none());
    rig.assert_equal();
    let world = rig.server.0.lock().expect("lock");
    assert!(world.requests.iter().all(|request| request.limit == 7));
}

#[tokio::test]
async fn a_table_that_is_not_there_is_skipped_and_a_wrong_address_is_not() {
    let mut rig = Rig::new(fill);
    rig.change(|world| world.missing = vec!["/deployments"]);
    let synced = rig.sync().await;
    assert!(synced.error.is_none());
    assert_eq!(synced.upserts.len(), 23 + 13);
    assert!(
        synced.warnings[0].starts_with("table deployments was skipped: "),
        "{:?}",
        synced.warnings
    );

    let mut rig = Rig::new(fill);
    rig.change(|world| world.missing = vec!["/deployments", "/flows", "/flow_runs"]);
    assert!(matches!(
        rig.sync().await.error,
        Some(Error::NothingThere(_))
    ));
}

#[tokio::test]
async fn a_column_added_later_is_filled_and_one_taken_away_costs_nothing() {
    let mut rig = Rig::new(fill);
    let all = rig.selection.clone();
    for selected in &mut rig.selection.tables {
        let name = selected.table.position("name").expect("a name");
        selected.columns[name] = false;
    }
    rig.sync().await;
    rig.selection = all.clone();
    assert_eq!(rig.sync().await.upserts.len(), 23 + 13 + 7);
    rig.selection.tables[0].columns[3] = false;
    assert_eq!(rig.sync().await.upserts, []);
    // A table that comes back after a while catches up.
    rig.selection.tables.remove(0);
    rig.change(|world| world.flow(112, 1_500));
    assert_eq!(rig.sync().await.upserts, []);
    rig.selection.tables.insert(0, {
        let mut flows = all.tables[0].clone();
        flows.columns[3] = false;
        flows
    });
    assert_eq!(rig.sync().await.upserts, [("flows", uuid(112))]);
}

#[tokio::test]
async fn asked_to_stop_it_ends_after_a_checkpointed_page() {
    let mut rig = Rig::new(fill);
    rig.stop.cancel();
    let synced = rig.sync().await;
    assert!(matches!(synced.error, Some(Error::Stopped)));
    // One page of each table, committed.
    assert_eq!(synced.upserts.len(), 15);
    assert_eq!(rig.warehouse.rows.len(), 15);
}

#[tokio::test]
async fn without_the_servers_time_the_user_is_told() {
    let mut rig = Rig::new(|world| {
        fill(world);
        world.without_date = true;
    });
    let synced = rig.sync().await;
    assert_eq!(synced.warnings.len(), 1);
    assert!(synced.warnings[0].contains("no Date header"));
}

#[tokio::test]
async fn odd_objects_are_told_and_the_good_ones_arrive() {
    let mut rig = Rig::new(|world| {
        fill(world);
        let objects = world.objects.entry("/flows").or_default();
        objects.push(json!({"name": "no id", "updated": text(999)}));
        objects.push(json!(7));
        objects.push(json!({"id": uuid(300), "updated": text(999), "name": 7, "colour": "red"}));
    });
    let synced = rig.sync().await;
    assert!(synced.error.is_none());
    assert_eq!(synced.upserts.len(), 23 + 14 + 7);
    let told = synced.warnings.join("\n");
    for part in [
        "no usable id",
        "not a JSON object",
        "column name",
        "field colour",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
}
