//! Where the reading of a feed stands.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::super::gaps::Between;
use super::{earlier::Earlier, overlap::Seconds};
use crate::sync::{
    recent::Recent,
    row_clock::RowClock,
    words::{Facts, time},
};

/// The state of a table that is a feed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FeedState {
    /// Every row of an earlier time was sent; `None` before the first window was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) cursor: Option<DateTime<Utc>>,
    /// The window under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) window: Option<Window>,
    /// The server has no events: the states of each ended run are asked for.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) by_runs: bool,
    /// No row before is read, and none before is being read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) start: Option<DateTime<Utc>>,
    /// Rows up to here are wanted now and were not before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) older: Option<DateTime<Utc>>,
    /// The last window found no row, and none was found before.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) was_empty: bool,
    /// What was sent of the last window's overlap.
    #[serde(default, skip_serializing_if = "Recent::is_empty")]
    pub(super) recent: Recent,
    /// The same of what does not fit there, by the second.
    #[serde(default, skip_serializing_if = "Seconds::is_empty")]
    pub(super) seconds: Seconds,
    /// What is known of the clock that rows are written by.
    #[serde(default, skip_serializing_if = "RowClock::is_unknown")]
    pub(super) clock: RowClock,
    /// The server has gained events: states from before are still to be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) earlier: Option<Earlier>,
    /// Where the server cannot answer for lines.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) unreadable: Vec<Between>,
}

/// A window under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Window {
    /// Where the cursor will be.
    pub(super) hi: DateTime<Utc>,
    /// Everything later is read.
    pub(super) before: DateTime<Utc>,
    /// It holds what was not wanted before.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) is_older: bool,
    /// What was met of this window's own overlap.
    #[serde(default, skip_serializing_if = "Recent::is_empty")]
    pub(super) met: Recent,
    /// The same of what does not fit there, by the second.
    #[serde(default, skip_serializing_if = "Seconds::is_empty")]
    pub(super) seconds: Seconds,
}

impl FeedState {
    /// What [`Self::shed`] would halve in the state, in bytes.
    pub(in crate::sync::strategies) fn weight(&self) -> usize {
        let met = self.window.as_ref().map_or(0, |window| window.met.weight());
        self.recent.weight().max(met)
    }

    pub(in crate::sync::strategies) fn shed(&mut self) {
        self.recent.halve();
        if let Some(window) = &mut self.window {
            window.met.halve();
        }
    }

    /// Goes by the states of each run: the server has no events, or no longer.
    pub(super) fn lose_events(&mut self) {
        self.by_runs = true;
        self.window = None;
        if let Some(earlier) = self.earlier.take() {
            // What events told of meanwhile is sent again: earlier states of the same runs may be missing.
            self.cursor = earlier.cursor();
            self.recent = earlier.sent;
            self.window = earlier.window;
        }
    }

    /// Goes by events, which the server may have by now; [`Self::lose_events`] takes it back.
    pub(super) fn expect_events(&mut self) {
        if std::mem::take(&mut self.by_runs) {
            let sent = std::mem::take(&mut self.recent);
            self.earlier = Some(Earlier::after(self.cursor, sent, self.window.take()));
        }
    }

    /// Reads from `start` on. It may be moved at any time: down to where everything is read is known, also while older
    /// rows are being read.
    pub(super) fn read_from(&mut self, start: Option<DateTime<Utc>>) {
        if self.cursor.is_none() {
            // The first window reads down to it.
            self.start = start;
            return;
        }
        let instant = TimeDelta::microseconds(1);
        let under_way = self.window.as_ref().filter(|window| window.is_older);
        let under_way = under_way.map(|window| window.before);
        // The latest that is not read; `None` where everything is.
        let unread = under_way
            .or(self.older)
            .or_else(|| self.start.map(|start| start - instant));
        let is_wanted = unread.is_some_and(|unread| start.is_none_or(|start| start <= unread));
        if is_wanted {
            self.older = self.older.or(unread);
            self.start = start;
        } else {
            self.older = None;
            self.window = self.window.take().filter(|window| !window.is_older);
            self.start = unread.map(|unread| unread + instant);
        }
    }

    /// By what it is read, where that is not what it would be.
    pub(in crate::sync::strategies) fn ability(&self) -> Option<&'static str> {
        self.by_runs.then_some("states of each run")
    }

    /// Up to which time rows are read; `None` before the first window was.
    pub(in crate::sync::strategies) fn read_up_to(&self) -> Option<DateTime<Utc>> {
        self.cursor
    }

    /// No row before is read, and none before is being read.
    pub(in crate::sync::strategies) fn start(&self) -> Option<DateTime<Utc>> {
        self.start
    }

    /// Everything since `to` is sent once more. An older part that is wanted begins anew.
    pub(in crate::sync::strategies) fn rewind_to(&mut self, to: DateTime<Utc>) {
        self.cursor = Some(to);
        self.window = None;
        self.recent = Recent::default();
        self.seconds = Seconds::default();
    }

    /// What the state says.
    pub(in crate::sync::strategies) fn describe(&self) -> Facts {
        let mut facts = Facts::default();
        match self.cursor {
            Some(cursor) => facts.read_up_to(cursor),
            None => facts.say("read up to", "nothing is read yet"),
        }
        if let Some(window) = &self.window {
            let before = time(window.before);
            facts.say(
                if window.is_older {
                    "older rows"
                } else {
                    "window under way"
                },
                format!("everything later than {before} is read"),
            );
        }
        if self.by_runs {
            facts.say(
                "read by",
                "the states of each run: the server has no events",
            );
        }
        facts.say_time("start date", self.start);
        facts.say_time("older rows are wanted up to", self.older);
        if self.earlier.is_some() {
            facts.say(
                "earlier states",
                "still to be read: the server has gained events",
            );
        }
        facts.say_count("remembered fingerprints", self.recent.len());
        facts.say_count("remembered seconds", self.seconds.len());
        facts
    }

    /// Everything is sent once more.
    pub(in crate::sync::strategies) fn rewind(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(day: i64) -> Option<DateTime<Utc>> {
        DateTime::from_timestamp(day * 86_400, 0)
    }

    #[test]
    fn a_start_date_that_moves_leaves_no_gap_and_reads_nothing_twice() {
        let before = |day| at(day).map(|at| at - TimeDelta::microseconds(1));
        let mut state = FeedState {
            cursor: at(100),
            start: at(50),
            ..FeedState::default()
        };
        state.read_from(at(80));
        assert_eq!((state.start, state.older), (at(50), None));
        state.read_from(at(40));
        assert_eq!((state.start, state.older), (at(40), before(50)));
        // Cut off when it has come to day 45.
        state.window = Some(Window {
            hi: at(100).expect("a time"),
            before: at(45).expect("a time"),
            is_older: true,
            met: Recent::default(),
            seconds: Seconds::default(),
        });
        state.read_from(at(60));
        assert!(state.window.is_none() && state.older.is_none());
        state.read_from(None);
        assert_eq!((state.start, state.older), (None, at(45)));
        state.older = None;
        state.read_from(at(70));
        state.read_from(at(10));
        assert_eq!(
            (state.start, state.older),
            (None, None),
            "everything is read"
        );
    }
}
