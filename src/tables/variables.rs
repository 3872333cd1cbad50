//! `variables`: one row per variable.
//!
//! `POST /variables/filter`. The server sorts by `updated`, which moves with each edit. Prefect does not mask
//! values: everyone who may read the API may read them.

use super::{
    CREATED, Column, ColumnType, ID, Strategy, TAGS, Table, UNMAPPED, UPDATED, WORKSPACE_ID,
};

pub(super) static TABLE: Table = Table {
    name: "variables",
    doc: "One row per variable.",
    endpoint: "/variables",
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
            "The name, unique in the workspace.",
        )
        .required(),
        Column::new(
            "value",
            ColumnType::Json,
            &["value"],
            "The value: any JSON; a string on Prefect 2.",
        ),
        TAGS,
        UNMAPPED,
    ],
    samples: &[
        r#"{"id":"4c17a3ba-9022-47e2-9966-0896cda936af","created":"2026-11-21T00:03:18.472620Z","updated":"2026-11-21T00:03:18.472643Z","name":"env_name","value":"prod","tags":["v"]}"#,
        r#"{"id":"37bee1dd-d4c6-4922-a5b7-8a57632297ad","created":"2026-11-21T00:03:25.901940+00:00","updated":"2026-11-21T00:03:25.901957+00:00","name":"env_name","value":"prod","tags":["v"]}"#,
    ],
    ..Table::DEFAULT
};
