//! Feed: a collection that is only ever added to, read by its time.
//!
//! ```text
//!          cursor - overlap   cursor                          now
//!  --- read ---|---- again -----|---- always sent -------------|
//!                                      <-- this window's place
//! ```
//!
//! Times are those of the machines that logged, so that rows arrive late: what lies in the overlap before
//! the cursor is read again, and sent unless it is remembered. A window is read from its latest row to its
//! earliest; its place is a value, so a crash costs nothing.

mod ended_runs;
mod seam;
mod state;

use chrono::{DateTime, TimeDelta, Utc};

use self::{
    ended_runs::EndedRuns,
    seam::{Instant, Seam},
    state::Window,
};
use super::{
    Answer, Ask, Beginning, Change, ReaderState, Rows, Serial, States, Step, collection, position,
};
use crate::{
    prefect::{EventsRequest, Filter, Token},
    rows::{Row, fingerprint},
    sync::{
        NoProgress,
        recent::Recent,
        value_walk::{Tau, ValueWalk, latest},
    },
    tables::{self, Table},
    telemetry::Reading,
};

pub(crate) use self::state::FeedState;

/// How late a row may arrive.
const OVERLAP: TimeDelta = TimeDelta::minutes(15);

/// Prefect Cloud answers for 14 days of events at once; a day for clocks that differ.
const DAYS_AT_ONCE: TimeDelta = TimeDelta::days(13);

/// No server keeps events longer, unless it is told to: without a start this far is looked back.
const OLDEST_EVENTS: TimeDelta = TimeDelta::days(180);

pub(super) struct Feed {
    table: &'static Table,
    kind: tables::Feed,
    time: usize,
    state: FeedState,
    /// No row before it is wanted.
    start: Option<DateTime<Utc>>,
    /// The server's clock at some answer; until then nothing is known of it.
    now: DateTime<Utc>,
    /// Where the last page of events ended.
    seam: Seam,
    phase: Phase,
}

enum Phase {
    /// What time it is: a long time is divided into parts.
    Clock,
    Logs(Box<ValueWalk>),
    Events(Place),
    /// Runs that ended, and their states.
    Runs(Box<EndedRuns>),
    /// Events of one instant that stood on two pages, and where to go on.
    Instant(Instant, Option<Place>),
    Done,
}

/// A place in a listing of events.
#[derive(Debug, Clone)]
struct Place {
    since: DateTime<Utc>,
    /// Everything later is read.
    before: Option<DateTime<Utc>>,
    token: Option<Token>,
}

impl Feed {
    pub(super) fn new(kind: tables::Feed, beginning: &Beginning<'_>) -> Self {
        let table = beginning.group.source;
        let mut state = match beginning.saved.first() {
            Some(Some((ReaderState::Feed(state), false))) => state.clone(),
            _ => FeedState::default(),
        };
        let start = beginning.choices.start;
        if state.cursor.is_some() && start < state.start {
            // What lies right there was read.
            let before = state.start.map(|start| start - TimeDelta::microseconds(1));
            state.older = state.older.max(before);
        }
        state.start = start;
        let time = match kind {
            tables::Feed::Logs => "timestamp",
            tables::Feed::Events(_) => "occurred",
        };
        let mut feed = Self {
            table,
            kind,
            time: position(table, time),
            start,
            now: beginning.now.unwrap_or_default(),
            state,
            seam: Seam::default(),
            phase: Phase::Done,
        };
        feed.phase = match (kind, beginning.now) {
            (tables::Feed::Events(_), None) if !feed.state.by_runs => Phase::Clock,
            _ => feed.begin(),
        };
        feed
    }

    /// Where the window begins.
    fn lo(&self) -> Option<DateTime<Utc>> {
        if self.state.window.as_ref().is_some_and(|it| it.is_older) {
            return self.start;
        }
        let overlap = self.state.cursor.map(|cursor| cursor - OVERLAP);
        overlap.max(self.start)
    }

    fn begin(&self) -> Phase {
        let before = self.state.window.as_ref().map(|window| window.before);
        match self.kind {
            tables::Feed::Logs => Phase::Logs(Box::new(ValueWalk::new(
                collection(self.table),
                Tau::Timestamp,
                self.lo(),
                Some(before.unwrap_or_else(latest)),
                Filter::default(),
            ))),
            tables::Feed::Events(tables::Events {
                instead: Some(runs),
                ..
            }) if self.state.by_runs => {
                Phase::Runs(Box::new(EndedRuns::new(runs, self.lo(), before)))
            }
            tables::Feed::Events(_) => Phase::Events(Place {
                since: self.since(before.unwrap_or(self.now)),
                before,
                token: None,
            }),
        }
    }

    /// Where a part of the window begins that ends at `before`.
    fn since(&self, before: DateTime<Utc>) -> DateTime<Utc> {
        let part = before - DAYS_AT_ONCE;
        part.max(self.lo().unwrap_or(self.now - OLDEST_EVENTS))
    }

    /// Sends what was not sent before.
    fn take(&mut self, rows: Rows, fresh: &[bool], step: &mut Step) {
        let now = rows.now;
        let window = self.state.window.get_or_insert_with(|| Window {
            hi: now,
            before: now,
            is_older: false,
            met: Recent::default(),
        });
        for (row, is_fresh) in rows.list.into_iter().zip(fresh) {
            let at = row.instant(self.time);
            let hash = fingerprint(&row);
            let was_met = window.met.contains(hash);
            if at.is_none_or(|at| at >= window.hi - OVERLAP) {
                window.met.insert(hash);
            }
            if *is_fresh && !was_met && !self.state.recent.contains(hash) {
                step.changes.push(Change::Upsert(row));
            }
        }
    }

    fn logs(
        &mut self,
        mut walk: Box<ValueWalk>,
        page: Rows,
        step: &mut Step,
    ) -> Result<(), NoProgress> {
        let values = page.list.iter();
        let values: Vec<_> = values
            .map(|row| (row.id(), row.instant(self.time)))
            .collect();
        let fresh = walk.accept(&values, page.objects, page.limit)?;
        drop(values);
        self.take(page, &fresh, step);
        if walk.is_done() {
            self.phase = self.finish();
        } else {
            self.pass(walk.before());
            self.phase = Phase::Logs(walk);
        }
        Ok(())
    }

    fn events(&mut self, Place { since, .. }: Place, mut page: Rows, step: &mut Step) {
        let more = std::mem::take(&mut page.more);
        let values = page.list.iter();
        let values: Vec<_> = values
            .map(|row| (row.id(), row.instant(self.time)))
            .collect();
        let fresh = self.seam.accept(&values);
        drop(values);
        self.take(page, &fresh, step);
        let is_last = more.next.is_none();
        let lo = self.lo().unwrap_or(self.now - OLDEST_EVENTS);
        let place = if !is_last {
            Some(Place {
                since,
                before: self.seam.last(),
                token: more.next,
            })
        } else if since <= lo {
            None
        } else {
            Some(Place {
                since: self.since(since),
                before: Some(since),
                token: None,
            })
        };
        self.phase = match self.seam.split(is_last) {
            Some(instant) => {
                // Cut off now, a sync reads that instant again.
                self.pass(Some(instant.at()));
                Phase::Instant(instant, place)
            }
            None => self.go_on(place),
        };
    }

    /// A page of runs that ended, or the states of one.
    fn runs(
        &mut self,
        mut runs: Box<EndedRuns>,
        page: Rows,
        step: &mut Step,
    ) -> Result<(), NoProgress> {
        let now = page.now;
        let window = self.state.window.get_or_insert_with(|| Window {
            hi: now,
            before: now,
            is_older: false,
            met: Recent::default(),
        });
        let Some(ended) = runs.take_asked() else {
            runs.accept(&page)?;
            self.go_on_with(runs);
            return Ok(());
        };
        // As the run is met again, so are all its states.
        let is_met_again = ended >= window.hi - OVERLAP;
        for row in page.list {
            let hash = fingerprint(&row);
            let was_met = window.met.contains(hash);
            if is_met_again {
                window.met.insert(hash);
            }
            if !was_met && !self.state.recent.contains(hash) {
                step.changes.push(Change::Upsert(row));
            }
        }
        self.pass(Some(runs.reached(ended)));
        self.go_on_with(runs);
        Ok(())
    }

    fn go_on_with(&mut self, runs: Box<EndedRuns>) {
        self.phase = if runs.is_done() {
            self.finish()
        } else {
            Phase::Runs(runs)
        };
    }

    /// One more page of the events of an instant.
    fn instant(
        &mut self,
        mut instant: Instant,
        place: Option<Place>,
        mut page: Rows,
        step: &mut Step,
    ) {
        let more = std::mem::take(&mut page.more);
        let ids: Vec<&str> = page.list.iter().map(Row::id).collect();
        let fresh = instant.accept(&ids);
        drop(ids);
        self.take(page, &fresh, step);
        self.phase = if instant.is_complete(more) {
            self.go_on(place)
        } else {
            Phase::Instant(instant, place)
        };
    }

    fn go_on(&mut self, place: Option<Place>) -> Phase {
        match place {
            Some(place) => {
                self.pass(place.before);
                Phase::Events(place)
            }
            None => self.finish(),
        }
    }

    /// Everything later than `before` is read.
    fn pass(&mut self, before: Option<DateTime<Utc>>) {
        if let (Some(window), Some(before)) = (&mut self.state.window, before) {
            window.before = window.before.min(before);
        }
    }

    /// The window is read; gives what comes next.
    fn finish(&mut self) -> Phase {
        let Some(window) = self.state.window.take() else {
            return Phase::Done;
        };
        if window.is_older {
            self.state.older = None;
        } else {
            self.state.cursor = self.state.cursor.max(Some(window.hi));
            self.state.recent = window.met;
        }
        self.seam = Seam::default();
        match self.state.older {
            Some(before) => {
                self.state.window = Some(Window {
                    hi: window.hi,
                    before,
                    is_older: true,
                    met: Recent::default(),
                });
                self.begin()
            }
            None => Phase::Done,
        }
    }
}

impl Feed {
    fn accept_page(&mut self, page: Rows, step: &mut Step) -> Result<(), NoProgress> {
        match std::mem::replace(&mut self.phase, Phase::Done) {
            Phase::Logs(walk) => self.logs(walk, page, step),
            Phase::Clock => {
                self.now = page.now;
                self.phase = self.begin();
                Ok(())
            }
            Phase::Events(place) => {
                self.events(place, page, step);
                Ok(())
            }
            Phase::Runs(runs) => self.runs(runs, page, step),
            Phase::Instant(instant, place) => {
                self.instant(instant, place, page, step);
                Ok(())
            }
            Phase::Done => Ok(()),
        }
    }

    fn ask(
        &self,
        since: Option<DateTime<Utc>>,
        until: Option<DateTime<Utc>>,
        token: Option<Token>,
        limit: u32,
    ) -> Option<Ask> {
        let tables::Feed::Events(tables::Events { names, but, .. }) = self.kind else {
            return None;
        };
        Some(Ask::Events(EventsRequest {
            since,
            until,
            names,
            but,
            limit,
            token,
        }))
    }
}

impl Serial for Feed {
    fn next(&mut self, limit: u32) -> Option<Ask> {
        if let Phase::Runs(runs) = &mut self.phase {
            return Some(runs.next(limit));
        }
        match &self.phase {
            Phase::Logs(walk) => walk.next(limit).map(Ask::List),
            Phase::Clock => self.ask(None, None, None, 1),
            Phase::Events(Place { since, token, .. }) => {
                let until = self.state.window.as_ref().map(|window| window.before);
                self.ask(Some(*since), until, token.clone(), limit)
            }
            Phase::Instant(instant, _) => {
                let at = Some(instant.at());
                self.ask(at, at, instant.token(), limit)
            }
            Phase::Runs(_) | Phase::Done => None,
        }
    }

    fn accept(&mut self, answer: Answer) -> Step {
        let mut step = Step::default();
        if let Answer::Page(page) = answer {
            step.stuck = self.accept_page(page, &mut step).err();
        }
        step
    }

    fn missing(&mut self) -> bool {
        let tables::Feed::Events(tables::Events { instead, .. }) = self.kind else {
            return false;
        };
        if instead.is_none() || self.state.by_runs {
            return false;
        }
        self.state.by_runs = true;
        self.state.window = None;
        self.phase = self.begin();
        true
    }

    fn states(&self) -> States {
        vec![(self.table.name, ReaderState::Feed(self.state.clone()))]
    }

    fn reading(&self) -> Reading {
        let is_older = self.state.window.as_ref().is_some_and(|it| it.is_older);
        if is_older || self.state.cursor.is_none() {
            return Reading::Backfill;
        }
        Reading::Tail
    }
}
