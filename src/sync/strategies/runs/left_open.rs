//! Open runs that are missing from complete open sets.
//!
//! A task run in an open state whose flow run has ended counts as ended. Any other run was missed: it was opened after
//! this sync had listed the open runs.

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
        self.missing_from_open_sets(rows, |row| self.changes.belongs_to_flow_run(row))
    }

    /// Returns the ids of open runs that the listings did not find, because they were not open at that moment.
    pub(super) fn missed_open(&self, rows: &[Row]) -> BTreeSet<String> {
        self.missing_from_open_sets(rows, |row| !self.changes.belongs_to_flow_run(row))
    }

    /// Returns the ids of those open runs that are missing from complete open sets.
    fn missing_from_open_sets(
        &self,
        rows: &[Row],
        is_chosen: impl Fn(&Row) -> bool,
    ) -> BTreeSet<String> {
        let Some(live) = &self.state.live else {
            return BTreeSet::new();
        };
        if !live.open.knows_all() || !live.old_open.knows_all() {
            return BTreeSet::new();
        }
        let is_missing = |row: &&Row| {
            self.changes.is_open(row) && is_chosen(row) && !live.is_open(&compact_ids::id(row.id()))
        };
        let missing = rows.iter().filter(is_missing);
        missing.map(|row| row.id().to_owned()).collect()
    }
}
