//! A pass over the text of a usual page, eight bytes at a time.
//!
//! It accepts a part of the pages that [`scan`](super::scan) accepts, and finds the same values in them. Everything
//! unusual (an element that is not an object, a name with an escape, a flattened field that is not an object or occurs
//! twice, deep nesting, any error) makes it return `None`: the other pass then reads the page, or words the error.

use chrono::{DateTime, Utc};

use super::{
    layout::{Field, Slot, SlotType},
    page_buffer::Span,
    scan::{Pass, Scan},
    value::usual_instant_at,
};
use crate::tables::ColumnType;

/// The maximum depth of a value: one bit of an integer each.
const MAX_DEPTH: u32 = 128;

/// A byte in each of the eight bytes of an integer.
const fn repeated(byte: u8) -> u64 {
    u64::from_ne_bytes([byte; 8])
}

/// Reads a page; returns `None` if it is unusual or not JSON.
pub(super) fn page(mut pass: Pass<'_>) -> Option<Scan> {
    u32::try_from(pass.body.len()).ok()?;
    let mut cursor = Cursor {
        bytes: pass.body.as_bytes(),
        at: 0,
    };
    cursor.skip_whitespace();
    cursor.expect(b'[')?;
    cursor.skip_whitespace();
    if !cursor.accept(b']') {
        loop {
            cursor.object(&mut pass)?;
            cursor.skip_whitespace();
            match cursor.next()? {
                b',' => cursor.skip_whitespace(),
                b']' => break,
                _ => return None,
            }
        }
    }
    cursor.skip_whitespace();
    (cursor.at == cursor.bytes.len()).then_some(pass.found)
}

/// The name of a field.
enum Name<T> {
    /// The guessed field, with its role.
    Guessed(T),
    /// Another field, with the span of its name.
    Read(Span),
}

/// A position in the text of a page.
struct Cursor<'b> {
    bytes: &'b [u8],
    at: usize,
}

impl Cursor<'_> {
    #[inline]
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    #[inline]
    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    /// Skips the byte if it comes next.
    #[inline]
    fn accept(&mut self, byte: u8) -> bool {
        let is_next = self.peek() == Some(byte);
        self.at += usize::from(is_next);
        is_next
    }

    #[inline]
    fn expect(&mut self, byte: u8) -> Option<()> {
        self.accept(byte).then_some(())
    }

    #[inline]
    fn skip_whitespace(&mut self) {
        // Usually there is none.
        while let Some(..=b' ') = self.peek() {
            let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() else {
                return;
            };
            self.at += 1;
        }
    }

    /// Returns the span from `start` to the current position. The text is known to be shorter than 4 GiB.
    #[inline]
    fn span_from(&self, start: usize) -> Span {
        let at = |place| u32::try_from(place).unwrap_or(u32::MAX);
        Span {
            start: at(start),
            end: at(self.at),
        }
    }

    /// Reads an element of the page, which must be an object.
    fn object(&mut self, pass: &mut Pass<'_>) -> Option<()> {
        self.expect(b'{')?;
        pass.begin();
        self.skip_whitespace();
        // One bit for each flattened object that the row has had.
        let mut flattened = 0_u64;
        let mut position = 0;
        let mut is_over = self.accept(b'}');
        while !is_over {
            self.field(pass, position, &mut flattened)?;
            position += 1;
            is_over = self.is_object_over()?;
        }
        pass.end();
        Some(())
    }

    /// Reads what follows a field: the end of its object, or a comma and the whitespace before the next field.
    #[inline]
    fn is_object_over(&mut self) -> Option<bool> {
        // In a compact text a comma and a quote follow.
        if let Some(b",\"") = self.bytes.get(self.at..self.at + 2) {
            self.at += 1;
            return Some(false);
        }
        self.skip_whitespace();
        match self.next()? {
            b',' => {
                self.skip_whitespace();
                Some(false)
            }
            b'}' => Some(true),
            _ => None,
        }
    }

    /// Reads a field of a row.
    fn field(&mut self, pass: &mut Pass<'_>, position: usize, flattened: &mut u64) -> Option<()> {
        let layout = pass.layout;
        let (role, name) = match self.name(pass.order.guess(position))? {
            Name::Guessed(role) => (Some(role), ""),
            Name::Read(span) => {
                let name = pass.body.get(span.start as usize..span.end as usize)?;
                let text = pass.body.get(span.start as usize..);
                let look_up = |name: &str| layout.field(name);
                (pass.order.find(position, name, text, look_up), name)
            }
        };
        match role {
            Some(Field::Slot(slot)) => self.column_value(pass, slot)?,
            Some(Field::Object(index)) => {
                let bit = 1_u64.checked_shl(index.into())?;
                if *flattened & bit != 0 {
                    return None;
                }
                *flattened |= bit;
                self.flattened(pass, index.into())?;
            }
            Some(Field::LeftOut) => self.value()?,
            None => {
                let (value, _) = self.value_span()?;
                pass.add_extra(None, name, value);
            }
        }
        Some(())
    }

    /// Reads the value of a field that is flattened: an object or null.
    fn flattened(&mut self, pass: &mut Pass<'_>, index: usize) -> Option<()> {
        if self.peek() == Some(b'n') {
            return self.literal(b"null");
        }
        let layout = pass.layout;
        self.expect(b'{')?;
        self.skip_whitespace();
        let mut position = 0;
        let mut is_over = self.accept(b'}');
        while !is_over {
            let order = &mut pass.inner_orders[index];
            let (slot, name) = match self.name(order.guess(position))? {
                Name::Guessed(slot) => (Some(slot), ""),
                Name::Read(span) => {
                    let name = pass.body.get(span.start as usize..span.end as usize)?;
                    let text = pass.body.get(span.start as usize..);
                    let look_up = |name: &str| layout.objects[index].slot(name);
                    let slot = order.find(position, name, text, look_up);
                    (slot, name)
                }
            };
            if let Some(slot) = slot {
                self.column_value(pass, slot)?;
            } else {
                let (value, _) = self.value_span()?;
                pass.add_extra(Some(index), name, value);
            }
            position += 1;
            is_over = self.is_object_over()?;
        }
        Some(())
    }

    /// Reads a name and its colon. Returns the role of the guessed field if it is that one, or else the name.
    #[inline]
    fn name<T: Copy>(&mut self, guess: Option<(&str, T)>) -> Option<Name<T>> {
        self.expect(b'"')?;
        let start = self.at;
        if let Some((guess, role)) = guess
            && let Some(end) = after_name(self.bytes, start, guess.as_bytes())
        {
            self.at = end;
            self.skip_whitespace();
            return Some(Name::Guessed(role));
        }
        self.at = self.special(start)?;
        let name = self.span_from(start);
        // A name with an escape is unusual.
        self.expect(b'"')?;
        self.colon()?;
        Some(Name::Read(name))
    }

    #[inline]
    fn colon(&mut self) -> Option<()> {
        self.skip_whitespace();
        self.expect(b':')?;
        self.skip_whitespace();
        Some(())
    }

    /// Reads a value of a column.
    #[inline]
    fn column_value(&mut self, pass: &mut Pass<'_>, slot: Slot) -> Option<()> {
        let start = self.at;
        match (slot.kind, self.peek()?) {
            (_, b'n') => {
                self.literal(b"null")?;
                pass.set_null(slot);
            }
            (SlotType::Other(ColumnType::String), b'"') => {
                let is_escaped = self.text()?;
                pass.set_typed(slot, self.span_from(start), is_escaped);
            }
            (SlotType::Other(ColumnType::Json), _) => {
                let (value, is_escaped) = self.value_span()?;
                pass.set_typed(slot, value, is_escaped);
            }
            (SlotType::Instant(number), b'"') => match self.instant() {
                Some(instant) => pass.set_instant((slot, number), self.span_from(start), instant),
                None => self.any_value(pass, slot)?,
            },
            _ => self.any_value(pass, slot)?,
        }
        Some(())
    }

    /// Reads a value that may not have the type of its column.
    fn any_value(&mut self, pass: &mut Pass<'_>, slot: Slot) -> Option<()> {
        let (value, is_escaped) = self.value_span()?;
        pass.set(slot, value, is_escaped);
        Some(())
    }

    /// Reads a text that is an instant in the usual format. Reads nothing of any other text.
    #[inline]
    fn instant(&mut self) -> Option<DateTime<Utc>> {
        let text = self.bytes.get(self.at + 1..)?;
        let (instant, len) = usual_instant_at(text)?;
        if text.get(len) != Some(&b'"') {
            return None;
        }
        self.at += len + 2;
        Some(instant)
    }

    /// Reads a value. Returns its span, which is empty for null, and true if it is a text with an escape.
    #[inline]
    fn value_span(&mut self) -> Option<(Span, bool)> {
        let start = self.at;
        let is_escaped = match self.peek()? {
            b'n' => {
                self.literal(b"null")?;
                return Some((Span::default(), false));
            }
            b'"' => self.text()?,
            _ => {
                self.value()?;
                false
            }
        };
        Some((self.span_from(start), is_escaped))
    }

    /// Reads a value of any kind.
    fn value(&mut self) -> Option<()> {
        // The lists and objects around the position, the innermost in the lowest bit: one for an object.
        let mut around = 0_u128;
        let mut depth = 0;
        loop {
            let opens = match self.peek()? {
                b'"' => {
                    self.text()?;
                    false
                }
                b'{' | b'[' => self.opens(&mut around, &mut depth)?,
                b't' => self.literal(b"true").map(|()| false)?,
                b'f' => self.literal(b"false").map(|()| false)?,
                b'n' => self.literal(b"null").map(|()| false)?,
                _ => self.number().map(|()| false)?,
            };
            if opens {
                continue;
            }
            // A value has ended.
            loop {
                if depth == 0 {
                    return Some(());
                }
                self.skip_whitespace();
                let is_in_object = around & 1 == 1;
                match (self.next()?, is_in_object) {
                    (b',', true) => {
                        self.skip_whitespace();
                        self.any_name()?;
                        break;
                    }
                    (b',', false) => {
                        self.skip_whitespace();
                        break;
                    }
                    (b'}', true) | (b']', false) => {
                        around >>= 1;
                        depth -= 1;
                    }
                    _ => return None,
                }
            }
        }
    }

    /// Reads the beginning of a list or an object. Returns true if a value follows, and false if it is empty.
    fn opens(&mut self, around: &mut u128, depth: &mut u32) -> Option<bool> {
        let is_object = self.next()? == b'{';
        self.skip_whitespace();
        if self.accept(if is_object { b'}' } else { b']' }) {
            return Some(false);
        }
        if *depth == MAX_DEPTH {
            return None;
        }
        *depth += 1;
        *around = *around << 1 | u128::from(is_object);
        if is_object {
            self.any_name()?;
        }
        Some(true)
    }

    /// Reads a name inside a value and its colon.
    #[inline]
    fn any_name(&mut self) -> Option<()> {
        if self.peek() != Some(b'"') {
            return None;
        }
        self.text()?;
        self.colon()
    }

    #[inline]
    fn literal(&mut self, literal: &[u8]) -> Option<()> {
        let end = self.at + literal.len();
        let is_here = self.bytes.get(self.at..end) == Some(literal);
        self.at = end;
        is_here.then_some(())
    }

    /// Reads a number by JSON's grammar, whatever its size.
    fn number(&mut self) -> Option<()> {
        self.accept(b'-');
        if !self.accept(b'0') {
            self.digits()?;
        }
        if self.accept(b'.') {
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        Some(())
    }

    /// Reads at least one digit.
    #[inline]
    fn digits(&mut self) -> Option<()> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        (self.at > start).then_some(())
    }

    /// Reads a text with its quotes; returns true if it has an escape. An escape may name half a surrogate pair, as in
    /// the other pass.
    #[inline]
    fn text(&mut self) -> Option<bool> {
        let mut has_escapes = false;
        self.at = self.special(self.at + 1)?;
        while !self.accept(b'"') {
            self.expect(b'\\')?;
            has_escapes = true;
            match self.next()? {
                b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => {}
                b'u' => {
                    let digits = self.bytes.get(self.at..self.at + 4)?;
                    if !digits.iter().all(u8::is_ascii_hexdigit) {
                        return None;
                    }
                    self.at += 4;
                }
                _ => return None,
            }
            self.at = self.special(self.at)?;
        }
        Some(has_escapes)
    }

    /// Returns the position of the first quote, backslash or control character from `at` on.
    #[inline]
    fn special(&self, mut at: usize) -> Option<usize> {
        const HIGH: u64 = repeated(0x80);
        // The highest bit of each byte that is below `bound`. Bytes above the lowest one found may be wrong.
        let below = |bytes: u64, bound| bytes.wrapping_sub(repeated(bound)) & !bytes;
        while let Some(eight) = self.bytes.get(at..).and_then(<[u8]>::first_chunk::<8>) {
            let bytes = u64::from_le_bytes(*eight);
            // Exchanges the quote (0x22) with the space (0x20), and control characters with each other.
            let quotes_and_controls = below(bytes ^ repeated(2), 0x21);
            let found = (quotes_and_controls | below(bytes ^ repeated(b'\\'), 1)) & HIGH;
            if found != 0 {
                return Some(at + found.trailing_zeros() as usize / 8);
            }
            at += 8;
        }
        let rest = self.bytes.get(at..)?;
        let is_special = |byte: &u8| matches!(byte, b'"' | b'\\' | ..0x20);
        Some(at + rest.iter().position(is_special)?)
    }
}

/// Returns the position after `name` if the text has it at `start`. Names of up to 16 bytes are compared without a call,
/// which would cost more than the comparison.
#[inline]
fn after_name(text: &[u8], start: usize, name: &[u8]) -> Option<usize> {
    let end = start + name.len();
    let here = text.get(start..end)?;
    let is_same = if name.len() <= 16
        && let (Some(first), Some(last)) = (name.first_chunk::<8>(), name.last_chunk::<8>())
    {
        here.first_chunk() == Some(first) && here.last_chunk() == Some(last)
    } else {
        here == name
    };
    is_same.then_some(end)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value as Json, json};

    use super::*;
    use crate::{
        rows::{Context, layout::Layout, scan},
        tables,
    };

    /// Reads a text with both passes. Returns true if the fast one accepts it.
    fn is_fast(table: &'static tables::Table, body: &str) -> bool {
        let layout = Layout::new(table, &Context::default());
        let fast = page(Pass::new(&layout, body, true));
        let slow = scan::page(&layout, body);
        match (&fast, &slow) {
            (Some(fast), Ok(slow)) => assert_eq!(fast, slow, "{body}"),
            (Some(_), Err(error)) => panic!("accepted, although {error}: {body}"),
            (None, _) => {}
        }
        fast.is_some()
    }

    #[test]
    fn the_pages_of_every_table_are_read_fast() {
        for table in tables::ALL.iter().filter(|table| !table.samples.is_empty()) {
            assert!(
                is_fast(table, &format!("[{}]", table.samples.join(" , "))),
                "{}",
                table.name
            );
            let value: Json = serde_json::from_str(table.samples[0]).expect("JSON");
            let pretty = serde_json::to_string_pretty(&json!([value, value])).expect("JSON");
            assert!(is_fast(table, &pretty), "{}", table.name);
        }
    }

    /// Returns true if the values of a row are known to fit its columns, so that they are not parsed twice.
    fn is_usual(table: &str, object: &str) -> bool {
        let table = tables::find(table).expect("a table");
        let body = format!("[{object}]");
        assert!(is_fast(table, &body), "{body}");
        let layout = Layout::new(table, &Context::default());
        let found = page(Pass::new(&layout, &body, true)).expect("a page");
        found.heads[0].is_usual
    }

    #[test]
    fn runs_are_known_to_fit_their_columns_unless_a_value_is_unusual() {
        for table in ["flow_runs", "task_runs"] {
            for sample in tables::find(table).expect("a table").samples {
                assert!(is_usual(table, sample), "{sample}");
            }
        }
        let usual = [
            r#""run_count":-7,"total_run_time":-0.5,"auto_scheduled":false"#,
            r#""state_type":"FAILED","state":{"type":"FAILED","name":null}"#,
            r#""parameters":"a","tags":{},"end_time":null,"new":null"#,
            r#""start_time":"2026-11-21T05:00:00+00:00""#,
        ];
        let unusual = [
            r#""run_count":"7""#,
            r#""run_count":7.0"#,
            r#""run_count":-0"#,
            r#""run_count":1234567890123456789"#,
            r#""total_run_time":1e400"#,
            r#""auto_scheduled":1"#,
            r#""name":7"#,
            r#""name":"\ud800""#,
            r#""state_type":"FAILED","state":{"type":"CRASHED"}"#,
            r#""state":{"new":1}"#,
            r#""new":1"#,
            r#""start_time":"2026-11-21T07:00:00+02:00""#,
            r#""start_time":"2026-02-30T07:00:00Z""#,
            r#""start_time":7"#,
        ];
        for (fields, want) in [(&usual[..], true), (&unusual[..], false)] {
            for fields in fields {
                let object = format!(r#"{{"id":"a",{fields}}}"#);
                assert_eq!(is_usual("flow_runs", &object), want, "{object}");
            }
        }
    }

    #[test]
    fn unusual_pages_are_left_to_the_other_pass() {
        let runs = tables::find("flow_runs").expect("a table");
        let usual = [
            "[]",
            " [ ] ",
            r#"[{"id":"a"}]"#,
            "[{}]",
            r#"[{"id":"a","id":"b","tags":[[],{},{"a":[1,-0.5e+9]}]}]"#,
            r#"[{"id":"\u00e9\"\\","name":"\ud800","state":null}]"#,
            r#"[{"id":"a","state":{"type":"X","new":1,"name":null}}]"#,
        ];
        for text in usual {
            assert!(is_fast(runs, text), "{text}");
        }
        let deep = format!(
            r#"[{{"id":"a","tags":{}{}}}]"#,
            "[".repeat(130),
            "]".repeat(130)
        );
        let unusual = [
            "",
            "[",
            "{}",
            "[1]",
            "[{}] x",
            "[{},]",
            r#"[{"a"}]"#,
            r#"[{"id":"a",}]"#,
            r#"[{"\u0069d":"a"}]"#,
            r#"[{"id":"a","state":7}]"#,
            r#"[{"id":"a","state":{},"state":{}}]"#,
            r#"[{"id":"a","x":01}]"#,
            r#"[{"id":"a","x":1.}]"#,
            r#"[{"id":"a","x":-}]"#,
            r#"[{"id":"a","x":nul}]"#,
            r#"[{"id":"a","x":"\x"}]"#,
            r#"[{"id":"a","x":"\u12g4"}]"#,
            r#"[{"id":"a","x":[1,]}]"#,
            r#"[{"id":"a","x":{"a":1,}}]"#,
            r#"[{"id":"a","x":[1}}]"#,
            "[{\"id\":\"a\u{1}\"}]",
            &deep,
        ];
        for text in unusual {
            assert!(!is_fast(runs, text), "{text}");
        }
    }

    /// Generates any JSON value.
    fn any_json() -> impl Strategy<Value = Json> {
        let leaf = prop_oneof![
            Just(Json::Null),
            any::<bool>().prop_map(Json::from),
            any::<i64>().prop_map(Json::from),
            any::<f64>()
                .prop_filter("finite", |it| it.is_finite())
                .prop_map(Json::from),
            ".{0,30}".prop_map(Json::from),
            "[\"\\\\\n\u{1}é]{0,12}".prop_map(Json::from),
        ];
        leaf.prop_recursive(4, 30, 5, |inner| {
            let field = ("(id|name|state|type|tags|[a-z\"]{1,9})", inner.clone());
            prop_oneof![
                prop::collection::vec(inner, 0..5).prop_map(Json::from),
                prop::collection::vec(field, 0..6).prop_map(|fields| fields.into_iter().collect()),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]

        #[test]
        fn both_passes_find_the_same_values(
            page in prop::collection::vec(any_json(), 0..4),
            pretty in any::<bool>(),
        ) {
            let text = if pretty {
                serde_json::to_string_pretty(&page)
            } else {
                serde_json::to_string(&page)
            }.expect("JSON");
            for table in ["flow_runs", "deployments"] {
                is_fast(tables::find(table).expect("a table"), &text);
            }
        }

        /// A sample in which some bytes are replaced, removed or repeated.
        #[test]
        fn a_damaged_page_is_accepted_by_both_passes_or_by_the_other_one(
            edits in prop::collection::vec((any::<prop::sample::Index>(), 0..3, prop::sample::select(&b"\"\\{}[]:,0-.eu \n\x01tn"[..])), 1..4),
            table in prop::sample::select(tables::ALL),
        ) {
            let mut text = format!("[{}]", table.samples.join(",")).into_bytes();
            for (place, kind, byte) in edits {
                let place = place.index(text.len());
                match kind {
                    0 => text[place] = byte,
                    1 => { text.remove(place); }
                    _ => text.insert(place, byte),
                }
            }
            if let Ok(text) = String::from_utf8(text) {
                is_fast(table, &text);
            }
        }
    }
}
