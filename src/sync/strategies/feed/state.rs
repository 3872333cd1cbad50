//! Where the reading of a feed stands.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::sync::{
    recent::Recent,
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

    /// The server is another one by now: it may have events.
    pub(in crate::sync::strategies) fn forget_abilities(&mut self) {
        self.by_runs = false;
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
        facts.say_count("remembered fingerprints", self.recent.len());
        facts
    }

    /// Everything is sent once more.
    pub(in crate::sync::strategies) fn rewind(&mut self) {
        *self = Self::default();
    }
}
