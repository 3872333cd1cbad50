//! Generated histories of flow runs: due time, start, states and end.

use chrono::TimeDelta;
use rand::{Rng, seq::IndexedRandom};
use serde_json::json;

use super::{
    id::Id,
    model::{Creator, Deployment, FlowRun, Json, State, StateType, Time},
    names,
    population::{Source, WorkspaceGenerator},
    schedules::Timing,
    store::Store,
};

impl WorkspaceGenerator {
    pub(super) fn run(&mut self, store: &mut Store, source: &Source, open: bool) -> FlowRun {
        let mut timing = source.timings.choose(&mut self.rng).copied();
        let mut future = open && timing.is_some() && self.chance(0.6);
        let mut expected = self.due(timing, open, future);
        let deployment_id = source.deployment.as_ref().map(|d| d.id);
        if timing.is_some() && !self.taken.insert((deployment_id, expected)) {
            // A schedule creates one run per due time, so a second run becomes one that was started by hand.
            (timing, future) = (None, false);
            expected = self.due(timing, open, future);
        }
        let created = if timing.is_some() {
            (expected - TimeDelta::hours(36)).min(self.now)
        } else {
            expected
        };
        let id = if timing.is_some() {
            store.ids.ordered(created)
        } else {
            store.ids.random()
        };
        let mut run = self.waiting(store, source, id, created, expected);
        run.auto_scheduled = timing.is_some();
        if run.auto_scheduled {
            run.tags.insert(0, "auto-scheduled".to_owned());
            run.idempotency_key = run
                .deployment_id
                .map(|id| format!("scheduled {id} {expected}"));
            let display_value = "CronSchedule".to_owned();
            run.created_by = Some(Creator {
                id: run.deployment_id,
                kind: "SCHEDULE".to_owned(),
                display_value,
            });
        }
        if future {
            return run;
        }
        if open {
            self.keep_open(store, &mut run);
        } else {
            self.live(store, &mut run);
        }
        run
    }

    /// Returns the due time of a run: one of its schedule, if the run has one.
    fn due(&mut self, timing: Option<Timing>, open: bool, future: bool) -> Time {
        if let Some(timing) = timing.filter(|_| future) {
            return timing.after(self.now, self.rng.random_range(0..100));
        }
        // Open runs are recent, as in a workspace where work goes on.
        let at = if open {
            self.now - self.micros(0, 7_200_000_000)
        } else {
            self.past()
        };
        timing.map_or(at, |timing| timing.at_or_before(at))
    }

    /// A scheduled run that has not started.
    fn waiting(
        &mut self,
        store: &mut Store,
        source: &Source,
        id: Id,
        created: Time,
        expected: Time,
    ) -> FlowRun {
        let deployment = source.deployment.as_ref();
        let mut tags = self.tags(2);
        tags.extend(deployment.iter().flat_map(|d| d.tags.iter().cloned()));
        let state = State {
            id: store.ids.ordered(created),
            kind: StateType::Scheduled,
            name: "Scheduled".to_owned(),
            timestamp: created,
            message: Some("Flow run scheduled".to_owned()),
            scheduled_time: Some(expected),
            pause_timeout: None,
        };
        FlowRun {
            id,
            created,
            updated: (created + TimeDelta::microseconds(900)).min(self.now),
            name: names::made_up_name(id),
            flow_id: source.flow_id,
            deployment_id: deployment.map(|d| d.id),
            deployment_version: deployment.and_then(|d| d.version.clone()),
            queue: deployment.and_then(|d| d.queue.clone()),
            flow_version: None,
            parameters: self.parameters(deployment, expected),
            idempotency_key: None,
            retries: self.chance(0.1).then_some((3, 60)),
            tags,
            labels: deployment.map_or_else(Json::object, |d| d.labels.clone()),
            parent_task_run_id: None,
            parent_run: None,
            run_count: 0,
            expected_start_time: expected,
            next_scheduled_start_time: Some(expected),
            start_time: None,
            end_time: None,
            total_run_time: TimeDelta::zero(),
            auto_scheduled: false,
            infrastructure_pid: None,
            created_by: None,
            state,
            job_variables: Some(Json::object()),
        }
    }

    fn parameters(&mut self, deployment: Option<&Deployment>, due: Time) -> Json {
        if let Some(deployment) = deployment.filter(|_| self.rng.random_bool(0.6)) {
            return deployment.parameters.clone();
        }
        if self.chance(0.2) {
            return Json::object();
        }
        Json::from_serialize(&json!({
            "date": due.date_naive().to_string(),
            "batch": self.rng.random_range(1..10_000),
            "filters": { "countries": ["DE", "FR", "日本"], "min": 0.5, "note": null, "deep": [[1, 2], { "x": true }] },
            "text": "naïve — “quoted”, tab\tand newline\n",
        }))
    }

    /// Puts a run into a state and sets its times by the server's rules.
    fn enter(
        &mut self,
        store: &mut Store,
        run: &mut FlowRun,
        kind: StateType,
        name: &str,
        at: Time,
    ) {
        run.next_scheduled_start_time = (kind == StateType::Scheduled).then_some(at);
        run.updated = (at + TimeDelta::microseconds(4_000)).min(self.now);
        run.state = State {
            id: store.ids.ordered(at),
            kind,
            name: name.to_owned(),
            timestamp: at,
            message: None,
            scheduled_time: (kind == StateType::Scheduled).then_some(at),
            pause_timeout: (kind == StateType::Paused).then_some(at + TimeDelta::hours(1)),
        };
    }

    fn begin(&mut self, run: &mut FlowRun) -> Time {
        let start = (run.expected_start_time + self.micros(50_000, 30_000_000)).min(self.now);
        run.start_time = Some(start);
        run.run_count = 1;
        run.infrastructure_pid = self.chance(0.3).then(|| format!("pod-{}", run.id));
        start
    }

    /// Leaves a run open although it is due: pending, late, or started and not ended.
    fn keep_open(&mut self, store: &mut Store, run: &mut FlowRun) {
        let started = matches!(self.rng.random_range(0..10), 0..=5);
        if !started {
            let at = run.expected_start_time.min(self.now);
            if self.chance(0.5) {
                self.enter(store, run, StateType::Pending, "Pending", at);
            } else {
                self.enter(store, run, StateType::Scheduled, "Late", at);
            }
            return;
        }
        let start = self.begin(run);
        let later = (start + self.micros(1_000_000, 600_000_000)).min(self.now);
        match self.rng.random_range(0..8) {
            0 => self.enter(store, run, StateType::Paused, "Paused", later),
            1 => self.enter(store, run, StateType::Cancelling, "Cancelling", later),
            2 => {
                run.run_count = 2;
                self.enter(store, run, StateType::Running, "Retrying", later);
            }
            _ => return self.enter(store, run, StateType::Running, "Running", start),
        }
        run.total_run_time = later - start;
    }

    /// Generates the states and times of a run that ended.
    fn live(&mut self, store: &mut Store, run: &mut FlowRun) {
        if self.chance(0.02) {
            // A run that was cancelled before its start.
            let at = (run.expected_start_time + self.micros(0, 3_600_000_000)).min(self.now);
            if store.settings().capabilities.never_started_gets_times {
                (run.start_time, run.end_time) = (Some(at), Some(at));
            }
            return self.enter(store, run, StateType::Cancelled, "Cancelled", at);
        }
        let start = self.begin(run);
        let length = if self.chance(0.1) {
            self.micros(600_000_000, 7_200_000_000)
        } else {
            self.micros(20_000, 300_000_000)
        };
        let end = (start + length).min(self.now);
        run.end_time = Some(end);
        run.total_run_time = end - start;
        if self.chance(0.08) {
            run.run_count = self.rng.random_range(2..5);
        }
        let (kind, name) = match self.rng.random_range(0..100) {
            0..=79 => (StateType::Completed, "Completed"),
            80..=82 => (StateType::Completed, "Cached"),
            83..=92 => (StateType::Failed, "Failed"),
            93 => (StateType::Failed, "TimedOut"),
            94..=96 => (StateType::Crashed, "Crashed"),
            _ => (StateType::Cancelled, "Cancelled"),
        };
        self.enter(store, run, kind, name, end);
        if kind == StateType::Failed {
            run.state.message = Some(self.some(&names::FAILURES, "failed").to_owned());
        }
        if self.chance(0.01) {
            // A user renamed or tagged the run up to five days after its end.
            run.updated = (end + self.micros(0, 5 * 86_400_000_000)).min(self.now);
            run.name = format!("{} ✓", run.name);
        }
    }

    pub(super) fn become_subflow(&mut self, store: &mut Store, run: &mut FlowRun, parents: &[Id]) {
        if let Some(parent) = parents.choose(&mut self.rng) {
            run.parent_run = Some(*parent);
            run.parent_task_run_id = Some(store.ids.random());
        }
    }
}
