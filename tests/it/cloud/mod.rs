//! The service against the Prefect Cloud profile of the demo server, over sockets.

mod limits;
mod skew;

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use chrono::TimeDelta;
use fivetran_source::{
    fivetran::proto::update_response::Operation,
    tables::{self, Source},
};
use prefect_fake::{
    Cloud, Collection, Options, Population, RequestLogEntry, Server, Store, cloud, hourly_activity,
    population::fixed_now, query,
};
use serde_json::{json, value::RawValue};
use test_support::Destination;

use crate::support::{
    connector::Connector,
    oracle,
    served::{Served, configuration, empty_destination, rows},
    stepping_clock::{Ahead, SteppingClock},
    warehouse::{self, Cell},
};

/// The key that must appear nowhere but in a request's header.
const KEY: &str = "pnu_canary_77d1";
const RUNS: u32 = 450;
/// Days between the final syncs, without changes: an edit may be found when its run is 30 days old.
const REST: [i64; 5] = [1, 2, 5, 10, 20];

fn population() -> Population {
    Population {
        runs: RUNS,
        ..Population::small(11, fixed_now())
    }
}

/// A workspace of Prefect Cloud, a connector and a destination.
struct CloudHarness {
    served: Served,
    prefect: Server,
    clock: Arc<SteppingClock>,
    destination: Destination,
}

impl CloudHarness {
    /// Starts a server whose clock is `ahead` of the connector's clock.
    async fn start(cloud: Cloud, ahead: TimeDelta) -> Self {
        let clock = SteppingClock::at(fixed_now() - ahead);
        let mut options = Options::cloud(population(), cloud, KEY);
        options.clock = Some(Arc::new(Ahead {
            of: clock.clone(),
            by: ahead,
        }));
        Self {
            served: Served::start(clock.clone(), clock.telemetry()).await,
            prefect: Server::start(options).await.unwrap(),
            clock,
            destination: empty_destination(),
        }
    }

    async fn calm() -> Self {
        Self::start(Cloud::default(), TimeDelta::zero()).await
    }

    fn configuration(&self) -> HashMap<String, String> {
        let more = [("api_key", KEY), ("batch_size", "50")];
        configuration(&self.prefect.url(), &more)
    }

    /// Syncs from the destination's state; the sync must succeed.
    async fn sync(&mut self) -> Vec<Operation> {
        let state = self.destination.state().map(str::to_owned);
        let (operations, end) = self.served.update(self.configuration(), state).await;
        end.unwrap();
        assert!(!format!("{operations:?}").contains(KEY));
        self.destination.apply_operations(&operations);
        operations
    }

    /// Lets an hour pass, with changes in it.
    fn an_hour_later(&self, hour: u32) {
        self.prefect.with_store(|store| {
            let now = store.now();
            hourly_activity::simulate_hour(store, hour);
            store.set_now(now);
        });
        self.clock.advance(TimeDelta::hours(1));
    }

    /// Syncs without changes until every edit has been found. Then the destination must equal one that a first sync
    /// fills, and have the workspace's ids.
    async fn assert_equal_at_rest(&mut self) {
        for days in REST {
            self.clock.advance(TimeDelta::days(days));
            self.sync().await;
        }
        assert_eq!(rows(&self.sync().await), 0);
        let (operations, end) = self.served.update(self.configuration(), None).await;
        end.unwrap();
        let mut fresh = empty_destination();
        fresh.apply_operations(&operations);
        for collection in Collection::ALL {
            let table = collection.name();
            assert_eq!(self.destination.differences(&fresh, table), [], "{table}");
            let live = fresh.live(table).into_keys().map(str::to_owned);
            let there = self.prefect.with_store(|store| ids_of(store, collection));
            assert_eq!(live.collect::<BTreeSet<_>>(), there, "{table}");
        }
    }
}

fn ids_of(store: &Store, collection: Collection) -> BTreeSet<String> {
    match collection {
        Collection::Flows => store.flows().map(|row| row.id.to_string()).collect(),
        Collection::FlowRuns => store.runs().map(|row| row.id.to_string()).collect(),
        Collection::Deployments => store.deployments().map(|row| row.id.to_string()).collect(),
    }
}

/// Checks the rules for every request that the connector sends.
fn assert_proper(record: &[RequestLogEntry]) {
    for entry in record {
        let request = &entry.request;
        if request.method == "POST" {
            let bytes = request.body.len() as u64;
            assert_eq!(request.content_length, Some(bytes), "{}", request.path);
        } else {
            assert_eq!(request.method, "GET", "{}", request.path);
        }
        let refused = cloud::is_missing(&request.path).then_some(404);
        let limited = entry.status == 429;
        assert!(
            limited || entry.status == refused.unwrap_or(200),
            "{entry:?}"
        );
    }
}

#[tokio::test]
async fn every_table_arrives_without_helpers_and_a_second_sync_is_quiet() {
    let mut harness = CloudHarness::calm().await;
    for test in ["connection", "access"] {
        assert_eq!(
            harness.served.test(test, harness.configuration()).await,
            None
        );
    }
    assert_eq!(rows(&harness.sync().await), RUNS as usize + 20 + 30);
    assert_proper(&harness.prefect.take_request_log());
    let operations = harness.sync().await;
    assert_eq!(rows(&operations), 0, "{operations:?}");
    let record = harness.prefect.take_request_log();
    assert!(!record.is_empty() && record.len() <= 20, "{}", record.len());
    // Later changes arrive, too, and then a quiet sync follows.
    for hour in 1..=3 {
        harness.an_hour_later(hour);
        assert!(rows(&harness.sync().await) > 0, "hour {hour}");
    }
    assert_eq!(rows(&harness.sync().await), 0);
    harness.assert_equal_at_rest().await;
    assert_proper(&harness.prefect.take_request_log());
}

#[tokio::test]
async fn a_deleted_flow_is_found_within_a_day_without_counts() {
    let mut harness = CloudHarness::calm().await;
    harness.sync().await;
    let flow = harness.prefect.with_store(|store| {
        let flow = store.flows().map(|flow| flow.id).min().unwrap();
        store.delete_flow(flow).unwrap();
        flow.to_string()
    });
    let mut hours = 0;
    while !harness.destination.gone("flows").contains(flow.as_str()) {
        hours += 1;
        assert!(hours <= 25, "the flow is not found to be gone");
        harness.clock.advance(TimeDelta::hours(1));
        harness.sync().await;
    }
    assert_eq!(harness.destination.gone("flows").len(), 1);
    assert!(!harness.destination.gone("deployments").is_empty());
    assert_proper(&harness.prefect.take_request_log());
    // Only ended runs of the deleted flow stay, as history.
    let have = harness.destination.live("flow_runs");
    let there = harness
        .prefect
        .with_store(|store| ids_of(store, Collection::FlowRuns));
    for (id, row) in have.iter().filter(|(id, _)| !there.contains(**id)) {
        let state = format!("{:?}", row["state_type"]);
        let ended = ["COMPLETED", "FAILED", "CANCELLED", "CRASHED"];
        assert!(
            ended.iter().any(|kind| state.contains(kind)),
            "{id}: {state}"
        );
    }
}

#[tokio::test]
async fn rows_that_age_out_are_not_deleted() {
    let mut harness = CloudHarness::calm().await;
    harness.sync().await;
    let aged = harness.prefect.with_store(|store| {
        let week = store.now() - TimeDelta::days(7);
        store.vacuum(week)
    });
    assert!(aged > 50, "{aged}");
    for _ in 0..3 {
        harness.clock.advance(TimeDelta::hours(13));
        harness.sync().await;
    }
    assert_eq!(harness.destination.gone("flow_runs"), BTreeSet::new());
    assert_eq!(harness.destination.live("flow_runs").len(), RUNS as usize);
}

#[tokio::test]
async fn a_wrong_key_and_a_foreign_workspace_are_tasks() {
    let mut harness = CloudHarness::calm().await;
    let own = Cloud::default();
    let right = harness.prefect.url();
    let foreign = harness
        .prefect
        .workspace_url(&own.account, "0c333333-3333-4333-8333-333333333333");
    let root = right.split("/accounts").next().unwrap();
    let (wrong_key, nothing_there) = (
        "does not accept the credentials (401)",
        "a workspace that the key may not see causes the same error",
    );
    for (url, credentials, want) in [
        (right.as_str(), ("api_key", "pnu_canary_other"), wrong_key),
        (&right, ("auth_string", "admin:pnu_canary_other"), wrong_key),
        (&right, ("batch_size", "50"), wrong_key),
        (&foreign, ("api_key", KEY), nothing_there),
        (root, ("api_key", KEY), nothing_there),
    ] {
        let configuration = configuration(url, &[credentials]);
        for test in ["connection", "access"] {
            let text = harness
                .served
                .test(test, configuration.clone())
                .await
                .expect(want);
            assert!(text.contains(want) && !text.contains("canary"), "{text}");
        }
        let (operations, end) = harness.served.update(configuration, None).await;
        assert!(end.is_ok());
        let [Operation::Task(task)] = operations.as_slice() else {
            panic!("{url}: {operations:?}");
        };
        assert!(
            task.message.contains(want) && !task.message.contains("canary"),
            "{}",
            task.message
        );
    }
    // No rejected request is tried again.
    let record = harness.prefect.take_request_log();
    assert!(
        record
            .iter()
            .all(|entry| [401, 404].contains(&entry.status))
    );
    assert!(record.len() <= 5 * 7, "{}", record.len());
}

#[tokio::test]
async fn the_executable_fills_a_warehouse_from_cloud() {
    let options = Options::cloud(population(), Cloud::default(), KEY);
    let prefect = Server::start(options).await.unwrap();
    let connector = Connector::new(&prefect.url(), 200);
    connector.configure(&prefect.url(), KEY, 200);
    let first = connector.sync().await;
    assert_eq!(first.count("Upserts"), u64::from(RUNS) + 20 + 30);
    let again = connector.sync().await;
    assert_eq!(again.count("Upserts") + again.count("Deletes"), 0);
    assert_proper(&prefect.take_request_log());
    let mut differences = Vec::new();
    for table in crate::support::core_tables() {
        let mut contents = warehouse::contents(&warehouse::open(&connector.warehouse()), table);
        let place = |column: &tables::Column| matches!(column.source, Source::Workspace);
        let of_workspace = table.columns.iter().position(place).unwrap();
        for cells in contents.rows.values_mut() {
            // The oracle expects the null of servers that have no workspaces.
            let workspace = std::mem::replace(&mut cells[of_workspace], Cell::Null);
            assert_eq!(workspace, Cell::Text(Cloud::default().workspace));
        }
        let listed = prefect.with_store(|store| everything(store, table.name));
        oracle::compare_table(table, &listed, &contents, &mut differences);
    }
    assert!(differences.is_empty(), "{differences:#?}");
}

/// Returns all objects of a collection, as the API returns them.
fn everything(store: &mut Store, table: &str) -> Vec<Box<RawValue>> {
    let collection = Collection::named(table).unwrap();
    let mut all = BTreeSet::new();
    let ids = ids_of(store, collection).into_iter().collect::<Vec<_>>();
    for ids in ids.chunks(200) {
        let body = json!({ table: { "id": { "any_": ids } } });
        let page = query::list(store, collection, &body).unwrap();
        let rows: Vec<Box<RawValue>> = serde_json::from_str(&page).unwrap();
        all.extend(rows.into_iter().map(|row| row.get().to_owned()));
    }
    all.into_iter()
        .map(|row| RawValue::from_string(row).unwrap())
        .collect()
}
