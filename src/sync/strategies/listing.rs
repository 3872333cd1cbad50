//! Facts about the listing of a table, and about its rows.

use crate::{
    messages,
    prefect::Collection,
    rows::Row,
    sync::offset::{Sorted, by_time},
    tables::{self, Strategy, Table},
};

/// Returns the sort of a complete listing of a table, and the column by which it is sorted.
pub(super) fn full_listing(table: &Table) -> (Option<&'static str>, &'static str) {
    match table.strategy {
        Strategy::Snapshot(tables::Listing { sort, order, .. }) => (sort, order),
        Strategy::NewestFirst { .. } => (Some("CREATED_DESC"), "created"),
        Strategy::Runs => (Some("ID_DESC"), "id"),
        Strategy::AppendOnly(_) | Strategy::Nested(_) | Strategy::Server => (None, "id"),
    }
}

pub(super) fn collection(table: &Table) -> Collection {
    Collection(table.endpoint)
}

/// Returns the position of a column that every table of its strategy has, as the checks of the tables ensure.
pub(super) fn position(table: &Table, name: &str) -> usize {
    table.position(name).unwrap_or(usize::MAX)
}

/// Returns the sort keys of rows whose listing is sorted by the instant in column `position`.
pub(super) fn sorted(rows: &[Row], position: usize) -> Vec<Sorted<'_>> {
    rows.iter()
        .map(|row| by_time(row.id(), row.instant(position)))
        .collect()
}

/// Returns the warning about unreadable objects of a table, if there are any.
pub(super) fn unreadable_remark(table: &Table, objects: u64) -> Option<String> {
    (objects > 0).then(|| {
        messages::BAD_OBJECTS.format(format_args!(
            "table {}: {objects} object(s) were skipped: the server fails (500) on each page that contains them; each sync tries them again",
            table.name
        ))
    })
}
