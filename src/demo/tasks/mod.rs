//! Task runs: they live like flow runs, and go with the flow run that they are part of.

mod changes;
pub mod model;
pub mod query;
mod schema;
mod view;
pub(super) mod writes;

pub use self::model::{NewTaskRun, TaskRun};
