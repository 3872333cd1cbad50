//! The descriptions of the connector's tables and columns, which the local run stores as comments in the warehouse.

use fivetran_runner::TableDescription;

use crate::tables::{self, Column};

/// Returns the descriptions of all tables.
pub(super) fn all() -> Vec<TableDescription> {
    let all = tables::ALL.iter();
    all.map(|table| TableDescription {
        table: table.name.to_owned(),
        description: table.doc.to_owned(),
        columns: table.columns.iter().map(column).collect(),
    })
    .collect()
}

fn column(column: &Column) -> (String, String) {
    (column.name.to_owned(), column.doc.to_owned())
}
