//! The saved state of the live tasks, with a part for each reader.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::{
    open_set::{AgeClass, MOST_OPEN, OpenSet},
    outside::Outside,
    read_log::{ReadSpan, read_at},
    timing::FIRST_RECHECK_LAG,
    window_progress::WindowProgress,
};

/// The state of the live tasks, with a part for each of their readers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LiveState {
    /// The reader of ended runs.
    pub(crate) ended: EndedRunsState,
    /// The reader of runs without an end time.
    pub(crate) without_end: WithoutEndState,
    /// The open runs that were to start within the last week or later. Each sync lists them, and looks up those that
    /// are not listed any more.
    pub(crate) open: OpenSet,
    /// The open runs that were to start more than a week ago, which are listed once a day.
    pub(crate) old_open: OpenSet,
    /// Open runs that were sent, and that the user's filter excludes now. Set by a change of the filter; looked up at
    /// once, and then once a day.
    pub(crate) outside: Option<Outside>,
    /// The rechecks by lag, the shortest first.
    pub(crate) rechecks: Vec<RecheckState>,
    /// The look-back, which is read once after the rechecks restarted.
    pub(crate) look_back: LookBackState,
    /// The time at which the rechecks last restarted at the present. If a returning table has another one, their read
    /// logs cannot be compared, and the table reads the look-back.
    pub(crate) restarted: Option<DateTime<Utc>>,
}

/// The state of the reader of ended runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EndedRunsState {
    /// The time up to which every ended run was sent. Set when a window is read; the next sync begins shortly before
    /// it.
    pub(crate) cursor: DateTime<Utc>,
    /// The window under way, stored with each page. The next sync continues it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) reading: Option<WindowProgress>,
    /// The read log with which the first recheck compares; each window adds an entry.
    #[serde(rename = "trail")]
    pub(crate) read_log: Vec<ReadSpan>,
}

/// The state of the reader of runs without an end time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WithoutEndState {
    /// The time up to which every run without an end time was sent. Each finished listing moves it to the time at which
    /// the listing began; the next sync lists from there.
    pub(crate) cursor: DateTime<Utc>,
    /// The time at which all of them were last listed. The next sync lists all again after a day, or at once if `None`,
    /// as after a backfill of task runs.
    pub(crate) listed: Option<DateTime<Utc>>,
    /// Set by a rewind: runs that changed since then are sent again, at any position. Cleared by the next finished
    /// listing.
    pub(crate) rewound: Option<DateTime<Utc>>,
}

/// The state of the look-back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct LookBackState {
    /// Set if the look-back must be read once, because earlier readings cannot be compared with. The next sync begins
    /// or continues that, and clears the position at the end.
    pub(crate) reading: Option<WindowProgress>,
    /// The cursor that the last recheck had before the rechecks restarted: later runs did not have their last recheck.
    /// The reading begins there if that is earlier, and clears the time at its end.
    pub(crate) from: Option<DateTime<Utc>>,
}

/// A recheck: a lagged cursor that reads every ended run again when the age of the run passes the lag.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RecheckState {
    /// The lag in seconds.
    pub(crate) lag: i64,
    /// The time up to which every run was rechecked. Set when a window is read; the next window begins after it.
    pub(crate) cursor: DateTime<Utc>,
    /// The window under way, stored with each page. The next sync continues it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) reading: Option<WindowProgress>,
    /// The cursor before a rewind, or the goal of a returning table. The next sync reads up to there without waiting
    /// for the window to grow; cleared when the cursor arrives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) again: Option<DateTime<Utc>>,
    /// The limit of a returning table's recheck: later runs are read for all tables together. Not saved.
    #[serde(skip)]
    pub(crate) until: Option<DateTime<Utc>>,
    /// The read log with which the next recheck compares; empty for the last one.
    #[serde(rename = "trail")]
    pub(crate) read_log: Vec<ReadSpan>,
}

impl LiveState {
    /// Creates the live readers' state if everything was, or is being, read at `at`.
    pub(super) fn from(at: DateTime<Utc>, look_back: TimeDelta) -> Self {
        let open = OpenSet {
            ids: BTreeSet::new(),
            read_at: at,
            partial: None,
            dated: None,
            rewound: None,
            most: MOST_OPEN,
            is_cut: false,
        };
        Self {
            ended: EndedRunsState {
                cursor: at,
                reading: None,
                read_log: vec![ReadSpan {
                    upper: at,
                    read_at: at,
                }],
            },
            without_end: WithoutEndState {
                cursor: at,
                listed: Some(at),
                rewound: None,
            },
            open: open.clone(),
            old_open: open,
            outside: None,
            rechecks: rechecks_from(at, look_back),
            look_back: LookBackState::default(),
            restarted: None,
        }
    }

    /// Returns the open set of an age class.
    pub(super) fn set(&self, age: AgeClass) -> &OpenSet {
        match age {
            AgeClass::Recent => &self.open,
            AgeClass::Old => &self.old_open,
        }
    }

    /// Returns the open set of an age class to change it.
    pub(super) fn set_mut(&mut self, age: AgeClass) -> &mut OpenSet {
        match age {
            AgeClass::Recent => &mut self.open,
            AgeClass::Old => &mut self.old_open,
        }
    }

    /// Returns the time up to which runs are read. (The cursor of ended runs does not move while no run ends.)
    pub(super) fn reached(&self) -> DateTime<Utc> {
        self.ended.cursor.max(self.open.read_at)
    }

    /// Returns the time at which ended or open runs were last read.
    pub(super) fn last_read(&self) -> DateTime<Utc> {
        let read_logs = self.rechecks.iter().map(|recheck| &recheck.read_log);
        let parts = read_logs.chain([&self.ended.read_log]).flatten();
        let read = parts.map(|part| part.read_at);
        read.fold(self.open.read_at, DateTime::max)
    }

    /// Returns the look-back: the lag of the last recheck.
    pub(super) fn look_back(&self) -> TimeDelta {
        let last = self.rechecks.last().map(|recheck| recheck.lag);
        last.and_then(TimeDelta::try_seconds).unwrap_or_default()
    }

    /// Restarts the rechecks as if everything had just been read, and plans one reading of the look-back.
    pub(super) fn restart_rechecks(&mut self, now: DateTime<Utc>, look_back: TimeDelta) {
        let last = self.rechecks.last().map(|recheck| recheck.cursor);
        self.look_back.from = self.look_back.from.into_iter().chain(last).min();
        self.rechecks = rechecks_from(now, look_back);
        self.ended.read_log = vec![ReadSpan {
            upper: self.ended.cursor,
            read_at: now,
        }];
        self.restarted = Some(now);
        self.read_look_back(now);
    }

    /// Plans one reading of the look-back, which sends runs that were edited after their end.
    pub(super) fn read_look_back(&mut self, now: DateTime<Utc>) {
        self.look_back.reading = Some(WindowProgress::new(now, now));
    }

    /// Returns the time at which a run that ended at `end` was last read as ended, if it was.
    pub(super) fn read_after_its_end(&self, end: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let passed = self
            .rechecks
            .iter()
            .take_while(|recheck| end <= recheck.cursor);
        let read_log = passed
            .last()
            .map_or(&self.ended.read_log, |recheck| &recheck.read_log);
        read_at(read_log, end)
    }

    /// Returns the time at which a run that is known to be open was last listed.
    pub(super) fn looked_at(&self, packed: &str) -> Option<DateTime<Utc>> {
        let sets = [&self.open, &self.old_open].into_iter();
        let mut sets = sets.filter(|set| set.ids.contains(packed));
        sets.next().map(|set| set.read_at)
    }

    /// Returns true if the run was open when it was last sent.
    pub(super) fn is_open(&self, packed: &str) -> bool {
        self.open.ids.contains(packed) || self.old_open.ids.contains(packed)
    }

    /// Returns true if any run is known to be open.
    pub(super) fn knows_open(&self) -> bool {
        !self.open.ids.is_empty() || !self.old_open.ids.is_empty()
    }

    /// Removes a run that is not open any more.
    pub(super) fn close(&mut self, packed: &str) {
        self.open.ids.remove(packed);
        self.old_open.ids.remove(packed);
    }
}

fn rechecks_from(at: DateTime<Utc>, look_back: TimeDelta) -> Vec<RecheckState> {
    lags(look_back)
        .into_iter()
        .map(|lag| RecheckState {
            lag: lag.num_seconds(),
            cursor: at - lag,
            reading: None,
            again: None,
            until: None,
            read_log: vec![ReadSpan {
                upper: at - lag,
                read_at: at,
            }],
        })
        .collect()
}

/// Returns the lags of the rechecks: 15 minutes, then four times the one before, and at last the look-back.
fn lags(look_back: TimeDelta) -> Vec<TimeDelta> {
    let mut lags = Vec::new();
    let mut lag = FIRST_RECHECK_LAG;
    while lag < look_back {
        lags.push(lag);
        lag = lag * 4;
    }
    lags.push(look_back);
    lags
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lags_grow_to_the_look_back() {
        let minutes: Vec<i64> = lags(TimeDelta::days(30))
            .iter()
            .map(TimeDelta::num_minutes)
            .collect();
        assert_eq!(minutes, [15, 60, 240, 960, 3840, 15360, 43200]);
    }
}
