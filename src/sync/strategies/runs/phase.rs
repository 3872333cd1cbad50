//! The phases of the reader of runs: what is being read for a task.

use std::{collections::BTreeSet, time::Duration};

use chrono::{DateTime, Utc};

use super::state::{LiveState, WindowProgress as Place};
use crate::{
    sync::{
        offset::OffsetPager,
        partitioned_scan::PartitionedScan,
        strategies::{gaps::Search, look_up::GetById},
        window_kind,
    },
    telemetry::WindowKind,
};

/// The reading under way. Phases are not saved; the state keeps the positions of windows and of the backfill.
#[derive(Debug)]
pub(super) enum Phase {
    /// Runs that ended since the cursor, by end time. `reading` is the window that the state keeps; without one the
    /// first response sets its upper bound. `is_resumed` is true if an earlier sync began the window.
    Ended {
        scan: PartitionedScan,
        reading: Option<Place>,
        is_resumed: bool,
    },
    /// Runs that ended since the cursor, newest first, by offset. Set if the server rejected a filter by end time.
    EndedByOffset {
        pager: OffsetPager,
        began: Option<DateTime<Utc>>,
    },
    /// Runs without an end time. The next sync begins an interrupted listing again.
    WithoutEndTime {
        scan: PartitionedScan,
        began: DateTime<Utc>,
        /// True while its first page is read, which has no bounds.
        is_first: bool,
    },
    /// Open runs of one of the two sets (`long`). `listed` collects their ids. The next sync begins an interrupted
    /// listing again, and compares runs that were listed with the interrupted one.
    Open {
        scan: PartitionedScan,
        began: DateTime<Utc>,
        listed: BTreeSet<String>,
        long: bool,
    },
    /// Runs that were open and are not listed any more. Set after the listings; missing runs are deleted, the others
    /// sent.
    GetMissing {
        look_up: GetById,
        began: DateTime<Utc>,
        long: bool,
    },
    /// A look-up of the open runs that the user's filter excludes. Runs that ended, or are missing, leave their set.
    OutsideFilter {
        look_up: GetById,
        began: DateTime<Utc>,
    },
    /// Everything younger than the look-back, once. Runs that were edited after their end are sent.
    InitialRecheck {
        scan: PartitionedScan,
        reading: Place,
    },
    /// A window of the recheck `index`. The state keeps its position after each page.
    Recheck {
        index: usize,
        scan: PartitionedScan,
        reading: Place,
    },
    /// The gap `at` in the state, requested once.
    Unreadable { at: usize },
    /// The gap `at` of a listing by offset, searched for one object at a time.
    Search { at: usize, search: Box<Search> },
    /// Everything, in the partitions that the state keeps.
    Backfill { scan: PartitionedScan },
    /// Counts after the backfill: of all runs, of those with an expected start, and of all runs again. (One may be
    /// created or deleted in the meantime.) `counts` are the counts received so far.
    Counts { counts: Vec<u64> },
    /// Runs without an expected start, which no range matches. Set if the counts show some.
    NoExpectedStart { pager: OffsetPager },
    /// Everything, open runs, or runs that may have no end time, where the server supports no ranges.
    FullScanByOffset(FullScan),
}

impl Phase {
    /// Returns the purpose of the phase, for telemetry.
    pub(super) fn window_kind(&self, live: Option<&LiveState>) -> WindowKind {
        match self {
            Self::Ended { .. } | Self::EndedByOffset { .. } => window_kind::NEW_ROWS,
            Self::WithoutEndTime { .. } => window_kind::WITHOUT_START,
            Self::Open { .. } | Self::GetMissing { .. } | Self::OutsideFilter { .. } => {
                window_kind::OPEN_RUNS
            }
            Self::InitialRecheck { .. } => window_kind::LOOK_BACK,
            Self::Recheck { index, .. } => {
                let lag = live.and_then(|live| u64::try_from(live.rechecks.get(*index)?.lag).ok());
                window_kind::RECHECK.after(Duration::from_secs(lag.unwrap_or_default()))
            }
            Self::Unreadable { .. }
            | Self::Search { .. }
            | Self::Backfill { .. }
            | Self::Counts { .. }
            | Self::NoExpectedStart { .. }
            | Self::FullScanByOffset(_) => window_kind::BACKFILL,
        }
    }

    /// Returns the partitions that the phase reads; `None` if it reads no window.
    pub(super) fn scan(&self) -> Option<&PartitionedScan> {
        match self {
            Self::Ended { scan, .. }
            | Self::WithoutEndTime { scan, .. }
            | Self::Open { scan, .. }
            | Self::InitialRecheck { scan, .. }
            | Self::Recheck { scan, .. }
            | Self::Backfill { scan } => Some(scan),
            _ => None,
        }
    }

    /// Returns the partitions to continue them; see [`Self::scan`].
    pub(super) fn scan_mut(&mut self) -> Option<&mut PartitionedScan> {
        match self {
            Self::Ended { scan, .. }
            | Self::WithoutEndTime { scan, .. }
            | Self::Open { scan, .. }
            | Self::InitialRecheck { scan, .. }
            | Self::Recheck { scan, .. }
            | Self::Backfill { scan } => Some(scan),
            Self::EndedByOffset { .. }
            | Self::GetMissing { .. }
            | Self::OutsideFilter { .. }
            | Self::Unreadable { .. }
            | Self::Search { .. }
            | Self::Counts { .. }
            | Self::NoExpectedStart { .. }
            | Self::FullScanByOffset(_) => None,
        }
    }
}

/// A listing by expected start, latest first.
#[derive(Debug)]
pub(super) struct FullScan {
    pub(super) pager: OffsetPager,
    pub(super) what: ScanPurpose,
    pub(super) began: Option<DateTime<Utc>>,
    /// The packed ids of the open runs that were listed.
    pub(super) listed: BTreeSet<String>,
}

/// The runs that are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ScanPurpose {
    Everything,
    Open,
    /// Runs of which some may have no end time.
    WithoutEnd,
}

impl FullScan {
    pub(super) fn new(what: ScanPurpose, is_inhabited: bool) -> Self {
        Self {
            pager: match what {
                ScanPurpose::Open => OffsetPager::of_states(is_inhabited),
                ScanPurpose::Everything | ScanPurpose::WithoutEnd => {
                    OffsetPager::inhabited(is_inhabited)
                }
            },
            what,
            began: None,
            listed: BTreeSet::new(),
        }
    }
}
