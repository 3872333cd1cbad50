//! Which runs were open when they were last sent.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::sync::tie::TiePlace;

/// Runs that were open when they were last sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OpenSet {
    /// Packed ids.
    pub(crate) ids: BTreeSet<String>,
    /// When all of them were last looked at.
    pub(crate) read_at: DateTime<Utc>,
    /// A reading that was interrupted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) partial: Option<Partial>,
    /// The date of the answer with which that reading began: by it the next one is due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) dated: Option<DateTime<Utc>>,
    /// The user wants what changed since then once more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) rewound: Option<DateTime<Utc>>,
    /// So many are remembered.
    #[serde(default = "most_open", skip_serializing_if = "is_most_open")]
    pub(crate) most: usize,
    /// At the last complete listing more runs were open than are remembered.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) is_cut: bool,
}

/// What an interrupted reading has read: open runs that were to start later than `before`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Partial {
    pub(crate) began: DateTime<Utc>,
    pub(crate) before: DateTime<Utc>,
    /// The place within the runs of `before`, where they are more than a page holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) place: Option<TiePlace>,
}

impl Partial {
    /// Says whether it has read a run that was to start at `due`.
    fn has_passed(self, due: Option<DateTime<Utc>>, id: &str) -> bool {
        let is_at_its_end = due == Some(self.before);
        due > Some(self.before)
            || (is_at_its_end && self.place.is_some_and(|place| place.has_passed(id)))
    }
}

/// So many open runs are remembered in each set; fewer when the whole state grows too large.
pub(super) const MOST_OPEN: usize = 12_000;

fn most_open() -> usize {
    MOST_OPEN
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_most_open(most: &usize) -> bool {
    *most == MOST_OPEN
}

impl OpenSet {
    /// Remembers a run, if there is room.
    pub(super) fn insert(&mut self, packed: String) {
        if !self.is_full() {
            self.ids.insert(packed);
        }
    }

    /// The same without the ids.
    pub(super) fn clone_times(&self) -> Self {
        Self {
            ids: BTreeSet::new(),
            ..*self
        }
    }

    /// When the last reading began, by the dates of answers.
    pub(super) fn dated(&self) -> DateTime<Utc> {
        self.dated
            .map_or(self.read_at, |dated| dated.max(self.read_at))
    }

    /// When a run that was to start at `due` was last looked at.
    pub(super) fn read_at(&self, due: Option<DateTime<Utc>>, id: &str) -> DateTime<Utc> {
        self.or_rewound(match self.partial {
            Some(partial) if partial.has_passed(due, id) => partial.began,
            _ => self.read_at,
        })
    }

    /// The time from which on changes count of what was read at `read`.
    pub(super) fn or_rewound(&self, read: DateTime<Utc>) -> DateTime<Utc> {
        self.rewound.map_or(read, |rewound| rewound.min(read))
    }

    /// The reading that began at `began` has passed everything later than `before`, and of that what is at `place`.
    pub(super) fn pass(
        &mut self,
        began: DateTime<Utc>,
        before: DateTime<Utc>,
        place: Option<TiePlace>,
    ) {
        // An earlier reading that came further says more; what it passed was read again at least then.
        if self.partial.is_none_or(|partial| before <= partial.before) {
            let is_further = |partial: &Partial| {
                let beyond = |at: TiePlace| place.is_none_or(|place| at.is_beyond(place));
                partial.before == before && partial.place.is_some_and(beyond)
            };
            if !self.partial.as_ref().is_some_and(is_further) {
                self.partial = Some(Partial {
                    began,
                    before,
                    place,
                });
            }
        }
    }

    /// Whether further open runs are not remembered: their ends are still found, their deletes are not.
    pub(super) fn is_full(&self) -> bool {
        self.ids.len() >= self.most
    }

    /// Whether an open run that is not remembered was never sent. Room that ends have made does not say so.
    pub(super) fn knows_all(&self) -> bool {
        !self.is_full() && !self.is_cut
    }

    /// Remembers half of them.
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

    use super::{super::state::Live, *};

    #[test]
    fn an_open_set_is_bounded() {
        let began = DateTime::UNIX_EPOCH;
        let mut set = Live::from(began, TimeDelta::days(30)).open;
        for id in 0..MOST_OPEN + 5 {
            set.insert(id.to_string());
        }
        assert!(set.is_full());
        assert_eq!(set.ids.len(), MOST_OPEN);
    }
}
