//! Task runs: their states change like those of flow runs, and they are deleted with their flow run.

mod changes;
pub mod model;
pub mod query;
mod schema;
mod view;
pub(super) mod writes;

pub use self::model::{NewTaskRun, TaskRun};
