//! The saved state of a table.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{
    feed::FeedState, newest_first::NewestFirstState, runs::RunsState, snapshot::SnapshotState,
};

/// The saved state of a table, in the form that its strategy defines.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::sync) enum ReaderState {
    Snapshot(SnapshotState),
    NewestFirst(NewestFirstState),
    Runs(Box<RunsState>),
    Feed(Box<FeedState>),
    /// The table is read together with the table of this name, which has the state.
    #[serde(rename = "with")]
    HeldBy(String),
}

impl ReaderState {
    /// Returns the approximate size in bytes of the set that [`Self::shed`] would drop or halve.
    pub(in crate::sync) fn weight(&self) -> usize {
        match self {
            Self::Snapshot(state) => state.weight(),
            Self::NewestFirst(state) => state.weight(),
            Self::Runs(state) => state.weight(),
            Self::Feed(state) => state.weight(),
            Self::HeldBy(_) => 0,
        }
    }

    /// Drops the largest set of the state, or half of it. Less is known then, but nothing is lost.
    pub(in crate::sync) fn shed(&mut self) {
        match self {
            Self::Snapshot(state) => state.shed(),
            Self::NewestFirst(state) => state.shed(),
            Self::Runs(state) => state.shed(),
            Self::Feed(state) => state.shed(),
            Self::HeldBy(_) => {}
        }
    }

    /// Returns the changes that are not seen any more because of [`Self::shed`]. (The reader of runs warns of a full
    /// open set itself.)
    pub(in crate::sync) fn untracked(&self) -> Option<&'static str> {
        match self {
            Self::Snapshot(state) => state.untracked(),
            Self::NewestFirst(state) => state.untracked(),
            Self::Runs(_) | Self::Feed(_) | Self::HeldBy(_) => None,
        }
    }

    /// Resets times that cannot be compared with any more, so that everything read by time is sent again. The server's
    /// clock is at `now`.
    pub(in crate::sync) fn rewind(&mut self, now: DateTime<Utc>) {
        match self {
            // Snapshots compare fingerprints, not times.
            Self::Snapshot(state) => state.listed = None,
            Self::NewestFirst(state) => state.rewind(),
            Self::Runs(state) => state.rewind(now),
            Self::Feed(state) => state.rewind(),
            Self::HeldBy(_) => {}
        }
    }

    /// Forgets what the server could not do, because the server has changed. The next sync tries all of that again.
    pub(in crate::sync) fn forget_abilities(&mut self) {
        match self {
            Self::Runs(state) => state.forget_abilities(),
            // An append-only table finds out at each sync.
            Self::Feed(_) | Self::Snapshot(_) | Self::NewestFirst(_) | Self::HeldBy(_) => {}
        }
    }

    /// Returns the name of the way in which the table is read, if that depends on the server.
    pub(in crate::sync) fn ability(&self) -> Option<&'static str> {
        match self {
            Self::Runs(state) => Some(state.ability()),
            Self::Feed(state) => state.ability(),
            _ => None,
        }
    }

    /// Returns at most `most` packed ids of objects that existed at the last sync.
    pub(in crate::sync) fn some_ids(&self, most: usize) -> Vec<&str> {
        fn first_ids<'a>(ids: impl Iterator<Item = &'a String>, most: usize) -> Vec<&'a str> {
            ids.take(most).map(String::as_str).collect()
        }
        match self {
            Self::Snapshot(state) => first_ids(state.rows.keys(), most),
            Self::NewestFirst(state) => first_ids(state.ids.iter(), most),
            Self::Runs(state) => first_ids(state.open_ids(), most),
            Self::Feed(_) | Self::HeldBy(_) => Vec::new(),
        }
    }
}
