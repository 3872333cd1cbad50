//! The state, settings and times that all readers of one sync share, and the operations that they have in common.

use chrono::{DateTime, Utc};

use super::{
    change_filter::{ChangeFilter, SendIf},
    listed_open_runs::ListedOpenRuns,
    live_state::LiveState,
    settings_change::RunSettings,
    state::RunsState,
    task::TaskProgress,
};
use crate::{
    prefect::{Filter, ListRequest},
    rows::Row,
    sync::{
        NoProgress,
        keyset::{KeysetPager, TimeField},
        partitioned_scan::PartitionedScan,
        strategies::{
            emission::{Change, Emission},
            listing::collection,
            request::FetchedPage,
        },
        tie::TiePosition,
    },
    tables::Table,
};

/// The number of pages left, estimated by its pace, from which a window is split into partitions. (Splitting a shorter
/// one costs more requests than it saves time, because the last page of each partition is not full.)
pub(super) const MIN_PAGES_TO_SPLIT_WINDOW: i32 = 8;

/// The values that the readers of one sync share.
pub(super) struct RunsContext {
    pub(super) table: &'static Table,
    pub(super) changes: ChangeFilter,
    pub(super) settings: RunSettings,
    pub(super) state: RunsState,
    pub(super) tasks: TaskProgress,
    /// A time that the rows' clock had reached at the last response, with which rows are compared.
    pub(super) now: Option<DateTime<Utc>>,
    /// The `Date` of the last response, by which tasks are due.
    pub(super) date: Option<DateTime<Utc>>,
    /// The `Date` of the first response.
    pub(super) first_date: Option<DateTime<Utc>>,
    /// The last turn of the live tasks in this sync.
    pub(super) turn: Option<LiveTurn>,
    /// The interrupted backfill, during a turn of the live tasks.
    pub(super) paused_backfill: Option<PartitionedScan>,
    /// Set if a returning table is read up to where the others are, without a backfill. Such a table was not selected
    /// for a while.
    pub(super) is_catching_up: bool,
    /// The open runs that this sync has listed.
    pub(super) listed: ListedOpenRuns,
    /// Set if the server supports ranges of `end_time`, but no filter for a null.
    pub(super) refuses_null_ends: bool,
}

/// The beginning of a turn of the live tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LiveTurn {
    /// The time by the rows' clock.
    pub(super) began: DateTime<Utc>,
    /// The `Date` of the response.
    pub(super) date: DateTime<Utc>,
    /// Set if the rows' clock has moved since runs were last read. Then new readings differ in time from earlier ones.
    pub(super) is_later: bool,
}

impl RunsContext {
    /// Creates the context of a sync that continues from `state`, which is adapted to the settings.
    pub(super) fn new(
        table: &'static Table,
        mut state: RunsState,
        settings: RunSettings,
        include_scheduled: bool,
    ) -> Self {
        state.read_from(settings.start);
        Self {
            table,
            changes: ChangeFilter::new(table, include_scheduled),
            tasks: TaskProgress::new(&state),
            settings,
            state,
            now: None,
            date: None,
            first_date: None,
            turn: None,
            paused_backfill: None,
            is_catching_up: false,
            listed: ListedOpenRuns::default(),
            refuses_null_ends: false,
        }
    }

    /// Stores the times of a response.
    pub(super) fn note_times(&mut self, page: &FetchedPage) {
        self.date = Some(page.now);
        self.first_date.get_or_insert(page.now);
        self.now = Some(page.mark);
    }

    /// Stores the time at which a turn of the live tasks begins, unless one is under way.
    pub(super) fn begin_turn(&mut self, began: DateTime<Utc>) {
        let date = self.date.unwrap_or(began);
        let read = self.state.live.as_ref().map(LiveState::last_read);
        self.turn.get_or_insert(LiveTurn {
            began,
            date,
            is_later: read.is_none_or(|read| read < began),
        });
    }

    /// Returns the time at which the live tasks of this sync began, by the rows' clock.
    pub(super) fn turn_began(&self) -> Option<DateTime<Utc>> {
        self.turn.map(|turn| turn.began)
    }

    pub(super) fn pager(
        &self,
        time_field: TimeField,
        lo: Option<DateTime<Utc>>,
        before: Option<DateTime<Utc>>,
        filter: Filter,
    ) -> KeysetPager {
        KeysetPager::new(collection(self.table), time_field, lo, before, filter)
            .scoped(self.settings.scope.clone())
    }

    /// Creates the pass over a window that usually fits on one page. An earlier sync may have read the runs at its
    /// upper bound up to `place`. A window that is continued (`is_resumed`) has the run at which it was interrupted, so
    /// an empty first page is requested again.
    pub(super) fn window(
        &self,
        time_field: TimeField,
        (lo, before): (Option<DateTime<Utc>>, Option<DateTime<Utc>>),
        (place, is_resumed): (Option<TiePosition>, bool),
        filter: Filter,
    ) -> PartitionedScan {
        let pager = self.pager(time_field, lo, before, filter).within(place);
        let pager = pager.not_empty(is_resumed);
        PartitionedScan::window(pager, Some(MIN_PAGES_TO_SPLIT_WINDOW))
    }

    /// Returns the request for a page of a listing by offset.
    pub(super) fn page_at(
        &self,
        sort: &'static str,
        (offset, limit): (u64, u32),
        filter: Filter,
    ) -> ListRequest {
        ListRequest {
            collection: collection(self.table),
            sort: Some(sort),
            limit,
            offset,
            filter,
            scope: self.settings.scope.clone(),
            ..ListRequest::default()
        }
    }

    /// Takes a page of a keyset pagination and returns the rows that were not read before.
    pub(super) fn accept_by_value(
        &mut self,
        scan: &mut PartitionedScan,
        ticket: usize,
        page: FetchedPage,
    ) -> Result<Vec<Row>, NoProgress> {
        let Some((time_field, range)) = scan.range_of_request(ticket) else {
            return Ok(Vec::new());
        };
        if let Some(range) = range {
            self.note_gaps(time_field, range, &page);
        }
        let values: Vec<_> = page
            .list
            .iter()
            .map(|row| (row.id(), self.changes.value(row, time_field)))
            .collect();
        let fresh = scan.accept(ticket, &values, page.objects, page.limit)?;
        drop(values);
        let rows = page.list.into_iter().zip(fresh);
        Ok(rows
            .filter_map(|(row, is_fresh)| is_fresh.then_some(row))
            .collect())
    }

    /// Adds the rows that must be sent to the emission, for a reader that began at `began`.
    pub(super) fn offer_all(
        &mut self,
        rows: Vec<Row>,
        began: DateTime<Utc>,
        rule: impl Fn(&Row, &ChangeFilter) -> SendIf,
        emission: &mut Emission,
    ) {
        for row in rows {
            let rule = rule(&row, &self.changes);
            self.offer(row, began, rule, emission);
        }
    }

    /// Adds a row to the emission if it must be sent, for a reader that began at `began`.
    pub(super) fn offer(
        &mut self,
        row: Row,
        began: DateTime<Utc>,
        rule: SendIf,
        emission: &mut Emission,
    ) {
        // The two sets of open runs are separated at the same time as the listings of this sync, although its clock
        // goes on.
        let separated_at = self.turn_began().or(self.now);
        let times = (began, separated_at.unwrap_or(began));
        let is_live = self.tasks.is_live_task();
        if self
            .changes
            .must_send(&row, rule, times, is_live, &mut self.state)
        {
            emission.changes.push(Change::Upsert(row));
        }
    }

    /// Creates the state of the live tasks with the first page of the first backfill, which began at `began`.
    pub(super) fn begin_live(&mut self, began: DateTime<Utc>) {
        let look_back = self.settings.look_back;
        let live = &mut self.state.live;
        live.get_or_insert_with(|| LiveState::from(began, look_back));
    }
}
