//! Runs, and tables whose rows are parts of runs, read together.
//!
//! One of the tables has the state, the others ride with it. A table that is added later has everything
//! sent once more, to it alone; one that is left out for a while is given a copy of the state, to catch up
//! from there.

use super::{
    super::{Answer, Beginning, Change, Next, Reader, ReaderState, States, Step},
    Runs, RunsState,
};
use crate::{rows::Parts, telemetry::Reading};

pub(in crate::sync::strategies) struct Together {
    runs: Runs,
    outputs: Vec<Output>,
}

struct Output {
    name: &'static str,
    /// Its rows are these parts of the runs.
    parts: Option<Parts>,
}

impl Together {
    pub(in crate::sync::strategies) fn new(beginning: &Beginning<'_>) -> Self {
        let tables = &beginning.group.tables;
        let outputs = tables.iter().map(|selected| Output {
            name: selected.table.name,
            parts: Parts::new(selected.table, beginning.context),
        });
        let outputs: Vec<Output> = outputs.collect();
        let states = beginning.saved.iter().flatten();
        let states = states.filter_map(|(state, _)| match state {
            ReaderState::Runs(state) => Some(&**state),
            _ => None,
        });
        // The earliest: what one of the tables has missed is in it.
        let state = states.min_by_key(|state| state.reached());
        let is_new = |saved: &Option<(&ReaderState, bool)>| match saved {
            Some((ReaderState::Runs(_) | ReaderState::With(_), has_more)) => *has_more,
            _ => true,
        };
        let refill = state.and_then(|_| {
            let new = outputs.iter().zip(&beginning.saved);
            let new = new.filter(|(_, saved)| is_new(saved));
            let new: Vec<String> = new.map(|(output, _)| output.name.to_owned()).collect();
            match new.len() {
                0 => None,
                all if all == outputs.len() => Some(Vec::new()),
                _ => Some(new),
            }
        });
        let state = state.map(|state| state.without_filling_others(&outputs));
        let state = state.as_ref();
        Self {
            runs: Runs::new(beginning.group.source, state, refill, beginning.choices),
            outputs,
        }
    }

    /// What a change of the runs means for the tables.
    fn spread(&self, change: Change, filled: &[String], changes: &mut Vec<Change>) {
        let (row, again) = match change {
            Change::Upsert(row) => (row, false),
            Change::Again(row) => (row, true),
            // Nobody knows which parts it had.
            Change::Delete(table, id) => {
                if self.outputs.iter().any(|output| output.name == table.name) {
                    changes.push(Change::Delete(table, id));
                }
                return;
            }
            Change::Truncate(_) => return,
        };
        let outputs = self.outputs.iter();
        let outputs =
            outputs.filter(|output| !again || filled.iter().any(|name| name == output.name));
        for output in outputs {
            match &output.parts {
                None => changes.push(Change::Upsert(row.clone())),
                Some(parts) => changes.extend(parts.of(&row).into_iter().map(Change::Upsert)),
            }
        }
    }
}

impl Reader for Together {
    fn next(&mut self, limit: u32) -> Next {
        self.runs.next(limit)
    }

    fn accept(&mut self, ticket: usize, answer: Answer) -> Step {
        // Before: with its last answer the filling is over.
        let filled = self.runs.state().filled().to_vec();
        let step = self.runs.accept(ticket, answer);
        if let [Output { parts: None, .. }] = self.outputs.as_slice() {
            let changes = step.changes.into_iter().map(|change| match change {
                Change::Again(row) => Change::Upsert(row),
                change => change,
            });
            return Step {
                changes: changes.collect(),
                ..step
            };
        }
        let mut changes = Vec::new();
        for change in step.changes {
            self.spread(change, &filled, &mut changes);
        }
        Step { changes, ..step }
    }

    fn again(&mut self, ticket: usize) {
        self.runs.again(ticket);
    }

    fn refused(&mut self, ticket: usize, detail: &str) -> bool {
        self.runs.refused(ticket, detail)
    }

    fn states(&self) -> States {
        let Some((first, others)) = self.outputs.split_first() else {
            return Vec::new();
        };
        let state = ReaderState::Runs(Box::new(self.runs.state().clone()));
        let with = |output: &Output| (output.name, ReaderState::With(first.name.to_owned()));
        std::iter::once((first.name, state))
            .chain(others.iter().map(with))
            .collect()
    }

    fn reading(&self) -> Reading {
        self.runs.reading()
    }

    fn remarks(&self) -> Vec<String> {
        self.runs.unreadable_remark().into_iter().collect()
    }
}

impl RunsState {
    /// The same without the filling of tables that are not selected any more: they have a copy of it.
    fn without_filling_others(&self, outputs: &[Output]) -> Self {
        let is_read = |name: &String| outputs.iter().any(|output| output.name == name);
        let mut state = self.clone();
        let is_for_nobody = self.fills_some() && !self.filled().iter().any(is_read);
        if is_for_nobody {
            state.backfill = None;
        }
        state
    }

    /// How far the runs that ended are read; nothing before the first answer.
    fn reached(&self) -> Option<chrono::DateTime<chrono::Utc>> {
        self.live.as_ref().map(|live| live.tail.cursor)
    }

    /// The tables that are filled beside the others.
    fn filled(&self) -> &[String] {
        self.backfill
            .as_ref()
            .map_or(&[], |backfill| &backfill.tables)
    }
}
