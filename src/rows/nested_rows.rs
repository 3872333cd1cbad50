//! Rows that are contained in the objects of another table.

use super::{Context, PageReader, Row, ValueRef};
use crate::tables::{Strategy, Table};

/// Extracts a table's rows from the rows of the table that contains them.
#[derive(Debug, Clone)]
pub struct NestedRows {
    reader: PageReader,
    /// The position of the containing table's column.
    column: usize,
    split: fn(&str, &str) -> Option<String>,
}

impl NestedRows {
    /// Creates an extractor for `table`. Returns `None` if the table's rows are not parts of other rows.
    pub fn new(table: &'static Table, context: &Context) -> Option<Self> {
        let Strategy::Nested(part) = table.strategy else {
            return None;
        };
        Some(Self {
            reader: PageReader::new(table, context),
            column: part.parent.position(part.column)?,
            split: part.split,
        })
    }

    /// Returns the rows inside `row`, or none if the column has an unexpected form. (The value stays in its own
    /// column.)
    pub fn extract(&self, row: &Row) -> Vec<Row> {
        let ValueRef::Json(json) = row.value(self.column) else {
            return Vec::new();
        };
        (self.split)(row.id(), json)
            .and_then(|list| self.reader.read(list).ok())
            .map_or_else(Vec::new, |page| page.rows)
    }
}
