//! A window under way: its upper bound, and the position in it.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::sync::{
    keyset::latest_possible_time, partitioned_scan::PartitionedScan, tie::TiePosition,
};

/// A window under way, and the position in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WindowProgress {
    /// The window's upper bound, to which the cursor moves at the end; [`latest_possible_time`] if there is none.
    #[serde(
        rename = "hi",
        default = "latest_possible_time",
        skip_serializing_if = "is_latest"
    )]
    pub(crate) upper: DateTime<Utc>,
    /// The time at which the reading of the window began; the read log stores it at the end.
    pub(crate) began: DateTime<Utc>,
    /// The position: everything later in the window is read. The next sync continues here.
    pub(crate) before: DateTime<Utc>,
    /// The position among the runs at `before`, if they fill more than a page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) place: Option<TiePosition>,
}

fn is_latest(time: &DateTime<Utc>) -> bool {
    *time == latest_possible_time()
}

impl WindowProgress {
    /// Creates a window with the upper bound `upper` whose reading begins at `now`.
    pub(super) fn new(upper: DateTime<Utc>, now: DateTime<Utc>) -> Self {
        Self {
            upper,
            began: now,
            before: upper,
            place: None,
        }
    }

    /// Stores the position of the partitions in which the window is read.
    pub(super) fn pass(&mut self, scan: &PartitionedScan) {
        if let Some(before) = scan.before() {
            (self.before, self.place) = (before, scan.place());
        }
    }

    /// Returns the position at which the window is continued: its upper bound, and the position among the runs there.
    pub(super) fn resumed(reading: Option<Self>) -> (Option<DateTime<Utc>>, Option<TiePosition>) {
        let before = reading.map(|reading| reading.before);
        (before, reading.and_then(|reading| reading.place))
    }

    /// Returns true if the reading has passed the run `id`, which was to start at `due`.
    pub(super) fn has_passed(self, due: Option<DateTime<Utc>>, id: &str) -> bool {
        let is_at_its_end = due == Some(self.before);
        due > Some(self.before)
            || (is_at_its_end && self.place.is_some_and(|place| place.has_passed(id)))
    }
}
