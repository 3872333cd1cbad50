//! Adapts a saved state to settings that the user changed: filter, look-back, selected tables and columns.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use super::{
    backfill_state::{BackfillProgress, BackfillState, UnreadRange},
    state::RunsState,
};
use crate::{
    prefect::UserFilter,
    rows::hash_name,
    sync::{SyncSettings, sent_fingerprints::SentFingerprints},
    tables::Table,
};

/// The user's settings that concern one table of runs.
#[derive(Debug, Clone)]
pub(super) struct RunSettings {
    pub(super) start: Option<DateTime<Utc>>,
    pub(super) look_back: TimeDelta,
    pub(super) scope: Option<Arc<UserFilter>>,
}

impl RunSettings {
    pub(super) fn new(settings: &SyncSettings, table: &Table) -> Self {
        Self {
            start: settings.start,
            look_back: settings.look_back,
            scope: settings.scope(table),
        }
    }

    /// Returns a hash of the user's own filter; `None` without one.
    fn scope_hash(&self) -> Option<String> {
        let scope = self.scope.as_ref()?;
        let text = serde_json::to_string(&(&scope.own, &scope.related)).ok()?;
        Some(hash_name(&text))
    }
}

impl RunsState {
    /// Plans a backfill that sends everything again: to the tables of these names, or to all if there are none. The
    /// live readers continue concurrently.
    pub(super) fn refill(&mut self, tables: Vec<String>) {
        if tables.is_empty() {
            self.sent = SentFingerprints::default();
            self.queue.clear();
            self.backfill = Some(BackfillState::resending_all());
            return;
        }
        for table in &tables {
            self.leave_out(table);
        }
        let again = BackfillState {
            tables,
            ..BackfillState::resending_all()
        };
        self.queue.insert(0, again);
    }

    /// Adapts the state to the user's present settings.
    pub(super) fn adapt(&mut self, settings: &RunSettings) {
        self.say_what_is_unread();
        let scope = settings.scope_hash();
        if self.live.is_some() && scope != self.scope {
            self.refill(Vec::new());
            if let Some(live) = &mut self.live {
                // The next listings add the open runs that the new filter includes.
                live.leave_scope();
            }
        }
        self.scope = scope;
        if let Some(live) = &mut self.live
            && live.look_back() != settings.look_back
        {
            live.restart_rechecks(live.reached(), settings.look_back);
        }
    }

    /// Queues the unread range before the start date. States of an earlier version name the date only.
    fn say_what_is_unread(&mut self) {
        let Some(start) = self.start.filter(|_| self.queue.is_empty()) else {
            return;
        };
        if let Some(backfill) = &mut self.backfill {
            backfill.split_off(start);
        }
        self.queue.push(BackfillState {
            progress: BackfillProgress::Ranges(vec![UnreadRange {
                after: None,
                before: start - TimeDelta::microseconds(1),
                place: None,
            }]),
            ..BackfillState::default()
        });
    }
}
