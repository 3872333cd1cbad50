//! `workers`: one row per worker.
//!
//! `POST /work_pools/<name>/workers/filter`: one request for each work pool. A heartbeat moves only
//! `last_heartbeat_time`. A worker cannot be looked up in another way, so a worker that is missing from a complete
//! listing counts as gone.

use super::{
    CREATED, Column, ColumnType, ID, Listing, LookUp, PerParent, Strategy, Table, UNMAPPED,
    UPDATED, WORKSPACE_ID,
};

pub(super) static TABLE: Table = Table {
    name: "workers",
    doc: "One row per worker of any work pool.",
    endpoint: "/work_pools/{}/workers",
    strategy: Strategy::Snapshot(Listing {
        sort: None,
        order: "id",
        look_up: LookUp::None,
        each: Some(PerParent {
            table: &super::work_pools::TABLE,
            key_column: "name",
        }),
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
            "The name, unique in its pool.",
        )
        .required(),
        Column::new(
            "work_pool_id",
            ColumnType::String,
            &["work_pool_id"],
            "The work pool.",
        )
        .references("work_pools"),
        Column::new(
            "last_heartbeat_time",
            ColumnType::UtcDatetime,
            &["last_heartbeat_time"],
            "The time of the last heartbeat.",
        )
        .volatile(),
        Column::new(
            "heartbeat_interval_seconds",
            ColumnType::Long,
            &["heartbeat_interval_seconds"],
            "The interval between heartbeats, in seconds.",
        ),
        Column::new(
            "status",
            ColumnType::String,
            &["status"],
            "ONLINE or OFFLINE, according to the last heartbeat.",
        ),
        UNMAPPED,
    ],
    samples: &[
        r#"{"id":"faece37e-a166-46b0-bc25-abfbe6050480","created":"2026-11-21T00:03:16.965893Z","updated":"2026-11-21T00:03:16.965911Z","name":"worker-1","work_pool_id":"07e4eb05-90a1-4c9f-b390-09176ba8e87b","last_heartbeat_time":"2026-11-21T00:03:16.964796Z","heartbeat_interval_seconds":30,"status":"ONLINE"}"#,
        r#"{"id":"c64616f9-9018-444b-97a4-bce4e8b88dbb","created":"2026-11-21T00:03:22.761365+00:00","updated":"2026-11-21T00:03:22.761377+00:00","name":"worker-1","work_pool_id":"95723883-bcac-4d91-b66e-d800b1135cbc","last_heartbeat_time":"2026-11-21T00:03:22.760107+00:00","heartbeat_interval_seconds":30,"status":"ONLINE"}"#,
    ],
    ..Table::DEFAULT
};
