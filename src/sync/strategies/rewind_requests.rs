//! The user's commands on a saved state between two syncs: describe it, rewind it, or send everything again.

use chrono::{DateTime, Utc};

use super::reader_state::ReaderState;
use crate::sync::describe::Summary;

/// The reason why a state cannot be rewound to a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sync) enum RewindRefused {
    /// The table is listed completely at every sync.
    NotByTime,
    /// The first reading of the table has no cursor yet.
    NotReadYet,
    /// The table is read only up to this time.
    NotBefore(DateTime<Utc>),
    /// The start date excludes everything before this time.
    BeforeStart(DateTime<Utc>),
}

impl ReaderState {
    /// Returns the facts of the state, for users.
    pub(in crate::sync) fn describe(&self) -> Summary {
        match self {
            Self::Snapshot(state) => state.describe(),
            Self::NewestFirst(state) => state.describe(),
            Self::Runs(state) => state.describe(),
            Self::Feed(state) => state.describe(),
            Self::HeldBy(table) => {
                let mut facts = Summary::default();
                facts.say("read together with", table);
                facts
            }
        }
    }

    /// Returns the time up to which the table is read.
    pub(in crate::sync) fn read_up_to(&self) -> Option<DateTime<Utc>> {
        match self {
            Self::NewestFirst(state) => state.cursor,
            Self::Runs(state) => state.read_up_to(),
            Self::Feed(state) => state.read_up_to(),
            Self::Snapshot(_) | Self::HeldBy(_) => None,
        }
    }

    /// Rewinds the state so that changes since `to` are sent again. Returns a description of what is read for that.
    pub(in crate::sync) fn rewind_to(
        &mut self,
        to: DateTime<Utc>,
    ) -> Result<&'static str, RewindRefused> {
        if matches!(self, Self::Snapshot(_) | Self::HeldBy(_)) {
            return Err(RewindRefused::NotByTime);
        }
        let read_up_to = self.read_up_to().ok_or(RewindRefused::NotReadYet)?;
        if to >= read_up_to {
            return Err(RewindRefused::NotBefore(read_up_to));
        }
        if let Some(start) = self.start().filter(|start| to < *start) {
            return Err(RewindRefused::BeforeStart(start));
        }
        Ok(match self {
            Self::NewestFirst(state) => {
                state.rewind();
                state.cursor = Some(to);
                "all objects that were updated since then; the known ids are kept, so that deletes are still detected"
            }
            Self::Runs(state) => {
                state.rewind_to(to);
                "all runs that ended since then, all open runs, and the runs that ended earlier, within the look-back, and changed since then"
            }
            Self::Feed(state) => {
                state.rewind_to(to);
                "all rows since then"
            }
            Self::Snapshot(_) | Self::HeldBy(_) => return Err(RewindRefused::NotByTime),
        })
    }

    /// Resets the state so that everything is sent again. The server's clock was last at `now`.
    pub(in crate::sync) fn send_again(&mut self, now: DateTime<Utc>) {
        match self {
            Self::Snapshot(state) => state.refill(),
            other => other.rewind(now),
        }
    }

    fn start(&self) -> Option<DateTime<Utc>> {
        match self {
            Self::Runs(state) => state.start,
            Self::Feed(state) => state.start(),
            Self::Snapshot(_) | Self::NewestFirst(_) | Self::HeldBy(_) => None,
        }
    }
}
