//! Flow runs whose states are requested run by run, for servers without events.
//!
//! The runs are those that ended, latest first, or those that are open. Runs that ended without a start have no end
//! time on such servers, and are left out.

use std::collections::{HashSet, VecDeque};

use chrono::{DateTime, Utc};

use crate::{
    prefect::ListRequest,
    sync::{
        NoProgress,
        keyset::TimeField,
        offset::{OffsetPager, by_time},
        strategies::{
            listing::{collection, position},
            request::{FetchedPage, Request},
            run_states::{OPEN, ended_after_a_start, in_states},
        },
    },
    tables::Table,
};

#[derive(Debug)]
pub(super) struct RunsWithStates {
    table: &'static Table,
    is_open: bool,
    /// The column by which the runs are listed: their end time or their expected start time.
    time: usize,
    pager: OffsetPager,
    /// The lower bound: runs that ended earlier are not read.
    lo: Option<DateTime<Utc>>,
    /// The upper bound: runs that ended later were read before.
    before: Option<DateTime<Utc>>,
    /// The runs whose states must still be requested, with the times by which they are listed.
    todo: VecDeque<(String, DateTime<Utc>)>,
    /// The time of the run whose states were requested.
    asked: Option<DateTime<Utc>>,
    is_listed: bool,
    /// True for the second listing of open runs.
    is_second_look: bool,
    /// The runs whose states were requested or will be.
    seen: HashSet<String>,
    /// The time before which nothing counts as read, while a group of runs with equal end times is incomplete.
    floor: Option<DateTime<Utc>>,
}

impl RunsWithStates {
    /// Creates a listing of the runs that ended from `lo` on, but not after `before`.
    pub(super) fn ended(
        table: &'static Table,
        lo: Option<DateTime<Utc>>,
        before: Option<DateTime<Utc>>,
    ) -> Self {
        Self {
            table,
            is_open: false,
            time: position(table, "end_time"),
            pager: OffsetPager::inhabited(true),
            lo,
            before,
            todo: VecDeque::new(),
            asked: None,
            is_listed: false,
            is_second_look: false,
            seen: HashSet::new(),
            floor: None,
        }
    }

    /// Creates a listing of the runs that have not ended.
    pub(super) fn open(table: &'static Table) -> Self {
        Self {
            is_open: true,
            time: position(table, "expected_start_time"),
            ..Self::ended(table, None, None)
        }
    }

    /// Excludes the runs whose states were requested by the listing `other`.
    pub(super) fn after(self, other: Self) -> Self {
        Self {
            seen: other.seen,
            ..self
        }
    }

    /// Lists open runs again, after ended ones. A run that started again in between was in neither listing.
    pub(super) fn second_look(self) -> Self {
        Self {
            is_second_look: true,
            ..Self::open(self.table).after(self)
        }
    }

    pub(super) fn is_second_look(&self) -> bool {
        self.is_second_look
    }

    pub(super) fn next(&mut self, limit: u32) -> Request {
        if let Some((id, ended)) = self.todo.pop_front() {
            self.asked = Some(ended);
            return Request::States(id);
        }
        let (by, filter) = if self.is_open {
            (TimeField::ExpectedStartTime, in_states(OPEN))
        } else {
            (TimeField::EndTime, ended_after_a_start())
        };
        Request::Parents(ListRequest {
            collection: collection(self.table),
            sort: Some(by.sort()),
            limit,
            offset: self.pager.offset(),
            filter,
            ..ListRequest::default()
        })
    }

    /// Returns the column by which runs are listed.
    pub(super) fn time(&self) -> usize {
        self.time
    }

    /// Takes the time of the run whose states were requested; `None` if runs were listed.
    pub(super) fn take_asked(&mut self) -> Option<DateTime<Utc>> {
        self.asked.take()
    }

    /// Returns the time down to which everything is read, once the run that ended at `ended` is.
    pub(super) fn reached(&self, ended: DateTime<Utc>) -> DateTime<Utc> {
        self.floor.map_or(ended, |floor| floor.max(ended))
    }

    /// Queues the runs of a page that were not read before.
    pub(super) fn accept(&mut self, page: &FetchedPage) -> Result<(), NoProgress> {
        let ended: Vec<_> = page.list.iter().map(|row| row.instant(self.time)).collect();
        let rows = page.list.iter().zip(&ended);
        let sorted: Vec<_> = rows.map(|(row, ended)| by_time(row.id(), *ended)).collect();
        let place = self
            .pager
            .around(&page.gaps)
            .accept(&sorted, page.objects, page.limit)?;
        self.is_listed = place.ended;
        self.floor = ended
            .first()
            .copied()
            .flatten()
            .filter(|_| place.incomplete);
        if place.stepped_back {
            return Ok(());
        }
        for (at, (row, ended)) in page.list.iter().zip(ended).enumerate() {
            // Only an open run may lack the time by which runs are listed.
            let Some(ended) = ended.or_else(|| self.is_open.then_some(DateTime::UNIX_EPOCH)) else {
                continue;
            };
            if Some(ended) < self.lo {
                self.is_listed = !place.incomplete;
                break;
            }
            let was_read = self.before.is_some_and(|before| ended > before);
            if place.fresh.contains(&at) && !was_read && self.seen.insert(row.id().to_owned()) {
                self.todo.push_back((row.id().to_owned(), ended));
            }
        }
        Ok(())
    }

    pub(super) fn is_done(&self) -> bool {
        self.is_listed && self.todo.is_empty()
    }
}
