//! A workspace in memory: its objects, its clock, and the settings of its server.

use std::collections::HashMap;

use chrono::TimeDelta;

use super::{
    generic_collections::GenericObjects,
    id::{Id, Ids},
    model::{Deployment, Flow, FlowRun, State, Time},
    schema::Collection,
    table::{Nulls, Table, mix},
    tasks::TaskRun,
    times,
    versions::{self, Capabilities},
};

/// The database of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Database {
    /// Nulls sort lowest; changes are stamped with milliseconds.
    Sqlite,
    /// Nulls sort highest; changes are stamped with microseconds.
    Postgres,
}

impl Database {
    const fn nulls(self) -> Nulls {
        match self {
            Self::Sqlite => Nulls::Lowest,
            Self::Postgres => Nulls::Highest,
        }
    }
}

/// The order of rows with equal sort keys, which Prefect does not define.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ties {
    /// The order differs from request to request.
    Shuffled,
    /// The order is the same for each request.
    Stable,
}

/// The configuration of a server.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The release that the server imitates.
    pub capabilities: Capabilities,
    /// The server's database.
    pub database: Database,
    /// The number of rows in a page: the default and the maximum.
    pub page_limit: u32,
    /// The order of rows with equal sort keys.
    pub ties: Ties,
    /// The lead of the database's clock, which stamps changes, over the API's clock, which stamps everything else.
    pub database_ahead: TimeDelta,
    /// The lead of the clock that dates the responses, such as a gateway's, over the API's clock.
    pub date_ahead: TimeDelta,
    /// The seed of ids, names and shuffles.
    pub seed: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            capabilities: versions::V3_9,
            database: Database::Sqlite,
            page_limit: 200,
            ties: Ties::Shuffled,
            database_ahead: TimeDelta::zero(),
            date_ahead: TimeDelta::zero(),
            seed: 0,
        }
    }
}

/// A mutation that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// No object has this id.
    #[error("no {} has the id {id}", .collection.noun().to_lowercase())]
    NotFound {
        /// The collection that was searched.
        collection: Collection,
        /// The id that was searched for.
        id: Id,
    },
    /// A new object refers to a flow that does not exist.
    #[error("no flow has the id {0}, which a new object names")]
    UnknownFlow(Id),
    /// No object of this kind has this id.
    #[error("no {} has the id {id}", .noun.to_lowercase())]
    Nothing {
        /// The kind of object that was searched for.
        noun: &'static str,
        /// The id that was searched for.
        id: Id,
    },
}

/// A workspace.
#[derive(Debug, Clone)]
pub struct Store {
    settings: Settings,
    now: Time,
    requests: u64,
    pub(super) ids: Ids,
    pub(super) flows: Table<Flow>,
    pub(super) runs: Table<FlowRun>,
    pub(super) deployments: Table<Deployment>,
    pub(super) tasks: Table<TaskRun>,
    pub(super) objects: GenericObjects,
    /// The former states of runs and task runs, as far as their changes were recorded here.
    pub(super) left: HashMap<Id, Vec<State>>,
    /// True if changes of state create events.
    pub(super) feeds: bool,
}

impl Store {
    /// Creates an empty workspace whose clock shows `now`.
    pub fn new(settings: Settings, now: Time) -> Self {
        let nulls = settings.database.nulls();
        Self {
            ids: Ids::new(settings.seed, settings.capabilities.time_ordered_ids),
            now: times::micros(now),
            requests: 0,
            flows: Table::new(nulls),
            runs: Table::new(nulls),
            deployments: Table::new(nulls),
            tasks: Table::new(nulls),
            objects: GenericObjects::new(nulls),
            left: HashMap::new(),
            feeds: false,
            settings,
        }
    }

    /// Returns the server's configuration.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Switches the server to another release and keeps its data.
    pub fn upgrade(&mut self, capabilities: Capabilities) {
        self.reconfigure(|settings| settings.capabilities = capabilities);
    }

    /// Changes the server's configuration, such as its release, and keeps its data.
    pub fn reconfigure(&mut self, change: impl FnOnce(&mut Settings)) {
        change(&mut self.settings);
        self.ids
            .order_by_time(self.settings.capabilities.time_ordered_ids);
        self.migrate_limits();
    }

    /// Replaces the data by those of `backup`, as restoring a backup does. The clock, the settings and the id generator
    /// stay.
    pub fn restore(&mut self, backup: Self) {
        self.flows = backup.flows;
        self.runs = backup.runs;
        self.deployments = backup.deployments;
        self.tasks = backup.tasks;
        self.objects = backup.objects;
        self.left = backup.left;
        self.migrate_limits();
    }

    /// Returns the time of the server's clock.
    pub fn now(&self) -> Time {
        self.now
    }

    /// Sets the server's clock.
    pub fn set_now(&mut self, now: Time) {
        self.now = times::micros(now);
    }

    /// Advances the server's clock, which has microseconds like the clock of a database.
    pub fn advance(&mut self, by: TimeDelta) {
        self.set_now(self.now + by);
    }

    /// Returns a random id.
    pub fn new_id(&mut self) -> Id {
        self.ids.random()
    }

    /// Returns the stamp of a change that is made now, by the database's clock.
    pub(super) fn stamp(&self) -> Time {
        let now = self.now + self.settings.database_ahead;
        match self.settings.database {
            Database::Sqlite => times::millis(now),
            Database::Postgres => now,
        }
    }

    /// Returns the seed for the order of equal rows in one request; `None` if that order is stable.
    pub(super) fn tie_seed(&mut self) -> Option<u64> {
        self.requests += 1;
        (self.settings.ties == Ties::Shuffled).then(|| mix(self.settings.seed ^ mix(self.requests)))
    }

    /// Returns the number of rows of a collection.
    pub fn len(&self, collection: Collection) -> usize {
        match collection {
            Collection::Flows => self.flows.len(),
            Collection::FlowRuns => self.runs.len(),
            Collection::Deployments => self.deployments.len(),
        }
    }

    /// Returns a flow.
    pub fn flow(&self, id: Id) -> Option<&Flow> {
        self.flows.get(id)
    }

    /// Returns a flow run.
    pub fn run(&self, id: Id) -> Option<&FlowRun> {
        self.runs.get(id)
    }

    /// Returns a deployment.
    pub fn deployment(&self, id: Id) -> Option<&Deployment> {
        self.deployments.get(id)
    }

    /// Returns all flows, in no particular order.
    pub fn flows(&self) -> impl Iterator<Item = &Flow> {
        self.flows.iter()
    }

    /// Returns all flow runs, in no particular order.
    pub fn runs(&self) -> impl Iterator<Item = &FlowRun> {
        self.runs.iter()
    }

    /// Returns all deployments, in no particular order.
    pub fn deployments(&self) -> impl Iterator<Item = &Deployment> {
        self.deployments.iter()
    }

    /// Inserts a flow as it is, without applying any rule.
    pub fn put_flow(&mut self, flow: Flow) {
        self.flows.insert(flow);
    }

    /// Inserts a flow run as it is, without applying any rule.
    pub fn put_run(&mut self, run: FlowRun) {
        self.runs.insert(run);
    }

    /// Inserts a deployment as it is, without applying any rule.
    pub fn put_deployment(&mut self, deployment: Deployment) {
        self.deployments.insert(deployment);
    }
}
