//! The positions of a page's values in its text.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::layout::Layout;

/// The data that the rows of a page share.
#[derive(Debug)]
pub(super) struct PageBuffer {
    pub(super) layout: Arc<Layout>,
    pub(super) body: String,
    /// The spans of the values, one per slot and row.
    pub(super) spans: Vec<Span>,
    /// The values of the instants in the usual format, one per row and slot of an instant.
    pub(super) instants: Vec<Option<DateTime<Utc>>>,
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
#[derive(Debug, PartialEq)]
pub(super) struct RowHeader {
    pub(super) id: Id,
    /// True if a text of a column is written with an escape.
    pub(super) has_escapes: bool,
    /// True if each column's value is known to have the column's type, and no value is left for `unmapped`.
    pub(super) is_usual: bool,
    /// The end of the row's range in the extras.
    pub(super) extras_end: usize,
}

/// A row's key.
#[derive(Debug, PartialEq)]
pub(super) enum Id {
    /// The text between the quotes.
    Span(Span),
    /// The decoded text of a key that was written with escapes.
    Text(Box<str>),
}

/// A field without a column.
#[derive(Debug, PartialEq)]
pub(super) struct Extra {
    /// The index of the flattened object that contains the field; `None` at the top level.
    pub(super) object: Option<usize>,
    pub(super) name: Box<str>,
    pub(super) value: Span,
}

impl Span {
    pub(super) fn is_empty(self) -> bool {
        self.start == self.end
    }

    /// Returns the span without its first and last byte: the quotes of a text.
    pub(super) fn inner(self) -> Self {
        Self {
            start: self.start.saturating_add(1),
            end: self.end.saturating_sub(1),
        }
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

    /// The parsed instants of row `at`, by their numbers in the layout.
    pub(super) fn instants(&self, at: usize) -> &[Option<DateTime<Utc>>] {
        let instants = self.layout.instants;
        self.instants
            .get(at * instants..(at + 1) * instants)
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
