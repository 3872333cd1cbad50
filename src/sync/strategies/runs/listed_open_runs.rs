//! The open runs that a sync has listed.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use super::open_set::AgeClass;

/// The open runs that this sync has listed, for each of the two sets that is listed completely.
#[derive(Debug, Default)]
pub(super) struct ListedOpenRuns {
    recent: Option<BTreeSet<String>>,
    old: Option<BTreeSet<String>>,
    /// The sets whose missing members must still be looked up.
    to_look_up: Vec<AgeClass>,
    /// Set if the listing of open runs under way holds some that are not remembered.
    pub(super) overflows: bool,
    /// Set if the listing under way has gaps.
    pub(super) has_gaps: bool,
    /// The expected start before which runs are in the second set; `None` if one listing had both sets.
    bound: Option<DateTime<Utc>>,
}

impl ListedOpenRuns {
    /// Begins a listing.
    pub(super) fn begin(&mut self) {
        self.overflows = false;
        self.has_gaps = false;
    }

    /// Takes a complete listing of one set; `bound` separates the two sets, unless both were listed at once.
    pub(super) fn add(
        &mut self,
        age: AgeClass,
        listed: BTreeSet<String>,
        bound: Option<DateTime<Utc>>,
    ) {
        *self.set_mut(age) = Some(listed);
        self.to_look_up.push(age);
        self.bound = bound;
    }

    fn set_mut(&mut self, age: AgeClass) -> &mut Option<BTreeSet<String>> {
        match age {
            AgeClass::Recent => &mut self.recent,
            AgeClass::Old => &mut self.old,
        }
    }

    /// Returns the complete listing of a set, if this sync has one.
    pub(super) fn set(&self, age: AgeClass) -> Option<&BTreeSet<String>> {
        match age {
            AgeClass::Recent => self.recent.as_ref(),
            AgeClass::Old => self.old.as_ref(),
        }
    }

    /// Takes out the next set whose missing members must be looked up.
    pub(super) fn next_to_look_up(&mut self) -> Option<AgeClass> {
        self.to_look_up.pop()
    }

    /// Returns true if one of the listings has the run.
    pub(super) fn has(&self, id: &str) -> bool {
        let sets = [&self.recent, &self.old];
        sets.into_iter().flatten().any(|listed| listed.contains(id))
    }

    /// Returns true if a task run with this expected start would be listed if its flow run were open.
    pub(super) fn covers(&self, due: Option<DateTime<Utc>>) -> bool {
        match (due, self.bound) {
            (None, _) => false,
            (Some(due), Some(bound)) if due < bound => self.old.is_some(),
            _ => self.recent.is_some(),
        }
    }

    /// Adds open runs that the listing of open runs does not hold.
    pub(super) fn note(&mut self, ids: impl IntoIterator<Item = String>) {
        for id in ids {
            for listed in [&mut self.recent, &mut self.old].into_iter().flatten() {
                listed.insert(id.clone());
            }
        }
    }
}
