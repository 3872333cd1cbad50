//! The phases of a reading of runs: what is being read, and what comes next.

use std::{collections::BTreeSet, time::Duration};

use chrono::{DateTime, Utc};

use super::{
    super::gaps::Search,
    LookUp, OffsetWalk,
    state::{Live, Reading as Place},
    without_ranges::ByOffset,
};
use crate::{sync::lanes::Lanes, telemetry::Reading};

/// What comes next when a phase is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Tail,
    Open,
    LongOpen,
    WithoutEnd,
    Outside,
    LookBack,
    Rung(usize),
    Unreadable,
    Backfill,
    Done,
}

/// What is being read.
#[derive(Debug)]
pub(super) enum Phase {
    /// Runs that ended since the cursor.
    Tail {
        lanes: Lanes,
        reading: Option<Place>,
    },
    /// The same where the server cannot filter by the end: newest first, by offset.
    TailByOffset {
        walk: OffsetWalk,
        began: Option<DateTime<Utc>>,
    },
    /// Runs without an end time.
    WithoutEnd {
        lanes: Lanes,
        began: DateTime<Utc>,
        /// Its first page, which has no bounds.
        is_first: bool,
    },
    /// All runs that are open.
    Open {
        lanes: Lanes,
        began: DateTime<Utc>,
        met: BTreeSet<String>,
        long: bool,
    },
    /// Runs that were open and are not listed any more.
    LookUp {
        look_up: LookUp,
        began: DateTime<Utc>,
        long: bool,
    },
    /// Open runs that the user's filter leaves out.
    Outside {
        look_up: LookUp,
        began: DateTime<Utc>,
    },
    /// Everything younger than the look-back, once.
    LookBack { lanes: Lanes, reading: Place },
    /// A rung's window.
    Rung {
        index: usize,
        lanes: Lanes,
        reading: Place,
    },
    /// What the server could not answer for before.
    Unreadable { at: usize },
    /// The same in a listing by offset: one of those places.
    Search { at: usize, search: Box<Search> },
    /// Everything.
    Backfill { lanes: Lanes },
    /// How many runs there are, how many of them have an expected start, and how many there are again
    /// (one may be created or deleted meanwhile).
    Counts { told: Vec<u64> },
    /// Runs without an expected start, which no range matches.
    WithoutStart { walk: OffsetWalk },
    /// Everything, open runs, or those that may have no end time, where the server has no ranges.
    ByOffset(ByOffset),
}

impl Phase {
    /// What it is for.
    pub(super) fn reading(&self, live: Option<&Live>) -> Reading {
        match self {
            Self::Tail { .. } | Self::TailByOffset { .. } => Reading::Tail,
            Self::WithoutEnd { .. } => Reading::NeverStarted,
            Self::Open { .. } | Self::LookUp { .. } | Self::Outside { .. } => Reading::Open,
            Self::LookBack { .. } => Reading::LookBack,
            Self::Rung { index, .. } => {
                let lag = live.and_then(|live| u64::try_from(live.rungs.get(*index)?.lag).ok());
                Reading::Rung(Duration::from_secs(lag.unwrap_or_default()))
            }
            Self::Unreadable { .. }
            | Self::Search { .. }
            | Self::Backfill { .. }
            | Self::Counts { .. }
            | Self::WithoutStart { .. }
            | Self::ByOffset(_) => Reading::Backfill,
        }
    }

    /// The range that it reads.
    pub(super) fn lanes(&self) -> Option<&Lanes> {
        match self {
            Self::Tail { lanes, .. }
            | Self::WithoutEnd { lanes, .. }
            | Self::Open { lanes, .. }
            | Self::LookBack { lanes, .. }
            | Self::Rung { lanes, .. }
            | Self::Backfill { lanes } => Some(lanes),
            _ => None,
        }
    }

    /// The same, to go on in it.
    pub(super) fn lanes_mut(&mut self) -> Option<&mut Lanes> {
        match self {
            Self::Tail { lanes, .. }
            | Self::WithoutEnd { lanes, .. }
            | Self::Open { lanes, .. }
            | Self::LookBack { lanes, .. }
            | Self::Rung { lanes, .. }
            | Self::Backfill { lanes } => Some(lanes),
            Self::TailByOffset { .. }
            | Self::LookUp { .. }
            | Self::Outside { .. }
            | Self::Unreadable { .. }
            | Self::Search { .. }
            | Self::Counts { .. }
            | Self::WithoutStart { .. }
            | Self::ByOffset(_) => None,
        }
    }
}
