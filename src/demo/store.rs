//! A workspace in memory: its objects, its clock, and the settings of the server that holds it.

use std::collections::HashMap;

use chrono::TimeDelta;

use super::{
    id::{Id, Ids},
    model::{Deployment, Flow, FlowRun, State, Time},
    plain::Plains,
    schema::Collection,
    table::{Nulls, Table, mix},
    tasks::TaskRun,
    times,
    versions::{self, Capabilities},
};

/// The database that a server stands on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Database {
    /// Nulls sort lowest; changes are stamped to the millisecond.
    Sqlite,
    /// Nulls sort highest; changes are stamped to the microsecond.
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

/// The order of rows whose sort keys are equal, which Prefect leaves open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ties {
    /// Another one for each request.
    Shuffled,
    /// The same for each request.
    Stable,
}

/// What a server is.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The release it plays.
    pub capabilities: Capabilities,
    /// The database it stands on.
    pub database: Database,
    /// Rows of a page: the default and the most.
    pub page_limit: u32,
    /// The order of equal rows.
    pub ties: Ties,
    /// How far the database's clock, which stamps changes, is ahead of the API's, which stamps
    /// everything else and the answers.
    pub database_ahead: TimeDelta,
    /// How far the clock that dates the answers, such as a gateway's, is ahead of all others.
    pub date_ahead: TimeDelta,
    /// Decides ids, names and shuffles.
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

/// A mutation that could not be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Nothing has this id.
    #[error("no {} has the id {id}", .collection.noun().to_lowercase())]
    NotFound {
        /// Where it was looked for.
        collection: Collection,
        /// What was looked for.
        id: Id,
    },
    /// A new object names a flow that is not there.
    #[error("no flow has the id {0}, which a new object names")]
    UnknownFlow(Id),
    /// Nothing of this kind has this id.
    #[error("no {} has the id {id}", .noun.to_lowercase())]
    Nothing {
        /// What was looked for.
        noun: &'static str,
        /// Its id.
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
    pub(super) plains: Plains,
    /// The states that runs and task runs have left, where that was seen here.
    pub(super) left: HashMap<Id, Vec<State>>,
    /// Whether changes of state are told in the feed of events.
    pub(super) feeds: bool,
}

impl Store {
    /// An empty workspace at `now`.
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
            plains: Plains::new(nulls),
            left: HashMap::new(),
            feeds: false,
            settings,
        }
    }

    /// What the server is.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Makes the server another release; its data stay.
    pub fn upgrade(&mut self, capabilities: Capabilities) {
        self.reconfigure(|settings| settings.capabilities = capabilities);
    }

    /// Changes what the server is, such as its release; what it holds stays.
    pub fn reconfigure(&mut self, change: impl FnOnce(&mut Settings)) {
        change(&mut self.settings);
        self.ids
            .order_by_time(self.settings.capabilities.time_ordered_ids);
        self.migrate_limits();
    }

    /// Takes over what `backup` holds, as a restored backup does. The clock, the settings and the ids to come stay.
    pub fn restore(&mut self, backup: Self) {
        self.flows = backup.flows;
        self.runs = backup.runs;
        self.deployments = backup.deployments;
        self.tasks = backup.tasks;
        self.plains = backup.plains;
        self.left = backup.left;
        self.migrate_limits();
    }

    /// The server's clock.
    pub fn now(&self) -> Time {
        self.now
    }

    /// Sets the server's clock.
    pub fn set_now(&mut self, now: Time) {
        self.now = times::micros(now);
    }

    /// Moves the server's clock on; like every clock of a database it knows no finer part than microseconds.
    pub fn advance(&mut self, by: TimeDelta) {
        self.set_now(self.now + by);
    }

    /// A random id.
    pub fn new_id(&mut self) -> Id {
        self.ids.random()
    }

    /// The stamp of a change that is made now, by the database's clock.
    pub(super) fn stamp(&self) -> Time {
        let now = self.now + self.settings.database_ahead;
        match self.settings.database {
            Database::Sqlite => times::millis(now),
            Database::Postgres => now,
        }
    }

    /// The seed for one request's order of ties.
    pub(super) fn tie_seed(&mut self) -> Option<u64> {
        self.requests += 1;
        (self.settings.ties == Ties::Shuffled).then(|| mix(self.settings.seed ^ mix(self.requests)))
    }

    /// The number of rows of a collection.
    pub fn len(&self, collection: Collection) -> usize {
        match collection {
            Collection::Flows => self.flows.len(),
            Collection::FlowRuns => self.runs.len(),
            Collection::Deployments => self.deployments.len(),
        }
    }

    /// A flow.
    pub fn flow(&self, id: Id) -> Option<&Flow> {
        self.flows.get(id)
    }

    /// A flow run.
    pub fn run(&self, id: Id) -> Option<&FlowRun> {
        self.runs.get(id)
    }

    /// A deployment.
    pub fn deployment(&self, id: Id) -> Option<&Deployment> {
        self.deployments.get(id)
    }

    /// All flows, in no particular order.
    pub fn flows(&self) -> impl Iterator<Item = &Flow> {
        self.flows.iter()
    }

    /// All flow runs, in no particular order.
    pub fn runs(&self) -> impl Iterator<Item = &FlowRun> {
        self.runs.iter()
    }

    /// All deployments, in no particular order.
    pub fn deployments(&self) -> impl Iterator<Item = &Deployment> {
        self.deployments.iter()
    }

    /// Puts a flow in as it is, beside all rules.
    pub fn put_flow(&mut self, flow: Flow) {
        self.flows.insert(flow);
    }

    /// Puts a flow run in as it is, beside all rules.
    pub fn put_run(&mut self, run: FlowRun) {
        self.runs.insert(run);
    }

    /// Puts a deployment in as it is, beside all rules.
    pub fn put_deployment(&mut self, deployment: Deployment) {
        self.deployments.insert(deployment);
    }
}
