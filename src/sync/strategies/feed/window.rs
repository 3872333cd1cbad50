//! A window of an append-only table.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::overlap::Seconds;
use crate::sync::sent_fingerprints::SentFingerprints;

/// A window under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FeedWindow {
    /// The cursor after this window.
    pub(super) hi: DateTime<Utc>,
    /// The time after which all rows are read.
    pub(super) before: DateTime<Utc>,
    /// True if the window holds older rows that were added by an earlier start date.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) is_older: bool,
    /// Fingerprints of the rows seen in this window's own overlap.
    #[serde(
        rename = "met",
        default,
        skip_serializing_if = "SentFingerprints::is_empty"
    )]
    pub(super) seen: SentFingerprints,
    /// The same by the second, for rows that do not fit in `seen`.
    #[serde(default, skip_serializing_if = "Seconds::is_empty")]
    pub(super) seconds: Seconds,
}
