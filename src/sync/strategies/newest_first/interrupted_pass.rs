//! The part of a table that an interrupted pass has read.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::sync::sent_fingerprints::CLOCK_SKEW_MARGIN;

/// The range that a pass has read. Every row with an `updated` between `reached` and `started` less the margin was
/// sent, unless it was unchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct InterruptedPass {
    pub(crate) started: DateTime<Utc>,
    pub(crate) reached: DateTime<Utc>,
}

impl InterruptedPass {
    /// Returns true if `updated` is strictly inside the range. Other rows with the time `reached` may be on the next
    /// page.
    pub(in crate::sync::strategies) fn covers(&self, updated: DateTime<Utc>) -> bool {
        updated > self.reached && updated < self.started - CLOCK_SKEW_MARGIN
    }
}
