//! The saved state of a table of runs.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::{
    backfill_state::Backfill,
    open_set::{MOST_OPEN, OpenSet},
    outside::Outside,
    read_log::{ReadSpan, read_at},
    timing::{FIRST_RECHECK_LAG, OLD_OPEN_RUNS_EVERY},
    unreadable_range::Unreadable,
};
use crate::sync::{
    compact_ids, keyset::TimeField, partitioned_scan::PartitionedScan, row_clock::MOST_BEHIND,
    sent_fingerprints::SentFingerprints, strategies::gaps::Gap, tie::TiePosition,
};

/// The state of a table of runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RunsState {
    /// The time by which the server can filter runs, and by which the readers read. A rejected filter by end time
    /// changes it to the expected start; a later attempt that succeeds changes it back.
    #[serde(rename = "tau")]
    pub(crate) time_field: TimeField,
    /// The time at which a filter by `end_time` was rejected. While it is set, ended runs are read by offset. A sync a
    /// day later clears the time, so that the next one tries the filter again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) refused: Option<DateTime<Utc>>,
    /// The backfill under way. Set before the first sync, and when everything must be sent again; removed at its end.
    /// The next sync continues it after the live readers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) backfill: Option<Backfill>,
    /// Later backfills, and ranges that are not read because they lie before the start date. Filled when tables,
    /// columns or the start date change. The first wanted one begins when no backfill is under way.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) queue: Vec<Backfill>,
    /// The state of the live readers; `None` before the first response. Set with the first page of the first backfill;
    /// from then on each sync begins with the live readers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) live: Option<LiveState>,
    /// Fingerprints of rows that were sent and that a later reader would take for changed. The next sync does not send
    /// those rows again.
    #[serde(default, skip_serializing_if = "SentFingerprints::is_empty")]
    #[serde(rename = "recent")]
    pub(crate) sent: SentFingerprints,
    /// Set if the server rejected ranges of the expected start, too: all listings are then read by offset. Cleared when
    /// a filter by `end_time` is tried again, or the server changes.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) without_ranges: bool,
    /// The start date, if runs before it are unread; the queue names their ranges. Set at the beginning of each sync. A
    /// rewind to an earlier time is rejected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) start: Option<DateTime<Utc>>,
    /// A hash of the user's own filter at the last sync. If the next sync has another one, everything is sent again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) scope: Option<String>,
    /// Gaps in listings by time. Each sync requests each of them once, and sends the runs that can be read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) unreadable: Vec<Unreadable>,
    /// The gaps on the pages of each listing, stored with each page. The next sync reads those pages around them at
    /// once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) page_gaps: Vec<Gap>,
    /// Gaps in listings by offset, of which no range can be requested. Each sync searches for each of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) offset_gaps: Vec<Gap>,
    /// Known open runs whose look-up failed, by packed id, with the time at which they were last read. The next reader
    /// that gets such a run sends it if it changed since then.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) unread: BTreeMap<String, DateTime<Utc>>,
}

/// The state of the live readers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LiveState {
    /// The reader of ended runs.
    #[serde(rename = "tail")]
    pub(crate) ended: EndedRuns,
    /// The cursor of runs without an end time. Each finished listing moves it to the time at which the listing began;
    /// the next sync lists from there.
    pub(crate) never_started: DateTime<Utc>,
    /// The time at which all runs without an end time were last listed. The next sync lists all again after a day, or
    /// at once if `None`, as after a backfill of task runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) without_end_listed: Option<DateTime<Utc>>,
    /// Set by a rewind: runs without an end time that changed since then are sent again, at any position. Cleared by
    /// the next finished listing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) rewound: Option<DateTime<Utc>>,
    /// The open runs that were to start within the last week or later. Each sync lists them, and looks up those that
    /// are not listed any more.
    pub(crate) open: OpenSet,
    /// The open runs that were to start more than a week ago, which are listed once a day.
    #[serde(rename = "long_open")]
    pub(crate) old_open: OpenSet,
    /// Open runs that were sent, and that the user's filter excludes now. Set by a change of the filter; looked up at
    /// once, and then once a day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) outside: Option<Outside>,
    /// The rechecks by lag, the shortest first.
    #[serde(rename = "rungs")]
    pub(crate) rechecks: Vec<Recheck>,
    /// Set if the look-back must be read once, because earlier readings cannot be compared with. The next sync begins
    /// or continues that, and clears the position at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) look_back: Option<WindowProgress>,
    /// The cursor that the last recheck had before the rechecks restarted: later runs did not have their last recheck.
    /// The reading of the look-back begins there if that is earlier, and clears the time at its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) look_back_from: Option<DateTime<Utc>>,
    /// The time at which the rechecks last restarted at the present. If a returning table has another one, their read
    /// logs cannot be compared, and the table reads the look-back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) restarted: Option<DateTime<Utc>>,
}

/// The state of the reader of ended runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EndedRuns {
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

/// A recheck: a lagged cursor that reads every ended run again when the age of the run passes the lag.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Recheck {
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

/// A window under way, and the position in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WindowProgress {
    /// The window's upper bound, to which the cursor moves at the end.
    #[serde(rename = "hi")]
    pub(crate) upper: DateTime<Utc>,
    /// The time at which the reading of the window began; the read log stores it at the end.
    pub(crate) began: DateTime<Utc>,
    /// The position: everything later in the window is read. The next sync continues here.
    pub(crate) before: DateTime<Utc>,
    /// The position among the runs at `before`, if they fill more than a page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) place: Option<TiePosition>,
}

impl WindowProgress {
    /// Creates a window with the upper bound `upper` whose reading begins at `now`.
    pub(super) fn new(upper: DateTime<Utc>, now: DateTime<Utc>) -> Self {
        Self {
            upper,
            began: now,
            before: upper,
            place: None,
        }
    }

    /// Stores the position of the partitions in which the window is read.
    pub(super) fn pass(&mut self, scan: &PartitionedScan) {
        if let Some(before) = scan.before() {
            (self.before, self.place) = (before, scan.place());
        }
    }
}

impl RunsState {
    /// Creates a state in which rows updated before `since` are sent, and the open runs are unknown.
    pub(crate) fn since(since: Option<DateTime<Utc>>, sent: SentFingerprints) -> Self {
        Self {
            backfill: Some(Backfill {
                since,
                ..Backfill::default()
            }),
            sent,
            ..Self::new()
        }
    }

    /// Returns the size in bytes of the set that [`Self::shed`] would halve.
    pub(in crate::sync::strategies) fn weight(&self) -> usize {
        self.open_weights()
            .into_iter()
            .fold(self.sent.weight(), usize::max)
    }

    /// Drops half of the largest set.
    pub(in crate::sync::strategies) fn shed(&mut self) {
        let weights @ [open, long_open, outside] = self.open_weights();
        let most = weights.into_iter().fold(0, usize::max);
        match &mut self.live {
            Some(live) if most >= self.sent.weight() => match &mut live.outside {
                Some(ids) if outside == most => ids.halve(),
                _ if open >= long_open => live.open.halve(),
                _ => live.old_open.halve(),
            },
            _ => self.sent.halve(),
        }
    }

    /// Returns the sizes of the sets of open runs, long open ones, and those that the filter excludes.
    fn open_weights(&self) -> [usize; 3] {
        self.live.as_ref().map_or([0; 3], |live| {
            let outside = live.outside.as_ref();
            [
                compact_ids::weight(&live.open.ids),
                compact_ids::weight(&live.old_open.ids),
                outside.map_or(0, |outside| compact_ids::weight(&outside.ids)),
            ]
        })
    }

    /// Returns the packed ids of the runs that were open.
    pub(in crate::sync::strategies) fn open_ids(&self) -> impl Iterator<Item = &String> {
        self.live
            .iter()
            .flat_map(|live| live.open.ids.iter().chain(&live.old_open.ids))
    }

    /// Plans a backfill that sends everything again, and restarts the live readers a day before `now`. The open set is
    /// kept, so that deletes are still found.
    pub(in crate::sync::strategies) fn rewind(&mut self, now: DateTime<Utc>) {
        self.refill(Vec::new());
        for gap in &mut self.offset_gaps {
            gap.forget_readings();
        }
        // The rows' clock may still be behind. Runs that ended since then are left to the reader of ended runs.
        let at = now - MOST_BEHIND;
        if let (Some(live), Some(backfill)) = (self.live.take(), &mut self.backfill) {
            backfill.began = Some(at);
            let look_back = live.look_back();
            self.live = Some(LiveState {
                open: OpenSet {
                    read_at: at,
                    partial: None,
                    dated: Some(now),
                    ..live.open
                },
                // Due at once: by a wrong clock all open runs were long open.
                old_open: OpenSet {
                    read_at: at - OLD_OPEN_RUNS_EVERY,
                    partial: None,
                    dated: Some(now - OLD_OPEN_RUNS_EVERY),
                    ..live.old_open
                },
                without_end_listed: None,
                outside: live.outside,
                ..LiveState::from(at, look_back)
            });
        }
    }

    /// Forgets what the server rejected, because the server has changed. The next sync tries to filter by end time
    /// again.
    pub(in crate::sync::strategies) fn forget_abilities(&mut self) {
        self.without_ranges = false;
        self.refused = None;
    }

    /// Returns the name of the time by which runs are read.
    pub(in crate::sync::strategies) fn ability(&self) -> &'static str {
        match self.time_field {
            _ if self.without_ranges => "no time",
            TimeField::EndTime => "end_time",
            TimeField::ExpectedStartTime | TimeField::Timestamp => "expected_start_time",
        }
    }

    /// Creates the state before anything was read.
    pub(super) fn new() -> Self {
        Self {
            time_field: TimeField::EndTime,
            refused: None,
            backfill: Some(Backfill::default()),
            queue: Vec::new(),
            live: None,
            sent: SentFingerprints::default(),
            without_ranges: false,
            start: None,
            scope: None,
            unreadable: Vec::new(),
            page_gaps: Vec::new(),
            offset_gaps: Vec::new(),
            unread: BTreeMap::new(),
        }
    }
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
            ended: EndedRuns {
                cursor: at,
                reading: None,
                read_log: vec![ReadSpan {
                    upper: at,
                    read_at: at,
                }],
            },
            never_started: at,
            without_end_listed: Some(at),
            rewound: None,
            open: open.clone(),
            old_open: open,
            outside: None,
            rechecks: rechecks_from(at, look_back),
            look_back: None,
            look_back_from: None,
            restarted: None,
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
        self.look_back_from = self.look_back_from.into_iter().chain(last).min();
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
        self.look_back = Some(WindowProgress::new(now, now));
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

fn rechecks_from(at: DateTime<Utc>, look_back: TimeDelta) -> Vec<Recheck> {
    lags(look_back)
        .into_iter()
        .map(|lag| Recheck {
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
