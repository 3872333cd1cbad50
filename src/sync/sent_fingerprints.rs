//! Rows already sent whose `updated` is so close to their reading that they will be read again.

use std::collections::{HashSet, VecDeque};

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::compact_ids;

/// The longest time between a row's `updated` and the moment when the row becomes visible. Prefect sets `updated` when
/// a transaction begins, and two clocks may differ.
pub(super) const CLOCK_SKEW_MARGIN: TimeDelta = TimeDelta::minutes(2);

/// The allowance for rounding. SQLite truncates `updated` to milliseconds, so it may be slightly earlier than the end
/// that it records.
const ROUNDING: TimeDelta = TimeDelta::seconds(1);

/// The largest number of fingerprints. The oldest are dropped first, which costs a row sent again, never a loss.
const MOST: usize = 20_000;

/// Fingerprints of rows sent with an `updated` inside the margin. Every reader checks them before it sends.
///
/// Only equality counts: a row that changed again has another fingerprint, whatever its `updated` is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct SentFingerprints {
    order: VecDeque<u64>,
    known: HashSet<u64>,
}

impl SentFingerprints {
    pub(super) fn contains(&self, fingerprint: u64) -> bool {
        self.known.contains(&fingerprint)
    }

    /// Remembers a row read by a reader that began at `began`, if a later reader will take it for changed.
    pub(super) fn insert_if_within_margin(
        &mut self,
        began: DateTime<Utc>,
        updated: Option<DateTime<Utc>>,
        fingerprint: u64,
    ) {
        if updated.is_none_or(|updated| updated >= began - CLOCK_SKEW_MARGIN - ROUNDING) {
            self.insert(fingerprint);
        }
    }

    /// Remembers a row, whatever its `updated` is.
    pub(super) fn insert(&mut self, fingerprint: u64) {
        if self.known.insert(fingerprint) {
            self.order.push_back(fingerprint);
            if self.order.len() > MOST
                && let Some(oldest) = self.order.pop_front()
            {
                self.known.remove(&oldest);
            }
        }
    }

    /// Forgets the fingerprints for which `is_meant` returns true.
    pub(super) fn forget(&mut self, is_meant: impl Fn(u64) -> bool) {
        if self.known.iter().any(|fingerprint| is_meant(*fingerprint)) {
            self.order.retain(|fingerprint| !is_meant(*fingerprint));
            self.known.retain(|fingerprint| !is_meant(*fingerprint));
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// Returns true if one more fingerprint fits without dropping another.
    pub(super) fn has_room(&self) -> bool {
        self.order.len() < MOST
    }

    /// Returns the number of fingerprints.
    pub(super) fn len(&self) -> usize {
        self.order.len()
    }

    /// Returns the size in the state, in bytes.
    pub(super) fn weight(&self) -> usize {
        self.order.len() * 11
    }

    /// Forgets the older half.
    pub(super) fn halve(&mut self) {
        for fingerprint in self.order.drain(..self.order.len().div_ceil(2)) {
            self.known.remove(&fingerprint);
        }
    }
}

impl FromIterator<u64> for SentFingerprints {
    fn from_iter<I: IntoIterator<Item = u64>>(fingerprints: I) -> Self {
        let mut recent = Self::default();
        for fingerprint in fingerprints {
            recent.insert(fingerprint);
        }
        recent
    }
}

/// The state contains the fingerprints from the oldest to the newest.
impl Serialize for SentFingerprints {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        compact_ids::hashes::serialize(&self.order, serializer)
    }
}

impl<'de> Deserialize<'de> for SentFingerprints {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        compact_ids::hashes::deserialize(deserializer)
    }
}

/// Returns true if a row that was read at `read` may have changed since, by its `updated`. Without an `updated`,
/// nothing proves that the row did not change.
pub(super) fn changed_since(read: DateTime<Utc>, updated: Option<DateTime<Utc>>) -> bool {
    updated.is_none_or(|updated| updated >= read - CLOCK_SKEW_MARGIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_are_dropped_and_the_others_read_back_in_order() {
        let recent: SentFingerprints = (0..MOST as u64 + 5).collect();
        assert!(!recent.contains(4) && recent.contains(5));
        let text = serde_json::to_string(&recent).expect("serialises");
        assert!(text.len() < 11 * MOST);
        let again: SentFingerprints = serde_json::from_str(&text).expect("deserialises");
        assert_eq!(again, recent);
        assert!(serde_json::from_str::<SentFingerprints>("\"AAAA\"").is_err());
    }
}
