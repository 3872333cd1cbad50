//! The range of times in which the objects of a gap are.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::sync::compact_ids;

/// The range of times in which the objects of a gap are, including both bounds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Between {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::sync::strategies) oldest: Option<DateTime<Utc>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::sync::strategies) newest: Option<DateTime<Utc>>,
    /// Objects that were read with exactly the time of a bound: times by packed id.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(in crate::sync::strategies) known: BTreeMap<String, DateTime<Utc>>,
    /// The number of objects, if it is not recorded elsewhere.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub(in crate::sync::strategies) count: u32,
}

/// The side of a gap on which a row is, by time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sync::strategies) enum Side {
    Newer,
    /// The row is one of the gap's objects, and can be read now.
    Inside,
    Older,
}

impl Between {
    /// Records those of the objects that have exactly the time of a bound.
    pub(in crate::sync::strategies) fn note_known(
        &mut self,
        objects: &[(String, Option<DateTime<Utc>>)],
    ) {
        for (id, time) in objects {
            if let Some(time) = time.filter(|time| self.is_bound(*time)) {
                self.known.insert(id.clone(), time);
            }
        }
    }

    fn is_bound(&self, time: DateTime<Utc>) -> bool {
        self.newest == Some(time) || self.oldest == Some(time)
    }

    /// Adopts the objects that were known for the same place before, except those that have been read since.
    pub(in crate::sync::strategies) fn note_known_of(&mut self, before: &Self) {
        for (id, time) in &before.known {
            if self.is_bound(*time) {
                self.known.entry(id.clone()).or_insert(*time);
            }
        }
    }

    /// Returns true if an object with this time may be in the range.
    pub(super) fn holds(&self, time: Option<DateTime<Utc>>) -> bool {
        time.is_none_or(|time| {
            self.oldest.is_none_or(|oldest| oldest <= time)
                && self.newest.is_none_or(|newest| time <= newest)
        })
    }

    /// Returns true if each object of `other` is in the range.
    pub(super) fn covers(&self, other: &Self) -> bool {
        let is_old_enough = self.oldest.is_none() || other.oldest >= self.oldest;
        let is_new_enough =
            self.newest.is_none() || (other.newest.is_some() && other.newest <= self.newest);
        is_old_enough && is_new_enough
    }

    /// Returns true if the ranges share more than an object that was read beside both.
    pub(in crate::sync::strategies) fn meets(&self, other: &Self) -> bool {
        let is_below = |lower: &Self, upper: &Self| {
            let is_at_a_time = |it: &Self| it.oldest == it.newest;
            lower.newest.is_some()
                && lower.newest == upper.oldest
                && !is_at_a_time(lower)
                && !is_at_a_time(upper)
        };
        self.overlaps(other) && !is_below(self, other) && !is_below(other, self)
    }

    /// Returns true if an object may be in both ranges.
    pub(in crate::sync::strategies) fn overlaps(&self, other: &Self) -> bool {
        let is_below = |lower: &Self, upper: &Self| matches!((lower.newest, upper.oldest), (Some(newest), Some(oldest)) if newest < oldest);
        !is_below(self, other) && !is_below(other, self)
    }

    pub(in crate::sync::strategies) fn side(&self, id: &str, time: Option<DateTime<Utc>>) -> Side {
        let is_known = time.is_some() && self.known.get(&compact_ids::id(id)).copied() == time;
        match time {
            Some(time) if self.newest.is_some_and(|newest| time > newest) => Side::Newer,
            Some(time) if is_known && self.newest == Some(time) => Side::Newer,
            Some(time) if is_known && self.oldest == Some(time) => Side::Older,
            Some(time) if self.oldest.is_none_or(|oldest| time >= oldest) => Side::Inside,
            _ => Side::Older,
        }
    }
}

pub(in crate::sync::strategies) const fn one() -> u32 {
    1
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
pub(in crate::sync::strategies) fn is_one(count: &u32) -> bool {
    *count == 1
}

#[cfg(test)]
mod tests {
    use super::{
        super::gap::tests::{at, gap, uuid},
        *,
    };

    /// A neighbour at the older bound was edited, and is at the newer bound now.
    #[test]
    fn a_neighbour_that_changed_keeps_its_new_time() {
        let before = gap(10, 20).between.expect("times");
        let id = compact_ids::id(&uuid(10));
        let mut place = Between {
            oldest: at(10),
            newest: at(30),
            known: [(id, at(30).expect("a time"))].into(),
            count: 1,
        };
        place.note_known_of(&before);
        assert_eq!(place.side(&uuid(10), at(30)), Side::Newer);
    }

    #[test]
    fn a_neighbour_lies_outside_of_its_place_and_inside_of_a_larger_one() {
        let place = gap(10, 20).between.expect("times");
        assert_eq!(place.side(&uuid(20), at(20)), Side::Newer);
        assert_eq!(place.side(&uuid(10), at(10)), Side::Older);
        let mut larger = gap(10, 40).between.expect("times");
        larger.note_known_of(&place);
        assert_eq!(larger.side(&uuid(20), at(20)), Side::Inside);
        assert!(place.meets(&larger));
        assert!(!place.meets(&gap(20, 40).between.expect("times")));
    }
}
