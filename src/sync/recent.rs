//! Rows already sent whose `updated` lies so close to the cursor that they will be read again.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::pack;

/// How far `updated` may lie behind the moment a row becomes visible: it is taken when a transaction
/// begins, and two clocks may differ.
pub(super) const MARGIN: TimeDelta = TimeDelta::minutes(2);

/// Fingerprints of rows sent with an `updated` inside the margin. Equality only: a row that changed
/// again has another fingerprint, whatever its `updated` says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Recent(#[serde(with = "pack::hashes")] BTreeSet<u64>);

impl Recent {
    pub(super) fn contains(&self, fingerprint: u64) -> bool {
        self.0.contains(&fingerprint)
    }

    /// Remembers a row read by a walk that began at `started`, if the next walk will meet it again.
    pub(super) fn remember(
        &mut self,
        started: DateTime<Utc>,
        updated: Option<DateTime<Utc>>,
        fingerprint: u64,
    ) {
        if updated.is_none_or(|updated| updated >= started - MARGIN) {
            self.0.insert(fingerprint);
        }
    }

    pub(super) fn extend(&mut self, other: &Self) {
        self.0.extend(&other.0);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Which rows of a walk are news, by `updated`.
///
/// ```text
///        cursor - margin   cursor                     started - margin   started
///  --- old ---|--- read again ---|--- always sent -----------|--- sent, remembered ---> updated
///              (sent unless in `recent`)
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct News {
    /// Everything that was visible before this time was sent; `None` before the first walk ended.
    pub(super) cursor: Option<DateTime<Utc>>,
    /// Sent with an `updated` that the next walk will meet again.
    #[serde(default, skip_serializing_if = "Recent::is_empty")]
    pub(super) recent: Recent,
}

impl News {
    pub(super) fn new() -> Self {
        Self {
            cursor: None,
            recent: Recent::default(),
        }
    }

    /// Whether nothing at or after `updated` can be news: a walk by `updated` may end there.
    pub(super) fn is_old(&self, updated: Option<DateTime<Utc>>) -> bool {
        match (self.cursor, updated) {
            (Some(cursor), Some(updated)) => updated < cursor - MARGIN,
            // Without an `updated` nothing proves that the row did not change.
            _ => false,
        }
    }

    /// Whether a row must be sent.
    pub(super) fn is_news(&self, updated: Option<DateTime<Utc>>, fingerprint: u64) -> bool {
        !self.is_old(updated) && !self.recent.contains(fingerprint)
    }
}
