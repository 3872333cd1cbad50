//! `flow_run_state_history`: one row per state that a flow run entered.
//!
//! Read from the events `prefect.flow-run.<state>` (`POST /events/filter`), whose ids are the states' ids: 50
//! states per request, where `GET /flow_run_states/` would need one request per run. Prefect usually keeps events
//! for a week; the table keeps the states. Prefect 2 has events only where they were enabled; elsewhere the states
//! of each run are requested when the run has ended.

use serde_json::Value;

use super::{Column, ColumnType, Events, Feed, OptIn, Strategy, Table, UNMAPPED, WORKSPACE_ID};

pub(super) static TABLE: Table = Table {
    name: "flow_run_state_history",
    doc: "One row per state that a flow run entered, including past states.",
    endpoint: "/events",
    strategy: Strategy::AppendOnly(Feed::Events(Events {
        names: &["prefect.flow-run."],
        // By far the most frequent events that are not a change of state, so they are not requested.
        exclude: &["prefect.flow-run.heartbeat"],
        // Other events of a run, such as prefect.flow-run.pull-step.executed, carry no state.
        required_column: Some("state_type"),
        derived,
        fallback: Some(&super::flow_runs::TABLE),
    })),
    columns: &[
        Column::new("id", ColumnType::String, &["id"], "The state's id.").required(),
        WORKSPACE_ID,
        Column::new(
            "flow_run_id",
            ColumnType::String,
            &["flow_run_id"],
            "The flow run.",
        )
        .may_dangle("flow_runs"),
        Column::new(
            "occurred",
            ColumnType::UtcDatetime,
            &["occurred", "timestamp"],
            "The time at which the run entered the state.",
        )
        .required(),
        Column::new(
            "state_type",
            ColumnType::String,
            &["state_type", "type"],
            "The type of the state.",
        ),
        Column::new(
            "state_name",
            ColumnType::String,
            &["state_name", "name"],
            "The name of the state.",
        ),
        Column::new(
            "state_message",
            ColumnType::String,
            &["state_message", "message"],
            "The message of the state.",
        ),
        Column::new(
            "from_state_type",
            ColumnType::String,
            &["from_state_type"],
            "The type of the previous state; null for the first state.",
        ),
        Column::new(
            "from_state_name",
            ColumnType::String,
            &["from_state_name"],
            "The name of the previous state; null for the first state.",
        ),
        Column::new(
            "run_count",
            ColumnType::Long,
            &["run_count"],
            "How many times the run had been started.",
        )
        .releases("3.x"),
        UNMAPPED,
    ],
    dropped_fields: &[
        "data",
        "event",
        "follows",
        "payload",
        "received",
        "related",
        "resource",
        "state_details",
    ],
    choice: Some(OptIn {
        field: "sync_flow_run_state_history",
        label: "Sync the history of flow run states",
        cost: "One request for 50 states, one row for each state; a run enters about four. On Prefect 2 without events one request for each run that ended.",
    }),
    samples: &[
        r#"{"occurred":"2026-11-21T00:03:25.715341Z","event":"prefect.flow-run.Completed","resource":{"prefect.resource.id":"prefect.flow-run.6ade92e3-3e9d-4144-a59c-be230bbf4ea0","prefect.resource.name":"child","prefect.state-message":"","prefect.state-name":"Completed","prefect.state-timestamp":"2026-11-21T00:03:25.715341Z","prefect.state-type":"COMPLETED","prefect.run-count":"1"},"related":[{"prefect.resource.id":"prefect.flow.519adae8-3f36-4e84-9e15-7f03ce5b9d4f","prefect.resource.role":"flow","prefect.resource.name":"etl-orders"},{"prefect.resource.id":"prefect.task-run.651a4bb9-4cab-4fe2-a161-64a3b504f54b","prefect.resource.role":"task-run","prefect.resource.name":"extract-5"},{"prefect.resource.id":"prefect.tag.api","prefect.resource.role":"tag"},{"prefect.resource.id":"prefect.tag.etl","prefect.resource.role":"tag"},{"prefect.resource.id":"prefect.tag.prod","prefect.resource.role":"tag"},{"prefect.resource.id":"prefect.tag.t","prefect.resource.role":"tag"}],"payload":{"intended":{"from":"RUNNING","to":"COMPLETED"},"initial_state":{"type":"RUNNING","name":"Running"},"validated_state":{"type":"COMPLETED","name":"Completed"}},"id":"01a1fb6a-1ff1-7f4e-a91d-5bbfa6d51380","follows":"979b97f5-b64d-4c21-825f-e2d7b887bd0a","received":"2026-11-21T00:03:25.738813Z"}"#,
        r#"{"occurred":"2026-11-21T00:03:25.715341+00:00","event":"prefect.flow-run.Completed","resource":{"prefect.resource.id":"prefect.flow-run.6ade92e3-3e9d-4144-a59c-be230bbf4ea0","prefect.resource.name":"child","prefect.state-message":"","prefect.state-name":"Completed","prefect.state-timestamp":"2026-11-21T00:03:25.715341+00:00","prefect.state-type":"COMPLETED"},"related":[{"prefect.resource.id":"prefect.flow.519adae8-3f36-4e84-9e15-7f03ce5b9d4f","prefect.resource.role":"flow","prefect.resource.name":"etl-orders"},{"prefect.resource.id":"prefect.task-run.651a4bb9-4cab-4fe2-a161-64a3b504f54b","prefect.resource.role":"task-run","prefect.resource.name":"extract-5"},{"prefect.resource.id":"prefect.tag.api","prefect.resource.role":"tag"},{"prefect.resource.id":"prefect.tag.etl","prefect.resource.role":"tag"},{"prefect.resource.id":"prefect.tag.prod","prefect.resource.role":"tag"},{"prefect.resource.id":"prefect.tag.t","prefect.resource.role":"tag"}],"payload":{"intended":{"from":"RUNNING","to":"COMPLETED"},"initial_state":{"type":"RUNNING","name":"Running"},"validated_state":{"type":"COMPLETED","name":"Completed"}},"id":"9effea7a-a3e5-471e-8cfd-196f23a02037","follows":"979b97f5-b64d-4c21-825f-e2d7b887bd0a","received":"2026-11-21T00:03:25.738813+00:00"}"#,
        r#"{"flow_run_id":"3d1c01aa-4837-4e51-b64c-4a4734b4d76d","id":"0dfce78c-7f4c-4f6f-a37e-271252596bf9","type":"PENDING","name":"Pending","timestamp":"2026-11-21T00:03:23.271378+00:00","message":"x","data":null,"state_details":{"flow_run_id":"3d1c01aa-4837-4e51-b64c-4a4734b4d76d","task_run_id":null,"child_flow_run_id":null,"scheduled_time":null,"cache_key":null,"cache_expiration":null,"untrackable_result":false,"pause_timeout":null,"pause_reschedule":false,"pause_key":null,"run_input_keyset":null,"refresh_cache":null,"retriable":null,"transition_id":null,"task_parameters_id":null}}"#,
    ],
    ..Table::DEFAULT
};

/// Returns the state that the event describes, or nothing if the event is not a change of state.
fn derived(event: &Value) -> Vec<(&'static str, Value)> {
    let resource = &event["resource"];
    if !is_change_of_state(event) {
        return Vec::new();
    }
    let run = resource["prefect.resource.id"].as_str();
    let run = run.and_then(|id| id.strip_prefix("prefect.flow-run."));
    let count = resource["prefect.run-count"].as_str();
    let before = &event["payload"]["initial_state"];
    vec![
        ("flow_run_id", run.into()),
        ("state_type", resource["prefect.state-type"].clone()),
        ("state_name", resource["prefect.state-name"].clone()),
        ("state_message", resource["prefect.state-message"].clone()),
        ("from_state_type", before["type"].clone()),
        ("from_state_name", before["name"].clone()),
        (
            "run_count",
            count.and_then(|count| count.parse::<i64>().ok()).into(),
        ),
    ]
}

/// Returns true if an event shows that a flow run entered a state, whatever the event's name. The server describes
/// the state in the event's resource, and the change in its payload.
fn is_change_of_state(event: &Value) -> bool {
    let resource = &event["resource"];
    let is_of_a_run = resource["prefect.resource.id"]
        .as_str()
        .is_some_and(|id| id.starts_with("prefect.flow-run."));
    let payload = &event["payload"];
    is_of_a_run
        && resource["prefect.state-type"].is_string()
        && (resource["prefect.state-timestamp"].is_string()
            || payload["validated_state"].is_object()
            || payload["intended"].is_object())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn state_events_are_recognised_by_their_fields() {
        let state = json!({
            "event": "prefect.flow-run.A name of somebody's own",
            "resource": {"prefect.resource.id": "prefect.flow-run.1", "prefect.state-type": "RUNNING"},
            "payload": {"intended": {"from": null, "to": "RUNNING"}, "validated_state": {"type": "RUNNING"}},
        });
        assert!(is_change_of_state(&state));
        for (place, value) in [
            ("/resource/prefect.state-type", Value::Null),
            (
                "/resource/prefect.resource.id",
                json!("prefect.deployment.1"),
            ),
            ("/payload", json!({"step_name": "git_clone", "index": 0})),
        ] {
            let mut other = state.clone();
            *other.pointer_mut(place).expect("a place") = value;
            assert!(!is_change_of_state(&other), "{place}");
            assert_eq!(derived(&other), [], "{place}");
        }
    }
}
