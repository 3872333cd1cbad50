//! One table that a listing supplies.

use std::collections::{BTreeMap, HashSet};

use chrono::{DateTime, Utc};

use super::state::{Degraded, Seen, SnapshotState, Unreadable, pair};
use crate::{
    rows::{Context, NestedRows, Row, fingerprint},
    sync::{
        compact_ids,
        strategies::{
            emission::{Change, Emission},
            listing::position,
        },
    },
    tables::Table,
};

/// A table that a listing supplies: with its objects, or with parts of them.
pub(super) struct Output {
    pub(super) table: &'static Table,
    /// The parts of the objects that are its rows; `None` if the objects are.
    parts: Option<NestedRows>,
    updated: usize,
    pub(super) state: SnapshotState,
    /// The rows seen in this sync's listing: fingerprints by packed id.
    seen: BTreeMap<String, u64>,
    /// The same rows as pairs, if the state has no room for ids.
    met_pairs: HashSet<u64>,
    /// True at the first reading, which truncates first: rows from before a re-sync become soft-deleted.
    truncate: bool,
}

impl Output {
    /// Continues from `saved`; if its flag is set, everything is sent again.
    pub(super) fn new(
        table: &'static Table,
        context: &Context,
        saved: Option<(&SnapshotState, bool)>,
    ) -> Self {
        let mut state = saved.map_or_else(SnapshotState::default, |(state, _)| state.clone());
        if saved.is_some_and(|(_, refill)| refill) {
            state.refill();
        }
        Self {
            table,
            parts: NestedRows::new(table, context),
            updated: position(table, "updated"),
            state,
            seen: BTreeMap::new(),
            met_pairs: HashSet::new(),
            truncate: saved.is_none(),
        }
    }

    /// Returns true if the rows are the objects themselves.
    pub(super) fn is_whole(&self) -> bool {
        self.parts.is_none()
    }

    pub(super) fn begin(&mut self, emission: &mut Emission) {
        if std::mem::take(&mut self.truncate) {
            emission.changes.push(Change::Truncate(self.table));
        }
    }

    /// Takes an object of the listing.
    pub(super) fn take_object(
        &mut self,
        object: &Row,
        began: DateTime<Utc>,
        emission: &mut Emission,
    ) {
        match &self.parts {
            None => self.take_row(object.clone(), began, emission),
            Some(parts) => {
                for row in parts.extract(object) {
                    self.take_row(row, began, emission);
                }
            }
        }
    }

    fn take_row(&mut self, row: Row, began: DateTime<Utc>, emission: &mut Emission) {
        let seen = self.seen(&row);
        let met_pairs = &self.met_pairs;
        if self
            .state
            .record_if_changed(&seen, began, |pair| met_pairs.contains(&pair))
        {
            emission.changes.push(Change::Upsert(row));
        }
        self.meet(seen);
    }

    fn seen(&self, row: &Row) -> Seen {
        Seen {
            id: compact_ids::id(row.id()),
            hash: fingerprint(row),
            updated: row.instant(self.updated),
        }
    }

    fn meet(&mut self, seen: Seen) {
        if self.state.shed.is_some() {
            self.met_pairs.insert(seen.pair());
        }
        self.seen.insert(seen.id, seen.hash);
    }

    /// Counts a row of the second listing as seen if it is the same as when it was sent. Returns true if the row was
    /// seen.
    pub(super) fn meets(&mut self, row: &Row) -> bool {
        let seen = self.seen(row);
        let is_known = self.seen.contains_key(&seen.id) || self.state.knows(&seen);
        if is_known && !self.seen.contains_key(&seen.id) {
            self.meet(seen);
        }
        is_known
    }

    /// Returns the known ids that the complete listing did not have.
    pub(super) fn missing(&self) -> Vec<String> {
        let ids = self.state.rows.keys();
        ids.filter(|id| !self.seen.contains_key(*id))
            .map(|id| compact_ids::parse_id(id))
            .collect()
    }

    /// Records that the listing that began at `began` is complete, except for `unreadable`.
    pub(super) fn complete(&mut self, began: DateTime<Utc>, unreadable: &Unreadable) {
        self.state.listed = Some(began);
        self.state.unreadable.clone_from(unreadable);
        if let Some(shed @ (Degraded::Ids(_) | Degraded::Pairs(_))) = &mut self.state.shed {
            let seen = self.seen.iter().map(|(id, hash)| pair(id, *hash));
            *shed = Degraded::Pairs(seen.collect());
        }
    }

    /// Deletes those of the objects that were sent.
    pub(super) fn delete(&mut self, ids: Vec<String>, emission: &mut Emission) {
        for id in ids {
            if self.state.rows.remove(&compact_ids::id(&id)).is_some() {
                emission.changes.push(Change::Delete(self.table, id));
            }
        }
    }
}
