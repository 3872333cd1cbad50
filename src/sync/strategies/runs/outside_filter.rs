//! Open runs that were sent before the user changed the filter, and that no listing has held since.
//!
//! Their rows stay as they were. But such a run may be deleted, also between the last sync and the change of the
//! filter, so all of them are looked up by id at once, and once a day from then on. The state is [`Outside`].

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use super::{
    context::RunsContext,
    live_state::LiveState,
    open_set::MOST_OPEN,
    outside::Outside,
    reader::{Next, Reader},
    timing::{DELETE_WITHIN, OLD_OPEN_RUNS_EVERY},
};
use crate::{
    sync::{
        NoProgress, compact_ids,
        strategies::{
            emission::{Change, Emission},
            get_by_id::GetById,
            request::{FetchedPage, Request},
        },
        window_kind,
    },
    telemetry::WindowKind,
};

impl LiveState {
    /// Moves all open runs here after a change of the filter, until listings show which of them it includes.
    pub(super) fn leave_scope(&mut self) {
        let sets = [&mut self.open, &mut self.old_open];
        let mut read_at = sets[0].dated().min(sets[1].dated());
        let mut ids = BTreeSet::new();
        if let Some(outside) = self.outside.take() {
            read_at = read_at.min(outside.read_at);
            ids = outside.ids;
        }
        for set in sets {
            ids.append(&mut set.ids);
            set.partial = None;
            set.is_cut = false;
        }
        while ids.len() > MOST_OPEN {
            ids.pop_last();
        }
        self.outside = (!ids.is_empty()).then_some(Outside {
            ids,
            read_at,
            is_due: true,
        });
    }
}

/// The look-up of the open runs that the user's filter excludes. Runs that ended, or are missing, leave their set.
struct OutsideFilter {
    /// The runs that are left to look up; `None` after the last response.
    by_id: Option<GetById>,
    /// The `Date` with which the turn of the live tasks began.
    date: DateTime<Utc>,
}

/// Plans the look-up of the open runs that no listing holds, if it is due.
pub(super) fn plan(runs: &mut RunsContext) -> Option<Box<dyn Reader>> {
    let date = runs.turn?.date;
    let live = runs.state.live.as_mut()?;
    let outside = live.outside.as_mut()?;
    let is_due = outside.is_due || date - outside.read_at >= OLD_OPEN_RUNS_EVERY;
    if !is_due {
        return None;
    }
    // Runs that the listings hold are in the open sets again.
    let (open, old_open) = (&live.open.ids, &live.old_open.ids);
    outside
        .ids
        .retain(|id| !open.contains(id) && !old_open.contains(id));
    let ids = outside.ids.iter().map(|id| compact_ids::parse_id(id));
    let by_id = GetById::new(ids.collect());
    if by_id.is_none() {
        live.end_outside(date);
        return None;
    }
    Some(Box::new(OutsideFilter { by_id, date }))
}

impl LiveState {
    /// Stores that all runs outside of the filter were looked up.
    fn end_outside(&mut self, date: DateTime<Utc>) {
        if let Some(outside) = &mut self.outside {
            outside.read_at = date;
            outside.is_due = false;
        }
        self.outside = self.outside.take().filter(|it| !it.ids.is_empty());
    }
}

impl Reader for OutsideFilter {
    fn accept(
        &mut self,
        runs: &mut RunsContext,
        _: usize,
        page: FetchedPage,
        emission: &mut Emission,
    ) -> Result<Next, NoProgress> {
        let (Some(live), Some(by_id)) = (&mut runs.state.live, self.by_id.take()) else {
            return Ok(Next::Finished);
        };
        let (gone, rest) = by_id.accept(&page);
        let mut aged_out = 0;
        if let Some(outside) = &mut live.outside {
            for row in &page.list {
                // The run is history. (No reader would notice that a task run ends with its flow run.)
                if !runs.changes.is_open(row) || runs.changes.belongs_to_flow_run(row) {
                    outside.ids.remove(&compact_ids::id(row.id()));
                }
            }
            for id in gone {
                outside.ids.remove(&compact_ids::id(&id));
                if self.date - outside.read_at <= DELETE_WITHIN {
                    emission.changes.push(Change::Delete(runs.table, id));
                } else {
                    aged_out += 1;
                }
            }
        }
        if rest.is_none() {
            live.end_outside(self.date);
        }
        runs.note_aged_out(aged_out, emission);
        self.by_id = rest;
        Ok(Next::unless(self.by_id.is_none()))
    }

    fn request(&mut self, runs: &RunsContext, limit: u32) -> Option<Request> {
        self.by_id.as_mut()?.next(runs.table, limit)
    }

    fn window_kind(&self) -> WindowKind {
        window_kind::OPEN_RUNS
    }
}
