//! The effects of a new state on a flow run or a task run.

use chrono::TimeDelta;

use super::{
    changes::NewState,
    id::Id,
    model::{FlowRun, State, StateType, Time},
    store::Store,
    tasks::TaskRun,
};

/// The fields of a run that change with its state.
pub(super) struct RunLifecycle<'a> {
    run: Id,
    state: &'a mut State,
    run_count: &'a mut u32,
    next_scheduled: &'a mut Option<Time>,
    start: &'a mut Option<Time>,
    end: &'a mut Option<Time>,
    total: &'a mut TimeDelta,
}

impl FlowRun {
    pub(super) fn lifecycle(&mut self) -> RunLifecycle<'_> {
        RunLifecycle {
            run: self.id,
            state: &mut self.state,
            run_count: &mut self.run_count,
            next_scheduled: &mut self.next_scheduled_start_time,
            start: &mut self.start_time,
            end: &mut self.end_time,
            total: &mut self.total_run_time,
        }
    }

    /// Returns the time spent running, including the current state, so the value grows while the run is running.
    pub fn estimated_run_time(&self, now: Time) -> TimeDelta {
        running(&self.state, self.total_run_time, now)
    }

    /// Returns the delay of the start; for a run that has not started, the delay so far.
    pub fn estimated_start_time_delta(&self, now: Time) -> TimeDelta {
        late(&self.state, self.start_time, self.expected_start_time, now)
    }
}

impl TaskRun {
    pub(super) fn lifecycle(&mut self) -> RunLifecycle<'_> {
        RunLifecycle {
            run: self.id,
            state: &mut self.state,
            run_count: &mut self.run_count,
            next_scheduled: &mut self.next_scheduled_start_time,
            start: &mut self.start_time,
            end: &mut self.end_time,
            total: &mut self.total_run_time,
        }
    }

    /// Returns the time spent running, including the current state, so the value grows while the run is running.
    pub fn estimated_run_time(&self, now: Time) -> TimeDelta {
        running(&self.state, self.total_run_time, now)
    }

    /// Returns the delay of the start; for a run that has not started, the delay so far.
    pub fn estimated_start_time_delta(&self, now: Time) -> TimeDelta {
        late(&self.state, self.start_time, self.expected_start_time, now)
    }
}

fn running(state: &State, total: TimeDelta, now: Time) -> TimeDelta {
    match state.kind {
        StateType::Running => total + (now - state.timestamp).max(TimeDelta::zero()),
        _ => total,
    }
}

fn late(state: &State, start: Option<Time>, expected: Time, now: Time) -> TimeDelta {
    let late = match start {
        Some(start) => start - expected,
        None if state.kind.is_terminal() => TimeDelta::zero(),
        None => now - expected,
    };
    late.max(TimeDelta::zero())
}

/// A placeholder for a run without a state. Its id is the id of the run.
pub(super) fn unborn(run: Id, now: Time) -> State {
    State {
        id: run,
        kind: StateType::Pending,
        name: String::new(),
        timestamp: now,
        message: None,
        scheduled_time: None,
        pause_timeout: None,
    }
}

impl Store {
    /// Sets a run's next state and the fields that depend on it. The caller sets `updated`.
    pub(super) fn enter(&mut self, life: &mut RunLifecycle<'_>, new: NewState) {
        let now = self.now();
        let next = State {
            id: self.ids.ordered(now),
            kind: new.kind,
            name: new
                .name
                .unwrap_or_else(|| new.kind.default_name().to_owned()),
            timestamp: now,
            message: new.message,
            scheduled_time: (new.kind == StateType::Scheduled)
                .then(|| new.scheduled_time.unwrap_or(now)),
            pause_timeout: None,
        };
        let before = life.state.kind;
        if before == StateType::Running {
            *life.total += now - life.state.timestamp;
        }
        if next.kind == StateType::Running {
            *life.run_count += 1;
            *life.start = life.start.or(Some(now));
        }
        if next.kind.is_terminal() {
            if !before.is_terminal() {
                if self.settings().capabilities.never_started_gets_times {
                    *life.start = life.start.or(Some(now));
                }
                *life.end = life.start.map(|_| now);
            }
        } else {
            *life.end = None;
        }
        *life.next_scheduled = next.scheduled_time;
        let last = std::mem::replace(life.state, next);
        if last.id != life.run {
            self.left.entry(life.run).or_default().push(last);
        }
    }
}
