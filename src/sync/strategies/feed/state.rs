//! Where the reading of a feed stands.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::super::gaps::Between;
use super::{OVERLAP, earlier::Earlier, overlap::Seconds};
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
    /// No row before was wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) start: Option<DateTime<Utc>>,
    /// Rows up to here are wanted now and were not before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) older: Option<DateTime<Utc>>,
    /// What was sent of the last window's overlap.
    #[serde(default, skip_serializing_if = "Recent::is_empty")]
    pub(super) recent: Recent,
    /// The same of what does not fit there, by the second.
    #[serde(default, skip_serializing_if = "Seconds::is_empty")]
    pub(super) seconds: Seconds,
    /// Before the server lost its events: they told of all states up to here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) by_events_until: Option<DateTime<Utc>>,
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

    /// The server has no events: they are not to be had any more, or never were.
    pub(super) fn lose_events(&mut self) {
        self.by_runs = true;
        self.window = None;
        match self.earlier.take() {
            Some(earlier) => {
                self.recent = earlier.sent;
                self.window = earlier.window;
            }
            None => self.by_events_until = self.cursor.map(|cursor| cursor - OVERLAP),
        }
    }

    /// The server is another one by now: it may have events.
    pub(in crate::sync::strategies) fn forget_abilities(&mut self) {
        if std::mem::take(&mut self.by_runs) {
            let sent = std::mem::take(&mut self.recent);
            self.earlier = Some(Earlier::after(self.cursor, sent, self.window.take()));
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

    /// No row before was wanted.
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
