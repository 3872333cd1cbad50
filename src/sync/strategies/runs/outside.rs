//! The saved open runs that the user's filter excludes.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// Open runs that the user's filter excludes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Outside {
    /// The packed ids of the runs.
    pub(crate) ids: BTreeSet<String>,
    /// The time at which all of them were last looked up.
    pub(crate) read_at: DateTime<Utc>,
    /// Set by a change of the filter: the runs are looked up at once.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) is_due: bool,
}

impl Outside {
    /// Drops half of the ids.
    pub(super) fn halve(&mut self) {
        if let Some(first) = self.ids.iter().nth(self.ids.len() / 2).cloned() {
            self.ids.split_off(&first);
        }
    }
}
