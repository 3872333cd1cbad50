//! A long range of time read in several places at once.
//!
//! ```text
//!  oldest                                                                    newest
//!  |---- lane 2 ...<--------|---- lane 1 ...<-----------|---- lane 0 ....<--------|
//! ```
//!
//! The range begins as one lane, newest first. While more may be asked than there are lanes, the lane
//! with most before it is cut in two: by its pace so far, so that a short range is not cut at all. Lanes
//! are closed and disjoint, and each has its own place; a reading that is cut off goes on in all of them.

use std::collections::BTreeMap;

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};

use super::value_walk::{ValueWalk, latest};
use crate::prefect::{Filter, ListRequest, TimeRange};

/// A lane with fewer pages left, by its pace, is not worth cutting.
const WORTH_CUTTING: i32 = 4;

/// Several walks over one range.
#[derive(Debug)]
pub(super) struct Lanes {
    by_ticket: BTreeMap<usize, Lane>,
    oldest: Oldest,
    next_ticket: usize,
}

#[derive(Debug)]
struct Lane {
    walk: ValueWalk,
    is_asked: bool,
    /// The time that its last page spanned.
    pace: Option<TimeDelta>,
}

/// Where the range begins, when it has no bound: told by the oldest row. Only to know where to cut; the
/// last lane stays without a bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Oldest {
    Unknown,
    /// The ticket of the question.
    Asked(usize),
    Known(Option<DateTime<Utc>>),
}

/// One page as a walk sees it: id and value of each row.
pub(super) type Values<'a> = &'a [(&'a str, Option<DateTime<Utc>>)];

impl Lanes {
    /// Reads these ranges; none overlaps another.
    pub(super) fn new(walks: impl IntoIterator<Item = ValueWalk>) -> Self {
        let lanes: BTreeMap<usize, Lane> = walks.into_iter().map(Lane::new).enumerate().collect();
        Self {
            next_ticket: lanes.len(),
            by_ticket: lanes,
            oldest: Oldest::Unknown,
        }
    }

    /// The next question, if another one may be asked at the same time as those under way.
    pub(super) fn next(&mut self, limit: u32) -> Option<(usize, ListRequest)> {
        if self.by_ticket.values().all(|lane| lane.is_asked) && !self.cut() {
            return self.ask_for_the_oldest();
        }
        // The newest first.
        let (ticket, lane) = self
            .by_ticket
            .iter_mut()
            .filter(|(_, lane)| !lane.is_asked)
            .max_by_key(|(_, lane)| lane.walk.before())?;
        lane.is_asked = true;
        Some((*ticket, lane.walk.next(limit)?))
    }

    /// Takes the answer to the question `ticket`; gives for each row whether it is met for the first time.
    pub(super) fn accept(
        &mut self,
        ticket: usize,
        rows: Values<'_>,
        objects: usize,
        limit: u32,
    ) -> Vec<bool> {
        if self.oldest == Oldest::Asked(ticket) {
            let value = rows.first().and_then(|(_, value)| *value);
            self.oldest = Oldest::Known(value);
            return vec![false; rows.len()];
        }
        let Some(lane) = self.by_ticket.get_mut(&ticket) else {
            return vec![false; rows.len()];
        };
        lane.is_asked = false;
        let ends = rows.first().zip(rows.last());
        if let Some(((_, Some(first)), (_, Some(last)))) = ends {
            lane.pace = Some(*first - *last);
        }
        let fresh = lane.walk.accept(rows, objects, limit);
        if lane.walk.is_done() {
            self.by_ticket.remove(&ticket);
        }
        fresh
    }

    /// The question `ticket` was not answered and is to be asked again.
    pub(super) fn again(&mut self, ticket: usize) {
        if self.oldest == Oldest::Asked(ticket) {
            self.oldest = Oldest::Unknown;
        } else if let Some(lane) = self.by_ticket.get_mut(&ticket) {
            lane.is_asked = false;
        }
    }

    /// Whether questions are under way.
    pub(super) fn is_busy(&self) -> bool {
        matches!(self.oldest, Oldest::Asked(_)) || self.by_ticket.values().any(|lane| lane.is_asked)
    }

    /// Whether everything is read.
    pub(super) fn is_done(&self) -> bool {
        self.by_ticket.is_empty()
    }

    /// What is left to read: the closed ranges, newest first.
    pub(super) fn left(&self) -> Vec<TimeRange> {
        let mut left: Vec<TimeRange> = self
            .by_ticket
            .values()
            .map(|lane| lane.walk.left())
            .collect();
        left.sort_unstable_by_key(|range| std::cmp::Reverse(range.before));
        left
    }

    /// Cuts the lane with most pages left in two; false when none is worth it.
    fn cut(&mut self) -> bool {
        let oldest = match self.oldest {
            Oldest::Known(oldest) => oldest,
            _ => None,
        };
        let rated = self
            .by_ticket
            .iter()
            .filter_map(|(ticket, lane)| Some((lane.pages_left(oldest)?, *ticket)));
        let Some((_, ticket)) = rated
            .filter(|(pages, _)| *pages >= WORTH_CUTTING)
            .max_by_key(|(pages, _)| *pages)
        else {
            return false;
        };
        let Some(lane) = self.by_ticket.get_mut(&ticket) else {
            return false;
        };
        let Some(lower) = lane.cut(oldest) else {
            return false;
        };
        self.by_ticket.insert(self.next_ticket, lower);
        self.next_ticket += 1;
        true
    }

    /// Asks where the range begins, once it is known to be longer than a page.
    fn ask_for_the_oldest(&mut self) -> Option<(usize, ListRequest)> {
        let has_bound = |lane: &Lane| lane.walk.left().after.is_some();
        let open = self.by_ticket.values().find(|lane| !has_bound(lane))?;
        if self.oldest != Oldest::Unknown || open.pace.is_none() {
            return None;
        }
        let ticket = self.next_ticket;
        let request = ListRequest {
            sort: open.walk.ascending()?,
            filter: Filter {
                expected_start_time: TimeRange {
                    after: None,
                    // A bound keeps nulls out.
                    before: Some(latest()),
                },
                ..Filter::default()
            },
            limit: 1,
            offset: 0,
            collection: open.walk.collection(),
        };
        self.oldest = Oldest::Asked(ticket);
        self.next_ticket += 1;
        Some((ticket, request))
    }
}

impl Lane {
    fn new(walk: ValueWalk) -> Self {
        Self {
            walk,
            is_asked: false,
            pace: None,
        }
    }

    /// The times that are still before it.
    fn span(&self, oldest: Option<DateTime<Utc>>) -> Option<(DateTime<Utc>, TimeDelta)> {
        let left = self.walk.left();
        let before = left.before?;
        Some((before, before - left.after.or(oldest)?))
    }

    /// How many pages it has before it, by its pace.
    fn pages_left(&self, oldest: Option<DateTime<Utc>>) -> Option<i32> {
        let (_, span) = self.span(oldest)?;
        let pace = self.pace?.max(TimeDelta::microseconds(1));
        let pages = span.num_microseconds()? / pace.num_microseconds()?;
        Some(i32::try_from(pages).unwrap_or(i32::MAX))
    }

    /// Gives away the lower half of what is before it.
    fn cut(&mut self, oldest: Option<DateTime<Utc>>) -> Option<Self> {
        let (before, span) = self.span(oldest)?;
        // As exact as the bounds are.
        let middle = (before - span / 2).trunc_subsecs(6);
        Some(Self {
            walk: self.walk.cut(middle)?,
            is_asked: false,
            pace: self.pace,
        })
    }
}
