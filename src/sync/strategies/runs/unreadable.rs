//! Unreadable runs, for which the server returns an error.
//!
//! The gaps that they form are remembered, and each sync requests each gap once, without retries. Their positions on
//! the pages of each listing are remembered, too, so that those pages are read around them at once.

use chrono::{DateTime, TimeDelta, Utc};

use super::{
    change_filter::SendIf,
    phase::{Phase, ScanPurpose},
    reader::Runs,
    state::RunsState,
    unreadable_range::{ByOffsetOf, Unreadable},
};
use crate::{
    messages,
    prefect::{Filter, ListRequest, TimeRange},
    rows::Row,
    sync::{
        compact_ids,
        keyset::{TimeField, latest},
        strategies::{
            emission::Emission,
            gaps::{self, Found, Gap, Probe, Search, Side},
            listing::collection,
            request::{FetchedPage, Request},
        },
    },
};

/// The number of gaps that are remembered.
const MOST: usize = 100;

impl RunsState {
    /// Remembers a gap in a listing by offset whose objects were never read.
    fn note_never_read(&mut self, gap: Gap) {
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
        let of = |listing: ByOffsetOf| {
            let gaps = self.offset_gaps.iter();
            let gaps = gaps.filter(|gap| gap.of.as_deref() == Some(listing.name()));
            gaps.map(|gap| u64::from(gap.count)).sum::<u64>()
        };
        of(ByOffsetOf::EndedRuns).max(of(ByOffsetOf::All))
    }
}

impl Runs {
    /// Returns the gaps of a page that was requested within `range`.
    fn places(
        &self,
        time_field: TimeField,
        range: TimeRange,
        page: &FetchedPage,
    ) -> Vec<Unreadable> {
        let value = |row: &Row| self.changes.value(row, time_field);
        let is_last = page.objects < page.limit as usize;
        let mut found: Vec<Unreadable> = Vec::new();
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
            found.push(Unreadable {
                time_field,
                after,
                before,
                known: known.collect(),
                count: 1,
                is_met: true,
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
                same.is_met = true;
            } else if self.note_met(&place) < place.count {
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
            self.note_met(&place);
        }
    }

    /// Returns the number of unreadable runs that are known in a gap. If no more are known than are missing there,
    /// their gaps are marked as requested.
    fn note_met(&mut self, place: &Unreadable) -> u32 {
        let list = self.state.unreadable.iter_mut();
        let known: Vec<&mut Unreadable> = list.filter(|other| other.overlaps(place)).collect();
        let count = known.iter().map(|other| other.count).sum();
        if count <= place.count {
            for other in known {
                other.is_met = true;
            }
        }
        count
    }

    /// Returns the phase of the next gap, from `at` on, that this sync has not requested.
    fn next_unmet(&self, at: usize) -> Option<Phase> {
        let places = self.state.unreadable.iter().enumerate().skip(at);
        let mut unmet = places.filter(|(_, place)| !place.is_met);
        unmet.next().map(|(at, _)| Phase::Unreadable { at })
    }

    pub(super) fn plan_unreadable(&mut self) -> Option<Phase> {
        // A server that was downgraded may no longer filter by the time of a gap.
        let (without_ranges, refuses_ends) =
            (self.state.without_ranges, self.state.refused.is_some());
        let places = std::mem::take(&mut self.state.unreadable);
        for place in places {
            if without_ranges || (refuses_ends && place.time_field == TimeField::EndTime) {
                self.state.note_never_read(place.into_gap());
            } else {
                self.state.unreadable.push(place);
            }
        }
        self.next_unmet(0).or_else(|| self.next_search(0))
    }

    fn next_search(&self, at: usize) -> Option<Phase> {
        let gap = self.state.offset_gaps.get(at)?.clone();
        let search = Box::new(Search::new(gap, 0));
        Some(Phase::Search { at, search })
    }

    /// Remembers the gaps of a page of a listing by offset; changes before `read` were sent.
    pub(super) fn note_offset_gaps(
        &mut self,
        listing: ByOffsetOf,
        page: &FetchedPage,
        read: Option<DateTime<Utc>>,
    ) {
        let time_field = listing.time_field();
        let newest = match listing {
            ByOffsetOf::EndedRuns => page.now,
            ByOffsetOf::All => latest(),
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

    /// Returns the request for the run at `offset` of the listing that has the gap `at`.
    pub(super) fn ask_by_offset(&self, at: usize, offset: u64) -> Option<Request> {
        let listing = ByOffsetOf::of(self.state.offset_gaps.get(at)?);
        Some(Request::Try(ListRequest {
            collection: collection(self.table),
            sort: Some(listing.time_field().sort()),
            limit: 1,
            offset,
            filter: listing.filter(),
            scope: self.settings.scope.clone(),
            ..ListRequest::default()
        }))
    }

    /// Takes the response for one offset; `None` if the server still returns an error.
    pub(super) fn searched(
        &mut self,
        (at, mut search): (usize, Box<Search>),
        page: Option<FetchedPage>,
        emission: &mut Emission,
    ) {
        let probe = match page.map(|page| (page.now, page.list.into_iter().next())) {
            None => Probe::Failed,
            Some((_, None)) => Probe::End,
            Some((now, Some(row))) => {
                let time = self
                    .changes
                    .value(&row, ByOffsetOf::of(&search.gap).time_field());
                let between = search.gap.between.as_ref();
                let side = between.map_or(Side::Older, |it| it.side(row.id(), time));
                if side == Side::Inside {
                    search.pass(row.id(), time);
                    let since = search.gap.since_of(row.id(), time);
                    let rule = since.map_or(SendIf::Always, SendIf::ChangedSince);
                    self.offer_all(vec![row], now, |_, _| rule, emission);
                }
                Probe::Row(side)
            }
        };
        let gaps = &mut self.state.offset_gaps;
        self.phase = match search.accept(probe) {
            Found::NotYet => Some(Phase::Search { at, search }),
            Found::Still { at: offset, count } => {
                if let Some(gap) = gaps.get_mut(at) {
                    *gap = Gap {
                        at: offset,
                        count,
                        ..search.gap
                    };
                }
                self.next_search(at + 1)
            }
            Found::Gone => {
                if at < gaps.len() {
                    gaps.remove(at);
                }
                self.next_search(at)
            }
        };
    }

    pub(super) fn ask_unreadable(&self, at: usize, limit: u32) -> Option<Request> {
        let place = self.state.unreadable.get(at)?;
        let range = TimeRange {
            after: place.after,
            before: place.before,
        };
        let mut filter = Filter::default();
        place.time_field.limit(&mut filter, range);
        Some(Request::Try(ListRequest {
            collection: collection(self.table),
            sort: Some(place.time_field.sort()),
            limit,
            filter,
            scope: self.settings.scope.clone(),
            ..ListRequest::default()
        }))
    }

    /// Takes the response for the gap `at`; `None` if the server still returns an error.
    pub(super) fn tried(&mut self, at: usize, page: Option<FetchedPage>, emission: &mut Emission) {
        let mut next = at + 1;
        if let Some(mut page) = page {
            let place = self.state.unreadable.remove(at);
            let rest = self.rest_of(&place, &page);
            page.list
                .retain(|row| !place.known.contains_key(&compact_ids::id(row.id())));
            next = at;
            if let Some(rest) = rest {
                self.state.unreadable.insert(at, rest);
            }
            self.offer_all(page.list, page.now, |_, _| SendIf::Always, emission);
        }
        let unmet = self.next_unmet(next);
        self.phase = unmet.or_else(|| self.next_search(0));
    }

    /// Returns the rest of a gap after a full page: other runs may have appeared in its range since.
    fn rest_of(&self, place: &Unreadable, page: &FetchedPage) -> Option<Unreadable> {
        if page.objects < page.limit as usize {
            return None;
        }
        let value = |row: &Row| self.changes.value(row, place.time_field);
        let last = page.list.last().and_then(value)?;
        let is_one_time = Some(last) == place.before;
        let at_the_end = page.list.iter().filter(|row| value(row) == Some(last));
        let listed = at_the_end.map(|row| (compact_ids::id(row.id()), last));
        Some(Unreadable {
            before: Some(if is_one_time {
                last - TimeDelta::microseconds(1)
            } else {
                last
            }),
            known: place.known.clone().into_iter().chain(listed).collect(),
            ..place.clone()
        })
    }

    /// Returns the name of the next page: the listing, and the number of its pages before.
    fn page_name(&self) -> Option<String> {
        let listing = match self.phase.as_ref()? {
            Phase::Ended { .. } => "tail",
            Phase::EndedByOffset { .. } => return Some("tail by offset".to_owned()),
            Phase::WithoutEndTime { .. } => "without end",
            Phase::Open { long: false, .. } => "open",
            Phase::Open { long: true, .. } => "long open",
            Phase::FullScanByOffset(listing) => {
                return match listing.what {
                    ScanPurpose::Everything => None,
                    ScanPurpose::Open => Some("open by offset".to_owned()),
                    ScanPurpose::WithoutEnd => Some("without end by offset".to_owned()),
                };
            }
            Phase::Recheck { index, .. } => return Some(format!("rung {index} {}", self.pages)),
            _ => return None,
        };
        Some(format!("{listing} {}", self.pages))
    }

    /// Returns the request for a page. If unreadable runs are known, the page is requested around their positions,
    /// without retries.
    pub(super) fn ask_around(&self, request: ListRequest) -> Request {
        if self.state.unreadable.is_empty() && self.state.page_gaps.is_empty() {
            return Request::List(request);
        }
        let name = self.page_name();
        let known = name.map(|name| {
            let gaps = &self.state.page_gaps;
            gaps::on_page(gaps, Some(&name), request.offset, request.limit)
        });
        let known = known.into_iter().flatten().map(Gap::into_known);
        Request::ListAround(request, known.collect())
    }

    /// Remembers the positions of unreadable runs on a page.
    pub(super) fn note_page_gaps(&mut self, page: &FetchedPage) {
        let Some(name) = self.page_name() else { return };
        let is_first = self.pages == 0;
        self.pages += 1;
        let gaps = &mut self.state.page_gaps;
        // All pages of a listing by offset have the same name.
        if is_first || !name.ends_with("offset") {
            gaps.retain(|gap| gap.of.as_ref() != Some(&name));
        }
        for gap in gaps::of_page(page, Some(&name)) {
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
