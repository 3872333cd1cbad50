//! One sync of a table of runs: plans one task after another, and passes requests and responses to its reader.

use super::{
    backfill,
    context::RunsContext,
    ended_by_offset, ended_runs, gap_retry, open_runs,
    open_set::AgeClass,
    outside_filter,
    reader::{Next, Reader, UsedFilter},
    recheck,
    settings_change::RunSettings,
    state::{RunsState, ServerKind},
    task::Task,
    without_end_time, without_ranges,
};
use crate::{
    sync::{
        NoProgress,
        keyset::TimeField,
        partitioned_scan::RequestIds,
        strategies::{
            emission::Emission,
            request::{FetchedPage, Response},
            table_sync::Poll,
        },
        window_kind,
    },
    tables::Table,
    telemetry::WindowKind,
};

/// One sync of a table of runs.
pub(super) struct RunsSync {
    pub(super) context: RunsContext,
    pub(super) tickets: RequestIds,
    /// The reader of the task under way.
    reader: Option<Box<dyn Reader>>,
    /// The ticket of the request under way, of a reader that sends one at a time.
    pending: Option<usize>,
    /// The number of pages that the task under way has read, of a listing whose pages have names.
    pages: usize,
}

impl RunsSync {
    /// Creates a sync that continues from `state`, which is adapted to the settings.
    pub(super) fn new(
        table: &'static Table,
        state: RunsState,
        settings: RunSettings,
        include_scheduled: bool,
    ) -> Self {
        Self {
            context: RunsContext::new(table, state, settings, include_scheduled),
            tickets: RequestIds::default(),
            reader: None,
            pending: None,
            pages: 0,
        }
    }

    /// Returns the next request; see [`TableSync`](crate::sync::strategies::TableSync) for this and the other methods.
    pub(super) fn next(&mut self, limit: u32) -> Poll {
        if self.pending.is_some() {
            return Poll::Pending;
        }
        if let Some(mut reader) = self.reader.take() {
            let next = reader.before_request(&mut self.context);
            self.reader = continued(reader, next);
        }
        self.plan();
        let Some(reader) = &mut self.reader else {
            return Poll::Done;
        };
        let is_pausing = reader.is_pausing();
        let Some(scan) = reader.scan_mut() else {
            let Some(request) = reader.request(&self.context, limit) else {
                return Poll::Done;
            };
            let ticket = self.tickets.next_id();
            self.pending = Some(ticket);
            return Poll::Request(ticket, Box::new(request));
        };
        if is_pausing {
            return Poll::Pending;
        }
        let Some((ticket, request)) = scan.next(limit, &mut self.tickets) else {
            return Poll::Pending;
        };
        let name = reader.page_name(self.pages);
        let request = self.context.around_gaps(name.as_deref(), request);
        Poll::Request(ticket, Box::new(request))
    }

    /// Plans one task after another until there is something to read, or nothing is left.
    fn plan(&mut self) {
        while self.reader.is_none() {
            let Some(task) = self.next_task() else {
                return;
            };
            self.context.tasks.plan(task);
            self.pages = 0;
            self.reader = reader_of(task, &mut self.context);
        }
    }

    /// Returns the next task. If a first sync has read everything, a turn of the live tasks follows: what changed
    /// during the backfill is read at once, and the server's abilities are known after the first sync.
    fn next_task(&mut self) -> Option<Task> {
        let RunsContext {
            tasks, state, turn, ..
        } = &mut self.context;
        let next = tasks.next_task(state);
        let is_first = turn.is_none() && state.live.is_some() && state.backfill.is_none();
        if next.is_none() && is_first {
            tasks.begin_live_turn();
            return tasks.next_task(state);
        }
        next
    }

    pub(super) fn accept(&mut self, ticket: usize, response: Response) -> Emission {
        let mut emission = Emission::default();
        if !self.is_in_progress(ticket) {
            return emission;
        }
        self.pending = None;
        let Some(mut reader) = self.reader.take() else {
            return emission;
        };
        let next = match response {
            Response::Page(page) => self.accept_page(&mut *reader, ticket, page, &mut emission),
            Response::Failed => Ok(reader.failed(&mut self.context, &mut emission)),
            Response::Count(count) => Ok(reader.counted(&mut self.context, count)),
        };
        match next {
            Ok(next) => self.reader = continued(reader, next),
            Err(why) => emission.stuck = Some(why),
        }
        emission
    }

    fn accept_page(
        &mut self,
        reader: &mut dyn Reader,
        ticket: usize,
        mut page: FetchedPage,
        emission: &mut Emission,
    ) -> Result<Next, NoProgress> {
        self.context.note_times(&page);
        page.now = page.mark;
        if let Some(name) = reader.page_name(self.pages) {
            self.context.note_page_gaps(&name, self.pages == 0, &page);
            self.pages += 1;
        }
        reader.accept(&mut self.context, ticket, page, emission)
    }

    pub(super) fn retry(&mut self, ticket: usize) {
        self.pending = self.pending.filter(|pending| *pending != ticket);
        if let Some(scan) = self.reader.as_mut().and_then(|reader| reader.scan_mut()) {
            scan.retry(ticket);
        }
    }

    /// Handles the rejection of a filter. Returns true if the readers have another way to read.
    pub(super) fn refused(&mut self, ticket: usize, detail: &str) -> bool {
        if !self.is_in_progress(ticket) {
            return true;
        }
        let Some(filter) = self.reader.as_mut().and_then(|reader| reader.filter()) else {
            return false;
        };
        let runs = &mut self.context;
        match filter {
            UsedFilter::NullEndTime if detail.contains("end_time") => {
                runs.read_without_null_ends();
            }
            UsedFilter::Range(TimeField::EndTime) => runs.read_without_end_times(),
            _ if detail.contains("expected_start_time") && !runs.state.without_ranges => {
                without_ranges::begin(runs);
            }
            _ => return false,
        }
        self.reader = None;
        self.pending = None;
        true
    }

    /// Returns true if the request `ticket` belongs to the reader under way. Any other request was abandoned.
    fn is_in_progress(&mut self, ticket: usize) -> bool {
        match self.reader.as_mut().and_then(|reader| reader.scan_mut()) {
            Some(scan) => scan.is_in_progress(ticket),
            None => self.pending == Some(ticket),
        }
    }

    pub(super) fn state(&self) -> &RunsState {
        &self.context.state
    }

    /// Takes over the table `name`, which `other` has read up to the same position. Returns the next tickets.
    pub(super) fn take_over(&mut self, name: &str, other: Self) -> RequestIds {
        self.context.state.take_backfills(name, other.context.state);
        other.tickets
    }

    pub(super) fn window_kind(&self) -> WindowKind {
        let reader = self.reader.as_ref();
        reader.map_or(window_kind::NEW_ROWS, |reader| reader.window_kind())
    }
}

fn continued(reader: Box<dyn Reader>, next: Next) -> Option<Box<dyn Reader>> {
    match next {
        Next::Same => Some(reader),
        Next::Reader(next) => Some(next),
        Next::Finished => None,
    }
}

/// Returns the reader of a task, if there is anything to read.
fn reader_of(task: Task, runs: &mut RunsContext) -> Option<Box<dyn Reader>> {
    let is_without_ranges = runs.state.server() == ServerKind::WithoutRanges;
    match task {
        _ if is_without_ranges && task != Task::EndedRuns => without_ranges::plan(task, runs),
        Task::EndedRuns => {
            runs.turn = None;
            if runs.state.lists_ended_by_offset() {
                return ended_by_offset::plan(runs);
            }
            ended_runs::plan(runs)
        }
        Task::OpenRuns => open_runs::plan(AgeClass::Recent, runs),
        Task::OldOpenRuns => open_runs::plan(AgeClass::Old, runs),
        Task::WithoutEndTime => without_end_time::plan(runs),
        Task::OutsideFilter => outside_filter::plan(runs),
        Task::LookBack => recheck::plan_look_back(runs),
        Task::Recheck(index) => recheck::plan(index, runs),
        Task::Unreadable => gap_retry::plan(runs),
        Task::Backfill if runs.is_catching_up => None,
        Task::Backfill => backfill::plan(runs),
    }
}
