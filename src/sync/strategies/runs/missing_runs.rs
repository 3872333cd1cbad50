//! The reader of missing runs: looks up by id the runs that were open and that no listing of this sync has.
//!
//! A run that still exists has ended, and is sent. One that does not is deleted, unless the last sync was so long ago
//! that it may have ended and aged out.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use super::{
    change_filter::SendIf,
    context::RunsContext,
    open_set::AgeClass,
    reader::{Next, Reader},
    timing::DELETE_WITHIN,
};
use crate::{
    messages,
    rows::Row,
    sync::{
        NoProgress, compact_ids,
        keyset::TimeField,
        strategies::{
            emission::{Change, Emission},
            get_by_id::GetById,
            request::{FetchedPage, Request},
        },
        window_kind,
    },
    telemetry::WindowKind,
};

struct MissingRuns {
    age: AgeClass,
    /// The runs that are left to look up; `None` after the last response.
    by_id: Option<GetById>,
    /// The time at which the listing began.
    began: DateTime<Utc>,
}

/// Returns the look-up of the runs of an open set that are not `listed`. With it the listing that began at `began` is
/// complete.
pub(super) fn look_up_missing(
    runs: &mut RunsContext,
    age: AgeClass,
    listed: &BTreeSet<String>,
    began: DateTime<Utc>,
) -> Next {
    let missing = runs.missing(age, listed);
    look_up_ids(runs, age, missing, began)
}

/// Returns the look-up of open runs that this sync's listings did not have, one set at a time.
pub(super) fn look_up_next_set(runs: &mut RunsContext, began: DateTime<Utc>) -> Next {
    let Some(age) = runs.listed.next_to_look_up() else {
        return Next::Finished;
    };
    let listed = runs.listed.set(age);
    let missing = listed.map(|listed| runs.missing(age, listed));
    look_up_ids(runs, age, missing.unwrap_or_default(), began)
}

fn look_up_ids(
    runs: &mut RunsContext,
    age: AgeClass,
    ids: Vec<String>,
    began: DateTime<Utc>,
) -> Next {
    match GetById::new(ids) {
        Some(by_id) => Next::Reader(Box::new(MissingRuns {
            age,
            by_id: Some(by_id),
            began,
        })),
        None => end_look_up(runs, age, began),
    }
}

/// Marks an open set as completely read, and continues with the other set if that must be looked up, too.
fn end_look_up(runs: &mut RunsContext, age: AgeClass, began: DateTime<Utc>) -> Next {
    let Some(live) = &mut runs.state.live else {
        return Next::Finished;
    };
    let set = live.set_mut(age);
    set.read_at = began;
    set.dated = runs.turn.map(|turn| turn.date);
    set.partial = None;
    set.rewound = None;
    look_up_next_set(runs, began)
}

impl Reader for MissingRuns {
    fn accept(
        &mut self,
        runs: &mut RunsContext,
        _: usize,
        page: FetchedPage,
        emission: &mut Emission,
    ) -> Result<Next, NoProgress> {
        let (Some(live), Some(by_id)) = (&runs.state.live, self.by_id.take()) else {
            return Ok(Next::Finished);
        };
        let date = runs.turn.map_or(self.began, |turn| turn.date);
        let is_soon = date - live.set(self.age).dated() <= DELETE_WITHIN;
        let times = live.times(self.age, runs.changes.are_task_runs());
        let since = times.or_rewound(times.read_at);
        if let Some(id) = by_id.unreadable(&page) {
            let unread = runs.state.unread.entry(compact_ids::id(id));
            unread.or_insert(since);
        }
        let (gone, rest) = by_id.accept(&page);
        for row in page.list {
            let rule = if runs.would_be_listed(&row) {
                SendIf::EndedWithFlowRun(since)
            } else {
                SendIf::ChangedSince(since)
            };
            runs.offer(row, self.began, rule, emission);
        }
        let mut aged_out = 0;
        for id in gone {
            runs.state.unread.remove(&compact_ids::id(&id));
            if let Some(live) = &mut runs.state.live {
                live.close(&compact_ids::id(&id));
            }
            if is_soon {
                emission.changes.push(Change::Delete(runs.table, id));
            } else {
                aged_out += 1;
            }
        }
        runs.note_aged_out(aged_out, emission);
        if rest.is_none() {
            return Ok(end_look_up(runs, self.age, self.began));
        }
        self.by_id = rest;
        Ok(Next::Same)
    }

    fn request(&mut self, runs: &RunsContext, limit: u32) -> Option<Request> {
        self.by_id.as_mut()?.next(runs.table, limit)
    }

    fn window_kind(&self) -> WindowKind {
        window_kind::OPEN_RUNS
    }
}

impl RunsContext {
    /// Returns the runs of an open set that are not `listed`.
    fn missing(&self, age: AgeClass, listed: &BTreeSet<String>) -> Vec<String> {
        let live = self.state.live.iter();
        let missing = live.flat_map(|live| live.set(age).ids.difference(listed));
        missing.map(|id| compact_ids::parse_id(id)).collect()
    }

    /// Returns true for an open task run that this sync would have listed if its flow run were open.
    fn would_be_listed(&self, row: &Row) -> bool {
        let due = self.changes.value(row, TimeField::ExpectedStartTime);
        self.changes.is_open(row)
            && self.changes.belongs_to_flow_run(row)
            && self.listed.covers(due)
    }

    /// Warns of runs that are gone, and that are not deleted because they may have aged out.
    pub(super) fn note_aged_out(&self, number: usize, emission: &mut Emission) {
        if number > 0 {
            emission.warnings.push(messages::AGED_OUT.format(format_args!(
                "table {}: {number} run(s) that were open at the last sync, more than 3 days ago, are gone; they may have ended and aged out, so their rows stay unchanged",
                self.table.name
            )));
        }
    }
}
