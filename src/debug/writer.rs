//! The thread that lands what the driver reads, so that reading goes on during a flush.

use tokio::sync::mpsc;

use super::{
    Error, Operations, TableOutcome,
    warehouse::{Stop, Store, Tables, Warehouse},
};
use crate::{clock::Clock, fivetran::proto::update_response::Operation};

/// What the writer is told.
pub(super) enum Input {
    Operation(Operation),
    /// Nothing has come for a while.
    Idle,
}

/// What the writer has done.
pub(super) struct Written {
    pub(super) operations: Operations,
    pub(super) tables: Vec<TableOutcome>,
    pub(super) notes: Vec<String>,
    /// What the warehouse did not take from the connector.
    pub(super) refused: Option<String>,
}

/// Lands operations until the sender is gone, then flushes; however the sync ended, what came
/// before is kept.
pub(super) fn write<S: Store>(
    mut warehouse: Warehouse<S>,
    tables: Tables,
    receiver: mpsc::Receiver<Input>,
    clock: &dyn Clock,
) -> Result<Written, Error> {
    let refused = match land(&mut warehouse, tables, receiver, clock) {
        Ok(()) => None,
        Err(Stop::Connector(why)) => Some(why),
        Err(Stop::Broken(error)) => return Err(error),
    };
    warehouse.flush()?;
    Ok(Written {
        operations: warehouse.operations(),
        tables: warehouse.landed()?,
        notes: warehouse.notes().map(str::to_owned).collect(),
        refused,
    })
}

fn land<S: Store>(
    warehouse: &mut Warehouse<S>,
    tables: Tables,
    mut receiver: mpsc::Receiver<Input>,
    clock: &dyn Clock,
) -> Result<(), Stop> {
    warehouse.declare(tables)?;
    while let Some(input) = receiver.blocking_recv() {
        match input {
            Input::Operation(operation) => warehouse.apply(operation, clock.now())?,
            Input::Idle => warehouse.flush_if_due(clock.now())?,
        }
    }
    Ok(())
}
