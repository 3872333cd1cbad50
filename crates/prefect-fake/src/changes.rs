//! The changes that a workspace accepts.

use super::{
    id::Id,
    model::{Json, Queue, Schedule, StateType, Time},
};

/// A state to set. The server adds the time.
#[derive(Debug, Clone)]
pub struct NewState {
    /// The type.
    pub kind: StateType,
    /// The name of the state; `None` means the default name of its type.
    pub name: Option<String>,
    /// The message of the state.
    pub message: Option<String>,
    /// The due time of a SCHEDULED run; `None` means now.
    pub scheduled_time: Option<Time>,
}

impl NewState {
    /// A state with the type's own name.
    pub fn new(kind: StateType) -> Self {
        Self {
            kind,
            name: None,
            message: None,
            scheduled_time: None,
        }
    }

    /// Sets a name other than the default.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        self.name = Some(name.to_owned());
        self
    }

    /// Sets the due time.
    #[must_use]
    pub fn due(mut self, time: Time) -> Self {
        self.scheduled_time = Some(time);
        self
    }
}

/// A flow run to create.
#[derive(Debug, Clone)]
pub struct NewRun {
    /// The flow that runs.
    pub flow_id: Id,
    /// The name of the run; the server generates one for `None`.
    pub name: Option<String>,
    /// The deployment that the run belongs to.
    pub deployment_id: Option<Id>,
    /// The parameters of the call.
    pub parameters: Json,
    /// The tags.
    pub tags: Vec<String>,
    /// A second creation with the same key returns the first run.
    pub idempotency_key: Option<String>,
    /// The first state; `None` means PENDING.
    pub state: Option<NewState>,
    /// True if the scheduler creates the run.
    pub auto_scheduled: bool,
    /// The task run of the parent that represents this subflow.
    pub parent_task_run_id: Option<Id>,
    /// The parent run, if this run is a subflow.
    pub parent_run: Option<Id>,
}

impl NewRun {
    /// A run of `flow_id` with defaults for everything else.
    pub fn new(flow_id: Id) -> Self {
        Self {
            flow_id,
            name: None,
            deployment_id: None,
            parameters: Json::object(),
            tags: Vec::new(),
            idempotency_key: None,
            state: None,
            auto_scheduled: false,
            parent_task_run_id: None,
            parent_run: None,
        }
    }
}

/// A deployment to create, or to overwrite if its flow already has one of this name.
#[derive(Debug, Clone)]
pub struct NewDeployment {
    /// The flow that its runs execute.
    pub flow_id: Id,
    /// Unique within its flow.
    pub name: String,
    /// True if its schedules create no runs; `None` keeps the old value (3.x).
    pub paused: Option<bool>,
    /// Its schedules, in the order given.
    pub schedules: Vec<Schedule>,
    /// Default parameters.
    pub parameters: Json,
    /// The infrastructure settings of its runs.
    pub job_variables: Json,
    /// Its tags; `None` keeps the old ones (3.x).
    pub tags: Option<Vec<String>>,
    /// The user-defined version.
    pub version: Option<String>,
    /// The description.
    pub description: Option<String>,
    /// The work queue of its runs.
    pub queue: Option<Queue>,
}

impl NewDeployment {
    /// A deployment with defaults for everything else.
    pub fn new(flow_id: Id, name: &str) -> Self {
        Self {
            flow_id,
            name: name.to_owned(),
            paused: None,
            schedules: Vec::new(),
            parameters: Json::object(),
            job_variables: Json::object(),
            tags: None,
            version: None,
            description: None,
            queue: None,
        }
    }
}

/// A change to a flow run that does not change its state. A field that is `None` keeps its value.
#[derive(Debug, Clone, Default)]
pub struct RunEdit {
    /// The name.
    pub name: Option<String>,
    /// The tags.
    pub tags: Option<Vec<String>>,
    /// The parameters of the call.
    pub parameters: Option<Json>,
    /// The labels (from 3.2).
    pub labels: Option<Json>,
    /// The process or container that executes the run.
    pub infrastructure_pid: Option<String>,
}
