//! What a saved state becomes when the user chooses otherwise.

use std::{collections::BTreeSet, sync::Arc};

use chrono::{DateTime, TimeDelta, Utc};

use super::state::{Backfill, RunsState};
use crate::{prefect::Scope, rows::hash_name, sync::recent::Recent};

/// What the user chose, as far as it concerns one table of runs.
#[derive(Debug, Clone)]
pub(super) struct RunChoices {
    pub(super) start: Option<DateTime<Utc>>,
    pub(super) look_back: TimeDelta,
    pub(super) scope: Option<Arc<Scope>>,
}

impl RunChoices {
    /// Stands for the user's own filter.
    fn scope_hash(&self) -> Option<String> {
        let scope = self.scope.as_ref()?;
        let text = serde_json::to_string(&(&scope.own, &scope.related)).ok()?;
        Some(hash_name(&text))
    }
}

impl RunsState {
    /// Everything is sent once more, beside the live reading: to the tables of these names, or to all.
    pub(super) fn refill(&mut self, tables: Vec<String>) {
        let tables = match &self.backfill {
            None => tables,
            // What is not sent yet is for all.
            Some(backfill) if backfill.tables.is_empty() => Vec::new(),
            Some(_) if tables.is_empty() => tables,
            Some(backfill) => {
                let both: BTreeSet<String> =
                    backfill.tables.iter().cloned().chain(tables).collect();
                both.into_iter().collect()
            }
        };
        if tables.is_empty() {
            self.recent = Recent::default();
        }
        self.backfill = Some(Backfill {
            tables,
            ..Backfill::again()
        });
    }

    /// Whether only some of the tables are filled: what they are sent says nothing of the others.
    pub(super) fn fills_some(&self) -> bool {
        let backfill = self.backfill.as_ref();
        backfill.is_some_and(|backfill| !backfill.tables.is_empty())
    }

    /// Goes on with what the user chose now.
    pub(super) fn adapt(&mut self, choices: &RunChoices) {
        let scope = choices.scope_hash();
        let is_new = self.live.is_none();
        if !is_new && scope != self.scope {
            self.refill(Vec::new());
            if let Some(live) = &mut self.live {
                // Those that the filter leaves in are met again.
                live.leave_scope();
            }
        }
        self.scope = scope;
        if !is_new && self.backfill.is_none() && choices.start < self.start {
            // What was to start right then was read.
            let until = self.start.map(|start| start - TimeDelta::microseconds(1));
            self.backfill = Some(Backfill {
                before: until,
                ..Backfill::default()
            });
        }
        self.start = choices.start;
        if let Some(live) = &mut self.live
            && live.look_back() != choices.look_back
        {
            live.restart_rungs(live.tail.cursor, choices.look_back);
        }
    }
}
