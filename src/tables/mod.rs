//! Definitions of the tables: plain data, one file per Prefect collection.
//!
//! To add a table, write one file with one [`Table`] and list it in [`ALL`]. Schema, setup tests, flattening,
//! planning and the generated `docs/TABLES.md` follow from the definition; the checks in `tests.rs` apply to every
//! table.

mod artifacts;
mod automations;
mod block_documents;
mod block_schemas;
mod block_types;
mod column;
mod concurrency_limits;
mod deployment_schedules;
mod deployments;
mod diagram;
mod events;
mod flow_run_state_history;
mod flow_runs;
mod flows;
mod global_concurrency_limits;
mod listing;
mod logs;
mod markdown;
mod run_columns;
mod server_info;
mod strategy;
mod task_run_dependencies;
mod task_runs;
mod variables;
mod work_pools;
mod work_queues;
mod workers;

use column::{CREATED, ID, LABELS, TAGS, UNMAPPED, UPDATED, WORKSPACE_ID};
pub use column::{Column, ColumnType, Reference, Source};
pub use diagram::diagram;
pub use listing::{json, summary};
pub use markdown::markdown;
pub use strategy::{Events, Feed, Listing, LookUp, Part, PerParent, Second, Strategy};

/// Every table, in the order in which a sync reads them.
pub static ALL: &[&Table] = &[
    &flows::TABLE,
    &deployments::TABLE,
    &deployment_schedules::TABLE,
    &work_pools::TABLE,
    &work_queues::TABLE,
    &workers::TABLE,
    &flow_runs::TABLE,
    &task_runs::TABLE,
    &task_run_dependencies::TABLE,
    &artifacts::TABLE,
    &variables::TABLE,
    &automations::TABLE,
    &concurrency_limits::TABLE,
    &global_concurrency_limits::TABLE,
    &block_types::TABLE,
    &block_schemas::TABLE,
    &block_documents::TABLE,
    &server_info::TABLE,
    &flow_run_state_history::TABLE,
    &events::TABLE,
    &logs::TABLE,
];

/// The table called `name`.
pub fn find(name: &str) -> Option<&'static Table> {
    ALL.iter().copied().find(|table| table.name == name)
}

/// One table of the warehouse and the Prefect collection it comes from.
#[derive(Debug)]
pub struct Table {
    /// The table's name in the warehouse: Prefect's own name of the collection.
    pub name: &'static str,
    /// A description of a row, in one sentence for users.
    pub doc: &'static str,
    /// The collection's path below the API's root, such as `/flow_runs`.
    pub endpoint: &'static str,
    /// The way in which changes are found.
    pub strategy: Strategy,
    /// All columns; the first is the key.
    pub columns: &'static [Column],
    /// Fields that are not kept anywhere: secrets, and data that another table has.
    pub left_out: &'static [&'static str],
    /// The option of the setup form that includes the table; `None` if the table is always included.
    pub choice: Option<OptIn>,
    /// The releases that have the table, such as `3.x`; empty for all releases.
    pub releases: &'static str,
    /// One object per supported server generation, as the server sends it, newest first. The checks and the
    /// documentation use them.
    pub samples: &'static [&'static str],
}

/// The option for a table that is read only if chosen, because it costs many requests and rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OptIn {
    /// The field of the setup form.
    pub field: &'static str,
    /// The label that the user sees above the field.
    pub label: &'static str,
    /// The cost of the table, in requests and rows.
    pub cost: &'static str,
}

impl Table {
    /// The values that most tables have in common.
    const DEFAULT: Self = Self {
        name: "",
        doc: "",
        endpoint: "",
        strategy: Strategy::Server,
        columns: &[],
        left_out: &[],
        choice: None,
        releases: "",
        samples: &[],
    };

    /// The position of the column called `name`.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name == name)
    }

    /// The table whose objects hold the rows: the table itself, unless its rows are parts of others.
    pub fn source(&'static self) -> &'static Self {
        match self.strategy {
            Strategy::Part(part) => part.of,
            _ => self,
        }
    }
}

#[cfg(test)]
mod tests;
