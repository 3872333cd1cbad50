//! Task runs as data: filter keys, sorts, and the value of each column.

use super::TaskRun;
use crate::{
    filter::{Arg, Cell, Field, Filtered, Key},
    id::Id,
    listing_spec::{Column, FilterObject, Form, Sort, field_key, key, sort},
    schema::{
        ANY_TEXTS, BY_ID, BY_NAME, FLOW_TAGS, NAMES, NULLABLE_IDS, NULLABLE_TIMES, OPERATOR,
        RUN_FILTERS, TIMES,
    },
    table::{Nulls, Row, SortKey},
};

static SORTS: [Sort; 9] = [
    BY_ID,
    sort("EXPECTED_START_TIME_ASC", Column::ExpectedStartTime, false),
    sort("EXPECTED_START_TIME_DESC", Column::ExpectedStartTime, true),
    BY_NAME,
    sort("NAME_DESC", Column::Name, true),
    sort(
        "NEXT_SCHEDULED_START_TIME_ASC",
        Column::NextScheduledStartTime,
        false,
    ),
    sort("END_TIME_DESC", Column::EndTime, true),
    sort("DURATION_DESC", Column::Duration, true),
    sort("DURATION_ASC", Column::Duration, false),
];

static SOME_IDS: [Key; 1] = [key("any_", Arg::AnyIds)];
static STATE_TYPE: [Key; 1] = [key("any_", Arg::AnyStates)];
static STATE: [Key; 3] = [
    OPERATOR,
    field_key("type", Field::StateType, &STATE_TYPE),
    field_key("name", Field::StateName, &ANY_TEXTS),
];
static SUBFLOWS: [Key; 1] = [key("exists_", Arg::Exists)];

static KEYS: [Key; 10] = [
    OPERATOR,
    field_key("id", Field::Id, &SOME_IDS),
    field_key("name", Field::Name, &NAMES),
    field_key("tags", Field::Tags, &FLOW_TAGS),
    key("state", Arg::Group(&STATE)),
    field_key("start_time", Field::StartTime, &NULLABLE_TIMES),
    field_key("end_time", Field::EndTime, &NULLABLE_TIMES),
    field_key("expected_start_time", Field::ExpectedStartTime, &TIMES),
    field_key("subflow_runs", Field::Value("child_flow_run_id"), &SUBFLOWS),
    field_key("flow_run_id", Field::Value("flow_run_id"), &NULLABLE_IDS),
];

static FILTERS: [FilterObject; 4] = [
    RUN_FILTERS[0],
    RUN_FILTERS[1],
    FilterObject {
        name: "task_runs",
        keys: &KEYS,
    },
    RUN_FILTERS[2],
];

/// The description of a listing request for task runs.
pub(super) static FORM: Form = Form {
    name: "task_runs",
    filters: &FILTERS,
    sorts: &SORTS,
    order: BY_ID,
    elsewhere: &[],
};

impl Row for TaskRun {
    type Column = Column;

    fn id(&self) -> Id {
        self.id
    }

    fn key(&self, column: Column, nulls: Nulls) -> SortKey {
        match column {
            Column::Name => SortKey::Text(self.name.clone()),
            Column::Created => nulls.time(Some(self.created)),
            Column::Updated => nulls.time(Some(self.updated)),
            Column::StartTime => nulls.time(self.start_time),
            Column::ExpectedStartTime => nulls.time(Some(self.expected_start_time)),
            Column::NextScheduledStartTime => nulls.time(self.next_scheduled_start_time),
            Column::EndTime => nulls.time(self.end_time),
            Column::Duration => {
                SortKey::Time(self.total_run_time.num_microseconds().unwrap_or(i64::MAX))
            }
            _ => SortKey::Id(self.id),
        }
    }
}

impl Filtered for TaskRun {
    fn cell(&self, field: Field) -> Cell<'_> {
        match field {
            Field::Id => Cell::Id(Some(self.id)),
            Field::Name => Cell::Text(Some(&self.name)),
            Field::Tags => Cell::Tags(&self.tags),
            Field::StateType => Cell::Text(Some(self.state.kind.text())),
            Field::StateName => Cell::Text(Some(&self.state.name)),
            // A task run that has not started is in no range of start times, unlike a flow run.
            Field::StartTime | Field::StartOrExpected => Cell::Time(self.start_time),
            Field::EndTime => Cell::Time(self.end_time),
            Field::ExpectedStartTime => Cell::Time(Some(self.expected_start_time)),
            Field::NextScheduledStartTime => Cell::Time(self.next_scheduled_start_time),
            Field::Value("child_flow_run_id") => Cell::Id(self.child_flow_run_id),
            Field::Value("flow_run_id") => Cell::Id(self.flow_run_id),
            _ => Cell::Text(None),
        }
    }
}
