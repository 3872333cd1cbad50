//! Changes of task runs, by the rules of flow runs.

use chrono::TimeDelta;
use serde_json::json;

use super::{NewTaskRun, TaskRun};
use crate::{
    changes::NewState,
    generic_collections::GenericCollection,
    id::Id,
    model::{Json, StateType},
    state_transitions,
    store::{Store, StoreError},
};

impl Store {
    const fn no_task_run(id: Id) -> StoreError {
        let noun = "Task run";
        StoreError::Nothing { noun, id }
    }

    /// Creates a task run, or finds the one of this flow run, task and dynamic key. The second value is true if it is
    /// new.
    pub fn create_task_run(&mut self, new: NewTaskRun) -> Result<(Id, bool), StoreError> {
        if let Some(id) = new.flow_run_id.filter(|id| self.runs.get(*id).is_none()) {
            let noun = "Flow run";
            return Err(StoreError::Nothing { noun, id });
        }
        let twin = |task: &&TaskRun| {
            task.flow_run_id == new.flow_run_id
                && task.task_key == new.task_key
                && task.dynamic_key == new.dynamic_key
        };
        let known = self.tasks.iter().find(twin).map(|task| task.id);
        if let Some(id) = known.filter(|_| new.flow_run_id.is_some()) {
            return Ok((id, false));
        }
        let (id, now) = (self.ids.ordered(self.now()), self.now());
        let first = new
            .state
            .clone()
            .unwrap_or_else(|| NewState::new(StateType::Pending));
        let mut task = self.unborn_task(id, new);
        if first.kind == StateType::Scheduled {
            task.expected_start_time = first.scheduled_time.unwrap_or(now);
        }
        self.enter(&mut task.lifecycle(), first);
        self.tasks.insert(task);
        Ok((id, true))
    }

    /// A task run without a first state.
    fn unborn_task(&self, id: Id, new: NewTaskRun) -> TaskRun {
        let now = self.now();
        let parent = new.flow_run_id.and_then(|id| self.runs.get(id));
        let flow = parent.and_then(|run| self.flows.get(run.flow_id));
        let labels = flow.and_then(|flow| serde_json::from_str(flow.labels.text()).ok());
        let mut labels = labels.unwrap_or_else(|| json!({}));
        if let Some(run) = parent {
            labels["prefect.flow.id"] = json!(run.flow_id);
            labels["prefect.flow-run.id"] = json!(run.id);
        }
        TaskRun {
            id,
            created: now,
            updated: self.stamp(),
            name: new.name,
            flow_run_id: new.flow_run_id,
            task_key: new.task_key,
            dynamic_key: new.dynamic_key,
            cache_key: None,
            cache_expiration: None,
            task_version: None,
            retries: None,
            tags: new.tags,
            labels: Json::from_serialize(&labels),
            task_inputs: new.task_inputs,
            run_count: 0,
            flow_run_run_count: 0,
            expected_start_time: now,
            next_scheduled_start_time: None,
            start_time: None,
            end_time: None,
            total_run_time: TimeDelta::zero(),
            child_flow_run_id: None,
            state: state_transitions::unborn(id, now),
        }
    }

    /// Sets a task run's state, from any state, and its `updated`.
    pub fn set_task_state(&mut self, id: Id, new: NewState) -> Result<(), StoreError> {
        let found = self.tasks.get(id).cloned();
        let mut task = found.ok_or(Self::no_task_run(id))?;
        self.enter(&mut task.lifecycle(), new);
        task.updated = self.stamp();
        self.tasks.update(id, |place| *place = task);
        Ok(())
    }

    /// Ends a task run like clients up to about 3.1.6 record a timeout: failed, without an end time.
    pub fn time_out_task_run(&mut self, id: Id) -> Result<(), StoreError> {
        let state = NewState::new(StateType::Failed).named("TimedOut");
        self.set_task_state(id, state)?;
        let changed = self.tasks.update(id, |task| task.end_time = None);
        changed.ok_or(Self::no_task_run(id))
    }

    /// Changes fields other than the state and sets `updated`, even if nothing is different.
    pub fn edit_task_run(
        &mut self,
        id: Id,
        edit: impl FnOnce(&mut TaskRun),
    ) -> Result<(), StoreError> {
        let stamp = self.stamp();
        let changed = self.tasks.update(id, |task| {
            edit(task);
            task.updated = stamp;
        });
        changed.ok_or(Self::no_task_run(id))
    }

    /// Deletes a task run with its states. A subflow that it represented loses its parent and keeps its `updated`.
    pub fn delete_task_run(&mut self, id: Id) -> Result<(), StoreError> {
        let task = self.tasks.remove(id).ok_or(Self::no_task_run(id))?;
        self.left.remove(&id);
        if let Some(child) = task.child_flow_run_id {
            self.runs.update(child, |run| {
                (run.parent_run, run.parent_task_run_id) = (None, None);
            });
        }
        Ok(())
    }

    /// Deletes the task runs and states of a flow run, and in 3.x its logs. Artifacts stay.
    pub(crate) fn forget_run(&mut self, run: Id) {
        self.left.remove(&run);
        let theirs = self.tasks.iter();
        let theirs = theirs.filter(|task| task.flow_run_id == Some(run));
        let ids: Vec<Id> = theirs.map(|task| task.id).collect();
        for id in ids {
            self.tasks.remove(id);
            self.left.remove(&id);
        }
        if self.settings().capabilities.third_generation {
            self.delete_objects_where(GenericCollection::Logs, |log| {
                log.id_at("flow_run_id") == Some(run)
            });
        }
    }

    /// Returns a task run.
    pub fn task_run(&self, id: Id) -> Option<&TaskRun> {
        self.tasks.get(id)
    }

    /// Returns all task runs, in no particular order.
    pub fn task_runs(&self) -> impl Iterator<Item = &TaskRun> {
        self.tasks.iter()
    }

    /// Inserts a task run as it is, without applying any rule.
    pub fn put_task_run(&mut self, task: TaskRun) {
        self.tasks.insert(task);
    }
}
