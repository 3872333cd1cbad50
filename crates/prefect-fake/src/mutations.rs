//! Changes by users and schedulers, with Prefect's rules for `updated` and `end_time`.

use chrono::TimeDelta;
use serde_json::json;

use super::{
    changes::{NewDeployment, NewRun, NewState, RunEdit},
    id::Id,
    model::{Creator, Deployment, Flow, FlowRun, Json, Schedule, StateType, Time},
    names,
    schema::Collection,
    state_transitions,
    store::{Store, StoreError},
};

impl Store {
    fn missing(collection: Collection, id: Id) -> StoreError {
        StoreError::NotFound { collection, id }
    }

    /// Creates a flow, or finds the one of this name and leaves it unchanged. The second value is true if the flow is
    /// new.
    pub fn create_flow(&mut self, name: &str, tags: &[String], labels: Json) -> (Id, bool) {
        if let Some(flow) = self.flows.iter().find(|flow| flow.name == name) {
            return (flow.id, false);
        }
        let (id, now) = (self.ids.random(), self.now());
        self.flows.insert(Flow {
            id,
            created: now,
            updated: now,
            name: name.to_owned(),
            tags: tags.to_vec(),
            labels,
        });
        (id, true)
    }

    /// Sets a flow's tags and its `updated`.
    pub fn set_flow_tags(&mut self, id: Id, tags: Vec<String>) -> Result<(), StoreError> {
        let stamp = self.stamp();
        let change = |flow: &mut Flow| (flow.tags, flow.updated) = (tags, stamp);
        self.flows
            .update(id, change)
            .ok_or(Self::missing(Collection::Flows, id))
    }

    /// Creates a deployment, or overwrites the one of the same flow and name and sets its `updated`. The second value
    /// is true if the deployment is new.
    pub fn create_deployment(&mut self, new: NewDeployment) -> Result<(Id, bool), StoreError> {
        if self.flows.get(new.flow_id).is_none() {
            return Err(StoreError::UnknownFlow(new.flow_id));
        }
        let now = self.now();
        let third = self.settings().capabilities.third_generation;
        let twin = |d: &&Deployment| d.flow_id == new.flow_id && d.name == new.name;
        let old = self.deployments.iter().find(twin).cloned();
        // 3.x keeps the old tags and the old pause if the request does not contain them.
        let kept = old.as_ref().filter(|_| third);
        let tags = new
            .tags
            .or_else(|| kept.map(|d| d.tags.clone()))
            .unwrap_or_default();
        let paused = new
            .paused
            .or_else(|| kept.map(|d| d.paused))
            .unwrap_or(false);
        let id = old.as_ref().map_or_else(|| self.ids.random(), |old| old.id);
        if old.is_some() {
            self.delete_scheduled_runs(id, true);
        }
        let mut schedules = new.schedules;
        // The API lists schedules newest first, and they are created in the order given.
        schedules.reverse();
        self.deployments.insert(Deployment {
            id,
            created: old.as_ref().map_or(now, |old| old.created),
            updated: now,
            name: new.name,
            version: new.version,
            description: new.description,
            flow_id: new.flow_id,
            paused,
            schedules,
            parameters: new.parameters,
            job_variables: new.job_variables,
            tags,
            labels: Json::from_serialize(&json!({ "prefect.flow.id": new.flow_id })),
            queue: new.queue,
            last_polled: None,
            ready: false,
            path: None,
            entrypoint: None,
            enforce_parameter_schema: third,
            created_by: None,
        });
        Ok((id, old.is_none()))
    }

    /// Changes a deployment (not its schedules) and sets `updated`, even if nothing is different.
    pub fn edit_deployment(
        &mut self,
        id: Id,
        edit: impl FnOnce(&mut Deployment),
    ) -> Result<(), StoreError> {
        let stamp = self.stamp();
        let change = |deployment: &mut Deployment| {
            edit(deployment);
            deployment.updated = stamp;
        };
        self.deployments
            .update(id, change)
            .ok_or(Self::missing(Collection::Deployments, id))
    }

    /// Pauses or resumes a deployment and sets `updated`. A pause deletes the scheduled runs of its schedules.
    pub fn set_paused(&mut self, id: Id, paused: bool) -> Result<(), StoreError> {
        self.edit_deployment(id, |deployment| deployment.paused = paused)?;
        if paused {
            self.delete_scheduled_runs(id, true);
        }
        Ok(())
    }

    /// Changes a deployment's schedules and sets their `updated`, not the deployment's. Their scheduled runs are
    /// deleted.
    pub fn edit_schedules(
        &mut self,
        id: Id,
        edit: impl FnOnce(&mut Vec<Schedule>),
    ) -> Result<(), StoreError> {
        let stamp = self.stamp();
        let change = |deployment: &mut Deployment| {
            edit(&mut deployment.schedules);
            for schedule in &mut deployment.schedules {
                schedule.updated = stamp;
            }
        };
        self.deployments
            .update(id, change)
            .ok_or(Self::missing(Collection::Deployments, id))?;
        self.delete_scheduled_runs(id, true);
        Ok(())
    }

    /// Records that a worker polled: sets `last_polled` and `status`, and `updated` in 2.x only.
    pub fn poll_deployment(&mut self, id: Id) -> Result<(), StoreError> {
        let (now, stamp) = (self.now(), self.stamp());
        let moves = !self.settings().capabilities.third_generation;
        let change = |deployment: &mut Deployment| {
            deployment.last_polled = Some(now);
            deployment.ready = true;
            if moves {
                deployment.updated = stamp;
            }
        };
        self.deployments
            .update(id, change)
            .ok_or(Self::missing(Collection::Deployments, id))
    }

    /// Creates a flow run, or finds the one of this flow and idempotency key. The second value is true if the run is
    /// new.
    pub fn create_run(&mut self, new: NewRun) -> Result<(Id, bool), StoreError> {
        if self.flows.get(new.flow_id).is_none() {
            return Err(StoreError::UnknownFlow(new.flow_id));
        }
        if let Some(key) = &new.idempotency_key {
            let twin = |run: &&FlowRun| {
                run.flow_id == new.flow_id && run.idempotency_key.as_ref() == Some(key)
            };
            if let Some(run) = self.runs.iter().find(twin) {
                return Ok((run.id, false));
            }
        }
        let mut run = self.unborn(&new);
        run.name = new.name.unwrap_or_else(|| names::made_up_name(run.id));
        let first = new
            .state
            .unwrap_or_else(|| NewState::new(StateType::Pending));
        if first.kind == StateType::Scheduled {
            run.expected_start_time = first.scheduled_time.unwrap_or(run.expected_start_time);
        }
        self.enter(&mut run.lifecycle(), first);
        let id = run.id;
        self.record_state_event(&run, None);
        self.runs.insert(run);
        Ok((id, true))
    }

    /// A run without a name and without a first state.
    fn unborn(&mut self, new: &NewRun) -> FlowRun {
        let now = self.now();
        let deployment = new
            .deployment_id
            .and_then(|id| self.deployments.get(id))
            .cloned();
        let id = if new.auto_scheduled {
            self.ids.ordered(now)
        } else {
            self.ids.random()
        };
        let mut labels = json!({ "prefect.flow.id": new.flow_id });
        if let Some(deployment) = new.deployment_id {
            labels["prefect.deployment.id"] = json!(deployment);
        }
        let created_by = new.auto_scheduled.then(|| Creator {
            id: new.deployment_id,
            kind: "SCHEDULE".to_owned(),
            display_value: "CronSchedule".to_owned(),
        });
        // Observed in 3.x: null if a client creates a run of a deployment, otherwise an empty object.
        let third = self.settings().capabilities.third_generation;
        let bare = third && new.deployment_id.is_some() && !new.auto_scheduled;
        FlowRun {
            id,
            created: now,
            updated: self.stamp(),
            deployment_version: deployment.as_ref().and_then(|d| d.version.clone()),
            queue: deployment.and_then(|d| d.queue),
            name: String::new(),
            flow_id: new.flow_id,
            deployment_id: new.deployment_id,
            flow_version: None,
            parameters: new.parameters.clone(),
            idempotency_key: new.idempotency_key.clone(),
            retries: None,
            tags: new.tags.clone(),
            labels: Json::from_serialize(&labels),
            parent_task_run_id: new.parent_task_run_id,
            parent_run: new.parent_run,
            run_count: 0,
            expected_start_time: now,
            next_scheduled_start_time: None,
            start_time: None,
            end_time: None,
            total_run_time: TimeDelta::zero(),
            auto_scheduled: new.auto_scheduled,
            infrastructure_pid: None,
            created_by,
            state: state_transitions::unborn(id, now),
            job_variables: (!bare).then(Json::object),
        }
    }

    /// Sets a run's state, from any state, and its `updated`.
    pub fn set_state(&mut self, id: Id, new: NewState) -> Result<(), StoreError> {
        let mut run = self
            .runs
            .get(id)
            .cloned()
            .ok_or(Self::missing(Collection::FlowRuns, id))?;
        let before = run.state.clone();
        self.enter(&mut run.lifecycle(), new);
        run.updated = self.stamp();
        self.record_state_event(&run, Some(&before));
        self.runs.update(id, |place| *place = run);
        Ok(())
    }

    /// Changes fields other than the state and sets `updated`, even if nothing is different.
    pub fn edit_run(&mut self, id: Id, edit: RunEdit) -> Result<(), StoreError> {
        let stamp = self.stamp();
        let change = |run: &mut FlowRun| {
            run.name = edit.name.unwrap_or_else(|| std::mem::take(&mut run.name));
            run.tags = edit.tags.unwrap_or_else(|| std::mem::take(&mut run.tags));
            run.parameters = edit.parameters.unwrap_or_else(|| run.parameters.clone());
            run.labels = edit.labels.unwrap_or_else(|| run.labels.clone());
            run.infrastructure_pid = edit
                .infrastructure_pid
                .or_else(|| run.infrastructure_pid.take());
            run.updated = stamp;
        };
        self.runs
            .update(id, change)
            .ok_or(Self::missing(Collection::FlowRuns, id))
    }

    /// Deletes a run with its task runs and states, and in 3.x its logs. Its subflow runs lose their parent and keep
    /// their `updated`.
    pub fn delete_run(&mut self, id: Id) -> Result<(), StoreError> {
        self.runs
            .remove(id)
            .ok_or(Self::missing(Collection::FlowRuns, id))?;
        self.forget_run(id);
        let children: Vec<Id> = self
            .runs
            .iter()
            .filter(|run| run.parent_run == Some(id))
            .map(|run| run.id)
            .collect();
        for child in children {
            self.runs.update(child, |run| {
                (run.parent_run, run.parent_task_run_id) = (None, None);
            });
        }
        Ok(())
    }

    /// Deletes a deployment and its scheduled runs; its other runs keep their reference to it.
    pub fn delete_deployment(&mut self, id: Id) -> Result<(), StoreError> {
        self.deployments
            .remove(id)
            .ok_or(Self::missing(Collection::Deployments, id))?;
        self.delete_scheduled_runs(id, false);
        Ok(())
    }

    /// Deletes a flow with all its runs and deployments.
    pub fn delete_flow(&mut self, id: Id) -> Result<(), StoreError> {
        self.flows
            .remove(id)
            .ok_or(Self::missing(Collection::Flows, id))?;
        self.delete_runs_where(|run| run.flow_id == id);
        let deployments: Vec<Id> = self
            .deployments
            .iter()
            .filter(|d| d.flow_id == id)
            .map(|d| d.id)
            .collect();
        for deployment in deployments {
            self.deployments.remove(deployment);
        }
        Ok(())
    }

    /// Deletes the runs that ended before `time`, as the server's retention does. Returns their number.
    pub fn vacuum(&mut self, time: Time) -> usize {
        self.delete_runs_where(|run| {
            run.state.kind.is_terminal() && run.end_time.is_some_and(|end| end < time)
        })
    }

    fn delete_scheduled_runs(&mut self, deployment: Id, only_automatic: bool) {
        self.delete_runs_where(|run| {
            run.deployment_id == Some(deployment)
                && run.state.kind == StateType::Scheduled
                && (run.auto_scheduled || !only_automatic)
        });
    }

    fn delete_runs_where(&mut self, doomed: impl Fn(&FlowRun) -> bool) -> usize {
        let ids: Vec<Id> = self
            .runs
            .iter()
            .filter(|run| doomed(run))
            .map(|run| run.id)
            .collect();
        ids.into_iter()
            .filter(|id| self.delete_run(*id).is_ok())
            .count()
    }
}
