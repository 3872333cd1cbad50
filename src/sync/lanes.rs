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
    tie::TiePlace,
    value_walk::{Tau, ValueWalk},
};
use crate::prefect::{ListRequest, TimeRange};

/// The least number of pages that a partition must have left, by its pace, to be cut.
const WORTH_CUTTING: i32 = 4;

/// Several keyset pagers for one range.
#[derive(Debug)]
pub(super) struct Lanes {
    list: Vec<Lane>,
    oldest: Oldest,
    /// The least number of pages that a partition must have left to be cut; `None`: never.
    worth: Option<i32>,
}

#[derive(Debug)]
struct Lane {
    walk: ValueWalk,
    /// The ticket of the request in progress.
    asked: Option<usize>,
    /// The span of time of the partition's last page.
    pace: Option<TimeDelta>,
}

/// The time of the oldest row of a range without a lower bound. It only decides where to cut: the last partition stays
/// without a bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Oldest {
    Unknown,
    /// The oldest row was requested, with this ticket.
    Asked(usize),
    Known(Option<DateTime<Utc>>),
}

/// A counter of requests. No two requests of a reader have the same ticket.
#[derive(Debug, Default)]
pub(super) struct Tickets(usize);

impl Tickets {
    pub(super) fn take(&mut self) -> usize {
        self.0 += 1;
        self.0
    }
}

/// A page in the form that pagers take: the id and the value of each row.
pub(super) type Values<'a> = &'a [(&'a str, Option<DateTime<Utc>>)];

impl Lanes {
    /// Creates a partition for each of these ranges, which must not overlap.
    pub(super) fn new(walks: impl IntoIterator<Item = ValueWalk>) -> Self {
        Self {
            list: walks.into_iter().map(Lane::new).collect(),
            oldest: Oldest::Unknown,
            worth: Some(WORTH_CUTTING),
        }
    }

    /// Creates a partition for a range that is usually short. It is cut only if at least `worth` pages are left; with
    /// `None` it is never cut.
    pub(super) fn window(walk: ValueWalk, worth: Option<i32>) -> Self {
        Self {
            worth,
            ..Self::new([walk])
        }
    }

    /// Returns the next request, if it may be sent concurrently with those in progress.
    pub(super) fn next(
        &mut self,
        limit: u32,
        tickets: &mut Tickets,
    ) -> Option<(usize, ListRequest)> {
        if self.list.iter().all(|lane| lane.asked.is_some()) && !self.cut() {
            return self.ask_for_the_oldest(tickets);
        }
        // The newest partition first.
        let lane = self
            .list
            .iter_mut()
            .filter(|lane| lane.asked.is_none())
            .max_by_key(|lane| lane.walk.before())?;
        let request = lane.walk.next(limit)?;
        let ticket = tickets.take();
        lane.asked = Some(ticket);
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
        if self.oldest == Oldest::Asked(ticket) {
            let value = rows.first().and_then(|(_, value)| *value);
            self.oldest = Oldest::Known(value);
            return Ok(vec![false; rows.len()]);
        }
        let asked = self.list.iter().position(|lane| lane.asked == Some(ticket));
        let Some(at) = asked else {
            return Ok(vec![false; rows.len()]);
        };
        let lane = &mut self.list[at];
        lane.asked = None;
        let fresh = lane.walk.accept(rows, objects, limit)?;
        let ends = rows.first().zip(rows.last());
        // A page that is requested again is not a measure of the pace: it may be all there is, far below the upper
        // bound.
        if let Some(((_, Some(first)), (_, Some(last)))) = ends
            && !lane.walk.is_in_doubt()
        {
            lane.pace = Some(*first - *last);
        }
        if lane.walk.is_done() {
            self.list.remove(at);
        }
        Ok(fresh)
    }

    /// Marks the request `ticket` as unanswered, so that it is sent again.
    pub(super) fn again(&mut self, ticket: usize) {
        if self.oldest == Oldest::Asked(ticket) {
            self.oldest = Oldest::Unknown;
        }
        for lane in &mut self.list {
            lane.asked = lane.asked.filter(|asked| *asked != ticket);
        }
    }

    /// Returns true if the request `ticket` is in progress.
    pub(super) fn has_asked(&self, ticket: usize) -> bool {
        self.oldest == Oldest::Asked(ticket)
            || self.list.iter().any(|lane| lane.asked == Some(ticket))
    }

    /// Returns true if any request is in progress.
    pub(super) fn is_busy(&self) -> bool {
        matches!(self.oldest, Oldest::Asked(_)) || self.list.iter().any(|lane| lane.asked.is_some())
    }

    /// Returns true if everything was read.
    pub(super) fn is_done(&self) -> bool {
        self.list.is_empty()
    }

    /// Returns the time field of the request `ticket`, and its range if it is sorted by that field.
    pub(super) fn asked(&self, ticket: usize) -> Option<(Tau, Option<TimeRange>)> {
        let lane = self.list.iter().find(|lane| lane.asked == Some(ticket));
        match lane {
            Some(lane) if lane.walk.is_in_tie() => Some((lane.walk.tau(), None)),
            Some(lane) => Some((lane.walk.tau(), Some(lane.walk.left()))),
            None => {
                (self.oldest == Oldest::Asked(ticket)).then_some((Tau::ExpectedStartTime, None))
            }
        }
    }

    /// Returns the time field by which the range is read.
    pub(super) fn tau(&self) -> Option<Tau> {
        Some(self.list.first()?.walk.tau())
    }

    /// Returns the cursor of a reading that keeps only one: everything later was read.
    pub(super) fn before(&self) -> Option<DateTime<Utc>> {
        self.list.iter().filter_map(|lane| lane.walk.before()).max()
    }

    /// Returns the position among the runs at [`Self::before`], if they fill more than a page.
    pub(super) fn place(&self) -> Option<TiePlace> {
        let lanes = self.list.iter();
        lanes.max_by_key(|lane| lane.walk.before())?.walk.place()
    }

    /// Returns the closed ranges left to read, newest first, each with the position among the runs at its upper bound.
    pub(super) fn left(&self) -> Vec<(TimeRange, Option<TiePlace>)> {
        let lanes = self.list.iter();
        let left = lanes.map(|lane| (lane.walk.left(), lane.walk.place()));
        let mut left: Vec<_> = left.collect();
        left.sort_unstable_by_key(|(range, _)| std::cmp::Reverse(range.before));
        left
    }

    /// Cuts the partition with the most pages left in two. Returns false if none is worth cutting.
    fn cut(&mut self) -> bool {
        let oldest = match self.oldest {
            Oldest::Known(oldest) => oldest,
            _ => None,
        };
        let rated = self
            .list
            .iter_mut()
            .filter_map(|lane| Some((lane.pages_left(oldest)?, lane)));
        let longest = rated
            .filter(|(pages, _)| self.worth.is_some_and(|worth| *pages >= worth))
            .max_by_key(|(pages, _)| *pages);
        let lower = longest.and_then(|(_, lane)| lane.cut(oldest));
        let is_cut = lower.is_some();
        self.list.extend(lower);
        is_cut
    }

    /// Requests the oldest row of the range, once the range is known to be longer than a page.
    fn ask_for_the_oldest(&mut self, tickets: &mut Tickets) -> Option<(usize, ListRequest)> {
        self.worth?;
        let has_bound = |lane: &Lane| lane.walk.left().after.is_some();
        let open = self.list.iter().find(|lane| !has_bound(lane))?;
        if self.oldest != Oldest::Unknown || open.pace.is_none() {
            return None;
        }
        let request = open.walk.oldest()?;
        let ticket = tickets.take();
        self.oldest = Oldest::Asked(ticket);
        Some((ticket, request))
    }
}

impl Lane {
    fn new(walk: ValueWalk) -> Self {
        Self {
            walk,
            asked: None,
            pace: None,
        }
    }

    /// Returns the upper bound and the length of the range that is left.
    fn span(&self, oldest: Option<DateTime<Utc>>) -> Option<(DateTime<Utc>, TimeDelta)> {
        let left = self.walk.left();
        let before = left.before?;
        Some((before, before - left.after.or(oldest)?))
    }

    /// Estimates the number of pages left, by the span of the last page.
    fn pages_left(&self, oldest: Option<DateTime<Utc>>) -> Option<i32> {
        let (_, span) = self.span(oldest)?;
        let pace = self.pace?.max(TimeDelta::microseconds(1));
        let pages = span.num_microseconds()? / pace.num_microseconds()?;
        Some(i32::try_from(pages).unwrap_or(i32::MAX))
    }

    /// Splits off the lower half of the range that is left.
    fn cut(&mut self, oldest: Option<DateTime<Utc>>) -> Option<Self> {
        let (before, span) = self.span(oldest)?;
        // Truncated to microseconds, the precision of the bounds.
        let middle = (before - span / 2).trunc_subsecs(6);
        Some(Self {
            walk: self.walk.cut(middle)?,
            asked: None,
            // The pace is unknown because the part may be empty. If it were cut by another partition's pace, a time in
            // which nothing ran would be requested again and again.
            pace: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prefect::{Collection, Filter};

    #[test]
    fn what_fits_on_a_page_is_asked_for_twice_and_not_cut() {
        let walk = ValueWalk::new(
            Collection("/task_runs"),
            Tau::ExpectedStartTime,
            None,
            Some(super::super::value_walk::latest()),
            Filter::default(),
        );
        let mut lanes = Lanes::new([walk.inhabited()]);
        let mut tickets = Tickets::default();
        let at = |second: i64| DateTime::from_timestamp(1_795_000_000 + second, 0);
        let rows = [("b", at(3)), ("a", at(0))];
        for asked in 1..=2 {
            let (ticket, request) = lanes.next(200, &mut tickets).expect("a request");
            assert_eq!(request.limit, 200, "the request for the range itself");
            assert_eq!(
                lanes.next(200, &mut tickets),
                None,
                "only one request at a time: {asked}"
            );
            lanes
                .accept(ticket, &rows, rows.len(), 200)
                .expect("progress");
        }
        assert!(lanes.is_done());
    }

    /// Reads runs at these seconds, newest first, with eight concurrent requests. Returns the number of requests.
    fn questions(mut seconds: Vec<i64>) -> usize {
        const LIMIT: u32 = 50;
        seconds.sort_unstable_by_key(|second| std::cmp::Reverse(*second));
        let time = |second: i64| DateTime::from_timestamp(1_700_000_000 + second, 0);
        let runs: Vec<(String, Option<DateTime<Utc>>)> = seconds
            .into_iter()
            .enumerate()
            .map(|(id, second)| (format!("{id:08}"), time(second)))
            .collect();
        let latest = super::super::value_walk::latest();
        let (tau, filter) = (Tau::ExpectedStartTime, Filter::default());
        let walk = ValueWalk::new(Collection("/flow_runs"), tau, None, Some(latest), filter);
        let mut lanes = Lanes::new([walk.inhabited()]);
        let (mut tickets, mut asked, mut fresh) = (Tickets::default(), 0, 0);
        let mut under_way = Vec::new();
        while !lanes.is_done() {
            while under_way.len() < 8
                && let Some(question) = lanes.next(LIMIT, &mut tickets)
            {
                under_way.push(question);
                asked += 1;
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
            let met = lanes.accept(ticket, &page, page.len(), LIMIT);
            let met = met.expect("progress");
            fresh += met.iter().filter(|met| **met).count();
        }
        assert_eq!(fresh, runs.len(), "each run once");
        asked
    }

    #[test]
    fn a_time_in_which_nothing_ran_is_hardly_asked_for() {
        const DAY: i64 = 86_400;
        let even: Vec<i64> = (0..5_000).map(|run| run * 500).collect();
        let alone = questions(even.clone());
        assert!(alone <= 115, "{alone} requests for 100 pages");
        // A few runs of half a year ago, and nothing in between.
        let early = (0..30).map(|run| run * 60 - 180 * DAY);
        let asked = questions(even.into_iter().chain(early).collect());
        assert!(asked <= 130, "{asked} requests for 101 pages");
    }
}
