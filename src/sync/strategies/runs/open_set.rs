//! The open set: the ids of the runs that were open when they were last sent.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::window_progress::WindowProgress;
use crate::sync::{keyset::latest_possible_time, tie::TiePosition};

/// The age of the expected start of open runs, by which they are in one of two sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AgeClass {
    /// Runs that were to start within the last week or later. Each sync lists them.
    Recent,
    /// Runs that were to start more than a week ago. They are listed once a day.
    Old,
}

impl AgeClass {
    /// Returns the other class.
    pub(super) fn other(self) -> Self {
        match self {
            Self::Recent => Self::Old,
            Self::Old => Self::Recent,
        }
    }
}

/// Runs that were open when they were last sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OpenSet {
    /// The packed ids of the runs.
    pub(crate) ids: BTreeSet<String>,
    /// The time at which the last complete listing began, by the rows' clock.
    pub(crate) read_at: DateTime<Utc>,
    /// The position of an interrupted listing; `None` after a complete one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) partial: Option<WindowProgress>,
    /// The `Date` of the response with which the last complete listing began, by which the next one is due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) dated: Option<DateTime<Utc>>,
    /// Set by a rewind: open runs that changed since then are sent again. Cleared by the next complete listing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) rewound: Option<DateTime<Utc>>,
    /// The maximum number of ids.
    #[serde(default = "most_open", skip_serializing_if = "is_most_open")]
    pub(crate) most: usize,
    /// Set if more runs were open at the last complete listing than are remembered.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) is_cut: bool,
}

/// The maximum number of open runs in each set; it is lowered if the whole state grows too large.
pub(super) const MOST_OPEN: usize = 12_000;

fn most_open() -> usize {
    MOST_OPEN
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_most_open(most: &usize) -> bool {
    *most == MOST_OPEN
}

impl OpenSet {
    /// Adds a run if there is room.
    pub(super) fn insert(&mut self, packed: String) {
        if !self.is_full() {
            self.ids.insert(packed);
        }
    }

    /// Returns a copy without the ids.
    pub(super) fn clone_times(&self) -> Self {
        Self {
            ids: BTreeSet::new(),
            ..*self
        }
    }

    /// Returns the time at which the last complete listing began, by the `Date` of responses.
    pub(super) fn dated(&self) -> DateTime<Utc> {
        self.dated
            .map_or(self.read_at, |dated| dated.max(self.read_at))
    }

    /// Returns the time at which a run that was to start at `due` was last listed, or rewound to.
    pub(super) fn read_at(&self, due: Option<DateTime<Utc>>, id: &str) -> DateTime<Utc> {
        self.or_rewound(match self.partial {
            Some(partial) if partial.has_passed(due, id) => partial.began,
            _ => self.read_at,
        })
    }

    /// Returns the time since which changes count for a run that was read at `read`.
    pub(super) fn or_rewound(&self, read: DateTime<Utc>) -> DateTime<Utc> {
        self.rewound.map_or(read, |rewound| rewound.min(read))
    }

    /// Stores the position of a listing that began at `began`. Runs later than `before`, and those at `before` up to
    /// `place`, are read.
    pub(super) fn pass(
        &mut self,
        began: DateTime<Utc>,
        before: DateTime<Utc>,
        place: Option<TiePosition>,
    ) {
        // An earlier listing that got further is kept: everything that it passed was read at its time or later.
        if self.partial.is_none_or(|partial| before <= partial.before) {
            let is_further = |partial: &WindowProgress| {
                let beyond = |at: TiePosition| place.is_none_or(|place| at.is_beyond(place));
                partial.before == before && partial.place.is_some_and(beyond)
            };
            if !self.partial.as_ref().is_some_and(is_further) {
                self.partial = Some(WindowProgress {
                    before,
                    place,
                    ..WindowProgress::new(latest_possible_time(), began)
                });
            }
        }
    }

    /// Returns true if no more open runs are remembered. Their ends are still found, their deletes are not.
    pub(super) fn is_full(&self) -> bool {
        self.ids.len() >= self.most
    }

    /// Returns true if an open run that is not in the set was never sent. Room that became free as runs ended does not
    /// make the set complete.
    pub(super) fn knows_all(&self) -> bool {
        !self.is_full() && !self.is_cut
    }

    /// Drops half of the ids, and keeps no more than the rest from now on.
    pub(super) fn halve(&mut self) {
        self.most = self.ids.len() / 2;
        if let Some(first) = self.ids.iter().nth(self.most).cloned() {
            self.ids.split_off(&first);
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::{super::live_state::LiveState, *};

    #[test]
    fn an_open_set_is_bounded() {
        let began = DateTime::UNIX_EPOCH;
        let mut set = LiveState::from(began, TimeDelta::days(30)).open;
        for id in 0..MOST_OPEN + 5 {
            set.insert(id.to_string());
        }
        assert!(set.is_full());
        assert_eq!(set.ids.len(), MOST_OPEN);
    }
}
