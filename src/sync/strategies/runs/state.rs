//! Where the reading of a table of runs stands.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::{
    super::gaps::Gap,
    open_ids::{MOST_OPEN, OpenSet},
    outside::Outside,
    trail::{Entry, read_at},
    unreadable::Unreadable,
};
use crate::sync::{
    lanes::Lanes, pack, recent::Recent, row_clock::MOST_BEHIND, tie::TiePlace, value_walk::Tau,
};

/// How often open runs that were to start more than a week ago are looked at: once a day, also where a daily sync
/// begins a little earlier than the one before.
pub(super) const LONG_OPEN_EVERY: TimeDelta = TimeDelta::hours(23);

/// The lag of the first rung.
const FIRST_LAG: TimeDelta = TimeDelta::minutes(15);

/// The state of a table of runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RunsState {
    /// What the server can filter by.
    pub(crate) tau: Tau,
    /// When it was last tried to filter by `end_time`, where that was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) refused: Option<DateTime<Utc>>,
    /// The reading of everything, while it is under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) backfill: Option<Backfill>,
    /// Backfills whose turn comes later, and ranges that are not read because they lie before the start date.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) queue: Vec<Backfill>,
    /// The reading of what happens; `None` before the first answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) live: Option<Live>,
    #[serde(default, skip_serializing_if = "Recent::is_empty")]
    pub(crate) recent: Recent,
    /// The server can filter by no time at all.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) without_ranges: bool,
    /// The start date, where runs before it are not read; the queue then says which.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) start: Option<DateTime<Utc>>,
    /// Stands for the user's own filter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) scope: Option<String>,
    /// Where runs are that the server could not answer for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) unreadable: Vec<Unreadable>,
    /// Where they are on the pages of each listing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) page_gaps: Vec<Gap>,
    /// Where they are in listings by offset, of which no range can be asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) offset_gaps: Vec<Gap>,
    /// Known open runs that the server cannot answer for, by packed id, and when they were last read.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) unread: BTreeMap<String, DateTime<Utc>>,
}

/// The reading of everything, newest to oldest by `expected_start_time`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Backfill {
    /// When it began: the live reading takes over from there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) began: Option<DateTime<Utc>>,
    /// Everything later is passed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) before: Option<DateTime<Utc>>,
    /// The ranges that are left, newest first, where it is read in several places at once; instead of
    /// `before`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) lanes: Vec<Lane>,
    /// Rows whose `updated` lies before were sent by an older version of the connector.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) since: Option<DateTime<Utc>>,
    /// The tables that it is for; all of them where it names none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) tables: Vec<String>,
    /// Tables that it is not for although it names none: they have a backfill of their own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) except: Vec<String>,
    /// It was all read before: what is known to be open is sent once more, too.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) again: bool,
}

impl Backfill {
    /// Everything once more.
    pub(super) fn again() -> Self {
        Self {
            again: true,
            ..Self::default()
        }
    }
}

/// A closed range of the backfill.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Lane {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) after: Option<DateTime<Utc>>,
    pub(crate) before: DateTime<Utc>,
    /// The place within the runs of `before`, where they are more than a page holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) place: Option<TiePlace>,
}

/// The reading of what happens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Live {
    pub(crate) tail: Tail,
    /// Runs without an end time are read up to here.
    pub(crate) never_started: DateTime<Utc>,
    /// When all of them were last listed, and not the latest alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) without_end_listed: Option<DateTime<Utc>>,
    /// The user wants those once more that changed since then, wherever they lie.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) rewound: Option<DateTime<Utc>>,
    pub(crate) open: OpenSet,
    /// Open runs that were to start more than a week ago.
    pub(crate) long_open: OpenSet,
    /// Open runs that were sent, and that the user's filter leaves out by now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) outside: Option<Outside>,
    /// By lag, the shortest first.
    pub(crate) rungs: Vec<Rung>,
    /// The look-back is to be read once, because readings before it cannot be compared with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) look_back: Option<Reading>,
    /// No reading has looked for edits of runs with a later time for the last time, where the look-back was longer
    /// before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) look_back_from: Option<DateTime<Utc>>,
    /// When the rechecks last began again at the present, so that their times say nothing of earlier readings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) restarted: Option<DateTime<Utc>>,
}

/// The reading of runs that ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tail {
    /// Every run that ended before was sent.
    pub(crate) cursor: DateTime<Utc>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) reading: Option<Reading>,
    pub(crate) trail: Vec<Entry>,
}

/// A lagged cursor: every ended run is read once more when its age passes the lag.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rung {
    /// Seconds.
    pub(crate) lag: i64,
    /// Every run with an earlier time was read.
    pub(crate) cursor: DateTime<Utc>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) reading: Option<Reading>,
    /// It was taken back from there, and reads up to there again without waiting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) again: Option<DateTime<Utc>>,
    /// It reads no further for now: what comes then is read by the tables' common reading.
    #[serde(skip)]
    pub(crate) until: Option<DateTime<Utc>>,
    /// What it has read, for the next rung.
    pub(crate) trail: Vec<Entry>,
}

/// A window under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Reading {
    /// The window's upper bound: there the cursor will be.
    pub(crate) hi: DateTime<Utc>,
    /// When its reading began.
    pub(crate) began: DateTime<Utc>,
    /// Everything later is read.
    pub(crate) before: DateTime<Utc>,
    /// The place within the runs of `before`, where they are more than a page holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) place: Option<TiePlace>,
}

impl Reading {
    /// A reading that begins at `now` with what lies before `hi`.
    pub(super) fn new(hi: DateTime<Utc>, now: DateTime<Utc>) -> Self {
        Self {
            hi,
            began: now,
            before: hi,
            place: None,
        }
    }

    /// Takes the place of the lanes that read it.
    pub(super) fn pass(&mut self, lanes: &Lanes) {
        if let Some(before) = lanes.before() {
            (self.before, self.place) = (before, lanes.place());
        }
    }
}

impl RunsState {
    /// Everything that was updated before `since` was sent, but it is not known which runs are open.
    pub(crate) fn since(since: Option<DateTime<Utc>>, recent: Recent) -> Self {
        Self {
            backfill: Some(Backfill {
                since,
                ..Backfill::default()
            }),
            recent,
            ..Self::new()
        }
    }

    /// What [`Self::shed`] would halve in the state, in bytes.
    pub(in crate::sync::strategies) fn weight(&self) -> usize {
        self.open_weights()
            .into_iter()
            .fold(self.recent.weight(), usize::max)
    }

    /// Forgets half of what there is most of.
    pub(in crate::sync::strategies) fn shed(&mut self) {
        let weights @ [open, long_open, outside] = self.open_weights();
        let most = weights.into_iter().fold(0, usize::max);
        match &mut self.live {
            Some(live) if most >= self.recent.weight() => match &mut live.outside {
                Some(ids) if outside == most => ids.halve(),
                _ if open >= long_open => live.open.halve(),
                _ => live.long_open.halve(),
            },
            _ => self.recent.halve(),
        }
    }

    /// Of the open runs, the long open ones, and those that the filter leaves out.
    fn open_weights(&self) -> [usize; 3] {
        self.live.as_ref().map_or([0; 3], |live| {
            let outside = live.outside.as_ref();
            [
                pack::weight(&live.open.ids),
                pack::weight(&live.long_open.ids),
                outside.map_or(0, |outside| pack::weight(&outside.ids)),
            ]
        })
    }

    /// The runs that were open, packed ids.
    pub(in crate::sync::strategies) fn open_ids(&self) -> impl Iterator<Item = &String> {
        self.live
            .iter()
            .flat_map(|live| live.open.ids.iter().chain(&live.long_open.ids))
    }

    /// Everything is sent once more, and live reading begins anew at `now`; which runs are open stays
    /// known, so that deletes are still found.
    pub(in crate::sync::strategies) fn rewind(&mut self, now: DateTime<Utc>) {
        self.refill(Vec::new());
        for gap in &mut self.offset_gaps {
            gap.forget_readings();
        }
        // The clock of the rows may still be behind. What ended since then is left to the tail.
        let at = now - MOST_BEHIND;
        if let (Some(live), Some(backfill)) = (self.live.take(), &mut self.backfill) {
            backfill.began = Some(at);
            let look_back = live.look_back();
            self.live = Some(Live {
                open: OpenSet {
                    read_at: at,
                    partial: None,
                    dated: Some(now),
                    ..live.open
                },
                // To be read at once: by a wrong clock all open runs were old.
                long_open: OpenSet {
                    read_at: at - LONG_OPEN_EVERY,
                    partial: None,
                    dated: Some(now - LONG_OPEN_EVERY),
                    ..live.long_open
                },
                without_end_listed: None,
                outside: live.outside,
                ..Live::from(at, look_back)
            });
        }
    }

    /// The server is another one by now: the next tail tries again to filter by the end.
    pub(in crate::sync::strategies) fn forget_abilities(&mut self) {
        self.without_ranges = false;
        self.refused = None;
    }

    /// By which time runs are read.
    pub(in crate::sync::strategies) fn ability(&self) -> &'static str {
        match self.tau {
            _ if self.without_ranges => "no time",
            Tau::EndTime => "end_time",
            Tau::ExpectedStartTime | Tau::Timestamp => "expected_start_time",
        }
    }

    /// Before anything was read.
    pub(super) fn new() -> Self {
        Self {
            tau: Tau::EndTime,
            refused: None,
            backfill: Some(Backfill::default()),
            queue: Vec::new(),
            live: None,
            recent: Recent::default(),
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

impl Live {
    /// Reading begins where everything was (or is being) read at `at`.
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
            tail: Tail {
                cursor: at,
                reading: None,
                trail: vec![Entry {
                    hi: at,
                    read_at: at,
                }],
            },
            never_started: at,
            without_end_listed: Some(at),
            rewound: None,
            open: open.clone(),
            long_open: open,
            outside: None,
            rungs: rungs_from(at, look_back),
            look_back: None,
            look_back_from: None,
            restarted: None,
        }
    }

    /// How far runs are read. (The tail's cursor stays where nothing ended.)
    pub(super) fn reached(&self) -> DateTime<Utc> {
        self.tail.cursor.max(self.open.read_at)
    }

    /// When runs that ended, or are open, were read last.
    pub(super) fn last_read(&self) -> DateTime<Utc> {
        let trails = self.rungs.iter().map(|rung| &rung.trail);
        let parts = trails.chain([&self.tail.trail]).flatten();
        let read = parts.map(|part| part.read_at);
        read.fold(self.open.read_at, DateTime::max)
    }

    /// How far back edits of ended runs are looked for: the lag of the last rung.
    pub(super) fn look_back(&self) -> TimeDelta {
        let last = self.rungs.last().map(|rung| rung.lag);
        last.and_then(TimeDelta::try_seconds).unwrap_or_default()
    }

    /// Starts the rungs anew, as if all had just been read, and has the look-back read once.
    pub(super) fn restart_rungs(&mut self, now: DateTime<Utc>, look_back: TimeDelta) {
        let last = self.rungs.last().map(|rung| rung.cursor);
        self.look_back_from = self.look_back_from.into_iter().chain(last).min();
        self.rungs = rungs_from(now, look_back);
        self.tail.trail = vec![Entry {
            hi: self.tail.cursor,
            read_at: now,
        }];
        self.restarted = Some(now);
        self.read_look_back(now);
    }

    /// Has the look-back read once: what was edited after its end is sent.
    pub(super) fn read_look_back(&mut self, now: DateTime<Utc>) {
        self.look_back = Some(Reading::new(now, now));
    }

    /// When a run that ended at `end` was last read as such, by tail or rung; `None` when it was not.
    pub(super) fn read_after_its_end(&self, end: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let passed = self.rungs.iter().take_while(|rung| end <= rung.cursor);
        let trail = passed.last().map_or(&self.tail.trail, |rung| &rung.trail);
        read_at(trail, end)
    }

    /// When a run that is known to be open was last looked at.
    pub(super) fn looked_at(&self, packed: &str) -> Option<DateTime<Utc>> {
        let sets = [&self.open, &self.long_open].into_iter();
        let mut sets = sets.filter(|set| set.ids.contains(packed));
        sets.next().map(|set| set.read_at)
    }

    /// Whether the run was open when it was last sent.
    pub(super) fn is_open(&self, packed: &str) -> bool {
        self.open.ids.contains(packed) || self.long_open.ids.contains(packed)
    }

    /// Whether any run is known to be open.
    pub(super) fn knows_open(&self) -> bool {
        !self.open.ids.is_empty() || !self.long_open.ids.is_empty()
    }

    /// Forgets a run that is not open any more.
    pub(super) fn close(&mut self, packed: &str) {
        self.open.ids.remove(packed);
        self.long_open.ids.remove(packed);
    }
}

fn rungs_from(at: DateTime<Utc>, look_back: TimeDelta) -> Vec<Rung> {
    lags(look_back)
        .into_iter()
        .map(|lag| Rung {
            lag: lag.num_seconds(),
            cursor: at - lag,
            reading: None,
            again: None,
            until: None,
            trail: vec![Entry {
                hi: at - lag,
                read_at: at,
            }],
        })
        .collect()
}

/// 15 minutes, then four times as much each, and the look-back.
fn lags(look_back: TimeDelta) -> Vec<TimeDelta> {
    let mut lags = Vec::new();
    let mut lag = FIRST_LAG;
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
