//! Ordinary changes of flows, deployments, flow runs and task runs, by Prefect's rules.

use chrono::TimeDelta;
use prefect_fake::{
    Id, NewDeployment, NewRun, NewState, NewTaskRun, RunEdit, TaskRun,
    model::{FlowRun, Json, Rule, Schedule, StateType, Time},
};
use rand::{Rng, seq::IndexedRandom};
use serde_json::json;

use super::world::World;

/// The tags by which the user's filter selects runs. A run keeps the tags with which it was created.
pub(super) const SCOPES: [&str; 2] = ["a", "b"];

impl World {
    /// Makes a random change of the workspace.
    pub(super) fn change(&mut self) {
        match self.rng.random_range(0..100) {
            0 | 1 => self.new_flow(),
            2 | 3 => self.tag_flow(),
            4 => self.delete_flow(),
            5..=7 => self.new_deployment(),
            8..=10 => self.edit_deployment(),
            11 => self.pause_deployment(),
            12 => self.poll_deployment(),
            13 => self.delete_deployment(),
            14..=16 => self.schedule_runs(),
            17..=26 => self.create_run(),
            27..=30 => self.short_run(),
            31 => self.never_start(),
            32..=43 => self.progress(),
            44 | 45 => self.edit_run(),
            46 => self.retry(),
            47 | 48 => self.delete_run(),
            49..=56 => self.create_task_runs(),
            57..=63 => self.progress_task(),
            64 => self.edit_task(),
            65..=67 => self.end_all(),
            _ => self.change_thing(),
        }
    }

    pub(super) fn name(&mut self, what: &str) -> String {
        self.made += 1;
        format!("{what}-{}", self.made)
    }

    fn pick_flow(&mut self) -> Option<Id> {
        let ids: Vec<Id> = self.store.flows().map(|flow| flow.id).collect();
        ids.choose(&mut self.rng).copied()
    }

    fn pick_deployment(&mut self) -> Option<Id> {
        let ids: Vec<Id> = self.store.deployments().map(|row| row.id).collect();
        ids.choose(&mut self.rng).copied()
    }

    pub(super) fn pick_run(&mut self, wanted: impl Fn(&FlowRun) -> bool) -> Option<Id> {
        let runs = self.store.runs().filter(|run| wanted(run));
        let ids: Vec<Id> = runs.map(|run| run.id).collect();
        ids.choose(&mut self.rng).copied()
    }

    pub(super) fn pick_task(&mut self, wanted: impl Fn(&TaskRun) -> bool) -> Option<Id> {
        let runs = self.store.task_runs().filter(|run| wanted(run));
        let ids: Vec<Id> = runs.map(|run| run.id).collect();
        ids.choose(&mut self.rng).copied()
    }

    pub(super) fn new_flow(&mut self) {
        let name = self.name("flow");
        let (id, _) = self.store.create_flow(&name, &[], Json::object());
        self.log(|| format!("flows {id}: created"));
    }

    fn tag_flow(&mut self) {
        let Some(id) = self.pick_flow() else { return };
        let tag = self.name("tag");
        self.store.set_flow_tags(id, vec![tag]).expect("is there");
        self.touch("flows", id, "tagged");
    }

    fn delete_flow(&mut self) {
        if self.store.flows().count() > 2
            && self.rng.random_bool(0.4)
            && let Some(id) = self.pick_flow()
        {
            self.store.delete_flow(id).expect("is there");
        }
    }

    /// Records a change that sets `updated` to the present. An object that was out of order is found by the change.
    pub(super) fn touch(&mut self, table: &'static str, id: Id, what: &str) {
        self.past.out_of_order.remove(&(table, id));
        self.log(|| format!("{table} {id}: {what}"));
    }

    fn new_schedule(&mut self) -> Schedule {
        let now = self.store.now();
        let cron = format!("{} 0 * * *", self.rng.random_range(0..60));
        Schedule {
            id: self.store.new_id(),
            created: now,
            updated: now,
            rule: Rule::Cron {
                cron,
                timezone: "UTC".to_owned(),
            },
            active: self.rng.random_bool(0.8),
            parameters: Json::object(),
            slug: None,
        }
    }

    pub(super) fn new_deployment(&mut self) {
        let Some(flow) = self.pick_flow() else { return };
        let mut name = self.name("deployment");
        if self.rng.random_bool(0.3)
            && let Some(old) = self.store.deployments().find(|old| old.flow_id == flow)
        {
            name.clone_from(&old.name);
        }
        let mut new = NewDeployment::new(flow, &name);
        for _ in 0..self.rng.random_range(0..3) {
            let schedule = self.new_schedule();
            new.schedules.push(schedule);
        }
        new.version = Some(self.name("version"));
        let (id, _) = self.store.create_deployment(new).expect("has its flow");
        self.log(|| format!("deployments {id}: deployed"));
    }

    fn edit_deployment(&mut self) {
        let Some(id) = self.pick_deployment() else {
            return;
        };
        if self.rng.random_bool(0.5) {
            let text = self.name("described");
            self.store
                .edit_deployment(id, |deployment| deployment.description = Some(text))
                .expect("is there");
        } else {
            let new = self.new_schedule();
            let grows = self.rng.random_bool(0.5);
            self.store
                .edit_schedules(id, |schedules| {
                    schedules.truncate(1);
                    if let Some(first) = schedules.first_mut() {
                        first.active = !first.active;
                    }
                    if grows {
                        schedules.insert(0, new);
                    }
                })
                .expect("is there");
        }
        self.log(|| format!("deployments {id}: edited"));
    }

    fn pause_deployment(&mut self) {
        let Some(id) = self.pick_deployment() else {
            return;
        };
        let paused = self.rng.random_bool(0.5);
        self.store.set_paused(id, paused).expect("is there");
        self.log(|| format!("deployments {id}: paused {paused}"));
    }

    fn poll_deployment(&mut self) {
        if let Some(id) = self.pick_deployment() {
            self.store.poll_deployment(id).expect("is there");
        }
    }

    fn delete_deployment(&mut self) {
        if let Some(id) = self.pick_deployment() {
            self.store.delete_deployment(id).expect("is there");
        }
    }

    /// Creates runs of a deployment for the next days, at times that runs of other deployments share.
    fn schedule_runs(&mut self) {
        let Some(deployment) = self.pick_deployment() else {
            return;
        };
        let now = self.store.now();
        let midnight = now - TimeDelta::seconds(now.timestamp().rem_euclid(86_400));
        let midnight = chrono::SubsecRound::trunc_subsecs(midnight, 0);
        for day in 1..=self.rng.random_range(1..5) {
            let due = midnight + TimeDelta::days(day);
            self.add_run(
                Some(deployment),
                NewState::new(StateType::Scheduled).due(due),
            );
        }
    }

    /// Creates a run in its first state, unless there are enough.
    pub(super) fn add_run(&mut self, deployment: Option<Id>, state: NewState) -> Option<Id> {
        if self.store.runs().count() >= self.kind.runs {
            return None;
        }
        let flow = match deployment {
            Some(id) => self.store.deployment(id)?.flow_id,
            None => self.pick_flow()?,
        };
        let what = format!("created {}", state.kind.text());
        let mut new = NewRun::new(flow);
        new.name = Some(self.name("run"));
        new.deployment_id = deployment;
        new.auto_scheduled = deployment.is_some();
        new.parameters = Json::from_serialize(&json!({ "n": self.made }));
        new.tags = self.scope();
        new.state = Some(state);
        let (id, _) = self.store.create_run(new).expect("has its flow");
        self.log(|| format!("flow_runs {id}: {what}"));
        Some(id)
    }

    /// Draws the tags of a new run.
    fn scope(&mut self) -> Vec<String> {
        let tags = SCOPES.iter().filter(|_| self.rng.random_bool(0.5));
        tags.map(|tag| (*tag).to_owned()).collect()
    }

    /// Sets the next state of a flow run.
    pub(super) fn set(&mut self, id: Id, state: NewState) {
        let what = state.name.clone().unwrap_or(state.kind.text().to_owned());
        if state.kind.is_terminal() {
            self.end_tasks(id);
        }
        self.store.set_state(id, state).expect("is there");
        self.touch("flow_runs", id, &what);
    }

    /// Ends the open task runs of a flow run before the flow run ends, except those that are never ready.
    fn end_tasks(&mut self, run: Id) {
        let is_open = |task: &TaskRun| {
            task.flow_run_id == Some(run)
                && !task.state.kind.is_terminal()
                && task.state.name != "NotReady"
        };
        while let Some(id) = self.pick_task(is_open) {
            self.pause();
            self.set_task(id, NewState::new(StateType::Completed));
        }
    }

    /// Draws the due time of a new run: soon, far ahead, or some time ago.
    fn due(&mut self) -> Time {
        let by = TimeDelta::seconds(
            2_i64.pow(self.rng.random_range(0..22)) + self.rng.random_range(0..60),
        );
        let now = self.store.now();
        if self.rng.random_bool(0.8) {
            now + by
        } else {
            now - by.min(TimeDelta::days(20))
        }
    }

    fn create_run(&mut self) {
        let state = match self.rng.random_range(0..5) {
            0 => NewState::new(StateType::Scheduled).due(self.due()),
            1 => NewState::new(StateType::Scheduled),
            2 | 3 => NewState::new(StateType::Pending),
            _ => NewState::new(StateType::Running),
        };
        if self.add_run(None, state).is_none() {
            self.progress();
        }
    }

    fn short_run(&mut self) {
        if let Some(id) = self.add_run(None, NewState::new(StateType::Pending)) {
            self.moment();
            self.set(id, NewState::new(StateType::Running));
            self.moment();
            let end = self.ending();
            self.set(id, end);
        }
    }

    /// Creates a run that ends without having started.
    fn never_start(&mut self) {
        let state = NewState::new(StateType::Scheduled).due(self.due());
        if let Some(id) = self.add_run(None, state) {
            self.moment();
            self.set(id, NewState::new(StateType::Cancelled));
        }
    }

    fn ending(&mut self) -> NewState {
        let kinds = [
            StateType::Completed,
            StateType::Completed,
            StateType::Failed,
            StateType::Crashed,
        ];
        NewState::new(*kinds.choose(&mut self.rng).expect("some"))
    }

    /// Returns a state that may follow `kind`.
    fn next_state(&mut self, kind: StateType) -> NewState {
        match kind {
            StateType::Scheduled => NewState::new(StateType::Pending),
            StateType::Pending | StateType::Paused => NewState::new(StateType::Running),
            StateType::Running if self.rng.random_bool(0.2) => NewState::new(StateType::Paused),
            _ => self.ending(),
        }
    }

    fn progress(&mut self) {
        let now = self.store.now();
        let is_due =
            |run: &FlowRun| !run.state.kind.is_terminal() && run.expected_start_time <= now;
        if let Some(id) = self.pick_run(is_due) {
            let kind = self.store.run(id).expect("was picked").state.kind;
            let next = self.next_state(kind);
            self.set(id, next);
        }
    }

    fn edit_run(&mut self) {
        if let Some(id) = self.pick_run(|_| true) {
            let edit = RunEdit {
                name: Some(self.name("renamed")),
                ..RunEdit::default()
            };
            self.store.edit_run(id, edit).expect("is there");
            self.touch("flow_runs", id, "renamed");
        }
    }

    fn retry(&mut self) {
        if let Some(id) = self.pick_run(|run| run.state.kind == StateType::Failed) {
            self.set(
                id,
                NewState::new(StateType::Scheduled).named("AwaitingRetry"),
            );
            self.moment();
            self.set(id, NewState::new(StateType::Running).named("Retrying"));
        }
    }

    fn delete_run(&mut self) {
        let open = self.rng.random_bool(0.8);
        if let Some(id) = self.pick_run(|run| run.state.kind.is_terminal() != open) {
            self.store.delete_run(id).expect("is there");
        }
    }

    fn end_all(&mut self) {
        let running = |run: &FlowRun| run.state.kind == StateType::Running;
        while let Some(id) = self.pick_run(running) {
            self.pause();
            let end = self.ending();
            self.set(id, end);
        }
    }

    /// Creates some task runs of a flow run; each takes the results of earlier ones.
    fn create_task_runs(&mut self) {
        let is_running = |run: &FlowRun| run.state.kind == StateType::Running;
        let Some(run) = self.pick_run(is_running) else {
            return self.create_run();
        };
        if self.store.task_runs().count() >= self.kind.runs {
            return self.progress_task();
        }
        let mut earlier: Vec<Id> = Vec::new();
        for _ in 0..self.rng.random_range(1..4) {
            let inputs: Vec<_> = earlier
                .iter()
                .map(|id| json!({ "input_type": "task_run", "id": id }))
                .collect();
            let state = *[
                StateType::Pending,
                StateType::Running,
                StateType::Running,
                StateType::Completed,
            ]
            .choose(&mut self.rng)
            .expect("some");
            let first = if state == StateType::Completed {
                StateType::Running
            } else {
                state
            };
            let new = NewTaskRun {
                dynamic_key: self.name("call"),
                name: self.name("task"),
                task_inputs: Json::from_serialize(&json!({ "x": inputs })),
                tags: self.scope(),
                state: Some(NewState::new(first)),
                ..NewTaskRun::new(run, "task")
            };
            let (id, _) = self.store.create_task_run(new).expect("has its run");
            self.log(|| format!("task_runs {id}: created"));
            earlier.push(id);
            self.moment();
            if state == StateType::Completed {
                let end = self.ending();
                self.set_task(id, end);
            }
        }
    }

    /// Sets the next state of a task run.
    pub(super) fn set_task(&mut self, id: Id, state: NewState) {
        let what = state.kind.text();
        self.store.set_task_state(id, state).expect("is there");
        self.touch("task_runs", id, what);
    }

    fn progress_task(&mut self) {
        let is_open =
            |task: &TaskRun| !task.state.kind.is_terminal() && task.state.name != "NotReady";
        if let Some(id) = self.pick_task(is_open) {
            let kind = self.store.task_run(id).expect("was picked").state.kind;
            let next = self.next_state(kind);
            self.set_task(id, next);
        }
    }

    fn edit_task(&mut self) {
        if let Some(id) = self.pick_task(|_| true) {
            let name = self.name("renamed");
            self.store
                .edit_task_run(id, |task| task.name = name)
                .expect("is there");
            self.touch("task_runs", id, "renamed");
        }
    }
}
