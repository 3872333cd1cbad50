//! A connection whose settings change, and the warehouse that its operations fill.

use std::collections::{BTreeMap, BTreeSet};

use fivetran_source::fivetran::proto::{TableSelection, update_response::Operation};
use prefect_fake::{
    Capabilities, Id, Store,
    changes::NewState,
    model::{Json, StateType},
    tasks::NewTaskRun,
};
use serde_json::json;
use test_support::{Destination, Key, Stored, destination::Columns as _, records};

use super::connection_harness::ConnectionHarness;
use crate::support::served::empty_destination;

/// A connection and its warehouse.
pub(super) struct Connection {
    pub(super) harness: ConnectionHarness,
    /// The selected tables, each with its deselected columns.
    pub(super) tables: BTreeMap<&'static str, BTreeSet<&'static str>>,
    pub(super) answers: Vec<(&'static str, String)>,
    pub(super) warehouse: Destination,
    /// The rows of the last sync that were equal to those in the warehouse.
    pub(super) unchanged: Vec<Key>,
}

impl Connection {
    pub(super) async fn start(release: &Capabilities, tables: &[&'static str]) -> Self {
        Self {
            harness: ConnectionHarness::start(release).await,
            tables: tables.iter().map(|name| (*name, BTreeSet::new())).collect(),
            answers: vec![("batch_size", "5".to_owned())],
            warehouse: empty_destination().keeping_absent_columns(),
            unchanged: Vec::new(),
        }
    }

    /// Sets the start date to this number of days ago, or removes it.
    pub(super) fn start_days_ago(&mut self, days: Option<i64>) {
        let now = self.harness.prefect.with_store(|store| store.now());
        self.answers.retain(|(name, _)| *name != "start_date");
        let date = days.map(|days| (now - chrono::TimeDelta::days(days)).date_naive());
        self.answers
            .extend(date.map(|date| ("start_date", date.to_string())));
    }

    /// Syncs to the end; returns the number of sent records.
    pub(super) async fn sync(&mut self) -> usize {
        self.sync_until(usize::MAX).await
    }

    /// Syncs, and drops everything after the checkpoint with this number.
    pub(super) async fn sync_until(&mut self, checkpoint: usize) -> usize {
        let mut operations = self.operations().await;
        let all = operations.iter().enumerate();
        let mut checkpoints = all.filter(|(_, it)| matches!(it, Operation::Checkpoint(_)));
        if let Some((last, _)) = checkpoints.nth(checkpoint) {
            operations.truncate(last + 1);
        }
        let taken = self.warehouse.apply_operations(&operations);
        self.harness.state = self.warehouse.state().map(str::to_owned);
        self.unchanged = taken.unchanged;
        taken.records
    }

    /// Returns the rows that a new connection with the same settings receives.
    pub(super) async fn read_afresh(&mut self) -> Destination {
        let state = self.harness.state.take();
        let operations = self.operations().await;
        self.harness.state = state;
        let mut fresh = empty_destination();
        let taken = fresh.apply_operations(&operations);
        assert_eq!(taken.records, records(&operations).count());
        fresh
    }

    async fn operations(&mut self) -> Vec<Operation> {
        let selected = self.tables.iter().map(|(name, without)| TableSelection {
            included: true,
            table_name: (*name).to_owned(),
            columns: without.iter().map(|it| ((*it).to_owned(), false)).collect(),
            include_new_columns: true,
        });
        let answers: Vec<_> = self
            .answers
            .iter()
            .map(|(name, it)| (*name, &**it))
            .collect();
        self.harness
            .operations_of(selected.collect(), &answers)
            .await
    }

    /// Checks that the warehouse has all rows that a new connection receives, with their present values. Returns the
    /// rows that only the warehouse has.
    pub(super) async fn check(&mut self, history: &str) -> Vec<Key> {
        let expected = self.read_afresh().await;
        let differs = |key: &Key, expected: &Stored| {
            let row = self.warehouse.row(key);
            row.is_none_or(|row| row.deleted || row.columns.differ_from(&expected.columns))
        };
        let wrong: Vec<_> = expected
            .rows()
            .filter(|(key, row)| differs(key, row))
            .collect();
        let keys: Vec<_> = wrong.iter().map(|(key, _)| &key.1).take(3).collect();
        assert!(
            wrong.is_empty(),
            "{} of {} rows are missing or stale, as {keys:?}: {history}",
            wrong.len(),
            expected.rows().count(),
        );
        let is_selected = |key: &Key| self.tables.contains_key(&*key.0);
        let existing = self.warehouse.existing().into_keys();
        existing
            .filter(|key| is_selected(key) && expected.row(key).is_none())
            .cloned()
            .collect()
    }
}

/// Creates a task run in this state that depends on another task run.
pub(super) fn task(store: &mut Store, number: usize, kind: StateType) -> Id {
    // Open task runs of a flow run that has ended count as ended.
    let flow_runs = store.runs();
    let flow_runs = flow_runs.filter(|run| run.state.kind == StateType::Running);
    let flow_run = flow_runs.map(|run| run.id).min().expect("a flow run");
    let other = store
        .task_runs()
        .map(|run| run.id)
        .min()
        .expect("a task run");
    let inputs = json!({"x": [{"input_type": "task_run", "id": other.to_string()}]});
    let new = NewTaskRun {
        dynamic_key: format!("settings-{number}"),
        task_inputs: Json::from_serialize(&inputs),
        ..NewTaskRun::new(flow_run, "extract")
    };
    let (id, _) = store.create_task_run(new).expect("a task run");
    store
        .set_task_state(id, NewState::new(StateType::Running))
        .expect("is there");
    if kind != StateType::Running {
        store.advance(chrono::TimeDelta::seconds(1));
        store
            .set_task_state(id, NewState::new(kind))
            .expect("is there");
    }
    id
}
