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

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::{
    Answer, Ask, Beginning, Change, ReaderState, Rows, Serial, States, Step, collection, position,
};
use crate::{
    prefect::{EventsRequest, Filter, Token},
    rows::fingerprint,
    sync::{
        recent::Recent,
        value_walk::{Tau, ValueWalk, latest},
    },
    tables::{self, Table},
};

/// How late a row may arrive.
const OVERLAP: TimeDelta = TimeDelta::minutes(15);

/// Prefect Cloud answers for 14 days of events at once; a day for clocks that differ.
const DAYS_AT_ONCE: TimeDelta = TimeDelta::days(13);

/// No server keeps events longer, unless it is told to: without a start this far is looked back.
const OLDEST_EVENTS: TimeDelta = TimeDelta::days(180);

/// The state of a table that is a feed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FeedState {
    /// Every row of an earlier time was sent; `None` before the first window was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cursor: Option<DateTime<Utc>>,
    /// The window under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    window: Option<Window>,
    /// No row before was wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    start: Option<DateTime<Utc>>,
    /// Rows up to here are wanted now and were not before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    older: Option<DateTime<Utc>>,
    /// What was sent of the last window's overlap.
    #[serde(default, skip_serializing_if = "Recent::is_empty")]
    recent: Recent,
}

/// A window under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Window {
    /// Where the cursor will be.
    hi: DateTime<Utc>,
    /// Everything later is read.
    before: DateTime<Utc>,
    /// It holds what was not wanted before.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    is_older: bool,
    /// What was met of this window's own overlap.
    #[serde(default, skip_serializing_if = "Recent::is_empty")]
    met: Recent,
}

impl FeedState {
    /// What [`Self::shed`] would halve in the state, in bytes.
    pub(super) fn weight(&self) -> usize {
        let met = self.window.as_ref().map_or(0, |window| window.met.weight());
        self.recent.weight().max(met)
    }

    pub(super) fn shed(&mut self) {
        self.recent.halve();
        if let Some(window) = &mut self.window {
            window.met.halve();
        }
    }

    /// Everything is sent once more.
    pub(super) fn rewind(&mut self) {
        *self = Self::default();
    }
}

pub(super) struct Feed {
    table: &'static Table,
    kind: tables::Feed,
    time: usize,
    state: FeedState,
    /// No row before it is wanted.
    start: Option<DateTime<Utc>>,
    /// This machine's clock: only to divide a long time into parts.
    about_now: DateTime<Utc>,
    phase: Phase,
}

enum Phase {
    Logs(Box<ValueWalk>),
    Events {
        since: DateTime<Utc>,
        token: Option<Token>,
    },
    Done,
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
            about_now: beginning.about_now,
            state,
            phase: Phase::Done,
        };
        feed.phase = feed.begin();
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
            tables::Feed::Events(_) => Phase::Events {
                since: self.since(before.unwrap_or(self.about_now)),
                token: None,
            },
        }
    }

    /// Where a part of the window begins that ends at `before`.
    fn since(&self, before: DateTime<Utc>) -> DateTime<Utc> {
        let part = before - DAYS_AT_ONCE;
        part.max(self.lo().unwrap_or(self.about_now - OLDEST_EVENTS))
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

    fn logs(&mut self, mut walk: Box<ValueWalk>, page: Rows, step: &mut Step) {
        let values = page.list.iter();
        let values: Vec<_> = values
            .map(|row| (row.id(), row.instant(self.time)))
            .collect();
        let fresh = walk.accept(&values, page.objects, page.limit);
        drop(values);
        self.take(page, &fresh, step);
        if walk.is_done() {
            self.phase = self.finish();
        } else {
            self.pass(walk.before());
            self.phase = Phase::Logs(walk);
        }
    }

    fn events(&mut self, since: DateTime<Utc>, mut page: Rows, step: &mut Step) {
        let next = page.next.take();
        let last = page.list.iter().filter_map(|row| row.instant(self.time));
        let last = last.min();
        let fresh = vec![true; page.list.len()];
        self.take(page, &fresh, step);
        self.pass(last);
        let lo = self.lo();
        self.phase = if next.is_some() {
            Phase::Events { since, token: next }
        } else if since <= lo.unwrap_or(self.about_now - OLDEST_EVENTS) {
            self.finish()
        } else {
            self.pass(Some(since));
            Phase::Events {
                since: self.since(since),
                token: None,
            }
        };
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

impl Serial for Feed {
    fn next(&mut self, limit: u32) -> Option<Ask> {
        match &self.phase {
            Phase::Logs(walk) => walk.next(limit).map(Ask::List),
            Phase::Events { since, token } => {
                let tables::Feed::Events(tables::Events { names, .. }) = self.kind else {
                    return None;
                };
                Some(Ask::Events(EventsRequest {
                    since: Some(*since),
                    until: self.state.window.as_ref().map(|window| window.before),
                    names,
                    limit,
                    token: token.clone(),
                }))
            }
            Phase::Done => None,
        }
    }

    fn accept(&mut self, answer: Answer) -> Step {
        let mut step = Step::default();
        match (std::mem::replace(&mut self.phase, Phase::Done), answer) {
            (Phase::Logs(walk), Answer::Page(page)) => self.logs(walk, page, &mut step),
            (Phase::Events { since, .. }, Answer::Page(page)) => {
                self.events(since, page, &mut step);
            }
            (phase, _) => self.phase = phase,
        }
        step
    }

    fn states(&self) -> States {
        vec![(self.table.name, ReaderState::Feed(self.state.clone()))]
    }
}
