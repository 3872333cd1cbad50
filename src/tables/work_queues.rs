//! `work_queues`: one row per work queue.
//!
//! `POST /work_queues/filter`, all pools together, sorted by name. A poll moves `updated`, so `updated` does not
//! show edits: all queues are read at every sync and compared.

use super::{
    CREATED, Column, ColumnType, ID, Listing, LookUp, Strategy, Table, UNMAPPED, UPDATED,
    WORKSPACE_ID,
};

pub(super) static TABLE: Table = Table {
    name: "work_queues",
    doc: "One row per work queue of any work pool.",
    endpoint: "/work_queues",
    strategy: Strategy::Snapshot(Listing {
        sort: None,
        order: "name",
        look_up: LookUp::Filter,
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
            "The name, unique in its pool.",
        )
        .required(),
        Column::new(
            "description",
            ColumnType::String,
            &["description"],
            "A description.",
        ),
        Column::new(
            "is_paused",
            ColumnType::Boolean,
            &["is_paused"],
            "True if the queue is paused and hands out no runs.",
        ),
        Column::new(
            "concurrency_limit",
            ColumnType::Long,
            &["concurrency_limit"],
            "The maximum number of concurrent runs.",
        ),
        Column::new(
            "priority",
            ColumnType::Long,
            &["priority"],
            "The priority; lower numbers are served first.",
        ),
        Column::new(
            "work_pool_id",
            ColumnType::String,
            &["work_pool_id"],
            "The work pool.",
        )
        .references("work_pools"),
        Column::new(
            "work_pool_name",
            ColumnType::String,
            &["work_pool_name"],
            "The name of the work pool.",
        ),
        Column::new(
            "filter",
            ColumnType::Json,
            &["filter"],
            "The filter that selects its runs, an object; deprecated by Prefect.",
        ),
        Column::new(
            "last_polled",
            ColumnType::UtcDatetime,
            &["last_polled"],
            "The time at which the queue was last polled for runs.",
        )
        .volatile(),
        Column::new(
            "status",
            ColumnType::String,
            &["status"],
            "READY while the queue is polled, otherwise NOT_READY or PAUSED.",
        ),
        Column::new(
            "active_slots",
            ColumnType::Long,
            &["active_slots"],
            "The number of runs that held a slot when the row was read.",
        )
        .volatile()
        .releases("3.x"),
        UNMAPPED,
    ],
    samples: &[
        r#"{"id":"9c77ba6a-5bf4-485a-95db-2d83e8fe12bf","created":"2026-11-21T00:03:16.950095Z","updated":"2026-11-21T00:03:16.950119Z","name":"high","description":"","is_paused":false,"concurrency_limit":2,"priority":1,"work_pool_id":"07e4eb05-90a1-4c9f-b390-09176ba8e87b","filter":null,"last_polled":null,"work_pool_name":"k8s-pool","status":"NOT_READY","active_slots":0}"#,
        r#"{"id":"216db4d6-360c-471e-9ce5-bf83121ab53a","created":"2026-11-21T00:03:22.721274+00:00","updated":"2026-11-21T00:03:22.721291+00:00","name":"high","description":"","is_paused":false,"concurrency_limit":2,"priority":1,"work_pool_id":"95723883-bcac-4d91-b66e-d800b1135cbc","filter":null,"last_polled":null,"work_pool_name":"k8s-pool","status":"NOT_READY"}"#,
    ],
    ..Table::DEFAULT
};
