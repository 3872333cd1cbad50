//! The saved state of a table of runs.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{
    backfill_state::BackfillState,
    live_state::{LiveState, WithoutEndState},
    open_set::OpenSet,
    timing::OLD_OPEN_RUNS_EVERY,
    unreadable_range::UnreadableRange,
};
use crate::sync::{
    compact_ids, keyset::TimeField, row_clock::MOST_BEHIND, sent_fingerprints::SentFingerprints,
    strategies::gaps::Gap,
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
    pub(crate) backfill: Option<BackfillState>,
    /// Later backfills, and ranges that are not read because they lie before the start date. Filled when tables,
    /// columns or the start date change. The first wanted one begins when no backfill is under way.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) queue: Vec<BackfillState>,
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
    pub(crate) unreadable: Vec<UnreadableRange>,
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

/// The kinds of server, by the ranges of time that they support.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ServerKind {
    /// Ranges of the end time: flow runs on all releases, and task runs on Prefect 3.
    ByEndTime,
    /// Only ranges of the expected start. Ended runs are listed by offset, and rechecks read windows by expected start.
    ByExpectedStart,
    /// No ranges: task runs on Prefect 2. Everything is listed by offset, without windows.
    WithoutRanges,
}

impl RunsState {
    /// Creates a state in which rows updated before `since` are sent, and the open runs are unknown.
    pub(crate) fn since(since: Option<DateTime<Utc>>, sent: SentFingerprints) -> Self {
        Self {
            backfill: Some(BackfillState {
                since,
                ..BackfillState::default()
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
            let restarted = LiveState::from(at, look_back);
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
                without_end: WithoutEndState {
                    listed: None,
                    ..restarted.without_end
                },
                outside: live.outside,
                ..restarted
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
        match self.server() {
            ServerKind::ByEndTime => "end_time",
            ServerKind::ByExpectedStart => "expected_start_time",
            ServerKind::WithoutRanges => "no time",
        }
    }

    /// Returns the kind of the server, as far as its rejections have shown.
    pub(super) fn server(&self) -> ServerKind {
        match self.time_field {
            _ if self.without_ranges => ServerKind::WithoutRanges,
            TimeField::EndTime => ServerKind::ByEndTime,
            TimeField::ExpectedStartTime | TimeField::Timestamp => ServerKind::ByExpectedStart,
        }
    }

    /// Creates the state before anything was read.
    pub(super) fn new() -> Self {
        Self {
            time_field: TimeField::EndTime,
            refused: None,
            backfill: Some(BackfillState::default()),
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
