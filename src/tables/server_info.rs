//! `server_info`: one row for the connection.
//!
//! `GET /admin/version` and `GET /version`; on a self-hosted server that allows it, also some settings from
//! `GET /admin/settings` that are not secret. Prefect Cloud gives neither version nor settings.

use super::{Column, ColumnType, Strategy, Table, UNMAPPED, WORKSPACE_ID};

pub(super) static TABLE: Table = Table {
    name: "server_info",
    doc: "One row: the Prefect server and its detected capabilities.",
    endpoint: "/admin",
    strategy: Strategy::Server,
    columns: &[
        Column::new(
            "id",
            ColumnType::String,
            &["id"],
            "The workspace on Prefect Cloud, `server` for a self-hosted server.",
        )
        .required(),
        WORKSPACE_ID,
        Column::new(
            "version",
            ColumnType::String,
            &["version"],
            "The release of Prefect; null on Prefect Cloud.",
        ),
        Column::new(
            "api_version",
            ColumnType::String,
            &["api_version"],
            "The version of its REST API.",
        ),
        Column::new(
            "capabilities",
            ColumnType::Json,
            &["capabilities"],
            "The detected capabilities, an object: tables that the server lacks, and the time by which runs are read.",
        ),
        Column::new(
            "settings",
            ColumnType::Json,
            &["settings"],
            "Some settings of a self-hosted server, an object of strings and numbers under the names of Prefect 3.",
        ),
        UNMAPPED,
    ],
    samples: &[
        r#"{"id":"server","version":"3.9.1","api_version":"0.8.4","capabilities":{"absent_tables":[],"flow_runs":"end_time"},"settings":{"server.api.default_limit":200}}"#,
        r#"{"id":"server","version":"2.20.27","api_version":"0.8.4","capabilities":{"absent_tables":["automations"],"flow_runs":"expected_start_time"},"settings":null}"#,
    ],
    ..Table::DEFAULT
};
