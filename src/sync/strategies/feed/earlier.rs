//! States from before a server gained events.
//!
//! Until then the states of each run were read when it had ended. Events tell of what comes after; what is missing are
//! the earlier states of runs that were open then, or that ended between the last sync and the first event.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{OVERLAP, runs_with_states::RunsWithStates, state::Window};
use crate::{sync::recent::Recent, tables::Table};

/// What is left to do once after the change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Earlier {
    /// The states of all runs that ended earlier were sent; without it those of no run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) since: Option<DateTime<Utc>>,
    /// The earliest event: from there on events tell of every state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) first_event: Option<DateTime<Utc>>,
    /// States that were sent; in the end also what this reading sends.
    #[serde(default, skip_serializing_if = "Recent::is_empty")]
    pub(super) sent: Recent,
    /// The runs that are open are read.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) is_open_read: bool,
    /// Of those that ended the ones that ended later are read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) before: Option<DateTime<Utc>>,
    /// The window that was under way, for the case that there are no events after all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) window: Option<Window>,
}

impl Earlier {
    /// The server may have gained events after runs were read up to `cursor`.
    pub(super) fn after(
        cursor: Option<DateTime<Utc>>,
        sent: Recent,
        window: Option<Window>,
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

    /// Up to where runs were read before the change.
    pub(super) fn cursor(&self) -> Option<DateTime<Utc>> {
        self.since.map(|since| since + OVERLAP)
    }

    /// Takes the time of an event.
    pub(super) fn note_event(&mut self, at: Option<DateTime<Utc>>) {
        if let Some(at) = at {
            self.first_event = Some(self.first_event.map_or(at, |first| first.min(at)));
        }
    }

    /// Whether no event tells of a state that a run entered at this time.
    pub(super) fn is_before_events(&self, at: Option<DateTime<Utc>>) -> bool {
        at.is_none() || self.first_event.is_none_or(|first| at < Some(first))
    }

    /// The runs whose states are read next. Open ones first: one that ends meanwhile is met in either listing. One that
    /// begins again meanwhile is met in the second look at open ones.
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
