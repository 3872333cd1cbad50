//! Random changes of a workspace by Prefect's rules, one at a time; this file has those of runs.

use chrono::TimeDelta;
use prefect_fake::{
    Collection, Id, NewRun, NewState, RunEdit,
    model::{FlowRun, Json, StateType, Time},
};
use rand::{Rng, seq::IndexedRandom};
use serde_json::json;

use super::world::World;

const DAY: i64 = 86_400;

impl World {
    pub(super) fn random_change(&mut self) {
        match self.rng.random_range(0..100) {
            0..=2 => self.new_flow(),
            3..=5 => self.tag_flow(),
            6 if self.rng.random_bool(0.4) => self.delete_flow(),
            6..=9 => self.new_deployment(),
            10..=12 => self.edit_deployment(),
            13..=15 => self.edit_schedules(),
            16 => self.pause_deployment(),
            17..=19 => self.poll_deployment(),
            20 => self.delete_deployment(),
            21..=26 => self.schedule_runs(),
            27 | 28 => self.burst(),
            29..=41 => self.create_run(),
            42..=45 => self.short_life(),
            46..=48 => self.never_start(),
            49..=69 => self.progress(),
            70..=73 => self.retry(),
            74..=76 => self.force(),
            77..=85 => self.edit_ended(),
            86..=89 => self.edit_open(),
            90..=92 => self.delete_run(true),
            93 | 94 => self.delete_run(false),
            95 | 96 => self.end_all(),
            _ => self.cancel_waiting(),
        }
    }

    pub(super) fn name(&mut self, what: &str) -> String {
        self.made += 1;
        format!("{what}-{}", self.made)
    }

    pub(super) fn pick_flow(&mut self) -> Option<Id> {
        let ids: Vec<Id> = self.store.flows().map(|flow| flow.id).collect();
        ids.choose(&mut self.rng).copied()
    }

    pub(super) fn pick_deployment(&mut self) -> Option<Id> {
        let ids: Vec<Id> = self.store.deployments().map(|row| row.id).collect();
        ids.choose(&mut self.rng).copied()
    }

    fn pick_run(&mut self, wanted: impl Fn(&FlowRun) -> bool) -> Option<Id> {
        let runs = self.store.runs().filter(|run| wanted(run));
        let ids: Vec<Id> = runs.map(|run| run.id).collect();
        ids.choose(&mut self.rng).copied()
    }

    fn is_full(&self) -> bool {
        self.store.len(Collection::FlowRuns) >= self.nature.runs
    }

    /// Draws a length of time; each order of magnitude is equally likely.
    fn stretch(&mut self, from: TimeDelta, to: TimeDelta) -> TimeDelta {
        #[expect(clippy::cast_precision_loss, reason = "a length of time at random")]
        let (from, to) = (
            (from.num_milliseconds() as f64).ln(),
            (to.num_milliseconds() as f64).ln(),
        );
        #[expect(clippy::cast_possible_truncation, reason = "some years at most")]
        let millis = self.rng.random_range(from..to).exp() as i64;
        TimeDelta::milliseconds(millis)
    }

    /// Creates a run in its first state.
    pub(super) fn add_run(&mut self, deployment: Option<Id>, state: NewState) -> Option<Id> {
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
        new.state = Some(state);
        let (id, _) = self.store.create_run(new).expect("has its flow");
        self.note(Collection::FlowRuns, id, &what);
        Some(id)
    }

    /// Sets the next state of a run.
    pub(super) fn set(&mut self, id: Id, state: NewState) {
        let what = state.name.clone().unwrap_or(state.kind.text().to_owned());
        self.store.set_state(id, state).expect("is there");
        self.note(Collection::FlowRuns, id, &what);
    }

    /// Creates scheduled runs of a deployment, for the next midnights or up to 100 days ahead.
    fn schedule_runs(&mut self) {
        let Some(deployment) = self.pick_deployment() else {
            return;
        };
        let now = self.store.now();
        let midnight = now - TimeDelta::seconds(now.timestamp().rem_euclid(DAY));
        let far = self.rng.random_bool(0.3);
        for day in 1..=self.rng.random_range(1..6) {
            if self.is_full() {
                return;
            }
            let day = if far { day * 20 } else { day };
            // Whole seconds, as in schedules: runs of many deployments share these times.
            let due = chrono::SubsecRound::trunc_subsecs(midnight + TimeDelta::days(day), 0);
            self.add_run(
                Some(deployment),
                NewState::new(StateType::Scheduled).due(due),
            );
        }
    }

    /// Creates runs that are all due at the same time, often more than a page holds.
    fn burst(&mut self) {
        let page = self.nature.page_size.min(self.nature.page_limit).min(30);
        let size = self.rng.random_range(2..=2 * page + 3);
        let due = self.due();
        let kind = *[StateType::Scheduled, StateType::Pending]
            .choose(&mut self.rng)
            .expect("two");
        for _ in 0..size {
            if self.is_full() {
                return;
            }
            self.add_run(None, NewState::new(kind).due(due));
        }
    }

    /// Draws the due time of a run created by hand: soon, far ahead, or long ago.
    fn due(&mut self) -> Time {
        let now = self.store.now();
        let by = self.stretch(TimeDelta::seconds(1), TimeDelta::days(100));
        if self.rng.random_bool(0.8) {
            now + by
        } else {
            now - by.min(TimeDelta::days(20))
        }
    }

    fn create_run(&mut self) {
        if self.is_full() {
            return self.progress();
        }
        let state = match self.rng.random_range(0..5) {
            0 => NewState::new(StateType::Scheduled).due(self.due()),
            1 => NewState::new(StateType::Running),
            2 => NewState::new(StateType::Scheduled),
            _ => NewState::new(StateType::Pending),
        };
        self.add_run(None, state);
    }

    fn short_life(&mut self) {
        if self.is_full() {
            return self.progress();
        }
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
        if self.is_full() {
            return self.cancel_waiting();
        }
        let first = match self.rng.random_range(0..3) {
            0 => NewState::new(StateType::Pending),
            1 => NewState::new(StateType::Scheduled),
            _ => NewState::new(StateType::Scheduled).due(self.due()),
        };
        if let Some(id) = self.add_run(None, first) {
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
            StateType::Cancelled,
        ];
        NewState::new(*kinds.choose(&mut self.rng).expect("some"))
    }

    /// Moves an open run to its next state.
    fn progress(&mut self) {
        let now = self.store.now();
        let due = |run: &FlowRun| run.expected_start_time <= now;
        let Some(id) = self.pick_run(|run| !run.state.kind.is_terminal() && due(run)) else {
            return;
        };
        let next = match self.store.run(id).expect("just picked").state.kind {
            StateType::Scheduled if self.rng.random_bool(0.2) => {
                NewState::new(StateType::Scheduled).named("Late")
            }
            StateType::Scheduled => NewState::new(StateType::Pending),
            StateType::Pending | StateType::Paused => NewState::new(StateType::Running),
            StateType::Running => match self.rng.random_range(0..8) {
                0 => NewState::new(StateType::Paused),
                1 => NewState::new(StateType::Cancelling),
                _ => self.ending(),
            },
            _ => NewState::new(StateType::Cancelled),
        };
        self.set(id, next);
    }

    fn cancel_waiting(&mut self) {
        let waits =
            |run: &FlowRun| matches!(run.state.kind, StateType::Scheduled | StateType::Pending);
        if let Some(id) = self.pick_run(waits) {
            self.set(id, NewState::new(StateType::Cancelled));
        }
    }

    /// Retries an ended run.
    fn retry(&mut self) {
        let Some(id) = self.pick_ended() else { return };
        let states = [
            NewState::new(StateType::Scheduled).named("AwaitingRetry"),
            NewState::new(StateType::Running).named("Retrying"),
        ];
        let state = states.choose(&mut self.rng).expect("two").clone();
        self.set(id, state);
        if self.rng.random_bool(0.4) {
            self.moment();
            self.set(id, NewState::new(StateType::Completed));
        }
    }

    /// Gives an ended run another end.
    fn force(&mut self) {
        if let Some(id) = self.pick_ended() {
            let state = self.ending();
            self.set(id, state);
        }
    }

    /// Picks an ended run of any age.
    fn pick_ended(&mut self) -> Option<Id> {
        let age = self.stretch(TimeDelta::minutes(1), TimeDelta::days(40));
        let wanted = self.store.now() - age;
        let ended = self.store.runs().filter(|run| run.state.kind.is_terminal());
        ended
            .min_by_key(|run| {
                let end = run.end_time.unwrap_or(run.expected_start_time);
                ((end - wanted).abs(), run.id)
            })
            .map(|run| run.id)
    }

    pub(super) fn rename(&mut self, id: Id) {
        let name = self.name("renamed");
        let mut edit = RunEdit::default();
        if self.rng.random_bool(0.5) {
            edit.name = Some(name);
        } else {
            edit.tags = Some(vec![name]);
        }
        self.store.edit_run(id, edit).expect("is there");
        self.note(Collection::FlowRuns, id, "edited");
    }

    fn edit_ended(&mut self) {
        if let Some(id) = self.pick_ended() {
            self.rename(id);
        }
    }

    fn edit_open(&mut self) {
        if let Some(id) = self.pick_run(|run| !run.state.kind.is_terminal()) {
            self.rename(id);
        }
    }

    pub(super) fn delete_run(&mut self, open: bool) {
        if let Some(id) = self.pick_run(|run| run.state.kind.is_terminal() != open) {
            self.store.delete_run(id).expect("is there");
            self.bury("deleted", false);
        }
    }

    /// Ends all running runs at the same time, which can give more than a page of equal `end_time`.
    fn end_all(&mut self) {
        let running = self
            .store
            .runs()
            .filter(|run| run.state.kind == StateType::Running);
        let ids: Vec<Id> = running.map(|run| run.id).collect();
        for id in ids {
            let end = self.ending();
            self.set(id, end);
        }
    }
}
