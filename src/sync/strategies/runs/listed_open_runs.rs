//! The open runs that a sync has listed.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

/// The open runs that this sync has listed, for each of the two sets that is listed completely.
#[derive(Debug, Default)]
pub(super) struct ListedOpenRuns {
    pub(super) open: Option<BTreeSet<String>>,
    pub(super) long_open: Option<BTreeSet<String>>,
    /// The sets whose missing members must still be looked up; `true` is that of the long open runs.
    pub(super) to_look_up: Vec<bool>,
    /// Set if the listing of open runs under way holds some that are not remembered.
    pub(super) overflows: bool,
    /// Set if the listing under way has gaps.
    pub(super) has_gaps: bool,
    /// The expected start before which runs are in the second set; `None` if one listing had both sets.
    pub(super) bound: Option<DateTime<Utc>>,
}

impl ListedOpenRuns {
    /// Takes a complete listing; `bound` separates the two sets, unless both were listed at once.
    pub(super) fn add(
        &mut self,
        long: bool,
        listed: BTreeSet<String>,
        bound: Option<DateTime<Utc>>,
    ) {
        if long {
            self.long_open = Some(listed);
        } else {
            self.open = Some(listed);
        }
        self.to_look_up.push(long);
        self.bound = bound;
    }

    pub(super) fn has_met(&self, id: &str) -> bool {
        let sets = [&self.open, &self.long_open];
        sets.into_iter().flatten().any(|listed| listed.contains(id))
    }

    /// Returns true if a task run with this expected start would be listed if its flow run were open.
    pub(super) fn covers(&self, due: Option<DateTime<Utc>>) -> bool {
        match (due, self.bound) {
            (None, _) => false,
            (Some(due), Some(bound)) if due < bound => self.long_open.is_some(),
            _ => self.open.is_some(),
        }
    }

    /// Adds open runs that the listing of open runs does not hold.
    pub(super) fn note(&mut self, ids: impl IntoIterator<Item = String>) {
        for id in ids {
            for listed in [&mut self.open, &mut self.long_open].into_iter().flatten() {
                listed.insert(id.clone());
            }
        }
    }
}
