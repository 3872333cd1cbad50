//! The generic collections as data. To add one, add an entry to [`GenericCollection`]: routes, listing, filters, errors, the
//! objects of the demo workspace and the tests over all collections are derived from it.

use super::{
    keys,
    spec::{Get, Missing, Spec, form, spec},
};
use crate::{
    listing_spec::{Column, FilterObject, Form, Sort, sort},
    schema::{BY_ID, BY_NAME},
};

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
        &[$(FilterObject { name: $name, keys: &keys::$keys }),*]
    };
}

/// Declares the collections: the type, the list of all, and the description of each.
macro_rules! collections {
    ($($(#[$doc:meta])* $name:ident = $spec:expr;)*) => {
        /// A collection of the API without rules of its own.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[expect(missing_docs, reason = "each is Prefect's collection of that name")]
        pub enum GenericCollection {
            $($(#[$doc])* $name),*
        }

        impl GenericCollection {
            /// All collections.
            pub const ALL: [Self; [$(stringify!($name)),*].len()] = [$(Self::$name),*];
        }

        static SPECS: [Spec; GenericCollection::ALL.len()] = [$($spec),*];
    };
}

collections! {
    Artifacts = Spec {
        missing: Missing::Detail("Artifact not found."),
        form: Form {
            filters: parts!("artifacts": ARTIFACTS),
            elsewhere: &["flow_runs", "task_runs", "flows", "deployments"],
            ..form("artifacts", &ARTIFACT_SORTS, BY_ID)
        },
        count: true,
        ..spec("artifacts", "Artifact", form("", &[], BY_ID))
    };

    Variables = Spec {
        missing: Missing::Detail("Variable not found."),
        form: Form {
            filters: parts!("variables": VARIABLES),
            ..form("variables", &VARIABLE_SORTS, BY_NAME)
        },
        count: true,
        typed: true,
        ..spec("variables", "Variable", form("", &[], BY_ID))
    };

    WorkPools = Spec {
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

    /// The queues of all work pools.
    WorkQueues = Spec {
        missing: Missing::Detail("work queue not found"),
        form: Form {
            filters: parts!("work_queues": WORK_QUEUES),
            ..form("work_queues", &[], BY_NAME)
        },
        times: &["last_polled"],
        third: &["active_slots"],
        ..spec("work_queues", "Work queue", form("", &[], BY_ID))
    };

    /// The workers of all work pools; each pool lists its own.
    Workers = Spec {
        special: true,
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
        ..spec("work_pools/{}/workers", "Worker", form("", &[], BY_ID))
    };

    Automations = Spec {
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

    /// The limits of tags.
    ConcurrencyLimits = Spec {
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

    /// The named limits.
    ConcurrencyLimitsV2 = Spec {
        missing: Missing::Detail("Concurrency Limit not found"),
        form: form("concurrency_limits", &[], BY_NAME),
        get: Get::IdOrName,
        ..spec(
            "v2/concurrency_limits",
            "Concurrency limit",
            form("", &[], BY_ID),
        )
    };

    BlockTypes = Spec {
        missing: Missing::Detail("Block type not found"),
        form: Form {
            filters: parts!("block_types": BLOCK_TYPES),
            elsewhere: &["block_schemas"],
            ..form("block_types", &[], BY_NAME)
        },
        ..spec("block_types", "Block type", form("", &[], BY_ID))
    };

    BlockSchemas = Spec {
        missing: Missing::Detail("Block schema not found"),
        form: Form {
            filters: parts!("block_schemas": BLOCK_SCHEMAS),
            ..form("block_schemas", &[], sort("", Column::Created, true))
        },
        times: &["block_type/created", "block_type/updated"],
        ..spec("block_schemas", "Block schema", form("", &[], BY_ID))
    };

    BlockDocuments = Spec {
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

    Logs = Spec {
        form: Form {
            filters: parts!("logs": LOGS),
            ..form("logs", &LOG_SORTS, OLDEST_FIRST)
        },
        get: Get::No,
        times: &["timestamp"],
        ..spec("logs", "Log", form("", &[], BY_ID))
    };

    /// The events.
    Events = Spec {
        special: true,
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
        ..spec("events", "Event", form("", &[], BY_ID))
    };
}

impl GenericCollection {
    /// Returns the description of the collection.
    pub fn spec(self) -> &'static Spec {
        &SPECS[self as usize]
    }

    /// Returns the collection that is listed at this path, with `{}` in place of names.
    pub fn listed_at(path: &str) -> Option<Self> {
        let path = path.trim_start_matches('/');
        let mut all = Self::ALL.into_iter();
        all.find(|collection| collection.spec().path == path)
    }

    /// Returns the collection to which these parts of a path lead, and the remaining parts.
    pub fn routed<'a, 'b>(segments: &'a [&'b str]) -> Option<(Self, &'a [&'b str])> {
        let mut all = Self::ALL.into_iter();
        all.find_map(|collection| {
            let spec = collection.spec();
            let mut rest = segments.iter();
            let is_below = spec.path.split('/').all(|part| rest.next() == Some(&part));
            (is_below && !spec.special).then_some((collection, rest.as_slice()))
        })
    }
}
