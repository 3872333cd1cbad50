//! The tasks of a sync of runs, and the order in which they are planned.
//!
//! ```text
//!  live tasks:  EndedRuns > OpenRuns > OldOpenRuns > WithoutEndTime > OutsideFilter > LookBack > Recheck(0) > … > Unreadable
//!                   ^                                                                                          |
//!                   |  a backfill has run for ten minutes, or has just ended for the first time                v
//!                   +---------------------------------------------------------------------------------- Backfill > end
//! ```

use std::collections::BTreeSet;

use super::state::{RunsState, ServerKind};

/// A task of a sync. The order of the variants is the order of planning.
///
/// Tasks are not saved. The next sync plans all of them again, and the state decides what each of them reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Task {
    /// Reads the runs that ended since the cursor. It begins a turn of the live tasks.
    EndedRuns,
    /// Lists open runs that were to start within the last week or later; without support for ranges, all open runs.
    OpenRuns,
    /// Lists open runs that were to start more than a week ago. Skipped unless a day has passed, a rewind requires it,
    /// or a backfill of task runs has just ended.
    OldOpenRuns,
    /// Lists runs without an end time. It follows the open runs, so that a run that had just ended, and was not listed
    /// there, is found.
    WithoutEndTime,
    /// Looks up open runs that the user's filter excludes. Skipped unless the filter changed or a day has passed.
    OutsideFilter,
    /// Reads the look-back. Skipped unless the state plans it, as after a restart of the rechecks.
    LookBack,
    /// Reads a window of the recheck of this index. Planned again until nothing is due, because a recheck may have
    /// several windows.
    Recheck(usize),
    /// Requests the gaps: objects that could not be read before.
    Unreadable,
    /// Continues the backfill under way, or begins the next queued one.
    Backfill,
}

/// The tasks that are planned, in a turn of the live tasks.
#[derive(Debug, Default)]
pub(super) struct TaskProgress {
    /// The tasks of this turn that were planned: they are finished, skipped or under way.
    planned: BTreeSet<Task>,
    /// True if the live tasks are part of the turn. They are not while a first sync has read nothing.
    is_live: bool,
    /// The task that was planned last.
    last: Option<Task>,
}

impl TaskProgress {
    /// Begins a sync from `state`.
    pub(super) fn new(state: &RunsState) -> Self {
        Self {
            is_live: state.live.is_some(),
            ..Self::default()
        }
    }

    /// Begins a turn of the live tasks. The backfill follows it.
    pub(super) fn begin_live_turn(&mut self) {
        self.planned.clear();
        self.is_live = true;
    }

    /// Marks a task as planned.
    pub(super) fn plan(&mut self, task: Task) {
        self.planned.insert(task);
        self.last = Some(task);
    }

    /// Plans a task again: it has more to read, or must read in another way.
    pub(super) fn plan_again(&mut self, task: Task) {
        self.planned.remove(&task);
    }

    /// Returns true if the task that was planned last is a live one.
    pub(super) fn is_live_task(&self) -> bool {
        self.last.is_some_and(|last| last != Task::Backfill)
    }

    /// Returns the next task of the turn; `None` at its end.
    pub(super) fn next_task(&self, state: &RunsState) -> Option<Task> {
        let live = live_tasks(state).filter(|_| self.is_live);
        live.chain([Task::Backfill])
            .find(|task| !self.planned.contains(task))
    }
}

/// Returns the live tasks that the server supports, in their order. A server without ranges lists all open runs at
/// once, and cannot read windows.
fn live_tasks(state: &RunsState) -> impl Iterator<Item = Task> {
    let rechecks = state.live.as_ref().map_or(0, |live| live.rechecks.len());
    let by_range = state.server() != ServerKind::WithoutRanges;
    let always = [
        Task::EndedRuns,
        Task::OpenRuns,
        Task::WithoutEndTime,
        Task::OutsideFilter,
        Task::Unreadable,
    ];
    let windows = [Task::OldOpenRuns, Task::LookBack].into_iter();
    let windows = windows.chain((0..rechecks).map(Task::Recheck));
    let tasks: BTreeSet<Task> = always
        .into_iter()
        .chain(windows.filter(|_| by_range))
        .collect();
    tasks.into_iter()
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta};

    use super::{super::live_state::LiveState, *};

    fn state() -> RunsState {
        RunsState {
            live: Some(LiveState::from(
                DateTime::UNIX_EPOCH,
                TimeDelta::minutes(60),
            )),
            ..RunsState::new()
        }
    }

    fn tasks(progress: &mut TaskProgress, state: &RunsState) -> Vec<Task> {
        let mut tasks = Vec::new();
        while let Some(task) = progress.next_task(state) {
            progress.plan(task);
            tasks.push(task);
        }
        tasks
    }

    #[test]
    fn a_sync_plans_each_task_once_and_the_backfill_last() {
        let state = state();
        let mut progress = TaskProgress::new(&state);
        let turn = [
            Task::EndedRuns,
            Task::OpenRuns,
            Task::OldOpenRuns,
            Task::WithoutEndTime,
            Task::OutsideFilter,
            Task::LookBack,
            Task::Recheck(0),
            Task::Recheck(1),
            Task::Unreadable,
            Task::Backfill,
        ];
        assert_eq!(tasks(&mut progress, &state), turn);
        assert!(!progress.is_live_task());
        progress.plan_again(Task::Recheck(1));
        assert_eq!(tasks(&mut progress, &state), [Task::Recheck(1)]);
        assert!(progress.is_live_task());
        progress.begin_live_turn();
        assert_eq!(tasks(&mut progress, &state), turn);
    }

    #[test]
    fn a_first_sync_begins_with_the_backfill() {
        let mut state = RunsState::new();
        let mut progress = TaskProgress::new(&state);
        assert_eq!(tasks(&mut progress, &state), [Task::Backfill]);
        state.live = self::state().live;
        assert_eq!(progress.next_task(&state), None);
        progress.begin_live_turn();
        assert_eq!(progress.next_task(&state), Some(Task::EndedRuns));
    }

    #[test]
    fn a_server_without_ranges_has_no_windows() {
        let state = RunsState {
            without_ranges: true,
            ..state()
        };
        let mut progress = TaskProgress::new(&state);
        let turn = [
            Task::EndedRuns,
            Task::OpenRuns,
            Task::WithoutEndTime,
            Task::OutsideFilter,
            Task::Unreadable,
            Task::Backfill,
        ];
        assert_eq!(tasks(&mut progress, &state), turn);
    }
}
