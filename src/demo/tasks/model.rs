//! A task run, as the server keeps it.

use chrono::TimeDelta;

use crate::demo::{
    changes::NewState,
    id::Id,
    model::{Json, State, Time},
};

/// A task run.
#[derive(Debug, Clone)]
pub struct TaskRun {
    /// Its id.
    pub id: Id,
    /// When it was made; in 3.x after the fact.
    pub created: Time,
    /// When it last changed.
    pub updated: Time,
    /// Not unique.
    pub name: String,
    /// The flow run it is part of; none for a task outside of flows.
    pub flow_run_id: Option<Id>,
    /// The function.
    pub task_key: String,
    /// Which call of the function it is.
    pub dynamic_key: String,
    /// Makes a second call find the first one's result.
    pub cache_key: Option<String>,
    /// Until when it does.
    pub cache_expiration: Option<Time>,
    /// The user's version of the task.
    pub task_version: Option<String>,
    /// How often and when it is retried.
    pub retries: Option<(u32, u32)>,
    /// Its tags.
    pub tags: Vec<String>,
    /// Its labels (from 3.2).
    pub labels: Json,
    /// What it was called with: constants, parameters, other task runs.
    pub task_inputs: Json,
    /// How often it entered RUNNING.
    pub run_count: u32,
    /// How often its flow run had, when it last did.
    pub flow_run_run_count: u32,
    /// When it should have started.
    pub expected_start_time: Time,
    /// When it is next due, while SCHEDULED.
    pub next_scheduled_start_time: Option<Time>,
    /// When it first ran.
    pub start_time: Option<Time>,
    /// When it ended; null again on a retry.
    pub end_time: Option<Time>,
    /// Time spent in RUNNING states that are over.
    pub total_run_time: TimeDelta,
    /// The subflow that it stands for.
    pub child_flow_run_id: Option<Id>,
    /// Its present state.
    pub state: State,
}

/// A task run to create.
#[derive(Debug, Clone)]
pub struct NewTaskRun {
    /// The flow run it is part of.
    pub flow_run_id: Option<Id>,
    /// Its name.
    pub name: String,
    /// The function.
    pub task_key: String,
    /// Which call of the function it is.
    pub dynamic_key: String,
    /// What it is called with.
    pub task_inputs: Json,
    /// Its tags.
    pub tags: Vec<String>,
    /// Its first state; PENDING without one.
    pub state: Option<NewState>,
}

impl NewTaskRun {
    /// The first call of the task `name` in a flow run.
    pub fn of(flow_run_id: Id, name: &str) -> Self {
        Self {
            flow_run_id: Some(flow_run_id),
            name: format!("{name}-0"),
            task_key: name.to_owned(),
            dynamic_key: "0".to_owned(),
            task_inputs: Json::object(),
            tags: Vec::new(),
            state: None,
        }
    }
}
