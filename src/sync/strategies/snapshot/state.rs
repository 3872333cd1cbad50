//! State of a snapshot table.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use twox_hash::XxHash3_64;

use crate::sync::{
    compact_ids,
    describe::Summary,
    sent_fingerprints::{SentFingerprints, changed_since},
    strategies::gaps::{self, Gap},
};

/// The state of a snapshot table.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SnapshotState {
    /// The rows that were sent: fingerprints by packed id.
    #[serde(with = "compact_ids::fingerprints")]
    pub(crate) rows: BTreeMap<String, u64>,
    /// The time at which the last complete listing began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) listed: Option<DateTime<Utc>>,
    /// The record that replaces `rows` if those outgrew the state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) shed: Option<Degraded>,
    /// Objects for which the server returns an error.
    #[serde(default, skip_serializing_if = "Unreadable::is_empty")]
    pub(crate) unreadable: Unreadable,
}

/// Objects of a listing for which the server returns an error.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Unreadable {
    /// The gaps of the listing.
    pub(crate) gaps: Vec<Gap>,
    /// The packed ids of the objects among them that were read before.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(crate) ids: BTreeSet<String>,
}

impl Unreadable {
    fn is_empty(&self) -> bool {
        self.gaps.is_empty() && self.ids.is_empty()
    }
}

/// The record of a table that is too large for the state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Degraded {
    /// Fingerprints of the rows that were sent, without their ids, as earlier versions kept them. The next complete
    /// listing replaces them.
    #[serde(with = "compact_ids::hashes")]
    Ids(BTreeSet<u64>),
    /// Half hashes of ids and half fingerprints of the rows that were sent: see `Seen::pair`.
    #[serde(with = "compact_ids::hashes")]
    Pairs(BTreeSet<u64>),
    /// Pairs of rows whose `updated` is so late that the next listing would consider them changed.
    Fingerprints(SentFingerprints),
}

impl SnapshotState {
    /// Returns the bytes of the state that [`Self::shed`] would remove.
    pub(in crate::sync::strategies) fn weight(&self) -> usize {
        match &self.shed {
            None => self.rows.len() * 39,
            Some(Degraded::Ids(hashes) | Degraded::Pairs(hashes)) => hashes.len() * 11,
            Some(Degraded::Fingerprints(recent)) => recent.weight(),
        }
    }

    pub(in crate::sync::strategies) fn shed(&mut self) {
        match &mut self.shed {
            None => {
                let rows = std::mem::take(&mut self.rows);
                let pairs = rows.iter().map(|(id, hash)| pair(id, *hash));
                self.shed = Some(Degraded::Pairs(pairs.collect()));
            }
            Some(Degraded::Ids(_) | Degraded::Pairs(_)) => {
                self.shed = Some(Degraded::Fingerprints(SentFingerprints::default()));
            }
            Some(Degraded::Fingerprints(recent)) => recent.halve(),
        }
    }

    pub(in crate::sync::strategies) fn untracked(&self) -> Option<&'static str> {
        Some(match self.shed.as_ref()? {
            Degraded::Ids(_) | Degraded::Pairs(_) => {
                "there are too many objects for the state; their deletes are not detected"
            }
            Degraded::Fingerprints(_) => {
                "there are far too many objects for the state; their deletes are not detected, and changes only if `updated` changes"
            }
        })
    }

    /// Returns true unless the last complete listing is known to have been empty.
    pub(super) fn is_inhabited(&self) -> bool {
        let has_shed = match &self.shed {
            None => false,
            Some(Degraded::Ids(hashes) | Degraded::Pairs(hashes)) => !hashes.is_empty(),
            Some(Degraded::Fingerprints(_)) => true,
        };
        self.listed.is_none() || !self.rows.is_empty() || has_shed
    }

    /// Describes the state as readable facts.
    pub(in crate::sync::strategies) fn describe(&self) -> Summary {
        let mut facts = Summary::default();
        match &self.shed {
            None => facts.say("known rows", self.rows.len().to_string()),
            Some(Degraded::Ids(hashes) | Degraded::Pairs(hashes)) => {
                facts.say("known fingerprints", hashes.len().to_string());
            }
            Some(Degraded::Fingerprints(recent)) => {
                facts.say("remembered fingerprints", recent.len().to_string());
            }
        }
        if let Some(untracked) = self.untracked() {
            facts.say("not tracked", untracked);
        }
        facts.say_time("listed completely", self.listed);
        let unreadable = gaps::objects(&self.unreadable.gaps);
        facts.say_count(
            "unreadable objects",
            usize::try_from(unreadable).unwrap_or_default(),
        );
        facts
    }

    /// Sends everything again. The ids stay, so that deletes are still found.
    pub(in crate::sync::strategies) fn refill(&mut self) {
        self.rows.values_mut().for_each(|hash| *hash = 0);
        self.listed = None;
        match &mut self.shed {
            None => {}
            Some(Degraded::Ids(hashes) | Degraded::Pairs(hashes)) => hashes.clear(),
            Some(Degraded::Fingerprints(recent)) => *recent = SentFingerprints::default(),
        }
    }

    /// Returns true if a row is the same as when it was sent, as far as is known.
    pub(super) fn knows(&self, row: &Seen) -> bool {
        match &self.shed {
            None => self.rows.get(&row.id) == Some(&row.hash),
            Some(Degraded::Ids(hashes)) => hashes.contains(&row.hash),
            Some(Degraded::Pairs(pairs)) => pairs.contains(&row.pair()),
            Some(Degraded::Fingerprints(recent)) => {
                !may_have_changed(self.listed, row) || recent.contains(row.pair())
            }
        }
    }

    /// Returns true if a row is new or changed. Such a row counts as sent and replaces the earlier record of its
    /// object. `is_seen` returns true for the pairs that this listing has seen: of two objects whose ids share a half,
    /// both stay.
    pub(super) fn record_if_changed(
        &mut self,
        row: &Seen,
        began: DateTime<Utc>,
        is_seen: impl Fn(u64) -> bool,
    ) -> bool {
        match &mut self.shed {
            None => self.rows.insert(row.id.clone(), row.hash) != Some(row.hash),
            Some(Degraded::Ids(hashes)) => hashes.insert(row.hash),
            Some(Degraded::Pairs(pairs)) => {
                let pair = row.pair();
                let is_news = pairs.insert(pair);
                if is_news {
                    let of_object = pair & !HALF..=pair | HALF;
                    let before: Vec<u64> = pairs.range(of_object).copied().collect();
                    for other in before.into_iter().filter(|other| *other != pair) {
                        if !is_seen(other) {
                            pairs.remove(&other);
                        }
                    }
                }
                is_news
            }
            Some(Degraded::Fingerprints(recent)) => {
                let pair = row.pair();
                let is_news = may_have_changed(self.listed, row) && !recent.contains(pair);
                if is_news {
                    recent.forget(|other| other & !HALF == pair & !HALF);
                    recent.insert_if_within_margin(began, row.updated, pair);
                }
                is_news
            }
        }
    }
}

/// Returns true if a row may have changed since the last complete listing.
fn may_have_changed(listed: Option<DateTime<Utc>>, row: &Seen) -> bool {
    listed.is_none_or(|listed| changed_since(listed, row.updated))
}

/// The bits of a pair that come from the fingerprint.
const HALF: u64 = 0xffff_ffff;

/// Combines half of a hash of the id with half of the fingerprint. A pair is as large as a fingerprint alone, but also
/// identifies the object. (The chance that a change is not seen, because both halves stay the same, is one in four
/// thousand million.)
pub(super) fn pair(id: &str, hash: u64) -> u64 {
    (XxHash3_64::oneshot(id.as_bytes()) & !HALF) | (hash & HALF)
}

/// The parts of a row that are compared.
pub(super) struct Seen {
    /// The packed id.
    pub(super) id: String,
    pub(super) hash: u64,
    pub(super) updated: Option<DateTime<Utc>>,
}

impl Seen {
    /// Returns the pair that is kept of the row if there is no room for the id.
    pub(super) fn pair(&self) -> u64 {
        pair(&self.id, self.hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T0: DateTime<Utc> = DateTime::<Utc>::UNIX_EPOCH;

    fn seen(id: &str, hash: u64) -> Seen {
        Seen {
            id: id.to_owned(),
            hash,
            updated: Some(T0),
        }
    }

    /// A status changes, is sent by a listing that is interrupted, and changes back.
    #[test]
    fn a_row_that_returns_to_an_earlier_value_is_sent() {
        let mut whole = SnapshotState::default();
        for id in ["a", "b", "c"] {
            assert!(whole.record_if_changed(&seen(id, 1), T0, |_| false));
        }
        for steps in 0..3 {
            let mut state = whole.clone();
            for _ in 0..steps {
                state.shed();
            }
            let taken: Vec<bool> = [1, 2, 1, 1, 2]
                .map(|hash| state.record_if_changed(&seen("b", hash), T0, |_| false))
                .into();
            // After two steps the state has no record of what was sent before.
            let first = steps == 2;
            assert_eq!(
                taken,
                [first, true, true, false, true],
                "after {steps} steps"
            );
            let others = ["a", "c"].map(|id| state.record_if_changed(&seen(id, 1), T0, |_| false));
            assert_eq!(others, [first, first], "after {steps} steps");
        }
    }

    #[test]
    fn objects_that_share_half_of_their_ids_do_not_replace_each_other() {
        let mut state = SnapshotState {
            shed: Some(Degraded::Pairs([5, 6].into())),
            ..SnapshotState::default()
        };
        let Some(Degraded::Pairs(pairs)) = &mut state.shed else {
            unreachable!("the state was created with pairs")
        };
        pairs.insert(seen("a", 1).pair());
        let sent = seen("a", 1).pair();
        assert!(state.record_if_changed(&seen("a", 2), T0, |pair| pair == sent));
        assert!(!state.record_if_changed(&seen("a", 1), T0, |_| false));
    }
}
