//! A parsed value of a row. Where possible, a cell is still a position in the page.

use std::borrow::Cow;

use chrono::{DateTime, Utc};

use super::{
    page_buffer::Span,
    value::{Misfit, Value, parse_instant},
};
use crate::tables::ColumnType;

/// A parsed value. No payload occupies the first four bytes, where the tag is: otherwise cells would be copied in
/// overlapping pieces, which is slow.
#[derive(Debug, Clone)]
pub(super) enum Cell {
    Null,
    /// The text between the quotes.
    String(Span),
    /// A text that was written with escapes, or the workspace id. (Boxed twice: a cell has 16 bytes.)
    Owned(Box<Box<str>>),
    True,
    False,
    Long(i64),
    Double(f64),
    UtcDatetime(DateTime<Utc>),
    Json(Span),
    Unmapped,
    /// A value from the first element of a list.
    Part(Box<Value>),
}

/// Appends a JSON value that is not null, parsed like [`Value::from_json`]. `has_escapes` is false if no text of the row
/// is written with an escape. (Cells are written in place, because returning them costs more than parsing most of them.)
pub(super) fn push(
    kind: ColumnType,
    (raw, has_escapes): (&str, bool),
    span: Span,
    cells: &mut Vec<Cell>,
) -> Result<(), Misfit> {
    let text = |raw| {
        if has_escapes {
            text(raw)
        } else {
            unquoted(raw).map(Cow::Borrowed)
        }
    };
    match kind {
        ColumnType::String => match text(raw).ok_or(Misfit)? {
            Cow::Borrowed(_) => cells.push(Cell::String(Span {
                start: span.start + 1,
                end: span.end - 1,
            })),
            Cow::Owned(text) => cells.push(Cell::Owned(Box::new(text.into()))),
        },
        ColumnType::Json => cells.push(Cell::Json(span)),
        ColumnType::UtcDatetime => {
            let instant = text(raw).and_then(|text| parse_instant(&text));
            cells.push(Cell::UtcDatetime(instant.ok_or(Misfit)?));
        }
        ColumnType::Boolean => cells.push(match raw {
            "true" => Cell::True,
            "false" => Cell::False,
            _ => return Err(Misfit),
        }),
        // Every JSON integer parses as a Rust integer, unless it is too large; other text is a fraction or not a
        // number.
        ColumnType::Long => match raw.parse() {
            Ok(number) if raw != "-0" => cells.push(Cell::Long(number)),
            _ => return Err(Misfit),
        },
        ColumnType::Double
            if !raw.starts_with(|first: char| first == '-' || first.is_ascii_digit()) =>
        {
            return Err(Misfit);
        }
        ColumnType::Double => match raw.parse::<f64>() {
            Ok(number) if number.is_finite() => cells.push(Cell::Double(number)),
            _ => return Err(Misfit),
        },
    }
    Ok(())
}

/// Returns the text of a JSON string, borrowed if it has no escapes.
pub(super) fn text(raw: &str) -> Option<Cow<'_, str>> {
    let inner = unquoted(raw)?;
    if inner.contains('\\') {
        serde_json::from_str(raw).ok().map(Cow::Owned)
    } else {
        Some(Cow::Borrowed(inner))
    }
}

/// Returns the text between the quotes of a JSON string.
pub(super) fn unquoted(raw: &str) -> Option<&str> {
    raw.strip_prefix('"')?.strip_suffix('"')
}
