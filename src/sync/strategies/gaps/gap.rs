//! A gap, and the time at which its objects were last read.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{
    super::newest_first::InterruptedPass,
    between::{self, Between, Side},
};
use crate::sync::{compact_ids, unreadable::Known};

/// The time of the last reading of a table that was never read.
const NEVER: DateTime<Utc> = DateTime::<Utc>::UNIX_EPOCH;

/// The maximum number of earlier places that are kept for each gap.
const MOST_EARLIER: usize = 20;

/// The maximum number of gaps that are kept for each listing.
const MOST: usize = 100;

/// Consecutive objects of a listing for which the server returns an error, with their neighbours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Gap {
    /// The offset of the first object when the gap was last seen.
    pub(in crate::sync::strategies) at: u64,
    /// The number of objects.
    #[serde(default = "between::one", skip_serializing_if = "between::is_one")]
    pub(in crate::sync::strategies) count: u32,
    /// The packed id of the object before the gap; `None` if the page begins with the gap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::sync::strategies) previous: Option<String>,
    /// The packed id of the object after the gap; `None` if the page ends with the gap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::sync::strategies) next: Option<String>,
    /// The name of the object to which the listing belongs, if each object of another table has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::sync::strategies) of: Option<String>,
    /// The times of the neighbours, if the listing is sorted by time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::sync::strategies) between: Option<Between>,
    /// The time of the last reading of the table before the gap appeared: earlier changes were sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::sync::strategies) since: Option<DateTime<Utc>>,
    /// Earlier places in which some of the objects may have been.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(in crate::sync::strategies) earlier: Vec<Earlier>,
    /// The interrupted pass that read the range of this gap. The objects that it read were last read when that pass
    /// began.
    #[serde(rename = "walk", default, skip_serializing_if = "Option::is_none")]
    pub(in crate::sync::strategies) interrupted: Option<InterruptedPass>,
    /// The objects that are in this range now and were sent: times by packed id.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(in crate::sync::strategies) sent: BTreeMap<String, DateTime<Utc>>,
}

/// An earlier place of some of a gap's objects; the others were read at that time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Earlier {
    between: Between,
    /// The packed ids of the objects before and after the place.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    neighbours: BTreeSet<String>,
    /// The same as [`Gap::since`], for this place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    since: Option<DateTime<Utc>>,
}

impl Gap {
    /// Creates a gap of objects that were never read, at an unknown offset of the listing `of`.
    pub(in crate::sync::strategies) fn never_read(of: &str, between: Between, count: u32) -> Self {
        Self {
            at: 0,
            count,
            previous: None,
            next: None,
            of: Some(of.to_owned()),
            between: Some(between),
            since: None,
            earlier: Vec::new(),
            interrupted: None,
            sent: BTreeMap::new(),
        }
    }

    /// Converts the gap into the form in which a page is read around it.
    pub(in crate::sync::strategies) fn into_known(self) -> Known {
        Known {
            at: self.at,
            count: self.count,
            previous: self.previous,
            next: self.next,
        }
    }

    /// Returns the time at which an object of the gap was last read before the gap appeared. `None` if that is unknown.
    pub(in crate::sync::strategies) fn since_of(
        &self,
        id: &str,
        time: Option<DateTime<Utc>>,
    ) -> Option<DateTime<Utc>> {
        let id = compact_ids::id(id);
        let places = self.earlier.iter().filter(|place| {
            let was_read = place.neighbours.contains(&id) || place.between.known.contains_key(&id);
            !was_read && place.between.holds(time)
        });
        let pass = self
            .interrupted
            .filter(|pass| time.is_some_and(|time| pass.covers(time)));
        let since = pass.map_or(self.since, |pass| self.since.max(Some(pass.started)));
        places.fold(since, |since, place| since.min(place.since))
    }

    /// Records that an object was sent, if it is in the gap's range.
    pub(in crate::sync::strategies) fn note_sent(&mut self, id: &str, time: Option<DateTime<Utc>>) {
        let side = self.between.as_ref().map(|it| it.side(id, time));
        if let (Some(Side::Inside), Some(time), true) = (side, time, self.sent.len() < MOST) {
            self.sent.insert(compact_ids::id(id), time);
        }
    }

    /// Returns true if an object was sent with this time while the gap was known.
    pub(in crate::sync::strategies) fn has_sent(
        &self,
        id: &str,
        time: Option<DateTime<Utc>>,
    ) -> bool {
        time.is_some() && self.sent.get(&compact_ids::id(id)).copied() == time
    }

    /// Forgets all earlier readings.
    pub(in crate::sync::strategies) fn forget_readings(&mut self) {
        self.since = None;
        self.earlier.clear();
        self.interrupted = None;
        self.sent.clear();
    }

    /// Returns true if the gap contains each object of `other`: by time and offset, if there are times.
    fn is_one_with(&self, other: &Self) -> bool {
        let end = |gap: &Self| gap.at + u64::from(gap.count);
        let is_place_within = match (&self.between, &other.between) {
            (Some(one), Some(two)) => {
                one.covers(two) && self.at <= other.at && end(other) <= end(self)
            }
            _ => self.at == other.at,
        };
        self.of == other.of && is_place_within
    }

    fn as_earlier(&self) -> Option<Earlier> {
        let neighbours = [&self.previous, &self.next];
        Some(Earlier {
            between: self.between.clone()?,
            neighbours: neighbours.into_iter().flatten().cloned().collect(),
            since: self.since,
        })
    }
}

/// Records when the objects of a new gap were last read. That follows from the gaps `before` in which the objects may
/// have been, else from `read`, the time of the last reading of the table, and the interrupted pass `pass`. If ids are
/// kept, an object that was never read is recognised by its id.
pub(in crate::sync::strategies) fn note_readings(
    gap: &mut Gap,
    before: &[Gap],
    (read, pass): (Option<DateTime<Utc>>, Option<InterruptedPass>),
    keeps_ids: bool,
) {
    let Some(between) = gap.between.clone() else {
        return;
    };
    let mut since = Some(read.unwrap_or(NEVER));
    let mut covering: Option<Option<InterruptedPass>> = None;
    let mut earlier: Vec<Earlier> = Vec::new();
    for other in before {
        let Some(place) = other.as_earlier() else {
            since = since.min(other.since);
            continue;
        };
        let counts = !keeps_ids || other.since != Some(NEVER);
        let covers = place.between.covers(&between);
        if counts && covers {
            since = since.min(other.since);
            covering = Some(covering.map_or(other.interrupted, |pass| pass.and(other.interrupted)));
        } else if counts {
            earlier.push(place);
        }
        earlier.extend(other.earlier.iter().cloned());
        if place_overlaps(other, &between) {
            gap.sent.extend(other.sent.clone());
        }
    }
    gap.interrupted = covering.unwrap_or(pass);
    let latest = since.max(gap.interrupted.map(|pass| pass.started));
    earlier.retain(|place| place.since < latest && place.between.overlaps(&between));
    earlier.dedup();
    if earlier.len() > MOST_EARLIER {
        let others = earlier.drain(..);
        since = others.fold(since, |since, place| since.min(place.since));
    }
    (gap.since, gap.earlier) = (since, earlier);
}

fn place_overlaps(gap: &Gap, between: &Between) -> bool {
    let place = gap.between.as_ref();
    place.is_some_and(|place| place.overlaps(between))
}

/// Adds a gap, unless it is known or there are too many. A known gap between the same neighbours is replaced, because
/// the gap may have moved.
pub(in crate::sync::strategies) fn add(gaps: &mut Vec<Gap>, gap: Gap) {
    let is_between = gap.previous.is_some() || gap.next.is_some();
    let is_same = |other: &Gap| {
        other.of == gap.of && other.previous == gap.previous && other.next == gap.next
    };
    if is_between && let Some(same) = gaps.iter_mut().find(|other| is_same(other)) {
        *same = gap;
        return;
    }
    let is_known = gaps.iter().any(|other| other.is_one_with(&gap));
    if !is_known && gaps.len() < MOST {
        gaps.push(gap);
    }
}

/// Returns the side of `gap` on which `place` is, if `place` belongs to one of the `others`. Each of those comes with
/// the number of places by which its objects have moved. Returns `None` if the object there may be one of `gap`.
pub(in crate::sync::strategies) fn side_of_others<'a>(
    gap: &Gap,
    others: impl IntoIterator<Item = (&'a Gap, u64)>,
    place: u64,
) -> Option<Side> {
    let between = gap.between.as_ref()?;
    let is_there = |other: &Gap, moved| {
        let first = other.at + moved;
        (first..first + u64::from(other.count)).contains(&place)
    };
    let mut others = others.into_iter();
    let other = others.find(|(other, moved)| is_there(other, *moved))?.0;
    let other = other.between.as_ref()?;
    if other.meets(between) {
        None
    } else if other.newest > between.newest {
        Some(Side::Newer)
    } else {
        Some(Side::Older)
    }
}

/// Returns the number of objects in all gaps.
pub(in crate::sync::strategies) fn objects(gaps: &[Gap]) -> u64 {
    gaps.iter().map(|gap| u64::from(gap.count)).sum()
}

/// Returns true if the gaps have the same neighbours and numbers of objects.
pub(in crate::sync::strategies) fn are_same(some: &[Gap], others: &[Gap]) -> bool {
    let neighbours = |gap: &Gap| {
        let ids = (gap.previous.clone(), gap.next.clone());
        (gap.of.clone(), ids, gap.count)
    };
    let all = |gaps: &[Gap]| -> BTreeSet<_> { gaps.iter().map(neighbours).collect() };
    all(some) == all(others)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) fn at(second: i64) -> Option<DateTime<Utc>> {
        DateTime::from_timestamp(1_795_000_000 + second, 0)
    }

    pub(in super::super) fn uuid(number: i64) -> String {
        format!("00000000-0000-0000-0000-{number:012}")
    }

    /// Returns a gap between two objects that are named by their seconds.
    pub(in super::super) fn gap(oldest: i64, newest: i64) -> Gap {
        let (previous, next) = (
            compact_ids::id(&uuid(newest)),
            compact_ids::id(&uuid(oldest)),
        );
        Gap {
            at: 1,
            count: 1,
            previous: Some(previous.clone()),
            next: Some(next.clone()),
            of: None,
            between: Some(Between {
                oldest: at(oldest),
                newest: at(newest),
                known: [(previous, newest), (next, oldest)]
                    .into_iter()
                    .filter_map(|(id, second)| Some((id, at(second)?)))
                    .collect(),
                count: 1,
            }),
            since: None,
            earlier: Vec::new(),
            interrupted: None,
            sent: BTreeMap::new(),
        }
    }

    #[test]
    fn of_two_gaps_at_one_place_none_is_forgotten() {
        let (narrow, wide) = (gap(10, 20), gap(10, 40));
        let mut gaps = vec![narrow.clone()];
        add(&mut gaps, wide.clone());
        assert_eq!(gaps, [narrow.clone(), wide.clone()]);
        // A gap that is part of another one is known.
        let mut gaps = vec![Gap {
            count: 2,
            ..wide.clone()
        }];
        add(&mut gaps, Gap { at: 2, ..narrow });
        assert_eq!(gaps.len(), 1);
    }

    #[test]
    fn objects_of_another_gap_are_beside_it() {
        let (lower, upper) = (gap(10, 20), gap(30, 40));
        let side = |gap: &Gap, other: &Gap, place| side_of_others(gap, [(other, 2)], place);
        assert_eq!(side(&lower, &upper, 3), Some(Side::Newer));
        assert_eq!(side(&upper, &lower, 3), Some(Side::Older));
        assert_eq!(side(&lower, &upper, 1), None);
        assert_eq!(side(&lower, &gap(10, 40), 3), None);
    }

    #[test]
    fn an_object_beside_one_that_was_never_read_has_its_own_last_reading() {
        let mut before = gap(10, 20);
        note_readings(&mut before, &[], (None, None), false);
        assert_eq!(before.since_of(&uuid(15), at(15)), Some(NEVER));
        // The neighbour cannot be read any more either, nor can another object beside it.
        let mut both = gap(10, 40);
        note_readings(&mut both, &[before.clone()], (at(100), None), false);
        assert_eq!(both.since_of(&uuid(15), at(15)), Some(NEVER));
        assert_eq!(both.since_of(&uuid(20), at(20)), at(100));
        assert_eq!(both.since_of(&uuid(30), at(30)), at(100));
        // An object with exactly the time of the neighbour may have been in the gap.
        assert_eq!(both.since_of(&uuid(21), at(20)), Some(NEVER));
        let mut beside = gap(20, 40);
        note_readings(&mut beside, &[before], (at(100), None), false);
        assert_eq!(beside.since_of(&uuid(30), at(30)), at(100));
    }

    /// The neighbour was read beside the lower gap, not beside the larger one. That one shares the other bound.
    #[test]
    fn a_neighbour_is_known_at_its_own_bound_only() {
        let lower = gap(10, 20);
        let mut larger = gap(10, 40);
        let upper = uuid(20);
        let between = larger.between.as_mut().expect("times");
        between.note_known_of(lower.between.as_ref().expect("times"));
        note_readings(&mut larger, &[lower], (at(5), None), false);
        let mut both = gap(0, 50);
        note_readings(&mut both, &[larger], (at(100), None), false);
        // The object was edited after the last reading of the larger gap, in which it could not be read.
        assert_eq!(both.since_of(&upper, at(30)), at(5));
    }

    #[test]
    fn what_an_interrupted_pass_has_read_was_read_when_it_began() {
        let pass = InterruptedPass {
            started: at(1_000).expect("a time"),
            reached: at(10).expect("a time"),
        };
        let mut place = gap(5, 20);
        note_readings(&mut place, &[], (None, Some(pass)), false);
        assert_eq!(place.since_of(&uuid(15), at(15)), at(1_000));
        assert_eq!(place.since_of(&uuid(7), at(7)), Some(NEVER));
        let mut same = gap(5, 20);
        note_readings(&mut same, &[place], (at(2_000), None), false);
        assert_eq!(same.since_of(&uuid(7), at(7)), Some(NEVER));
    }
}
