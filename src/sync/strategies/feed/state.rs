//! State of the reading of an append-only table.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::{earlier::Earlier, overlap::Seconds, window::FeedWindow};
use crate::sync::{
    describe::{Summary, time},
    row_clock::RowClock,
    sent_fingerprints::SentFingerprints,
    strategies::gaps::Between,
};

/// The state of an append-only table.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FeedState {
    /// The time before which every row was sent; `None` before the first window was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) cursor: Option<DateTime<Utc>>,
    /// The window under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) window: Option<FeedWindow>,
    /// True if the server has no events: the states of each ended run are requested instead.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) by_runs: bool,
    /// The lower bound of the rows that are read or being read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) start: Option<DateTime<Utc>>,
    /// The upper bound of older rows that were added by an earlier start date.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) older: Option<DateTime<Utc>>,
    /// True if the last window had no row, and none before it had any.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) was_empty: bool,
    /// Fingerprints of the rows that were sent from the last window's overlap.
    #[serde(default, skip_serializing_if = "SentFingerprints::is_empty")]
    pub(super) recent: SentFingerprints,
    /// The same by the second, for rows that do not fit in `recent`.
    #[serde(default, skip_serializing_if = "Seconds::is_empty")]
    pub(super) seconds: Seconds,
    /// The clock by which rows are written, as far as it is known.
    #[serde(default, skip_serializing_if = "RowClock::is_unknown")]
    pub(super) clock: RowClock,
    /// The earlier states that must still be read after the server has gained events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) earlier: Option<Earlier>,
    /// Gaps: log lines for which the server returns an error.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) unreadable: Vec<Between>,
}

impl FeedState {
    /// Returns the bytes of the state that [`Self::shed`] would halve.
    pub(in crate::sync::strategies) fn weight(&self) -> usize {
        let seen = self
            .window
            .as_ref()
            .map_or(0, |window| window.seen.weight());
        self.recent.weight().max(seen)
    }

    pub(in crate::sync::strategies) fn shed(&mut self) {
        self.recent.halve();
        if let Some(window) = &mut self.window {
            window.seen.halve();
        }
    }

    /// Switches to the states of each run: the server has no events, or has lost them.
    pub(super) fn lose_events(&mut self) {
        self.by_runs = true;
        self.window = None;
        if let Some(earlier) = self.earlier.take() {
            // States that events reported in the meantime are sent again: earlier states of the same runs may be
            // missing.
            self.cursor = earlier.cursor();
            self.recent = earlier.sent;
            self.window = earlier.window;
        }
    }

    /// Switches to events, which the server may have gained; [`Self::lose_events`] reverts this.
    pub(super) fn expect_events(&mut self) {
        if std::mem::take(&mut self.by_runs) {
            let sent = std::mem::take(&mut self.recent);
            self.earlier = Some(Earlier::after(self.cursor, sent, self.window.take()));
        }
    }

    /// Sets the start date, which may be moved at any time. The state records down to where everything is read, also
    /// while older rows are being read.
    pub(super) fn read_from(&mut self, start: Option<DateTime<Utc>>) {
        if self.cursor.is_none() {
            // The first window reads down to the start date.
            self.start = start;
            return;
        }
        let instant = TimeDelta::microseconds(1);
        let under_way = self.window.as_ref().filter(|window| window.is_older);
        let under_way = under_way.map(|window| window.before);
        // The latest time that is not read; `None` if everything is read.
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

    /// Returns the source that is read if the server has no events.
    pub(in crate::sync::strategies) fn ability(&self) -> Option<&'static str> {
        self.by_runs.then_some("states of each run")
    }

    /// Returns the time up to which rows are read; `None` before the first window was read.
    pub(in crate::sync::strategies) fn read_up_to(&self) -> Option<DateTime<Utc>> {
        self.cursor
    }

    /// Returns the lower bound of the rows that are read or being read.
    pub(in crate::sync::strategies) fn start(&self) -> Option<DateTime<Utc>> {
        self.start
    }

    /// Sends everything since `to` again. A reading of older rows begins again, too.
    pub(in crate::sync::strategies) fn rewind_to(&mut self, to: DateTime<Utc>) {
        self.cursor = Some(to);
        self.window = None;
        self.recent = SentFingerprints::default();
        self.seconds = Seconds::default();
        self.by_runs = self.lacks_states_before_events();
        self.earlier = None;
    }

    /// Returns true if states from before the first event, if the server has one by now, are still to be read.
    fn lacks_states_before_events(&self) -> bool {
        self.by_runs || self.earlier.is_some()
    }

    /// Describes the state as readable facts.
    pub(in crate::sync::strategies) fn describe(&self) -> Summary {
        let mut facts = Summary::default();
        match self.cursor {
            Some(cursor) => facts.read_up_to(cursor),
            None => facts.say("read up to", "nothing was read yet"),
        }
        if let Some(window) = &self.window {
            let before = time(window.before);
            facts.say(
                if window.is_older {
                    "older rows"
                } else {
                    "window in progress"
                },
                format!("read down to {before}"),
            );
        }
        if self.by_runs {
            facts.say(
                "read by",
                "the states of each run: the server has no events",
            );
        }
        facts.say_time("start date", self.start);
        facts.say_time("older rows wanted up to", self.older);
        if self.earlier.is_some() {
            facts.say("earlier states", "to be read: the server has events now");
        }
        facts.say_count("remembered fingerprints", self.recent.len());
        facts.say_count("remembered seconds", self.seconds.len());
        facts
    }

    /// Sends everything again, also the states from before the first event.
    pub(in crate::sync::strategies) fn rewind(&mut self) {
        *self = Self {
            by_runs: self.lacks_states_before_events(),
            ..Self::default()
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(day: i64) -> Option<DateTime<Utc>> {
        DateTime::from_timestamp(day * 86_400, 0)
    }

    #[test]
    fn a_rewound_state_still_reads_the_states_from_before_the_first_event() {
        let without_events = FeedState {
            cursor: at(100),
            by_runs: true,
            ..FeedState::default()
        };
        let mut with_events = without_events.clone();
        with_events.expect_events();
        for state in [without_events, with_events] {
            let mut rewound = state.clone();
            rewound.rewind();
            rewound.expect_events();
            let earlier = Earlier::after(None, SentFingerprints::default(), None);
            assert_eq!(rewound.earlier, Some(earlier));
            let mut rewound = state;
            rewound.rewind_to(at(50).expect("a time"));
            rewound.expect_events();
            let earlier = Earlier::after(at(50), SentFingerprints::default(), None);
            assert_eq!(rewound.earlier, Some(earlier));
        }
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
        // The window was interrupted at day 45.
        state.window = Some(FeedWindow {
            hi: at(100).expect("a time"),
            before: at(45).expect("a time"),
            is_older: true,
            seen: SentFingerprints::default(),
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
