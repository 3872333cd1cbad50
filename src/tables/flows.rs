//! `flows`: one row per flow, the code that a flow run executes.
//!
//! `POST /flows/filter`. The server sorts by `updated` (`UPDATED_DESC`), and a flow's `updated` moves with each
//! edit and with nothing else, so the newest are read first, down to the last cursor.

use super::{
    CREATED, Column, ColumnType, ID, LABELS, Strategy, TAGS, Table, UNMAPPED, UPDATED, WORKSPACE_ID,
};

pub(super) static TABLE: Table = Table {
    name: "flows",
    doc: "One row per flow.",
    endpoint: "/flows",
    strategy: Strategy::NewestFirst {
        sort: "UPDATED_DESC",
        keeps_history: false,
    },
    columns: &[
        ID,
        WORKSPACE_ID,
        CREATED,
        UPDATED,
        Column::new(
            "name",
            ColumnType::String,
            &["name"],
            "The flow's name, unique in the workspace.",
        ),
        TAGS,
        LABELS,
        UNMAPPED,
    ],
    samples: &[
        r#"{"id":"d4453061-cbf7-49ee-a53e-db20e4b2e7c0","created":"2026-11-21T00:03:16.898255Z","updated":"2026-11-21T00:03:16.898284Z","name":"etl-orders","tags":["etl","prod"],"labels":{"team":"data","tier":1}}"#,
        r#"{"id":"519adae8-3f36-4e84-9e15-7f03ce5b9d4f","created":"2026-11-21T00:03:22.602132+00:00","updated":"2026-11-21T00:03:22.602152+00:00","name":"etl-orders","tags":["etl","prod"]}"#,
    ],
    ..Table::DEFAULT
};
