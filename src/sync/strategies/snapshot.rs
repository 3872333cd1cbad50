//! Snapshot: everything is read at every sync, and a row is sent when its fingerprint is new.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{Reader, Rows, collection};
use crate::{
    prefect::{Filter, ListRequest},
    rows::{Row, fingerprint},
    sync::{pack, paging::OffsetWalk, state::ReaderState},
    tables::Table,
};

/// The state of a snapshot table.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SnapshotState {
    /// What was sent: fingerprint by packed id.
    #[serde(with = "pack::fingerprints")]
    rows: BTreeMap<String, u64>,
}

pub(super) struct Snapshot {
    table: &'static Table,
    sort: &'static str,
    state: SnapshotState,
    walk: OffsetWalk,
    met: BTreeSet<String>,
    done: bool,
}

impl Snapshot {
    pub(super) fn new(
        table: &'static Table,
        sort: &'static str,
        state: Option<&SnapshotState>,
    ) -> Self {
        Self {
            table,
            sort,
            state: state.cloned().unwrap_or_default(),
            walk: OffsetWalk::default(),
            met: BTreeSet::new(),
            done: false,
        }
    }
}

impl Reader for Snapshot {
    fn next(&self, limit: u32) -> Option<ListRequest> {
        (!self.done).then(|| ListRequest {
            collection: collection(self.table),
            sort: self.sort,
            limit,
            offset: self.walk.offset(),
            filter: Filter::default(),
        })
    }

    fn accept(&mut self, page: Rows) -> Vec<Row> {
        let ids: Vec<&str> = page.list.iter().map(Row::id).collect();
        let step = self.walk.accept(&ids, page.objects, page.limit);
        let mut send = Vec::new();
        for (at, row) in page.list.into_iter().enumerate() {
            if !step.fresh.contains(&at) {
                continue;
            }
            let id = pack::id(row.id());
            let hash = fingerprint(self.table, &row);
            self.met.insert(id.clone());
            if self.state.rows.insert(id, hash) != Some(hash) {
                send.push(row);
            }
        }
        if step.ended {
            // Rows that are gone need no fingerprint any more.
            self.state.rows.retain(|id, _| self.met.contains(id));
            self.done = true;
        }
        send
    }

    fn state(&self) -> ReaderState {
        ReaderState::Snapshot(self.state.clone())
    }
}
