//! Paging by value: the place in the listing is a time, so whatever happens meanwhile does not move it.

use std::{collections::HashSet, sync::Arc};

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::{
    NoProgress,
    paging::{OffsetWalk, by_id, by_time},
    progress::Progress,
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
    DateTime::from_timestamp(253_402_300_799, 0).unwrap_or(DateTime::<Utc>::MAX_UTC)
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
pub(super) struct ValueWalk {
    collection: Collection,
    tau: Tau,
    lo: Option<DateTime<Utc>>,
    before: Option<DateTime<Utc>>,
    filter: Filter,
    scope: Option<Arc<Scope>>,
    /// Ids already taken at the value `before`.
    taken: HashSet<String>,
    tie: Option<OffsetWalk>,
    /// Whether it should hold more runs than fit on one page.
    is_inhabited: bool,
    /// Whether the last answer was not believed.
    has_doubted: bool,
    progress: Progress,
    /// The page before: where it began, and all ids known from there on.
    page_before: Option<(Option<DateTime<Utc>>, HashSet<String>)>,
    /// The place of a walk that went back by a page: what lies above it is read.
    went_back_from: Option<DateTime<Utc>>,
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
            has_doubted: false,
            progress: Progress::default(),
            page_before: None,
            went_back_from: None,
            done: false,
        }
    }

    /// Only what the user wants.
    pub(super) fn scoped(mut self, scope: Option<Arc<Scope>>) -> Self {
        self.scope = scope;
        self
    }

    /// A range that should hold more runs than fit on one page.
    pub(super) fn inhabited(mut self) -> Self {
        self.is_inhabited = true;
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
    /// fit what was asked is not believed the first time: it is asked for again. An error when the pages
    /// make no progress: nothing is known then of what was not read.
    pub(super) fn accept(
        &mut self,
        rows: &[(&str, Option<DateTime<Utc>>)],
        objects: usize,
        limit: u32,
    ) -> Result<Vec<bool>, NoProgress> {
        let is_short = u32::try_from(objects).is_ok_and(|objects| objects < limit);
        self.has_doubted = !self.has_doubted && self.is_odd(rows, is_short);
        let nothing = vec![false; rows.len()];
        if self.has_doubted {
            let why = if rows.is_empty() {
                NoProgress::Empty
            } else {
                NoProgress::Repeats
            };
            self.progress.idle(why, limit.into())?;
            return Ok(nothing);
        }
        if is_short && self.is_detached(rows) {
            self.go_back(limit)?;
            return Ok(nothing);
        }
        let is_new = |(id, value): &(&str, Option<DateTime<Utc>>)| {
            let is_above =
                matches!((value, self.before), (Some(value), Some(before)) if *value > before);
            !is_above && !self.taken.contains(*id)
        };
        if rows.iter().any(is_new) {
            self.progress.useful();
            self.went_back_from = None;
        } else if !is_short && self.tie.is_none() {
            self.progress.idle(NoProgress::Repeats, limit.into())?;
            if self.went_back_from.is_none() {
                return Ok(nothing);
            }
        }
        let taken = std::mem::take(&mut self.taken);
        // What lies below was given away while the page was under way.
        let is_below = |value: Option<DateTime<Utc>>| matches!((value, self.lo), (Some(value), Some(lo)) if value < lo);
        let fresh = rows
            .iter()
            .map(|(id, value)| !taken.contains(*id) && !is_below(*value))
            .collect();
        let is_short = is_short || rows.iter().any(|(_, value)| is_below(*value));
        if self.tie.is_some() {
            self.advance_in_tie(taken, rows, objects, limit)?;
        } else if is_short {
            self.done = true;
        } else {
            self.advance(taken, rows);
        }
        Ok(fresh)
    }

    /// Whether the last page hardly answered, and is asked for again: it tells nothing of the range.
    pub(super) fn is_in_doubt(&self) -> bool {
        self.has_doubted
    }

    /// Where a walk that is cut off now would go on.
    pub(super) fn before(&self) -> Option<DateTime<Utc>> {
        self.went_back_from.or(self.before)
    }

    /// What is left to read.
    pub(super) fn left(&self) -> TimeRange {
        TimeRange {
            after: self.lo,
            before: self.before(),
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
            self.is_inhabited && (is_short || rows.iter().all(|(_, value)| is_below(*value)))
        } else {
            self.tie.is_none() && !rows.iter().any(|(id, _)| self.taken.contains(*id))
        }
    }

    /// Whether the listing seems to end where it cannot: the page has none of the rows with which the one
    /// before it ended.
    fn is_detached(&self, rows: &[(&str, Option<DateTime<Utc>>)]) -> bool {
        let is_known = |(id, _): &(&str, Option<DateTime<Utc>>)| self.taken.contains(*id);
        self.tie.is_none() && !self.taken.is_empty() && !rows.iter().any(is_known)
    }

    /// Reads the page before once more: it shows whether the rows with which it ended are gone.
    fn go_back(&mut self, limit: u32) -> Result<(), NoProgress> {
        self.progress.idle(NoProgress::Empty, limit.into())?;
        let Some((before, known)) = self.page_before.take() else {
            return Err(NoProgress::Empty);
        };
        self.went_back_from = self.before;
        self.before = before;
        self.taken = known;
        Ok(())
    }

    fn advance(&mut self, taken: HashSet<String>, rows: &[(&str, Option<DateTime<Utc>>)]) {
        let first = rows.first().and_then(|(_, value)| *value);
        // A range never matches null, and the caller gives no page without rows.
        let Some(last) = rows.last().and_then(|(_, value)| *value) else {
            self.done = true;
            return;
        };
        if self.went_back_from.is_none() {
            let ids = rows.iter().map(|(id, _)| (*id).to_owned());
            let known = taken.iter().cloned().chain(ids).collect();
            self.page_before = Some((self.before, known));
        }
        let is_tie = first == Some(last);
        if self.before == Some(last) {
            self.taken = taken;
        }
        self.taken.extend(
            rows.iter()
                .filter(|(_, value)| *value == Some(last))
                .map(|(id, _)| (*id).to_owned()),
        );
        if is_tie {
            self.tie = Some(OffsetWalk::knowing(&self.taken));
            self.page_before = None;
        }
        self.before = Some(last);
    }

    /// Moves on after a page of runs that share the value `before`.
    fn advance_in_tie(
        &mut self,
        mut taken: HashSet<String>,
        rows: &[(&str, Option<DateTime<Utc>>)],
        objects: usize,
        limit: u32,
    ) -> Result<(), NoProgress> {
        let has_order = self.tau.sort_of_ties() == "ID_DESC";
        let ids = rows.iter().map(|(id, value)| {
            if has_order {
                by_id(id)
            } else {
                by_time(id, *value)
            }
        });
        let ids: Vec<_> = ids.collect();
        let ended = match &mut self.tie {
            Some(walk) => walk.accept(&ids, objects, limit)?.ended,
            None => true,
        };
        if ended {
            self.tie = None;
            self.before = self.before.map(|value| value - TimeDelta::microseconds(1));
            self.done = matches!((self.lo, self.before), (Some(lo), Some(before)) if before < lo);
        } else {
            taken.extend(rows.iter().map(|(id, _)| (*id).to_owned()));
            self.taken = taken;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: u32 = 100;

    type Run = (String, Option<DateTime<Utc>>);

    /// Reads 450 runs whose pages `serve` may alter: request number, the page as it is, and the first one.
    /// Gives the number of runs that were met, of requests, and how it ended.
    fn read(
        serve: impl Fn(usize, Vec<Run>, &[Run]) -> Vec<Run>,
    ) -> (usize, usize, Result<(), NoProgress>) {
        let at = |second: i64| DateTime::from_timestamp(1_800_000_000 + second, 0);
        let runs: Vec<Run> = (0..450).rev().map(|n| (format!("{n:04}"), at(n))).collect();
        let mut walk = ValueWalk::new(
            Collection("/flow_runs"),
            Tau::ExpectedStartTime,
            None,
            Some(latest()),
            Filter::default(),
        );
        let (mut met, mut requests) = (0, 0);
        while let Some(request) = walk.next(LIMIT) {
            let before = request.filter.expected_start_time.before;
            let page = runs.iter().filter(|(_, at)| *at <= before).take(100);
            let page = serve(requests, page.cloned().collect(), &runs[..100]);
            requests += 1;
            let rows: Vec<_> = page.iter().map(|(id, at)| (id.as_str(), *at)).collect();
            match walk.accept(&rows, rows.len(), LIMIT) {
                Ok(fresh) => met += fresh.iter().filter(|fresh| **fresh).count(),
                Err(error) => return (met, requests, Err(error)),
            }
        }
        (met, requests, Ok(()))
    }

    #[test]
    fn pages_without_progress_are_an_error_and_no_row_comes_twice() {
        assert_eq!(read(|_, page, _| page), (450, 5, Ok(())));
        for from in 1..5 {
            let empty = |request, page, _: &[Run]| if request < from { page } else { Vec::new() };
            let (met, requests, ended) = read(empty);
            assert_eq!(ended, Err(NoProgress::Empty), "from {from}");
            assert!(requests <= 15 && met <= 100 * from, "{met} in {requests}");
            let first = |request, page, first: &[Run]| {
                if request < from { page } else { first.to_vec() }
            };
            let (met, requests, ended) = read(first);
            assert_eq!(ended, Err(NoProgress::Repeats), "from {from}");
            assert!(requests <= 15 && met <= 100 * from, "{met} in {requests}");
        }
    }

    #[test]
    fn pages_that_are_empty_for_a_while_lose_nothing() {
        for (from, times) in [(1, 1), (1, 2), (2, 2), (3, 3), (4, 3)] {
            let odd = |request, page, _: &[Run]| {
                let is_empty = (from..from + times).contains(&request);
                if is_empty { Vec::new() } else { page }
            };
            let (met, _, ended) = read(odd);
            assert_eq!((met, ended), (450, Ok(())), "{times} from {from}");
        }
    }
}
