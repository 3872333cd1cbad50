//! The changes that a strategy sends in return to a response.

use crate::{rows::Row, sync::NoProgress, tables::Table};

/// A change to send.
#[derive(Debug)]
pub(in crate::sync) enum Change {
    /// The row as it is now.
    Upsert(Row),
    /// The row as it is now, only for the tables that the backfill is for.
    BackfillOnly(Row),
    /// The object with this id is deleted.
    Delete(&'static Table, String),
    /// All rows sent before are deleted, unless they are sent again.
    Truncate(&'static Table),
}

/// The result of a response.
#[derive(Debug, Default)]
pub(in crate::sync) struct Emission {
    /// The changes to send, in order.
    pub(in crate::sync) changes: Vec<Change>,
    /// Warnings for the user.
    pub(in crate::sync) warnings: Vec<String>,
    /// Set if the listing makes no progress. No more requests are sent, and the sync ends with this error once the
    /// changes are sent. This never counts as the end of the listing, because the unread rest is unknown.
    pub(in crate::sync) stuck: Option<NoProgress>,
    /// Set if the state has a new fact that another sync might not find out: it counts as a change.
    pub(in crate::sync) has_learnt: bool,
}
