//! What all readers of runs ask before a row is sent: is it news, and is it open?

use std::collections::HashSet;

use chrono::{DateTime, TimeDelta, Utc};

use super::{state::RunsState, tail::OVERLAP};
use crate::{
    prefect::{Filter, StateFilter},
    rows::{Row, fingerprint},
    sync::{
        pack,
        recent::{MARGIN, changed_since},
        strategies::position,
        value_walk::Tau,
    },
    tables::Table,
};

/// The types of a state after which nothing happens by itself.
pub(super) const TERMINAL: &[&str] = &["COMPLETED", "FAILED", "CANCELLED", "CRASHED"];

/// The others.
pub(super) const OPEN: &[&str] = &["SCHEDULED", "PENDING", "RUNNING", "PAUSED", "CANCELLING"];

/// Open runs whose expected start is older are looked at once a day only: the range bounds the
/// server's scan.
const LONG_OPEN: TimeDelta = TimeDelta::days(7);

/// Returns the expected start that separates the two sets of open runs, in a sync that began at `began`.
pub(super) fn bound(began: DateTime<Utc>) -> DateTime<Utc> {
    began - LONG_OPEN
}

/// Runs in a state of one of these types.
pub(super) fn in_states(types: &'static [&'static str]) -> Filter {
    Filter {
        state: Some(StateFilter::any(types)),
        ..Filter::default()
    }
}

/// An edit this soon after the end is taken for part of the end.
pub(super) const PART_OF_THE_END: TimeDelta = TimeDelta::minutes(1);

/// When a reader takes a row for news. A version that was sent and is remembered never is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    /// Whatever it is.
    Always,
    /// Whatever it is, and remembered: it was read before, and no trail tells of this reading.
    Again,
    /// If it may have changed since it was read at this time.
    Since(DateTime<Utc>),
    /// Unless the live readers have sent it since the backfill `began`; what was open before that, too,
    /// when everything is sent `again`.
    First {
        /// When the backfill began.
        began: DateTime<Utc>,
        /// Everything was read before.
        again: bool,
        /// As [`Self::WithItsFlowRun`]: it is not open any more.
        is_left: bool,
    },
    /// If it was edited after its end: where it is not known when it was read before.
    EditedAfterItsEnd,
    /// Open, but part of a flow run that has ended: as `Since`, and it is not open any more.
    WithItsFlowRun(DateTime<Utc>),
    /// Not at all: another reader sees to it.
    Never,
}

impl Rule {
    /// Returns true for a run that has ended with its flow run, although its state is an open one.
    fn is_of_a_left_run(self) -> bool {
        matches!(
            self,
            Self::WithItsFlowRun(_) | Self::First { is_left: true, .. }
        )
    }

    /// Whether the backfill meets a row that nobody can have sent, and that nobody will meet again soon:
    /// what is remembered is younger.
    fn is_first_of(self, updated: Option<DateTime<Utc>>, ended: Option<DateTime<Utc>>) -> bool {
        let Self::First {
            began,
            again: false,
            ..
        } = self
        else {
            return false;
        };
        let bound = began - OVERLAP - MARGIN;
        updated.is_some_and(|updated| updated < bound) && ended.is_none_or(|ended| ended < bound)
    }
}

/// So many fingerprints are kept while a sync lasts, for its own readers: 8 MB.
const MOST_SENT: usize = 1_000_000;

/// The columns that decide, and the decision.
#[derive(Debug)]
pub(super) struct Desk {
    updated: usize,
    expected_start_time: usize,
    end_time: usize,
    state_type: usize,
    start_time: usize,
    created: usize,
    /// Of task runs: the flow run that they are part of.
    flow_run: Option<usize>,
    /// Runs that are scheduled and have never started are wanted.
    include_scheduled: bool,
    /// Rows of this sync that a later reader of it would take for changed: it does not send them again.
    sent: HashSet<u64>,
}

impl Desk {
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

    /// The time by which a walk reads the row.
    pub(super) fn value(&self, row: &Row, tau: Tau) -> Option<DateTime<Utc>> {
        row.instant(match tau {
            Tau::EndTime => self.end_time,
            Tau::ExpectedStartTime | Tau::Timestamp => self.expected_start_time,
        })
    }

    /// Whether the run may still change by itself. A state of a type that is not known may.
    pub(super) fn is_open(&self, row: &Row) -> bool {
        row.text(self.state_type)
            .is_none_or(|kind| !TERMINAL.contains(&&*kind))
    }

    /// Whether the table's runs are parts of flow runs.
    pub(super) fn are_of_flow_runs(&self) -> bool {
        self.flow_run.is_some()
    }

    /// Whether the run is part of a flow run.
    pub(super) fn is_of_flow_run(&self, row: &Row) -> bool {
        self.flow_run.is_some_and(|at| row.text(at).is_some())
    }

    /// Returns true for a run that may have changed since it was read at this time.
    pub(super) fn may_have_changed_since(&self, row: &Row, read: DateTime<Utc>) -> bool {
        changed_since(read, row.instant(self.updated))
    }

    /// When the run was created.
    pub(super) fn created(&self, row: &Row) -> Option<DateTime<Utc>> {
        row.instant(self.created)
    }

    /// Whether the user wants the run as it is now.
    pub(super) fn is_wanted(&self, row: &Row) -> bool {
        self.include_scheduled
            || row.text(self.state_type).as_deref() != Some("SCHEDULED")
            || row.instant(self.start_time).is_some()
    }

    /// Returns true for a run that the first rung, reading by expected start, has yet to reach.
    fn is_met_by_the_first_rung(&self, row: &Row, state: &RunsState) -> bool {
        let due = self.value(row, Tau::ExpectedStartTime);
        let first = state.live.as_ref().and_then(|live| live.rungs.first());
        first.is_some_and(|rung| due.is_none_or(|due| due > rung.cursor))
    }

    /// Says whether a row is sent to tables that are filled beside the others. Nothing is remembered of it: the
    /// others may not have this version yet.
    pub(super) fn is_for_a_table_alone(&self, row: &Row, rule: Rule, state: &RunsState) -> bool {
        self.is_wanted(row)
            && self.is_news(row, rule, state)
            && !self.sent.contains(&fingerprint(row))
    }

    /// Forgets that a row was sent by this sync: some of the tables have not got it.
    pub(super) fn was_sent_to_some(&mut self, row: &Row) {
        self.sent.remove(&fingerprint(row));
    }

    /// Says whether the row is news by this rule alone.
    fn is_news(&self, row: &Row, rule: Rule, state: &RunsState) -> bool {
        let updated = row.instant(self.updated);
        match rule {
            Rule::Always | Rule::Again => true,
            Rule::Since(read) | Rule::WithItsFlowRun(read) => changed_since(read, updated),
            Rule::First { began, again, .. } => {
                let ended = self.value(row, Tau::EndTime);
                let by_end = state.tau == Tau::EndTime;
                let ended = ended.filter(|ended| by_end && *ended > began);
                let id = pack::id(row.id());
                state.live.as_ref().is_none_or(|live| {
                    ended
                        .and_then(|ended| live.read_after_its_end(ended))
                        .or_else(|| live.looked_at(&id).filter(|_| !again))
                        .is_none_or(|at| changed_since(at, updated))
                })
            }
            Rule::EditedAfterItsEnd => {
                let ended = self.value(row, Tau::EndTime);
                match (updated, ended) {
                    (Some(updated), Some(ended)) => updated > ended + PART_OF_THE_END,
                    _ => false,
                }
            }
            Rule::Never => false,
        }
    }

    /// Whether the row must be sent. Keeps the open set, and remembers what a later reader would take
    /// for changed since `began`, when this one's reading began.
    pub(super) fn offer(
        &mut self,
        row: &Row,
        rule: Rule,
        (began, cycle): (DateTime<Utc>, DateTime<Utc>),
        is_live: bool,
        state: &mut RunsState,
    ) -> bool {
        let id = pack::id(row.id());
        let was_open = state.live.as_ref().is_some_and(|live| live.is_open(&id));
        // One that was sent while scheduled runs were wanted is kept up to date.
        if !self.is_wanted(row) && !was_open {
            return false;
        }
        let updated = row.instant(self.updated);
        let is_open = self.is_open(row);
        let is_news = self.is_news(row, rule, state);
        // The readings since then had no answer for it.
        let unread = state.unread.remove(&id);
        let is_news = is_news || unread.is_some_and(|since| changed_since(since, updated));
        // What was sent as open and has ended since is news to whoever meets it.
        let is_news = is_news || (was_open && !is_open);
        // Only what was sent belongs to the open set: it is what later readings compare with.
        let is_known = is_news || was_open || matches!(rule, Rule::Since(_));
        // An open run that is not known was never sent, or was deleted and is back as it was.
        let mut is_unknown = false;
        if let Some(live) = &mut state.live {
            if let Some(outside) = live.outside.as_mut().filter(|_| !is_open) {
                outside.ids.remove(&id);
            }
            if was_open && (!is_open || rule.is_of_a_left_run()) {
                live.close(&id);
            } else if is_open && !was_open && !rule.is_of_a_left_run() {
                // A run that grows old in the open set is moved by the daily reading alone.
                let due = self.value(row, Tau::ExpectedStartTime);
                let is_old = due.is_some_and(|due| due < bound(cycle));
                let set = if is_old {
                    &mut live.long_open
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
        let ended = self.value(row, Tau::EndTime);
        let lacks_its_end = ended.is_none() && !is_open;
        if rule.is_first_of(updated, ended)
            && !(lacks_its_end && self.is_met_by_the_first_rung(row, state))
        {
            return true;
        }
        let hash = fingerprint(row);
        let is_remembered = state.recent.contains(hash) || self.sent.contains(&hash);
        let was_sent = is_remembered && !is_unknown;
        // What ended just before is read by the next tail, too, and what has no end by the next complete listing.
        let is_read_again = match ended {
            Some(ended) => ended >= began - OVERLAP,
            None => lacks_its_end || rule.is_of_a_left_run(),
        };
        if rule == Rule::Again || is_read_again {
            state.recent.insert(hash);
        } else {
            state.recent.remember(began, updated, hash);
        }
        // What an earlier sync sent, this one has not: a table that is filled may not have it.
        let is_of_this_sync = is_live || matches!(rule, Rule::First { .. });
        if !was_sent && is_of_this_sync && self.sent.len() < MOST_SENT {
            self.sent.insert(hash);
        }
        !was_sent
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        rows::{Context, PageReader},
        sync::strategies::runs::state::Live,
        tables,
    };

    /// Open runs, updated `ago` before `at`.
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
        state.live = Some(Live::from(began, TimeDelta::days(30)));
        let mut desk = Desk::new(table, true);
        let rows = open_runs(table, 30_000, began - TimeDelta::seconds(30));
        let mut sent = |rule, is_live| {
            let mut offer = |row| desk.offer(row, rule, (began, began), is_live, &mut state);
            rows.iter().filter(|row| offer(row)).count()
        };
        let first = Rule::First {
            began,
            again: false,
            is_left: false,
        };
        assert_eq!(sent(first, false), 30_000, "by the backfill");
        assert_eq!(sent(Rule::Since(began), true), 0, "by the open set");
    }
}
