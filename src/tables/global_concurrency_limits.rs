//! `global_concurrency_limits`: one row per limit of version 2, which flows, tasks and deployments share.
//!
//! `POST /v2/concurrency_limits/filter`, sorted by name. Taking a slot moves `updated`, so `updated` does not show
//! edits: all limits are read at every sync and compared. Prefect 3 lists the limits of tags here, too.

use super::{
    CREATED, Column, ColumnType, ID, Listing, LookUp, Strategy, Table, UNMAPPED, UPDATED,
    WORKSPACE_ID,
};

pub(super) static TABLE: Table = Table {
    name: "global_concurrency_limits",
    doc: "One row per global concurrency limit.",
    endpoint: "/v2/concurrency_limits",
    strategy: Strategy::Snapshot(Listing {
        sort: None,
        order: "name",
        look_up: LookUp::Get,
        each: None,
        second: None,
    }),
    columns: &[
        ID,
        WORKSPACE_ID,
        CREATED,
        UPDATED.volatile(),
        Column::new(
            "name",
            ColumnType::String,
            &["name"],
            "The name, unique in the workspace; `deployment:<id>` for the limit of a deployment.",
        )
        .required(),
        Column::new(
            "active",
            ColumnType::Boolean,
            &["active"],
            "True if the limit is enforced.",
        ),
        Column::new(
            "concurrency_limit",
            ColumnType::Long,
            &["limit"],
            "The number of slots.",
        ),
        Column::new(
            "active_slots",
            ColumnType::Long,
            &["active_slots"],
            "The number of slots in use when the row was read.",
        )
        .volatile(),
        Column::new(
            "denied_slots",
            ColumnType::Long,
            &["denied_slots"],
            "The number of slots denied when the row was read.",
        )
        .volatile(),
        Column::new(
            "slot_decay_per_second",
            ColumnType::Double,
            &["slot_decay_per_second"],
            "The number of slots released per second.",
        ),
        Column::new(
            "avg_slot_occupancy_seconds",
            ColumnType::Double,
            &["avg_slot_occupancy_seconds"],
            "The average time for which a slot is occupied, in seconds.",
        )
        .volatile(),
        UNMAPPED,
    ],
    samples: &[
        r#"{"id":"32dc6e9a-7622-491a-b739-a663c912f750","created":"2026-11-21T00:03:18.600723Z","updated":"2026-11-21T00:03:18.600749Z","active":true,"name":"api-calls","limit":5,"active_slots":0,"slot_decay_per_second":0.1,"denied_slots":0,"avg_slot_occupancy_seconds":2.0}"#,
        r#"{"id":"bcafe22a-36ac-482e-80a3-6c9fde6868f6","created":"2026-11-21T00:03:26.131241+00:00","updated":"2026-11-21T00:03:26.131258+00:00","active":true,"name":"api-calls","limit":5,"active_slots":0,"slot_decay_per_second":0.1}"#,
    ],
    ..Table::DEFAULT
};
