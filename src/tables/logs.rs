//! `logs`: one row per line that a run logged.
//!
//! `POST /logs/filter`, by `timestamp`, which is from the clock of the machine that logged the line. Lines that
//! arrive up to 15 minutes late are found. Lines never change, and lines that age out of Prefect stay.

use super::{Column, ColumnType, Feed, ID, OptIn, Strategy, Table, UNMAPPED, WORKSPACE_ID};

pub(super) static TABLE: Table = Table {
    name: "logs",
    doc: "One row per line that a run logged.",
    endpoint: "/logs",
    strategy: Strategy::AppendOnly(Feed::Logs),
    columns: &[
        ID,
        WORKSPACE_ID,
        Column::new(
            "created",
            ColumnType::UtcDatetime,
            &["created"],
            "The time at which the server received the line.",
        ),
        Column::new(
            "updated",
            ColumnType::UtcDatetime,
            &["updated"],
            "The same time as created.",
        ),
        Column::new(
            "name",
            ColumnType::String,
            &["name"],
            "The name of the logger.",
        ),
        Column::new(
            "level",
            ColumnType::Long,
            &["level"],
            "The level: 10 debug, 20 info, 30 warning, 40 error, 50 critical.",
        ),
        Column::new(
            "message",
            ColumnType::String,
            &["message"],
            "The text of the line.",
        ),
        Column::new(
            "timestamp",
            ColumnType::UtcDatetime,
            &["timestamp"],
            "The time at which the line was logged, by the clock of the logging machine.",
        )
        .required(),
        Column::new(
            "flow_run_id",
            ColumnType::String,
            &["flow_run_id"],
            "The flow run.",
        )
        .may_dangle("flow_runs"),
        Column::new(
            "task_run_id",
            ColumnType::String,
            &["task_run_id"],
            "The task run.",
        )
        .may_dangle("task_runs"),
        UNMAPPED,
    ],
    choice: Some(OptIn {
        field: "sync_logs",
        label: "Sync logs",
        cost: "One request for 200 lines, one row for each line. A busy workspace logs a hundred lines a run.",
    }),
    samples: &[
        r#"{"id":"01a1fb6a-1fe0-74c9-bbf9-8ff0fbf68aa9","created":"2026-11-21T00:03:18.628614Z","updated":"2026-11-21T00:03:18.628620Z","name":"prefect.flow_runs","level":30,"message":"line 1","timestamp":"2026-11-21T00:03:18.620461Z","flow_run_id":"6fae67ae-1c56-43d3-b6a3-e958ea4ee5c3","task_run_id":"6c24a543-89f8-4c70-9708-ad54f1ccad0f"}"#,
        r#"{"id":"030032e5-11f0-409b-a998-6cbe35ccc8ae","created":"2026-11-21T00:03:26.201418+00:00","updated":"2026-11-21T00:03:26.201420+00:00","name":"prefect.flow_runs","level":30,"message":"line 1","timestamp":"2026-11-21T00:03:26.167039+00:00","flow_run_id":"3d1c01aa-4837-4e51-b64c-4a4734b4d76d","task_run_id":"af959397-818d-453f-8ff7-d3e4e08fe57d"}"#,
    ],
    ..Table::DEFAULT
};
