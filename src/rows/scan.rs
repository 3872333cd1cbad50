//! A pass over a page's text that locates each value. It reads the pages that [`fast_scan`](super::fast_scan) leaves.
//!
//! Servers write the fields of their objects in one order, so the next field is predicted from the previous
//! object; a wrong prediction costs a look-up.

use std::{borrow::Cow, fmt};

use chrono::{DateTime, Utc};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use super::{
    cell::unquoted,
    context::BadRow,
    layout::{Field, Layout, Slot},
    page_buffer::{Extra, Id, RowHeader, Span},
    value::usual_instant,
};
use crate::tables::ColumnType;

/// The result of a pass.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Scan {
    pub(super) spans: Vec<Span>,
    pub(super) instants: Vec<Option<DateTime<Utc>>>,
    pub(super) heads: Vec<RowHeader>,
    pub(super) extras: Vec<Extra>,
    pub(super) bad: Vec<BadRow>,
}

/// Scans a page of any shape.
pub(super) fn page(layout: &Layout, body: &str) -> Result<Scan, serde_json::Error> {
    if u32::try_from(body.len()).is_err() {
        return Err(serde_json::Error::custom("too large"));
    }
    let mut pass = Pass::new(layout, body, true);
    let mut result = pass.run();
    if result.is_err() {
        pass = Pass::new(layout, body, false);
        result = pass.run();
    }
    result.map(|()| pass.found)
}

/// The pass over one page: what is found so far, and the expected order of the fields.
pub(super) struct Pass<'b> {
    pub(super) layout: &'b Layout,
    pub(super) body: &'b str,
    /// True if objects are parsed directly. Otherwise their text is read first, which is twice the work but
    /// accepts values of other types in place of objects, and names that are not valid text (`"\ud800"`).
    enters: bool,
    pub(super) order: Order<'b, Field>,
    /// The order of the fields in each flattened object.
    pub(super) inner_orders: Vec<Order<'b, Slot>>,
    pub(super) found: Scan,
    /// The start of the current row in the spans and, below, in the instants and the extras.
    start: usize,
    instants_start: usize,
    extras_start: usize,
    /// True if a text of the current row is written with an escape.
    has_escapes: bool,
    /// True if each value of the current row is known to have its column's type.
    has_types: bool,
}

/// The fields of the previous object, in their order.
///
/// Each name is stored as it is in a compact text: with its quotes and the colon that follows it.
#[derive(Debug)]
pub(super) struct Order<'b, T>(Vec<Option<(&'b str, T)>>);

/// The beginning of a name in a text.
const NAME_START: &str = "\"";

/// The end of a name in a compact text.
const NAME_END: &str = "\":";

impl<'b, T: Copy> Order<'b, T> {
    /// Returns the field at `position` in the previous object: its name with its quotes and the colon, and its role.
    #[inline]
    pub(super) fn guess(&self, position: usize) -> Option<(&'b str, T)> {
        *self.0.get(position)?
    }

    /// Returns the role of the field `name` at `position`, from the previous object or else from `look_up`.
    /// `text` begins with the name and its quotes, unless that is written with an escape.
    pub(super) fn find(
        &mut self,
        position: usize,
        name: &str,
        text: Option<&'b str>,
        look_up: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        if let Some(Some((guess, what))) = self.0.get(position)
            && guess
                .strip_prefix(NAME_START)
                .and_then(|guess| guess.strip_suffix(NAME_END))
                == Some(name)
        {
            return Some(*what);
        }
        let found = look_up(name);
        if self.0.len() <= position {
            self.0.resize(position + 1, None);
        }
        let with_end =
            text.and_then(|text| text.get(..NAME_START.len() + name.len() + NAME_END.len()));
        let compact = with_end.filter(|text| text.ends_with(NAME_END));
        self.0[position] = compact.zip(found);
        found
    }
}

impl<'b> Pass<'b> {
    pub(super) fn new(layout: &'b Layout, body: &'b str, enters: bool) -> Self {
        Self {
            layout,
            body,
            enters,
            order: Order(Vec::new()),
            inner_orders: layout.objects.iter().map(|_| Order(Vec::new())).collect(),
            found: Scan::default(),
            start: 0,
            instants_start: 0,
            extras_start: 0,
            has_escapes: false,
            has_types: true,
        }
    }

    fn run(&mut self) -> Result<(), serde_json::Error> {
        let mut deserializer = serde_json::Deserializer::from_str(self.body);
        Rows(self).deserialize(&mut deserializer)?;
        deserializer.end()
    }

    /// Returns the body from the quote before a name on, unless the name is written with an escape.
    fn text_from(&self, name: &Name<'_>) -> Option<&'b str> {
        match &name.0 {
            Cow::Borrowed(name) => from_quote(self.body, self.span(name)),
            Cow::Owned(_) => None,
        }
    }

    /// Returns the position of a slice of the body. (The whole body is known to be below 4 GiB.)
    fn span(&self, text: &str) -> Span {
        let start = text.as_ptr().addr() - self.body.as_ptr().addr();
        let at = |place| u32::try_from(place).unwrap_or(u32::MAX);
        Span {
            start: at(start),
            end: at(start + text.len()),
        }
    }

    /// Returns the position of a value, or an empty span for null.
    fn value(&self, raw: &RawValue) -> Span {
        match raw.get() {
            "null" => Span::default(),
            text => self.span(text),
        }
    }

    pub(super) fn begin(&mut self) {
        self.start = self.found.spans.len();
        self.instants_start = self.found.instants.len();
        self.has_escapes = false;
        self.has_types = true;
        if self.found.heads.len() == 1 {
            self.expect_the_rest();
        }
        self.extras_start = self.found.extras.len();
        self.found
            .spans
            .resize(self.start + self.layout.slots, Span::default());
        self.found
            .instants
            .resize(self.instants_start + self.layout.instants, None);
    }

    /// Reserves memory for the number of rows that the page can have if they resemble the first one.
    fn expect_the_rest(&mut self) {
        let first = self.found.spans.iter().map(|span| span.end).max();
        let first = first.map_or(0, |end| end as usize).max(self.layout.slots);
        let rows = self.body.len() / first.max(1);
        self.found.spans.reserve(rows * self.layout.slots);
        self.found.instants.reserve(rows * self.layout.instants);
        self.found.heads.reserve(rows);
    }

    /// Stores the position of a column's value. `is_escaped` is true for a text with an escape.
    #[inline]
    pub(super) fn set(&mut self, slot: Slot, value: Span, is_escaped: bool) {
        self.set_span(slot.number(), value);
        self.has_escapes |= is_escaped;
        self.has_types &= has_type(slot.kind, self.bytes(value));
        self.set_instant_value(slot, None);
    }

    /// Stores a null.
    #[inline]
    pub(super) fn set_null(&mut self, slot: Slot) {
        self.set_span(slot.number(), Span::default());
        self.set_instant_value(slot, None);
    }

    /// Stores the position of a text in a column for texts, or of any value in a column for JSON.
    #[inline]
    pub(super) fn set_typed(&mut self, slot: Slot, value: Span, is_escaped: bool) {
        self.set_span(slot.number(), value);
        self.has_escapes |= is_escaped;
    }

    /// Stores the position and the value of an instant, which is in the usual format.
    #[inline]
    pub(super) fn set_instant(&mut self, slot: Slot, value: Span, instant: DateTime<Utc>) {
        self.set_span(slot.number(), value);
        self.set_instant_value(slot, Some(instant));
    }

    #[inline]
    fn set_span(&mut self, slot: usize, value: Span) {
        if let Some(span) = self.found.spans.get_mut(self.start + slot) {
            *span = value;
        }
    }

    #[inline]
    fn set_instant_value(&mut self, slot: Slot, value: Option<DateTime<Utc>>) {
        let Some(number) = slot.instant() else {
            return;
        };
        let place = self.instants_start + usize::from(number);
        if let Some(instant) = self.found.instants.get_mut(place) {
            *instant = value;
        }
    }

    fn set_raw(&mut self, slot: Slot, raw: &RawValue) {
        let text = raw.get();
        if text == "null" {
            return self.set_null(slot);
        }
        if slot.kind == ColumnType::UtcDatetime
            && let Some(inner) = unquoted(text)
            && let Some(instant) = usual_instant(inner.as_bytes())
        {
            return self.set_instant(slot, self.span(text), instant);
        }
        let is_escaped = text.starts_with('"') && text.contains('\\');
        self.set(slot, self.span(text), is_escaped);
    }

    /// The bytes of a span.
    #[inline]
    fn bytes(&self, span: Span) -> &'b [u8] {
        let bytes = self.body.as_bytes();
        bytes
            .get(span.start as usize..span.end as usize)
            .unwrap_or_default()
    }

    /// Keeps a field without a column. If a name occurs twice, the last value counts, so a null matters only after
    /// other extras.
    pub(super) fn add_extra(&mut self, object: Option<usize>, name: &str, value: Span) {
        if !value.is_empty() || self.found.extras.len() > self.extras_start {
            self.found.extras.push(Extra {
                object,
                name: name.into(),
                value,
            });
        }
    }

    /// Drops the values of a flattened object, in case the field occurs twice or is not an object this time.
    fn clear(&mut self, index: usize) {
        let layout = self.layout;
        for slot in layout.objects[index].slots() {
            self.set_null(slot);
        }
        let name = layout.objects[index].name;
        if self.found.extras.len() > self.extras_start {
            let mut own = self.found.extras.split_off(self.extras_start);
            own.retain(|extra| match extra.object {
                Some(object) => object != index,
                None => *extra.name != *name,
            });
            self.found.extras.append(&mut own);
        }
    }

    /// Completes the current row. A row without a key is dropped and recorded as bad.
    pub(super) fn end(&mut self) {
        let key = self
            .found
            .spans
            .get(self.start + self.layout.id)
            .copied()
            .unwrap_or_default();
        if let Some(id) = self.id(key) {
            self.found.heads.push(RowHeader {
                id,
                has_escapes: self.has_escapes,
                is_usual: self.is_usual(),
                extras_end: self.found.extras.len(),
            });
        } else {
            self.found.spans.truncate(self.start);
            self.found.instants.truncate(self.instants_start);
            self.found.extras.truncate(self.extras_start);
            self.found.bad.push(BadRow::NoId);
        }
    }

    /// Returns true if each value of the current row has the type of a column, and no value is left.
    fn is_usual(&self) -> bool {
        let spans = self.found.spans.get(self.start..).unwrap_or_default();
        let value = |slot: usize| self.bytes(spans.get(slot).copied().unwrap_or_default());
        self.has_types
            && !self.has_escapes
            && self.found.extras.len() == self.extras_start
            && self.layout.takes_all(value)
    }

    /// Returns the key if the value is a non-empty text.
    fn id(&self, key: Span) -> Option<Id> {
        let text = self.body.get(key.start as usize..key.end as usize)?;
        let inner = unquoted(text)?;
        if self.has_escapes && inner.contains('\\') {
            let text: String = serde_json::from_str(text).ok()?;
            return (!text.is_empty()).then(|| Id::Text(text.into()));
        }
        (!inner.is_empty()).then(|| Id::Span(self.span(inner)))
    }
}

/// Returns the body from the quote before a name on.
pub(super) fn from_quote(body: &str, name: Span) -> Option<&str> {
    let quote = (name.start as usize).checked_sub(NAME_START.len())?;
    body.get(quote..)
}

/// Returns true if a JSON value that is not null is known to have the type of a column, except for instants. (A text
/// with an escape may be half a surrogate pair, which is not text.)
#[inline]
fn has_type(kind: ColumnType, raw: &[u8]) -> bool {
    match kind {
        ColumnType::Json => true,
        ColumnType::String => raw.first() == Some(&b'"'),
        ColumnType::Boolean => matches!(raw, b"true" | b"false"),
        // Shorter than the largest integer.
        ColumnType::Long => {
            raw.len() < 19
                && raw != b"-0"
                && raw.iter().all(|byte| matches!(byte, b'-' | b'0'..=b'9'))
        }
        // A finite number.
        ColumnType::Double => {
            let is_part = |byte: &u8| matches!(byte, b'-' | b'.' | b'0'..=b'9');
            raw.len() < 100 && raw.iter().all(is_part)
        }
        ColumnType::UtcDatetime => false,
    }
}

/// The name of a field, borrowed if it has no escapes.
#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

/// The whole page.
struct Rows<'p, 'b>(&'p mut Pass<'b>);

impl<'de> DeserializeSeed<'de> for Rows<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Rows<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of objects")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let pass = self.0;
        if pass.enters {
            while list.next_element_seed(Object(pass))?.is_some() {}
            return Ok(());
        }
        while let Some(raw) = list.next_element::<&'de RawValue>()? {
            let (spans, extras) = (pass.found.spans.len(), pass.found.extras.len());
            let instants = pass.found.instants.len();
            let mut object = serde_json::Deserializer::from_str(raw.get());
            if Object(pass).deserialize(&mut object).is_err() {
                pass.found.spans.truncate(spans);
                pass.found.instants.truncate(instants);
                pass.found.extras.truncate(extras);
                pass.found.bad.push(BadRow::NotAnObject);
            }
        }
        Ok(())
    }
}

/// One element of the page: an object, or a value that is not a row.
struct Object<'p, 'b>(&'p mut Pass<'b>);

impl<'de> DeserializeSeed<'de> for Object<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Object<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        let pass = self.0;
        let layout = pass.layout;
        pass.begin();
        let mut position = 0;
        while let Some(name) = fields.next_key()? {
            let text = pass.text_from(&name);
            let Name(name) = name;
            let role = pass
                .order
                .find(position, &name, text, |name| layout.field(name));
            match role {
                Some(Field::Slot(slot)) => {
                    let raw = fields.next_value()?;
                    pass.set_raw(slot, raw);
                }
                Some(Field::Object(index)) if pass.enters => {
                    let index = usize::from(index);
                    pass.clear(index);
                    fields.next_value_seed(Inner(pass, index))?;
                }
                Some(Field::Object(index)) => {
                    let index = usize::from(index);
                    pass.clear(index);
                    let raw: &'de RawValue = fields.next_value()?;
                    let mut inner = serde_json::Deserializer::from_str(raw.get());
                    if Inner(pass, index).deserialize(&mut inner).is_err() {
                        pass.clear(index);
                        let value = pass.value(raw);
                        pass.add_extra(None, &name, value);
                    }
                }
                Some(Field::LeftOut) => {
                    fields.next_value::<IgnoredAny>()?;
                }
                None => {
                    let value = pass.value(fields.next_value()?);
                    pass.add_extra(None, &name, value);
                }
            }
            position += 1;
        }
        pass.end();
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.no_object();
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        self.no_object();
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        self.no_object();
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        self.no_object();
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        self.no_object();
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        self.no_object();
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        self.no_object();
        Ok(())
    }
}

impl Object<'_, '_> {
    fn no_object(self) {
        self.0.found.bad.push(BadRow::NotAnObject);
    }
}

/// A field that is flattened, by its index.
struct Inner<'p, 'b>(&'p mut Pass<'b>, usize);

impl<'de> DeserializeSeed<'de> for Inner<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        // A value that is neither an object nor null fails here; the second pass keeps it unchanged.
        deserializer.deserialize_option(self)
    }
}

impl<'de> Visitor<'de> for Inner<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or null")
    }

    fn visit_none<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        let Self(pass, index) = self;
        let layout = pass.layout;
        let mut position = 0;
        while let Some(name) = fields.next_key()? {
            let text = pass.text_from(&name);
            let Name(name) = name;
            let order = &mut pass.inner_orders[index];
            let slot = order.find(position, &name, text, |name| {
                layout.objects[index].slot(name)
            });
            let raw = fields.next_value()?;
            match slot {
                Some(slot) => pass.set_raw(slot, raw),
                None => pass.add_extra(Some(index), &name, pass.value(raw)),
            }
            position += 1;
        }
        Ok(())
    }
}
