//! Reads a long range of time in several partitions concurrently.
//!
//! ```text
//!  oldest                                                                    newest
//!  |- partition 2 ...<------|- partition 1 ...<---------|- partition 0 ....<------|
//! ```
//!
//! A range begins as one partition, which is read from the newest row. While more concurrent requests are allowed than
//! there are partitions, the partition with the most pages left is cut in two. The number of pages left is estimated
//! from the partition's own pace, so a short range is not cut, and neither is an empty one. Partitions are closed and
//! disjoint, and each has its own cursor. An interrupted reading resumes in all of them or, where the state keeps one
//! cursor only, at the newest of their upper bounds.

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};

use super::{
    NoProgress,
    keyset::{KeysetPager, TimeField},
    tie::TiePosition,
};
use crate::prefect::{ListRequest, TimeRange};

/// The least number of pages that a partition must have left, by its pace, to be cut.
const MIN_PAGES_TO_SPLIT: i32 = 4;

/// Several keyset pagers for one range.
#[derive(Debug)]
pub(super) struct PartitionedScan {
    list: Vec<Partition>,
    oldest: RangeStart,
    /// The least number of pages that a partition must have left to be cut; `None`: never.
    min_pages_to_split: Option<i32>,
}

#[derive(Debug)]
struct Partition {
    pager: KeysetPager,
    /// The ticket of the request in progress.
    ticket: Option<usize>,
    /// The span of time of the partition's last page.
    last_page_span: Option<TimeDelta>,
}

/// The time of the oldest row of a range without a lower bound. It only decides where to cut: the last partition stays
/// without a bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RangeStart {
    Unknown,
    /// The oldest row was requested, with this ticket.
    Requested(usize),
    Known(Option<DateTime<Utc>>),
}

/// A counter of requests. No two requests of a reader have the same ticket.
#[derive(Debug, Default)]
pub(super) struct RequestIds(usize);

impl RequestIds {
    pub(super) fn next_id(&mut self) -> usize {
        self.0 += 1;
        self.0
    }
}

/// A page in the form that pagers take: the id and the value of each row.
pub(super) type Values<'a> = &'a [(&'a str, Option<DateTime<Utc>>)];

impl PartitionedScan {
    /// Creates a partition for each of these ranges, which must not overlap.
    pub(super) fn new(pagers: impl IntoIterator<Item = KeysetPager>) -> Self {
        Self {
            list: pagers.into_iter().map(Partition::new).collect(),
            oldest: RangeStart::Unknown,
            min_pages_to_split: Some(MIN_PAGES_TO_SPLIT),
        }
    }

    /// Creates a partition for a range that is usually short. It is cut only if at least `min_pages_to_split` pages are
    /// left; with `None` it is never cut.
    pub(super) fn window(pager: KeysetPager, min_pages_to_split: Option<i32>) -> Self {
        Self {
            min_pages_to_split,
            ..Self::new([pager])
        }
    }

    /// Returns the next request, if it may be sent concurrently with those in progress.
    pub(super) fn next(
        &mut self,
        limit: u32,
        tickets: &mut RequestIds,
    ) -> Option<(usize, ListRequest)> {
        if self.list.iter().all(|partition| partition.ticket.is_some()) && !self.cut() {
            return self.ask_for_the_oldest(tickets);
        }
        // The newest partition first.
        let partition = self
            .list
            .iter_mut()
            .filter(|partition| partition.ticket.is_none())
            .max_by_key(|partition| partition.pager.before())?;
        let request = partition.pager.next(limit)?;
        let ticket = tickets.next_id();
        partition.ticket = Some(ticket);
        Some((ticket, request))
    }

    /// Takes the response to the request `ticket`. Returns for each row whether it was read for the first time.
    pub(super) fn accept(
        &mut self,
        ticket: usize,
        rows: Values<'_>,
        objects: usize,
        limit: u32,
    ) -> Result<Vec<bool>, NoProgress> {
        if self.oldest == RangeStart::Requested(ticket) {
            let value = rows.first().and_then(|(_, value)| *value);
            self.oldest = RangeStart::Known(value);
            return Ok(vec![false; rows.len()]);
        }
        let position = self
            .list
            .iter()
            .position(|partition| partition.ticket == Some(ticket));
        let Some(at) = position else {
            return Ok(vec![false; rows.len()]);
        };
        let partition = &mut self.list[at];
        partition.ticket = None;
        let fresh = partition.pager.accept(rows, objects, limit)?;
        let ends = rows.first().zip(rows.last());
        // A page that is requested again is not a measure of the pace: it may be all there is, far below the upper
        // bound.
        if let Some(((_, Some(first)), (_, Some(last)))) = ends
            && !partition.pager.is_in_doubt()
        {
            partition.last_page_span = Some(*first - *last);
        }
        if partition.pager.is_done() {
            self.list.remove(at);
        }
        Ok(fresh)
    }

    /// Marks the request `ticket` as unanswered, so that it is sent again.
    pub(super) fn retry(&mut self, ticket: usize) {
        if self.oldest == RangeStart::Requested(ticket) {
            self.oldest = RangeStart::Unknown;
        }
        for partition in &mut self.list {
            partition.ticket = partition.ticket.filter(|pending| *pending != ticket);
        }
    }

    /// Returns true if the request `ticket` is in progress.
    pub(super) fn is_in_progress(&self, ticket: usize) -> bool {
        self.oldest == RangeStart::Requested(ticket)
            || self
                .list
                .iter()
                .any(|partition| partition.ticket == Some(ticket))
    }

    /// Returns true if any request is in progress.
    pub(super) fn is_busy(&self) -> bool {
        matches!(self.oldest, RangeStart::Requested(_))
            || self.list.iter().any(|partition| partition.ticket.is_some())
    }

    /// Returns true if everything was read.
    pub(super) fn is_done(&self) -> bool {
        self.list.is_empty()
    }

    /// Returns the time field of the request `ticket`, and its range if it is sorted by that field.
    pub(super) fn range_of_request(&self, ticket: usize) -> Option<(TimeField, Option<TimeRange>)> {
        let partition = self
            .list
            .iter()
            .find(|partition| partition.ticket == Some(ticket));
        match partition {
            Some(partition) if partition.pager.is_in_tie() => {
                Some((partition.pager.time_field(), None))
            }
            Some(partition) => Some((partition.pager.time_field(), Some(partition.pager.left()))),
            None => (self.oldest == RangeStart::Requested(ticket))
                .then_some((TimeField::ExpectedStartTime, None)),
        }
    }

    /// Returns the time field by which the range is read.
    pub(super) fn time_field(&self) -> Option<TimeField> {
        Some(self.list.first()?.pager.time_field())
    }

    /// Returns the cursor of a reading that keeps only one: everything later was read.
    pub(super) fn before(&self) -> Option<DateTime<Utc>> {
        self.list
            .iter()
            .filter_map(|partition| partition.pager.before())
            .max()
    }

    /// Returns the position among the runs at [`Self::before`], if they fill more than a page.
    pub(super) fn place(&self) -> Option<TiePosition> {
        let partitions = self.list.iter();
        partitions
            .max_by_key(|partition| partition.pager.before())?
            .pager
            .place()
    }

    /// Returns the closed ranges left to read, newest first, each with the position among the runs at its upper bound.
    pub(super) fn left(&self) -> Vec<(TimeRange, Option<TiePosition>)> {
        let partitions = self.list.iter();
        let left = partitions.map(|partition| (partition.pager.left(), partition.pager.place()));
        let mut left: Vec<_> = left.collect();
        left.sort_unstable_by_key(|(range, _)| std::cmp::Reverse(range.before));
        left
    }

    /// Cuts the partition with the most pages left in two. Returns false if none is worth cutting.
    fn cut(&mut self) -> bool {
        let oldest = match self.oldest {
            RangeStart::Known(oldest) => oldest,
            _ => None,
        };
        let rated = self
            .list
            .iter_mut()
            .filter_map(|partition| Some((partition.pages_left(oldest)?, partition)));
        let longest = rated
            .filter(|(pages, _)| self.min_pages_to_split.is_some_and(|worth| *pages >= worth))
            .max_by_key(|(pages, _)| *pages);
        let lower = longest.and_then(|(_, partition)| partition.cut(oldest));
        let is_cut = lower.is_some();
        self.list.extend(lower);
        is_cut
    }

    /// Requests the oldest row of the range, once the range is known to be longer than a page.
    fn ask_for_the_oldest(&mut self, tickets: &mut RequestIds) -> Option<(usize, ListRequest)> {
        self.min_pages_to_split?;
        let has_bound = |partition: &Partition| partition.pager.left().after.is_some();
        let open = self.list.iter().find(|partition| !has_bound(partition))?;
        if self.oldest != RangeStart::Unknown || open.last_page_span.is_none() {
            return None;
        }
        let request = open.pager.oldest()?;
        let ticket = tickets.next_id();
        self.oldest = RangeStart::Requested(ticket);
        Some((ticket, request))
    }
}

impl Partition {
    fn new(pager: KeysetPager) -> Self {
        Self {
            pager,
            ticket: None,
            last_page_span: None,
        }
    }

    /// Returns the upper bound and the length of the range that is left.
    fn span(&self, oldest: Option<DateTime<Utc>>) -> Option<(DateTime<Utc>, TimeDelta)> {
        let left = self.pager.left();
        let before = left.before?;
        Some((before, before - left.after.or(oldest)?))
    }

    /// Estimates the number of pages left, by the span of the last page.
    fn pages_left(&self, oldest: Option<DateTime<Utc>>) -> Option<i32> {
        let (_, span) = self.span(oldest)?;
        let pace = self.last_page_span?.max(TimeDelta::microseconds(1));
        let pages = span.num_microseconds()? / pace.num_microseconds()?;
        Some(i32::try_from(pages).unwrap_or(i32::MAX))
    }

    /// Splits off the lower half of the range that is left.
    fn cut(&mut self, oldest: Option<DateTime<Utc>>) -> Option<Self> {
        let (before, span) = self.span(oldest)?;
        // Truncated to microseconds, the precision of the bounds.
        let middle = (before - span / 2).trunc_subsecs(6);
        Some(Self {
            pager: self.pager.cut(middle)?,
            ticket: None,
            // The pace is unknown because the part may be empty. If it were cut by another partition's pace, a time in
            // which nothing ran would be requested again and again.
            last_page_span: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prefect::{Collection, Filter};

    #[test]
    fn a_range_that_fits_on_a_page_is_requested_twice_and_not_split() {
        let pager = KeysetPager::new(
            Collection("/task_runs"),
            TimeField::ExpectedStartTime,
            None,
            Some(super::super::keyset::latest_possible_time()),
            Filter::default(),
        );
        let mut partitions = PartitionedScan::new([pager.inhabited()]);
        let mut tickets = RequestIds::default();
        let at = |second: i64| DateTime::from_timestamp(1_795_000_000 + second, 0);
        let rows = [("b", at(3)), ("a", at(0))];
        for attempt in 1..=2 {
            let (ticket, request) = partitions.next(200, &mut tickets).expect("a request");
            assert_eq!(request.limit, 200, "the request for the range itself");
            assert_eq!(
                partitions.next(200, &mut tickets),
                None,
                "only one request at a time: {attempt}"
            );
            partitions
                .accept(ticket, &rows, rows.len(), 200)
                .expect("progress");
        }
        assert!(partitions.is_done());
    }

    /// Reads runs at these seconds, newest first, with eight concurrent requests. Returns the number of requests.
    fn count_requests(mut seconds: Vec<i64>) -> usize {
        const LIMIT: u32 = 50;
        seconds.sort_unstable_by_key(|second| std::cmp::Reverse(*second));
        let time = |second: i64| DateTime::from_timestamp(1_700_000_000 + second, 0);
        let runs: Vec<(String, Option<DateTime<Utc>>)> = seconds
            .into_iter()
            .enumerate()
            .map(|(id, second)| (format!("{id:08}"), time(second)))
            .collect();
        let latest = super::super::keyset::latest_possible_time();
        let (time_field, filter) = (TimeField::ExpectedStartTime, Filter::default());
        let pager = KeysetPager::new(
            Collection("/flow_runs"),
            time_field,
            None,
            Some(latest),
            filter,
        );
        let mut partitions = PartitionedScan::new([pager.inhabited()]);
        let (mut tickets, mut requests, mut fresh) = (RequestIds::default(), 0, 0);
        let mut under_way = Vec::new();
        while !partitions.is_done() {
            while under_way.len() < 8
                && let Some(request) = partitions.next(LIMIT, &mut tickets)
            {
                under_way.push(request);
                requests += 1;
            }
            let within = |request: &ListRequest| -> Vec<(&str, Option<DateTime<Utc>>)> {
                let range = request.filter.expected_start_time;
                let is_within = |time: Option<DateTime<Utc>>| {
                    range.after.is_none_or(|after| time >= Some(after))
                        && range.before.is_none_or(|before| time <= Some(before))
                };
                let runs = runs.iter().filter(|(_, time)| is_within(*time));
                runs.map(|(id, time)| (id.as_str(), *time)).collect()
            };
            // The response with the fewest rows arrives first.
            let answered = (0..under_way.len())
                .min_by_key(|at| within(&under_way[*at].1).len().min(50))
                .expect("a request");
            let (ticket, request): (usize, ListRequest) = under_way.remove(answered);
            let mut page = within(&request);
            if request.sort == Some("EXPECTED_START_TIME_ASC") {
                page.reverse();
            }
            page.truncate(usize::try_from(request.limit).expect("few"));
            let fresh_rows = partitions.accept(ticket, &page, page.len(), LIMIT);
            let fresh_rows = fresh_rows.expect("progress");
            fresh += fresh_rows.iter().filter(|fresh_rows| **fresh_rows).count();
        }
        assert_eq!(fresh, runs.len(), "each run once");
        requests
    }

    #[test]
    fn a_time_without_runs_needs_few_requests() {
        const DAY: i64 = 86_400;
        let even: Vec<i64> = (0..5_000).map(|run| run * 500).collect();
        let alone = count_requests(even.clone());
        assert!(alone <= 115, "{alone} requests for 100 pages");
        // A few runs of half a year ago, and nothing in between.
        let early = (0..30).map(|run| run * 60 - 180 * DAY);
        let requests = count_requests(even.into_iter().chain(early).collect());
        assert!(requests <= 130, "{requests} requests for 101 pages");
    }
}
