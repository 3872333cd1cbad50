//! Rows that stand inside the objects of another table.

use super::{Context, PageReader, Row, ValueRef};
use crate::tables::{Strategy, Table};

/// Takes a table's rows out of the rows of the table that holds them.
#[derive(Debug, Clone)]
pub struct Parts {
    reader: PageReader,
    /// The holding table's column.
    column: usize,
    split: fn(&str, &str) -> Option<String>,
}

impl Parts {
    /// For `table`; `None` when its rows are not parts of others.
    pub fn new(table: &'static Table, context: &Context) -> Option<Self> {
        let Strategy::Part(part) = table.strategy else {
            return None;
        };
        Some(Self {
            reader: PageReader::new(table, context),
            column: part.of.position(part.column)?,
            split: part.split,
        })
    }

    /// The rows inside `row`; none where it does not hold what was expected. (What it holds stays in its
    /// own column.)
    pub fn of(&self, row: &Row) -> Vec<Row> {
        let ValueRef::Json(json) = row.value(self.column) else {
            return Vec::new();
        };
        (self.split)(row.id(), json)
            .and_then(|list| self.reader.read(list).ok())
            .map_or_else(Vec::new, |page| page.rows)
    }
}
