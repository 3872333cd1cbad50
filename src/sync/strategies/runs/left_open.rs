//! Task runs in an open state whose flow run has ended: they count as ended.

use std::collections::BTreeSet;

use super::{context::RunsContext, timing::old_run_bound};
use crate::{
    rows::Row,
    sync::{compact_ids, keyset::TimeField},
};

impl RunsContext {
    /// Returns the ids of open task runs that this sync's listings would hold if their flow run were open. Empty before
    /// this sync has listed the open runs.
    pub(super) fn left_behind(&self, rows: &[Row]) -> BTreeSet<String> {
        let (Some(live), Some(turn)) = (&self.state.live, self.turn) else {
            return BTreeSet::new();
        };
        if live.open.dated != Some(turn.date) {
            return BTreeSet::new();
        }
        let was_listed = |row: &Row| {
            let due = self.changes.value(row, TimeField::ExpectedStartTime);
            let set = if due >= Some(old_run_bound(turn.began)) {
                &live.open
            } else {
                &live.old_open
            };
            let is_listed = set.dated.is_some() && set.rewound.is_none();
            is_listed && !self.changes.may_have_changed_since(row, set.read_at)
        };
        let mut left = self.left_open(rows);
        for row in rows.iter().filter(|row| !was_listed(row)) {
            left.remove(row.id());
        }
        left
    }

    /// Returns the ids of open task runs whose flow run has ended, which are those missing from complete open sets.
    pub(super) fn left_open(&self, rows: &[Row]) -> BTreeSet<String> {
        let Some(live) = &self.state.live else {
            return BTreeSet::new();
        };
        if !live.open.knows_all() || !live.old_open.knows_all() {
            return BTreeSet::new();
        }
        let is_left = |row: &&Row| {
            self.changes.is_open(row)
                && self.changes.belongs_to_flow_run(row)
                && !live.is_open(&compact_ids::id(row.id()))
        };
        let left = rows.iter().filter(is_left);
        left.map(|row| row.id().to_owned()).collect()
    }
}
