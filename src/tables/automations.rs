//! `automations`: one row per automation.
//!
//! `POST /automations/filter`. There are few automations, so all are read at every sync. Prefect 2 has automations
//! only where they were enabled.

use super::{
    CREATED, Column, ColumnType, ID, Listing, LookUp, Strategy, Table, UNMAPPED, UPDATED,
    WORKSPACE_ID,
};

pub(super) static TABLE: Table = Table {
    name: "automations",
    doc: "One row per automation.",
    endpoint: "/automations",
    strategy: Strategy::Snapshot(Listing {
        sort: Some("CREATED_DESC"),
        order: "created",
        look_up: LookUp::Get,
        each: None,
        second: None,
    }),
    columns: &[
        ID,
        WORKSPACE_ID,
        CREATED,
        UPDATED,
        Column::new("name", ColumnType::String, &["name"], "The name.").required(),
        Column::new(
            "description",
            ColumnType::String,
            &["description"],
            "A description.",
        ),
        Column::new(
            "enabled",
            ColumnType::Boolean,
            &["enabled"],
            "True if the automation is enabled.",
        ),
        Column::new(
            "tags",
            ColumnType::Json,
            &["tags"],
            "Tags, a list of strings.",
        )
        .releases("3.x"),
        Column::new(
            "trigger",
            ColumnType::Json,
            &["trigger"],
            "The trigger, an object.",
        ),
        Column::new(
            "actions",
            ColumnType::Json,
            &["actions"],
            "The actions, a list of objects.",
        ),
        Column::new(
            "actions_on_trigger",
            ColumnType::Json,
            &["actions_on_trigger"],
            "The actions to run when the automation triggers, a list of objects.",
        ),
        Column::new(
            "actions_on_resolve",
            ColumnType::Json,
            &["actions_on_resolve"],
            "The actions to run when the automation resolves, a list of objects.",
        ),
        UNMAPPED,
    ],
    releases: "3.x, and 2.x where enabled",
    samples: &[
        r#"{"name":"notify","description":"d","enabled":true,"tags":[],"trigger":{"type":"event","id":"bf0a5812-2c66-4259-9baf-df4e242261ca","match":{"prefect.resource.id":"prefect.flow-run.*"},"match_related":{},"after":[],"expect":["prefect.flow-run.Failed"],"for_each":[],"posture":"Reactive","threshold":1,"within":0.0},"actions":[{"type":"do-nothing"}],"actions_on_trigger":[],"actions_on_resolve":[],"id":"251b91a0-cabd-487f-a8cb-0e9c5ac4729d","created":"2026-11-21T00:03:18.638499Z","updated":"2026-11-21T00:03:18.638525Z"}"#,
        r#"{"name":"notify","description":"d","enabled":true,"trigger":{"type":"event","id":"6512c981-1009-4e28-bee6-aba11f58825e","match":{"prefect.resource.id":"prefect.flow-run.*"},"match_related":{},"after":[],"expect":["prefect.flow-run.Failed"],"for_each":[],"posture":"Reactive","threshold":1,"within":0.0},"actions":[{"type":"do-nothing"}],"actions_on_trigger":[],"actions_on_resolve":[],"id":"9d62fe78-b5aa-42d8-8d24-c46b19b09cee","created":"2026-11-21T00:03:26.225708+00:00","updated":"2026-11-21T00:03:26.225729+00:00"}"#,
    ],
    ..Table::DEFAULT
};
