//! The delay until the warehouse shows edits of runs that ended long ago, and changes of old open runs.
//!
//! The tests do not wait: before the first sync the runs are moved into the past in the server's database. After that,
//! time passes only on the server's clock, as its responses report it.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use fivetran_source::tables;
use serde_json::json;
use test_support::{HttpProxy, Rule};

use crate::support::{
    connector::{Connector, Report},
    oracle,
    prefect_server::{Generation, PrefectServer},
    warehouse::{self, Cell},
    workspace::{NewRun, State, Workspace},
};

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// The ages, in seconds, at which ended runs are edited. All are older than the range that each sync reads again, and
/// all but the first are the worst case, just after a recheck (at 15 minutes times each power of four).
const AGES: [i64; 7] = [
    200,
    16 * MINUTE,
    62 * MINUTE,
    245 * MINUTE,
    980 * MINUTE,
    65 * HOUR,
    11 * DAY,
];

/// The age, in seconds, by which the edit of a very young run is found.
const VERY_YOUNG: i64 = 17 * MINUTE;

/// The look-back, in seconds: edits of runs that ended earlier are not found.
const LOOK_BACK: i64 = 30 * DAY;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn edits_are_seen_by_five_times_the_age_on_prefect_3() {
    edits_are_seen_by_five_times_the_age(Generation::Three).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn edits_are_seen_by_five_times_the_age_on_prefect_2() {
    edits_are_seen_by_five_times_the_age(Generation::Two).await;
}

async fn edits_are_seen_by_five_times_the_age(generation: Generation) {
    let past = Past::build(generation).await;
    let mut edited = Vec::new();
    for age in AGES.into_iter().chain([LOOK_BACK + DAY]) {
        edited.push(past.run(State::Completed, age).await);
        // A run of nearly the same age that is not edited.
        past.run(State::Completed, age + 5).await;
    }
    past.sync(0).await;
    let too_old = edited.pop().unwrap();
    for (at, run) in edited.iter().chain([&too_old]).enumerate() {
        if at % 2 == 0 {
            let change = json!({"name": "edited", "tags": ["late"]});
            past.workspace.edit("/flow_runs", run, change).await;
        } else {
            past.workspace.set_state(run, State::Failed).await;
        }
    }

    let mut sent = 0;
    for (at, age) in AGES.into_iter().enumerate() {
        let passed = (5 * age).max(VERY_YOUNG) - age;
        let report = past.sync(passed).await;
        sent += report.count("Upserts");
        assert_eq!(report.count("Deletes"), 0, "{report:?}");
        for run in &edited[..=at] {
            past.is_up_to_date(run).await;
        }
    }
    let most = match generation {
        Generation::Three => edited.len(),
        // Rechecks by the expected start may send an edited row twice.
        Generation::Two => 2 * edited.len(),
    };
    assert!(
        (edited.len() as u64..=most as u64).contains(&sent),
        "{sent} rows were sent for {} edits",
        edited.len()
    );

    // The run that was edited beyond the look-back is unchanged in the warehouse.
    past.workspace.delete("/flow_runs", &too_old).await;
    let kept = BTreeSet::from([too_old.clone()]);
    assert_eq!(past.in_warehouse(&too_old, "state_type"), "COMPLETED");
    oracle::compare_but(&past.connector.warehouse(), &past.workspace, &kept).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_open_runs_are_followed_on_prefect_3() {
    old_open_runs_are_followed(Generation::Three).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_open_runs_are_followed_on_prefect_2() {
    old_open_runs_are_followed(Generation::Two).await;
}

/// Runs that were due nine days ago and are still open. The end of one is found by the next sync, the deletion of
/// another within a day.
async fn old_open_runs_are_followed(generation: Generation) {
    let past = Past::build(generation).await;
    let [ends, goes, stays] = [
        past.run(State::Running, 9 * DAY).await,
        past.run(State::Scheduled, 9 * DAY).await,
        past.run(State::Running, 9 * DAY).await,
    ];
    past.sync(0).await;
    let warehouse = past.connector.warehouse();

    past.workspace.set_state(&ends, State::Completed).await;
    let report = past.sync(HOUR).await;
    assert_eq!(report.count("Upserts"), 1, "{report:?}");
    oracle::compare(&warehouse, &past.workspace).await;

    past.workspace.delete("/flow_runs", &goes).await;
    let report = past.sync(HOUR + DAY).await;
    let sent = (report.count("Upserts"), report.count("Deletes"));
    assert_eq!(sent, (0, 1), "{report:?}");
    let deleted = oracle::compare(&warehouse, &past.workspace).await;
    assert_eq!(deleted["flow_runs"], BTreeSet::from([goes]));

    // After more than three days without a sync, a run that is gone may have ended and been deleted by retention.
    past.workspace.delete("/flow_runs", &stays).await;
    let report = past.sync(6 * DAY).await;
    let sent = (report.count("Upserts"), report.count("Deletes"));
    assert_eq!(sent, (0, 0), "{report:?}");
    oracle::compare_but(&warehouse, &past.workspace, &BTreeSet::from([stays])).await;
}

/// A server with old runs, and a connection to it with an adjustable clock.
struct Past {
    server: PrefectServer,
    proxy: HttpProxy,
    workspace: Workspace,
    connector: Connector,
    flow: String,
}

impl Past {
    async fn build(generation: Generation) -> Self {
        let server = PrefectServer::start(generation).await;
        let proxy = HttpProxy::start(server.url()).await;
        let workspace = server.workspace();
        let connector = Connector::new(proxy.url(), 7);
        let flow = workspace.flow("past", &[], json!({})).await;
        Self {
            server,
            proxy,
            workspace,
            connector,
            flow,
        }
    }

    /// Creates a run, named after `state`, that has been in this state for `age` seconds.
    async fn run(&self, state: State, age: i64) -> String {
        let name = format!("{state:?}");
        let new = NewRun::new(&self.flow, &name);
        let run = self.workspace.run_in(&new, state).await;
        self.server.backdate(&run, age).await;
        run
    }

    /// Runs a sync `passed` seconds after the first one, by the server's clock.
    async fn sync(&self, passed: i64) -> Report {
        let ahead = Rule::dates_ahead(TimeDelta::seconds(passed));
        self.proxy.set_rules([ahead]);
        self.connector.sync().await
    }

    /// Checks that the run's name and state type in the warehouse equal those on the server.
    async fn is_up_to_date(&self, run: &str) {
        let listed = self.workspace.get(&format!("/flow_runs/{run}")).await;
        let listed: serde_json::Value = serde_json::from_str(&listed.unwrap()).unwrap();
        for field in ["name", "state_type"] {
            let want = listed[field].as_str().unwrap();
            assert_eq!(self.in_warehouse(run, field), want, "run {run}");
        }
    }

    fn in_warehouse(&self, run: &str, column: &str) -> String {
        let table = tables::find("flow_runs").unwrap();
        let connection = warehouse::open(&self.connector.warehouse());
        let contents = warehouse::contents(&connection, table);
        let position = table.columns.iter().position(|each| each.name == column);
        match &contents.rows[run][position.unwrap()] {
            Cell::Text(text) => text.clone(),
            other => panic!("{column} is {other:?}"),
        }
    }
}
