//! The reader of runs: the stages of a sync, one after another, and their requests.

use chrono::{DateTime, Utc};

use super::{
    change_filter::{ChangeFilter, SendIf},
    listed_open_runs::ListedOpenRuns,
    phase::{FullScan, Phase, ScanPurpose},
    settings_change::RunSettings,
    state::{self, RunsState},
    task::{Task, TaskProgress},
};
use crate::{
    prefect::{CountRequest, Filter, ListRequest, TimeRange},
    rows::Row,
    sync::{
        NoProgress,
        keyset::{KeysetPager, TimeField, latest},
        offset::OffsetPager,
        partitioned_scan::{PartitionedScan, RequestIds},
        strategies::{
            emission::{Change, Emission},
            listing::collection,
            request::{FetchedPage, Request, Response},
            run_states::ended_after_a_start,
            table_sync::Poll,
        },
        tie::TiePosition,
        window_kind,
    },
    tables::Table,
    telemetry::WindowKind,
};

/// The number of pages left, estimated by its pace, from which a window is split into partitions. (Splitting a shorter
/// one costs more requests than it saves time, because the last page of each partition is not full.)
pub(super) const MIN_PAGES_TO_SPLIT_WINDOW: i32 = 8;

pub(super) struct Runs {
    pub(super) table: &'static Table,
    pub(super) changes: ChangeFilter,
    pub(super) settings: RunSettings,
    pub(super) state: RunsState,
    pub(super) tasks: TaskProgress,
    pub(super) phase: Option<Phase>,
    /// A time that the rows' clock had reached at the last response, with which rows are compared.
    pub(super) now: Option<DateTime<Utc>>,
    /// The `Date` of the last response, by which readings are due.
    pub(super) date: Option<DateTime<Utc>>,
    /// The `Date` of the first response.
    pub(super) first_date: Option<DateTime<Utc>>,
    /// The last turn of the live readers in this sync.
    pub(super) turn: Option<LiveTurn>,
    /// The interrupted backfill, during a turn of the live readers.
    pub(super) paused_backfill: Option<PartitionedScan>,
    /// Set while the backfill only waits for its last responses, because the live readers are due.
    pub(super) is_pausing: bool,
    /// Set if a returning table is read up to where the others are, without a backfill. Such a table was not selected
    /// for a while.
    pub(super) is_catching_up: bool,
    pub(super) tickets: RequestIds,
    /// The ticket of the request under way, in a phase that sends one at a time.
    pub(super) pending: Option<usize>,
    /// The open runs that this sync has listed.
    pub(super) listed: ListedOpenRuns,
    /// Set if the server supports ranges of `end_time`, but no filter for a null.
    pub(super) refuses_null_ends: bool,
    /// The number of pages of the listing under way that are read.
    pub(super) pages: usize,
}

/// The beginning of a turn of the live readers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LiveTurn {
    /// The time by the rows' clock.
    pub(super) began: DateTime<Utc>,
    /// The `Date` of the response.
    pub(super) date: DateTime<Utc>,
    /// Set if the rows' clock has moved since runs were last read. Then new readings differ in time from earlier ones.
    pub(super) is_later: bool,
}

impl Runs {
    /// Creates a reader that continues from `state`, which is adapted to the choices.
    pub(super) fn new(
        table: &'static Table,
        mut state: RunsState,
        settings: RunSettings,
        include_scheduled: bool,
    ) -> Self {
        state.read_from(settings.start);
        let tasks = TaskProgress::new(&state);
        Self {
            table,
            changes: ChangeFilter::new(table, include_scheduled),
            is_catching_up: false,
            settings,
            state,
            tasks,
            phase: None,
            now: None,
            date: None,
            first_date: None,
            turn: None,
            paused_backfill: None,
            is_pausing: false,
            tickets: RequestIds::default(),
            pending: None,
            listed: ListedOpenRuns::default(),
            refuses_null_ends: false,
            pages: 0,
        }
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
    /// upper bound up to `place`.
    pub(super) fn window(
        &self,
        time_field: TimeField,
        (lo, before): (Option<DateTime<Utc>>, Option<DateTime<Utc>>),
        place: Option<TiePosition>,
        filter: Filter,
    ) -> PartitionedScan {
        let pager = self.pager(time_field, lo, before, filter).within(place);
        PartitionedScan::window(pager, Some(MIN_PAGES_TO_SPLIT_WINDOW))
    }

    /// Stores the time at which a turn of the live readers begins, unless one is under way.
    pub(super) fn begin_turn(&mut self, began: DateTime<Utc>) {
        let date = self.date.unwrap_or(began);
        let read = self.state.live.as_ref().map(state::LiveState::last_read);
        self.turn.get_or_insert(LiveTurn {
            began,
            date,
            is_later: read.is_none_or(|read| read < began),
        });
    }

    /// Returns the time at which the live readers of this sync began, by the rows' clock.
    pub(super) fn turn_began(&self) -> Option<DateTime<Utc>> {
        self.turn.map(|turn| turn.began)
    }

    /// Plans one task after another until there is a phase to read, or nothing is left.
    pub(super) fn plan(&mut self) {
        while self.phase.is_none() {
            let Some(task) = self.next_task() else {
                return;
            };
            self.tasks.plan(task);
            self.pages = 0;
            self.phase = if self.state.without_ranges && task != Task::EndedRuns {
                self.plan_without_ranges(task)
            } else {
                self.plan_task(task)
            };
        }
    }

    /// Returns the next task. If a first sync has read everything, a turn of the live tasks follows: what changed
    /// during the backfill is read at once, and the server's abilities are known after the first sync.
    fn next_task(&mut self) -> Option<Task> {
        let next = self.tasks.next_task(&self.state);
        let is_first =
            self.turn.is_none() && self.state.live.is_some() && self.state.backfill.is_none();
        if next.is_none() && is_first {
            self.tasks.begin_live_turn();
            return self.tasks.next_task(&self.state);
        }
        next
    }

    /// Takes a page of a keyset pagination and returns the rows that were not read before.
    pub(super) fn accept_by_value(
        &mut self,
        scan: &mut PartitionedScan,
        ticket: usize,
        page: FetchedPage,
    ) -> Result<Vec<Row>, NoProgress> {
        let Some((time_field, range)) = scan.asked(ticket) else {
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
        Ok(only(page.list, fresh))
    }

    /// Adds the rows that must be sent to the emission, for a reader that began at `began`.
    pub(super) fn offer_all(
        &mut self,
        rows: Vec<Row>,
        began: DateTime<Utc>,
        rule: impl Fn(&Row, &ChangeFilter) -> SendIf,
        emission: &mut Emission,
    ) {
        let is_live = self.tasks.is_live_task();
        for row in rows {
            let rule = rule(&row, &self.changes);
            // The two sets of open runs are separated at the same time as the listings of this sync, although its clock
            // goes on.
            let met_at = self.turn_began().or(self.now);
            let times = (began, met_at.unwrap_or(began));
            let state = &mut self.state;
            if self.changes.must_send(&row, rule, times, is_live, state) {
                emission.changes.push(Change::Upsert(row));
            }
        }
    }

    /// Returns the phase of a task, if there is anything to read.
    fn plan_task(&mut self, task: Task) -> Option<Phase> {
        match task {
            Task::EndedRuns => self.plan_ended(),
            Task::OpenRuns => self.plan_open(false),
            Task::OldOpenRuns => self.plan_open(true),
            Task::WithoutEndTime => self.plan_without_end(),
            Task::OutsideFilter => self.plan_outside(),
            Task::LookBack => self.plan_look_back(),
            Task::Recheck(index) => self.plan_recheck(index),
            Task::Unreadable => self.plan_unreadable(),
            Task::Backfill if self.is_catching_up => None,
            Task::Backfill => self.plan_backfill(),
        }
    }

    pub(super) fn accept_live(
        &mut self,
        phase: Phase,
        ticket: usize,
        page: FetchedPage,
        emission: &mut Emission,
    ) -> Result<(), NoProgress> {
        match phase {
            Phase::Ended {
                scan,
                reading,
                is_resumed,
            } => self.accept_ended((scan, ticket), (reading, is_resumed), page, emission)?,
            Phase::EndedByOffset { pager, began } => {
                self.accept_ended_by_offset(pager, began, page, emission)?;
            }
            Phase::WithoutEndTime {
                scan,
                began,
                is_first,
            } => self.without_end((scan, ticket), (began, is_first), page, emission)?,
            Phase::OutsideFilter { look_up, began } => {
                self.looked_outside(look_up, began, &page, emission);
            }
            Phase::Open {
                scan,
                began,
                listed,
                long,
            } => self.open((scan, ticket), (began, listed, long), page, emission)?,
            Phase::GetMissing {
                look_up,
                began,
                long,
            } => self.looked_up(look_up, (began, long), page, emission),
            Phase::InitialRecheck { scan, reading } => {
                self.look_back((scan, ticket), reading, page, emission)?;
            }
            Phase::Recheck {
                index,
                scan,
                reading,
            } => self.recheck(index, (scan, ticket), reading, page, emission)?,
            Phase::Unreadable { at } => self.tried(at, Some(page), emission),
            Phase::Search { at, search } => self.searched((at, search), Some(page), emission),
            Phase::FullScanByOffset(pager) => self.read_by_offset(pager, page, emission)?,
            Phase::Backfill { .. } | Phase::Counts { .. } | Phase::NoExpectedStart { .. } => {}
        }
        Ok(())
    }

    pub(super) fn accept_page(
        &mut self,
        ticket: usize,
        page: FetchedPage,
        emission: &mut Emission,
    ) -> Result<(), NoProgress> {
        self.note_page_gaps(&page);
        match self.phase.take() {
            Some(Phase::Backfill { scan }) => self.backfilled(scan, ticket, page, emission),
            Some(Phase::NoExpectedStart { pager }) => self.without_start(pager, page, emission),
            Some(phase) => self.accept_live(phase, ticket, page, emission),
            None => Ok(()),
        }
    }

    /// Returns true if the request `ticket` belongs to the phase under way. Any other request was abandoned.
    pub(super) fn has_asked(&mut self, ticket: usize) -> bool {
        match self.phase.as_mut().and_then(Phase::scan_mut) {
            Some(scan) => scan.has_asked(ticket),
            None => self.pending == Some(ticket),
        }
    }
}

/// Returns the rows that are fresh.
fn only(rows: Vec<Row>, fresh: Vec<bool>) -> Vec<Row> {
    rows.into_iter()
        .zip(fresh)
        .filter_map(|(row, fresh)| fresh.then_some(row))
        .collect()
}

impl Runs {
    /// Returns the next request of a phase that sends one at a time.
    pub(super) fn ask(&mut self, limit: u32) -> Option<Request> {
        let collection = collection(self.table);
        let scope = self.settings.scope.clone();
        let (open_filter, perhaps_without_end) = (self.open_filter(), self.perhaps_without_end());
        let offset = |pager: &OffsetPager, sort, filter| {
            Request::List(ListRequest {
                collection,
                sort: Some(sort),
                limit,
                offset: pager.offset(),
                filter,
                scope: scope.clone(),
                ..ListRequest::default()
            })
        };
        match self.phase.as_mut()? {
            Phase::EndedByOffset { pager, .. } => Some(offset(
                pager,
                TimeField::EndTime.sort(),
                ended_after_a_start(),
            )),
            Phase::NoExpectedStart { pager } => Some(offset(pager, "ID_DESC", Filter::default())),
            Phase::FullScanByOffset(FullScan { pager, what, .. }) => {
                let filter = match what {
                    ScanPurpose::Everything => Filter::default(),
                    ScanPurpose::Open => open_filter,
                    ScanPurpose::WithoutEnd => perhaps_without_end,
                };
                Some(offset(pager, TimeField::ExpectedStartTime.sort(), filter))
            }
            Phase::GetMissing { look_up, .. } | Phase::OutsideFilter { look_up, .. } => {
                look_up.next(self.table, limit)
            }
            Phase::Unreadable { at } => {
                let at = *at;
                self.ask_unreadable(at, limit)
            }
            Phase::Search { at, search } => {
                let (at, offset) = (*at, search.at());
                self.ask_by_offset(at, offset)
            }
            Phase::Counts { counts } => {
                let mut filter = Filter::default();
                if counts.len() == 1 {
                    filter.expected_start_time = TimeRange {
                        after: None,
                        before: Some(latest()),
                    };
                }
                Some(Request::Count(CountRequest {
                    collection,
                    filter,
                    scope,
                }))
            }
            // The partitions of a window create their own requests.
            _ => None,
        }
    }
}

impl Runs {
    /// Returns the next request; see [`TableSync`](crate::sync::strategies::TableSync) for this and the other methods.
    pub(super) fn next(&mut self, limit: u32) -> Poll {
        if self.pending.is_some() {
            return Poll::Pending;
        }
        self.leave_scan();
        self.plan();
        if let Some(scan) = self.phase.as_mut().and_then(Phase::scan_mut) {
            let next = (!self.is_pausing).then(|| scan.next(limit, &mut self.tickets));
            return next.flatten().map_or(Poll::Pending, |(ticket, request)| {
                Poll::Request(ticket, Box::new(self.ask_around(request)))
            });
        }
        let is_by_offset = matches!(
            self.phase,
            Some(Phase::EndedByOffset { .. } | Phase::FullScanByOffset(_))
        );
        match self.ask(limit) {
            Some(ask) => {
                let ask = match ask {
                    Request::List(request) if is_by_offset => self.ask_around(request),
                    ask => ask,
                };
                let ticket = self.tickets.take();
                self.pending = Some(ticket);
                Poll::Request(ticket, Box::new(ask))
            }
            None => Poll::Done,
        }
    }

    pub(super) fn accept(&mut self, ticket: usize, response: Response) -> Emission {
        let mut emission = Emission::default();
        if !self.has_asked(ticket) {
            return emission;
        }
        self.pending = None;
        match response {
            Response::Page(mut page) => {
                self.date = Some(page.now);
                self.first_date.get_or_insert(page.now);
                page.now = page.mark;
                self.now = Some(page.now);
                emission.stuck = self.accept_page(ticket, page, &mut emission).err();
            }
            Response::Failed => match self.phase.take() {
                Some(Phase::Unreadable { at }) => self.tried(at, None, &mut emission),
                Some(Phase::Search { at, search }) => {
                    self.searched((at, search), None, &mut emission);
                }
                _ => {}
            },
            Response::Count(count) => {
                if let Some(Phase::Counts { counts }) = self.phase.take() {
                    self.counted(counts, count);
                }
            }
        }
        emission
    }

    pub(super) fn again(&mut self, ticket: usize) {
        self.pending = self.pending.filter(|asked| *asked != ticket);
        if let Some(scan) = self.phase.as_mut().and_then(Phase::scan_mut) {
            scan.again(ticket);
        }
    }

    pub(super) fn refused(&mut self, ticket: usize, detail: &str) -> bool {
        if !self.has_asked(ticket) {
            return true;
        }
        let has_another_way = self.without_null_filter(detail)
            || self.without_end_filter()
            || (detail.contains("expected_start_time") && self.without_ranges());
        if has_another_way {
            self.pending = None;
        }
        has_another_way
    }

    pub(super) fn state(&self) -> &RunsState {
        &self.state
    }

    /// Takes over the table `name`, which `other` has read up to the same position. Returns the next tickets.
    pub(super) fn take_over(&mut self, name: &str, other: Self) -> RequestIds {
        self.state.take_backfills(name, other.state);
        other.tickets
    }

    pub(super) fn window_kind(&self) -> WindowKind {
        let phase = self.phase.as_ref();
        phase.map_or(window_kind::NEW_ROWS, |phase| {
            phase.window_kind(self.state.live.as_ref())
        })
    }
}
