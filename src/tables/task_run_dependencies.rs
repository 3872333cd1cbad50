//! `task_run_dependencies`: one row per result that a task run got from another run.
//!
//! Dependencies are contained in the `task_inputs` of task runs, so they cost no request of their own. A row names
//! the run whose result went into an argument.

use serde_json::{Map, Value, json};

use super::{Column, ColumnType, Nested, Strategy, Table, UNMAPPED, WORKSPACE_ID};

pub(super) static TABLE: Table = Table {
    name: "task_run_dependencies",
    doc: "One row per result that a task run takes from another run.",
    endpoint: "/task_runs",
    strategy: Strategy::Nested(Nested {
        parent: &super::task_runs::TABLE,
        column: "task_inputs",
        split,
    }),
    columns: &[
        Column::new(
            "id",
            ColumnType::String,
            &["id"],
            "The task run, the argument and a number, joined by slashes.",
        )
        .required(),
        WORKSPACE_ID,
        Column::new(
            "task_run_id",
            ColumnType::String,
            &["task_run_id"],
            "The task run that takes the result.",
        )
        .references("task_runs"),
        Column::new(
            "argument",
            ColumnType::String,
            &["argument"],
            "The name of the argument.",
        ),
        Column::new(
            "position",
            ColumnType::Long,
            &["position"],
            "The position among the inputs of that argument, from 0.",
        ),
        Column::new(
            "input_type",
            ColumnType::String,
            &["input_type"],
            "The type of the run that produced the result: task_run or flow_run.",
        ),
        Column::new(
            "upstream_task_run_id",
            ColumnType::String,
            &["upstream_task_run_id"],
            "The task run that produced the result.",
        )
        .may_dangle("task_runs"),
        Column::new(
            "upstream_flow_run_id",
            ColumnType::String,
            &["upstream_flow_run_id"],
            "The flow run that produced the result.",
        )
        .may_dangle("flow_runs"),
        UNMAPPED,
    ],
    samples: &[
        r#"{"id":"7bef1174-8a41-4bae-ac54-020c6b9ef74b/x/0","task_run_id":"7bef1174-8a41-4bae-ac54-020c6b9ef74b","argument":"x","position":0,"input_type":"task_run","upstream_task_run_id":"6c24a543-89f8-4c70-9708-ad54f1ccad0f"}"#,
        r#"{"id":"7bef1174-8a41-4bae-ac54-020c6b9ef74b/y/0","task_run_id":"7bef1174-8a41-4bae-ac54-020c6b9ef74b","argument":"y","position":0,"input_type":"flow_run","upstream_flow_run_id":"6fae67ae-1c56-43d3-b6a3-e958ea4ee5c3"}"#,
    ],
    ..Table::DEFAULT
};

/// Returns the inputs (`{"x": [{"input_type": "task_run", "id": "…"}, …], …}`) that are results of runs.
fn split(id: &str, inputs: &str) -> Option<String> {
    let inputs: Map<String, Value> = serde_json::from_str(inputs).ok()?;
    let mut rows = Vec::new();
    for (argument, list) in &inputs {
        for (position, input) in list.as_array()?.iter().enumerate() {
            let place = match input["input_type"].as_str() {
                Some("task_run") => "upstream_task_run_id",
                Some("flow_run") => "upstream_flow_run_id",
                _ => continue,
            };
            let mut row = json!({
                "id": format!("{id}/{argument}/{position}"),
                "task_run_id": id,
                "argument": argument,
                "position": position,
                "input_type": input["input_type"],
            });
            row[place] = input["id"].clone();
            rows.push(row);
        }
    }
    Some(Value::Array(rows).to_string())
}
