//! Keyset pagination by time: the position in the listing is a time, so no change of the listing moves it.

use std::{collections::HashSet, sync::Arc};

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::{
    NoProgress,
    offset::{OffsetPager, by_time},
    progress::Progress,
    tie::{TiePager, TiePosition},
};
use crate::prefect::{Collection, Filter, ListRequest, TimeRange, UserFilter};

/// The time field by which rows are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum TimeField {
    /// The end of a run. Except for edits, everything that happens to a run happens before it.
    EndTime,
    /// The expected start of a run. The backfill and the open set use it, and on servers that cannot filter by end time
    /// all readers.
    ExpectedStartTime,
    /// The time of a log line.
    Timestamp,
}

impl TimeField {
    /// Returns the sort by this field, latest first.
    pub(super) fn sort(self) -> &'static str {
        match self {
            Self::EndTime => "END_TIME_DESC",
            Self::ExpectedStartTime => "EXPECTED_START_TIME_DESC",
            Self::Timestamp => "TIMESTAMP_DESC",
        }
    }

    /// Limits the filter to a range of this field.
    pub(super) fn limit(self, filter: &mut Filter, range: TimeRange) {
        match self {
            Self::EndTime => filter.end_time = range,
            Self::ExpectedStartTime => filter.expected_start_time = range,
            Self::Timestamp => filter.timestamp = range,
        }
    }

    /// Creates the pager for rows that share a value.
    fn ties(self) -> Tie {
        match self {
            Self::EndTime | Self::ExpectedStartTime => Tie::ById(TiePager::default()),
            Self::Timestamp => Tie::ByTime(OffsetPager::default()),
        }
    }

    /// Returns the sort for rows that share a value: by id, the only unique order, if the server has it.
    fn sort_of_ties(self) -> &'static str {
        match self {
            Self::EndTime | Self::ExpectedStartTime => "ID_DESC",
            Self::Timestamp => self.sort(),
        }
    }
}

/// Returns the latest time that Prefect's filters accept. As a bound it excludes nulls.
pub(super) fn latest_possible_time() -> DateTime<Utc> {
    DateTime::from_timestamp(253_402_300_799, 999_999_000).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

/// The pager of rows that share a value and fill more than a page.
#[derive(Debug)]
enum Tie {
    ById(TiePager),
    /// Rows without a sort by id: read by offset in the order of time.
    ByTime(OffsetPager),
}

impl Tie {
    fn offset(&self) -> u64 {
        match self {
            Self::ById(pager) => pager.offset(),
            Self::ByTime(pager) => pager.offset(),
        }
    }
}

/// A pager that reads a closed range of time, latest first.
///
/// ```text
///  lo                                          before          hi
///  |------------- next page ... ----------------|--- passed ----|
/// ```
///
/// Both bounds are inclusive, so a page begins with the value at which the previous page ended; rows already taken at
/// that value are dropped by id. If one value fills a whole page, its runs are read by id, the only unique order.
#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is an independent fact about the pass"
)]
pub(super) struct KeysetPager {
    collection: Collection,
    time_field: TimeField,
    lo: Option<DateTime<Utc>>,
    before: Option<DateTime<Utc>>,
    filter: Filter,
    scope: Option<Arc<UserFilter>>,
    /// Ids already taken at the value `before`.
    taken: HashSet<String>,
    tie: Option<Tie>,
    /// True if the range should contain more runs than fit on one page.
    is_inhabited: bool,
    /// True if the range should contain a run.
    is_not_empty: bool,
    /// True if the last page was doubtful and is requested again.
    has_doubted: bool,
    progress: Progress,
    done: bool,
}

impl KeysetPager {
    pub(super) fn new(
        collection: Collection,
        time_field: TimeField,
        lo: Option<DateTime<Utc>>,
        before: Option<DateTime<Utc>>,
        filter: Filter,
    ) -> Self {
        Self {
            collection,
            time_field,
            lo,
            before,
            filter,
            scope: None,
            taken: HashSet::new(),
            tie: None,
            is_inhabited: false,
            is_not_empty: false,
            has_doubted: false,
            progress: Progress::default(),
            done: false,
        }
    }

    /// Applies the user's filter.
    pub(super) fn scoped(mut self, scope: Option<Arc<UserFilter>>) -> Self {
        self.scope = scope;
        self
    }

    /// Resumes among the runs at the upper bound, some of which an earlier sync has read.
    pub(super) fn within(mut self, place: Option<TiePosition>) -> Self {
        if let (Some(place), Tie::ById(_), Some(_)) = (place, self.time_field.ties(), self.before) {
            self.tie = Some(Tie::ById(TiePager::from(place)));
        }
        self
    }

    /// Marks the range as one that should contain more runs than fit on one page.
    pub(super) fn inhabited(mut self) -> Self {
        self.is_inhabited = true;
        self
    }

    /// Sets whether the range should contain a run: then an empty first page is requested again.
    pub(super) fn not_empty(mut self, is_not_empty: bool) -> Self {
        self.is_not_empty = is_not_empty;
        self
    }

    /// Returns the request for the next page; `None` if the range was read.
    pub(super) fn next(&self, limit: u32) -> Option<ListRequest> {
        if self.done {
            return None;
        }
        let (sort, after, offset) = match &self.tie {
            Some(pager) => (self.time_field.sort_of_ties(), self.before, pager.offset()),
            None => (self.time_field.sort(), self.lo, 0),
        };
        let mut filter = self.filter.clone();
        let range = TimeRange {
            after,
            before: self.before,
        };
        self.time_field.limit(&mut filter, range);
        Some(ListRequest {
            collection: self.collection,
            sort: Some(sort),
            limit,
            offset,
            filter,
            scope: self.scope.clone(),
            ..ListRequest::default()
        })
    }

    /// Takes a page: the id and value of each row, and the number of objects including those without an id. Returns for
    /// each row whether it was read for the first time. A page that does not fit the request is not trusted the first
    /// time: it is requested again. Returns an error if the pages make no progress.
    pub(super) fn accept(
        &mut self,
        rows: &[(&str, Option<DateTime<Utc>>)],
        objects: usize,
        limit: u32,
    ) -> Result<Vec<bool>, NoProgress> {
        let is_short = u32::try_from(objects).is_ok_and(|objects| objects < limit);
        self.has_doubted = !self.has_doubted && self.is_odd(rows, is_short);
        if self.has_doubted {
            self.progress.idle(NoProgress::Gap, limit.into())?;
            return Ok(vec![false; rows.len()]);
        }
        let was = self.before;
        let taken = std::mem::take(&mut self.taken);
        // Rows below `lo` were given to another partition while the request was in progress.
        let is_below = |value: Option<DateTime<Utc>>| matches!((value, self.lo), (Some(value), Some(lo)) if value < lo);
        let mut fresh: Vec<bool> = rows
            .iter()
            .map(|(id, value)| !taken.contains(*id) && !is_below(*value))
            .collect();
        let is_short = is_short || rows.iter().any(|(_, value)| is_below(*value));
        if self.tie.is_some() {
            let ahead = self.advance_in_tie(taken, rows, objects, limit)?;
            let both = fresh.iter_mut().zip(ahead);
            both.for_each(|(fresh, is_ahead)| *fresh &= is_ahead);
        } else if is_short {
            self.done = true;
        } else {
            self.advance(taken, rows);
            let has_moved = was.is_none_or(|was| self.before < Some(was));
            if has_moved || self.tie.is_some() || self.done {
                self.progress.useful();
            } else {
                self.progress.idle(NoProgress::Repeats, limit.into())?;
            }
            if matches!(self.tie, Some(Tie::ById(_))) {
                // All runs at this value are read by id.
                fresh.fill(false);
            }
        }
        Ok(fresh)
    }

    /// Returns true if the last page hardly fits the request and is requested again. Such a page shows nothing about
    /// the range.
    pub(super) fn is_in_doubt(&self) -> bool {
        self.has_doubted
    }

    /// Returns the position at which an interrupted pass resumes.
    pub(super) fn before(&self) -> Option<DateTime<Utc>> {
        self.before
    }

    /// Returns the position among the runs at `before`, if they fill more than a page.
    pub(super) fn place(&self) -> Option<TiePosition> {
        match &self.tie {
            Some(Tie::ById(pager)) => pager.place(),
            _ => None,
        }
    }

    /// Returns the range that is left to read.
    pub(super) fn left(&self) -> TimeRange {
        TimeRange {
            after: self.lo,
            before: self.before,
        }
    }

    /// Splits off the part at and below `at`, down to the lower bound.
    pub(super) fn cut(&mut self, at: DateTime<Utc>) -> Option<Self> {
        let is_inside = self.lo.is_none_or(|lo| lo <= at) && self.before > Some(at);
        if !is_inside || self.done {
            return None;
        }
        let lower = Self::new(
            self.collection,
            self.time_field,
            self.lo,
            Some(at),
            self.filter.clone(),
        )
        .scoped(self.scope.clone())
        .inhabited();
        // Times have a precision of one microsecond.
        self.lo = Some(at + TimeDelta::microseconds(1));
        Some(lower)
    }

    /// Returns a request for the oldest row of the range, if there is a sort that begins with it. (The request includes
    /// the next row, in case the server fails on the first.)
    pub(super) fn oldest(&self) -> Option<ListRequest> {
        if self.time_field != TimeField::ExpectedStartTime {
            return None;
        }
        let expected_start_time = TimeRange {
            after: None,
            // A bound excludes nulls.
            before: Some(latest_possible_time()),
        };
        Some(ListRequest {
            sort: Some("EXPECTED_START_TIME_ASC"),
            filter: Filter {
                expected_start_time,
                ..self.filter.clone()
            },
            limit: 2,
            collection: self.collection,
            scope: self.scope.clone(),
            ..ListRequest::default()
        })
    }

    pub(super) fn time_field(&self) -> TimeField {
        self.time_field
    }

    /// Returns true while rows that share a value are read, by id or by offset.
    pub(super) fn is_in_tie(&self) -> bool {
        self.tie.is_some()
    }

    pub(super) fn is_done(&self) -> bool {
        self.done
    }

    /// Returns true if the page hardly fits the request, as when it comes from a cache or a lagging replica. A page
    /// should begin with the last rows of the previous page, a range that should contain more than a page should not
    /// end with its first page, and no row should be later than requested. Each of these may happen on a correct
    /// server.
    fn is_odd(&self, rows: &[(&str, Option<DateTime<Utc>>)], is_short: bool) -> bool {
        let is_above = |value: Option<DateTime<Utc>>| matches!((value, self.before), (Some(value), Some(before)) if value > before);
        if rows.iter().any(|(_, value)| is_above(*value)) {
            return true;
        }
        if self.taken.is_empty() {
            let is_below = |value: Option<DateTime<Utc>>| value < self.lo;
            let is_inhabited = self.is_inhabited
                && self.tie.is_none()
                && (is_short || rows.iter().all(|(_, value)| is_below(*value)));
            is_inhabited || (self.is_not_empty && self.tie.is_none() && rows.is_empty())
        } else {
            self.tie.is_none() && !rows.iter().any(|(id, _)| self.taken.contains(*id))
        }
    }

    fn advance(&mut self, taken: HashSet<String>, rows: &[(&str, Option<DateTime<Utc>>)]) {
        let first = rows.first().and_then(|(_, value)| *value);
        // A range never matches null, and the caller passes no full page without rows.
        let Some(last) = rows.last().and_then(|(_, value)| *value) else {
            self.done = true;
            return;
        };
        // All rows are later than requested: the position stays.
        if self.before.is_some_and(|before| last > before) {
            self.taken = taken;
            return;
        }
        if first == Some(last) {
            self.tie = Some(self.time_field.ties());
        }
        if self.before == Some(last) {
            self.taken = taken;
        }
        self.before = Some(last);
        if matches!(self.tie, Some(Tie::ById(_))) {
            return;
        }
        self.taken.extend(
            rows.iter()
                .filter(|(_, value)| *value == Some(last))
                .map(|(id, _)| (*id).to_owned()),
        );
    }

    /// Advances after a page of runs that share the value `before`. Returns for each run whether it is after the
    /// position.
    fn advance_in_tie(
        &mut self,
        mut taken: HashSet<String>,
        rows: &[(&str, Option<DateTime<Utc>>)],
        objects: usize,
        limit: u32,
    ) -> Result<Vec<bool>, NoProgress> {
        let (ahead, ended) = match &mut self.tie {
            None => (vec![true; rows.len()], true),
            Some(Tie::ById(pager)) => {
                let ids: Vec<&str> = rows.iter().map(|(id, _)| *id).collect();
                pager.accept(&ids, objects, limit)?
            }
            Some(Tie::ByTime(pager)) => {
                let ids = rows.iter().map(|(id, value)| by_time(id, *value));
                let ids: Vec<_> = ids.collect();
                let ended = pager.accept(&ids, objects, limit)?.ended;
                (vec![true; rows.len()], ended)
            }
        };
        if ended {
            self.tie = None;
            self.before = self.before.map(|value| value - TimeDelta::microseconds(1));
            self.done = matches!((self.lo, self.before), (Some(lo), Some(before)) if before < lo);
        } else {
            let read = rows.iter().zip(&ahead).filter(|(_, is_ahead)| **is_ahead);
            taken.extend(read.map(|((id, _), _)| (*id).to_owned()));
            self.taken = taken;
        }
        Ok(ahead)
    }
}
