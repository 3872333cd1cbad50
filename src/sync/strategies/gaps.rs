//! Gaps: objects of a listing for which the server returns an error.
//!
//! Their positions are kept, so that pages are read around gaps with few requests, and the objects are sent as soon as
//! they can be read.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{newest_first::InterruptedPass, request::FetchedPage};
use crate::{
    rows::Row,
    sync::{compact_ids, unreadable::Known},
};

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
    pub(super) at: u64,
    /// The number of objects.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub(super) count: u32,
    /// The packed id of the object before the gap; `None` if the page begins with the gap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) previous: Option<String>,
    /// The packed id of the object after the gap; `None` if the page ends with the gap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) next: Option<String>,
    /// The name of the object to which the listing belongs, if each object of another table has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) of: Option<String>,
    /// The times of the neighbours, if the listing is sorted by time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) between: Option<Between>,
    /// The time of the last reading of the table before the gap appeared: earlier changes were sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) since: Option<DateTime<Utc>>,
    /// Earlier places in which some of the objects may have been.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) earlier: Vec<Earlier>,
    /// The interrupted pass that read the range of this gap. The objects that it read were last read when that pass
    /// began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) walk: Option<InterruptedPass>,
    /// The objects that are in this range now and were sent: times by packed id.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) sent: BTreeMap<String, DateTime<Utc>>,
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

/// The range of times in which the objects of a gap are, including both bounds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Between {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) oldest: Option<DateTime<Utc>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) newest: Option<DateTime<Utc>>,
    /// Objects that were read with exactly the time of a bound: times by packed id.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) known: BTreeMap<String, DateTime<Utc>>,
    /// The number of objects, if it is not recorded elsewhere.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub(super) count: u32,
}

impl Gap {
    /// Creates a gap of objects that were never read, at an unknown offset of the listing `of`.
    pub(super) fn never_read(of: &str, between: Between, count: u32) -> Self {
        Self {
            at: 0,
            count,
            previous: None,
            next: None,
            of: Some(of.to_owned()),
            between: Some(between),
            since: None,
            earlier: Vec::new(),
            walk: None,
            sent: BTreeMap::new(),
        }
    }

    /// Converts the gap into the form in which a page is read around it.
    pub(super) fn into_known(self) -> Known {
        Known {
            at: self.at,
            count: self.count,
            previous: self.previous,
            next: self.next,
        }
    }

    /// Returns the time at which an object of the gap was last read before the gap appeared. `None` if that is unknown.
    pub(super) fn since_of(&self, id: &str, time: Option<DateTime<Utc>>) -> Option<DateTime<Utc>> {
        let id = compact_ids::id(id);
        let places = self.earlier.iter().filter(|place| {
            let was_read = place.neighbours.contains(&id) || place.between.known.contains_key(&id);
            !was_read && place.between.holds(time)
        });
        let walk = self
            .walk
            .filter(|walk| time.is_some_and(|time| walk.covers(time)));
        let since = walk.map_or(self.since, |walk| self.since.max(Some(walk.started)));
        places.fold(since, |since, place| since.min(place.since))
    }

    /// Records that an object was sent, if it is in the gap's range.
    pub(super) fn note_sent(&mut self, id: &str, time: Option<DateTime<Utc>>) {
        let side = self.between.as_ref().map(|it| it.side(id, time));
        if let (Some(Side::Inside), Some(time), true) = (side, time, self.sent.len() < MOST) {
            self.sent.insert(compact_ids::id(id), time);
        }
    }

    /// Returns true if an object was sent with this time while the gap was known.
    pub(super) fn has_sent(&self, id: &str, time: Option<DateTime<Utc>>) -> bool {
        time.is_some() && self.sent.get(&compact_ids::id(id)).copied() == time
    }

    /// Forgets all earlier readings.
    pub(super) fn forget_readings(&mut self) {
        self.since = None;
        self.earlier.clear();
        self.walk = None;
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

pub(super) const fn one() -> u32 {
    1
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
pub(super) fn is_one(count: &u32) -> bool {
    *count == 1
}

/// The side of a gap on which a row is, by time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Newer,
    /// The row is one of the gap's objects, and can be read now.
    Inside,
    Older,
}

impl Between {
    /// Records those of the objects that have exactly the time of a bound.
    pub(super) fn note_known(&mut self, objects: &[(String, Option<DateTime<Utc>>)]) {
        for (id, time) in objects {
            if let Some(time) = time.filter(|time| self.is_bound(*time)) {
                self.known.insert(id.clone(), time);
            }
        }
    }

    fn is_bound(&self, time: DateTime<Utc>) -> bool {
        self.newest == Some(time) || self.oldest == Some(time)
    }

    /// Adopts the objects that were known for the same place before.
    pub(super) fn note_known_of(&mut self, before: &Self) {
        for (id, time) in &before.known {
            if self.is_bound(*time) {
                self.known.insert(id.clone(), *time);
            }
        }
    }

    /// Returns true if an object with this time may be in the range.
    fn holds(&self, time: Option<DateTime<Utc>>) -> bool {
        time.is_none_or(|time| {
            self.oldest.is_none_or(|oldest| oldest <= time)
                && self.newest.is_none_or(|newest| time <= newest)
        })
    }

    /// Returns true if each object of `other` is in the range.
    fn covers(&self, other: &Self) -> bool {
        let is_old_enough = self.oldest.is_none() || other.oldest >= self.oldest;
        let is_new_enough =
            self.newest.is_none() || (other.newest.is_some() && other.newest <= self.newest);
        is_old_enough && is_new_enough
    }

    /// Returns true if the ranges share more than an object that was read beside both.
    pub(super) fn meets(&self, other: &Self) -> bool {
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
    pub(super) fn overlaps(&self, other: &Self) -> bool {
        let is_below = |lower: &Self, upper: &Self| matches!((lower.newest, upper.oldest), (Some(newest), Some(oldest)) if newest < oldest);
        !is_below(self, other) && !is_below(other, self)
    }

    pub(super) fn side(&self, id: &str, time: Option<DateTime<Utc>>) -> Side {
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

/// Returns the gaps of a page, in their order.
pub(super) fn of_page(page: &FetchedPage, of: Option<&str>) -> Vec<Gap> {
    let id = |at: usize| page.list.get(at).map(|row| compact_ids::id(row.id()));
    let mut gaps: Vec<Gap> = Vec::new();
    let mut last = None;
    for (row, at) in page.gaps.iter().zip(&page.gap_offsets) {
        if let (Some(gap), true) = (gaps.last_mut(), last == Some(*row)) {
            gap.count += 1;
            continue;
        }
        last = Some(*row);
        gaps.push(Gap {
            at: *at,
            count: 1,
            previous: row.checked_sub(1).and_then(id),
            next: id(*row),
            of: of.map(str::to_owned),
            between: None,
            since: None,
            earlier: Vec::new(),
            walk: None,
            sent: BTreeMap::new(),
        });
    }
    gaps
}

/// Returns the gaps of a page of a listing by time, newest first. `reached` is the time of the end of the page before;
/// for the first page, the upper bound of the listing. Gaps at the end of a page are left out unless it is the last
/// page: they come again with the next page.
pub(super) fn of_page_by_time(
    page: &FetchedPage,
    time: impl Fn(&Row) -> Option<DateTime<Utc>>,
    reached: DateTime<Utc>,
) -> Vec<Gap> {
    let is_last = page.objects < page.limit as usize;
    let mut gaps = of_page(page, None);
    gaps.retain(|gap| is_last || gap.next.is_some());
    let with_id = |id: &Option<String>| {
        let id = id.as_ref()?;
        page.list
            .iter()
            .find(|row| compact_ids::id(row.id()) == *id)
    };
    for gap in &mut gaps {
        let newest = match with_id(&gap.previous) {
            Some(row) => time(row),
            None => Some(reached),
        };
        let oldest = with_id(&gap.next).and_then(&time);
        let at_a_bound = |row: &Row| {
            let time = time(row).filter(|time| newest == Some(*time) || oldest == Some(*time))?;
            Some((compact_ids::id(row.id()), time))
        };
        gap.between = Some(Between {
            oldest,
            newest,
            known: page.list.iter().filter_map(at_a_bound).collect(),
            count: 1,
        });
    }
    gaps
}

/// Records when the objects of a new gap were last read. That follows from the gaps `before` in which the objects may
/// have been, else from `read`, the time of the last reading of the table, and the interrupted pass `walk`. If ids are
/// kept, an object that was never read is recognised by its id.
pub(super) fn note_readings(
    gap: &mut Gap,
    before: &[Gap],
    (read, walk): (Option<DateTime<Utc>>, Option<InterruptedPass>),
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
            covering = Some(covering.map_or(other.walk, |walk| walk.and(other.walk)));
        } else if counts {
            earlier.push(place);
        }
        earlier.extend(other.earlier.iter().cloned());
        if place_overlaps(other, &between) {
            gap.sent.extend(other.sent.clone());
        }
    }
    gap.walk = covering.unwrap_or(walk);
    let latest = since.max(gap.walk.map(|walk| walk.started));
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
pub(super) fn add(gaps: &mut Vec<Gap>, gap: Gap) {
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
pub(super) fn side_of_others<'a>(
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
pub(super) fn objects(gaps: &[Gap]) -> u64 {
    gaps.iter().map(|gap| u64::from(gap.count)).sum()
}

/// Returns the gaps that should be on a page that has `limit` objects besides them.
pub(super) fn on_page(gaps: &[Gap], of: Option<&str>, offset: u64, limit: u32) -> Vec<Gap> {
    let listing = gaps
        .iter()
        .filter(|gap| gap.of.as_deref() == of && gap.at >= offset);
    let mut gaps: Vec<Gap> = listing.cloned().collect();
    gaps.sort_unstable_by_key(|gap| gap.at);
    let mut end = offset + u64::from(limit);
    let mut is_on_page = |gap: &Gap| {
        let is_inside = gap.at < end;
        end += u64::from(gap.count);
        is_inside
    };
    let number = gaps.iter().take_while(|gap| is_on_page(gap)).count();
    gaps.truncate(number);
    gaps
}

/// Returns true if the gaps have the same neighbours and numbers of objects.
pub(super) fn are_same(some: &[Gap], others: &[Gap]) -> bool {
    let neighbours = |gap: &Gap| {
        let ids = (gap.previous.clone(), gap.next.clone());
        (gap.of.clone(), ids, gap.count)
    };
    let all = |gaps: &[Gap]| -> BTreeSet<_> { gaps.iter().map(neighbours).collect() };
    all(some) == all(others)
}

/// The maximum number of requests for one gap in one sync.
const MOST_PROBES: u32 = 16;

/// A search for a gap in a listing by time, which may have moved. Each request is for one object.
#[derive(Debug)]
pub(super) struct Search {
    pub(super) gap: Gap,
    /// The last offset that is known to be before the gap.
    newer: Option<u64>,
    /// The first offset that is known to be after the gap.
    older: Option<u64>,
    /// The offset to request.
    at: u64,
    /// True while the offsets after `newer` are requested one after another.
    is_scanning: bool,
    jump: u64,
    failed: u32,
    read: u32,
    probes: u32,
    /// The neighbour that is requested again to confirm that the gap is gone. The listing may have moved in between.
    confirming: Option<Neighbour>,
    /// True if the object at `older` is one of the gap's, and can be read.
    is_at_inside: bool,
    /// The object down to which everything in the gap was read.
    passed: Option<(String, DateTime<Utc>)>,
}

/// A neighbour of a gap that seems to be gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Neighbour {
    Newer,
    Older,
}

/// The response for one offset of a listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Probe {
    Row(Side),
    /// The server returns an error for the object.
    Failed,
    /// The listing ends before this offset.
    End,
}

/// The outcome of a search.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// More offsets must be requested.
    NotYet,
    /// The server still returns errors for `count` objects, from the offset `at` on.
    Still { at: u64, count: u32 },
    /// The gap has no objects any more.
    Gone,
}

impl Search {
    /// Starts a search where `gap` was, moved by `moved` places.
    pub(super) fn new(gap: Gap, moved: u64) -> Self {
        let at = gap.at + moved;
        Self {
            gap,
            newer: None,
            older: None,
            at: at.saturating_sub(1),
            is_scanning: at == 0,
            jump: 1,
            failed: 0,
            read: 0,
            probes: 0,
            confirming: None,
            is_at_inside: false,
            passed: None,
        }
    }

    /// Returns the offset to request.
    pub(super) fn at(&self) -> u64 {
        self.at
    }

    /// Takes the response for the requested offset.
    pub(super) fn accept(&mut self, probe: Probe) -> Found {
        self.probes += 1;
        if self.probes >= MOST_PROBES {
            return self.still();
        }
        match (self.confirming.take(), probe) {
            (None, _) => self.accept_step(probe),
            (Some(Neighbour::Older), Probe::Row(Side::Older) | Probe::End) => {
                self.confirm(Neighbour::Newer)
            }
            // The objects before and after the gap are both still there.
            (Some(Neighbour::Newer), Probe::Row(Side::Newer)) => Found::Gone,
            _ => {
                (self.newer, self.older) = (None, None);
                (self.is_scanning, self.failed) = (false, 0);
                self.accept_step(probe)
            }
        }
    }

    /// Returns true if the next response decides whether the gap is gone.
    pub(super) fn is_confirming(&self) -> bool {
        self.confirming.is_some()
    }

    fn accept_step(&mut self, probe: Probe) -> Found {
        match self.step(probe) {
            // Among objects of one time the side of an object is not known.
            Found::Gone if self.is_among_equals() && self.read == 0 => Found::Still {
                at: self.gap.at,
                count: self.gap.count,
            },
            Found::Gone if self.is_among_equals() || self.read >= self.gap.count => Found::Gone,
            // The object after the gap was read earlier: others may have been inserted since.
            Found::Gone if probe == Probe::Row(Side::Newer) => self.confirm(Neighbour::Older),
            Found::Gone => self.confirm(Neighbour::Newer),
            found => found,
        }
    }

    /// Requests a neighbour of the gap again: first the one after it, then the one before it. If rows before the gap
    /// are only inserted, or only deleted, in the meantime, both cannot be confirmed while the gap is between them.
    fn confirm(&mut self, neighbour: Neighbour) -> Found {
        let Some(newer) = self.newer else {
            return Found::Gone;
        };
        self.confirming = Some(neighbour);
        match neighbour {
            Neighbour::Newer => self.look_at(newer),
            Neighbour::Older => self.look_at(newer + 1),
        }
    }

    fn is_among_equals(&self) -> bool {
        let between = self.gap.between.as_ref();
        between.is_some_and(|it| it.newest.is_some() && it.newest == it.oldest)
    }

    fn step(&mut self, probe: Probe) -> Found {
        if probe == Probe::Row(Side::Inside) {
            self.read += 1;
        }
        if self.is_scanning {
            self.scan(probe)
        } else {
            self.locate(probe)
        }
    }

    /// Records the object at the requested offset, which is one of the gap's.
    pub(super) fn pass(&mut self, id: &str, time: Option<DateTime<Utc>>) {
        if self.is_scanning && self.failed == 0 {
            self.passed = time.map(|time| (compact_ids::id(id), time));
        }
    }

    fn still(&mut self) -> Found {
        if let (Some((id, time)), Some(between)) = (self.passed.take(), &mut self.gap.between)
            && self.failed == 0
        {
            // Other objects have moved into this range; the next search begins after those that were read.
            between.newest = Some(time);
            between.known.insert(id, time);
            let (at, count) = (self.at, self.gap.count);
            return Found::Still { at, count };
        }
        let at = self.newer.map_or(self.gap.at, |newer| newer + 1);
        let count = self.gap.count;
        Found::Still { at, count }
    }

    fn scan(&mut self, probe: Probe) -> Found {
        match probe {
            Probe::Row(Side::Newer) => {
                // The objects that failed before this one belong to another gap.
                self.failed = 0;
                self.is_scanning = false;
                return self.locate(probe);
            }
            Probe::Row(Side::Inside) => {}
            Probe::Failed => self.failed += 1,
            Probe::Row(Side::Older) | Probe::End => return self.ended(),
        }
        self.at += 1;
        // Objects that could be read do not count: they may have been inserted since.
        if self.failed >= self.gap.count {
            return self.ended();
        }
        Found::NotYet
    }

    fn ended(&self) -> Found {
        match self.failed {
            0 => Found::Gone,
            count => Found::Still {
                at: self
                    .newer
                    .map_or(self.at.saturating_sub(count.into()), |newer| newer + 1),
                count,
            },
        }
    }

    fn locate(&mut self, probe: Probe) -> Found {
        match probe {
            Probe::Row(Side::Newer) => {
                self.newer = Some(self.at);
                if self.probes == 1 {
                    return self.begin_scan(self.at + 1);
                }
            }
            Probe::Row(_) | Probe::End => {
                self.older = Some(self.at);
                // Other objects of the gap may be before this one.
                self.is_at_inside = probe == Probe::Row(Side::Inside);
            }
            // The object belongs to this gap or to another one: the offset before it decides.
            Probe::Failed if self.at == 0 => return self.begin_scan_with(probe, 0),
            Probe::Failed if self.newer == Some(self.at - 1) => {
                return self.begin_scan_with(probe, self.at);
            }
            Probe::Failed => {
                self.at -= 1;
                return Found::NotYet;
            }
        }
        self.jump *= 2;
        match (self.newer, self.older) {
            (Some(newer), Some(older)) if older <= newer + 1 && self.is_at_inside => {
                self.begin_scan(newer + 1)
            }
            (None, Some(0)) if self.is_at_inside => self.begin_scan(0),
            (Some(newer), Some(older)) if older <= newer + 1 => Found::Gone,
            (Some(newer), Some(older)) if older - newer <= 3 => self.begin_scan(newer + 1),
            (Some(newer), Some(older)) => self.look_at(newer.midpoint(older)),
            (Some(newer), None) => self.look_at(newer + self.jump),
            (None, Some(0)) => Found::Gone,
            (None, Some(older)) => self.look_at(older.saturating_sub(self.jump)),
            (None, None) => self.look_at(self.at),
        }
    }

    fn look_at(&mut self, at: u64) -> Found {
        self.at = at;
        Found::NotYet
    }

    fn begin_scan(&mut self, at: u64) -> Found {
        self.is_scanning = true;
        self.failed = 0;
        self.passed = None;
        self.look_at(at)
    }

    fn begin_scan_with(&mut self, probe: Probe, at: u64) -> Found {
        self.begin_scan(at);
        self.scan(probe)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Searches `listing` for a gap that was at `was`. Each element is a side, or `None` where the server returns an
    /// error. Returns the outcome and the number of requests.
    fn search(listing: &[Option<Side>], was: u64, count: u32) -> (Found, u32) {
        let gap = Gap {
            at: was,
            count,
            previous: None,
            next: None,
            of: None,
            between: None,
            since: None,
            earlier: Vec::new(),
            walk: None,
            sent: BTreeMap::new(),
        };
        let mut search = Search::new(gap, 0);
        for requests in 1.. {
            let at = usize::try_from(search.at()).expect("small");
            let probe = match listing.get(at) {
                None => Probe::End,
                Some(None) => Probe::Failed,
                Some(Some(side)) => Probe::Row(*side),
            };
            let found = search.accept(probe);
            if found != Found::NotYet {
                return (found, requests);
            }
        }
        unreachable!("a search ends")
    }

    fn listing(newer: usize, middle: &[Option<Side>], older: usize) -> Vec<Option<Side>> {
        let mut all = vec![Some(Side::Newer); newer];
        all.extend(middle);
        all.extend(vec![Some(Side::Older); older]);
        all
    }

    #[test]
    fn a_gap_where_it_was_costs_two_requests() {
        let still = Found::Still { at: 50, count: 1 };
        assert_eq!(search(&listing(50, &[None], 50), 50, 1), (still, 2));
        let first = Found::Still { at: 0, count: 1 };
        assert_eq!(search(&listing(0, &[None], 50), 0, 1), (first, 1));
        let two = Found::Still { at: 9, count: 2 };
        assert_eq!(search(&listing(9, &[None, None], 3), 9, 2), (two, 3));
    }

    #[test]
    fn a_gap_that_moved_is_found_and_so_is_that_it_is_gone() {
        for newer in 0..40 {
            for was in 0..40 {
                let place = u64::try_from(newer).expect("small");
                let (found, requests) = search(&listing(newer, &[None], 30), was, 1);
                let still = Found::Still {
                    at: place,
                    count: 1,
                };
                assert_eq!(found, still, "{newer}, was at {was}");
                assert!(requests < MOST_PROBES, "{requests}");
                let (found, _) = search(&listing(newer, &[], 30), was, 1);
                assert_eq!(found, Found::Gone, "{newer}, was at {was}");
                let healed = [Some(Side::Inside)];
                let (found, _) = search(&listing(newer, &healed, 30), was, 1);
                assert_eq!(found, Found::Gone, "{newer}, was at {was}");
                let half = [Some(Side::Inside), None];
                let (found, _) = search(&listing(newer, &half, 30), was, 2);
                assert!(
                    matches!(found, Found::Still { count: 1 | 2, .. }),
                    "{found:?}"
                );
            }
        }
    }

    /// Searches a listing that grows or shrinks at its newer end. `changes` has the numbers of the requests before
    /// which a row is inserted or deleted.
    fn search_moving(changes: &[u32], grows: bool, was: u64) -> Found {
        let mut newer = 11_usize;
        let gap = Gap {
            at: was,
            ..gap(10, 20)
        };
        let mut search = Search::new(gap, 0);
        for request in 1.. {
            for _ in changes.iter().filter(|change| **change == request) {
                newer = if grows { newer + 1 } else { newer - 1 };
            }
            let listing = listing(newer, &[None], 2);
            let place = usize::try_from(search.at()).expect("small");
            let probe = match listing.get(place) {
                None => Probe::End,
                Some(None) => Probe::Failed,
                Some(Some(side)) => Probe::Row(*side),
            };
            let found = search.accept(probe);
            if found != Found::NotYet {
                return found;
            }
        }
        unreachable!("a search ends")
    }

    #[test]
    fn a_listing_that_grows_or_shrinks_meanwhile_hides_no_gap() {
        for (grows, was) in [(true, 11), (true, 4), (false, 11), (false, 14)] {
            for first in 2..10 {
                for second in first..10 {
                    let found = search_moving(&[first, second], grows, was);
                    let context = format!("{grows}, was at {was}, {first}, {second}");
                    assert!(matches!(found, Found::Still { .. }), "{context}");
                }
            }
        }
    }

    /// One of two objects can be read. Then a row before them is deleted, and the other object takes that place.
    #[test]
    fn an_object_that_moves_to_the_place_of_another_one_is_not_taken_for_gone() {
        let gap = Gap {
            at: 3,
            count: 2,
            ..gap(10, 20)
        };
        let mut search = Search::new(gap, 0);
        let answers = [
            (2, Probe::Row(Side::Newer)),
            (3, Probe::Row(Side::Inside)),
            (4, Probe::Row(Side::Older)),
            (2, Probe::Row(Side::Inside)),
        ];
        for (at, probe) in answers {
            assert_eq!(search.at(), at);
            assert_eq!(search.accept(probe), Found::NotYet);
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

    fn at(second: i64) -> Option<DateTime<Utc>> {
        DateTime::from_timestamp(1_795_000_000 + second, 0)
    }

    fn uuid(number: i64) -> String {
        format!("00000000-0000-0000-0000-{number:012}")
    }

    /// Returns a gap between two objects that are named by their seconds.
    fn gap(oldest: i64, newest: i64) -> Gap {
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
            walk: None,
            sent: BTreeMap::new(),
        }
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
    fn what_an_interrupted_walk_has_read_was_read_when_it_began() {
        let walk = InterruptedPass {
            started: at(1_000).expect("a time"),
            reached: at(10).expect("a time"),
        };
        let mut place = gap(5, 20);
        note_readings(&mut place, &[], (None, Some(walk)), false);
        assert_eq!(place.since_of(&uuid(15), at(15)), at(1_000));
        assert_eq!(place.since_of(&uuid(7), at(7)), Some(NEVER));
        let mut same = gap(5, 20);
        note_readings(&mut same, &[place], (at(2_000), None), false);
        assert_eq!(same.since_of(&uuid(7), at(7)), Some(NEVER));
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

    /// Several objects of a gap can be read now. Each of them is found, no matter where the search begins.
    #[test]
    fn a_search_meets_all_that_can_be_read_of_a_place() {
        for was in 0..12_u64 {
            let listing = listing(4, &[Some(Side::Inside); 3], 5);
            let mut search = Search::new(
                Gap {
                    at: was,
                    count: 3,
                    ..gap(10, 20)
                },
                0,
            );
            let mut found = BTreeSet::new();
            loop {
                let place = usize::try_from(search.at()).expect("small");
                let probe = listing.get(place).copied().flatten();
                if probe == Some(Side::Inside) {
                    found.insert(place);
                }
                match search.accept(probe.map_or(Probe::End, Probe::Row)) {
                    Found::NotYet => {}
                    found => {
                        assert_eq!(found, Found::Gone, "was at {was}");
                        break;
                    }
                }
            }
            assert_eq!(found, [4, 5, 6].into(), "was at {was}");
        }
    }
}
