//! A row: a key and the positions of its values.
//!
//! A row is usual if all its values are known to have their columns' types: each value is then parsed on access. The
//! values of all other rows are parsed together, on first access, because one that does not fit changes another column.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    fmt,
    sync::{Arc, OnceLock},
};

use chrono::{DateTime, Utc};
use serde_json::value::RawValue;

use super::{
    cell::{Cell, push, text, unquoted},
    first_element::FirstElement,
    layout::{JsonPath, Slot, ValueSource},
    page_buffer::{PageBuffer, Span},
    value::{Misfit, Value, ValueRef, parse_instant},
};
use crate::tables::{ColumnType, Table};

/// A row of a table. It shares the text of its page with the page's other rows.
#[derive(Clone)]
pub struct Row {
    buffer: Arc<PageBuffer>,
    at: usize,
    cells: OnceLock<Cells>,
}

/// The parsed values of a row that is not usual.
#[derive(Debug, Clone, Default)]
struct Cells {
    /// One for each column of the table.
    list: Vec<Cell>,
    /// The fields that no column took, as one JSON object.
    unmapped: String,
    /// Columns whose value had another type; the value is in `unmapped`.
    misfits: Vec<&'static str>,
    /// Fields without a column; they are in `unmapped`.
    undeclared: Vec<String>,
}

impl Row {
    pub(super) fn new(buffer: &Arc<PageBuffer>, at: usize) -> Self {
        Self {
            buffer: Arc::clone(buffer),
            at,
            cells: OnceLock::new(),
        }
    }

    /// The table of the row.
    pub fn table(&self) -> &'static Table {
        self.buffer.layout.table
    }

    /// The row's key: its first column, the id.
    pub fn id(&self) -> &str {
        self.buffer.id(self.at)
    }

    /// Returns the instant in column `position`, or `None` if the value is null or not an instant.
    pub fn instant(&self, position: usize) -> Option<DateTime<Utc>> {
        let column = self.buffer.layout.columns.get(position)?;
        if let ValueSource::Slot(slot) = column.from
            && let Some(instant) = self.usual_instant(slot)
        {
            return Some(instant);
        }
        let text = self.text(position)?;
        parse_instant(&text)
    }

    /// Returns the instant in a slot if it is in the usual format.
    #[inline]
    fn usual_instant(&self, slot: Slot) -> Option<DateTime<Utc>> {
        let number = slot.instant()?;
        *self.buffer.instants(self.at).get(usize::from(number))?
    }

    /// Returns the text in column `position`, or `None` if the value is null or not a text.
    pub fn text(&self, position: usize) -> Option<Cow<'_, str>> {
        let column = self.buffer.layout.columns.get(position)?;
        let raw = self.buffer.text(self.first_span(&column.from)?);
        if self.has_escapes() {
            text(raw)
        } else {
            unquoted(raw).map(Cow::Borrowed)
        }
    }

    /// Returns the span of the first value that a column can have, apart from elements of lists.
    fn first_span(&self, from: &ValueSource) -> Option<Span> {
        let spans = self.buffer.spans(self.at);
        first_span(spans, from)
    }

    /// The values, one for each column of the table, in that order.
    pub fn values(&self) -> impl ExactSizeIterator<Item = ValueRef<'_>> {
        (0..self.buffer.layout.columns.len()).map(self.by_position())
    }

    /// The values by the columns' positions.
    #[inline]
    pub fn by_position<'a>(&'a self) -> impl Fn(usize) -> ValueRef<'a> {
        let spans = self.buffer.spans(self.at);
        let cells = (!self.is_usual()).then(|| self.cells());
        move |position| match cells {
            None => self.usual_value(spans, position).unwrap_or(ValueRef::Null),
            Some(cells) => match cells.list.get(position) {
                Some(cell) => self.borrow(cells, cell),
                None => ValueRef::Null,
            },
        }
    }

    /// The value of column `position`.
    pub fn value(&self, position: usize) -> ValueRef<'_> {
        self.by_position()(position)
    }

    /// Returns the value of a column in a usual row, or `None` for null. (The types are known to be right.)
    #[inline]
    fn usual_value<'a>(&'a self, spans: &[Span], position: usize) -> Option<ValueRef<'a>> {
        let buffer = &*self.buffer;
        let column = buffer.layout.columns.get(position)?;
        let span = match &column.from {
            ValueSource::Slot(slot) => {
                if slot.kind == ColumnType::UtcDatetime {
                    return self.usual_instant(*slot).map(ValueRef::UtcDatetime);
                }
                spans.get(slot.number()).filter(|span| !span.is_empty())?
            }
            ValueSource::Paths(_) => &first_span(spans, &column.from)?,
            ValueSource::Workspace => {
                return buffer.layout.workspace_id.as_deref().map(ValueRef::String);
            }
            ValueSource::Unmapped => return None,
        };
        Some(match column.kind {
            ColumnType::String => ValueRef::String(buffer.text(span.inner())),
            ColumnType::Json => ValueRef::Json(buffer.text(*span)),
            ColumnType::UtcDatetime => ValueRef::UtcDatetime(self.instant(position)?),
            ColumnType::Boolean => ValueRef::Boolean(buffer.text(*span) == "true"),
            ColumnType::Long => ValueRef::Long(buffer.text(*span).parse().ok()?),
            ColumnType::Double => ValueRef::Double(buffer.text(*span).parse().ok()?),
        })
    }

    /// Columns whose value had another type; the value is in `unmapped`.
    pub fn misfits(&self) -> &[&'static str] {
        if self.is_usual() {
            return &[];
        }
        &self.cells().misfits
    }

    /// Fields without a column; they are in `unmapped`.
    pub fn undeclared(&self) -> &[String] {
        if self.is_usual() {
            return &[];
        }
        &self.cells().undeclared
    }

    /// Returns the hashed name and the value of each column that counts in a fingerprint.
    pub(super) fn counted(&self) -> impl Iterator<Item = (u64, ValueRef<'_>)> {
        let columns = &self.buffer.layout.columns;
        columns
            .iter()
            .zip(self.values())
            .filter_map(|(column, value)| Some((column.hash?, value)))
    }

    #[inline]
    fn borrow<'a>(&'a self, cells: &'a Cells, cell: &'a Cell) -> ValueRef<'a> {
        match cell {
            Cell::Null => ValueRef::Null,
            Cell::String(span) => ValueRef::String(self.buffer.text(*span)),
            Cell::Owned(text) => ValueRef::String(text),
            Cell::True => ValueRef::Boolean(true),
            Cell::False => ValueRef::Boolean(false),
            Cell::Long(number) => ValueRef::Long(*number),
            Cell::Double(number) => ValueRef::Double(*number),
            Cell::UtcDatetime(instant) => ValueRef::UtcDatetime(*instant),
            Cell::Json(span) => ValueRef::Json(self.buffer.text(*span)),
            Cell::Unmapped if cells.unmapped.is_empty() => ValueRef::Null,
            Cell::Unmapped => ValueRef::Json(&cells.unmapped),
            Cell::Part(value) => value.as_ref().into(),
        }
    }

    fn is_usual(&self) -> bool {
        let header = self.buffer.heads.get(self.at);
        header.is_some_and(|header| header.is_usual)
    }

    fn has_escapes(&self) -> bool {
        let header = self.buffer.heads.get(self.at);
        header.is_none_or(|header| header.has_escapes)
    }

    fn cells(&self) -> &Cells {
        self.cells.get_or_init(|| self.look())
    }

    /// Parses all values.
    fn look(&self) -> Cells {
        let layout = &self.buffer.layout;
        let mut cells = Cells {
            list: Vec::with_capacity(layout.columns.len()),
            ..Cells::default()
        };
        let mut claimed = Claimed::default();
        let mut firsts = Firsts::default();
        for (column, declared) in layout.columns.iter().zip(layout.table.columns) {
            let list = &mut cells.list;
            let taken = match &column.from {
                ValueSource::Slot(slot) => self.take_slot(column.kind, *slot, &mut claimed, list),
                ValueSource::Paths(paths) => {
                    self.take_value(column.kind, paths, &mut claimed, &mut firsts, list)
                }
                ValueSource::Workspace => {
                    list.push(match &layout.workspace_id {
                        Some(id) => Cell::Owned(Box::new(id.as_str().into())),
                        None => Cell::Null,
                    });
                    Ok(())
                }
                ValueSource::Unmapped => {
                    list.push(Cell::Unmapped);
                    Ok(())
                }
            };
            if taken.is_err() {
                cells.misfits.push(declared.name);
                cells.list.push(Cell::Null);
            }
        }
        self.keep_the_rest(claimed, &mut cells);
        cells
    }

    /// Appends the value of a slot and marks the slot as claimed.
    fn take_slot(
        &self,
        kind: ColumnType,
        slot: Slot,
        claimed: &mut Claimed,
        cells: &mut Vec<Cell>,
    ) -> Result<(), Misfit> {
        let span = self.buffer.spans(self.at)[slot.number()];
        if span.is_empty() {
            cells.push(Cell::Null);
            return Ok(());
        }
        if let Some(instant) = self.usual_instant(slot) {
            cells.push(Cell::UtcDatetime(instant));
            claimed.add(slot.number());
            return Ok(());
        }
        let raw = (self.buffer.text(span), self.has_escapes());
        push(kind, raw, span, cells)?;
        claimed.add(slot.number());
        Ok(())
    }

    /// Appends the value at the first of `paths` that has one. Marks that path, and every other path with the
    /// same text, as claimed.
    fn take_value<'a>(
        &'a self,
        kind: ColumnType,
        paths: &[JsonPath],
        claimed: &mut Claimed,
        firsts: &mut Firsts<'a>,
        cells: &mut Vec<Cell>,
    ) -> Result<(), Misfit> {
        let spans = self.buffer.spans(self.at);
        let mut found: Option<(Span, &str)> = None;
        let mut taken = *claimed;
        for path in paths {
            match *path {
                JsonPath::Slot(slot) if spans[slot.number()].is_empty() => {}
                JsonPath::Slot(slot) => {
                    let slot = slot.number();
                    let raw = self.buffer.text(spans[slot]);
                    match found {
                        None => {
                            taken.add(slot);
                            found = Some((spans[slot], raw));
                        }
                        Some((_, first)) if first == raw => taken.add(slot),
                        Some(_) => {}
                    }
                }
                JsonPath::FirstElement(list, field) if found.is_none() => {
                    let raw = firsts.field(list, self.buffer.text(spans[list]), field);
                    if let Some(raw) = raw {
                        let value = Value::from_json(kind, raw)?;
                        cells.push(Cell::Part(Box::new(value)));
                        return Ok(());
                    }
                }
                JsonPath::FirstElement(..) => {}
            }
        }
        let Some((span, raw)) = found else {
            cells.push(Cell::Null);
            return Ok(());
        };
        push(kind, (raw, self.has_escapes()), span, cells)?;
        *claimed = taken;
        Ok(())
    }

    /// Puts the fields that no column took into `unmapped`.
    fn keep_the_rest(&self, claimed: Claimed, cells: &mut Cells) {
        let spans = self.buffer.spans(self.at);
        let extras = self.buffer.extras(self.at);
        // Only non-empty spans are claimed.
        let held = spans.iter().filter(|span| !span.is_empty()).count();
        if held == claimed.count() && extras.is_empty() {
            return;
        }
        let is_left = |(slot, span): &(usize, &Span)| !span.is_empty() && !claimed.has(*slot);
        let mut left: BTreeMap<&str, Left<'_>> = BTreeMap::new();
        for (slot, span) in spans.iter().enumerate().filter(is_left) {
            let (object, name) = self.buffer.layout.name(slot);
            self.leave(&mut left, object, name, *span);
        }
        let mut last: BTreeMap<(Option<&'static str>, &str), Span> = BTreeMap::new();
        for extra in extras {
            let object = extra
                .object
                .map(|index| self.buffer.layout.objects[index].name);
            last.insert((object, &extra.name), extra.value);
        }
        for ((object, name), span) in last {
            if !span.is_empty() {
                self.leave(&mut left, object, name, span);
                cells.undeclared.push(match object {
                    Some(object) => format!("{object}.{name}"),
                    None => name.to_owned(),
                });
            }
        }
        cells.undeclared.sort_unstable();
        if !left.is_empty() {
            cells.unmapped = serde_json::to_string(&left).unwrap_or_default();
        }
    }

    fn leave<'a>(
        &'a self,
        left: &mut BTreeMap<&'a str, Left<'a>>,
        object: Option<&'a str>,
        name: &'a str,
        span: Span,
    ) {
        // The span holds a JSON value of the page.
        let Ok(raw) = serde_json::from_str(self.buffer.text(span)) else {
            return;
        };
        let Some(object) = object else {
            left.insert(name, Left::All(raw));
            return;
        };
        if let Left::Some(inner) = left
            .entry(object)
            .or_insert_with(|| Left::Some(BTreeMap::new()))
        {
            inner.insert(name, raw);
        }
    }
}

/// Returns the span of the first value that a column can have, apart from elements of lists.
fn first_span(spans: &[Span], from: &ValueSource) -> Option<Span> {
    let span = |slot: &Slot| {
        spans
            .get(slot.number())
            .copied()
            .filter(|span| !span.is_empty())
    };
    match from {
        ValueSource::Slot(slot) => span(slot),
        ValueSource::Paths(paths) => paths.iter().find_map(|path| match path {
            JsonPath::Slot(slot) => span(slot),
            JsonPath::FirstElement(..) => None,
        }),
        ValueSource::Workspace | ValueSource::Unmapped => None,
    }
}

/// The unclaimed part of a field: the whole field, or some fields of a flattened object.
#[derive(serde::Serialize)]
#[serde(untagged)]
enum Left<'a> {
    All(&'a RawValue),
    Some(BTreeMap<&'a str, &'a RawValue>),
}

/// The set of slots whose value a column took, one bit per slot.
#[derive(Debug, Clone, Copy, Default)]
struct Claimed(u128);

impl Claimed {
    fn add(&mut self, slot: usize) {
        self.0 |= 1 << slot;
    }

    fn count(self) -> usize {
        self.0.count_ones() as usize
    }

    fn has(self, slot: usize) -> bool {
        self.0 >> slot & 1 == 1
    }
}

/// Compares the tables and values of two rows, regardless of their positions in the pages.
impl PartialEq for Row {
    fn eq(&self, other: &Self) -> bool {
        self.table().name == other.table().name && self.values().eq(other.values())
    }
}

/// Prints the table and the key, never the values.
impl fmt::Debug for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.table().name, self.id())
    }
}

/// The first elements of lists, by the list's slot.
#[derive(Default)]
struct Firsts<'a>(Vec<(usize, FirstElement<'a>)>);

impl<'a> Firsts<'a> {
    /// Returns a field of the first element of the list in `slot`. Returns `None` if the field is missing or null.
    fn field(&mut self, slot: usize, list: &'a str, field: &str) -> Option<&'a str> {
        let known = self.0.iter().position(|(of, _)| *of == slot);
        let at = known.unwrap_or_else(|| {
            self.0.push((slot, FirstElement::read(list)));
            self.0.len() - 1
        });
        self.0[at].1.field(field)
    }
}
