//! Reads runs together with the tables whose rows are parts of runs.
//!
//! One of the tables has the state, and the others share it. If a table is added later, a backfill sends everything to
//! it alone. A table that was not selected for a while has a state of its own: from there it is read alone up to where
//! the others are, and its unread backfill ranges remain its own.

use std::collections::HashSet;

use super::{runs_sync::RunsSync, settings_change::RunSettings, state::RunsState};
use crate::{
    rows::{NestedRows, fingerprint},
    sync::{
        compact_ids,
        strategies::{
            emission::{Change, Emission},
            reader_state::ReaderState,
            request::Response,
            table_sync::{Poll, StartContext, States, TableSync},
        },
    },
    telemetry::WindowKind,
};

/// The number of rows sent to a returning table that are remembered until the end of the sync.
const MOST_CAUGHT_UP: usize = 500_000;

pub(in crate::sync::strategies) struct RunsGroup {
    runs: RunsSync,
    outputs: Vec<GroupTable>,
    /// Tables that are selected again, each with the reader of what it missed. The others wait for them.
    returning: Vec<(RunsSync, GroupTable)>,
}

struct GroupTable {
    name: &'static str,
    /// The parts of runs that are the table's rows; `None` if the runs themselves are.
    parts: Option<NestedRows>,
    /// Fingerprints of runs that this sync has sent to the table alone.
    caught_up: HashSet<u64>,
    /// Packed ids of open runs that appeared and vanished while the table was not selected. The table has no rows of
    /// them to delete.
    never_sent: HashSet<String>,
}

/// The meaning of the saved state for a table.
enum TableProgress {
    /// Nothing was sent to the table.
    New,
    /// The table is read as far as the others.
    Shared,
    /// The table was not selected for a while, and has a state of its own.
    Separate(Box<RunsState>),
}

impl RunsGroup {
    pub(in crate::sync::strategies) fn new(start: &StartContext<'_>) -> Self {
        let source = start.group.source;
        let settings = RunSettings::new(start.settings, source);
        let include_scheduled = start.settings.include_scheduled;
        let saved = start.saved.iter().map(|saved| saved.as_ref());
        let states = saved
            .clone()
            .flatten()
            .filter_map(|(state, _)| match state {
                ReaderState::Runs(state) => Some(&**state),
                _ => None,
            });
        // The state that is read furthest, so that nothing is read again.
        let base = states.max_by_key(|state| state.reached());
        let mut state = base.cloned().unwrap_or_else(RunsState::new);
        state.adapt(&settings);
        let (mut outputs, mut returning, mut refilled) = (Vec::new(), Vec::new(), Vec::new());
        for (selected, saved) in start.group.tables.iter().zip(saved) {
            let output = GroupTable {
                name: selected.table.name,
                parts: NestedRows::new(selected.table, start.context),
                caught_up: HashSet::new(),
                never_sent: HashSet::new(),
            };
            let has_more = saved.is_none_or(|(_, has_more)| *has_more);
            match TableProgress::from_saved(saved.map(|(state, _)| *state), base) {
                TableProgress::Separate(mut own) => {
                    own.adapt(&settings);
                    own.catch_up_with(&state);
                    if has_more {
                        own.refill(Vec::new());
                    }
                    own.keep_backfills_for(&[output.name]);
                    let mut runs = RunsSync::new(source, *own, settings.clone(), include_scheduled);
                    runs.context.is_catching_up = true;
                    returning.push((runs, output));
                }
                progress => {
                    if has_more || matches!(progress, TableProgress::New) {
                        refilled.push(output.name.to_owned());
                    }
                    outputs.push(output);
                }
            }
        }
        let names: Vec<_> = start.group.tables.iter().map(|it| it.table.name).collect();
        state.keep_backfills_for(&names);
        if base.is_some() && !refilled.is_empty() {
            let is_all = refilled.len() == outputs.len() && returning.is_empty();
            // Before the first response there is nothing to keep.
            let is_all = is_all || state.reached().is_none();
            state.refill(if is_all { Vec::new() } else { refilled });
        }
        Self {
            runs: RunsSync::new(source, state, settings, include_scheduled),
            outputs,
            returning,
        }
    }

    /// Returns the reader whose turn it is.
    fn reader(&mut self) -> &mut RunsSync {
        match self.returning.first_mut() {
            Some((runs, _)) => runs,
            None => &mut self.runs,
        }
    }

    /// Joins the first returning table, which is read as far as the others, with them.
    fn join(&mut self) {
        let (runs, mut output) = self.returning.remove(0);
        output.never_sent = self.runs.state().open_unknown_to(runs.state());
        let tickets = self.runs.take_over(output.name, runs);
        match self.returning.first_mut() {
            // No two requests of a sync share a ticket.
            Some((next, _)) => next.tickets = tickets,
            None => self.runs.tickets = tickets,
        }
        let at = if output.parts.is_none() {
            0
        } else {
            self.outputs.len()
        };
        self.outputs.insert(at, output);
    }

    /// Takes a response for the returning table whose turn it is.
    fn accept_alone(&mut self, ticket: usize, response: Response) -> Option<Emission> {
        let (runs, output) = self.returning.first_mut()?;
        let emission = runs.accept(ticket, response);
        let mut changes = Vec::new();
        for change in emission.changes {
            if let Change::Upsert(row) = &change
                && output.caught_up.len() < MOST_CAUGHT_UP
            {
                output.caught_up.insert(fingerprint(row));
            }
            output.add_change(change, &mut changes);
        }
        Some(Emission {
            changes,
            ..emission
        })
    }
}

impl TableProgress {
    fn from_saved(saved: Option<&ReaderState>, base: Option<&RunsState>) -> Self {
        match (saved, base) {
            (Some(ReaderState::HeldBy(_)), Some(_)) => Self::Shared,
            (Some(ReaderState::Runs(state)), Some(base)) => {
                if state.live == base.live && state.sent == base.sent {
                    // The live readers are at the same position, but the backfill may differ.
                    return if state.has_same_backfills(base) {
                        Self::Shared
                    } else {
                        Self::Separate(state.clone())
                    };
                }
                match state.reached() {
                    Some(_) => Self::Separate(state.clone()),
                    None => Self::New,
                }
            }
            _ => Self::New,
        }
    }
}

impl GroupTable {
    /// Adds the table's part of a change of runs to `changes`.
    fn add_change(&self, change: Change, changes: &mut Vec<Change>) {
        match (change, &self.parts) {
            (Change::Upsert(row) | Change::BackfillOnly(row), None) => {
                changes.push(Change::Upsert(row));
            }
            (Change::Upsert(row) | Change::BackfillOnly(row), Some(parts)) => {
                changes.extend(parts.extract(&row).into_iter().map(Change::Upsert));
            }
            (Change::Delete(table, id), None) => changes.push(Change::Delete(table, id)),
            // The parts that a deleted run had are not known.
            (Change::Delete(..), Some(_)) | (Change::Truncate(_), _) => {}
        }
    }
}

impl RunsGroup {
    /// Adds each table's part of a change of runs to `changes`. `filled` marks the tables that the backfill is for.
    fn spread(&self, change: &Change, filled: &[bool], changes: &mut Vec<Change>) {
        for (output, is_filled) in self.outputs.iter().zip(filled) {
            let change = match change {
                Change::BackfillOnly(_) if !is_filled => continue,
                Change::Upsert(row) | Change::BackfillOnly(row) => {
                    let is_sent = !output.caught_up.is_empty()
                        && output.caught_up.contains(&fingerprint(row));
                    if is_sent {
                        continue;
                    }
                    Change::Upsert(row.clone())
                }
                Change::Delete(_, id) if output.never_sent.contains(&compact_ids::id(id)) => {
                    continue;
                }
                Change::Delete(table, id) => Change::Delete(table, id.clone()),
                Change::Truncate(table) => Change::Truncate(table),
            };
            output.add_change(change, changes);
        }
    }
}

impl TableSync for RunsGroup {
    fn next(&mut self, limit: u32) -> Poll {
        while let Some((runs, _)) = self.returning.first_mut() {
            match runs.next(limit) {
                Poll::Done => self.join(),
                next => return next,
            }
        }
        self.runs.next(limit)
    }

    fn accept(&mut self, ticket: usize, response: Response) -> Emission {
        if !self.returning.is_empty() {
            return self.accept_alone(ticket, response).unwrap_or_default();
        }
        // Determined before the response is taken, because the last response ends the backfill.
        let backfill = self.runs.state().backfill.as_ref();
        let filled = self.outputs.iter();
        let filled = filled.map(|output| backfill.is_some_and(|it| it.is_for(output.name)));
        let filled: Vec<bool> = filled.collect();
        let emission = self.runs.accept(ticket, response);
        if let [GroupTable { parts: None, .. }] = self.outputs.as_slice() {
            let changes = emission.changes.into_iter().map(|change| match change {
                Change::BackfillOnly(row) => Change::Upsert(row),
                change => change,
            });
            return Emission {
                changes: changes.collect(),
                ..emission
            };
        }
        let mut changes = Vec::new();
        for change in &emission.changes {
            self.spread(change, &filled, &mut changes);
        }
        Emission {
            changes,
            ..emission
        }
    }

    fn retry(&mut self, ticket: usize) {
        self.reader().retry(ticket);
    }

    fn refused(&mut self, ticket: usize, detail: &str) -> bool {
        self.reader().refused(ticket, detail)
    }

    fn states(&self) -> States {
        let Some((first, others)) = self.outputs.split_first() else {
            return Vec::new();
        };
        let state = |runs: &RunsSync| ReaderState::Runs(Box::new(runs.state().clone()));
        let with = |output: &GroupTable| (output.name, ReaderState::HeldBy(first.name.to_owned()));
        let returning = self.returning.iter();
        std::iter::once((first.name, state(&self.runs)))
            .chain(others.iter().map(with))
            .chain(returning.map(|(runs, output)| (output.name, state(runs))))
            .collect()
    }

    fn window_kind(&self) -> WindowKind {
        match self.returning.first() {
            Some((runs, _)) => runs.window_kind(),
            None => self.runs.window_kind(),
        }
    }

    fn remarks(&self) -> Vec<String> {
        self.runs.context.unreadable_remark().into_iter().collect()
    }
}

impl RunsState {
    /// Returns the time up to which runs are read; `None` before the first response.
    fn reached(&self) -> Option<chrono::DateTime<chrono::Utc>> {
        self.live
            .as_ref()
            .map(super::live_state::LiveState::reached)
    }

    /// Returns the packed ids of runs that are open here and missing in `listed`, whose open sets are new. Empty unless
    /// those sets are complete.
    fn open_unknown_to(&self, listed: &Self) -> HashSet<String> {
        let live = listed.live.as_ref();
        if !live.is_some_and(|live| live.open.knows_all() && live.old_open.knows_all()) {
            return HashSet::new();
        }
        let listed: HashSet<&String> = listed.open_ids().collect();
        let ids = self.open_ids().filter(|id| !listed.contains(id));
        ids.cloned().collect()
    }

    fn has_same_backfills(&self, other: &Self) -> bool {
        (&self.backfill, &self.queue) == (&other.backfill, &other.queue)
    }

    /// Prepares the state to be read from its position up to that of `others`.
    fn catch_up_with(&mut self, others: &Self) {
        let (Some(live), Some(goal)) = (&mut self.live, &others.live) else {
            return;
        };
        let read_by = (others.time_field, others.without_ranges);
        if (self.time_field, self.without_ranges) != read_by {
            (self.time_field, self.without_ranges) = read_by;
            self.refused = others.refused;
            let look_back = live.look_back();
            live.ended.reading = None;
            live.restart_rechecks(live.reached(), look_back);
        } else if live.restarted != goal.restarted {
            live.read_look_back(live.reached());
        }
        for recheck in &mut live.rechecks {
            let goal = goal.rechecks.iter().find(|goal| goal.lag == recheck.lag);
            let until = goal.map(|goal| goal.reading.map_or(goal.cursor, |reading| reading.upper));
            recheck.until = until;
            if until > Some(recheck.cursor) {
                recheck.again = recheck.again.max(until);
            }
        }
    }
}
