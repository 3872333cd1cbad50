//! Creates an event for each change of a run's state.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::{
    generic_collections::{GenericCollection, GenericObject},
    model::{FlowRun, State, StateType, Time},
    store::Store,
    times::ApiTime,
};

/// An event refers to the previous change if both are less than this apart.
const TIGHT: TimeDelta = TimeDelta::minutes(5);

impl Store {
    /// Switches the events for state changes of flow runs on or off; they are off at first.
    pub fn feed_events(&mut self, feeds: bool) {
        self.feeds = feeds;
    }

    /// Records the event of `run` entering its current state, if events are on.
    pub(crate) fn record_state_event(&mut self, run: &FlowRun, before: Option<&State>) {
        if self.feeds && self.settings().capabilities.events {
            let event = self.state_change(run, before, &run.state);
            self.put_object(GenericCollection::Events, event);
        }
    }

    /// Returns the event of a change from one state of a run to another.
    pub(crate) fn state_change(
        &self,
        run: &FlowRun,
        before: Option<&State>,
        after: &State,
    ) -> GenericObject {
        let tight = |state: &&State| (after.timestamp - state.timestamp).abs() < TIGHT;
        let received = after.timestamp + TimeDelta::microseconds(18_000);
        let resource = json!({
            "prefect.resource.id": format!("prefect.flow-run.{}", run.id),
            "prefect.resource.name": run.name,
            "prefect.run-count": run.run_count.to_string(),
            "prefect.state-message": after.message.as_deref().unwrap_or_default(),
            "prefect.state-name": after.name,
            "prefect.state-timestamp": offset(after.timestamp),
            "prefect.state-type": after.kind.text(),
        });
        let fields = json!({
            "occurred": after.timestamp,
            "event": format!("prefect.flow-run.{}", after.name),
            "resource": resource,
            "related": self.related(run),
            "payload": {
                "intended": {
                    "from": before.map(|state| state.kind.text()),
                    "to": after.kind.text(),
                },
                "initial_state": before.map(essence),
                "validated_state": essence(after),
            },
            "follows": before.filter(tight).map(|state| state.id),
            "received": received,
        });
        // An event has the id of its state.
        GenericObject::new(after.id, received, fields)
    }

    /// Returns the objects related to a run: its flow, deployment, queue, pool, parent task run and all their tags.
    fn related(&self, run: &FlowRun) -> Vec<Value> {
        let entry = |kind: &str, id: String, name: &str| {
            json!({
                "prefect.resource.id": format!("prefect.{kind}.{id}"),
                "prefect.resource.role": kind,
                "prefect.resource.name": name,
            })
        };
        let mut related = Vec::new();
        let mut tags: BTreeSet<&str> = run.tags.iter().map(String::as_str).collect();
        if let Some(flow) = self.flow(run.flow_id) {
            related.push(entry("flow", flow.id.to_string(), &flow.name));
            tags.extend(flow.tags.iter().map(String::as_str));
        }
        if let Some(deployment) = run.deployment_id.and_then(|id| self.deployment(id)) {
            let id = deployment.id.to_string();
            related.push(entry("deployment", id, &deployment.name));
            tags.extend(deployment.tags.iter().map(String::as_str));
        }
        if let Some(queue) = &run.queue {
            related.push(entry("work-queue", queue.id.to_string(), &queue.name));
            let mut pool = entry("work-pool", queue.pool_id.to_string(), &queue.pool_name);
            if let Some(known) = self.object(GenericCollection::WorkPools, queue.pool_id) {
                pool["prefect.work-pool.type"] = known.at("type").clone();
            }
            related.push(pool);
        }
        if let Some(task) = run.parent_task_run_id.and_then(|id| self.task_run(id)) {
            related.push(entry("task-run", task.id.to_string(), &task.name));
            tags.extend(task.tags.iter().map(String::as_str));
        }
        related.extend(tags.into_iter().map(|tag| {
            json!({
                "prefect.resource.id": format!("prefect.tag.{tag}"),
                "prefect.resource.role": "tag",
            })
        }));
        related
    }
}

/// Returns the form of a state in a payload.
fn essence(state: &State) -> Value {
    let mut essence = json!({ "type": state.kind.text(), "name": state.name });
    if let Some(message) = &state.message {
        essence["message"] = Value::from(message.as_str());
    }
    if state.kind == StateType::Paused {
        essence["pause_reschedule"] = Value::from("false");
    }
    essence
}

/// Formats a time with the offset `+00:00`, as Python does, in every release.
fn offset(at: Time) -> Value {
    serde_json::to_value(ApiTime { at, zulu: false }).unwrap_or_default()
}
