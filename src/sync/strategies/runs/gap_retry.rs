//! The readers of gaps: request objects again that could not be read before.
//!
//! Each sync requests each gap once, without retries. A gap in a listing by time is a range, which can be requested. In
//! a listing by offset the objects of a gap are searched for one by one. The state of these readers is
//! [`RunsState::unreadable`](super::state::RunsState::unreadable) and
//! [`RunsState::offset_gaps`](super::state::RunsState::offset_gaps).

use chrono::{DateTime, TimeDelta, Utc};

use super::{
    change_filter::SendIf,
    context::RunsContext,
    reader::{Next, Reader},
    unreadable_range::{ListingByOffset, UnreadableRange},
};
use crate::{
    prefect::{Filter, TimeRange},
    rows::Row,
    sync::{
        NoProgress, compact_ids,
        keyset::TimeField,
        strategies::{
            emission::Emission,
            gaps::{Gap, ProbeResult, Search, SearchResult, Side},
            request::{FetchedPage, Request},
        },
        window_kind,
    },
    telemetry::WindowKind,
};

/// A request for the range of one gap.
struct GapRetry {
    /// The index of the gap in the state.
    at: usize,
}

/// The search for the objects of a gap in a listing by offset, one object at a time.
struct GapSearch {
    /// The index of the gap in the state.
    at: usize,
    search: Search,
}

/// Plans the request of the first gap, if there is one.
pub(super) fn plan(runs: &mut RunsContext) -> Option<Box<dyn Reader>> {
    // A server that was downgraded may no longer filter by the time of a gap.
    let (without_ranges, refuses_ends) = (runs.state.without_ranges, runs.state.refused.is_some());
    let ranges = std::mem::take(&mut runs.state.unreadable);
    for range in ranges {
        if without_ranges || (refuses_ends && range.time_field == TimeField::EndTime) {
            runs.state.note_never_read(range.into_gap());
        } else {
            runs.state.unreadable.push(range);
        }
    }
    next_retry(runs, 0)
}

/// Returns the reader of the next gap, from the index `at` on, that this sync has not requested. The searches follow.
fn next_retry(runs: &RunsContext, at: usize) -> Option<Box<dyn Reader>> {
    let ranges = runs.state.unreadable.iter().enumerate().skip(at);
    let mut remaining = ranges.filter(|(_, range)| !range.is_requested);
    match remaining.next() {
        Some((at, _)) => Some(Box::new(GapRetry { at })),
        None => next_search(runs, 0),
    }
}

/// Returns the search for the gap `at`, if there is one.
fn next_search(runs: &RunsContext, at: usize) -> Option<Box<dyn Reader>> {
    let gap = runs.state.offset_gaps.get(at)?.clone();
    let search = Search::new(gap, 0);
    Some(Box::new(GapSearch { at, search }))
}

impl Reader for GapRetry {
    fn accept(
        &mut self,
        runs: &mut RunsContext,
        _: usize,
        mut page: FetchedPage,
        emission: &mut Emission,
    ) -> Result<Next, NoProgress> {
        let range = runs.state.unreadable.remove(self.at);
        let rest = runs.rest_of(&range, &page);
        page.list
            .retain(|row| !range.known.contains_key(&compact_ids::id(row.id())));
        if let Some(rest) = rest {
            runs.state.unreadable.insert(self.at, rest);
        }
        runs.offer_all(page.list, page.now, |_, _| SendIf::Always, emission);
        Ok(Next::from_reader(next_retry(runs, self.at)))
    }

    fn failed(&mut self, runs: &mut RunsContext, _: &mut Emission) -> Next {
        Next::from_reader(next_retry(runs, self.at + 1))
    }

    fn request(&mut self, runs: &RunsContext, limit: u32) -> Option<Request> {
        let range = runs.state.unreadable.get(self.at)?;
        let time = TimeRange {
            after: range.after,
            before: range.before,
        };
        let mut filter = Filter::default();
        range.time_field.limit(&mut filter, time);
        let sort = range.time_field.sort();
        Some(Request::Try(runs.page_at(sort, (0, limit), filter)))
    }

    fn window_kind(&self) -> WindowKind {
        window_kind::BACKFILL
    }
}

impl GapSearch {
    fn listing(&self) -> ListingByOffset {
        ListingByOffset::from_gap(&self.search.gap)
    }

    /// Takes a row that was requested; it is sent if it was in the gap.
    fn probed(
        &mut self,
        runs: &mut RunsContext,
        row: Row,
        now: DateTime<Utc>,
        emission: &mut Emission,
    ) -> ProbeResult {
        let time = runs.changes.value(&row, self.listing().time_field());
        let between = self.search.gap.between.as_ref();
        let side = between.map_or(Side::Older, |it| it.side(row.id(), time));
        if side == Side::Inside {
            self.search.pass(row.id(), time);
            let since = self.search.gap.since_of(row.id(), time);
            let rule = since.map_or(SendIf::Always, SendIf::ChangedSince);
            runs.offer(row, now, rule, emission);
        }
        ProbeResult::Row(side)
    }

    /// Takes the results for one or two offsets.
    fn accept_probe(
        &mut self,
        runs: &mut RunsContext,
        probe: ProbeResult,
        next: Option<ProbeResult>,
    ) -> Next {
        let gaps = &mut runs.state.offset_gaps;
        match self.search.accept(probe, next) {
            SearchResult::Unfinished => Next::Same,
            SearchResult::StillUnreadable { at, count } => {
                if let Some(gap) = gaps.get_mut(self.at) {
                    let found = self.search.gap.clone();
                    *gap = Gap { at, count, ..found };
                }
                Next::from_reader(next_search(runs, self.at + 1))
            }
            SearchResult::Gone => {
                if self.at < gaps.len() {
                    gaps.remove(self.at);
                }
                Next::from_reader(next_search(runs, self.at))
            }
        }
    }
}

impl Reader for GapSearch {
    fn accept(
        &mut self,
        runs: &mut RunsContext,
        _: usize,
        page: FetchedPage,
        emission: &mut Emission,
    ) -> Result<Next, NoProgress> {
        let is_whole = page.list.len() == page.objects;
        let mut rows = page.list.into_iter();
        let mut probed = |search: &mut GapSearch| match rows.next() {
            Some(row) => search.probed(runs, row, page.now, emission),
            None if is_whole => ProbeResult::End,
            // An object without a usable id.
            None => ProbeResult::Failed,
        };
        let first = probed(self);
        let next = (self.search.limit() > 1).then(|| probed(self));
        Ok(self.accept_probe(runs, first, next))
    }

    fn failed(&mut self, runs: &mut RunsContext, _: &mut Emission) -> Next {
        self.accept_probe(runs, ProbeResult::Failed, None)
    }

    fn request(&mut self, runs: &RunsContext, _: u32) -> Option<Request> {
        let listing = self.listing();
        let sort = listing.time_field().sort();
        let page = (self.search.at(), self.search.limit());
        Some(Request::Try(runs.page_at(sort, page, listing.filter())))
    }

    fn window_kind(&self) -> WindowKind {
        window_kind::BACKFILL
    }
}

impl RunsContext {
    /// Returns the rest of a gap after a full page: other runs may have appeared in its range since.
    fn rest_of(&self, place: &UnreadableRange, page: &FetchedPage) -> Option<UnreadableRange> {
        if page.objects < page.limit as usize {
            return None;
        }
        let value = |row: &Row| self.changes.value(row, place.time_field);
        let last = page.list.last().and_then(value)?;
        let is_one_time = Some(last) == place.before;
        let at_the_end = page.list.iter().filter(|row| value(row) == Some(last));
        let listed = at_the_end.map(|row| (compact_ids::id(row.id()), last));
        Some(UnreadableRange {
            before: Some(if is_one_time {
                last - TimeDelta::microseconds(1)
            } else {
                last
            }),
            known: place.known.clone().into_iter().chain(listed).collect(),
            ..place.clone()
        })
    }
}
