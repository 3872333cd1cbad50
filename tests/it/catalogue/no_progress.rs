//! Servers whose offset pagination makes no progress, and servers whose first page is empty once.

use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeDelta;
use fivetran_source::{
    fivetran::proto::{RecordType, update_response::Operation, value_type::Inner},
    tables::{self, Strategy, Table},
};
use prefect_fake::{
    ApiRequest, ApiResponse, Capabilities, GenericCollection, GenericObject, Interceptor,
    NoInterception, Store, changes::NewState, model::StateType, versions,
};
use serde_json::{Value, json};
use test_support::records;

use super::{
    connection_harness::{ConnectionHarness, change, plain},
    feeds,
};

/// Small enough for several pages, and large enough that single rows do not matter.
const PAGE: &[(&str, &str)] = &[("batch_size", "50")];

/// The same with one request at a time. A page of another part of the listing that fits the request cannot be
/// distinguished from the right page. The pages that alternate must not depend on the order of the responses.
const ONE_BY_ONE: &[(&str, &str)] = &[("batch_size", "50"), ("concurrency", "1")];

/// The number of objects of each collection.
const MANY: usize = 230;

/// The fault of all pages after the first page of a listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Each later page is empty.
    Empty,
    /// Each later page repeats the first one.
    First,
    /// The first two pages alternate.
    Alternate,
}

/// Falsifies listings in one way; look-ups by id and counts stay correct.
struct Spoiled {
    kind: Kind,
    /// The pages of each listing, as the server returned them.
    pages: BTreeMap<String, Vec<String>>,
}

impl Interceptor for Spoiled {
    fn after(&mut self, _: &mut Store, request: &ApiRequest, response: &mut ApiResponse) {
        let Some(listing) = listing(request).filter(|_| response.status == 200) else {
            return;
        };
        let body = response.body.clone();
        let pages = self.pages.entry(listing).or_default();
        match self.kind {
            Kind::Empty if !pages.is_empty() => response.body = empty(request),
            Kind::First if !pages.is_empty() => response.body.clone_from(&pages[0]),
            Kind::Alternate if pages.len() >= 2 => {
                let turn = pages.len() % 2;
                response.body.clone_from(&pages[turn]);
            }
            _ => {}
        }
        pages.push(body);
    }
}

/// Answers the first request of each listing with an empty page.
#[derive(Default)]
struct EmptyOnce(BTreeSet<String>);

impl Interceptor for EmptyOnce {
    fn after(&mut self, _: &mut Store, request: &ApiRequest, response: &mut ApiResponse) {
        let listing = listing(request).filter(|_| response.status == 200);
        if listing.is_some_and(|listing| self.0.insert(listing)) {
            response.body = empty(request);
        }
    }
}

/// Returns a key that all pages of a listing share, or `None` if the request is not a listing.
fn listing(request: &ApiRequest) -> Option<String> {
    if request.path.starts_with("/events/filter") {
        let body: Value = serde_json::from_str(&request.body).unwrap_or_default();
        return (body["limit"] != 1).then(|| "/events".to_owned());
    }
    let body: Value = serde_json::from_str(&request.body).ok()?;
    let is_list = request.method == "POST" && request.path.ends_with("/filter");
    let own = body.as_object()?.values().find(|value| value.is_object());
    let own = own.cloned().unwrap_or_default();
    if !is_list || own.get("id").is_some() {
        return None;
    }
    let filter = [&own["state"], &own["start_time"], &body["sort"]].map(Value::to_string);
    Some(request.path.clone() + &filter.concat())
}

fn empty(request: &ApiRequest) -> String {
    let events = json!({"events": [], "total": 0, "next_page": null});
    if request.path.starts_with("/events") {
        events.to_string()
    } else {
        "[]".to_owned()
    }
}

/// Starts a server on which the table has several pages.
async fn harness(release: &Capabilities, table: &Table) -> ConnectionHarness {
    let harness = ConnectionHarness::start_with(release, |population| {
        population.runs = 400;
        population.flows = 230;
        population.deployments = 230;
    });
    let harness = harness.await;
    if let Some(collection) = plain(table.name) {
        harness
            .prefect
            .with_store(|store| multiply(store, collection));
    }
    harness
}

/// Copies an object under other names until the collection has [`MANY`] objects.
fn multiply(store: &mut Store, collection: GenericCollection) {
    let first = store.objects(collection).min_by_key(|object| object.id);
    let Some(first) = first.cloned() else { return };
    for number in store.object_count(collection)..MANY {
        let mut fields = first.fields.clone();
        for name in ["name", "key", "tag", "slug"] {
            if let Some(Value::String(text)) = fields.get_mut(name) {
                *text = format!("{text}-{number:03}");
            }
        }
        let age = chrono::TimeDelta::minutes(i64::try_from(number).unwrap());
        // Workers are sorted by their heartbeat.
        if let Some(heartbeat) = fields.get_mut("last_heartbeat_time") {
            let at = (first.created + age).format("%Y-%m-%dT%H:%M:%S%.6fZ");
            *heartbeat = at.to_string().into();
        }
        let id = store.new_id();
        let copy = GenericObject::new(id, first.created + age, Value::Object(fields));
        store.put_object(collection, copy);
    }
}

type Ids = BTreeSet<(String, String)>;

/// Returns the rows that these operations send and the rows that they delete.
fn ids(operations: &[Operation]) -> (Ids, Ids) {
    let (mut sent, mut deleted) = (Ids::new(), Ids::new());
    for record in records(operations) {
        if let Some(Inner::String(id)) = record.data.get("id").and_then(|id| id.inner.clone()) {
            let row = (record.table_name.clone(), id);
            match record.r#type() {
                RecordType::Delete => deleted.insert(row),
                _ => sent.insert(row),
            };
        }
    }
    (sent, deleted)
}

fn listed_tables() -> impl Iterator<Item = &'static Table> {
    let is_listed = |table: &&&Table| !matches!(table.strategy, Strategy::Server);
    tables::ALL.iter().filter(is_listed).copied()
}

/// The faults with which the table's listing makes no progress. With keyset pagination by time each request has its own
/// bounds, so an empty page can be correct.
fn kinds(table: &Table) -> &'static [Kind] {
    match table.strategy {
        Strategy::Snapshot(_) | Strategy::NewestFirst { .. } => {
            &[Kind::Empty, Kind::First, Kind::Alternate]
        }
        _ => &[Kind::First, Kind::Alternate],
    }
}

/// Returns the tables that use offset pagination.
fn by_offset() -> Vec<(&'static Capabilities, &'static Table)> {
    let is_by_offset = |table: &&Table| {
        matches!(
            table.strategy,
            Strategy::Snapshot(_) | Strategy::NewestFirst { .. }
        )
    };
    let tables = listed_tables().filter(is_by_offset);
    tables.map(|table| (&versions::V3_9, table)).collect()
}

/// Returns every table, and also those that are read differently from older servers.
fn cases() -> Vec<(&'static Capabilities, &'static Table)> {
    let old = ["flow_runs", "task_runs", "flow_run_state_history"];
    let old = listed_tables().filter(move |table| old.contains(&table.name));
    let newest = listed_tables().map(|table| (&versions::V3_9, table));
    newest
        .chain(old.map(|table| (&versions::V2_20, table)))
        .collect()
}

/// The sync must end with an error, without deletes, after at most three times the requests of a complete read. The
/// next sync must complete from the saved state.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listing_without_progress_ends_the_sync_with_an_error() {
    let mut faults = Vec::new();
    println!("release  table                      complete   [empty, first, alternate]");
    for (release, table) in cases() {
        let name = table.name;
        let mut whole = harness(release, table).await;
        let (all, _) = ids(&whole.operations(&[name], ONE_BY_ONE).await);
        let complete = whole.prefect.requests();
        let mut requests = Vec::new();
        for kind in kinds(table) {
            let case = format!("{} {name}, {kind:?}", release.release);
            let mut harness = harness(release, table).await;
            harness.prefect.set_interceptor(Spoiled {
                kind: *kind,
                pages: BTreeMap::new(),
            });
            let (operations, error) = harness.attempt(&[name], ONE_BY_ONE).await;
            let asked_for = harness.prefect.requests();
            requests.push(asked_for);
            if !error
                .as_ref()
                .is_some_and(|error| error.message().contains("[E07]"))
            {
                faults.push(format!("{case}: {error:?}"));
            }
            if asked_for > 3 * complete {
                faults.push(format!(
                    "{case}: {asked_for} requests, {complete} read everything"
                ));
            }
            let (mut sent, deleted) = ids(&operations);
            harness.prefect.set_interceptor(NoInterception);
            let (again, deleted_then) = ids(&harness.operations(&[name], ONE_BY_ONE).await);
            if !deleted.is_empty() || !deleted_then.is_empty() {
                faults.push(format!("{case}: deletes"));
            }
            sent.extend(again);
            let lost = all.difference(&sent).count();
            if lost > 0 {
                faults.push(format!("{case}: {lost} of {} rows are lost", all.len()));
            }
        }
        println!(
            "{:<8} {name:<26} {complete:>8} {requests:?}",
            release.release
        );
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// The same at a later sync, which knows the objects: it must delete none and lose none.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_deleted_when_a_later_listing_makes_no_progress() {
    let mut faults = Vec::new();
    for (release, table) in by_offset() {
        let name = table.name;
        let mut harness = harness(release, table).await;
        harness.operations(&[name], PAGE).await;
        for kind in kinds(table) {
            let case = format!("{} {name}, {kind:?}", release.release);
            harness.an_hour_later(|store| {
                change(store, name);
            });
            harness.prefect.set_interceptor(Spoiled {
                kind: *kind,
                pages: BTreeMap::new(),
            });
            let before = harness.prefect.requests();
            let (operations, _) = harness.attempt(&[name], PAGE).await;
            let spent = harness.prefect.requests() - before;
            harness.prefect.set_interceptor(NoInterception);
            let (_, then) = ids(&harness.operations(&[name], PAGE).await);
            if !ids(&operations).1.is_empty() || !then.is_empty() {
                faults.push(format!("{case}: deletes"));
            }
            if spent > 120 {
                faults.push(format!("{case}: {spent} requests"));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// The first page of each listing is empty once, as from a gateway that is starting.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_empty_first_page_loses_nothing() {
    let mut faults = Vec::new();
    for (release, table) in cases() {
        let name = table.name;
        let case = format!("{} {name}", release.release);
        let (all, _) = ids(&harness(release, table)
            .await
            .operations(&[name], PAGE)
            .await);
        let mut harness = harness(release, table).await;
        harness.prefect.set_interceptor(EmptyOnce::default());
        let (sent, _) = ids(&harness.operations(&[name], PAGE).await);
        let missing = all.difference(&sent).count();
        if missing > 0 {
            faults.push(format!("{case}: {missing} of {} rows", all.len()));
        }
        // A later sync, which knows the earlier objects.
        harness.prefect.set_interceptor(NoInterception);
        harness.operations(&[name], PAGE).await;
        let mut rows = None;
        harness.an_hour_later(|store| rows = change(store, name));
        harness.prefect.set_interceptor(EmptyOnce::default());
        let (mut later, mut deleted) = ids(&harness.operations(&[name], PAGE).await);
        harness.prefect.set_interceptor(NoInterception);
        let (then, deleted_then) = ids(&harness.operations(&[name], PAGE).await);
        later.extend(then);
        deleted.extend(deleted_then);
        if later.len() != rows.unwrap_or_default() || !deleted.is_empty() {
            let (sent, gone) = (later.len(), deleted.len());
            faults.push(format!(
                "{case}: changed {rows:?}, sent {sent}, deleted {gone}"
            ));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// The first page of each listing is empty once in the sync that continues an interrupted one: the first sync, or a
/// later one that reads a window of many new rows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_empty_first_page_after_an_interruption_loses_nothing() {
    let mut faults = Vec::new();
    for (release, table) in cases() {
        let mut harness = harness(release, table).await;
        let case = format!("{} {}", release.release, table.name);
        let first = harness.operations(&[table.name], PAGE).await;
        let after_first = harness.state.clone();
        faults.extend(continued(&mut harness, &format!("{case}, first sync"), table, &first).await);
        let mut has_rows = false;
        harness.an_hour_later(|store| has_rows = add_rows(store, table.name));
        if has_rows {
            harness.state = after_first;
            let later = harness.operations(&[table.name], PAGE).await;
            let interrupted = format!("{case}, later sync");
            faults.extend(continued(&mut harness, &interrupted, table, &later).await);
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Continues a sync that is interrupted at some of its checkpoints, with an empty first page of each listing. Returns
/// the interruptions after which rows are missing, also after the sync that follows.
async fn continued(
    harness: &mut ConnectionHarness,
    case: &str,
    table: &Table,
    whole: &[Operation],
) -> Vec<String> {
    let mut faults = Vec::new();
    let (all, _) = ids(whole);
    let operations = whole.iter().enumerate();
    let checkpoints: Vec<_> = operations
        .filter_map(|(at, operation)| match operation {
            Operation::Checkpoint(checkpoint) => Some((at, &checkpoint.state_json)),
            _ => None,
        })
        .collect();
    for (at, state) in checkpoints
        .iter()
        .step_by(checkpoints.len().div_ceil(4).max(1))
    {
        harness.state = Some((*state).clone());
        let (mut sent, _) = ids(&whole[..=*at]);
        for is_first in [true, false] {
            if is_first {
                harness.prefect.set_interceptor(EmptyOnce::default());
            } else {
                harness.prefect.set_interceptor(NoInterception);
            }
            sent.extend(ids(&harness.operations(&[table.name], PAGE).await).0);
        }
        let missing = all.difference(&sent).count();
        if missing > 0 {
            let all = all.len();
            faults.push(format!(
                "{case}, cut after operation {at}: {missing} of {all} rows"
            ));
        }
    }
    faults
}

/// Adds rows for several pages. Returns false if a table without a window of new rows needs none.
fn add_rows(store: &mut Store, table: &str) -> bool {
    match table {
        "flow_runs" | "flow_run_state_history" => {
            let runs: Vec<_> = store.runs().map(|run| run.id).take(MANY).collect();
            for id in runs {
                for state in [StateType::Running, StateType::Completed] {
                    store.set_state(id, NewState::new(state)).unwrap();
                    store.advance(TimeDelta::seconds(1));
                }
            }
        }
        "task_runs" => {
            let runs: Vec<_> = store.task_runs().map(|run| run.id).take(MANY).collect();
            for id in runs {
                for state in [StateType::Running, StateType::Completed] {
                    store.set_task_state(id, NewState::new(state)).unwrap();
                    store.advance(TimeDelta::seconds(1));
                }
            }
        }
        "logs" | "events" => {
            for minutes in 1..=23 {
                feeds::add(store, table, 10, minutes * 60);
            }
        }
        _ => return false,
    }
    true
}

/// An empty collection costs one request more in the first sync than in each later one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_empty_collection_costs_one_request_more_once() {
    let empty = [
        "flows",
        "variables",
        "artifacts",
        "deployments",
        "automations",
        "logs",
    ];
    for name in empty {
        let mut harness = ConnectionHarness::start_with(&versions::V3_9, |population| {
            population.runs = 0;
            population.flows = 0;
            population.deployments = 0;
            population.full_workspace = false;
        })
        .await;
        let mut requests = Vec::new();
        for _ in 0..3 {
            harness.an_hour_later(|_| {});
            let before = harness.prefect.requests();
            assert_eq!(
                ids(&harness.operations(&[name], &[]).await),
                (Ids::new(), Ids::new())
            );
            requests.push(harness.prefect.requests() - before);
        }
        let [first, second, third] = requests[..] else {
            panic!("three syncs");
        };
        assert_eq!((second, third), (first - 1, first - 1), "{name}");
    }
}
