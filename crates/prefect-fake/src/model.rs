//! The objects of a workspace, as the server stores them.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use super::id::Id;

/// A point in time, with microseconds.
pub type Time = DateTime<Utc>;

/// A JSON document of the user, stored as text so that numbers stay as written.
#[derive(Debug, Clone)]
pub struct Json(Arc<RawValue>);

impl Json {
    /// Stores `value`; a value that is not representable as JSON becomes `null`.
    pub fn from_serialize<T: Serialize + ?Sized>(value: &T) -> Self {
        let raw =
            serde_json::value::to_raw_value(value).unwrap_or_else(|_| RawValue::NULL.to_owned());
        Self(Arc::from(raw))
    }

    /// Stores `text` unchanged if it is JSON.
    pub fn parse(text: &str) -> Option<Self> {
        RawValue::from_string(text.to_owned())
            .ok()
            .map(|raw| Self(Arc::from(raw)))
    }

    /// An empty object.
    pub fn object() -> Self {
        Self::from_serialize(&serde_json::Map::new())
    }

    /// Returns the text.
    pub fn text(&self) -> &str {
        self.0.get()
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

/// The nine types of state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StateType {
    /// The run waits for its due time.
    Scheduled,
    /// The run was submitted and is not yet running.
    Pending,
    /// The run is executing.
    Running,
    /// The run ended successfully.
    Completed,
    /// The run ended with an error.
    Failed,
    /// The run ended by a cancellation.
    Cancelled,
    /// The run ended because its infrastructure failed.
    Crashed,
    /// The run waits until it is resumed.
    Paused,
    /// The run is being cancelled.
    Cancelling,
}

impl StateType {
    /// All types, in the order in which Prefect lists them.
    pub const ALL: [Self; 9] = [
        Self::Scheduled,
        Self::Pending,
        Self::Running,
        Self::Completed,
        Self::Failed,
        Self::Cancelled,
        Self::Crashed,
        Self::Paused,
        Self::Cancelling,
    ];

    /// Returns the spelling of the API.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Scheduled => "SCHEDULED",
            Self::Pending => "PENDING",
            Self::Running => "RUNNING",
            Self::Completed => "COMPLETED",
            Self::Failed => "FAILED",
            Self::Cancelled => "CANCELLED",
            Self::Crashed => "CRASHED",
            Self::Paused => "PAUSED",
            Self::Cancelling => "CANCELLING",
        }
    }

    /// Returns the name of a state of this type that was created without one.
    pub const fn default_name(self) -> &'static str {
        match self {
            Self::Scheduled => "Scheduled",
            Self::Pending => "Pending",
            Self::Running => "Running",
            Self::Completed => "Completed",
            Self::Failed => "Failed",
            Self::Cancelled => "Cancelled",
            Self::Crashed => "Crashed",
            Self::Paused => "Paused",
            Self::Cancelling => "Cancelling",
        }
    }

    /// Parses the spelling of the API.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.text() == text)
    }

    /// Returns true if a run in this state has ended.
    pub const fn is_terminal(self) -> bool {
        matches!(
            self,
            Self::Completed | Self::Failed | Self::Cancelled | Self::Crashed
        )
    }
}

/// A state of a run.
#[derive(Debug, Clone)]
pub struct State {
    /// The id of the state.
    pub id: Id,
    /// The type of the state.
    pub kind: StateType,
    /// Free text: `Late`, `Cached`, `AwaitingRetry` …
    pub name: String,
    /// The time at which the run entered the state.
    pub timestamp: Time,
    /// The message that was set with the state.
    pub message: Option<String>,
    /// The due time of the run, for SCHEDULED.
    pub scheduled_time: Option<Time>,
    /// The time at which a pause times out, for PAUSED.
    pub pause_timeout: Option<Time>,
}

/// The creator of a run or a deployment.
#[derive(Debug, Clone, Serialize)]
pub struct Creator {
    /// The creator's id.
    pub id: Option<Id>,
    /// `SCHEDULE`, `USER`, `AUTOMATION` …
    #[serde(rename = "type")]
    pub kind: String,
    /// A display name.
    pub display_value: String,
}

/// A flow.
#[derive(Debug, Clone)]
pub struct Flow {
    /// The id.
    pub id: Id,
    /// The time of creation.
    pub created: Time,
    /// The time of the last change.
    pub updated: Time,
    /// The name, unique in the workspace.
    pub name: String,
    /// The tags.
    pub tags: Vec<String>,
    /// The labels (from 3.2).
    pub labels: Json,
}

/// The rule for the due times of a deployment's runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rule {
    /// A cron expression.
    Cron {
        /// The expression.
        cron: String,
        /// The IANA name of the time zone.
        timezone: String,
    },
    /// A fixed interval.
    Interval {
        /// The interval in seconds.
        seconds: u32,
        /// The time from which intervals are counted.
        anchor: Time,
    },
    /// An RFC 5545 rule.
    RRule {
        /// The rule.
        rrule: String,
        /// The IANA name of the time zone.
        timezone: String,
    },
}

/// One schedule of a deployment.
#[derive(Debug, Clone)]
pub struct Schedule {
    /// The id.
    pub id: Id,
    /// The time of creation.
    pub created: Time,
    /// The time of the last change; independent of the deployment's `updated`.
    pub updated: Time,
    /// The rule for the due times.
    pub rule: Rule,
    /// True if the schedule creates runs.
    pub active: bool,
    /// Parameters of its runs (3.x).
    pub parameters: Json,
    /// The name of the schedule (3.x).
    pub slug: Option<String>,
}

/// A work queue, where runs wait for a worker.
#[derive(Debug, Clone)]
pub struct Queue {
    /// The queue's id.
    pub id: Id,
    /// The queue's name.
    pub name: String,
    /// The pool's id.
    pub pool_id: Id,
    /// The pool's name.
    pub pool_name: String,
}

/// A deployment.
#[derive(Debug, Clone)]
pub struct Deployment {
    /// The id.
    pub id: Id,
    /// The time of creation.
    pub created: Time,
    /// The time of the last change, except changes to schedules, `last_polled` and `status`.
    pub updated: Time,
    /// The name, unique within the flow.
    pub name: String,
    /// The user-defined version.
    pub version: Option<String>,
    /// The description.
    pub description: Option<String>,
    /// The flow that its runs execute.
    pub flow_id: Id,
    /// True if its schedules create no runs.
    pub paused: bool,
    /// The schedules, newest first, as the API lists them.
    pub schedules: Vec<Schedule>,
    /// Default parameters.
    pub parameters: Json,
    /// The infrastructure settings of its runs (2.x: `infra_overrides`).
    pub job_variables: Json,
    /// The tags.
    pub tags: Vec<String>,
    /// The labels (from 3.2).
    pub labels: Json,
    /// The work queue of its runs.
    pub queue: Option<Queue>,
    /// The time of a worker's last poll.
    pub last_polled: Option<Time>,
    /// True if a worker polls for its runs.
    pub ready: bool,
    /// The location of the code.
    pub path: Option<String>,
    /// The function that is called.
    pub entrypoint: Option<String>,
    /// True if parameters are validated.
    pub enforce_parameter_schema: bool,
    /// The creator of the deployment.
    pub created_by: Option<Creator>,
}

/// A flow run.
#[derive(Debug, Clone)]
pub struct FlowRun {
    /// The id.
    pub id: Id,
    /// The time of creation.
    pub created: Time,
    /// The time of the last change.
    pub updated: Time,
    /// The name, not unique.
    pub name: String,
    /// The flow that runs.
    pub flow_id: Id,
    /// The deployment's id, which stays after the deployment was deleted.
    pub deployment_id: Option<Id>,
    /// The deployment's version when the run was created.
    pub deployment_version: Option<String>,
    /// The work queue of the run.
    pub queue: Option<Queue>,
    /// The user-defined version of the flow.
    pub flow_version: Option<String>,
    /// The parameters of the call.
    pub parameters: Json,
    /// A second creation with the same key returns the first run.
    pub idempotency_key: Option<String>,
    /// The number of retries and the delay between them, in seconds.
    pub retries: Option<(u32, u32)>,
    /// The tags.
    pub tags: Vec<String>,
    /// The labels (from 3.2).
    pub labels: Json,
    /// The task run of the parent that represents this subflow.
    pub parent_task_run_id: Option<Id>,
    /// The parent run, which the API does not return.
    pub parent_run: Option<Id>,
    /// The number of times the run entered RUNNING.
    pub run_count: u32,
    /// The time at which the run should have started.
    pub expected_start_time: Time,
    /// The next due time, while SCHEDULED.
    pub next_scheduled_start_time: Option<Time>,
    /// The time at which the run first entered RUNNING.
    pub start_time: Option<Time>,
    /// The time of the end; null again after a retry.
    pub end_time: Option<Time>,
    /// The time spent in RUNNING states that have ended.
    pub total_run_time: TimeDelta,
    /// True if the scheduler created the run.
    pub auto_scheduled: bool,
    /// The process or container that executes the run.
    pub infrastructure_pid: Option<String>,
    /// The creator of the run.
    pub created_by: Option<Creator>,
    /// The current state.
    pub state: State,
    /// The infrastructure settings of the run.
    pub job_variables: Option<Json>,
}
