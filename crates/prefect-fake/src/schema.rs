//! The three collections as data: filter keys, sorts, and the value of each column of their rows.

use super::{
    filter::{Arg, Cell, Field, Filtered, Key},
    id::Id,
    listing_spec::{Column, FilterObject, Form, Sort, field_key, filter_object, key, sort},
    model::{Deployment, Flow, FlowRun},
    table::{Nulls, Row, SortKey},
};

/// A collection of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Collection {
    /// `/flows`
    Flows,
    /// `/flow_runs`
    FlowRuns,
    /// `/deployments`
    Deployments,
}

impl Collection {
    /// All collections.
    pub const ALL: [Self; 3] = [Self::Flows, Self::FlowRuns, Self::Deployments];

    /// Returns the name as in a path and in a body.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Flows => "flows",
            Self::FlowRuns => "flow_runs",
            Self::Deployments => "deployments",
        }
    }

    /// Returns the name of one row, as in a 404.
    pub const fn noun(self) -> &'static str {
        match self {
            Self::Flows => "Flow",
            Self::FlowRuns => "Flow run",
            Self::Deployments => "Deployment",
        }
    }

    /// Returns the collection of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|collection| collection.name() == name)
    }

    /// Returns the filter keys of all releases together.
    pub const fn keys(self) -> &'static [Key] {
        match self {
            Self::Flows => &FLOWS,
            Self::FlowRuns => &FLOW_RUNS,
            Self::Deployments => &DEPLOYMENTS,
        }
    }

    /// Returns the sorts, in the order in which an error message lists them.
    pub const fn sorts(self) -> &'static [Sort] {
        self.form().sorts
    }

    /// Returns the sort of a request that names none.
    pub const fn default_sort(self) -> &'static str {
        self.form().order.name
    }

    /// Returns the description of a listing request for this collection.
    pub const fn form(self) -> Form {
        let (sorts, order): (&'static [Sort], Sort) = match self {
            Self::FlowRuns => (&RUN_SORTS, BY_ID),
            Self::Flows | Self::Deployments => (&NAMED_SORTS, BY_NAME),
        };
        Form {
            name: self.name(),
            filters: &RUN_FILTERS,
            sorts,
            order,
            elsewhere: &ELSEWHERE,
        }
    }
}

/// Collections by which Prefect filters these rows and this fake does not.
const ELSEWHERE: [&str; 3] = ["task_runs", "work_pools", "work_pool_queues"];

/// The filters that each of these collections accepts: its own and those of the other two.
pub(super) static RUN_FILTERS: [FilterObject; 3] = [
    filter_object("flows", &FLOWS),
    filter_object("flow_runs", &FLOW_RUNS),
    filter_object("deployments", &DEPLOYMENTS),
];

pub(super) const BY_ID: Sort = sort("ID_DESC", Column::Id, true);
pub(super) const BY_NAME: Sort = sort("NAME_ASC", Column::Name, false);

static RUN_SORTS: [Sort; 9] = [
    BY_ID,
    sort("START_TIME_ASC", Column::StartTime, false),
    sort("START_TIME_DESC", Column::StartTime, true),
    sort("EXPECTED_START_TIME_ASC", Column::ExpectedStartTime, false),
    sort("EXPECTED_START_TIME_DESC", Column::ExpectedStartTime, true),
    sort("NAME_ASC", Column::Name, false),
    sort("NAME_DESC", Column::Name, true),
    sort(
        "NEXT_SCHEDULED_START_TIME_ASC",
        Column::NextScheduledStartTime,
        false,
    ),
    sort("END_TIME_DESC", Column::EndTime, true),
];

static NAMED_SORTS: [Sort; 4] = [
    sort("CREATED_DESC", Column::Created, true),
    sort("UPDATED_DESC", Column::Updated, true),
    sort("NAME_ASC", Column::Name, false),
    sort("NAME_DESC", Column::Name, true),
];

pub(super) const OPERATOR: Key = key("operator", Arg::Operator);
pub(super) const IS_NULL: Key = key("is_null_", Arg::IsNull);
pub(super) static IDS: [Key; 2] = [key("any_", Arg::AnyIds), key("not_any_", Arg::NotIds)];
pub(super) static NULLABLE_IDS: [Key; 3] = [OPERATOR, key("any_", Arg::AnyIds), IS_NULL];
pub(super) static ANY_IDS: [Key; 2] = [OPERATOR, key("any_", Arg::AnyIds)];
pub(super) static NAMES: [Key; 2] = [key("any_", Arg::AnyTexts), key("like_", Arg::Like)];
pub(super) static TEXTS: [Key; 2] = [key("any_", Arg::AnyTexts), key("not_any_", Arg::NotTexts)];
pub(super) static ANY_TEXTS: [Key; 1] = [key("any_", Arg::AnyTexts)];
static NULLABLE_TEXTS: [Key; 3] = [OPERATOR, key("any_", Arg::AnyTexts), IS_NULL];
pub(super) static FLOW_TAGS: [Key; 3] = [OPERATOR, key("all_", Arg::AllTexts), IS_NULL];
pub(super) static TAGS: [Key; 4] = [
    OPERATOR,
    key("all_", Arg::AllTexts),
    key("any_", Arg::AnyTexts),
    IS_NULL,
];
pub(super) static TIMES: [Key; 2] = [key("before_", Arg::Before), key("after_", Arg::After)];
pub(super) static NULLABLE_TIMES: [Key; 3] = [
    key("before_", Arg::Before),
    key("after_", Arg::After),
    IS_NULL,
];
static STATE_TYPE: [Key; 2] = [key("any_", Arg::AnyStates), key("not_any_", Arg::NotStates)];
static STATE: [Key; 3] = [
    OPERATOR,
    field_key("type", Field::StateType, &STATE_TYPE),
    field_key("name", Field::StateName, &TEXTS),
];
pub(super) static FLAG: [Key; 1] = [key("eq_", Arg::Eq)];
static CREATED_BY: [Key; 4] = [
    OPERATOR,
    Key {
        name: "id_",
        field: Some(Field::CreatedById),
        arg: Arg::AnyIds,
    },
    Key {
        name: "type_",
        field: Some(Field::CreatedByType),
        arg: Arg::AnyTexts,
    },
    IS_NULL,
];

static FLOW_RUNS: [Key; 16] = [
    OPERATOR,
    field_key("id", Field::Id, &IDS),
    field_key("name", Field::Name, &NAMES),
    field_key("tags", Field::Tags, &TAGS),
    field_key("deployment_id", Field::DeploymentId, &NULLABLE_IDS),
    field_key("work_queue_name", Field::WorkQueueName, &NULLABLE_TEXTS),
    key("state", Arg::Group(&STATE)),
    field_key("flow_version", Field::FlowVersion, &ANY_TEXTS),
    field_key("start_time", Field::StartTime, &NULLABLE_TIMES),
    field_key("end_time", Field::EndTime, &NULLABLE_TIMES),
    field_key("expected_start_time", Field::ExpectedStartTime, &TIMES),
    field_key(
        "next_scheduled_start_time",
        Field::NextScheduledStartTime,
        &TIMES,
    ),
    field_key("parent_flow_run_id", Field::ParentFlowRunId, &ANY_IDS),
    field_key("parent_task_run_id", Field::ParentTaskRunId, &NULLABLE_IDS),
    field_key("idempotency_key", Field::IdempotencyKey, &TEXTS),
    field_key("created_by", Field::CreatedByType, &CREATED_BY),
];

static FLOWS: [Key; 4] = [
    OPERATOR,
    field_key("id", Field::Id, &IDS),
    field_key("name", Field::Name, &NAMES),
    field_key("tags", Field::Tags, &FLOW_TAGS),
];

static DEPLOYMENTS: [Key; 7] = [
    OPERATOR,
    field_key("id", Field::Id, &IDS),
    field_key("name", Field::Name, &NAMES),
    field_key("paused", Field::Paused, &FLAG),
    field_key("is_schedule_active", Field::ScheduleActive, &FLAG),
    field_key("tags", Field::Tags, &TAGS),
    field_key("work_queue_name", Field::WorkQueueName, &ANY_TEXTS),
];

impl Row for Flow {
    type Column = Column;

    fn id(&self) -> Id {
        self.id
    }

    fn key(&self, column: Column, nulls: Nulls) -> SortKey {
        match column {
            Column::Name => SortKey::Text(self.name.clone()),
            Column::Created => nulls.time(Some(self.created)),
            Column::Updated => nulls.time(Some(self.updated)),
            _ => SortKey::Id(self.id),
        }
    }
}

impl Filtered for Flow {
    fn cell(&self, field: Field) -> Cell<'_> {
        match field {
            Field::Id => Cell::Id(Some(self.id)),
            Field::Tags => Cell::Tags(&self.tags),
            Field::Name => Cell::Text(Some(&self.name)),
            _ => Cell::Text(None),
        }
    }
}

impl Row for Deployment {
    type Column = Column;

    fn id(&self) -> Id {
        self.id
    }

    fn key(&self, column: Column, nulls: Nulls) -> SortKey {
        match column {
            Column::Name => SortKey::Text(self.name.clone()),
            Column::Created => nulls.time(Some(self.created)),
            Column::Updated => nulls.time(Some(self.updated)),
            _ => SortKey::Id(self.id),
        }
    }
}

impl Filtered for Deployment {
    fn cell(&self, field: Field) -> Cell<'_> {
        match field {
            Field::Id => Cell::Id(Some(self.id)),
            Field::Tags => Cell::Tags(&self.tags),
            Field::Name => Cell::Text(Some(&self.name)),
            Field::Paused => Cell::Flag(self.paused),
            Field::ScheduleActive => Cell::Flag(!self.paused),
            Field::WorkQueueName => {
                Cell::Text(self.queue.as_ref().map(|queue| queue.name.as_str()))
            }
            _ => Cell::Text(None),
        }
    }
}

impl Row for FlowRun {
    type Column = Column;

    fn id(&self) -> Id {
        self.id
    }

    fn key(&self, column: Column, nulls: Nulls) -> SortKey {
        match column {
            Column::Name => SortKey::Text(self.name.clone()),
            Column::Created => nulls.time(Some(self.created)),
            Column::Updated => nulls.time(Some(self.updated)),
            Column::StartTime => {
                nulls.time(Some(self.start_time.unwrap_or(self.expected_start_time)))
            }
            Column::ExpectedStartTime => nulls.time(Some(self.expected_start_time)),
            Column::NextScheduledStartTime => nulls.time(self.next_scheduled_start_time),
            Column::EndTime => nulls.time(self.end_time),
            _ => SortKey::Id(self.id),
        }
    }
}

impl Filtered for FlowRun {
    fn cell(&self, field: Field) -> Cell<'_> {
        match field {
            Field::Id => Cell::Id(Some(self.id)),
            Field::Name => Cell::Text(Some(&self.name)),
            Field::Tags => Cell::Tags(&self.tags),
            Field::DeploymentId => Cell::Id(self.deployment_id),
            Field::FlowVersion => Cell::Text(self.flow_version.as_deref()),
            Field::IdempotencyKey => Cell::Text(self.idempotency_key.as_deref()),
            Field::WorkQueueName => {
                Cell::Text(self.queue.as_ref().map(|queue| queue.name.as_str()))
            }
            Field::StateType => Cell::Text(Some(self.state.kind.text())),
            Field::StateName => Cell::Text(Some(&self.state.name)),
            Field::StartTime => Cell::Time(self.start_time),
            Field::StartOrExpected => {
                Cell::Time(Some(self.start_time.unwrap_or(self.expected_start_time)))
            }
            Field::EndTime => Cell::Time(self.end_time),
            Field::ExpectedStartTime => Cell::Time(Some(self.expected_start_time)),
            Field::NextScheduledStartTime => Cell::Time(self.next_scheduled_start_time),
            Field::ParentTaskRunId => Cell::Id(self.parent_task_run_id),
            Field::ParentFlowRunId => Cell::Id(self.parent_run),
            Field::CreatedById => Cell::Id(self.created_by.as_ref().and_then(|creator| creator.id)),
            Field::CreatedByType => Cell::Text(
                self.created_by
                    .as_ref()
                    .map(|creator| creator.kind.as_str()),
            ),
            Field::Paused | Field::ScheduleActive => Cell::Flag(false),
            Field::Value(_) => Cell::Text(None),
        }
    }
}
