//! A demo server with objects in every collection, a connection to it, and changes for each table.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use fivetran_source::{
    clock::{Clock, SystemClock},
    fivetran::proto::{
        RecordType, Selection, TableSelection, UpdateRequest, update_response::Operation,
    },
    tables::{self, Strategy, Table},
    telemetry::Telemetry,
};
use prefect_fake::{
    self, Capabilities, GenericCollection, Options, Population, Server, Store, Ties,
    changes::{NewState, RunEdit},
    model::StateType,
};
use test_support::{records, select, selection_of, sync};

use crate::support::served::{Served, configuration, last_state};

/// A demo server and a connection to it.
pub(super) struct ConnectionHarness {
    pub(super) prefect: Server,
    served: Served,
    pub(super) state: Option<String>,
    /// Values of the setup form for every sync.
    pub(super) answers: Vec<(&'static str, &'static str)>,
}

/// The number of operations of a sync by table: upserts, deletes, truncates.
pub(super) type Sent = BTreeMap<String, [usize; 3]>;

impl ConnectionHarness {
    pub(super) async fn start(capabilities: &Capabilities) -> Self {
        Self::with(capabilities, Ties::Shuffled, Arc::new(SystemClock)).await
    }

    /// Starts a server with an adjusted number of objects.
    pub(super) async fn start_with(
        capabilities: &Capabilities,
        adjust: impl FnOnce(&mut Population),
    ) -> Self {
        let mut population = population();
        adjust(&mut population);
        let mut options = Options::new(population);
        options.settings.capabilities = capabilities.clone();
        Self::with_options(options, Arc::new(SystemClock)).await
    }

    /// Starts a server whose responses are dated ahead of all clocks by this time.
    pub(super) async fn start_ahead(
        capabilities: &Capabilities,
        date_ahead: chrono::TimeDelta,
    ) -> Self {
        let mut options = options(capabilities);
        options.settings.date_ahead = date_ahead;
        Self::with_options(options, Arc::new(SystemClock)).await
    }

    /// Starts a server with this order of equal rows; the connector waits by `clock`.
    pub(super) async fn with(
        capabilities: &Capabilities,
        ties: Ties,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let mut options = options(capabilities);
        options.settings.ties = ties;
        Self::with_options(options, clock).await
    }

    async fn with_options(options: Options, clock: Arc<dyn Clock>) -> Self {
        Self {
            prefect: Server::start(options).await.unwrap(),
            served: Served::start(clock, Telemetry::default()).await,
            state: None,
            answers: Vec::new(),
        }
    }

    /// Syncs these tables.
    pub(super) async fn sync(&mut self, names: &[&str]) -> Sent {
        self.sync_with(names, &[]).await
    }

    /// Syncs these tables with values of the setup form.
    pub(super) async fn sync_with(&mut self, names: &[&str], answers: &[(&str, &str)]) -> Sent {
        let operations = self.operations(names, answers).await;
        let mut sent = Sent::new();
        for record in records(&operations) {
            let counts = sent.entry(record.table_name.clone()).or_default();
            match record.r#type() {
                RecordType::Upsert => counts[0] += 1,
                RecordType::Delete => counts[1] += 1,
                RecordType::Truncate => counts[2] += 1,
                RecordType::Update => panic!("an update"),
            }
        }
        sent
    }

    /// Syncs these tables and returns the operations.
    pub(super) async fn operations(
        &mut self,
        names: &[&str],
        answers: &[(&str, &str)],
    ) -> Vec<Operation> {
        let (operations, error) = self.attempt(names, answers).await;
        assert!(error.is_none(), "{error:?}");
        operations
    }

    /// Runs a sync that may fail; returns the operations and the error. The state of its last checkpoint is kept.
    pub(super) async fn attempt(
        &mut self,
        names: &[&str],
        answers: &[(&str, &str)],
    ) -> (Vec<Operation>, Option<tonic::Status>) {
        self.attempt_of(select(names.iter().copied()), answers)
            .await
    }

    /// Syncs these tables and columns and returns the operations.
    pub(super) async fn operations_of(
        &mut self,
        tables: Vec<TableSelection>,
        answers: &[(&str, &str)],
    ) -> Vec<Operation> {
        let (operations, error) = self.attempt_of(selection_of(tables), answers).await;
        assert!(error.is_none(), "{error:?}");
        operations
    }

    async fn attempt_of(
        &mut self,
        selection: Selection,
        answers: &[(&str, &str)],
    ) -> (Vec<Operation>, Option<tonic::Status>) {
        let chosen = tables::ALL.iter().filter_map(|table| table.choice);
        let chosen = chosen.map(|choice| (choice.field, "true"));
        let always = self.answers.iter().copied();
        let chosen: Vec<_> = chosen
            .chain(always)
            .chain(answers.iter().copied())
            .collect();
        let request = UpdateRequest {
            configuration: configuration(&self.prefect.url(), &chosen),
            selection: Some(selection),
            state_json: self.state.clone(),
        };
        let (operations, end) = sync(&mut self.served.client, request).await;
        self.state = last_state(&operations).or(self.state.take());
        (operations, end.err())
    }

    /// Runs a setup test and returns the text of its failure.
    pub(super) async fn setup_test(
        &mut self,
        name: &str,
        answers: &[(&str, &str)],
    ) -> Option<String> {
        let configuration = configuration(&self.prefect.url(), answers);
        self.served.test(name, configuration).await
    }

    /// Lets an hour pass and applies a change.
    pub(super) fn an_hour_later(&self, act: impl FnOnce(&mut Store)) {
        self.prefect.with_store(|store| {
            store.advance(chrono::TimeDelta::hours(1));
            act(store);
            store.advance(chrono::TimeDelta::minutes(5));
        });
    }
}

fn population() -> Population {
    let population = Population {
        runs: 120,
        ..Population::small(11, prefect_fake::population::fixed_now())
    };
    population.with_full_workspace()
}

/// Returns options for a server of this release with objects in every collection.
fn options(capabilities: &Capabilities) -> Options {
    let mut options = Options::new(population());
    options.settings.capabilities = capabilities.clone();
    options
}

/// Returns the collection that holds a table's rows as plain objects. Returns `None` if they are not kept as such, or are
/// read by their time.
pub(super) fn plain(table: &str) -> Option<GenericCollection> {
    let table = tables::find(table)?;
    match table.strategy {
        Strategy::Snapshot(_) | Strategy::NewestFirst { .. } => {
            GenericCollection::listed_at(table.endpoint)
        }
        Strategy::Runs | Strategy::AppendOnly(_) | Strategy::Nested(_) | Strategy::Server => None,
    }
}

/// Changes one object of a table; returns the number of changed rows. Returns `None` if the table's rows never change.
pub(super) fn change(store: &mut Store, table: &str) -> Option<usize> {
    if let Some(collection) = plain(table) {
        let id = store.objects(collection).map(|object| object.id).min()?;
        let edit = store.edit_object(collection, id, |fields| {
            let field = ["description", "name", "tag", "version"];
            let field = field.into_iter().find(|name| fields.contains_key(*name));
            fields.insert(field.unwrap_or("status").to_owned(), "changed".into());
        });
        edit.unwrap();
        return Some(1);
    }
    let ended = |kind: StateType| {
        matches!(
            kind,
            StateType::Completed | StateType::Failed | StateType::Crashed | StateType::Cancelled
        )
    };
    match table {
        "flows" => {
            let id = store.flows().map(|flow| flow.id).min()?;
            store.set_flow_tags(id, vec!["changed".to_owned()]).unwrap();
        }
        "deployments" | "deployment_schedules" => {
            let with_schedules = store.deployments().filter(|it| !it.schedules.is_empty());
            let id = with_schedules.map(|deployment| deployment.id).min()?;
            store
                .edit_schedules(id, |schedules| schedules[0].active = !schedules[0].active)
                .unwrap();
        }
        "flow_runs" => {
            let open = store
                .runs()
                .filter(|run| run.state.kind == StateType::Running);
            let id = open.map(|run| run.id).min()?;
            let edit = RunEdit {
                name: Some("changed".to_owned()),
                ..RunEdit::default()
            };
            store.edit_run(id, edit).unwrap();
        }
        // A later recheck finds a run that ended long ago (`real_prefect/ages.rs`); a run that ends now is found at
        // once.
        "task_runs" | "task_run_dependencies" => {
            let runs = store.task_runs().filter(|run| ended(run.state.kind));
            let runs =
                runs.filter(|run| run.task_inputs.text().matches("\"task_run\"").count() == 1);
            // A run of the last week: if an older run is open again, a sync notices it within a day.
            let run = runs.max_by_key(|run| run.expected_start_time)?;
            let (id, flow_run) = (run.id, run.flow_run_id);
            // The flow run is retried.
            if let Some(flow_run) = flow_run {
                let running = NewState::new(StateType::Running);
                store.set_state(flow_run, running).unwrap();
            }
            store
                .set_task_state(id, NewState::new(StateType::Running))
                .unwrap();
        }
        _ => return None,
    }
    Some(1)
}

/// Deletes one object of a table. Returns false if the table does not promise deletes.
pub(super) fn delete(store: &mut Store, table: &'static Table) -> bool {
    if let (Some(collection), true) = (plain(table.name), tells_deletes(table)) {
        // A pool or a type without dependents is deleted alone.
        let id = store
            .objects(collection)
            .map(|object| object.id)
            .max()
            .unwrap();
        store.delete_object(collection, id).unwrap();
        return true;
    }
    match table.name {
        "flows" => {
            let used: BTreeSet<_> = store.runs().map(|run| run.flow_id).collect();
            let deployed: BTreeSet<_> = store.deployments().map(|it| it.flow_id).collect();
            let flows: Vec<_> = store.flows().map(|flow| flow.id).collect();
            let is_unused = |id: &&_| !used.contains(*id) && !deployed.contains(*id);
            let id = flows.iter().find(is_unused).or(flows.iter().max());
            store.delete_flow(*id.unwrap()).unwrap();
        }
        "deployments" => {
            let id = store.deployments().map(|deployment| deployment.id).max();
            store.delete_deployment(id.unwrap()).unwrap();
        }
        "deployment_schedules" => {
            let mut deployments = store.deployments();
            let id = deployments
                .find(|it| !it.schedules.is_empty())
                .map(|it| it.id);
            drop(deployments);
            store
                .edit_schedules(id.unwrap(), |schedules| {
                    schedules.pop();
                })
                .unwrap();
        }
        "flow_runs" => {
            let open = store
                .runs()
                .filter(|run| run.state.kind == StateType::Running);
            let id = open.map(|run| run.id).min();
            store.delete_run(id.unwrap()).unwrap();
        }
        _ => return false,
    }
    true
}

/// Returns true if rows of the table that disappear are marked as deleted.
pub(super) fn tells_deletes(table: &Table) -> bool {
    match table.strategy {
        Strategy::Snapshot(_) => true,
        Strategy::NewestFirst { keeps_history, .. } => !keeps_history,
        Strategy::Runs | Strategy::AppendOnly(_) | Strategy::Nested(_) | Strategy::Server => false,
    }
}
