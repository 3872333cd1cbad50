//! Open runs that were sent before the user changed the filter, and that no listing has held since.
//!
//! Their rows stay as they were. But such a run may be deleted, also between the last sync and the change of the
//! filter, so all of them are looked up by id at once, and once a day from then on.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use super::{
    open_set::MOST_OPEN,
    outside::Outside,
    phase::Phase,
    reader::Runs,
    state::LiveState,
    timing::{DELETE_WITHIN, OLD_OPEN_RUNS_EVERY},
};
use crate::sync::{
    compact_ids,
    strategies::{
        emission::{Change, Emission},
        look_up::GetById,
        request::FetchedPage,
    },
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

impl Runs {
    /// Plans the look-up of the open runs that no listing holds, if it is due.
    pub(super) fn plan_outside(&mut self) -> Option<Phase> {
        let began = self.turn?.date;
        let live = self.state.live.as_mut()?;
        let outside = live.outside.as_mut()?;
        let is_due = outside.is_due || began - outside.read_at >= OLD_OPEN_RUNS_EVERY;
        if !is_due {
            return None;
        }
        // Runs that the listings hold are in the open sets again.
        let (open, long_open) = (&live.open.ids, &live.old_open.ids);
        outside
            .ids
            .retain(|id| !open.contains(id) && !long_open.contains(id));
        let ids = outside
            .ids
            .iter()
            .map(|id| compact_ids::parse_id(id))
            .collect();
        let look_up = GetById::of(ids);
        self.look_outside(look_up, began)
    }

    fn look_outside(&mut self, look_up: Option<GetById>, began: DateTime<Utc>) -> Option<Phase> {
        if let Some(look_up) = look_up {
            return Some(Phase::OutsideFilter { look_up, began });
        }
        let live = self.state.live.as_mut()?;
        if let Some(outside) = &mut live.outside {
            outside.read_at = began;
            outside.is_due = false;
        }
        live.outside = live.outside.take().filter(|it| !it.ids.is_empty());
        None
    }

    pub(super) fn looked_outside(
        &mut self,
        look_up: GetById,
        began: DateTime<Utc>,
        page: &FetchedPage,
        emission: &mut Emission,
    ) {
        let (gone, rest) = look_up.accept(page);
        let mut aged_out = 0;
        if let Some(outside) = self.state.live.as_mut().and_then(|it| it.outside.as_mut()) {
            for row in &page.list {
                // The run is history. (No reader would notice that a task run ends with its flow run.)
                if !self.changes.is_open(row) || self.changes.belongs_to_flow_run(row) {
                    outside.ids.remove(&compact_ids::id(row.id()));
                }
            }
            for id in gone {
                outside.ids.remove(&compact_ids::id(&id));
                if began - outside.read_at <= DELETE_WITHIN {
                    emission.changes.push(Change::Delete(self.table, id));
                } else {
                    aged_out += 1;
                }
            }
        }
        self.note_aged_out(aged_out, emission);
        self.phase = self.look_outside(rest, began);
    }
}
