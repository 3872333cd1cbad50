//! `work_pools`: one row per work pool.
//!
//! `POST /work_pools/filter`, sorted by name. There are few pools, and polls change them without moving `updated`,
//! so all are read at every sync.

use super::{
    CREATED, Column, ColumnType, ID, Listing, LookUp, Strategy, Table, UNMAPPED, UPDATED,
    WORKSPACE_ID,
};

pub(super) static TABLE: Table = Table {
    name: "work_pools",
    doc: "One row per work pool.",
    endpoint: "/work_pools",
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
            "The name, unique in the workspace.",
        )
        .required(),
        Column::new(
            "description",
            ColumnType::String,
            &["description"],
            "A description.",
        ),
        Column::new(
            "type",
            ColumnType::String,
            &["type"],
            "The type of infrastructure: process, docker, kubernetes and so on.",
        )
        .required(),
        Column::new(
            "base_job_template",
            ColumnType::Json,
            &["base_job_template"],
            "The template of its jobs, an object.",
        ),
        Column::new(
            "is_paused",
            ColumnType::Boolean,
            &["is_paused"],
            "True if the pool is paused and hands out no runs.",
        ),
        Column::new(
            "concurrency_limit",
            ColumnType::Long,
            &["concurrency_limit"],
            "The maximum number of concurrent runs.",
        ),
        Column::new(
            "status",
            ColumnType::String,
            &["status"],
            "READY while a worker polls the pool, otherwise NOT_READY or PAUSED.",
        ),
        Column::new(
            "default_queue_id",
            ColumnType::String,
            &["default_queue_id"],
            "The default queue.",
        )
        .may_dangle("work_queues"),
        Column::new(
            "storage_configuration",
            ColumnType::Json,
            &["storage_configuration"],
            "The storage of code and results, an object.",
        )
        .releases("3.x"),
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
        r#"{"id":"07e4eb05-90a1-4c9f-b390-09176ba8e87b","created":"2026-11-21T00:03:16.929564Z","updated":"2026-11-21T00:03:16.968000Z","name":"k8s-pool","description":"prod pool","type":"kubernetes","base_job_template":{"job_configuration":{"image":"{{ image }}","env":"{{ env }}"},"variables":{"type":"object","properties":{"image":{"type":"string","default":"prefecthq/prefect:3"},"env":{"type":"object"}}}},"is_paused":false,"concurrency_limit":10,"status":"READY","default_queue_id":"45cff66a-8a47-443f-9118-9329916b5910","storage_configuration":{"bundle_upload_step":null,"bundle_execution_step":null,"default_result_storage_block_id":null},"active_slots":0}"#,
        r#"{"id":"95723883-bcac-4d91-b66e-d800b1135cbc","created":"2026-11-21T00:03:22.675780+00:00","updated":"2026-11-21T00:03:22.768000+00:00","name":"k8s-pool","description":"prod pool","type":"kubernetes","base_job_template":{"job_configuration":{"image":"{{ image }}","env":"{{ env }}"},"variables":{"type":"object","properties":{"image":{"type":"string","default":"prefecthq/prefect:3"},"env":{"type":"object"}}}},"is_paused":false,"concurrency_limit":10,"status":"READY","default_queue_id":"2ea298d0-c9fc-47eb-9ee7-9f562b3a069e"}"#,
    ],
    ..Table::DEFAULT
};
