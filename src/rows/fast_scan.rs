//! A pass over the text of a usual page, eight bytes at a time.
//!
//! It accepts a part of the pages that [`scan`](super::scan) accepts, and finds the same values in them. Everything
//! unusual (an element that is not an object, a name with an escape, a flattened field that is not an object or occurs
//! twice, deep nesting, any error) makes it return `None`: the other pass then reads the page, or words the error.

use chrono::{DateTime, Utc};

use super::{
    json_cursor::{Cursor, NumberNotation},
    layout::{Field, Slot},
    page_buffer::Span,
    scan::{Pass, Scan, from_quote},
    value::{LastDate, usual_instant_at},
};
use crate::tables::ColumnType;

/// Reads a page; returns `None` if it is unusual or not JSON.
pub(super) fn page(pass: Pass<'_>) -> Option<Scan> {
    u32::try_from(pass.body.len()).ok()?;
    let mut reader = FastScan {
        cursor: Cursor::new(pass.body),
        pass,
        last_date: LastDate::default(),
    };
    reader.page()?;
    Some(reader.pass.found)
}

/// The name of a field.
enum Name<T> {
    /// The guessed field, with its role.
    Guessed(T),
    /// Another field, with the span of its name.
    Read(Span),
}

/// A pass and its position in the text.
struct FastScan<'b> {
    cursor: Cursor<'b>,
    pass: Pass<'b>,
    last_date: LastDate,
}

impl FastScan<'_> {
    fn page(&mut self) -> Option<()> {
        self.cursor.skip_whitespace();
        self.cursor.expect(b'[')?;
        self.cursor.skip_whitespace();
        let mut is_over = self.cursor.accept(b']');
        while !is_over {
            self.object()?;
            is_over = self.cursor.is_list_over()?;
        }
        self.cursor.skip_whitespace();
        self.cursor.is_at_end().then_some(())
    }

    /// Reads an element of the page, which must be an object.
    fn object(&mut self) -> Option<()> {
        self.cursor.expect(b'{')?;
        self.pass.begin();
        self.cursor.skip_whitespace();
        // One bit for each flattened object that the row has had.
        let mut flattened = 0_u64;
        let mut position = 0;
        let mut is_over = self.cursor.accept(b'}');
        while !is_over {
            self.field(position, &mut flattened)?;
            position += 1;
            is_over = self.cursor.is_object_over()?;
        }
        self.pass.end();
        Some(())
    }

    /// Reads a field of a row.
    #[inline]
    fn field(&mut self, position: usize, flattened: &mut u64) -> Option<()> {
        let pass = &mut self.pass;
        let layout = pass.layout;
        let (role, name) = match name(&mut self.cursor, pass.order.guess(position))? {
            Name::Guessed(role) => (Some(role), ""),
            Name::Read(span) => {
                let name = pass.body.get(span.start as usize..span.end as usize)?;
                let text = from_quote(pass.body, span);
                let look_up = |name: &str| layout.field(name);
                (pass.order.find(position, name, text, look_up), name)
            }
        };
        match role {
            Some(Field::Slot(slot)) => self.column_value(slot)?,
            Some(Field::Object(index)) => {
                let bit = 1_u64.checked_shl(index.into())?;
                if *flattened & bit != 0 {
                    return None;
                }
                *flattened |= bit;
                self.flattened(index.into())?;
            }
            Some(Field::LeftOut) => self.cursor.value()?,
            None => {
                let (value, _) = self.cursor.value_span()?;
                self.pass.add_extra(None, name, value);
            }
        }
        Some(())
    }

    /// Reads the value of a field that is flattened: an object or null.
    fn flattened(&mut self, index: usize) -> Option<()> {
        if self.cursor.peek() == Some(b'n') {
            return self.cursor.literal(b"null");
        }
        let layout = self.pass.layout;
        self.cursor.expect(b'{')?;
        self.cursor.skip_whitespace();
        let mut position = 0;
        let mut is_over = self.cursor.accept(b'}');
        while !is_over {
            let pass = &mut self.pass;
            let order = &mut pass.inner_orders[index];
            let (slot, name) = match name(&mut self.cursor, order.guess(position))? {
                Name::Guessed(slot) => (Some(slot), ""),
                Name::Read(span) => {
                    let name = pass.body.get(span.start as usize..span.end as usize)?;
                    let text = from_quote(pass.body, span);
                    let look_up = |name: &str| layout.objects[index].slot(name);
                    let slot = order.find(position, name, text, look_up);
                    (slot, name)
                }
            };
            if let Some(slot) = slot {
                self.column_value(slot)?;
            } else {
                let (value, _) = self.cursor.value_span()?;
                self.pass.add_extra(Some(index), name, value);
            }
            position += 1;
            is_over = self.cursor.is_object_over()?;
        }
        Some(())
    }

    /// Reads a value of a column.
    #[inline]
    fn column_value(&mut self, slot: Slot) -> Option<()> {
        let start = self.cursor.at();
        let first = self.cursor.peek()?;
        if first == b'n' {
            self.cursor.literal(b"null")?;
            self.pass.set_null(slot);
            return Some(());
        }
        match slot.kind {
            ColumnType::String if first == b'"' => {
                let is_escaped = self.cursor.text()?;
                let value = self.cursor.span_from(start);
                self.pass.set_typed(slot, value, is_escaped);
            }
            ColumnType::Json => {
                let (value, is_escaped) = self.cursor.value_span()?;
                self.pass.set_typed(slot, value, is_escaped);
            }
            ColumnType::UtcDatetime if first == b'"' => match self.instant() {
                Some(instant) => {
                    let value = self.cursor.span_from(start);
                    self.pass.set_instant(slot, value, instant);
                }
                None => self.any_value(slot)?,
            },
            ColumnType::Long | ColumnType::Double if matches!(first, b'-' | b'0'..=b'9') => {
                let notation = self.cursor.number()?;
                let value = self.cursor.span_from(start);
                if is_number_of(slot.kind, notation, value) {
                    self.pass.set_typed(slot, value, false);
                } else {
                    self.pass.set(slot, value, false);
                }
            }
            _ => self.any_value(slot)?,
        }
        Some(())
    }

    /// Reads a value that may not have the type of its column.
    fn any_value(&mut self, slot: Slot) -> Option<()> {
        let (value, is_escaped) = self.cursor.value_span()?;
        self.pass.set(slot, value, is_escaped);
        Some(())
    }

    /// Reads a text that is an instant in the usual format. Reads nothing of any other text.
    #[inline]
    fn instant(&mut self) -> Option<DateTime<Utc>> {
        let text = self.cursor.rest().get(1..)?;
        let (instant, len) = usual_instant_at(text, &mut self.last_date)?;
        if text.get(len) != Some(&b'"') {
            return None;
        }
        self.cursor.skip(len + 2);
        Some(instant)
    }
}

/// Reads a name and its colon. Returns the role of the guessed field if it is that one, or else the name.
#[inline]
fn name<T: Copy>(cursor: &mut Cursor<'_>, guess: Option<(&str, T)>) -> Option<Name<T>> {
    if let Some((guess, role)) = guess
        && cursor.accept_name(guess.as_bytes())
    {
        return Some(Name::Guessed(role));
    }
    cursor.plain_name().map(Name::Read)
}

/// Returns true if a number is known to have the type of a column. (Two bytes may be `-0`, which no integer is.)
#[inline]
fn is_number_of(kind: ColumnType, notation: NumberNotation, value: Span) -> bool {
    let len = value.end - value.start;
    match notation {
        NumberNotation::Integer if kind == ColumnType::Long => len < 19 && len != 2,
        NumberNotation::Integer | NumberNotation::Fraction => {
            kind == ColumnType::Double && len < 100
        }
        NumberNotation::Exponent => false,
    }
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
