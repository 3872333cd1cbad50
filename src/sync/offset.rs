//! Offset pagination that loses no row if the listing changes during a pass or has unordered ties.

use std::{
    collections::{BTreeSet, HashSet},
    hash::{DefaultHasher, Hash, Hasher},
};

use chrono::{DateTime, Utc};

use super::progress::{NoProgress, Progress};

/// The smallest page: pages of one row could not overlap.
pub(super) const SMALLEST_PAGE: u32 = 2;

/// The number of readings without a new row after which a group of equal rows is complete. Only a group that is larger
/// than a page is read again: rows that are deleted during a reading make room for rows that were not seen.
const QUIET_READINGS: u32 = 3;

/// The same number if there should be more rows than were seen.
const MOST_QUIET_READINGS: u32 = 8;

/// A row in the form that pagers take: its id and its sort value as a number. Rows with equal numbers may come in
/// another order at each request.
pub(super) type Sorted<'a> = (&'a str, i64);

/// Returns a row of a listing sorted by id, in which no two rows are equal.
pub(super) fn by_id(id: &str) -> Sorted<'_> {
    let mut hasher = DefaultHasher::new();
    id.hash(&mut hasher);
    (id, hasher.finish().cast_signed())
}

/// Returns a row of a listing sorted by a text. Numbers of texts can only be compared for equality.
pub(super) fn by_text<'a>(id: &'a str, text: &str) -> Sorted<'a> {
    (id, by_id(text).1)
}

/// Returns a row of a listing sorted by a time.
pub(super) fn by_time(id: &str, time: Option<DateTime<Utc>>) -> Sorted<'_> {
    (id, time.map_or(i64::MIN, |time| time.timestamp_micros()))
}

/// A pager that reads a sorted listing by offset.
///
/// Rows inserted before the position shift the rest back: rows come twice and are dropped by id. Rows deleted before it
/// shift the rest forward: rows would be skipped. Rows with equal sort values are in no order. So a page begins with
/// the row before the last group of equal rows of the previous page. If the first row of a page was not seen before, or
/// belongs to the group, rows may be missing: the pager outcomes back.
#[derive(Debug, Default)]
pub(super) struct OffsetPager {
    offset: u64,
    seen: HashSet<String>,
    /// The sort value of the last group of the previous page.
    group: Option<i64>,
    /// The group that is being read, if it is larger than a page.
    large: Option<LargeTieGroup>,
    progress: Progress,
    /// Indices of the page's rows before which there are unreadable objects.
    gaps: Vec<usize>,
    /// True if an empty first page must be requested again, once.
    doubts_empty: bool,
    /// True if all rows may leave the listing while it is read.
    may_empty: bool,
}

/// The reading of a group of equal rows that is larger than a page.
#[derive(Debug)]
struct LargeTieGroup {
    key: i64,
    /// The offset at which the group begins.
    start: u64,
    /// The ids of the group's rows that were seen.
    members: HashSet<String>,
    /// The number of the group's unreadable objects that this reading has found so far.
    unreadable: u64,
    /// True if this reading has found a new row.
    has_new: bool,
    quiet: u32,
}

impl LargeTieGroup {
    fn note_members(&mut self, rows: &[Sorted<'_>]) {
        self.members.extend(
            rows.iter()
                .filter(|(_, key)| *key == self.key)
                .map(|(id, _)| (*id).to_owned()),
        );
    }
}

/// The result of a page.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct PageOutcome {
    /// Positions of the rows that were not seen before.
    pub(super) fresh: BTreeSet<usize>,
    /// True if the listing ended with this page.
    pub(super) ended: bool,
    /// True if the page is discarded and requested again. Rows may be missing before it, or it is unexpectedly empty.
    pub(super) stepped_back: bool,
    /// True if rows of a large group are missing, even if other rows follow the group on this page.
    pub(super) incomplete: bool,
}

impl OffsetPager {
    /// Creates a pager. With `is_inhabited` the listing should contain rows: an empty first page is requested again,
    /// once.
    pub(super) fn inhabited(is_inhabited: bool) -> Self {
        Self {
            doubts_empty: is_inhabited,
            ..Self::default()
        }
    }

    /// Creates a pager for objects in certain states, all of which may leave the listing during the pass. An empty
    /// first page is the end, even if rows were read before; with `is_inhabited`, only after it was requested again.
    pub(super) fn of_states(is_inhabited: bool) -> Self {
        Self {
            may_empty: true,
            ..Self::inhabited(is_inhabited)
        }
    }

    /// Returns the offset of the next page.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// Sets the rows of the next page before which there are unreadable objects, which offsets count, too.
    pub(super) fn around(&mut self, gaps: &[usize]) -> &mut Self {
        gaps.clone_into(&mut self.gaps);
        self
    }

    /// Takes the rows of the page that began at [`Self::offset`] and was requested with `limit`. `objects` is the
    /// length of the page including elements without an id. Returns an error if the pages make no progress, because
    /// then nothing is known about the unread rows.
    pub(super) fn accept(
        &mut self,
        rows: &[Sorted<'_>],
        objects: usize,
        limit: u32,
    ) -> Result<PageOutcome, NoProgress> {
        let limit = u64::from(limit.max(SMALLEST_PAGE));
        let is_empty = objects == 0;
        let is_emptied = self.may_empty && self.offset == 0;
        let is_lost = is_empty && !self.seen.is_empty() && !is_emptied;
        let is_doubted = is_empty && std::mem::take(&mut self.doubts_empty);
        let begins_well = self.offset == 0 || self.begins_well(rows);
        if is_lost || is_doubted || !begins_well {
            if is_empty && !is_doubted {
                self.progress.idle(NoProgress::Empty, limit)?;
            } else if !is_empty {
                self.progress.idle(NoProgress::Gap, limit)?;
            }
            self.offset = self.offset.saturating_sub(limit - 1);
            return Ok(PageOutcome {
                stepped_back: true,
                ..PageOutcome::default()
            });
        }
        let fresh: BTreeSet<usize> = rows
            .iter()
            .enumerate()
            .filter(|(_, (id, _))| self.seen.insert((*id).to_owned()))
            .map(|(at, _)| at)
            .collect();
        let objects = to_u64(objects);
        let is_short = objects < limit;
        let incomplete = self.is_large_incomplete(rows, (objects, limit), !fresh.is_empty());
        let ended = is_short && !incomplete;
        if !fresh.is_empty() {
            self.progress.useful();
        } else if !ended {
            self.progress.idle(NoProgress::Repeats, limit)?;
        }
        if !incomplete {
            self.advance(rows, objects);
        }
        Ok(PageOutcome {
            fresh,
            ended,
            stepped_back: false,
            incomplete,
        })
    }

    /// Returns true if no row can be missing between the previous page and this one.
    fn begins_well(&self, rows: &[Sorted<'_>]) -> bool {
        rows.first()
            .is_some_and(|(id, key)| match (&self.large, self.seen.contains(*id)) {
                // A reading of a group begins before the group; otherwise the group's beginning has moved.
                (Some(large), _) if *key == large.key => self.offset + self.place(0) >= large.start,
                (Some(_), seen) => seen,
                (None, seen) => seen && self.group != Some(*key),
            })
    }

    /// Returns true if a large group ends on this page with rows missing, so that it is read again.
    fn is_large_incomplete(
        &mut self,
        rows: &[Sorted<'_>],
        (objects, limit): (u64, u64),
        has_new: bool,
    ) -> bool {
        let Some(mut large) = self.large.take() else {
            return false;
        };
        large.has_new |= has_new;
        large.note_members(rows);
        // A reading of the group begins with a row before it, unless the listing begins with the group. In both cases
        // the page shows where the group begins now.
        let from = rows.iter().position(|(_, key)| *key == large.key);
        if let Some(from) = from.filter(|from| *from > 0 || self.offset == 0) {
            large.start = self.offset + self.place(from);
        }
        let from = from.unwrap_or(0);
        let after = rows
            .iter()
            .skip(from)
            .position(|(_, key)| *key != large.key)
            .map(|after| from + after);
        let inside = from + 1..=after.unwrap_or(rows.len());
        large.unreadable += to_u64(self.gaps.iter().filter(|gap| inside.contains(gap)).count());
        let end = match after {
            Some(after) => self.offset + self.place(after),
            None if objects < limit => self.offset + objects,
            None => {
                self.large = Some(large);
                return false;
            }
        };
        let size = end.saturating_sub(large.start + large.unreadable);
        let needed = if to_u64(large.members.len()) < size {
            MOST_QUIET_READINGS
        } else if size < limit && self.offset <= large.start.saturating_sub(1) {
            // The complete group is on this page.
            0
        } else {
            QUIET_READINGS
        };
        large.quiet = if large.has_new { 0 } else { large.quiet + 1 };
        if large.quiet < needed {
            large.has_new = false;
            large.unreadable = 0;
            // Rows that come in another order at each request can only be found by reading again.
            self.progress.grant(size / (limit - 1) + 2);
            self.offset = large.start.saturating_sub(1);
            self.large = Some(large);
            return true;
        }
        false
    }

    fn advance(&mut self, rows: &[Sorted<'_>], objects: u64) {
        let Some((_, last)) = rows.last() else {
            self.offset += objects.saturating_sub(1);
            return;
        };
        // The last object may be unreadable, and the next page must begin with a row.
        let end = if self.gaps.is_empty() {
            objects.saturating_sub(1)
        } else {
            self.place(rows.len().saturating_sub(1))
        };
        self.group = Some(*last);
        let start = rows.iter().position(|(_, key)| key == last).unwrap_or(0);
        if self.large.is_some() {
            self.offset += end;
        } else if start <= 1 {
            let mut large = LargeTieGroup {
                key: *last,
                start: self.offset + self.place(start),
                members: HashSet::new(),
                unreadable: 0,
                has_new: true,
                quiet: 0,
            };
            large.note_members(rows);
            self.large = Some(large);
            self.offset += end;
        } else {
            self.offset += self.place(start - 1);
        }
    }

    /// Returns the position of a row among the page's objects, including unreadable ones.
    fn place(&self, row: usize) -> u64 {
        let before = self.gaps.iter().filter(|gap| **gap <= row).count();
        to_u64(row + before)
    }
}

fn to_u64(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::{SeedableRng, rngs::SmallRng, seq::SliceRandom};

    use super::*;

    type Row = (String, i64);

    /// Reads `listing`, which `change` may alter between two pages; returns the ids found. With a seed, equal rows come
    /// in another order at each request.
    fn read_all(
        mut listing: Vec<Row>,
        limit: usize,
        seed: Option<u64>,
        mut change: impl FnMut(usize, &mut Vec<Row>),
    ) -> Vec<String> {
        let mut pager = OffsetPager::default();
        let mut found = Vec::new();
        let mut rng = seed.map(SmallRng::seed_from_u64);
        for page in 0..10_000 {
            if let Some(rng) = &mut rng {
                listing.shuffle(rng);
            }
            listing.sort_by_key(|(_, key)| *key);
            let from = usize::try_from(pager.offset())
                .expect("small")
                .min(listing.len());
            let rows = listing[from..(from + limit).min(listing.len())].to_vec();
            let sorted: Vec<Sorted<'_>> =
                rows.iter().map(|(id, key)| (id.as_str(), *key)).collect();
            let outcome = pager.accept(&sorted, rows.len(), u32::try_from(limit).expect("small"));
            let outcome = outcome.expect("progress");
            found.extend(outcome.fresh.iter().map(|at| rows[*at].0.clone()));
            if outcome.ended {
                return found;
            }
            change(page, &mut listing);
        }
        panic!("the listing does not end");
    }

    fn rows(n: i64) -> Vec<Row> {
        (0..n).map(|n| (format!("{n:04}"), n)).collect()
    }

    #[test]
    fn an_unchanged_listing_is_read_once() {
        for n in [0, 1, 2, 9, 10, 11, 19, 100] {
            for limit in [2, 3, 10] {
                let want: Vec<String> = rows(n).into_iter().map(|(id, _)| id).collect();
                assert_eq!(
                    read_all(rows(n), limit, None, |_, _| ()),
                    want,
                    "{n} rows by {limit}"
                );
            }
        }
    }

    /// The rows before the group are deleted while it is read.
    #[test]
    fn a_large_group_with_which_the_listing_begins_by_now_is_read() {
        for limit in [3, 4] {
            for when in 0..9 {
                let group = (0..limit).map(|n| (format!("group {n}"), 9));
                let listing = rows(6).into_iter().chain(group).collect();
                let found = read_all(listing, limit, Some(1), |page, listing| {
                    if page == when {
                        listing.retain(|(_, key)| *key == 9);
                    }
                });
                let of_group = found.iter().filter(|id| id.starts_with("group"));
                assert_eq!(of_group.count(), limit, "{limit} per page, after {when}");
            }
        }
    }

    #[test]
    fn a_listing_by_state_that_empties_has_ended() {
        let rows: Vec<Sorted<'_>> = [("a", 3), ("b", 2), ("c", 1)].into();
        for (mut pager, ends) in [
            (OffsetPager::of_states(false), true),
            (OffsetPager::default(), false),
        ] {
            assert!(!pager.accept(&rows, 3, 3).expect("progress").ended);
            let outcomes = (0..30).map(|_| pager.accept(&[], 0, 3));
            let ended = outcomes
                .take_while(Result::is_ok)
                .flatten()
                .any(|outcome| outcome.ended);
            assert_eq!(ended, ends);
        }
    }

    /// Reads a listing of `n` rows by 100 from pages that `serve` may replace. The arguments of `serve` are the number
    /// of the request, its offset, the page, and the whole listing. Returns the number of requests and the result.
    fn requests_of(
        n: i64,
        key: impl Fn(i64) -> i64,
        serve: impl Fn(usize, u64, Vec<Row>, &[Row]) -> Vec<Row>,
    ) -> (usize, Result<(), NoProgress>) {
        let listing: Vec<Row> = (0..n).map(|n| (format!("{n:04}"), key(n))).collect();
        let mut pager = OffsetPager::default();
        for request in 1.. {
            let from = usize::try_from(pager.offset()).expect("small");
            let page: Vec<Row> = listing.iter().skip(from).take(100).cloned().collect();
            let page = serve(request, pager.offset(), page, &listing);
            let rows: Vec<Sorted<'_>> = page.iter().map(|(id, key)| (id.as_str(), *key)).collect();
            match pager.accept(&rows, rows.len(), 100) {
                Ok(outcome) if outcome.ended => return (request, Ok(())),
                Ok(_) => {}
                Err(error) => return (request, Err(error)),
            }
        }
        (0, Ok(()))
    }

    #[test]
    fn a_listing_without_progress_is_an_error_after_three_times_the_requests() {
        type Key = fn(i64) -> i64;
        type Serve = fn(usize, u64, Vec<Row>, &[Row]) -> Vec<Row>;
        let kinds: [(&str, Serve); 5] = [
            ("later pages are empty", |_, offset, page, _| {
                if offset > 0 { Vec::new() } else { page }
            }),
            (
                "everything is empty from the third page on",
                |request, _, page, _| {
                    if request > 2 { Vec::new() } else { page }
                },
            ),
            ("the first page everywhere", |_, _, _, all| {
                all[..100].to_vec()
            }),
            ("two pages alternate", |request, _, _, all| {
                let from = if request % 2 == 1 { 0 } else { 98 };
                all[from..from + 100].to_vec()
            }),
            (
                "the same page from the second on",
                |request, _, page, all| {
                    if request > 1 {
                        all[98..198].to_vec()
                    } else {
                        page
                    }
                },
            ),
        ];
        let keys: [(&str, Key); 3] = [
            ("no ties", |n| n),
            ("groups of seven", |n| n / 7),
            ("all equal", |_| 0),
        ];
        for (order, key) in keys {
            for n in [250, 600, 2_000] {
                let (complete, ended) = requests_of(n, key, |_, _, page, _| page);
                assert_eq!(ended, Ok(()), "{order}");
                for (kind, serve) in &kinds {
                    let (requests, ended) = requests_of(n, key, serve);
                    assert!(ended.is_err(), "{kind}, {order}, {n} rows");
                    assert!(
                        requests <= 3 * complete,
                        "{kind}, {order}, {n} rows: {requests} requests, {complete} are enough to read everything"
                    );
                }
            }
        }
    }

    /// A page with unreadable objects contains as many readable ones as requested. No row is missed, and no group is
    /// taken to be larger than a page.
    #[test]
    fn a_walk_passes_objects_that_cannot_be_read() {
        for unreadable in [0..7, 2..3, 3..5, 3..9, 4..20, 13..20, 19..20] {
            for group in [1, 2, 5] {
                let mut pager = OffsetPager::default();
                let mut found = BTreeSet::new();
                let most = if group > 2 { 60 } else { 12 };
                for request in 1.. {
                    assert!(request <= most, "{unreadable:?}: the listing does not end");
                    let from = i64::try_from(pager.offset()).expect("small");
                    let readable = (from..20).filter(|n| !unreadable.contains(n));
                    let readable: Vec<Row> = readable
                        .map(|n| (n.to_string(), n / group))
                        .take(4)
                        .collect();
                    let last = readable.get(3).map(|(n, _)| n.parse().expect("a number"));
                    let page = from..last.map_or(20, |last: i64| last + 1);
                    let number = |(n, _): &Row| n.parse::<i64>().expect("a number");
                    let before = |n: i64| readable.iter().filter(|row| number(row) < n).count();
                    let gaps = page.clone().filter(|n| unreadable.contains(n)).map(before);
                    let gaps: Vec<usize> = gaps.collect();
                    let rows = readable.iter().map(|(id, key)| (id.as_str(), *key));
                    let rows: Vec<Sorted<'_>> = rows.collect();
                    let limit = 4 + u32::try_from(gaps.len()).expect("small");
                    let outcome = pager.around(&gaps).accept(&rows, page.count(), limit);
                    let outcome = outcome.expect("progress");
                    found.extend(outcome.fresh.iter().map(|at| number(&readable[*at])));
                    if outcome.ended {
                        break;
                    }
                }
                let expected: BTreeSet<i64> = (0..20).filter(|n| !unreadable.contains(n)).collect();
                assert_eq!(found, expected, "{unreadable:?}");
            }
        }
    }

    #[test]
    fn an_empty_first_page_is_asked_for_once_more() {
        for (mut pager, asked) in [
            (OffsetPager::inhabited(true), 2),
            (OffsetPager::default(), 1),
        ] {
            let ended =
                (1..9).find(|_| pager.accept(&[], 0, 100).is_ok_and(|outcome| outcome.ended));
            assert_eq!(ended, Some(asked));
        }
    }

    /// Rows deleted before a group move its beginning, possibly to before the page on which the group was found.
    #[test]
    fn equal_rows_whose_beginning_moves_are_all_found() {
        for (seed, gone, size) in
            (0..300).flat_map(|seed| [(seed, 1, 3), (seed, 2, 3), (seed, 3, 7)])
        {
            for when in 0..6 {
                let group = (0..size).map(|n| (format!("equal-{n}"), 10));
                let mut all: Vec<Row> = rows(6).into_iter().chain(group).collect();
                all.extend((20..24).map(|n| (format!("{n:04}"), n)));
                let found = read_all(all.clone(), 3, Some(seed), |page, listing| {
                    if page == when {
                        listing.drain(..gone);
                    }
                });
                for (id, key) in &all {
                    assert!(
                        *key < 10 || found.contains(id),
                        "{seed}, {gone} gone at {when}: lost {id}"
                    );
                }
            }
        }
    }

    proptest! {
        #[test]
        fn equal_rows_in_no_order_are_all_found(
            keys in prop::collection::vec(0..6_i64, 0..60),
            limit in 2..12_usize,
            seed: u64,
        ) {
            let all: Vec<Row> = keys.iter().enumerate().map(|(n, key)| (n.to_string(), *key)).collect();
            let mut found = read_all(all.clone(), limit, Some(seed), |_, _| ());
            found.sort_unstable();
            let mut want: Vec<String> = all.into_iter().map(|(id, _)| id).collect();
            want.sort_unstable();
            prop_assert_eq!(found, want);
        }

        #[test]
        fn every_row_that_stays_is_found(
            n in 0..60_i64,
            limit in 2..12_usize,
            deletes in prop::collection::vec((0..20_usize, 0..60_usize), 0..20),
            inserts in prop::collection::vec((0..20_usize, 0..10_i64), 0..20),
        ) {
            let all = rows(n);
            let gone: Vec<&Row> = deletes.iter().filter_map(|(_, at)| all.get(*at)).collect();
            let found = read_all(all.clone(), limit, None, |page, listing| {
                for (when, at) in &deletes {
                    if *when == page && let Some(row) = all.get(*at) {
                        listing.retain(|other| other != row);
                    }
                }
                for (when, n) in &inserts {
                    if *when == page {
                        let newest = listing.first().map_or(0, |(_, key)| *key) - 1;
                        listing.insert(0, (format!("new-{page}-{n}-{}", listing.len()), newest));
                    }
                }
            });
            for row in &all {
                prop_assert!(gone.contains(&row) || found.contains(&row.0), "lost {}", row.0);
            }
            let distinct: HashSet<&String> = found.iter().collect();
            prop_assert_eq!(distinct.len(), found.len());
        }
    }
}
