//! What all readers of runs ask before a row is sent: is it news, and is it open?

use chrono::{DateTime, TimeDelta, Utc};

use super::{state::RunsState, tail::OVERLAP};
use crate::{
    prefect::{Filter, StateFilter},
    rows::{Row, fingerprint},
    sync::{
        pack,
        recent::{MARGIN, Recent, changed_since},
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
pub(super) const LONG_OPEN: TimeDelta = TimeDelta::days(7);

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
    },
    /// If it was edited after its end: where it is not known when it was read before.
    EditedAfterItsEnd,
    /// Not at all: another reader sees to it.
    Never,
}

impl Rule {
    /// Whether the backfill meets a row that nobody can have sent, and that nobody will meet again soon:
    /// what is remembered is younger.
    fn is_first_of(self, updated: Option<DateTime<Utc>>, ended: Option<DateTime<Utc>>) -> bool {
        let Self::First {
            began,
            again: false,
        } = self
        else {
            return false;
        };
        let bound = began - OVERLAP - MARGIN;
        updated.is_some_and(|updated| updated < bound) && ended.is_none_or(|ended| ended < bound)
    }
}

/// The columns that decide, and the decision.
#[derive(Debug)]
pub(super) struct Desk {
    updated: usize,
    expected_start_time: usize,
    end_time: usize,
    state_type: usize,
    start_time: usize,
    /// Runs that are scheduled and have never started are wanted.
    include_scheduled: bool,
    /// What the live readers of this sync sent: none of the others sends it, too.
    sent: Recent,
}

impl Desk {
    pub(super) fn new(table: &'static Table, include_scheduled: bool) -> Self {
        Self {
            updated: position(table, "updated"),
            expected_start_time: position(table, "expected_start_time"),
            end_time: position(table, "end_time"),
            state_type: position(table, "state_type"),
            start_time: position(table, "start_time"),
            include_scheduled,
            sent: Recent::default(),
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

    /// Whether the user wants the run as it is now.
    fn is_wanted(&self, row: &Row) -> bool {
        self.include_scheduled
            || row.text(self.state_type).as_deref() != Some("SCHEDULED")
            || row.instant(self.start_time).is_some()
    }

    /// Whether a row is sent to a table that is filled by itself. Nothing is remembered of it: the other
    /// tables may not have this version yet.
    pub(super) fn is_for_a_table_alone(&self, row: &Row) -> bool {
        self.is_wanted(row) && !self.sent.contains(fingerprint(row))
    }

    /// Whether the row must be sent. Keeps the open set, and remembers what a later reader would take
    /// for changed since `began`, when this one's reading began.
    pub(super) fn offer(
        &mut self,
        row: &Row,
        rule: Rule,
        (began, now): (DateTime<Utc>, DateTime<Utc>),
        is_live: bool,
        state: &mut RunsState,
    ) -> bool {
        if !self.is_wanted(row) {
            return false;
        }
        let updated = row.instant(self.updated);
        let is_open = self.is_open(row);
        let id = pack::id(row.id());
        let was_open = state.live.as_ref().is_some_and(|live| live.is_open(&id));
        let is_news = match rule {
            Rule::Always | Rule::Again => true,
            Rule::Since(read) => changed_since(read, updated),
            Rule::First { began, again } => {
                let ended = self.value(row, Tau::EndTime);
                let by_end = state.tau == Tau::EndTime;
                let ended = ended.filter(|ended| by_end && *ended > began);
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
        };
        // What was sent as open and has ended since is news to whoever meets it.
        let is_news = is_news || (was_open && !is_open);
        // Only what was sent belongs to the open set: it is what later readings compare with.
        let is_known = is_news || was_open || matches!(rule, Rule::Since(_));
        if let Some(live) = &mut state.live {
            // A run that grows old in the open set is moved by the daily reading alone.
            if is_open && is_known && !was_open {
                let due = self.value(row, Tau::ExpectedStartTime);
                if due.is_some_and(|due| due < now - LONG_OPEN) {
                    live.long_open.insert(id);
                } else {
                    live.open.insert(id);
                }
            } else if was_open && !is_open {
                live.close(&id);
            }
        }
        if !is_news {
            return false;
        }
        let ended = self.value(row, Tau::EndTime);
        if rule.is_first_of(updated, ended) {
            return true;
        }
        let hash = fingerprint(row);
        let was_sent = state.recent.contains(hash) || self.sent.contains(hash);
        // What ended just before is read by the next tail, too.
        if rule == Rule::Again || ended.is_some_and(|ended| ended >= began - OVERLAP) {
            state.recent.insert(hash);
        } else {
            state.recent.remember(began, updated, hash);
        }
        if is_live {
            self.sent.insert(hash);
        }
        !was_sent
    }
}
