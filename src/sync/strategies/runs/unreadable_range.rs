//! A range of time with runs that could not be read.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    prefect::Filter,
    sync::{
        keyset::TimeField,
        strategies::{
            gaps::{self, Between, Gap},
            run_states::ended_after_a_start,
        },
    },
};

/// A gap: the range of time between two neighbours with runs that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct UnreadableRange {
    #[serde(rename = "tau")]
    pub(super) time_field: TimeField,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) after: Option<DateTime<Utc>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) before: Option<DateTime<Utc>>,
    /// The packed ids and times of the neighbours at its bounds, which were read.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) known: BTreeMap<String, DateTime<Utc>>,
    /// The number of unreadable runs.
    #[serde(default = "gaps::one", skip_serializing_if = "gaps::is_one")]
    pub(super) count: u32,
    /// Set if this sync has requested the runs already. Not saved.
    #[serde(skip)]
    pub(super) is_requested: bool,
}

/// A listing that is read by offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ListingByOffset {
    /// Ended runs, by their end time.
    EndedRuns,
    /// All runs, by their expected start.
    All,
}

impl ListingByOffset {
    pub(super) fn from_gap(gap: &Gap) -> Self {
        match gap.of.as_deref() {
            Some("all") => Self::All,
            _ => Self::EndedRuns,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::EndedRuns => "tail",
            Self::All => "all",
        }
    }

    pub(super) fn time_field(self) -> TimeField {
        match self {
            Self::EndedRuns => TimeField::EndTime,
            Self::All => TimeField::ExpectedStartTime,
        }
    }

    pub(super) fn filter(self) -> Filter {
        match self {
            Self::EndedRuns => ended_after_a_start(),
            Self::All => Filter::default(),
        }
    }
}

impl UnreadableRange {
    /// Returns the gap as one in a listing by offset. A server that was downgraded may not filter by time any more.
    pub(super) fn into_gap(self) -> Gap {
        let listing = match self.time_field {
            TimeField::EndTime => ListingByOffset::EndedRuns,
            TimeField::ExpectedStartTime | TimeField::Timestamp => ListingByOffset::All,
        };
        let between = Between {
            oldest: self.after,
            newest: self.before,
            known: self.known,
            count: 1,
        };
        Gap::never_read(listing.name(), between, self.count)
    }

    pub(super) fn overlaps(&self, other: &Self) -> bool {
        // Two gaps may have the run between them in common; but a gap may be as small as one time.
        let ends_before = |one: &Self, two: &Self| match (one.before, two.after) {
            (Some(before), Some(after)) if before == after => {
                one.after != one.before && two.after != two.before
            }
            (Some(before), Some(after)) => before < after,
            _ => false,
        };
        self.time_field == other.time_field
            && !ends_before(self, other)
            && !ends_before(other, self)
    }
}
