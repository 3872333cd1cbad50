//! The change filter of all readers of runs: decides which rows are sent, and keeps the open set.

use std::collections::HashSet;

use chrono::{DateTime, Utc};

use super::{
    state::RunsState,
    timing::{END_SETTLING_TIME, ENDED_OVERLAP, old_run_bound},
};
use crate::{
    rows::{Row, fingerprint},
    sync::{
        compact_ids,
        keyset::TimeField,
        sent_fingerprints::{CLOCK_SKEW_MARGIN, changed_since},
        strategies::{listing::position, run_states::TERMINAL},
    },
    tables::Table,
};

/// The condition under which a reader sends a row. A version that was sent and is remembered is not sent again, unless
/// the run is open and missing from a complete open set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SendIf {
    /// Sends every row.
    Always,
    /// Sends every row and remembers it: the row was read before, and no read log records the present reading.
    AlwaysAndRemember,
    /// Sends the row if it may have changed since it was read at this time.
    ChangedSince(DateTime<Utc>),
    /// Sends the row unless the live readers have sent it since the backfill `began`. Runs of the open set are sent,
    /// too, if everything is sent `again`.
    FirstSightInBackfill {
        /// The time at which the backfill began.
        began: DateTime<Utc>,
        /// Set if everything was read before.
        again: bool,
        /// Set if the run counts as ended, as with [`Self::EndedWithFlowRun`].
        is_left: bool,
    },
    /// Sends the row if it was edited after its end. Used if the time of its last reading is unknown.
    UpdatedAfterEnd,
    /// As `Since`, for a run in an open state whose flow run has ended. The run counts as ended.
    EndedWithFlowRun(DateTime<Utc>),
    /// Does not send the row: another reader handles it.
    Never,
}

impl SendIf {
    /// Returns true for a run that has ended with its flow run, although its state is open.
    fn ended_with_flow_run(self) -> bool {
        matches!(
            self,
            Self::EndedWithFlowRun(_) | Self::FirstSightInBackfill { is_left: true, .. }
        )
    }

    /// Returns true if the backfill reads a row that no reader has sent before or will soon read again. Remembered rows
    /// are newer.
    fn is_sent_by_backfill_alone(
        self,
        updated: Option<DateTime<Utc>>,
        ended: Option<DateTime<Utc>>,
    ) -> bool {
        let Self::FirstSightInBackfill {
            began,
            again: false,
            ..
        } = self
        else {
            return false;
        };
        let bound = began - ENDED_OVERLAP - CLOCK_SKEW_MARGIN;
        updated.is_some_and(|updated| updated < bound) && ended.is_none_or(|ended| ended < bound)
    }
}

/// The number of fingerprints that a sync keeps for its own readers while it lasts: 8 MB.
const MAX_SENT_FINGERPRINTS: usize = 1_000_000;

/// The change filter: the columns by which it decides, and the rows that this sync has sent.
#[derive(Debug)]
pub(super) struct ChangeFilter {
    updated: usize,
    expected_start_time: usize,
    end_time: usize,
    state_type: usize,
    start_time: usize,
    created: usize,
    /// The column of a task run that names its flow run; `None` for flow runs.
    flow_run: Option<usize>,
    /// Set if scheduled runs that have never started are sent.
    include_scheduled: bool,
    /// Fingerprints of the rows that this sync has sent. Its later readers would take them for changed, and do not send
    /// them again.
    sent: HashSet<u64>,
}

impl ChangeFilter {
    pub(super) fn new(table: &'static Table, include_scheduled: bool) -> Self {
        Self {
            updated: position(table, "updated"),
            expected_start_time: position(table, "expected_start_time"),
            end_time: position(table, "end_time"),
            state_type: position(table, "state_type"),
            start_time: position(table, "start_time"),
            created: position(table, "created"),
            flow_run: table.position("flow_run_id"),
            include_scheduled,
            sent: HashSet::new(),
        }
    }

    /// Returns the time of the row by which a reader reads it.
    pub(super) fn value(&self, row: &Row, time_field: TimeField) -> Option<DateTime<Utc>> {
        row.instant(match time_field {
            TimeField::EndTime => self.end_time,
            TimeField::ExpectedStartTime | TimeField::Timestamp => self.expected_start_time,
        })
    }

    /// Returns true if the run's state is not terminal. A state of an unknown type counts as open.
    pub(super) fn is_open(&self, row: &Row) -> bool {
        row.text(self.state_type)
            .is_none_or(|kind| !TERMINAL.contains(&&*kind))
    }

    /// Returns true if the table's runs are parts of flow runs.
    pub(super) fn are_task_runs(&self) -> bool {
        self.flow_run.is_some()
    }

    /// Returns true if the run is part of a flow run.
    pub(super) fn belongs_to_flow_run(&self, row: &Row) -> bool {
        self.flow_run.is_some_and(|at| row.text(at).is_some())
    }

    /// Returns true for a run that may have changed since it was read at this time.
    pub(super) fn may_have_changed_since(&self, row: &Row, read: DateTime<Utc>) -> bool {
        changed_since(read, row.instant(self.updated))
    }

    /// Returns the time at which the run was created.
    pub(super) fn created(&self, row: &Row) -> Option<DateTime<Utc>> {
        row.instant(self.created)
    }

    /// Returns true if the user's settings include the run in its present state.
    pub(super) fn is_wanted(&self, row: &Row) -> bool {
        self.include_scheduled
            || row.text(self.state_type).as_deref() != Some("SCHEDULED")
            || row.instant(self.start_time).is_some()
    }

    /// Returns true for a run that the first recheck, reading by expected start, has not reached yet.
    fn is_ahead_of_first_recheck(&self, row: &Row, state: &RunsState) -> bool {
        let due = self.value(row, TimeField::ExpectedStartTime);
        let first = state.live.as_ref().and_then(|live| live.rechecks.first());
        first.is_some_and(|recheck| due.is_none_or(|due| due > recheck.cursor))
    }

    /// Returns true if a row is sent to tables that have a backfill of their own. The row is not remembered, because
    /// the other tables may not have this version yet.
    pub(super) fn is_wanted_by_backfill_target(
        &self,
        row: &Row,
        rule: SendIf,
        state: &RunsState,
    ) -> bool {
        self.is_wanted(row)
            && self.is_new_or_changed(row, rule, state)
            && !self.sent.contains(&fingerprint(row))
    }

    /// Forgets that this sync sent a row, because some of the tables did not get the row.
    pub(super) fn forget_sent(&mut self, row: &Row) {
        self.sent.remove(&fingerprint(row));
    }

    /// Returns true if the row must be sent by this rule alone.
    fn is_new_or_changed(&self, row: &Row, rule: SendIf, state: &RunsState) -> bool {
        let updated = row.instant(self.updated);
        match rule {
            SendIf::Always | SendIf::AlwaysAndRemember => true,
            SendIf::ChangedSince(read) | SendIf::EndedWithFlowRun(read) => {
                changed_since(read, updated)
            }
            SendIf::FirstSightInBackfill { began, again, .. } => {
                let ended = self.value(row, TimeField::EndTime);
                let by_end = state.time_field == TimeField::EndTime;
                let ended = ended.filter(|ended| by_end && *ended > began);
                let id = compact_ids::id(row.id());
                state.live.as_ref().is_none_or(|live| {
                    ended
                        .and_then(|ended| live.read_after_its_end(ended))
                        .or_else(|| live.looked_at(&id).filter(|_| !again))
                        .is_none_or(|at| changed_since(at, updated))
                })
            }
            SendIf::UpdatedAfterEnd => {
                let ended = self.value(row, TimeField::EndTime);
                match (updated, ended) {
                    (Some(updated), Some(ended)) => updated > ended + END_SETTLING_TIME,
                    _ => false,
                }
            }
            SendIf::Never => false,
        }
    }

    /// Returns true if the row must be sent. Updates the open set, and remembers rows that a later reader would take
    /// for changed since `began`, the time at which the present reading began.
    pub(super) fn must_send(
        &mut self,
        row: &Row,
        rule: SendIf,
        (began, turn): (DateTime<Utc>, DateTime<Utc>),
        is_live: bool,
        state: &mut RunsState,
    ) -> bool {
        let id = compact_ids::id(row.id());
        let was_open = state.live.as_ref().is_some_and(|live| live.is_open(&id));
        // A scheduled run that was sent while such runs were wanted is kept up to date.
        if !self.is_wanted(row) && !was_open {
            return false;
        }
        let updated = row.instant(self.updated);
        let is_open = self.is_open(row);
        let is_news = self.is_new_or_changed(row, rule, state);
        // The run could not be read since then.
        let unread = state.unread.remove(&id);
        let is_news = is_news || unread.is_some_and(|since| changed_since(since, updated));
        // A run that was sent as open and has ended since is sent by the first reader that reads it.
        let is_news = is_news || (was_open && !is_open);
        // Only runs that were sent belong to the open set, because later readings compare with it.
        let is_known = is_news || was_open || matches!(rule, SendIf::ChangedSince(_));
        // An open run that a complete set does not hold was never sent, or was deleted and restored unchanged.
        let mut is_unknown = false;
        if let Some(live) = &mut state.live {
            if let Some(outside) = live.outside.as_mut().filter(|_| !is_open) {
                outside.ids.remove(&id);
            }
            if was_open && (!is_open || rule.ended_with_flow_run()) {
                live.close(&id);
            } else if is_open && !was_open && !rule.ended_with_flow_run() {
                // Only the daily listing moves a run from the open set to that of the long open runs.
                let due = self.value(row, TimeField::ExpectedStartTime);
                let is_old = due.is_some_and(|due| due < old_run_bound(turn));
                let set = if is_old {
                    &mut live.old_open
                } else {
                    &mut live.open
                };
                is_unknown = set.knows_all();
                if is_known {
                    set.insert(id);
                }
            }
        }
        if !is_news {
            return false;
        }
        let ended = self.value(row, TimeField::EndTime);
        let lacks_its_end = ended.is_none() && !is_open;
        if rule.is_sent_by_backfill_alone(updated, ended)
            && !(lacks_its_end && self.is_ahead_of_first_recheck(row, state))
        {
            return true;
        }
        let hash = fingerprint(row);
        let is_remembered = state.sent.contains(hash) || self.sent.contains(&hash);
        let was_sent = is_remembered && !is_unknown;
        // The next reading of ended runs reads those that ended just before again, and the next complete listing those
        // without an end.
        let is_read_again = match ended {
            Some(ended) => ended >= began - ENDED_OVERLAP,
            None => lacks_its_end || rule.ended_with_flow_run(),
        };
        if rule == SendIf::AlwaysAndRemember || is_read_again {
            state.sent.insert(hash);
        } else {
            state.sent.insert_if_within_margin(began, updated, hash);
        }
        // A row that an earlier sync sent is not in `sent`: a table with a backfill of its own may not have it.
        let is_of_this_sync = is_live || matches!(rule, SendIf::FirstSightInBackfill { .. });
        if !was_sent && is_of_this_sync && self.sent.len() < MAX_SENT_FINGERPRINTS {
            self.sent.insert(hash);
        }
        !was_sent
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::{
        rows::{Context, PageReader},
        sync::strategies::runs::live_state::LiveState,
        tables,
    };

    /// Returns open runs that were updated at `updated`.
    fn open_runs(table: &'static Table, number: usize, updated: DateTime<Utc>) -> Vec<Row> {
        let object = |id: usize| {
            format!(
                r#"{{"id":"00000000-0000-0000-0000-{id:012}","updated":"{0}","expected_start_time":"{0}","state_type":"SCHEDULED"}}"#,
                updated.to_rfc3339()
            )
        };
        let objects: Vec<String> = (0..number).map(object).collect();
        let text = format!("[{}]", objects.join(","));
        let page = PageReader::new(table, &Context::default()).read(text);
        page.expect("an array").rows
    }

    #[test]
    fn open_runs_beyond_those_that_the_state_remembers_are_sent_once() {
        let table = tables::find("flow_runs").expect("a table");
        let began = DateTime::UNIX_EPOCH + TimeDelta::days(20_000);
        let mut state = RunsState::new();
        state.live = Some(LiveState::from(began, TimeDelta::days(30)));
        let mut changes = ChangeFilter::new(table, true);
        let rows = open_runs(table, 30_000, began - TimeDelta::seconds(30));
        let mut sent = |rule, is_live| {
            let mut offer = |row| changes.must_send(row, rule, (began, began), is_live, &mut state);
            rows.iter().filter(|row| offer(row)).count()
        };
        let first = SendIf::FirstSightInBackfill {
            began,
            again: false,
            is_left: false,
        };
        assert_eq!(sent(first, false), 30_000, "sent by the backfill");
        assert_eq!(
            sent(SendIf::ChangedSince(began), true),
            0,
            "sent by the open set"
        );
    }
}
