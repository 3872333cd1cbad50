//! How a table is read: pure state machines, one file each.

mod newest_first;
mod runs;
mod snapshot;

use chrono::{DateTime, Utc};

use super::state::ReaderState;
use crate::{
    prefect::{Collection, ListRequest},
    rows::Row,
    tables::{Strategy, Table},
};

pub(super) use newest_first::NewestFirstState;
pub(super) use runs::RunsState;
pub(super) use snapshot::SnapshotState;

/// The rows of a page, as a strategy sees them.
#[derive(Debug)]
pub(super) struct Rows {
    /// The rows, in the server's order; elements without a usable id are left out.
    pub(super) list: Vec<Row>,
    /// How many elements the page had with those.
    pub(super) objects: usize,
    /// How many were asked for.
    pub(super) limit: u32,
    /// The server's clock when it answered the first request of this sync.
    pub(super) now: DateTime<Utc>,
}

/// The reading of one table in one sync.
pub(super) trait Reader: Send {
    /// The next page wanted, of at most `limit` objects; `None` when the table is read.
    fn next(&self, limit: u32) -> Option<ListRequest>;

    /// Takes the answer to the last request; gives the rows to send.
    fn accept(&mut self, page: Rows) -> Vec<Row>;

    /// What stands for everything taken so far.
    fn state(&self) -> ReaderState;
}

/// Starts reading a table from where its state stands; a state of another strategy counts as none.
pub(super) fn start(table: &'static Table, state: Option<&ReaderState>) -> Box<dyn Reader> {
    match table.strategy {
        Strategy::Snapshot { sort } => Box::new(snapshot::Snapshot::new(
            table,
            sort,
            match state {
                Some(ReaderState::Snapshot(state)) => Some(state),
                _ => None,
            },
        )),
        Strategy::NewestFirst { sort } => Box::new(newest_first::NewestFirst::new(
            table,
            sort,
            match state {
                Some(ReaderState::NewestFirst(state)) => Some(state),
                _ => None,
            },
        )),
        Strategy::Runs => Box::new(runs::Runs::new(
            table,
            match state {
                Some(ReaderState::Runs(state)) => Some(state),
                _ => None,
            },
        )),
    }
}

fn collection(table: &Table) -> Collection {
    Collection(table.endpoint)
}

/// Where a table keeps a column that every table of its strategy has (the catalogue's checks).
fn position(table: &Table, name: &str) -> usize {
    table.position(name).unwrap_or(usize::MAX)
}
