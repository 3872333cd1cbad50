//! The filter keys of the generic collections, of all releases together.

use crate::{
    filter::{Arg, Field, Key},
    listing_spec::{field_key, key},
    schema::{ANY_TEXTS, FLAG, FLOW_TAGS, IS_NULL, NAMES, OPERATOR, TAGS, TEXTS, TIMES},
};

/// The key `any_` without others.
static SOME_IDS: [Key; 1] = [key("any_", Arg::AnyIds)];
static LIKE: [Key; 1] = [key("like_", Arg::Like)];
static KEY: [Key; 3] = [
    key("any_", Arg::AnyTexts),
    key("like_", Arg::Like),
    key("exists_", Arg::Exists),
];
static BEFORE: [Key; 1] = [key("before_", Arg::Before)];
static STARTS: [Key; 2] = [
    key("any_", Arg::AnyTexts),
    key("startswith_", Arg::StartsWith),
];
static ALL_TEXTS: [Key; 1] = [key("all_", Arg::AllTexts)];
static LEVEL: [Key; 2] = [key("ge_", Arg::AtLeast), key("le_", Arg::AtMost)];
static WORKER_STATES: [&str; 2] = ["ONLINE", "OFFLINE"];
static WORKER_STATUS: [Key; 2] = [
    key("any_", Arg::AnyWords(&WORKER_STATES)),
    key("not_any_", Arg::NotWords(&WORKER_STATES)),
];
static TASK_OF_LOG: [Key; 2] = [key("any_", Arg::AnyIds), IS_NULL];
static TEXT_OF_LOG: [Key; 1] = [key("query", Arg::Like)];

const ID: Key = field_key("id", Field::Id, &SOME_IDS);
const NAME: Key = field_key("name", Field::Name, &NAMES);

pub(super) static ARTIFACTS: [Key; 6] = [
    OPERATOR,
    ID,
    field_key("key", Field::Value("key"), &KEY),
    field_key("flow_run_id", Field::Value("flow_run_id"), &SOME_IDS),
    field_key("task_run_id", Field::Value("task_run_id"), &SOME_IDS),
    field_key("type", Field::Value("type"), &TEXTS),
];

pub(super) static VARIABLES: [Key; 5] = [
    OPERATOR,
    ID,
    NAME,
    field_key("value", Field::Value("value"), &NAMES),
    field_key("tags", Field::Value("tags"), &FLOW_TAGS),
];

pub(super) static WORK_POOLS: [Key; 4] = [
    OPERATOR,
    ID,
    field_key("name", Field::Name, &ANY_TEXTS),
    field_key("type", Field::Value("type"), &ANY_TEXTS),
];

pub(super) static WORK_QUEUES: [Key; 3] = [
    OPERATOR,
    ID,
    field_key("name", Field::Value("name"), &STARTS),
];

pub(super) static WORKERS: [Key; 3] = [
    OPERATOR,
    field_key(
        "last_heartbeat_time",
        Field::Value("last_heartbeat_time"),
        &TIMES,
    ),
    field_key("status", Field::Value("status"), &WORKER_STATUS),
];

pub(super) static AUTOMATIONS: [Key; 5] = [
    OPERATOR,
    ID,
    field_key("name", Field::Name, &ANY_TEXTS),
    field_key("created", Field::Value("created"), &BEFORE),
    field_key("tags", Field::Value("tags"), &TAGS),
];

pub(super) static BLOCK_TYPES: [Key; 2] = [
    field_key("name", Field::Name, &LIKE),
    field_key("slug", Field::Value("slug"), &ANY_TEXTS),
];

pub(super) static BLOCK_SCHEMAS: [Key; 5] = [
    OPERATOR,
    ID,
    field_key("block_type_id", Field::Value("block_type_id"), &SOME_IDS),
    field_key(
        "block_capabilities",
        Field::Value("capabilities"),
        &ALL_TEXTS,
    ),
    field_key("version", Field::Value("version"), &ANY_TEXTS),
];

pub(super) static BLOCK_DOCUMENTS: [Key; 5] = [
    OPERATOR,
    ID,
    field_key("is_anonymous", Field::Value("is_anonymous"), &FLAG),
    field_key("block_type_id", Field::Value("block_type_id"), &SOME_IDS),
    NAME,
];

pub(super) static LOGS: [Key; 6] = [
    OPERATOR,
    field_key("level", Field::Value("level"), &LEVEL),
    field_key("timestamp", Field::Value("timestamp"), &TIMES),
    field_key("flow_run_id", Field::Value("flow_run_id"), &SOME_IDS),
    field_key("task_run_id", Field::Value("task_run_id"), &TASK_OF_LOG),
    field_key("text", Field::Value("message"), &TEXT_OF_LOG),
];

static OCCURRED: [Key; 2] = [key("since", Arg::After), key("until", Arg::Before)];
static EVENT: [Key; 4] = [
    key("name", Arg::AnyTexts),
    key("prefix", Arg::Prefixes),
    key("exclude_name", Arg::NotTexts),
    key("exclude_prefix", Arg::NotPrefixes),
];
static RESOURCE: [Key; 2] = [key("id", Arg::AnyTexts), key("id_prefix", Arg::Prefixes)];
static EVENT_ID: [Key; 1] = [key("id", Arg::AnyIds)];

/// The keys inside `filter`.
pub(super) static EVENTS: [Key; 8] = [
    field_key("occurred", Field::Value("occurred"), &OCCURRED),
    field_key("event", Field::Value("event"), &EVENT),
    field_key(
        "resource",
        Field::Value("resource/prefect.resource.id"),
        &RESOURCE,
    ),
    field_key("id", Field::Id, &EVENT_ID),
    key("order", Arg::Word(&["ASC", "DESC"])),
    key("related", Arg::Group(&[])),
    key("any_resource", Arg::Group(&[])),
    key("text", Arg::Group(&[])),
];
