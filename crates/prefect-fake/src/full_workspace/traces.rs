//! The records of flow runs: their past states, events, logs and artifacts.

use chrono::TimeDelta;
use serde_json::{Value, json};

use super::builder::WorkspaceBuilder;
use crate::{
    generic_collections::{GenericCollection as C, GenericObject},
    id::Id,
    model::{FlowRun, State, StateType, Time},
    store::Store,
};

/// The time for which events are kept.
const EVENT_RETENTION: TimeDelta = TimeDelta::days(7);

pub(super) fn add(
    builder: &mut WorkspaceBuilder,
    store: &mut Store,
    run: &FlowRun,
    tasks: &[Id],
    nth: usize,
) {
    states(store, run);
    if store.settings().capabilities.events {
        events(builder, store, run);
    }
    if nth.is_multiple_of(3) {
        logs(builder, store, run, tasks);
    }
    if nth.is_multiple_of(5) {
        artifacts(builder, store, run, tasks);
    }
}

/// Adds the states before the current one.
fn states(store: &mut Store, run: &FlowRun) {
    let mut left = Vec::new();
    let mut add = |kind: StateType, at: Time, due: Option<Time>| {
        left.push(State {
            id: store.ids.ordered(at),
            kind,
            name: kind.default_name().to_owned(),
            timestamp: at,
            message: None,
            scheduled_time: due,
            pause_timeout: None,
        });
    };
    if run.auto_scheduled {
        let due = Some(run.expected_start_time);
        add(StateType::Scheduled, run.created, due);
    }
    if let Some(start) = run.start_time.filter(|_| !run.total_run_time.is_zero()) {
        let pending = (start - TimeDelta::milliseconds(700)).max(run.created);
        add(StateType::Pending, pending, None);
        add(StateType::Running, start, None);
    }
    store.left.insert(run.id, left);
}

fn events(builder: &mut WorkspaceBuilder, store: &mut Store, run: &FlowRun) {
    let left = store.left.get(&run.id).cloned().unwrap_or_default();
    let mut before: Option<&State> = None;
    for state in left.iter().chain([&run.state]) {
        if state.timestamp > builder.now - EVENT_RETENTION {
            let event = store.state_change(run, before, state);
            store.put_object(C::Events, event);
        }
        before = Some(state);
    }
}

fn logs(builder: &mut WorkspaceBuilder, store: &mut Store, run: &FlowRun, tasks: &[Id]) {
    let (Some(start), Some(end)) = (run.start_time, run.end_time) else {
        return;
    };
    let mut log = |level: u32, message: String, at: Time, task: Option<Id>| {
        let created = (at + TimeDelta::microseconds(8_000)).min(builder.now);
        let fields = json!({
            "name": if task.is_some() { "prefect.task_runs" } else { "prefect.flow_runs" },
            "level": level,
            "message": message,
            "timestamp": at,
            "flow_run_id": run.id,
            "task_run_id": task,
        });
        let id = store.ids.ordered(at);
        store.put_object(C::Logs, GenericObject::new(id, created, fields));
    };
    log(
        20,
        format!("Beginning flow run '{}'", run.name),
        start,
        None,
    );
    for task in tasks {
        log(10, "Fetching rows…".to_owned(), start, Some(*task));
        log(
            20,
            "Finished in state Completed()".to_owned(),
            end,
            Some(*task),
        );
    }
    if run.run_count > 1 {
        log(
            30,
            "Retrying: connection reset by peer".to_owned(),
            start,
            None,
        );
    }
    let failed = matches!(run.state.kind, StateType::Failed | StateType::Crashed);
    let message = run.state.message.clone();
    let message = message.unwrap_or_else(|| format!("Finished in state {}()", run.state.name));
    log(if failed { 40 } else { 20 }, message, end, None);
}

fn artifacts(builder: &mut WorkspaceBuilder, store: &mut Store, run: &FlowRun, tasks: &[Id]) {
    let Some(end) = run.end_time else {
        return;
    };
    let rows = builder.below(100_000);
    let table =
        json!([{ "table": "orders", "rows": rows }, { "table": "items", "rows": rows * 3 }]);
    let kinds: [(&str, Option<&str>, Value, Value); 4] = [
        (
            "markdown",
            Some("load-report"),
            json!(format!("# Load\n\n{rows} rows for *{}*", run.name)),
            json!({ "rows": rows.to_string() }),
        ),
        // The data of a table is text that contains JSON.
        (
            "table",
            Some("row-counts"),
            json!(table.to_string()),
            Value::Null,
        ),
        (
            "link",
            Some("dashboard"),
            json!(format!("[dashboard](https://example.org/runs/{})", run.id)),
            Value::Null,
        ),
        ("progress", None, json!(100.0), Value::Null),
    ];
    for (kind, key, data, metadata) in kinds {
        if !builder.chance(0.6) {
            continue;
        }
        let task = builder.one_of(&tasks.iter().copied().map(Some).collect::<Vec<_>>(), None);
        let fields = json!({
            "key": key,
            "type": kind,
            "description": null,
            "data": data,
            "metadata_": metadata,
            "flow_run_id": run.id,
            "task_run_id": task,
        });
        let id = store.new_id();
        store.put_object(C::Artifacts, GenericObject::new(id, end, fields));
    }
}
