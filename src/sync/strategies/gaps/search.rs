//! The search for a gap in a listing by offset.

use chrono::{DateTime, Utc};

use super::{between::Side, gap::Gap};
use crate::sync::compact_ids;

/// The maximum number of requests for one gap in one sync.
const MOST_PROBES: u32 = 16;

/// A search for a gap in a listing by time, which may have moved. Each request is for one object.
#[derive(Debug)]
pub(in crate::sync::strategies) struct Search {
    pub(in crate::sync::strategies) gap: Gap,
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
    /// True while the neighbours of the gap are requested on one page, to confirm that nothing is between them. Single
    /// requests would not show that, because the listing may have moved in between.
    is_confirming: bool,
    /// True if the object at `older` is one of the gap's, and can be read.
    is_at_inside: bool,
    /// The object down to which everything in the gap was read.
    passed: Option<(String, DateTime<Utc>)>,
}

/// The response for one offset of a listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sync::strategies) enum ProbeResult {
    Row(Side),
    /// The server returns an error for the object.
    Failed,
    /// The listing ends before this offset.
    End,
}

/// The outcome of a search.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::sync::strategies) enum SearchResult {
    /// More offsets must be requested.
    Unfinished,
    /// The server still returns errors for `count` objects, from the offset `at` on.
    StillUnreadable { at: u64, count: u32 },
    /// The gap has no objects any more.
    Gone,
}

impl Search {
    /// Starts a search where `gap` was, moved by `moved` places.
    pub(in crate::sync::strategies) fn new(gap: Gap, moved: u64) -> Self {
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
            is_confirming: false,
            is_at_inside: false,
            passed: None,
        }
    }

    /// Returns the offset to request.
    pub(in crate::sync::strategies) fn at(&self) -> u64 {
        self.at
    }

    /// Returns the number of objects to request from there on.
    pub(in crate::sync::strategies) fn limit(&self) -> u32 {
        if self.is_confirming { 2 } else { 1 }
    }

    /// Takes the response for the requested offset, and for the next one if that was requested, too.
    pub(in crate::sync::strategies) fn accept(
        &mut self,
        probe: ProbeResult,
        next: Option<ProbeResult>,
    ) -> SearchResult {
        self.probes += 1;
        if self.probes >= MOST_PROBES {
            return self.still();
        }
        if !std::mem::take(&mut self.is_confirming) {
            return self.accept_step(probe);
        }
        let is_adjacent = matches!(next, Some(ProbeResult::Row(Side::Older) | ProbeResult::End));
        if probe == ProbeResult::Row(Side::Newer) && is_adjacent {
            return SearchResult::Gone;
        }
        (self.newer, self.older) = (None, None);
        (self.is_scanning, self.failed) = (false, 0);
        match probe {
            // Either of the two objects cannot be read.
            ProbeResult::Failed => self.look_at(self.at),
            _ => self.accept_step(probe),
        }
    }

    /// Returns true if the next response decides whether the gap is gone.
    pub(in crate::sync::strategies) fn is_confirming(&self) -> bool {
        self.is_confirming
    }

    fn accept_step(&mut self, probe: ProbeResult) -> SearchResult {
        match self.step(probe) {
            // Among objects of one time the side of an object is not known.
            SearchResult::Gone if self.is_among_equals() && self.read == 0 => {
                SearchResult::StillUnreadable {
                    at: self.gap.at,
                    count: self.gap.count,
                }
            }
            SearchResult::Gone if self.is_among_equals() || self.read >= self.gap.count => {
                SearchResult::Gone
            }
            // The two neighbours were read one after another: others may have moved between them since.
            SearchResult::Gone => self.confirm(),
            found => found,
        }
    }

    /// Requests both neighbours of the gap on one page. If the listing begins behind the gap, one object shows that.
    fn confirm(&mut self) -> SearchResult {
        let Some(newer) = self.newer else {
            return SearchResult::Gone;
        };
        self.is_confirming = true;
        self.look_at(newer)
    }

    fn is_among_equals(&self) -> bool {
        let between = self.gap.between.as_ref();
        between.is_some_and(|it| it.newest.is_some() && it.newest == it.oldest)
    }

    fn step(&mut self, probe: ProbeResult) -> SearchResult {
        if probe == ProbeResult::Row(Side::Inside) {
            self.read += 1;
        }
        if self.is_scanning {
            self.scan(probe)
        } else {
            self.locate(probe)
        }
    }

    /// Records the object at the requested offset, which is one of the gap's.
    pub(in crate::sync::strategies) fn pass(&mut self, id: &str, time: Option<DateTime<Utc>>) {
        if self.is_scanning && self.failed == 0 && !self.is_confirming {
            self.passed = time.map(|time| (compact_ids::id(id), time));
        }
    }

    fn still(&mut self) -> SearchResult {
        if let (Some((id, time)), Some(between)) = (self.passed.take(), &mut self.gap.between)
            && self.failed == 0
        {
            // Other objects have moved into this range; the next search begins after those that were read.
            between.newest = Some(time);
            between.known.insert(id, time);
            let (at, count) = (self.at, self.gap.count);
            return SearchResult::StillUnreadable { at, count };
        }
        let at = self.newer.map_or(self.gap.at, |newer| newer + 1);
        let count = self.gap.count;
        SearchResult::StillUnreadable { at, count }
    }

    fn scan(&mut self, probe: ProbeResult) -> SearchResult {
        match probe {
            ProbeResult::Row(Side::Newer) => {
                // The objects that failed before this one belong to another gap.
                self.failed = 0;
                self.is_scanning = false;
                return self.locate(probe);
            }
            ProbeResult::Row(Side::Inside) => {}
            ProbeResult::Failed => self.failed += 1,
            ProbeResult::Row(Side::Older) | ProbeResult::End => return self.ended(),
        }
        self.at += 1;
        // Objects that could be read do not count: they may have been inserted since.
        if self.failed >= self.gap.count {
            return self.ended();
        }
        SearchResult::Unfinished
    }

    fn ended(&self) -> SearchResult {
        match self.failed {
            0 => SearchResult::Gone,
            count => SearchResult::StillUnreadable {
                at: self
                    .newer
                    .map_or(self.at.saturating_sub(count.into()), |newer| newer + 1),
                count,
            },
        }
    }

    fn locate(&mut self, probe: ProbeResult) -> SearchResult {
        match probe {
            ProbeResult::Row(Side::Newer) => {
                self.newer = Some(self.at);
                if self.probes == 1 {
                    return self.begin_scan(self.at + 1);
                }
            }
            ProbeResult::Row(_) | ProbeResult::End => {
                self.older = Some(self.at);
                // Other objects of the gap may be before this one.
                self.is_at_inside = probe == ProbeResult::Row(Side::Inside);
            }
            // The object belongs to this gap or to another one: the offset before it decides.
            ProbeResult::Failed if self.at == 0 => return self.begin_scan_with(probe, 0),
            ProbeResult::Failed if self.newer == Some(self.at - 1) => {
                return self.begin_scan_with(probe, self.at);
            }
            ProbeResult::Failed => {
                self.at -= 1;
                return SearchResult::Unfinished;
            }
        }
        self.jump *= 2;
        match (self.newer, self.older) {
            (Some(newer), Some(older)) if older <= newer + 1 && self.is_at_inside => {
                self.begin_scan(newer + 1)
            }
            (None, Some(0)) if self.is_at_inside => self.begin_scan(0),
            (Some(newer), Some(older)) if older <= newer + 1 => SearchResult::Gone,
            (Some(newer), Some(older)) if older - newer <= 3 => self.begin_scan(newer + 1),
            (Some(newer), Some(older)) => self.look_at(newer.midpoint(older)),
            (Some(newer), None) => self.look_at(newer + self.jump),
            (None, Some(0)) => SearchResult::Gone,
            (None, Some(older)) => self.look_at(older.saturating_sub(self.jump)),
            (None, None) => self.look_at(self.at),
        }
    }

    fn look_at(&mut self, at: u64) -> SearchResult {
        self.at = at;
        SearchResult::Unfinished
    }

    fn begin_scan(&mut self, at: u64) -> SearchResult {
        self.is_scanning = true;
        self.failed = 0;
        self.passed = None;
        self.look_at(at)
    }

    fn begin_scan_with(&mut self, probe: ProbeResult, at: u64) -> SearchResult {
        self.begin_scan(at);
        self.scan(probe)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::{super::gap::tests::gap, *};

    /// Answers the request of a search. An error on a page of two does not show which of them cannot be read.
    fn answer(search: &mut Search, listing: &[Option<Side>], at: usize) -> SearchResult {
        let of = |at| match listing.get(at) {
            None => ProbeResult::End,
            Some(None) => ProbeResult::Failed,
            Some(Some(side)) => ProbeResult::Row(*side),
        };
        match (search.limit(), of(at), of(at + 1)) {
            (1, probe, _) => search.accept(probe, None),
            (_, _, ProbeResult::Failed) => search.accept(ProbeResult::Failed, None),
            (_, probe, next) => search.accept(probe, Some(next)),
        }
    }

    /// Searches `listing` for a gap that was at `was`. Each element is a side, or `None` where the server returns an
    /// error. Returns the outcome and the number of requests.
    fn search(listing: &[Option<Side>], was: u64, count: u32) -> (SearchResult, u32) {
        let gap = Gap {
            at: was,
            count,
            previous: None,
            next: None,
            of: None,
            between: None,
            since: None,
            earlier: Vec::new(),
            interrupted: None,
            sent: BTreeMap::new(),
        };
        let mut search = Search::new(gap, 0);
        for requests in 1.. {
            let at = usize::try_from(search.at()).expect("small");
            let found = answer(&mut search, listing, at);
            if found != SearchResult::Unfinished {
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
        let still = SearchResult::StillUnreadable { at: 50, count: 1 };
        assert_eq!(search(&listing(50, &[None], 50), 50, 1), (still, 2));
        let first = SearchResult::StillUnreadable { at: 0, count: 1 };
        assert_eq!(search(&listing(0, &[None], 50), 0, 1), (first, 1));
        let two = SearchResult::StillUnreadable { at: 9, count: 2 };
        assert_eq!(search(&listing(9, &[None, None], 3), 9, 2), (two, 3));
    }

    #[test]
    fn a_gap_that_moved_is_found_and_so_is_that_it_is_gone() {
        for newer in 0..40 {
            for was in 0..40 {
                let place = u64::try_from(newer).expect("small");
                let (found, requests) = search(&listing(newer, &[None], 30), was, 1);
                let still = SearchResult::StillUnreadable {
                    at: place,
                    count: 1,
                };
                assert_eq!(found, still, "{newer}, was at {was}");
                assert!(requests < MOST_PROBES, "{requests}");
                let (found, _) = search(&listing(newer, &[], 30), was, 1);
                assert_eq!(found, SearchResult::Gone, "{newer}, was at {was}");
                let healed = [Some(Side::Inside)];
                let (found, _) = search(&listing(newer, &healed, 30), was, 1);
                assert_eq!(found, SearchResult::Gone, "{newer}, was at {was}");
                let half = [Some(Side::Inside), None];
                let (found, _) = search(&listing(newer, &half, 30), was, 2);
                assert!(
                    matches!(found, SearchResult::StillUnreadable { count: 1 | 2, .. }),
                    "{found:?}"
                );
            }
        }
    }

    /// Searches a listing that changes at its newer end. `changes` has the numbers of the requests before which rows are
    /// inserted or deleted, with the number of rows.
    fn search_moving(changes: &[(u32, i64)], was: u64) -> SearchResult {
        let mut newer = 11;
        let gap = Gap {
            at: was,
            ..gap(10, 20)
        };
        let mut search = Search::new(gap, 0);
        for request in 1.. {
            let here = changes.iter().filter(|(at, _)| *at == request);
            newer += here.map(|(_, rows)| rows).sum::<i64>();
            let newer = usize::try_from(newer).expect("not negative");
            let listing = listing(newer, &[None], 2);
            let place = usize::try_from(search.at()).expect("small");
            let found = answer(&mut search, &listing, place);
            if found != SearchResult::Unfinished {
                return found;
            }
        }
        unreachable!("a search ends")
    }

    #[test]
    fn a_listing_that_changes_meanwhile_hides_no_gap() {
        for was in [11, 4, 14] {
            for (first, second) in (2..10).flat_map(|first| (first..10).map(move |it| (first, it)))
            {
                for (one, two) in [(1, 1), (-1, -1), (1, -1), (-1, 1), (-2, 1)] {
                    let changes = [(first, one), (second, two)];
                    let found = search_moving(&changes, was);
                    assert!(
                        matches!(found, SearchResult::StillUnreadable { .. }),
                        "was at {was}, {changes:?}"
                    );
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
            (2, ProbeResult::Row(Side::Newer)),
            (3, ProbeResult::Row(Side::Inside)),
            (4, ProbeResult::Row(Side::Older)),
            (2, ProbeResult::Row(Side::Inside)),
        ];
        for (at, probe) in answers {
            assert_eq!(search.at(), at);
            assert_eq!(search.accept(probe, None), SearchResult::Unfinished);
        }
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
                match search.accept(probe.map_or(ProbeResult::End, ProbeResult::Row), None) {
                    SearchResult::Unfinished => {}
                    found => {
                        assert_eq!(found, SearchResult::Gone, "was at {was}");
                        break;
                    }
                }
            }
            assert_eq!(found, [4, 5, 6].into(), "was at {was}");
        }
    }
}
