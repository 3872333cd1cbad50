//! Append-only: a table whose rows never change, read by their time.
//!
//! ```text
//!          cursor - overlap   cursor                          now
//!  --- read ---|---- again -----|---- always sent -------------|
//!                                      <-- this window's position
//! ```
//!
//! Times are those of the machines that logged, so rows arrive late: the overlap before the cursor is read again, and
//! its rows are sent unless they are remembered. A window is read from its latest row to its earliest. The position in
//! it is a value, so a crash costs nothing. A sync that continues an interrupted window then reads newer rows, too. The
//! cursor follows the time of the newest row, not the server's time, because the clocks may differ.

mod earlier;
mod event_pages;
mod log_pages;
mod overlap;
mod page_boundary;
mod phase;
mod runs_with_states;
mod state;
mod states_by_run;
mod window;

use chrono::{DateTime, TimeDelta, Utc};

use self::{
    overlap::{OVERLAP, Seconds, Waiting, remember},
    page_boundary::PageBoundary,
    phase::{FeedCursor, Phase},
    runs_with_states::RunsWithStates,
    window::FeedWindow,
};
use super::{
    emission::{Change, Emission},
    gaps::Between,
    listing::{collection, position, unreadable_remark},
    reader_state::ReaderState,
    request::{FetchedPage, Request, Response},
    table_sync::{SequentialSync, StartContext, States},
};
use crate::{
    prefect::Filter,
    rows::{Row, fingerprint},
    sync::{
        NoProgress,
        keyset::{KeysetPager, TimeField, latest_possible_time},
        progress::Progress,
        row_clock::RowClock,
        sent_fingerprints::SentFingerprints,
        window_kind,
    },
    tables::{self, Table},
    telemetry::WindowKind,
};

pub(crate) use self::state::FeedState;

/// The longest range of one request for events. Prefect Cloud accepts 14 days; one day is left for clocks that differ.
const DAYS_AT_ONCE: TimeDelta = TimeDelta::days(13);

/// The maximum number of gaps that are remembered.
const MOST_UNREADABLE: usize = 100;

/// The age of the oldest events that are read without a start date. By default no server keeps events longer.
const OLDEST_EVENTS: TimeDelta = TimeDelta::days(180);

pub(super) struct Feed {
    table: &'static Table,
    kind: tables::Feed,
    time: usize,
    /// The column that must have a value: an event without one is not a row of this table.
    needs: Option<usize>,
    state: FeedState,
    /// The start date: earlier rows are not read.
    start: Option<DateTime<Utc>>,
    /// The server's clock in an earlier response; the Unix epoch until there is one.
    now: DateTime<Utc>,
    /// The end of the last page of events.
    boundary: PageBoundary,
    /// The numbers of pages with and without new events.
    progress: Progress,
    /// Rows that are held back because only the sum of their second is remembered.
    waiting: Waiting,
    /// True if an earlier sync began the window: newer rows must still be read.
    is_resumed: bool,
    /// Gaps from earlier syncs that this sync has not tried again yet.
    untried: Vec<Between>,
    seen: SeenRows,
    phase: Phase,
}

/// The kinds of rows seen in a window so far, which show that a listing ends too early.
#[derive(Debug, Default)]
struct SeenRows {
    /// True once a row was seen.
    any: bool,
    /// True once a row of the previous window was seen, or if none is expected.
    known: bool,
    /// True once the end was requested again.
    doubted: bool,
}

impl SeenRows {
    fn resumed(any: bool) -> Self {
        Self {
            any,
            ..Self::default()
        }
    }
}

impl Feed {
    pub(super) fn new(kind: tables::Feed, start: &StartContext<'_>) -> Self {
        let table = start.group.source;
        let mut state = FeedState::default();
        if let Some(Some((ReaderState::Feed(saved), is_sent_again))) = start.saved.first() {
            state = FeedState::clone(saved);
            if *is_sent_again {
                state.rewind();
            }
        }
        let start_date = start.settings.start;
        state.read_from(start_date);
        // One request shows whether the server has gained events.
        state.expect_events();
        let (time, needs) = match kind {
            tables::Feed::Logs => ("timestamp", None),
            tables::Feed::Events(events) => ("occurred", events.required_column),
        };
        let mut feed = Self {
            table,
            kind,
            time: position(table, time),
            needs: needs.map(|column| position(table, column)),
            start: start_date,
            now: start.now.unwrap_or_default(),
            is_resumed: state.window.is_some(),
            seen: SeenRows::resumed(state.window.is_some()),
            untried: state.unreadable.clone(),
            state,
            boundary: PageBoundary::default(),
            progress: Progress::default(),
            waiting: Waiting::default(),
            phase: Phase::Done,
        };
        feed.phase = match (kind, start.now) {
            (tables::Feed::Events(_), None) => Phase::Clock,
            _ => feed.begin(),
        };
        feed
    }

    /// Returns the lower bound of the window.
    fn lo(&self) -> Option<DateTime<Utc>> {
        if self.state.window.as_ref().is_some_and(|it| it.is_older) {
            return self.start;
        }
        // The start date applies to older rows only: rows after the cursor are read in any case.
        let overlap = self.state.cursor.map(|cursor| cursor - OVERLAP);
        overlap.or(self.start)
    }

    fn begin(&self) -> Phase {
        let before = self.state.window.as_ref().map(|window| window.before);
        match self.kind {
            tables::Feed::Logs => Phase::Logs(Box::new(KeysetPager::new(
                collection(self.table),
                TimeField::Timestamp,
                self.lo(),
                Some(before.unwrap_or_else(latest_possible_time)),
                Filter::default(),
            ))),
            tables::Feed::Events(tables::Events {
                fallback: Some(runs),
                ..
            }) if self.state.by_runs => {
                Phase::Runs(Box::new(RunsWithStates::ended(runs, self.lo(), before)))
            }
            tables::Feed::Events(_) => Phase::Events(FeedCursor {
                since: self.since(before.unwrap_or(self.now)),
                before,
                token: None,
                reached_before: None,
            }),
        }
    }

    /// Begins a window if none is under way. The page has its latest rows, with their times in the column `time`.
    fn begin_window(&mut self, page: &FetchedPage, time: usize) {
        if self.state.window.is_none() {
            if self.state.clock.is_unknown()
                && let Some(cursor) = self.state.cursor
            {
                // The cursor of an earlier version is the date of a response.
                self.state.clock = RowClock::from(cursor);
            }
            let times = page.list.iter().filter_map(|row| row.instant(time));
            let hi = self.state.clock.read(page.now, OVERLAP, times);
            self.state.window = Some(FeedWindow {
                hi,
                before: page.now,
                is_older: false,
                seen: SentFingerprints::default(),
                seconds: Seconds::default(),
            });
        }
    }

    /// Sends the rows of a page that were not sent before.
    fn send_new_rows(&mut self, rows: FetchedPage, fresh: &[bool], emission: &mut Emission) {
        self.begin_window(&rows, self.time);
        for (row, is_fresh) in rows.list.into_iter().zip(fresh) {
            let is_other = self.needs.is_some_and(|column| row.text(column).is_none());
            // A row that is not fresh was seen before, or will come again.
            if !is_fresh || is_other {
                continue;
            }
            let at = row.instant(self.time);
            let hash = fingerprint(&row);
            if let Some(earlier) = &mut self.state.earlier {
                earlier.note_event(at);
            }
            let window = self.state.window.as_ref();
            if window.is_some_and(|window| window.seen.contains(hash)) {
                // The row was sent before the window was interrupted.
                continue;
            }
            if self.state.recent.contains(hash) {
                self.keep((hash, row), true, emission);
            } else if let Some(row) = self.waiting.hold_back(&self.state.seconds, at, (hash, row)) {
                self.keep((hash, row), false, emission);
            }
        }
    }

    /// Remembers a row if the next window will read it again, and sends it unless it was sent.
    fn keep(&mut self, (hash, row): (u64, Row), was_sent: bool, emission: &mut Emission) {
        let at = row.instant(self.time);
        if let Some(window) = &mut self.state.window
            && at.is_none_or(|at| at >= window.hi - OVERLAP)
        {
            remember(&mut window.seen, &mut window.seconds, at, hash);
        }
        if !was_sent {
            emission.changes.push(Change::Upsert(row));
        }
    }

    /// Decides about the rows of seconds that are complete once everything later than `before` is read.
    fn settle(&mut self, before: Option<DateTime<Utc>>, emission: &mut Emission) {
        for second in self.waiting.settle(&self.state.seconds, before) {
            for row in second.rows {
                self.keep(row, second.is_unchanged, emission);
            }
        }
    }

    /// Returns true, once, if the window seems to end too early, so that its last page is requested again.
    ///
    /// A window seems to end too early if it ends with this page (`is_end`) and has no row of the previous window, or
    /// has no row at all although its range would count as read. A first page that ends the first window of a table is
    /// requested again, too, unless a window was empty before; so is an empty page of a window that is continued.
    fn is_doubtful(&mut self, page: &FetchedPage, is_end: bool) -> bool {
        let window = self.state.window.as_ref();
        let is_older = window.is_some_and(|it| it.is_older);
        let recent = &self.state.recent;
        let has_known = |page: &FetchedPage| {
            let mut hashes = page.list.iter().map(fingerprint);
            hashes.any(|hash| recent.contains(hash))
        };
        self.seen.known |= is_older || self.is_resumed || has_known(page);
        let is_first_page = !self.seen.any;
        self.seen.any |= page.objects > 0;
        let is_short_of_known = !recent.is_empty() && !self.seen.known;
        let is_empty = !self.seen.any && (is_older || self.moves_when_empty(page.now));
        let is_first = is_first_page && self.state.cursor.is_none() && !self.state.was_empty;
        // An interrupted window continues with the row at which it was interrupted.
        let is_lost = self.is_resumed && page.objects == 0;
        let is_short = is_short_of_known || is_empty || is_first || is_lost;
        let is_doubtful = is_end && is_short && !self.seen.doubted;
        self.seen.doubted |= is_doubtful;
        is_doubtful
    }

    /// Returns true if the window ends so long after the cursor that the cursor moves even without a row.
    fn moves_when_empty(&self, now: DateTime<Utc>) -> bool {
        let cursor = self.state.cursor;
        cursor.is_some_and(|cursor| now - cursor >= DAYS_AT_ONCE)
    }

    /// Records that everything later than `before` is read.
    fn pass(&mut self, before: Option<DateTime<Utc>>, emission: &mut Emission) {
        let Some(before) = before else { return };
        self.settle(Some(before), emission);
        // Rows that are held back are not sent yet: after an interruption they must be read again.
        let end = self.waiting.end();
        if let Some(window) = &mut self.state.window {
            let before = end.map_or(before, |end| end.max(before));
            window.before = window.before.min(before);
        }
    }

    /// Ends the window, and returns the phase that follows.
    fn finish(&mut self, emission: &mut Emission) -> Phase {
        self.settle(None, emission);
        let Some(window) = self.state.window.take() else {
            return self.begin_earlier();
        };
        if window.is_older {
            self.state.older = None;
        } else {
            if self.state.cursor.is_none() && Some(window.before) < self.state.start {
                // With an earlier start date, which was chosen before, the window has been read further back.
                self.state.start = Some(window.before);
            }
            self.state.was_empty = !self.seen.any && self.state.cursor.is_none();
            // Without any row the cursor stays, so that nothing is lost if the response was wrong.
            if self.seen.any || self.moves_when_empty(window.hi) {
                self.state.cursor = self.state.cursor.max(Some(window.hi));
            }
            self.state.recent = window.seen;
            self.state.seconds = window.seconds;
        }
        self.seen = SeenRows::default();
        self.boundary = PageBoundary::default();
        if std::mem::take(&mut self.is_resumed) {
            return self.begin();
        }
        match self.state.older {
            Some(before) => {
                self.state.window = Some(FeedWindow {
                    hi: window.hi,
                    before,
                    is_older: true,
                    seen: SentFingerprints::default(),
                    seconds: Seconds::default(),
                });
                self.begin()
            }
            None => self.begin_earlier(),
        }
    }
}

impl Feed {
    fn accept_page(
        &mut self,
        page: FetchedPage,
        emission: &mut Emission,
    ) -> Result<(), NoProgress> {
        match std::mem::replace(&mut self.phase, Phase::Done) {
            Phase::Logs(pager) => self.logs(pager, page, emission),
            Phase::Clock => {
                self.now = page.now;
                self.phase = self.begin();
                Ok(())
            }
            Phase::Events(place) => self.events(&place, page, emission),
            Phase::Runs(runs) => self.runs(runs, page, emission),
            Phase::Earlier(runs) => self.earlier(runs, page, emission),
            Phase::Instant(instant, place) => self.instant(instant, place, page, emission),
            Phase::Unreadable(retry) => self.tried(retry, page, emission),
            Phase::Done => Ok(()),
        }
    }
}

impl SequentialSync for Feed {
    fn next(&mut self, limit: u32) -> Option<Request> {
        if matches!(self.phase, Phase::Done)
            && let Some(between) = self.untried.pop()
        {
            self.phase = Phase::Unreadable(self.retry(between));
        }
        if let Phase::Runs(runs) | Phase::Earlier(runs) = &mut self.phase {
            return Some(runs.next(limit));
        }
        match &self.phase {
            Phase::Logs(pager) => pager.next(limit).map(Request::List),
            Phase::Clock => self.ask(None, None, None, 1),
            Phase::Events(place) => {
                self.ask(Some(place.since), place.before, place.token.clone(), limit)
            }
            Phase::Instant(instant, _) => {
                let at = Some(instant.at());
                self.ask(at, at, instant.token(), limit)
            }
            Phase::Unreadable(retry) => retry.pager.next(limit).map(Request::Try),
            Phase::Runs(_) | Phase::Earlier(_) | Phase::Done => None,
        }
    }

    fn accept(&mut self, response: Response) -> Emission {
        let mut emission = Emission::default();
        match response {
            Response::Page(page) => emission.stuck = self.accept_page(page, &mut emission).err(),
            // The gap stays in the state.
            Response::Failed if matches!(self.phase, Phase::Unreadable(_)) => {
                self.phase = Phase::Done;
            }
            Response::Failed | Response::Count(_) => {}
        }
        emission
    }

    fn missing(&mut self) -> bool {
        let tables::Feed::Events(tables::Events { fallback, .. }) = self.kind else {
            return false;
        };
        if fallback.is_none() || self.state.by_runs {
            return false;
        }
        self.state.lose_events();
        self.is_resumed = self.state.window.is_some();
        self.seen = SeenRows::resumed(self.is_resumed);
        self.phase = self.begin();
        true
    }

    fn states(&self) -> States {
        vec![(
            self.table.name,
            ReaderState::Feed(Box::new(self.state.clone())),
        )]
    }

    fn remarks(&self) -> Vec<String> {
        let counts = self.state.unreadable.iter();
        let objects = counts.map(|between| u64::from(between.count)).sum();
        unreadable_remark(self.table, objects).into_iter().collect()
    }

    fn window_kind(&self) -> WindowKind {
        let is_older = self.state.window.as_ref().is_some_and(|it| it.is_older);
        if is_older || self.state.cursor.is_none() {
            return window_kind::BACKFILL;
        }
        window_kind::NEW_ROWS
    }
}
