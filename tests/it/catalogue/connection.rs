//! A connection whose settings change, and the warehouse that its operations fill.

use std::collections::{BTreeMap, BTreeSet};

use fivetran_source::{
    fivetran::proto::{
        RecordType, TableSelection, ValueType, update_response::Operation, value_type::Inner,
    },
    tables,
};
use prefect_fake::{
    Capabilities, Id, Store,
    changes::NewState,
    model::{Json, StateType},
    tasks::NewTaskRun,
};
use serde_json::json;

use super::rig::Rig;
use crate::support::served::records;

/// The columns of a row, and true if the row is marked as deleted.
type Row = (BTreeMap<String, ValueType>, bool);

/// A connection and its warehouse.
pub(super) struct Connection {
    pub(super) rig: Rig,
    /// The selected tables, each with its deselected columns.
    pub(super) tables: BTreeMap<&'static str, BTreeSet<&'static str>>,
    pub(super) answers: Vec<(&'static str, String)>,
    pub(super) rows: BTreeMap<(String, String), Row>,
    /// The rows of the last sync that were equal to those in the warehouse.
    pub(super) unchanged: Vec<(String, String)>,
}

impl Connection {
    pub(super) async fn start(release: &Capabilities, tables: &[&'static str]) -> Self {
        Self {
            rig: Rig::start(release).await,
            tables: tables.iter().map(|name| (*name, BTreeSet::new())).collect(),
            answers: vec![("batch_size", "5".to_owned())],
            rows: BTreeMap::new(),
            unchanged: Vec::new(),
        }
    }

    /// Sets the start date to this number of days ago, or removes it.
    pub(super) fn start_days_ago(&mut self, days: Option<i64>) {
        let now = self.rig.prefect.with_store(|store| store.now());
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
        let before = self.rig.state.clone();
        let operations = self.operations().await;
        let is_checkpoint = |it: &Operation| matches!(it, Operation::Checkpoint(_));
        let mut kept = Vec::new();
        let mut passed = 0;
        for operation in operations {
            passed += usize::from(is_checkpoint(&operation));
            kept.push(operation);
            if passed > checkpoint {
                break;
            }
        }
        let last = kept.iter().rposition(is_checkpoint);
        kept.truncate(last.map_or(0, |last| last + 1));
        self.rig.state = match kept.last() {
            Some(Operation::Checkpoint(last)) => Some(last.state_json.clone()),
            _ => before,
        };
        self.take(&kept)
    }

    /// Returns the rows that a new connection with the same settings receives.
    pub(super) async fn read_afresh(&mut self) -> BTreeMap<(String, String), Row> {
        let state = self.rig.state.take();
        let rows = std::mem::take(&mut self.rows);
        let operations = self.operations().await;
        self.take(&operations);
        self.rig.state = state;
        std::mem::replace(&mut self.rows, rows)
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
        self.rig.operations_of(selected.collect(), &answers).await
    }

    fn take(&mut self, operations: &[Operation]) -> usize {
        self.unchanged.clear();
        let all: Vec<_> = records(operations).collect();
        for record in &all {
            let mut data = record.data.clone();
            data.retain(|name, _| !is_volatile(&record.table_name, name));
            let id = data.get("id").and_then(|id| id.inner.clone());
            let table = record.table_name.clone();
            let Some(Inner::String(id)) = id else {
                let rows = self.rows.iter_mut().filter(|((name, _), _)| *name == table);
                rows.for_each(|(_, row)| row.1 = true);
                continue;
            };
            let key = (table, id);
            if record.r#type() == RecordType::Delete {
                self.rows.get_mut(&key).expect("a row that was sent").1 = true;
                continue;
            }
            let row = self
                .rows
                .entry(key.clone())
                .or_insert((BTreeMap::new(), true));
            let is_news = row.1
                || data
                    .iter()
                    .any(|(name, value)| row.0.get(name) != Some(value));
            row.0.extend(data);
            row.1 = false;
            if !is_news {
                self.unchanged.push(key);
            }
        }
        all.len()
    }

    /// Checks that the warehouse has all rows that a new connection receives, with their present values. Returns the
    /// rows that only the warehouse has.
    pub(super) async fn check(&mut self, history: &str) -> Vec<(String, String)> {
        let expected = self.read_afresh().await;
        let differs = |key: &(String, String), (expected, _): &Row| {
            self.rows.get(key).is_none_or(|(row, is_deleted)| {
                *is_deleted
                    || expected
                        .iter()
                        .any(|(name, value)| row.get(name) != Some(value))
            })
        };
        let wrong: Vec<_> = expected
            .iter()
            .filter(|(key, row)| differs(key, row))
            .collect();
        let keys: Vec<_> = wrong.iter().map(|(key, _)| &key.1).take(3).collect();
        assert!(
            wrong.is_empty(),
            "{} of {} rows are missing or stale, as {keys:?}: {history}",
            wrong.len(),
            expected.len(),
        );
        let is_selected = |key: &(String, String)| self.tables.contains_key(&*key.0);
        let beside = self
            .rows
            .iter()
            .filter(|(key, row)| !row.1 && is_selected(key) && !expected.contains_key(*key));
        beside.map(|(key, _)| key.clone()).collect()
    }
}

/// Returns true if a column changes without any change of its object.
fn is_volatile(table: &str, column: &str) -> bool {
    let table = tables::find(table).expect("a table");
    let mut columns = table.columns.iter();
    columns.any(|it| it.name == column && it.volatile)
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
        task_inputs: Json::of(&inputs),
        ..NewTaskRun::of(flow_run, "extract")
    };
    let (id, _) = store.create_task_run(new).expect("a task run");
    store
        .set_task_state(id, NewState::of(StateType::Running))
        .expect("is there");
    if kind != StateType::Running {
        store.advance(chrono::TimeDelta::seconds(1));
        store
            .set_task_state(id, NewState::of(kind))
            .expect("is there");
    }
    id
}
