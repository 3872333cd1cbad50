//! A value of a row that has been looked at: typed, and where it can be still a place in the page.

use std::borrow::Cow;

use chrono::{DateTime, Utc};

use super::{
    page::Span,
    value::{Misfit, Value, parse_instant},
};
use crate::tables::Kind;

/// A value that has been looked at. No payload stands in the first four bytes, where the tag is: cells would be
/// copied in pieces that overlap, which is slow.
#[derive(Debug, Clone)]
pub(super) enum Cell {
    Null,
    /// The text between the quotes.
    String(Span),
    /// A text that was written with escapes, and the like. (Boxed twice: a cell has 16 bytes.)
    Owned(Box<Box<str>>),
    True,
    False,
    Long(i64),
    Double(f64),
    UtcDatetime(DateTime<Utc>),
    Json(Span),
    Unmapped,
    /// A value of a list's element.
    Part(Box<Value>),
}

/// Appends a JSON value that is not null; [`Value::from_json`] says how it is read. (Cells are written where they
/// stay: to hand them on costs more than to read most of them.)
pub(super) fn push(kind: Kind, raw: &str, span: Span, cells: &mut Vec<Cell>) -> Result<(), Misfit> {
    match kind {
        Kind::String => match text(raw).ok_or(Misfit)? {
            Cow::Borrowed(_) => cells.push(Cell::String(Span {
                start: span.start + 1,
                end: span.end - 1,
            })),
            Cow::Owned(text) => cells.push(Cell::Owned(Box::new(text.into()))),
        },
        Kind::Json => cells.push(Cell::Json(span)),
        Kind::UtcDatetime => {
            let instant = text(raw).and_then(|text| parse_instant(&text));
            cells.push(Cell::UtcDatetime(instant.ok_or(Misfit)?));
        }
        Kind::Boolean => cells.push(match raw {
            "true" => Cell::True,
            "false" => Cell::False,
            _ => return Err(Misfit),
        }),
        // A JSON number is one of Rust's too; what is not digits alone is a fraction or none.
        Kind::Long => match raw.parse() {
            Ok(number) if raw != "-0" => cells.push(Cell::Long(number)),
            _ => return Err(Misfit),
        },
        Kind::Double if !raw.starts_with(|first: char| first == '-' || first.is_ascii_digit()) => {
            return Err(Misfit);
        }
        Kind::Double => match raw.parse::<f64>() {
            Ok(number) if number.is_finite() => cells.push(Cell::Double(number)),
            _ => return Err(Misfit),
        },
    }
    Ok(())
}

/// The text of a JSON string, borrowed where it has no escapes.
pub(super) fn text(raw: &str) -> Option<Cow<'_, str>> {
    let inner = raw.strip_prefix('"')?.strip_suffix('"')?;
    if inner.contains('\\') {
        serde_json::from_str(raw).ok().map(Cow::Owned)
    } else {
        Some(Cow::Borrowed(inner))
    }
}
