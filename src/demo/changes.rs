//! What can be asked of a workspace.

use super::{
    id::Id,
    model::{Json, Queue, Schedule, StateType, Time},
};

/// A state to set; the time is the server's.
#[derive(Debug, Clone)]
pub struct NewState {
    /// Its type.
    pub kind: StateType,
    /// Its name; the type's own without one.
    pub name: Option<String>,
    /// What to say about it.
    pub message: Option<String>,
    /// When the run is due, for SCHEDULED; now without one.
    pub scheduled_time: Option<Time>,
}

impl NewState {
    /// A state with the type's own name.
    pub fn of(kind: StateType) -> Self {
        Self {
            kind,
            name: None,
            message: None,
            scheduled_time: None,
        }
    }

    /// With a name of its own.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        self.name = Some(name.to_owned());
        self
    }

    /// Due at `time`.
    #[must_use]
    pub fn due(mut self, time: Time) -> Self {
        self.scheduled_time = Some(time);
        self
    }
}

/// A flow run to create.
#[derive(Debug, Clone)]
pub struct NewRun {
    /// What runs.
    pub flow_id: Id,
    /// Its name; a made-up one without.
    pub name: Option<String>,
    /// The deployment it is a run of.
    pub deployment_id: Option<Id>,
    /// What it is called with.
    pub parameters: Json,
    /// Its tags.
    pub tags: Vec<String>,
    /// Makes a second creation find the first.
    pub idempotency_key: Option<String>,
    /// Its first state; PENDING without one.
    pub state: Option<NewState>,
    /// Whether the scheduler makes it.
    pub auto_scheduled: bool,
    /// The task run of the parent that stands for it.
    pub parent_task_run_id: Option<Id>,
    /// The parent run, when it is a subflow.
    pub parent_run: Option<Id>,
}

impl NewRun {
    /// A run of `flow_id` with nothing special about it.
    pub fn of(flow_id: Id) -> Self {
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

/// A deployment to create, or to overwrite when its flow has one of this name.
#[derive(Debug, Clone)]
pub struct NewDeployment {
    /// What it runs.
    pub flow_id: Id,
    /// Unique within its flow.
    pub name: String,
    /// Whether its schedules rest; as before when nothing is said (3.x).
    pub paused: Option<bool>,
    /// Its schedules, as given.
    pub schedules: Vec<Schedule>,
    /// Default parameters.
    pub parameters: Json,
    /// How its runs are hosted.
    pub job_variables: Json,
    /// Its tags; those it has when none are given (3.x).
    pub tags: Option<Vec<String>>,
    /// The user's version.
    pub version: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// Where its runs wait.
    pub queue: Option<Queue>,
}

impl NewDeployment {
    /// A deployment with nothing special about it.
    pub fn of(flow_id: Id, name: &str) -> Self {
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

/// A change to a flow run that leaves its state alone. What is `None` stays.
#[derive(Debug, Clone, Default)]
pub struct RunEdit {
    /// Its name.
    pub name: Option<String>,
    /// Its tags.
    pub tags: Option<Vec<String>>,
    /// What it was called with.
    pub parameters: Option<Json>,
    /// Its labels (from 3.2).
    pub labels: Option<Json>,
    /// Where it runs.
    pub infrastructure_pid: Option<String>,
}
