//! How a table is read: pure state machines. State and answers in, requests, rows to send and new
//! state out; the time comes with the answers.

mod look_up;
mod newest_first;
mod runs;
mod snapshot;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::paging::{Sorted, by_time};
use crate::{
    prefect::{Collection, CountRequest, ListRequest},
    rows::Row,
    tables::{Strategy, Table},
};

pub(super) use newest_first::NewestFirstState;
pub(super) use runs::RunsState;
pub(super) use snapshot::SnapshotState;

/// Where a table's reading stands, in its strategy's own words.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ReaderState {
    Snapshot(SnapshotState),
    NewestFirst(NewestFirstState),
    Runs(Box<RunsState>),
}

/// What a strategy wants to know next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ask {
    /// A page.
    List(ListRequest),
    /// A number; not every server can tell it.
    Count(CountRequest),
}

/// What it is told.
#[derive(Debug)]
pub(super) enum Answer {
    /// The page.
    Page(Rows),
    /// The number; `None` when the server has no counts.
    Count(Option<u64>),
}

/// The rows of a page.
#[derive(Debug)]
pub(super) struct Rows {
    /// The rows, in the server's order; elements without a usable id are left out.
    pub(super) list: Vec<Row>,
    /// How many elements the page had with those.
    pub(super) objects: usize,
    /// How many were asked for.
    pub(super) limit: u32,
    /// The server's clock when it answered; never earlier than before.
    pub(super) now: DateTime<Utc>,
}

/// One thing to send.
#[derive(Debug, PartialEq)]
pub(super) enum Change {
    /// The row as it is now.
    Upsert(Row),
    /// The object with this id is gone.
    Delete(String),
    /// All rows sent before are gone, as far as they do not come again.
    Truncate,
}

/// What an answer leads to.
#[derive(Debug, Default)]
pub(super) struct Step {
    /// What to send, in order.
    pub(super) changes: Vec<Change>,
    /// Sentences for the user.
    pub(super) warnings: Vec<String>,
}

/// The reading of one table in one sync.
pub(super) trait Reader: Send {
    /// What to ask next, at most `limit` objects at once; `None` when the table is read.
    fn next(&mut self, limit: u32) -> Option<Ask>;

    /// Takes the answer to the last question.
    fn accept(&mut self, answer: Answer) -> Step;

    /// Learns that the server does not know a filter of the last question. Whether there is another
    /// way, which the next question takes.
    fn refused(&mut self) -> bool {
        false
    }

    /// What stands for everything accepted so far.
    fn state(&self) -> ReaderState;
}

/// Starts reading a table from where its state stands; a state of another strategy counts as none.
/// With `refill` columns were added: everything is sent once more.
pub(super) fn start(
    table: &'static Table,
    state: Option<&ReaderState>,
    refill: bool,
) -> Box<dyn Reader> {
    match (table.strategy, state) {
        (Strategy::Snapshot { sort }, Some(ReaderState::Snapshot(state))) => {
            Box::new(snapshot::Snapshot::resume(table, sort, state, refill))
        }
        (Strategy::Snapshot { sort }, _) => Box::new(snapshot::Snapshot::fresh(table, sort)),
        (Strategy::NewestFirst { sort }, Some(ReaderState::NewestFirst(state))) => Box::new(
            newest_first::NewestFirst::resume(table, sort, state, refill),
        ),
        (Strategy::NewestFirst { sort }, _) => {
            Box::new(newest_first::NewestFirst::fresh(table, sort))
        }
        (Strategy::Runs, Some(ReaderState::Runs(state))) => {
            Box::new(runs::Runs::resume(table, state, refill))
        }
        (Strategy::Runs, _) => Box::new(runs::Runs::fresh(table)),
    }
}

fn collection(table: &Table) -> Collection {
    Collection(table.endpoint)
}

/// Where a table keeps a column that every table of its strategy has (the catalogue's checks).
fn position(table: &Table, name: &str) -> usize {
    table.position(name).unwrap_or(usize::MAX)
}

/// Rows of a listing that is sorted by the instant in column `position`.
fn sorted(rows: &[Row], position: usize) -> Vec<Sorted<'_>> {
    rows.iter()
        .map(|row| by_time(row.id(), row.instant(position)))
        .collect()
}
