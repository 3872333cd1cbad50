//! What the user chose in the setup form, as far as it concerns what is read.

use std::{collections::BTreeMap, sync::Arc};

use chrono::{DateTime, TimeDelta, Utc};

use crate::{prefect::Scope, tables::Table};

/// What is read of the tables.
#[derive(Debug, Clone)]
pub struct Choices {
    /// How far the first sync goes back; `None`: to the beginning.
    pub start: Option<DateTime<Utc>>,
    /// How far back edits of ended runs are looked for.
    pub look_back: TimeDelta,
    /// Whether runs are wanted that are scheduled and have never started.
    pub include_scheduled: bool,
    /// How long a checkpoint may wait; zero: not at all.
    pub checkpoint_every: TimeDelta,
    /// The user's own filters, by table.
    pub scopes: BTreeMap<&'static str, Arc<Scope>>,
}

impl Default for Choices {
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

impl Choices {
    /// The user's own filter for a table.
    pub(super) fn scope(&self, table: &Table) -> Option<Arc<Scope>> {
        self.scopes.get(table.name).cloned()
    }
}
