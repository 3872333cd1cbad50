//! The objects of a workspace, as the server keeps them.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use super::id::Id;

/// A point in time, to the microsecond.
pub type Time = DateTime<Utc>;

/// A JSON document of the user's, kept as its text: numbers stay as they were written.
#[derive(Debug, Clone)]
pub struct Json(Arc<RawValue>);

impl Json {
    /// Keeps `value`; what cannot be written as JSON becomes `null`.
    pub fn of<T: Serialize + ?Sized>(value: &T) -> Self {
        let raw =
            serde_json::value::to_raw_value(value).unwrap_or_else(|_| RawValue::NULL.to_owned());
        Self(Arc::from(raw))
    }

    /// Keeps `text` as it is, if it is JSON.
    pub fn parse(text: &str) -> Option<Self> {
        RawValue::from_string(text.to_owned())
            .ok()
            .map(|raw| Self(Arc::from(raw)))
    }

    /// An empty object.
    pub fn object() -> Self {
        Self::of(&serde_json::Map::new())
    }

    /// The text.
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
    /// Waits for its time.
    Scheduled,
    /// Handed out, not yet running.
    Pending,
    /// Runs.
    Running,
    /// Ended well.
    Completed,
    /// Ended with an error.
    Failed,
    /// Ended by request.
    Cancelled,
    /// Ended with its infrastructure.
    Crashed,
    /// Waits to be resumed.
    Paused,
    /// Is being ended by request.
    Cancelling,
}

impl StateType {
    /// All of them, in the order in which Prefect lists them.
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

    /// As in the API.
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

    /// The name of a state of this type that was not given one.
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

    /// Reads the API's text.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.text() == text)
    }

    /// Whether a run in it has ended.
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
    /// Its id.
    pub id: Id,
    /// Its type.
    pub kind: StateType,
    /// Free text: `Late`, `Cached`, `AwaitingRetry` …
    pub name: String,
    /// When the run entered it.
    pub timestamp: Time,
    /// What its maker said about it.
    pub message: Option<String>,
    /// When the run is due, for SCHEDULED.
    pub scheduled_time: Option<Time>,
    /// When a pause gives up, for PAUSED.
    pub pause_timeout: Option<Time>,
}

/// Who made a run or a deployment.
#[derive(Debug, Clone, Serialize)]
pub struct Creator {
    /// The maker's id.
    pub id: Option<Id>,
    /// `SCHEDULE`, `USER`, `AUTOMATION` …
    #[serde(rename = "type")]
    pub kind: String,
    /// For people to read.
    pub display_value: String,
}

/// A flow.
#[derive(Debug, Clone)]
pub struct Flow {
    /// Its id.
    pub id: Id,
    /// When it was made.
    pub created: Time,
    /// When it last changed.
    pub updated: Time,
    /// Unique.
    pub name: String,
    /// Its tags.
    pub tags: Vec<String>,
    /// Its labels (from 3.2).
    pub labels: Json,
}

/// When a deployment's runs are due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rule {
    /// A cron line.
    Cron {
        /// The line.
        cron: String,
        /// IANA name.
        timezone: String,
    },
    /// Every so many seconds.
    Interval {
        /// The seconds.
        seconds: u32,
        /// Counted from here.
        anchor: Time,
    },
    /// An RFC 5545 rule.
    RRule {
        /// The rule.
        rrule: String,
        /// IANA name.
        timezone: String,
    },
}

/// One schedule of a deployment.
#[derive(Debug, Clone)]
pub struct Schedule {
    /// Its id.
    pub id: Id,
    /// When it was made.
    pub created: Time,
    /// When it last changed; not the deployment's `updated`.
    pub updated: Time,
    /// When runs are due.
    pub rule: Rule,
    /// Whether it makes runs.
    pub active: bool,
    /// Parameters of its runs (3.x).
    pub parameters: Json,
    /// A name of its own (3.x).
    pub slug: Option<String>,
}

/// Where runs wait for a worker.
#[derive(Debug, Clone)]
pub struct Queue {
    /// The queue's id.
    pub id: Id,
    /// The queue's name.
    pub name: String,
    /// Its pool's id.
    pub pool_id: Id,
    /// Its pool's name.
    pub pool_name: String,
}

/// A deployment.
#[derive(Debug, Clone)]
pub struct Deployment {
    /// Its id.
    pub id: Id,
    /// When it was made.
    pub created: Time,
    /// When it last changed, apart from its schedules, `last_polled` and `status`.
    pub updated: Time,
    /// Unique within its flow.
    pub name: String,
    /// The user's version.
    pub version: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// What it runs.
    pub flow_id: Id,
    /// Whether its schedules rest.
    pub paused: bool,
    /// Newest first, as the API lists them.
    pub schedules: Vec<Schedule>,
    /// Default parameters.
    pub parameters: Json,
    /// How its runs are hosted (2.x: `infra_overrides`).
    pub job_variables: Json,
    /// Its tags.
    pub tags: Vec<String>,
    /// Its labels (from 3.2).
    pub labels: Json,
    /// Where its runs wait.
    pub queue: Option<Queue>,
    /// When a worker last asked for its runs.
    pub last_polled: Option<Time>,
    /// Whether a worker asks for its runs.
    pub ready: bool,
    /// Where the code lies.
    pub path: Option<String>,
    /// The function.
    pub entrypoint: Option<String>,
    /// Whether parameters are checked.
    pub enforce_parameter_schema: bool,
    /// Who made it.
    pub created_by: Option<Creator>,
}

/// A flow run.
#[derive(Debug, Clone)]
pub struct FlowRun {
    /// Its id.
    pub id: Id,
    /// When it was made.
    pub created: Time,
    /// When it last changed.
    pub updated: Time,
    /// Not unique.
    pub name: String,
    /// What runs.
    pub flow_id: Id,
    /// Keeps pointing at a deployment that is gone.
    pub deployment_id: Option<Id>,
    /// The deployment's version when the run was made.
    pub deployment_version: Option<String>,
    /// Where it waits.
    pub queue: Option<Queue>,
    /// The user's version of the flow.
    pub flow_version: Option<String>,
    /// What it was called with.
    pub parameters: Json,
    /// Makes a second creation find the first.
    pub idempotency_key: Option<String>,
    /// How often and when it is retried.
    pub retries: Option<(u32, u32)>,
    /// Its tags.
    pub tags: Vec<String>,
    /// Its labels (from 3.2).
    pub labels: Json,
    /// The task run of the parent that stands for this subflow.
    pub parent_task_run_id: Option<Id>,
    /// The parent run, which the API does not show.
    pub parent_run: Option<Id>,
    /// How often it entered RUNNING.
    pub run_count: u32,
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
    /// Whether the scheduler made it.
    pub auto_scheduled: bool,
    /// Where it runs.
    pub infrastructure_pid: Option<String>,
    /// Who made it.
    pub created_by: Option<Creator>,
    /// Its present state.
    pub state: State,
    /// How it is hosted.
    pub job_variables: Option<Json>,
}
