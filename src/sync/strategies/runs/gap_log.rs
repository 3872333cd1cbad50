//! The gaps of listings of runs: objects for which the server returns an error.
//!
//! Gaps are recorded as the ranges of time or the places of a listing in which they are, so that
//! [`gap_retry`](super::gap_retry) can request them again. Their positions on the pages of each listing are recorded,
//! too, so that those pages are read around them at once.

use chrono::{DateTime, Utc};

use super::{
    context::RunsContext,
    state::RunsState,
    unreadable_range::{ListingByOffset, UnreadableRange},
};
use crate::{
    messages,
    prefect::{ListRequest, TimeRange},
    rows::Row,
    sync::{
        compact_ids,
        keyset::{TimeField, latest_possible_time},
        strategies::{
            gaps::{self, Gap},
            request::{FetchedPage, Request},
        },
    },
};

/// The number of gaps that are remembered.
const MOST: usize = 100;

impl RunsState {
    /// Remembers a gap in a listing by offset whose objects were never read.
    pub(super) fn note_never_read(&mut self, gap: Gap) {
        let has_room = self.offset_gaps.len() < MOST;
        let same = self.offset_gaps.iter_mut().find(|other| {
            let both = gap.between.as_ref().zip(other.between.as_ref());
            other.of == gap.of && both.is_some_and(|(one, other)| one.meets(other))
        });
        match same {
            Some(same) => same.since = None,
            None if has_room => self.offset_gaps.push(gap),
            None => {}
        }
    }

    /// Returns the number of unreadable objects in listings by offset. An object may be in a gap of each listing.
    fn unreadable_by_offset(&self) -> u64 {
        let of = |listing: ListingByOffset| {
            let gaps = self.offset_gaps.iter();
            let gaps = gaps.filter(|gap| gap.of.as_deref() == Some(listing.name()));
            gaps.map(|gap| u64::from(gap.count)).sum::<u64>()
        };
        of(ListingByOffset::EndedRuns).max(of(ListingByOffset::All))
    }
}

impl RunsContext {
    /// Returns the gaps of a page that was requested within `range`.
    fn places(
        &self,
        time_field: TimeField,
        range: TimeRange,
        page: &FetchedPage,
    ) -> Vec<UnreadableRange> {
        let value = |row: &Row| self.changes.value(row, time_field);
        let is_last = page.objects < page.limit as usize;
        let mut found: Vec<UnreadableRange> = Vec::new();
        let mut last_gap = None;
        for gap in &page.gaps {
            if let (Some(place), true) = (found.last_mut(), last_gap == Some(gap)) {
                place.count += 1;
                continue;
            }
            let before = match gap.checked_sub(1) {
                Some(at) => page.list.get(at).and_then(value),
                None => range.before,
            };
            let after = page.list.get(*gap).map(value);
            let after = match after {
                // The next page begins before the gap, and has it again.
                None if !is_last => continue,
                Some(after) => after,
                None => range.after,
            };
            let at_a_bound = |row: &Row| {
                let time = value(row).filter(|time| [before, after].contains(&Some(*time)))?;
                Some((compact_ids::id(row.id()), time))
            };
            let known = page.list.iter().filter_map(at_a_bound);
            last_gap = Some(gap);
            found.push(UnreadableRange {
                time_field,
                after,
                before,
                known: known.collect(),
                count: 1,
                is_requested: true,
            });
        }
        found
    }

    /// Remembers the gaps of a page of all runs within a range.
    pub(super) fn note_gaps(
        &mut self,
        time_field: TimeField,
        range: TimeRange,
        page: &FetchedPage,
    ) {
        for place in self.places(time_field, range, page) {
            let list = &mut self.state.unreadable;
            // The unreadable run has the same time as the last row of the page before.
            let same = list.iter_mut().find(|other| {
                other.time_field == time_field
                    && place.before == range.before
                    && other.after.is_some()
                    && other.after == place.before
            });
            if let Some(same) = same {
                same.after = place.after;
                same.known.extend(place.known);
                same.is_requested = true;
            } else if self.note_requested(&place) < place.count {
                let list = &mut self.state.unreadable;
                list.retain(|other| !other.overlaps(&place));
                if list.len() < MOST {
                    list.push(place);
                }
            }
        }
    }

    /// Marks the known gaps whose runs this sync has requested already with a page of open runs.
    pub(super) fn note_open_gaps(
        &mut self,
        time_field: TimeField,
        range: TimeRange,
        page: &FetchedPage,
    ) {
        for place in self.places(time_field, range, page) {
            self.note_requested(&place);
        }
    }

    /// Returns the number of unreadable runs that are known in a gap. If no more are known than are missing there,
    /// their gaps are marked as requested.
    fn note_requested(&mut self, place: &UnreadableRange) -> u32 {
        let list = self.state.unreadable.iter_mut();
        let known: Vec<&mut UnreadableRange> = list.filter(|other| other.overlaps(place)).collect();
        let count = known.iter().map(|other| other.count).sum();
        if count <= place.count {
            for other in known {
                other.is_requested = true;
            }
        }
        count
    }

    /// Remembers the gaps of a page of a listing by offset; changes before `read` were sent.
    pub(super) fn note_offset_gaps(
        &mut self,
        listing: ListingByOffset,
        page: &FetchedPage,
        read: Option<DateTime<Utc>>,
    ) {
        let time_field = listing.time_field();
        let newest = match listing {
            ListingByOffset::EndedRuns => page.now,
            ListingByOffset::All => latest_possible_time(),
        };
        let listed = gaps::of_page_by_time(page, |row| self.changes.value(row, time_field), newest);
        for mut gap in listed {
            gap.of = Some(listing.name().to_owned());
            let list = &mut self.state.offset_gaps;
            let is_same = |other: &Gap| {
                let both = gap.between.as_ref().zip(other.between.as_ref());
                other.of == gap.of && both.is_some_and(|(one, other)| one.meets(other))
            };
            let before: Vec<Gap> = list
                .iter()
                .filter(|other| is_same(other))
                .cloned()
                .collect();
            if gaps::objects(&before) > u64::from(gap.count) {
                continue;
            }
            list.retain(|other| !is_same(other));
            gaps::note_readings(&mut gap, &before, (read, None), false);
            if list.len() < MOST {
                list.push(gap);
            }
        }
    }

    /// Returns the request for the page `name`. If unreadable runs are known, the page is requested around their
    /// positions, without retries.
    pub(super) fn around_gaps(&self, name: Option<&str>, request: ListRequest) -> Request {
        if self.state.unreadable.is_empty() && self.state.page_gaps.is_empty() {
            return Request::List(request);
        }
        let known = name.map(|name| {
            let gaps = &self.state.page_gaps;
            gaps::on_page(gaps, Some(name), request.offset, request.limit)
        });
        let known = known.into_iter().flatten().map(Gap::into_known);
        Request::ListAround(request, known.collect())
    }

    /// Remembers the positions of unreadable runs on the page `name`.
    pub(super) fn note_page_gaps(&mut self, name: &str, is_first: bool, page: &FetchedPage) {
        let gaps = &mut self.state.page_gaps;
        // All pages of a listing by offset have the same name.
        if is_first || !name.ends_with("offset") {
            gaps.retain(|gap| gap.of.as_deref() != Some(name));
        }
        for gap in gaps::of_page(page, Some(name)) {
            gaps::add(gaps, gap);
        }
    }

    /// Returns the warning about unreadable runs, if there are any.
    pub(super) fn unreadable_remark(&self) -> Option<String> {
        let places = &self.state.unreadable;
        let by_offset = self.state.unreadable_by_offset();
        if places.is_empty() && by_offset > 0 {
            return Some(messages::UNREADABLE.format(format_args!(
                "table {}: the server fails (500) on {by_offset} run(s); each sync tries them again",
                self.table.name
            )));
        }
        let Some(last) = places.last() else {
            let open = self.state.page_gaps.iter();
            let open = open.filter(|gap| gap.of.as_ref().is_some_and(|of| of.contains("open")));
            let open: u32 = open.map(|gap| gap.count).sum();
            return (open > 0).then(|| {
                messages::UNREADABLE.format(format_args!(
                    "table {}: the server fails (500) on {open} open run(s); each sync tries them again",
                    self.table.name
                ))
            });
        };
        let time = |time: Option<DateTime<Utc>>, never: &str| {
            time.map_or_else(|| never.to_owned(), |time| time.to_string())
        };
        Some(messages::UNREADABLE.format(format_args!(
            "table {}: the server fails (500) on {} run(s), the last of which {} between {} and {}; each sync tries them again",
            self.table.name,
            places.iter().map(|place| place.count).sum::<u32>(),
            match last.time_field {
                TimeField::EndTime => "ended",
                TimeField::ExpectedStartTime | TimeField::Timestamp => "were scheduled to start",
            },
            time(last.after, "the beginning"),
            time(last.before, "now"),
        )))
    }
}
