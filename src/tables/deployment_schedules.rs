//! `deployment_schedules`: one row per schedule of a deployment.
//!
//! Schedules are contained in the deployments, so they cost no request of their own.

use super::{
    CREATED, Column, ColumnType, ID, Nested, Strategy, Table, UNMAPPED, UPDATED, WORKSPACE_ID,
};

pub(super) static TABLE: Table = Table {
    name: "deployment_schedules",
    doc: "One row per schedule of a deployment.",
    endpoint: "/deployments",
    strategy: Strategy::Nested(Nested {
        parent: &super::deployments::TABLE,
        column: "schedules",
        split: |_, schedules| Some(schedules.to_owned()),
    }),
    columns: &[
        ID,
        WORKSPACE_ID,
        CREATED,
        UPDATED.volatile(),
        Column::new(
            "deployment_id",
            ColumnType::String,
            &["deployment_id"],
            "The deployment.",
        )
        .references("deployments"),
        Column::new(
            "schedule",
            ColumnType::Json,
            &["schedule"],
            "The schedule (cron, interval or rrule), an object.",
        ),
        Column::new(
            "active",
            ColumnType::Boolean,
            &["active"],
            "True if the schedule creates runs.",
        ),
        Column::new(
            "max_scheduled_runs",
            ColumnType::Long,
            &["max_scheduled_runs"],
            "The maximum number of runs that are created in advance.",
        ),
        Column::new(
            "parameters",
            ColumnType::Json,
            &["parameters"],
            "The parameters of its runs, an object.",
        )
        .releases("3.x"),
        Column::new(
            "slug",
            ColumnType::String,
            &["slug"],
            "A name that is kept when the deployment is created again.",
        )
        .releases("3.x"),
        Column::new(
            "max_active_runs",
            ColumnType::Long,
            &["max_active_runs"],
            "The maximum number of concurrent runs.",
        )
        .releases("2.x"),
        Column::new(
            "catchup",
            ColumnType::Boolean,
            &["catchup"],
            "True if missed runs are started late.",
        )
        .releases("2.x"),
        UNMAPPED,
    ],
    samples: &[
        r#"{"id":"39ade066-2803-4ea7-8664-6d4621802bb8","created":"2026-11-21T00:03:17.016623Z","updated":"2026-11-21T00:03:17.016654Z","deployment_id":"a12c151f-e7c4-4f82-9ecc-01519087bb0a","schedule":{"cron":"0 6 * * *","timezone":"Europe/Berlin","day_or":true},"active":true,"max_scheduled_runs":null,"parameters":{"mode":"full"},"slug":"daily"}"#,
        r#"{"id":"5c9a7dbc-7f9e-4c03-a232-eed7e0362d3c","created":"2026-11-21T00:03:22.852961+00:00","updated":"2026-11-21T00:03:22.852972+00:00","deployment_id":"d2dc279d-8425-4341-a6b1-2b8a24732dfa","schedule":{"cron":"0 6 * * *","timezone":"Europe/Berlin","day_or":true},"active":true,"max_active_runs":null,"max_scheduled_runs":null,"catchup":false}"#,
    ],
    ..Table::DEFAULT
};
