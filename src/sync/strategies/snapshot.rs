//! Snapshot: everything is read at every sync. A row is sent when its fingerprint is new; an object is
//! deleted when it is gone from a complete listing and a look-up by its id says so too.
//!
//! The state keeps what was sent as long as there is room: ids with fingerprints; else fingerprints alone
//! (deletes are not seen); else nothing (a row is sent when its `updated` moves).

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{
    Answer, Ask, Change, ReaderState, Rows, Serial, Step, collection, look_up::LookUp, position,
    sorted,
};
use crate::{
    prefect::{Filter, ListRequest},
    rows::{Row, fingerprint},
    sync::{
        pack,
        paging::OffsetWalk,
        recent::{Recent, changed_since},
    },
    tables::Table,
};

/// The state of a snapshot table.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SnapshotState {
    /// What was sent: fingerprint by packed id.
    #[serde(with = "pack::fingerprints")]
    pub(crate) rows: BTreeMap<String, u64>,
    /// When the last complete listing began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) listed: Option<DateTime<Utc>>,
    /// What is kept instead of `rows`, where those outgrew the state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) shed: Option<Shed>,
}

/// What is left of a table too large for the state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Shed {
    /// Fingerprints of the rows that were sent.
    #[serde(with = "pack::hashes")]
    Ids(BTreeSet<u64>),
    /// Rows sent with an `updated` so late that the next listing would take them for changed.
    Fingerprints(Recent),
}

impl SnapshotState {
    /// What [`Self::shed`] would take out of the state, in bytes.
    pub(super) fn weight(&self) -> usize {
        match &self.shed {
            None => self.rows.len() * 39,
            Some(Shed::Ids(hashes)) => hashes.len() * 11,
            Some(Shed::Fingerprints(recent)) => recent.weight(),
        }
    }

    pub(super) fn shed(&mut self) {
        match &mut self.shed {
            None => {
                let rows = std::mem::take(&mut self.rows);
                self.shed = Some(Shed::Ids(rows.into_values().collect()));
            }
            Some(Shed::Ids(_)) => self.shed = Some(Shed::Fingerprints(Recent::default())),
            Some(Shed::Fingerprints(recent)) => recent.halve(),
        }
    }

    pub(super) fn untracked(&self) -> Option<&'static str> {
        Some(match self.shed.as_ref()? {
            Shed::Ids(_) => "there are too many objects for the state; their deletes are not seen",
            Shed::Fingerprints(_) => {
                "there are far too many objects for the state; their deletes are not seen, and changes only where `updated` moves"
            }
        })
    }

    /// Whether a row is news; if so it counts as sent.
    fn take(&mut self, row: &Seen, began: DateTime<Utc>) -> bool {
        match &mut self.shed {
            None => self.rows.insert(row.id.clone(), row.hash) != Some(row.hash),
            Some(Shed::Ids(hashes)) => hashes.insert(row.hash),
            Some(Shed::Fingerprints(recent)) => {
                let is_news = self
                    .listed
                    .is_none_or(|listed| changed_since(listed, row.updated))
                    && !recent.contains(row.hash);
                if is_news {
                    recent.remember(began, row.updated, row.hash);
                }
                is_news
            }
        }
    }
}

/// What is looked at of a row.
struct Seen {
    /// Packed.
    id: String,
    hash: u64,
    updated: Option<DateTime<Utc>>,
}

pub(super) struct Snapshot {
    table: &'static Table,
    sort: &'static str,
    created: usize,
    updated: usize,
    state: SnapshotState,
    /// Met in this sync's listing: packed ids, and fingerprints.
    met: BTreeMap<String, u64>,
    /// When this sync's listing began.
    began: Option<DateTime<Utc>>,
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
            updated: position(table, "updated"),
            state: SnapshotState::default(),
            met: BTreeMap::new(),
            began: None,
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
            snapshot.state.listed = None;
            match &mut snapshot.state.shed {
                None => {}
                Some(Shed::Ids(hashes)) => hashes.clear(),
                Some(Shed::Fingerprints(recent)) => *recent = Recent::default(),
            }
        }
        snapshot
    }

    fn take(&mut self, row: Row, began: DateTime<Utc>, step: &mut Step) {
        let seen = Seen {
            id: pack::id(row.id()),
            hash: fingerprint(&row),
            updated: row.instant(self.updated),
        };
        if self.state.take(&seen, began) {
            step.changes.push(Change::Upsert(row));
        }
        self.met.insert(seen.id, seen.hash);
    }

    /// What the complete listing did not have.
    fn missing(&mut self, began: DateTime<Utc>) -> Vec<String> {
        self.state.listed = Some(began);
        if let Some(Shed::Ids(hashes)) = &mut self.state.shed {
            *hashes = self.met.values().copied().collect();
        }
        let ids = self.state.rows.keys();
        ids.filter(|id| !self.met.contains_key(*id))
            .map(|id| pack::parse_id(id))
            .collect()
    }

    fn listed(&mut self, mut walk: OffsetWalk, page: Rows, step: &mut Step) {
        let began = *self.began.get_or_insert(page.now);
        let place = walk.accept(&sorted(&page.list, self.created), page.objects, page.limit);
        for (at, row) in page.list.into_iter().enumerate() {
            if place.fresh.contains(&at) {
                self.take(row, began, step);
            }
        }
        self.phase = if place.ended {
            Phase::then(LookUp::of(self.missing(began)))
        } else {
            Phase::Listing(walk)
        };
    }

    fn looked_up(&mut self, look_up: LookUp, page: Rows, step: &mut Step) {
        let (gone, rest) = look_up.accept(&page);
        let began = self.began.unwrap_or(page.now);
        for row in page.list {
            self.take(row, began, step);
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

impl Serial for Snapshot {
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
