//! A task run, as the server stores it.

use chrono::TimeDelta;

use crate::{
    changes::NewState,
    id::Id,
    model::{Json, State, Time},
};

/// A task run.
#[derive(Debug, Clone)]
pub struct TaskRun {
    /// The id.
    pub id: Id,
    /// The time of creation; 3.x creates task runs with a delay.
    pub created: Time,
    /// The time of the last change.
    pub updated: Time,
    /// The name, not unique.
    pub name: String,
    /// The flow run that the task run belongs to; `None` for a task outside of flows.
    pub flow_run_id: Option<Id>,
    /// The key of the function.
    pub task_key: String,
    /// A key that distinguishes the calls of the function.
    pub dynamic_key: String,
    /// A later call with the same key uses the result of the first.
    pub cache_key: Option<String>,
    /// The time until which the cached result is used.
    pub cache_expiration: Option<Time>,
    /// The user-defined version of the task.
    pub task_version: Option<String>,
    /// The number of retries and the delay between them, in seconds.
    pub retries: Option<(u32, u32)>,
    /// The tags.
    pub tags: Vec<String>,
    /// The labels (from 3.2).
    pub labels: Json,
    /// The inputs of the call: constants, parameters, other task runs.
    pub task_inputs: Json,
    /// The number of times the task run entered RUNNING.
    pub run_count: u32,
    /// The run count of its flow run when the task run last entered RUNNING.
    pub flow_run_run_count: u32,
    /// The time at which the task run should have started.
    pub expected_start_time: Time,
    /// The next due time, while SCHEDULED.
    pub next_scheduled_start_time: Option<Time>,
    /// The time at which the task run first entered RUNNING.
    pub start_time: Option<Time>,
    /// The time of the end; null again after a retry.
    pub end_time: Option<Time>,
    /// The time spent in RUNNING states that have ended.
    pub total_run_time: TimeDelta,
    /// The subflow run that this task run represents.
    pub child_flow_run_id: Option<Id>,
    /// The current state.
    pub state: State,
}

/// A task run to create.
#[derive(Debug, Clone)]
pub struct NewTaskRun {
    /// The flow run that the task run belongs to.
    pub flow_run_id: Option<Id>,
    /// The name.
    pub name: String,
    /// The key of the function.
    pub task_key: String,
    /// A key that distinguishes the calls of the function.
    pub dynamic_key: String,
    /// The inputs of the call.
    pub task_inputs: Json,
    /// The tags.
    pub tags: Vec<String>,
    /// The first state; `None` means PENDING.
    pub state: Option<NewState>,
}

impl NewTaskRun {
    /// A first call of the task `name` in a flow run.
    pub fn new(flow_run_id: Id, name: &str) -> Self {
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
