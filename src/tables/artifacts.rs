//! `artifacts`: one row per artifact; each version of a key is a row of its own.
//!
//! `POST /artifacts/filter`. The server sorts by `updated`, so the newest are read first, down to the last cursor.
//! Artifacts that Prefect deletes with age are not deleted here.

use super::{CREATED, Column, ColumnType, ID, Strategy, Table, UNMAPPED, UPDATED, WORKSPACE_ID};

pub(super) static TABLE: Table = Table {
    name: "artifacts",
    doc: "One row per artifact: output that runs publish for people, and records of results.",
    endpoint: "/artifacts",
    strategy: Strategy::NewestFirst {
        sort: "UPDATED_DESC",
        keeps_history: true,
    },
    columns: &[
        ID,
        WORKSPACE_ID,
        CREATED,
        UPDATED,
        Column::new(
            "artifact_key",
            ColumnType::String,
            &["key"],
            "The key shared by all versions of the artifact; null for results.",
        ),
        Column::new(
            "type",
            ColumnType::String,
            &["type"],
            "The type: markdown, table, link, progress, image, result and so on.",
        ),
        Column::new(
            "description",
            ColumnType::String,
            &["description"],
            "The description, in Markdown.",
        ),
        Column::new(
            "data",
            ColumnType::Json,
            &["data"],
            "The content: a text, a number or an object.",
        ),
        Column::new(
            "metadata",
            ColumnType::Json,
            &["metadata_"],
            "Metadata added by Prefect, an object.",
        ),
        Column::new(
            "flow_run_id",
            ColumnType::String,
            &["flow_run_id"],
            "The flow run that created the artifact.",
        )
        .may_dangle("flow_runs"),
        Column::new(
            "task_run_id",
            ColumnType::String,
            &["task_run_id"],
            "The task run that created the artifact.",
        )
        .may_dangle("task_runs"),
        UNMAPPED,
    ],
    samples: &[
        r#"{"id":"ff3e2d82-0489-412e-b71b-5693b06fb8fb","created":"2026-11-21T00:03:18.456205Z","updated":"2026-11-21T00:03:18.456205Z","key":null,"type":"result","description":null,"data":{"x":1},"metadata_":{"x":"1"},"flow_run_id":"6fae67ae-1c56-43d3-b6a3-e958ea4ee5c3","task_run_id":"6c24a543-89f8-4c70-9708-ad54f1ccad0f"}"#,
        r#"{"id":"e404d499-03b0-4fd1-86aa-23a58a7538b7","created":"2026-11-21T00:03:25.806499+00:00","updated":"2026-11-21T00:03:25.806499+00:00","key":"tbl","type":"table","description":null,"data":"[{\"a\":1}]","metadata_":null,"flow_run_id":"3d1c01aa-4837-4e51-b64c-4a4734b4d76d","task_run_id":null}"#,
    ],
    ..Table::DEFAULT
};
