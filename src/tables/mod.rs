//! Definitions of the tables: plain data, one file per Prefect collection.
//!
//! To add a table, write one file with one [`Table`] and list it in [`ALL`]; `docs/ADDING_A_TABLE.md` lists all steps.
//! Schema, setup tests, flattening, planning and the generated documents follow from the definition; the checks in
//! `tests.rs` apply to every table.

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
mod table;
mod task_run_dependencies;
mod task_runs;
mod variables;
mod work_pools;
mod work_queues;
mod workers;

use column::{CREATED, ID, LABELS, TAGS, UNMAPPED, UPDATED, WORKSPACE_ID};
pub use column::{Column, ColumnType, Reference, Source};
pub use diagram::diagram;
pub use listing::{details, json, summary};
pub use markdown::markdown;
pub use table::{
    Deletes, Events, Feed, Listing, LookUp, Nested, OptIn, PerParent, Second, Strategy, Table,
};

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

#[cfg(test)]
mod tests;
