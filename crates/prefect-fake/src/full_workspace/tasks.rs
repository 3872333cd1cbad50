//! The task runs of ended flow runs.

use chrono::TimeDelta;
use rand::seq::IndexedRandom;
use serde_json::{Value, json};

use super::builder::WorkspaceBuilder;
use crate::{
    id::Id,
    model::{FlowRun, Json, State, StateType, Time},
    store::Store,
    tasks::TaskRun,
};

const TASKS: [(&str, &str); 6] = [
    ("extract", "etl.extract-9f2c11aa"),
    ("transform", "etl.transform-03bd77e1"),
    ("load", "etl.load-5512c0de"),
    ("validate", "checks.validate-1d4e88b0"),
    ("score", "ml.score-77aa01ff"),
    ("notify", "ops.notify-c4c3d2e1"),
];

/// Adds three to eight task runs within the time of `run` and returns their ids.
pub(super) fn add(builder: &mut WorkspaceBuilder, store: &mut Store, run: &FlowRun) -> Vec<Id> {
    let (Some(start), Some(end)) = (run.start_time, run.end_time) else {
        return Vec::new();
    };
    if run.total_run_time.is_zero() {
        return Vec::new();
    }
    let count = 3 + builder.below(6);
    let share = (end - start) / i32::try_from(count).unwrap_or(1);
    let mut made: Vec<Id> = Vec::new();
    let mut at = start;
    for nth in 0..count {
        let last = nth + 1 == count;
        let until = if last { end } else { at + share };
        let failed = last && run.state.kind == StateType::Failed;
        let task = task(builder, store, run, (at, until), nth, failed, &made);
        made.push(task.id);
        store.put_task_run(task);
        at = until;
    }
    made
}

fn task(
    builder: &mut WorkspaceBuilder,
    store: &mut Store,
    run: &FlowRun,
    (from, until): (Time, Time),
    nth: i64,
    failed: bool,
    earlier: &[Id],
) -> TaskRun {
    let (name, key) = builder.one_of(&TASKS, TASKS[0]);
    let expected = builder.between(from, until);
    let start = builder.between(expected, until);
    let cached = !failed && builder.chance(0.08);
    let retried = !cached && builder.chance(0.12);
    let id = store.ids.ordered(expected);
    let (kind, state_name) = match (failed, cached) {
        (true, _) => (StateType::Failed, "Failed"),
        (_, true) => (StateType::Completed, "Cached"),
        _ => (StateType::Completed, "Completed"),
    };
    // 3.x creates task runs with a delay.
    let third = store.settings().capabilities.third_generation;
    let late = TimeDelta::microseconds(90_000 + builder.below(900_000));
    let created = if third { expected + late } else { expected };
    let state = State {
        id: store.ids.ordered(until),
        kind,
        name: state_name.to_owned(),
        timestamp: until,
        message: failed.then(|| "Task run encountered an exception ValueError: no rows".to_owned()),
        scheduled_time: None,
        pause_timeout: None,
    };
    let labels = json!({ "prefect.flow.id": run.flow_id, "prefect.flow-run.id": run.id });
    TaskRun {
        id,
        created: created.min(builder.now),
        updated: (until + late + TimeDelta::microseconds(7_000)).min(builder.now),
        name: format!("{name}-{}", &id.to_string()[24..27]),
        flow_run_id: Some(run.id),
        task_key: key.to_owned(),
        dynamic_key: format!("{nth}"),
        cache_key: cached.then(|| format!("{name}/{}", run.flow_id)),
        cache_expiration: cached.then(|| until + TimeDelta::hours(24)),
        task_version: None,
        retries: retried.then_some((2, 5)),
        tags: if builder.chance(0.3) {
            vec!["db".to_owned()]
        } else {
            Vec::new()
        },
        labels: Json::from_serialize(&labels),
        task_inputs: inputs(builder, earlier),
        run_count: match (cached, retried) {
            (true, _) => 0,
            (_, true) => 2,
            _ => 1,
        },
        flow_run_run_count: run.run_count,
        expected_start_time: expected,
        next_scheduled_start_time: None,
        start_time: Some(if cached { until } else { start }),
        end_time: Some(until),
        total_run_time: if cached {
            TimeDelta::zero()
        } else {
            until - start
        },
        child_flow_run_id: None,
        state,
    }
}

/// Generates a task's inputs: the results of earlier task runs or none, and sometimes a parameter of the flow.
fn inputs(builder: &mut WorkspaceBuilder, earlier: &[Id]) -> Json {
    let mut inputs = serde_json::Map::new();
    let before = earlier.choose(&mut builder.rng).copied();
    if let Some(id) = before.filter(|_| builder.chance(0.7)) {
        let mut from: Vec<Value> = vec![json!({ "input_type": "task_run", "id": id })];
        if let Some(other) = earlier.first().filter(|other| **other != id) {
            from.push(json!({ "input_type": "task_run", "id": other }));
        }
        inputs.insert("x".to_owned(), json!(from));
    } else {
        inputs.insert("x".to_owned(), json!([]));
    }
    if builder.chance(0.4) {
        let parameter = json!([{ "input_type": "parameter", "name": "batch" }]);
        inputs.insert("batch".to_owned(), parameter);
    }
    Json::from_serialize(&inputs)
}

/// Adds the task runs that represent subflows to their parent runs.
pub(super) fn add_parents(builder: &mut WorkspaceBuilder, store: &mut Store) {
    let mut children: Vec<FlowRun> = store
        .runs()
        .filter(|run| run.parent_task_run_id.is_some() && run.end_time.is_some())
        .cloned()
        .collect();
    children.sort_unstable_by_key(|run| run.id);
    for child in children {
        let parent = child.parent_run.and_then(|id| store.run(id)).cloned();
        let (Some(parent), Some(id)) = (parent, child.parent_task_run_id) else {
            continue;
        };
        let (Some(start), Some(end)) = (child.start_time, child.end_time) else {
            continue;
        };
        let mut represented = task(builder, store, &parent, (start, end), 0, false, &[]);
        represented.id = id;
        represented.name.clone_from(&child.name);
        "subflow".clone_into(&mut represented.task_key);
        represented.dynamic_key = child.id.to_string();
        represented.child_flow_run_id = Some(child.id);
        represented.expected_start_time = child.expected_start_time;
        (represented.start_time, represented.end_time) = (Some(start), Some(end));
        represented.total_run_time = child.total_run_time;
        represented.run_count = child.run_count;
        represented.state.kind = child.state.kind;
        represented.state.name.clone_from(&child.state.name);
        represented.state.message.clone_from(&child.state.message);
        store.put_task_run(represented);
    }
}
