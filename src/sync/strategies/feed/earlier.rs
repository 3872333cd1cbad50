//! States of runs from before the server had events.
//!
//! Without events, the states of each run are requested after the run has ended. Events report later states only. This
//! module reads, once, the earlier states of runs that were open when the server gained events, or that ended between
//! the last sync and the first event.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{overlap::OVERLAP, runs_with_states::RunsWithStates, window::FeedWindow};
use crate::{sync::sent_fingerprints::SentFingerprints, tables::Table};

/// The work that remains to be done once after the server has gained events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Earlier {
    /// The end time before which the states of all ended runs were sent; `None` if no run's states were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) since: Option<DateTime<Utc>>,
    /// The time of the earliest event. From then on, events report every state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) first_event: Option<DateTime<Utc>>,
    /// Fingerprints of the states that were sent before, and of those that this pass has sent.
    #[serde(default, skip_serializing_if = "SentFingerprints::is_empty")]
    pub(super) sent: SentFingerprints,
    /// True once the open runs are read.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) is_open_read: bool,
    /// The end time after which all ended runs are read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) before: Option<DateTime<Utc>>,
    /// The window that was under way, restored if the server turns out to have no events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) window: Option<FeedWindow>,
}

impl Earlier {
    /// Starts after runs were read up to `cursor`, when the server may have gained events.
    pub(super) fn after(
        cursor: Option<DateTime<Utc>>,
        sent: SentFingerprints,
        window: Option<FeedWindow>,
    ) -> Self {
        Self {
            since: cursor.map(|cursor| cursor - OVERLAP),
            first_event: None,
            sent,
            is_open_read: false,
            before: None,
            window,
        }
    }

    /// Returns the time up to which runs were read before the server gained events.
    pub(super) fn cursor(&self) -> Option<DateTime<Utc>> {
        self.since.map(|since| since + OVERLAP)
    }

    /// Records the time of an event.
    pub(super) fn note_event(&mut self, at: Option<DateTime<Utc>>) {
        if let Some(at) = at {
            self.first_event = Some(self.first_event.map_or(at, |first| first.min(at)));
        }
    }

    /// Returns true if no event reports a state that a run entered at this time.
    pub(super) fn is_before_events(&self, at: Option<DateTime<Utc>>) -> bool {
        at.is_none() || self.first_event.is_none_or(|first| at < Some(first))
    }

    /// Returns the runs whose states are read next: first the open runs, then the ended ones. A run that ends in the
    /// meantime is in at least one of the two listings. A run that starts again in the meantime is in the second
    /// listing of open runs.
    pub(super) fn runs(
        &self,
        table: &'static Table,
        start: Option<DateTime<Utc>>,
    ) -> RunsWithStates {
        if self.is_open_read {
            RunsWithStates::ended(table, self.since.max(start), self.before)
        } else {
            RunsWithStates::open(table)
        }
    }
}
