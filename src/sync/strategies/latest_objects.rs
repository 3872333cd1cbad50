//! Detects a restored backup by the objects of a table that were updated last.
//!
//! After a restore one of these objects is older than it was, or all of them are gone.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use crate::sync::sent_fingerprints::CLOCK_SKEW_MARGIN;

/// The number of objects that are remembered.
const MOST_REMEMBERED: usize = 10;

/// The objects that were updated last: packed ids, and the times of their updates.
pub(crate) type Times = BTreeMap<String, DateTime<Utc>>;

/// The comparison that one sync makes.
#[derive(Debug, Default)]
pub(super) struct LatestObjects {
    /// The latest objects of the sync before.
    before: Times,
    /// The latest objects of this sync, from its first page.
    found: Option<Times>,
    /// The objects of the sync before that the first page did not have.
    missed: Vec<String>,
    /// Set if an object of the sync before does not exist any more.
    pub(super) some_gone: bool,
    /// Set if a backup was restored.
    pub(super) is_restored: bool,
}

impl LatestObjects {
    /// Creates the comparison with the latest objects of the sync before.
    pub(super) fn new(before: Times) -> Self {
        Self {
            before,
            ..Self::default()
        }
    }

    /// Returns the objects that the state keeps.
    pub(super) fn times(&self) -> &Times {
        self.found.as_ref().unwrap_or(&self.before)
    }

    /// Compares the first page, newest first, which may be the whole listing. Returns true if a backup was restored.
    pub(super) fn compare(&mut self, page: Vec<(String, DateTime<Utc>)>, is_whole: bool) -> bool {
        if self.found.is_some() {
            // A restored backup was found before, and the listing is being read again.
            return false;
        }
        let is_older = self.is_older(page.iter().map(|(id, at)| (id.as_str(), *at)));
        let has = |id: &String| page.iter().any(|(other, _)| other == id);
        let missed: Vec<String> = self.before.keys().filter(|id| !has(id)).cloned().collect();
        self.is_restored = is_older || (is_whole && self.are_all(missed.len()));
        self.some_gone = is_whole && !missed.is_empty();
        if !is_whole && !self.is_restored {
            self.missed = missed;
        }
        self.found = Some(page.into_iter().take(MOST_REMEMBERED).collect());
        self.is_restored
    }

    /// Takes the objects that must be looked up, because the first page did not have them.
    pub(super) fn take_missed(&mut self) -> Vec<String> {
        std::mem::take(&mut self.missed)
    }

    /// Compares those of `requested` objects that exist. Returns true if a backup was restored.
    pub(super) fn looked_up<'a>(
        &mut self,
        requested: usize,
        found: impl ExactSizeIterator<Item = (&'a str, DateTime<Utc>)>,
    ) -> bool {
        let number = found.len();
        self.some_gone |= number < requested;
        self.is_restored = self.is_older(found) || (number == 0 && self.are_all(requested));
        self.is_restored
    }

    /// Returns true if an object is older than it was, by more than overlapping transactions explain.
    fn is_older<'a>(&self, mut objects: impl Iterator<Item = (&'a str, DateTime<Utc>)>) -> bool {
        objects.any(|(id, updated)| {
            self.before
                .get(id)
                .is_some_and(|was| updated < *was - CLOCK_SKEW_MARGIN)
        })
    }

    /// Returns true if `number` is all of the remembered objects, and more may have existed.
    fn are_all(&self, number: usize) -> bool {
        number == MOST_REMEMBERED && self.before.len() == MOST_REMEMBERED
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(600 * second, 0).expect("in range")
    }

    fn page(objects: &[(&str, i64)]) -> Vec<(String, DateTime<Utc>)> {
        let objects = objects.iter();
        objects
            .map(|(id, second)| ((*id).to_owned(), at(*second)))
            .collect()
    }

    #[test]
    fn an_object_with_an_earlier_update_time_shows_a_restored_backup() {
        let before: Times = page(&[("a", 9), ("b", 8)]).into_iter().collect();
        for (now, is_restored, some_gone) in [
            (&[("a", 9), ("b", 8), ("c", 1)][..], false, false),
            (&[("b", 20), ("a", 9)], false, false),
            (&[("a", 9), ("b", 7)], true, false),
            (&[("b", 8), ("c", 1)], false, true),
            (&[("c", 9)], false, true),
        ] {
            let mut latest = LatestObjects::new(before.clone());
            assert_eq!(latest.compare(page(now), true), is_restored, "{now:?}");
            assert_eq!(latest.some_gone, some_gone, "{now:?}");
        }
        let mut latest = LatestObjects::new(before);
        assert!(!latest.compare(page(&[("c", 30), ("d", 30)]), false));
        let missed = latest.take_missed();
        assert_eq!(missed, ["a", "b"]);
        assert!(latest.looked_up(2, [("b", at(7))].into_iter()));
        assert!(latest.some_gone && latest.times().contains_key("c"));
    }
}
