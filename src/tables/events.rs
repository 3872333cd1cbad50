//! `events`: one row per event of the workspace.
//!
//! `POST /events/filter`, by `occurred`, 50 per page. Prefect usually keeps events for a week; the table keeps
//! them. Events that arrive up to 15 minutes late are found. Prefect 2 has events only where they were enabled.

use serde_json::Value;

use super::{Column, ColumnType, Events, Feed, ID, OptIn, Strategy, Table, UNMAPPED, WORKSPACE_ID};

pub(super) static TABLE: Table = Table {
    name: "events",
    doc: "One row per event.",
    endpoint: "/events",
    strategy: Strategy::AppendOnly(Feed::Events(Events {
        names: &[],
        exclude: &[],
        required_column: None,
        derived,
        fallback: None,
    })),
    columns: &[
        ID,
        WORKSPACE_ID,
        Column::new(
            "occurred",
            ColumnType::UtcDatetime,
            &["occurred"],
            "The time of the event, by the clock of its sender.",
        )
        .required(),
        Column::new(
            "event",
            ColumnType::String,
            &["event"],
            "The name of the event, such as prefect.flow-run.Completed.",
        )
        .required(),
        Column::new(
            "resource_id",
            ColumnType::String,
            &["resource_id"],
            "The id of the resource, such as prefect.flow-run.<id>; taken from resource.",
        ),
        Column::new(
            "resource_name",
            ColumnType::String,
            &["resource_name"],
            "The name of the resource; taken from resource.",
        ),
        Column::new(
            "resource",
            ColumnType::Json,
            &["resource"],
            "The resource that the event is about, an object of strings.",
        ),
        Column::new(
            "related",
            ColumnType::Json,
            &["related"],
            "Related resources, a list of objects of strings.",
        ),
        Column::new(
            "payload",
            ColumnType::Json,
            &["payload"],
            "Further data of the event, an object.",
        ),
        Column::new(
            "follows",
            ColumnType::String,
            &["follows"],
            "The preceding event of the same resource.",
        )
        .may_dangle("events"),
        Column::new(
            "received",
            ColumnType::UtcDatetime,
            &["received"],
            "The time at which the server received the event.",
        ),
        UNMAPPED,
    ],
    releases: "3.x, and 2.x where enabled",
    choice: Some(OptIn {
        field: "sync_events",
        label: "Sync events",
        cost: "One request for 50 events, one row for each event. A run makes about five, each of its task runs three.",
    }),
    samples: &[
        r#"{"occurred":"2026-11-21T00:03:25.715341Z","event":"prefect.flow-run.Completed","resource":{"prefect.resource.id":"prefect.flow-run.6ade92e3-3e9d-4144-a59c-be230bbf4ea0","prefect.resource.name":"child","prefect.state-message":"","prefect.state-name":"Completed","prefect.state-timestamp":"2026-11-21T00:03:25.715341Z","prefect.state-type":"COMPLETED","prefect.run-count":"1"},"related":[{"prefect.resource.id":"prefect.flow.519adae8-3f36-4e84-9e15-7f03ce5b9d4f","prefect.resource.role":"flow","prefect.resource.name":"etl-orders"},{"prefect.resource.id":"prefect.task-run.651a4bb9-4cab-4fe2-a161-64a3b504f54b","prefect.resource.role":"task-run","prefect.resource.name":"extract-5"},{"prefect.resource.id":"prefect.tag.api","prefect.resource.role":"tag"},{"prefect.resource.id":"prefect.tag.etl","prefect.resource.role":"tag"},{"prefect.resource.id":"prefect.tag.prod","prefect.resource.role":"tag"},{"prefect.resource.id":"prefect.tag.t","prefect.resource.role":"tag"}],"payload":{"intended":{"from":"RUNNING","to":"COMPLETED"},"initial_state":{"type":"RUNNING","name":"Running"},"validated_state":{"type":"COMPLETED","name":"Completed"}},"id":"01a1fb6a-1ff1-7f4e-a91d-5bbfa6d51380","follows":"979b97f5-b64d-4c21-825f-e2d7b887bd0a","received":"2026-11-21T00:03:25.738813Z"}"#,
        r#"{"occurred":"2026-11-21T00:03:25.715341+00:00","event":"prefect.flow-run.Completed","resource":{"prefect.resource.id":"prefect.flow-run.6ade92e3-3e9d-4144-a59c-be230bbf4ea0","prefect.resource.name":"child","prefect.state-message":"","prefect.state-name":"Completed","prefect.state-timestamp":"2026-11-21T00:03:25.715341+00:00","prefect.state-type":"COMPLETED"},"related":[{"prefect.resource.id":"prefect.flow.519adae8-3f36-4e84-9e15-7f03ce5b9d4f","prefect.resource.role":"flow","prefect.resource.name":"etl-orders"},{"prefect.resource.id":"prefect.task-run.651a4bb9-4cab-4fe2-a161-64a3b504f54b","prefect.resource.role":"task-run","prefect.resource.name":"extract-5"},{"prefect.resource.id":"prefect.tag.api","prefect.resource.role":"tag"},{"prefect.resource.id":"prefect.tag.etl","prefect.resource.role":"tag"},{"prefect.resource.id":"prefect.tag.prod","prefect.resource.role":"tag"},{"prefect.resource.id":"prefect.tag.t","prefect.resource.role":"tag"}],"payload":{"intended":{"from":"RUNNING","to":"COMPLETED"},"initial_state":{"type":"RUNNING","name":"Running"},"validated_state":{"type":"COMPLETED","name":"Completed"}},"id":"9effea7a-a3e5-471e-8cfd-196f23a02037","follows":"979b97f5-b64d-4c21-825f-e2d7b887bd0a","received":"2026-11-21T00:03:25.738813+00:00"}"#,
    ],
    ..Table::DEFAULT
};

/// Returns the values inside `resource` that have columns of their own.
fn derived(event: &Value) -> Vec<(&'static str, Value)> {
    let resource = &event["resource"];
    vec![
        ("resource_id", resource["prefect.resource.id"].clone()),
        ("resource_name", resource["prefect.resource.name"].clone()),
    ]
}
