//! Snapshot: everything is read at every sync. A row is sent when its fingerprint is new; an object is
//! deleted when it is gone from a complete listing and a look-up by its id says so too.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{
    Answer, Ask, Change, Reader, ReaderState, Rows, Step, collection, look_up::LookUp, position,
    sorted,
};
use crate::{
    prefect::{Filter, ListRequest},
    rows::{Row, fingerprint},
    sync::{pack, paging::OffsetWalk},
    tables::Table,
};

/// The state of a snapshot table.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SnapshotState {
    /// What was sent: fingerprint by packed id.
    #[serde(with = "pack::fingerprints")]
    pub(crate) rows: BTreeMap<String, u64>,
}

pub(super) struct Snapshot {
    table: &'static Table,
    sort: &'static str,
    created: usize,
    state: SnapshotState,
    /// Met in this sync's listing.
    met: BTreeSet<String>,
    truncate: bool,
    phase: Phase,
}

enum Phase {
    Listing(OffsetWalk),
    /// What the listing did not have.
    LookUp(LookUp),
    Done,
}

impl Snapshot {
    /// The first reading: rows of an earlier life of the connection are marked as deleted first.
    pub(super) fn fresh(table: &'static Table, sort: &'static str) -> Self {
        Self {
            table,
            sort,
            created: position(table, "created"),
            state: SnapshotState::default(),
            met: BTreeSet::new(),
            truncate: true,
            phase: Phase::Listing(OffsetWalk::default()),
        }
    }

    pub(super) fn resume(
        table: &'static Table,
        sort: &'static str,
        state: &SnapshotState,
        refill: bool,
    ) -> Self {
        let mut snapshot = Self {
            state: state.clone(),
            truncate: false,
            ..Self::fresh(table, sort)
        };
        if refill {
            // The ids stay, so that deletes are still found.
            snapshot.state.rows.values_mut().for_each(|hash| *hash = 0);
        }
        snapshot
    }

    fn take(&mut self, row: Row, step: &mut Step) {
        let id = pack::id(row.id());
        let hash = fingerprint(self.table, &row);
        self.met.insert(id.clone());
        if self.state.rows.insert(id, hash) != Some(hash) {
            step.changes.push(Change::Upsert(row));
        }
    }

    fn listed(&mut self, mut walk: OffsetWalk, page: Rows, step: &mut Step) {
        let place = walk.accept(&sorted(&page.list, self.created), page.objects, page.limit);
        for (at, row) in page.list.into_iter().enumerate() {
            if place.fresh.contains(&at) {
                self.take(row, step);
            }
        }
        self.phase = if place.ended {
            let missing = self.state.rows.keys().filter(|id| !self.met.contains(*id));
            Phase::then(LookUp::of(missing.map(|id| pack::parse_id(id)).collect()))
        } else {
            Phase::Listing(walk)
        };
    }

    fn looked_up(&mut self, look_up: LookUp, page: Rows, step: &mut Step) {
        let (gone, rest) = look_up.accept(&page.list);
        for row in page.list {
            self.take(row, step);
        }
        for id in gone {
            self.state.rows.remove(&pack::id(&id));
            step.changes.push(Change::Delete(id));
        }
        self.phase = Phase::then(rest);
    }
}

impl Phase {
    fn then(look_up: Option<LookUp>) -> Self {
        look_up.map_or(Self::Done, Self::LookUp)
    }
}

impl Reader for Snapshot {
    fn next(&mut self, limit: u32) -> Option<Ask> {
        match &mut self.phase {
            Phase::Listing(walk) => Some(Ask::List(ListRequest {
                collection: collection(self.table),
                sort: self.sort,
                limit,
                offset: walk.offset(),
                filter: Filter::default(),
            })),
            Phase::LookUp(look_up) => Some(Ask::List(look_up.next(self.table, limit))),
            Phase::Done => None,
        }
    }

    fn accept(&mut self, answer: Answer) -> Step {
        let mut step = Step::default();
        let Answer::Page(page) = answer else {
            return step;
        };
        if std::mem::take(&mut self.truncate) {
            step.changes.push(Change::Truncate);
        }
        match std::mem::replace(&mut self.phase, Phase::Done) {
            Phase::Listing(walk) => self.listed(walk, page, &mut step),
            Phase::LookUp(look_up) => self.looked_up(look_up, page, &mut step),
            Phase::Done => {}
        }
        step
    }

    fn state(&self) -> ReaderState {
        ReaderState::Snapshot(self.state.clone())
    }
}
