//! The settings of the setup form that decide which data is read.

use std::{collections::BTreeMap, sync::Arc};

use chrono::{DateTime, TimeDelta, Utc};

use crate::{prefect::UserFilter, tables::Table};

/// The settings that decide which rows of the tables are read.
#[derive(Debug, Clone)]
pub struct SyncSettings {
    /// The time back to which the first sync reads; `None`: to the beginning.
    pub start: Option<DateTime<Utc>>,
    /// The age up to which edits of ended runs are found.
    pub look_back: TimeDelta,
    /// True if scheduled runs that have never started are sent.
    pub include_scheduled: bool,
    /// The least time between two checkpoints; zero: a checkpoint may follow each step.
    pub checkpoint_every: TimeDelta,
    /// The user's own filters, by table.
    pub scopes: BTreeMap<&'static str, Arc<UserFilter>>,
}

impl Default for SyncSettings {
    fn default() -> Self {
        Self {
            start: None,
            look_back: TimeDelta::days(30),
            include_scheduled: true,
            checkpoint_every: TimeDelta::zero(),
            scopes: BTreeMap::new(),
        }
    }
}

impl SyncSettings {
    /// Returns the user's own filter for a table.
    pub(super) fn scope(&self, table: &Table) -> Option<Arc<UserFilter>> {
        self.scopes.get(table.name).cloned()
    }
}
