//! The settings of a connection, and the changes that its user makes.

use std::{collections::BTreeMap, sync::Arc};

use chrono::TimeDelta;
use fivetran_source::{
    prefect::UserFilter,
    sync::{SelectedTable, Selection, SyncSettings},
    tables::{self, Table},
};
use prefect_fake::model::Time;
use rand::{Rng, rngs::SmallRng, seq::IndexedRandom};
use serde_json::{Value, json};

use super::life::SCOPES;

/// The settings of a connection.
#[derive(Clone)]
pub(super) struct Settings {
    /// Every table with its columns, and true if the table is selected.
    pub(super) tables: Vec<(SelectedTable, bool)>,
    pub(super) start: Option<Time>,
    pub(super) look_back: TimeDelta,
    pub(super) include_scheduled: bool,
    /// The tag by which runs are filtered.
    pub(super) scope: Option<&'static str>,
    pub(super) page_size: u32,
}

/// A change of the settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Changed {
    Table(&'static str),
    Column(&'static str),
    Start,
    LookBack,
    Scheduled,
    Filter,
    PageSize,
}

/// The changes that a history may make.
#[expect(clippy::struct_excessive_bools, reason = "each is one kind of change")]
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Allowed {
    pub(super) tables: bool,
    pub(super) columns: bool,
    pub(super) start: bool,
    pub(super) look_back: bool,
    pub(super) scheduled: bool,
    pub(super) filter: bool,
}

impl Settings {
    pub(super) fn random(rng: &mut SmallRng) -> Self {
        let most = rng.random_bool(0.5);
        Self {
            tables: tables::ALL
                .iter()
                .map(|table| (SelectedTable::all(table), most || rng.random_bool(0.6)))
                .collect(),
            page_size: *[3, 5, 7, 11, 20, 50, 200].choose(rng).expect("some"),
            ..Self::default()
        }
    }

    /// Returns the selected tables for the engine.
    pub(super) fn selection(&self) -> Selection {
        let selected = self.tables.iter().filter(|(_, selected)| *selected);
        Selection {
            tables: selected.map(|(table, _)| table.clone()).collect(),
        }
    }

    pub(super) fn sync_settings(&self) -> SyncSettings {
        let mut scopes = BTreeMap::new();
        for table in ["flow_runs", "task_runs"] {
            if let Some(scope) = self.scope_of(table) {
                let own = scope.as_object().expect("an object").clone();
                let scope = UserFilter {
                    own,
                    ..UserFilter::default()
                };
                scopes.insert(table, Arc::new(scope));
            }
        }
        SyncSettings {
            start: self.start,
            look_back: self.look_back,
            include_scheduled: self.include_scheduled,
            scopes,
            ..SyncSettings::default()
        }
    }

    /// Returns the user's filter for the objects of a table.
    pub(super) fn scope_of(&self, table: &str) -> Option<Value> {
        let tag = self
            .scope
            .filter(|_| ["flow_runs", "task_runs", "task_run_dependencies"].contains(&table))?;
        Some(json!({ "tags": { "all_": [tag] } }))
    }

    pub(super) fn selected(&self, table: &str) -> Option<&SelectedTable> {
        let mut tables = self.tables.iter().filter(|(_, selected)| *selected);
        tables
            .find(|(it, _)| it.table.name == table)
            .map(|(it, _)| it)
    }

    /// Selects everything and filters nothing; the page size stays.
    pub(super) fn widen(&mut self) {
        *self = Self {
            page_size: self.page_size,
            ..Self::default()
        };
    }

    /// Makes a random change that is allowed, and returns it.
    pub(super) fn change(
        &mut self,
        rng: &mut SmallRng,
        allowed: Allowed,
        now: Time,
    ) -> Option<Changed> {
        match rng.random_range(0..12) {
            0..=3 if allowed.tables => {
                let name = pick_table(rng).name;
                self.toggle(name)
            }
            4 | 5 if allowed.columns => {
                let name = pick_table(rng).name;
                let (table, _) = self
                    .tables
                    .iter_mut()
                    .find(|(it, _)| it.table.name == name)?;
                // Never the key, which is the first column.
                let at = rng.random_range(1..table.columns.len());
                table.columns[at] = !table.columns[at];
                Some(Changed::Column(name))
            }
            6 | 7 if allowed.start => {
                let days = *[1, 3, 10, 25, 60].choose(rng)?;
                self.start = rng
                    .random_bool(0.7)
                    .then(|| now - TimeDelta::days(days) - TimeDelta::seconds(1));
                Some(Changed::Start)
            }
            8 if allowed.look_back => {
                self.look_back = TimeDelta::days(*[1, 7, 30, 60].choose(rng)?);
                Some(Changed::LookBack)
            }
            9 if allowed.scheduled => {
                self.include_scheduled = !self.include_scheduled;
                Some(Changed::Scheduled)
            }
            10 if allowed.filter => {
                let next = match self.scope {
                    Some(_) if rng.random_bool(0.6) => None,
                    _ => Some(*SCOPES.choose(rng)?),
                };
                let is_new = self.scope != next;
                self.scope = next;
                is_new.then_some(Changed::Filter)
            }
            11 => {
                self.page_size = *[3, 5, 7, 11, 20, 50, 200].choose(rng)?;
                Some(Changed::PageSize)
            }
            _ => None,
        }
    }

    /// Deselects a table, unless it is the last one, or selects it again.
    fn toggle(&mut self, name: &'static str) -> Option<Changed> {
        let selected = self.tables.iter().filter(|(_, selected)| *selected).count();
        let (_, is_selected) = self
            .tables
            .iter_mut()
            .find(|(it, _)| it.table.name == name)?;
        if *is_selected && selected == 1 {
            return None;
        }
        *is_selected = !*is_selected;
        Some(Changed::Table(name))
    }
}

/// Picks a table. Runs and tables that share a listing are picked more often than others.
fn pick_table(rng: &mut SmallRng) -> &'static Table {
    const OFTEN: [&str; 5] = [
        "task_runs",
        "task_run_dependencies",
        "deployments",
        "deployment_schedules",
        "flow_runs",
    ];
    if rng.random_bool(0.5) {
        tables::find(OFTEN.choose(rng).expect("some")).expect("a table")
    } else {
        tables::ALL.choose(rng).expect("some")
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            tables: tables::ALL
                .iter()
                .map(|table| (SelectedTable::all(table), true))
                .collect(),
            start: None,
            look_back: TimeDelta::days(30),
            include_scheduled: true,
            scope: None,
            page_size: 20,
        }
    }
}
