//! Columns that flow runs and task runs share.

use super::{Column, ColumnType};

pub(super) const STATE_ID: Column = Column::new(
    "state_id",
    ColumnType::String,
    &["state_id", "state.id"],
    "The current state's id.",
);

pub(super) const STATE_TYPE: Column = Column::new(
    "state_type",
    ColumnType::String,
    &["state_type", "state.type"],
    "The current state's type: SCHEDULED, PENDING, RUNNING, PAUSED, CANCELLING, COMPLETED, FAILED, CANCELLED or CRASHED.",
);

pub(super) const STATE_NAME: Column = Column::new(
    "state_name",
    ColumnType::String,
    &["state_name", "state.name"],
    "The current state's name, free text such as Late, Retrying or Cached.",
);

pub(super) const STATE_TIMESTAMP: Column = Column::new(
    "state_timestamp",
    ColumnType::UtcDatetime,
    &["state.timestamp"],
    "The time at which the run entered the current state.",
);

pub(super) const STATE_MESSAGE: Column = Column::new(
    "state_message",
    ColumnType::String,
    &["state.message"],
    "The current state's message, such as the error of a failed run.",
);

pub(super) const STATE_DATA: Column = Column::new(
    "state_data",
    ColumnType::Json,
    &["state.data"],
    "A reference to the run's result, in Prefect's own format.",
);

pub(super) const STATE_DETAILS: Column = Column::new(
    "state_details",
    ColumnType::Json,
    &["state.state_details"],
    "More about the current state, an object.",
);

pub(super) const RUN_COUNT: Column = Column::new(
    "run_count",
    ColumnType::Long,
    &["run_count"],
    "How many times the run was started.",
);

pub(super) const EXPECTED_START_TIME: Column = Column::new(
    "expected_start_time",
    ColumnType::UtcDatetime,
    &["expected_start_time"],
    "The expected start time.",
);

pub(super) const NEXT_SCHEDULED_START_TIME: Column = Column::new(
    "next_scheduled_start_time",
    ColumnType::UtcDatetime,
    &["next_scheduled_start_time"],
    "The next start time while the run is scheduled.",
);

pub(super) const START_TIME: Column = Column::new(
    "start_time",
    ColumnType::UtcDatetime,
    &["start_time"],
    "The time at which the run first started.",
);

pub(super) const END_TIME: Column = Column::new(
    "end_time",
    ColumnType::UtcDatetime,
    &["end_time"],
    "The time at which the run ended; null again during a retry.",
);

pub(super) const TOTAL_RUN_TIME: Column = Column::new(
    "total_run_time",
    ColumnType::Double,
    &["total_run_time"],
    "The total run time, in seconds.",
);

pub(super) const ESTIMATED_RUN_TIME: Column = Column::new(
    "estimated_run_time",
    ColumnType::Double,
    &["estimated_run_time"],
    "The run time when the row was read, in seconds.",
)
.volatile();

pub(super) const ESTIMATED_START_TIME_DELTA: Column = Column::new(
    "estimated_start_time_delta",
    ColumnType::Double,
    &["estimated_start_time_delta"],
    "The seconds between the expected and the actual start, as of the time when the row was read.",
)
.volatile();

pub(super) const EMPIRICAL_POLICY_MAX_RETRIES: Column = Column::new(
    "empirical_policy_max_retries",
    ColumnType::Long,
    &["empirical_policy.max_retries"],
    "Deprecated by Prefect in favour of empirical_policy_retries.",
);

pub(super) const EMPIRICAL_POLICY_RETRY_DELAY_SECONDS: Column = Column::new(
    "empirical_policy_retry_delay_seconds",
    ColumnType::Double,
    &["empirical_policy.retry_delay_seconds"],
    "Deprecated by Prefect in favour of empirical_policy_retry_delay.",
);

pub(super) const EMPIRICAL_POLICY_RETRIES: Column = Column::new(
    "empirical_policy_retries",
    ColumnType::Long,
    &["empirical_policy.retries"],
    "How many times a failed run is retried.",
);
