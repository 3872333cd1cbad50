//! The thread that lands the messages read by the driver, so that reading continues during a flush.

use tokio::sync::mpsc;

use super::{
    Error, Operations, TableOutcome,
    choose::SyncTables,
    warehouse::{RunFailure, Store, Warehouse},
    wire::Operation,
};
use sync_clock::Clock;

/// The input of the writer.
pub(super) enum Input {
    Operation(Operation),
    /// No message has arrived for a while.
    Idle,
}

/// The result of the writer.
pub(super) struct Written {
    pub(super) operations: Operations,
    pub(super) tables: Vec<TableOutcome>,
    pub(super) notes: Vec<String>,
    /// The reason why the warehouse rejected an operation of the connector, if it did.
    pub(super) refused: Option<String>,
}

/// Lands operations until the sender is gone, then flushes, so that everything before the end of the sync is kept.
pub(super) fn write<S: Store>(
    mut warehouse: Warehouse<S>,
    tables: SyncTables,
    receiver: mpsc::Receiver<Input>,
    clock: &dyn Clock,
) -> Result<Written, Error> {
    let refused = match land(&mut warehouse, tables, receiver, clock) {
        Ok(()) => None,
        Err(RunFailure::Connector(why)) => Some(why),
        Err(RunFailure::Broken(error)) => return Err(error),
    };
    warehouse.flush()?;
    warehouse.write_comments();
    warehouse.store.finish();
    Ok(Written {
        operations: warehouse.operations(),
        tables: warehouse.landed()?,
        notes: warehouse.notes().map(str::to_owned).collect(),
        refused,
    })
}

fn land<S: Store>(
    warehouse: &mut Warehouse<S>,
    tables: SyncTables,
    mut receiver: mpsc::Receiver<Input>,
    clock: &dyn Clock,
) -> Result<(), RunFailure> {
    warehouse.declare(tables.selected)?;
    warehouse.know_unselected(tables.others);
    while let Some(input) = receiver.blocking_recv() {
        match input {
            Input::Operation(operation) => warehouse.apply(operation, clock.now())?,
            Input::Idle => warehouse.flush_if_due(clock.now())?,
        }
    }
    Ok(())
}
