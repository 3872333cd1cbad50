//! The plain collections as data.

use super::keys;
use crate::{
    listing_spec::{Column, Form, Part, Sort, sort},
    schema::{BY_ID, BY_NAME},
};

/// A collection of the API whose objects are plain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each is Prefect's collection of that name")]
pub enum PlainCollection {
    Artifacts,
    Variables,
    WorkPools,
    /// The queues of all work pools.
    WorkQueues,
    /// The workers of all work pools; each pool lists its own.
    Workers,
    Automations,
    /// The limits of tags.
    ConcurrencyLimits,
    /// The named limits.
    ConcurrencyLimitsV2,
    BlockTypes,
    BlockSchemas,
    BlockDocuments,
    Logs,
    /// The events.
    Events,
}

/// The way in which single objects are requested.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Get {
    /// Single objects cannot be requested.
    No,
    /// By id.
    Id,
    /// By name.
    Name,
    /// By id or by name.
    IdOrName,
}

/// The error for an object that does not exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// `{"detail": …}`
    Detail(&'static str),
    /// `{"exception_message": …}`
    Exception(&'static str),
    /// `{"detail": …}` with the pool's name.
    Pool,
}

/// A plain collection.
#[derive(Debug, Clone, Copy)]
pub struct Spec {
    /// The path, without surrounding slashes; `None` if the routes of the collection are special.
    pub path: Option<&'static str>,
    /// The name of one object, for messages.
    pub noun: &'static str,
    /// The error for an object that does not exist.
    pub missing: Missing,
    /// The description of a listing request.
    pub form: Form,
    /// True if the collection has a count endpoint.
    pub count: bool,
    /// The way in which single objects are requested.
    pub get: Get,
    /// True if a path with a malformed id is unknown in 2.x too.
    pub typed: bool,
    /// The paths of times other than `created` and `updated`.
    pub times: &'static [&'static str],
    /// The keys that exist only in 3.x.
    pub third: &'static [&'static str],
    /// A flag; listings omit objects that have it unless the filter mentions it.
    pub hidden: Option<&'static str>,
}

const fn form(name: &'static str, sorts: &'static [Sort], order: Sort) -> Form {
    Form {
        name,
        filters: &[],
        sorts,
        order,
        elsewhere: &[],
    }
}

const fn spec(path: &'static str, noun: &'static str, form: Form) -> Spec {
    Spec {
        path: Some(path),
        noun,
        missing: Missing::Detail(""),
        form,
        count: false,
        get: Get::Id,
        typed: false,
        times: &[],
        third: &[],
        hidden: None,
    }
}

static ARTIFACT_SORTS: [Sort; 5] = [
    sort("CREATED_DESC", Column::Created, true),
    sort("UPDATED_DESC", Column::Updated, true),
    BY_ID,
    sort("KEY_DESC", Column::Text("key"), true),
    sort("KEY_ASC", Column::Text("key"), false),
];
static VARIABLE_SORTS: [Sort; 4] = [
    sort("CREATED_DESC", Column::Created, true),
    sort("UPDATED_DESC", Column::Updated, true),
    sort("NAME_DESC", Column::Name, true),
    BY_NAME,
];
static AUTOMATION_SORTS: [Sort; 4] = [
    sort("CREATED_DESC", Column::Created, true),
    sort("UPDATED_DESC", Column::Updated, true),
    BY_NAME,
    sort("NAME_DESC", Column::Name, true),
];
static DOCUMENT_SORTS: [Sort; 3] = [
    sort("NAME_DESC", Column::Name, true),
    BY_NAME,
    sort(
        "BLOCK_TYPE_AND_NAME_ASC",
        Column::Texts("block_type_name", "name"),
        false,
    ),
];
const OLDEST_FIRST: Sort = sort("TIMESTAMP_ASC", Column::Moment("timestamp"), false);
static LOG_SORTS: [Sort; 2] = [
    OLDEST_FIRST,
    sort("TIMESTAMP_DESC", Column::Moment("timestamp"), true),
];

macro_rules! parts {
    ($($name:literal: $keys:ident),*) => {
        &[$(Part { name: $name, keys: &keys::$keys }),*]
    };
}

static ARTIFACTS: Spec = Spec {
    missing: Missing::Detail("Artifact not found."),
    form: Form {
        filters: parts!("artifacts": ARTIFACTS),
        elsewhere: &["flow_runs", "task_runs", "flows", "deployments"],
        ..form("artifacts", &ARTIFACT_SORTS, BY_ID)
    },
    count: true,
    ..spec("artifacts", "Artifact", form("", &[], BY_ID))
};

static VARIABLES: Spec = Spec {
    missing: Missing::Detail("Variable not found."),
    form: Form {
        filters: parts!("variables": VARIABLES),
        ..form("variables", &VARIABLE_SORTS, BY_NAME)
    },
    count: true,
    typed: true,
    ..spec("variables", "Variable", form("", &[], BY_ID))
};

static WORK_POOLS: Spec = Spec {
    missing: Missing::Pool,
    form: Form {
        filters: parts!("work_pools": WORK_POOLS),
        ..form("work_pools", &[], BY_NAME)
    },
    count: true,
    get: Get::Name,
    third: &["storage_configuration", "active_slots"],
    ..spec("work_pools", "Work pool", form("", &[], BY_ID))
};

static WORK_QUEUES: Spec = Spec {
    missing: Missing::Detail("work queue not found"),
    form: Form {
        filters: parts!("work_queues": WORK_QUEUES),
        ..form("work_queues", &[], BY_NAME)
    },
    times: &["last_polled"],
    third: &["active_slots"],
    ..spec("work_queues", "Work queue", form("", &[], BY_ID))
};

static WORKERS: Spec = Spec {
    path: None,
    missing: Missing::Detail("Worker not found."),
    form: Form {
        filters: parts!("workers": WORKERS),
        ..form(
            "workers",
            &[],
            sort("", Column::Moment("last_heartbeat_time"), true),
        )
    },
    get: Get::No,
    times: &["last_heartbeat_time"],
    ..spec("", "Worker", form("", &[], BY_ID))
};

static AUTOMATIONS: Spec = Spec {
    missing: Missing::Exception("Automation not found"),
    form: Form {
        filters: parts!("automations": AUTOMATIONS),
        ..form("automations", &AUTOMATION_SORTS, BY_NAME)
    },
    count: true,
    typed: true,
    third: &["tags"],
    ..spec("automations", "Automation", form("", &[], BY_ID))
};

static CONCURRENCY_LIMITS: Spec = Spec {
    missing: Missing::Detail("Concurrency limit not found"),
    form: form(
        "concurrency_limits",
        &[],
        sort("", Column::Text("tag"), false),
    ),
    ..spec(
        "concurrency_limits",
        "Concurrency limit",
        form("", &[], BY_ID),
    )
};

static CONCURRENCY_LIMITS_V2: Spec = Spec {
    missing: Missing::Detail("Concurrency Limit not found"),
    form: form("concurrency_limits", &[], BY_NAME),
    get: Get::IdOrName,
    ..spec(
        "v2/concurrency_limits",
        "Concurrency limit",
        form("", &[], BY_ID),
    )
};

static BLOCK_TYPES: Spec = Spec {
    missing: Missing::Detail("Block type not found"),
    form: Form {
        filters: parts!("block_types": BLOCK_TYPES),
        elsewhere: &["block_schemas"],
        ..form("block_types", &[], BY_NAME)
    },
    ..spec("block_types", "Block type", form("", &[], BY_ID))
};

static BLOCK_SCHEMAS: Spec = Spec {
    missing: Missing::Detail("Block schema not found"),
    form: Form {
        filters: parts!("block_schemas": BLOCK_SCHEMAS),
        ..form("block_schemas", &[], sort("", Column::Created, true))
    },
    times: &["block_type/created", "block_type/updated"],
    ..spec("block_schemas", "Block schema", form("", &[], BY_ID))
};

static BLOCK_DOCUMENTS: Spec = Spec {
    missing: Missing::Detail("Block document not found"),
    form: Form {
        filters: parts!("block_documents": BLOCK_DOCUMENTS),
        elsewhere: &["block_types", "block_schemas"],
        ..form("block_documents", &DOCUMENT_SORTS, BY_NAME)
    },
    count: true,
    typed: true,
    times: &[
        "block_type/created",
        "block_type/updated",
        "block_schema/created",
        "block_schema/updated",
        "block_schema/block_type/created",
        "block_schema/block_type/updated",
    ],
    hidden: Some("is_anonymous"),
    ..spec("block_documents", "Block document", form("", &[], BY_ID))
};

static LOGS: Spec = Spec {
    form: Form {
        filters: parts!("logs": LOGS),
        ..form("logs", &LOG_SORTS, OLDEST_FIRST)
    },
    get: Get::No,
    times: &["timestamp"],
    ..spec("logs", "Log", form("", &[], BY_ID))
};

static EVENTS: Spec = Spec {
    path: None,
    form: Form {
        filters: parts!("filter": EVENTS),
        ..form(
            "filter",
            &[],
            sort("DESC", Column::Moment("occurred"), true),
        )
    },
    get: Get::No,
    times: &["occurred", "received"],
    ..spec("", "Event", form("", &[], BY_ID))
};

impl PlainCollection {
    /// All collections.
    pub const ALL: [Self; 13] = [
        Self::Artifacts,
        Self::Variables,
        Self::WorkPools,
        Self::WorkQueues,
        Self::Workers,
        Self::Automations,
        Self::ConcurrencyLimits,
        Self::ConcurrencyLimitsV2,
        Self::BlockTypes,
        Self::BlockSchemas,
        Self::BlockDocuments,
        Self::Logs,
        Self::Events,
    ];

    /// Returns the description of the collection.
    pub fn spec(self) -> &'static Spec {
        match self {
            Self::Artifacts => &ARTIFACTS,
            Self::Variables => &VARIABLES,
            Self::WorkPools => &WORK_POOLS,
            Self::WorkQueues => &WORK_QUEUES,
            Self::Workers => &WORKERS,
            Self::Automations => &AUTOMATIONS,
            Self::ConcurrencyLimits => &CONCURRENCY_LIMITS,
            Self::ConcurrencyLimitsV2 => &CONCURRENCY_LIMITS_V2,
            Self::BlockTypes => &BLOCK_TYPES,
            Self::BlockSchemas => &BLOCK_SCHEMAS,
            Self::BlockDocuments => &BLOCK_DOCUMENTS,
            Self::Logs => &LOGS,
            Self::Events => &EVENTS,
        }
    }

    /// Returns the collection at this path.
    pub fn at(path: &str) -> Option<Self> {
        let mut all = Self::ALL.into_iter();
        all.find(|collection| collection.spec().path == Some(path))
    }
}
