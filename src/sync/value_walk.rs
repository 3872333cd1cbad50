//! Paging by value: the place in the listing is a time, so whatever happens meanwhile does not move it.

use std::{collections::HashSet, sync::Arc};

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::{
    NoProgress,
    paging::{OffsetWalk, by_time},
    progress::Progress,
    tie::{TiePlace, TieWalk},
};
use crate::prefect::{Collection, Filter, ListRequest, Scope, TimeRange};

/// The time by which runs are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Tau {
    /// When a run ended: edits apart, everything that happens to a run happens before it.
    EndTime,
    /// When a run was to start: on servers that cannot filter by its end.
    ExpectedStartTime,
    /// When a line was logged.
    Timestamp,
}

impl Tau {
    /// The sort by it, latest first.
    pub(super) fn sort(self) -> &'static str {
        match self {
            Self::EndTime => "END_TIME_DESC",
            Self::ExpectedStartTime => "EXPECTED_START_TIME_DESC",
            Self::Timestamp => "TIMESTAMP_DESC",
        }
    }

    /// Keeps a range of it.
    pub(super) fn limit(self, filter: &mut Filter, range: TimeRange) {
        match self {
            Self::EndTime => filter.end_time = range,
            Self::ExpectedStartTime => filter.expected_start_time = range,
            Self::Timestamp => filter.timestamp = range,
        }
    }

    /// The reading of rows that share a value.
    fn ties(self) -> Tie {
        match self {
            Self::EndTime | Self::ExpectedStartTime => Tie::ById(TieWalk::default()),
            Self::Timestamp => Tie::ByTime(OffsetWalk::default()),
        }
    }

    /// The sort for rows that share a value: by id, the one unique order, where there is one.
    fn sort_of_ties(self) -> &'static str {
        match self {
            Self::EndTime | Self::ExpectedStartTime => "ID_DESC",
            Self::Timestamp => self.sort(),
        }
    }
}

/// The latest time that Prefect's filters can spell; as a bound it keeps nulls out.
pub(super) fn latest() -> DateTime<Utc> {
    DateTime::from_timestamp(253_402_300_799, 999_999_000).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

/// The reading of rows that share a value and fill more than a page.
#[derive(Debug)]
enum Tie {
    ById(TieWalk),
    /// By time again, if no sort has an order for them.
    ByTime(OffsetWalk),
}

impl Tie {
    fn offset(&self) -> u64 {
        match self {
            Self::ById(walk) => walk.offset(),
            Self::ByTime(walk) => walk.offset(),
        }
    }
}

/// A walk over the runs of a closed range of time, latest first.
///
/// ```text
///  lo                                          before          hi
///  |------------- next page ... ----------------|--- passed ----|
/// ```
///
/// Both bounds are inclusive, so a page begins with the value at which the one before it ended; what
/// was taken there is dropped by id. When one value fills a whole page, its runs are read by id, the
/// one unique order.
#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each says one thing of the reading"
)]
pub(super) struct ValueWalk {
    collection: Collection,
    tau: Tau,
    lo: Option<DateTime<Utc>>,
    before: Option<DateTime<Utc>>,
    filter: Filter,
    scope: Option<Arc<Scope>>,
    /// Ids already taken at the value `before`.
    taken: HashSet<String>,
    tie: Option<Tie>,
    /// Whether it should hold more runs than fit on one page.
    is_inhabited: bool,
    /// Whether it should hold a run.
    is_not_empty: bool,
    /// Whether the last answer was not believed.
    has_doubted: bool,
    progress: Progress,
    done: bool,
}

impl ValueWalk {
    pub(super) fn new(
        collection: Collection,
        tau: Tau,
        lo: Option<DateTime<Utc>>,
        before: Option<DateTime<Utc>>,
        filter: Filter,
    ) -> Self {
        Self {
            collection,
            tau,
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

    /// Only what the user wants.
    pub(super) fn scoped(mut self, scope: Option<Arc<Scope>>) -> Self {
        self.scope = scope;
        self
    }

    /// Goes on within the runs of its upper bound, of which an earlier sync has read some.
    pub(super) fn within(mut self, place: Option<TiePlace>) -> Self {
        if let (Some(place), Tie::ById(_), Some(_)) = (place, self.tau.ties(), self.before) {
            self.tie = Some(Tie::ById(TieWalk::from(place)));
        }
        self
    }

    /// A range that should hold more runs than fit on one page.
    pub(super) fn inhabited(mut self) -> Self {
        self.is_inhabited = true;
        self
    }

    /// Says whether the range should hold a run: then an empty first page is requested again.
    pub(super) fn not_empty(mut self, is_not_empty: bool) -> Self {
        self.is_not_empty = is_not_empty;
        self
    }

    /// The next page; `None` when the range is read.
    pub(super) fn next(&self, limit: u32) -> Option<ListRequest> {
        if self.done {
            return None;
        }
        let (sort, after, offset) = match &self.tie {
            Some(walk) => (self.tau.sort_of_ties(), self.before, walk.offset()),
            None => (self.tau.sort(), self.lo, 0),
        };
        let mut filter = self.filter.clone();
        let range = TimeRange {
            after,
            before: self.before,
        };
        self.tau.limit(&mut filter, range);
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

    /// Takes a page: of its `rows`, the id and the value; of its `objects`, how many there were with
    /// those that have no id. Gives for each row whether it is met for the first time. A page that does not
    /// fit what was asked is not believed the first time: it is asked for again. An error when the pages make no progress.
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
        // What lies below was given away while the page was under way.
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
                // All of them are read by id.
                fresh.fill(false);
            }
        }
        Ok(fresh)
    }

    /// Whether the last page hardly answered, and is asked for again: it tells nothing of the range.
    pub(super) fn is_in_doubt(&self) -> bool {
        self.has_doubted
    }

    /// Where a walk that is cut off now would go on.
    pub(super) fn before(&self) -> Option<DateTime<Utc>> {
        self.before
    }

    /// The place within the runs of `before`, where they are more than a page holds.
    pub(super) fn place(&self) -> Option<TiePlace> {
        match &self.tie {
            Some(Tie::ById(walk)) => walk.place(),
            _ => None,
        }
    }

    /// What is left to read.
    pub(super) fn left(&self) -> TimeRange {
        TimeRange {
            after: self.lo,
            before: self.before,
        }
    }

    /// Gives away what lies at `at` and below, down to its own bound.
    pub(super) fn cut(&mut self, at: DateTime<Utc>) -> Option<Self> {
        let is_inside = self.lo.is_none_or(|lo| lo <= at) && self.before > Some(at);
        if !is_inside || self.done {
            return None;
        }
        let lower = Self::new(
            self.collection,
            self.tau,
            self.lo,
            Some(at),
            self.filter.clone(),
        )
        .scoped(self.scope.clone())
        .inhabited();
        // Times are exact to the microsecond.
        self.lo = Some(at + TimeDelta::microseconds(1));
        Some(lower)
    }

    /// Asks for the row with which the range begins, where there is a sort that has it first. (And for the
    /// next one, in case the server cannot answer for it.)
    pub(super) fn oldest(&self) -> Option<ListRequest> {
        if self.tau != Tau::ExpectedStartTime {
            return None;
        }
        let expected_start_time = TimeRange {
            after: None,
            // A bound keeps nulls out.
            before: Some(latest()),
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

    pub(super) fn tau(&self) -> Tau {
        self.tau
    }

    /// Whether it reads a group of equal values, by id.
    pub(super) fn is_in_tie(&self) -> bool {
        self.tie.is_some()
    }

    pub(super) fn is_done(&self) -> bool {
        self.done
    }

    /// Whether the page hardly answers the question, as when a cache or a replica that lags gave it: a page
    /// begins with what the one before it ended with, a range that holds runs is not read with its first page,
    /// and nothing is later than was asked for. Each may be so in truth.
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
        // A range never matches null, and the caller gives no page without rows.
        let Some(last) = rows.last().and_then(|(_, value)| *value) else {
            self.done = true;
            return;
        };
        // All of it is later than was asked for: the place stays.
        if self.before.is_some_and(|before| last > before) {
            self.taken = taken;
            return;
        }
        if first == Some(last) {
            self.tie = Some(self.tau.ties());
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

    /// Moves on after a page of runs that share the value `before`; gives for each of them whether it lies ahead.
    fn advance_in_tie(
        &mut self,
        mut taken: HashSet<String>,
        rows: &[(&str, Option<DateTime<Utc>>)],
        objects: usize,
        limit: u32,
    ) -> Result<Vec<bool>, NoProgress> {
        let (ahead, ended) = match &mut self.tie {
            None => (vec![true; rows.len()], true),
            Some(Tie::ById(walk)) => {
                let ids: Vec<&str> = rows.iter().map(|(id, _)| *id).collect();
                walk.accept(&ids, objects, limit)?
            }
            Some(Tie::ByTime(walk)) => {
                let ids = rows.iter().map(|(id, value)| by_time(id, *value));
                let ids: Vec<_> = ids.collect();
                let ended = walk.accept(&ids, objects, limit)?.ended;
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
