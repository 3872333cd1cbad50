//! Conversion of a page's text into rows: read once, not copied. A row stores the positions of its values.
//!
//! ```text
//!  body   [{"id":"7f…","state":{"type":"COMPLETED",…},"tags":["a"],…}, {…}]
//!  spans        |----|                |---------|           |---|      one per slot and row
//! ```
//!
//! The pass also checks the types of the values. They are parsed on access; see [`Row`].

use std::sync::Arc;

use super::{
    context::{BadRow, Context},
    fast_scan,
    layout::Layout,
    page_buffer::PageBuffer,
    row::Row,
    scan::{self, Pass, Scan},
};
use crate::tables::Table;

/// Reads pages of one table.
#[derive(Debug, Clone)]
pub struct PageReader {
    layout: Arc<Layout>,
}

/// The objects of one response, in the server's order.
#[derive(Debug)]
pub struct ParsedPage {
    /// The objects that are rows.
    pub rows: Vec<Row>,
    /// The reasons why the other objects are not rows.
    pub bad: Vec<BadRow>,
}

impl PageReader {
    /// Creates a reader for pages of `table`.
    pub fn new(table: &'static Table, context: &Context) -> Self {
        Self {
            layout: Arc::new(Layout::new(table, context)),
        }
    }

    /// The table whose pages are read.
    pub fn table(&self) -> &'static Table {
        self.layout.table
    }

    /// Reads the body of a response. Anything but a JSON array is an error, never "no rows".
    pub fn read(&self, body: String) -> Result<ParsedPage, serde_json::Error> {
        let usual = fast_scan::page(Pass::new(&self.layout, &body, true));
        let found = match usual {
            Some(found) => found,
            None => scan::page(&self.layout, &body)?,
        };
        let Scan {
            spans,
            instants,
            heads,
            extras,
            bad,
        } = found;
        let rows = heads.len();
        let buffer = Arc::new(PageBuffer {
            layout: Arc::clone(&self.layout),
            body,
            spans,
            instants,
            heads,
            extras,
        });
        Ok(ParsedPage {
            rows: (0..rows).map(|at| Row::new(&buffer, at)).collect(),
            bad,
        })
    }
}

impl ParsedPage {
    /// The number of objects in the response.
    pub fn objects(&self) -> usize {
        self.rows.len() + self.bad.len()
    }
}

impl Row {
    /// Parses a row from one JSON object, for tests and tools.
    pub fn parse(table: &'static Table, object: &str, context: &Context) -> Option<Self> {
        let reader = PageReader::new(table, context);
        reader.read(format!("[{object}]")).ok()?.rows.pop()
    }
}
