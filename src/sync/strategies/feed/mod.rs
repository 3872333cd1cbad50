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
mod overlap;
mod page_boundary;
mod runs_with_states;
mod state;
mod window;

use chrono::{DateTime, TimeDelta, Utc};

use self::{
    overlap::{OVERLAP, Seconds, Waiting, remember},
    page_boundary::{PageBoundary, SameTimeEvents},
    runs_with_states::RunsWithStates,
    window::FeedWindow,
};
use super::{
    emission::{Change, Emission},
    gaps::{self, Between, Side},
    listing::{collection, position, unreadable_remark},
    reader_state::ReaderState,
    request::{FetchedPage, Request, Response},
    table_sync::{SequentialSync, StartContext, States},
};
use crate::{
    prefect::{EventsRequest, Filter, MOST_EVENTS, Token},
    rows::{Row, fingerprint},
    sync::{
        NoProgress,
        keyset::{KeysetPager, TimeField, latest},
        progress::Progress,
        row_clock::RowClock,
        sent_fingerprints::{CLOCK_SKEW_MARGIN, SentFingerprints},
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

enum Phase {
    /// The request for the server's clock, by which a long range is divided into parts.
    Clock,
    Logs(Box<KeysetPager>),
    Events(FeedCursor),
    /// Ended runs and their states.
    Runs(Box<RunsWithStates>),
    /// Runs whose states from before the first event are read.
    Earlier(Box<RunsWithStates>),
    /// Events of one instant that was on two pages, and the position at which to continue.
    Instant(SameTimeEvents, Option<FeedCursor>),
    /// A gap in the log lines, which is requested again.
    Unreadable(Box<Retry>),
    Done,
}

/// The reading of a gap in the log lines.
///
/// All lines are sent when the last of them is read: while the server still fails on some, none is sent at each sync.
struct Retry {
    between: Between,
    pager: KeysetPager,
    found: Vec<Row>,
}

/// A position in a listing of events.
#[derive(Debug, Clone)]
struct FeedCursor {
    since: DateTime<Utc>,
    /// The time after which all events are read.
    before: Option<DateTime<Utc>>,
    /// The token of the next page; `None` if a listing begins.
    token: Option<Token>,
    /// The earliest time that was seen before this listing.
    met_before: Option<DateTime<Utc>>,
}

impl Feed {
    pub(super) fn new(kind: tables::Feed, start: &StartContext<'_>) -> Self {
        let table = start.group.source;
        let mut state = match start.saved.first() {
            Some(Some((ReaderState::Feed(state), false))) => FeedState::clone(state),
            _ => FeedState::default(),
        };
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
                Some(before.unwrap_or_else(latest)),
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
                met_before: None,
            }),
        }
    }

    /// Returns the lower bound of the part of the window that ends at `before`.
    fn since(&self, before: DateTime<Utc>) -> DateTime<Utc> {
        let part = before - DAYS_AT_ONCE;
        part.max(self.lo().unwrap_or(self.now - OLDEST_EVENTS))
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
    fn take(&mut self, rows: FetchedPage, fresh: &[bool], emission: &mut Emission) {
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
            } else if let Some(row) = self.waiting.take(&self.state.seconds, at, (hash, row)) {
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

    /// Remembers the gaps of a page of log lines.
    fn note_gaps(&mut self, page: &FetchedPage, before: Option<DateTime<Utc>>) {
        let time = |row: &Row| row.instant(self.time);
        // Later lines are read by later windows.
        let latest = page.now + CLOCK_SKEW_MARGIN;
        let reached = before.map_or(latest, |before| before.min(latest));
        let found = gaps::of_page_by_time(page, time, reached);
        let lo = self.lo();
        for gap in found {
            let count = gap.count;
            let Some(between) = gap.between else { continue };
            let between = Between {
                oldest: between.oldest.or(lo),
                count,
                ..between
            };
            let list = &mut self.state.unreadable;
            if !list.contains(&between) && list.len() < MOST_UNREADABLE {
                list.push(between);
            }
        }
    }

    /// Begins to read the lines of a gap again.
    fn retry(&self, between: Between) -> Box<Retry> {
        let pager = KeysetPager::new(
            collection(self.table),
            TimeField::Timestamp,
            between.oldest,
            Some(between.newest.unwrap_or_else(latest)),
            Filter::default(),
        );
        Box::new(Retry {
            between,
            pager: pager.not_empty(true),
            found: Vec::new(),
        })
    }

    /// Takes a page of the lines of a gap. When the last one is read, the lines are sent and the gap is forgotten.
    fn tried(
        &mut self,
        mut retry: Box<Retry>,
        page: FetchedPage,
        emission: &mut Emission,
    ) -> Result<(), NoProgress> {
        let values = page.list.iter();
        let values: Vec<_> = values
            .map(|row| (row.id(), row.instant(self.time)))
            .collect();
        let fresh = retry.pager.accept(&values, page.objects, page.limit)?;
        drop(values);
        for (row, is_fresh) in page.list.into_iter().zip(fresh) {
            let side = retry.between.side(row.id(), row.instant(self.time));
            if is_fresh && side == Side::Inside {
                retry.found.push(row);
            }
        }
        if retry.pager.is_done() {
            let between = &retry.between;
            self.state.unreadable.retain(|other| other != between);
            emission
                .changes
                .extend(retry.found.into_iter().map(Change::Upsert));
        } else {
            self.phase = Phase::Unreadable(retry);
        }
        Ok(())
    }

    fn logs(
        &mut self,
        mut pager: Box<KeysetPager>,
        page: FetchedPage,
        emission: &mut Emission,
    ) -> Result<(), NoProgress> {
        let is_end = page.objects < page.limit as usize;
        if self.is_doubtful(&page, is_end) {
            self.phase = Phase::Logs(pager);
            return Ok(());
        }
        self.note_gaps(&page, pager.before());
        let values = page.list.iter();
        let values: Vec<_> = values
            .map(|row| (row.id(), row.instant(self.time)))
            .collect();
        let fresh = pager.accept(&values, page.objects, page.limit)?;
        drop(values);
        self.take(page, &fresh, emission);
        if pager.is_done() {
            self.phase = self.finish(emission);
        } else {
            self.pass(pager.before(), emission);
            self.phase = Phase::Logs(pager);
        }
        Ok(())
    }

    fn events(
        &mut self,
        place: &FeedCursor,
        mut page: FetchedPage,
        emission: &mut Emission,
    ) -> Result<(), NoProgress> {
        let lo = self.lo().unwrap_or(self.now - OLDEST_EVENTS);
        let is_end = page.more.next.is_none() && (place.since <= lo || page.objects == 0);
        if self.is_doubtful(&page, is_end) {
            self.phase = Phase::Events(place.clone());
            return Ok(());
        }
        let more = std::mem::take(&mut page.more);
        let is_full = page.objects >= page.limit.min(MOST_EVENTS) as usize;
        let values = page.list.iter();
        let values: Vec<_> = values
            .map(|row| (row.id(), row.instant(self.time)))
            .collect();
        let fresh = self.boundary.accept(&values, place.token.is_some());
        drop(values);
        let is_over = page.objects == 0 && more.next.is_none();
        if fresh.contains(&true) {
            self.progress.useful();
        } else if !is_over {
            self.progress.idle(NoProgress::Repeats, page.limit.into())?;
        }
        self.take(page, &fresh, emission);
        let is_last = more.next.is_none();
        let instant = self.boundary.split(is_last);
        let place = if is_last {
            let rest = is_full.then(|| self.rest(place, instant.as_ref()));
            rest.flatten().or_else(|| self.next_part(place.since))
        } else {
            Some(FeedCursor {
                before: self.boundary.last(),
                token: more.next,
                ..place.clone()
            })
        };
        self.phase = match instant {
            Some(instant) => {
                // A sync that is interrupted now reads that instant again.
                self.pass(Some(instant.at()), emission);
                Phase::Instant(instant, place)
            }
            None => self.go_on(place, emission),
        };
        Ok(())
    }

    /// Returns the listing that follows one that ended with a full page; `None` if that reached its lower bound.
    ///
    /// Prefect counts the events for the first page, and ends the listing at that number. Events that arrive later,
    /// with times in between, move the earliest events past that end.
    fn rest(&self, ended: &FeedCursor, instant: Option<&SameTimeEvents>) -> Option<FeedCursor> {
        let last = self.boundary.last()?;
        let is_read = instant.is_some_and(|instant| instant.at() == last);
        let is_lower = ended.met_before.is_none_or(|before| last < before);
        // If the instant itself is read, or filled the whole listing, only earlier events are left.
        let before = if is_lower && !is_read {
            last
        } else {
            last - TimeDelta::microseconds(1)
        };
        (before >= ended.since).then_some(FeedCursor {
            since: ended.since,
            before: Some(before),
            token: None,
            met_before: Some(last),
        })
    }

    /// Returns the part of the window that ends at `before`; `None` if the window begins there.
    fn next_part(&self, before: DateTime<Utc>) -> Option<FeedCursor> {
        let lo = self.lo().unwrap_or(self.now - OLDEST_EVENTS);
        (before > lo).then(|| FeedCursor {
            since: self.since(before),
            before: Some(before),
            token: None,
            met_before: self.boundary.last(),
        })
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

    /// Takes a page of ended runs, or the states of one run.
    fn runs(
        &mut self,
        mut runs: Box<RunsWithStates>,
        page: FetchedPage,
        emission: &mut Emission,
    ) -> Result<(), NoProgress> {
        let asked = runs.take_asked();
        if asked.is_none() {
            self.begin_window(&page, runs.time());
        }
        let Some((ended, window)) = asked.zip(self.state.window.as_mut()) else {
            self.seen.any |= page.objects > 0;
            runs.accept(&page)?;
            self.go_on_with(runs, emission);
            return Ok(());
        };
        // The next window reads this run again, with all its states.
        let is_met_again = ended >= window.hi - OVERLAP;
        for row in page.list {
            let hash = fingerprint(&row);
            let was_seen = window.seen.contains(hash);
            if is_met_again {
                window.seen.insert(hash);
            }
            if !was_seen && !self.state.recent.contains(hash) {
                emission.changes.push(Change::Upsert(row));
            }
        }
        self.pass(Some(runs.reached(ended)), emission);
        self.go_on_with(runs, emission);
        Ok(())
    }

    fn go_on_with(&mut self, runs: Box<RunsWithStates>, emission: &mut Emission) {
        self.phase = if runs.is_done() {
            self.finish(emission)
        } else {
            Phase::Runs(runs)
        };
    }

    /// Returns the phase that follows when all windows are read.
    fn begin_earlier(&self) -> Phase {
        let runs = self.earlier_runs();
        runs.map_or(Phase::Done, |runs| Phase::Earlier(Box::new(runs)))
    }

    /// Returns the runs whose earlier states must be read.
    fn earlier_runs(&self) -> Option<RunsWithStates> {
        match (self.kind, &self.state.earlier) {
            (
                tables::Feed::Events(tables::Events {
                    fallback: Some(runs),
                    ..
                }),
                Some(earlier),
            ) => Some(earlier.runs(runs, self.start)),
            _ => None,
        }
    }

    /// Continues after the earlier states of `runs`: from open runs to ended ones, then to open runs again.
    fn earlier_done(&mut self, runs: RunsWithStates) {
        let Some(earlier) = &mut self.state.earlier else {
            return;
        };
        let next = if runs.is_second_look() {
            self.state.earlier = None;
            None
        } else if earlier.is_open_read {
            Some(runs.second_look())
        } else {
            earlier.is_open_read = true;
            self.earlier_runs().map(|next| next.after(runs))
        };
        self.phase = next.map_or(Phase::Done, |runs| Phase::Earlier(Box::new(runs)));
    }

    /// Takes a page of runs, or the states of one run; sends those from before the first event.
    fn earlier(
        &mut self,
        mut runs: Box<RunsWithStates>,
        page: FetchedPage,
        emission: &mut Emission,
    ) -> Result<(), NoProgress> {
        let Some(earlier) = &mut self.state.earlier else {
            return Ok(());
        };
        match runs.take_asked() {
            None => runs.accept(&page)?,
            Some(reached) => {
                for row in page.list {
                    let at = row.instant(self.time);
                    if !earlier.is_before_events(at) {
                        continue;
                    }
                    let hash = fingerprint(&row);
                    if !earlier.sent.contains(hash) {
                        earlier.sent.insert(hash);
                        emission.changes.push(Change::Upsert(row));
                    }
                }
                if earlier.is_open_read && !runs.is_second_look() {
                    earlier.before = Some(runs.reached(reached));
                }
            }
        }
        if runs.is_done() {
            self.earlier_done(*runs);
        } else {
            self.phase = Phase::Earlier(runs);
        }
        Ok(())
    }

    /// Takes a page of the events of one instant.
    fn instant(
        &mut self,
        mut instant: SameTimeEvents,
        place: Option<FeedCursor>,
        mut page: FetchedPage,
        emission: &mut Emission,
    ) -> Result<(), NoProgress> {
        let more = std::mem::take(&mut page.more);
        let ids: Vec<&str> = page.list.iter().map(Row::id).collect();
        let fresh = instant.accept(&ids, page.limit)?;
        drop(ids);
        self.take(page, &fresh, emission);
        self.phase = if instant.is_complete(more) {
            self.go_on(place, emission)
        } else {
            Phase::Instant(instant, place)
        };
        Ok(())
    }

    fn go_on(&mut self, place: Option<FeedCursor>, emission: &mut Emission) -> Phase {
        match place {
            Some(place) => {
                self.pass(place.before, emission);
                Phase::Events(place)
            }
            None => self.finish(emission),
        }
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

    fn ask(
        &self,
        since: Option<DateTime<Utc>>,
        until: Option<DateTime<Utc>>,
        token: Option<Token>,
        limit: u32,
    ) -> Option<Request> {
        let tables::Feed::Events(tables::Events { names, exclude, .. }) = self.kind else {
            return None;
        };
        Some(Request::Events(EventsRequest {
            since,
            until,
            names,
            exclude,
            limit,
            token,
        }))
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
