//! Conversion of a page's text into rows: read once, not copied. A row stores the positions of its values.
//!
//! ```text
//!  body   [{"id":"7f…","state":{"type":"COMPLETED",…},"tags":["a"],…}, {…}]
//!  spans        |----|                |---------|           |---|      one per slot and row
//! ```
//!
//! Values are parsed on first access; see [`Row`].

use std::sync::Arc;

use super::{
    BadRow, Context, Row,
    layout::Layout,
    scan::{self, Scan},
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

/// The data that the rows of a page share.
#[derive(Debug)]
pub(super) struct PageBuffer {
    pub(super) layout: Arc<Layout>,
    pub(super) body: String,
    /// The spans of the values, one per slot and row.
    pub(super) spans: Vec<Span>,
    pub(super) heads: Vec<RowHeader>,
    /// The fields without a column, row after row.
    pub(super) extras: Vec<Extra>,
}

/// A range of the body, in bytes; an empty range means no value, or null.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) start: u32,
    pub(super) end: u32,
}

/// The data of a row that is known before its values are parsed.
#[derive(Debug)]
pub(super) struct RowHeader {
    pub(super) id: Id,
    /// The end of the row's range in the extras.
    pub(super) extras_end: usize,
}

/// A row's key.
#[derive(Debug)]
pub(super) enum Id {
    /// The text between the quotes.
    Span(Span),
    /// The decoded text of a key that was written with escapes.
    Text(Box<str>),
}

/// A field without a column.
#[derive(Debug)]
pub(super) struct Extra {
    /// The index of the flattened object that contains the field; `None` at the top level.
    pub(super) object: Option<usize>,
    pub(super) name: Box<str>,
    pub(super) value: Span,
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
        let Scan {
            spans,
            heads,
            extras,
            bad,
        } = scan::page(&self.layout, &body)?;
        let rows = heads.len();
        let sheet = Arc::new(PageBuffer {
            layout: Arc::clone(&self.layout),
            body,
            spans,
            heads,
            extras,
        });
        Ok(ParsedPage {
            rows: (0..rows).map(|at| Row::new(&sheet, at)).collect(),
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

impl Span {
    pub(super) fn is_empty(self) -> bool {
        self.start == self.end
    }
}

impl PageBuffer {
    /// The text of a span.
    pub(super) fn text(&self, span: Span) -> &str {
        // Always in bounds: spans begin and end at the bounds of JSON values.
        self.body
            .get(span.start as usize..span.end as usize)
            .unwrap_or_default()
    }

    /// The spans of row `at`.
    pub(super) fn spans(&self, at: usize) -> &[Span] {
        let slots = self.layout.slots;
        self.spans
            .get(at * slots..(at + 1) * slots)
            .unwrap_or_default()
    }

    /// The fields of row `at` that have no column.
    pub(super) fn extras(&self, at: usize) -> &[Extra] {
        let start = match at {
            0 => 0,
            _ => self.heads[at - 1].extras_end,
        };
        &self.extras[start..self.heads[at].extras_end]
    }

    pub(super) fn id(&self, at: usize) -> &str {
        match &self.heads[at].id {
            Id::Span(span) => self.text(*span),
            Id::Text(text) => text,
        }
    }
}
