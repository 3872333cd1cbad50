//! Compares the fast reader of pages with the reference.
#![no_main]

use std::fmt::Write as _;

use arbitrary::{Result, Unstructured};
use fivetran_source::{
    fuzz_api::both_hashes_agree,
    rows::{
        BadRow, PageReader, ParsedPage, ValueRef,
        reference::{Flattened, Flattener},
    },
    tables::{self, Source, Table},
};
use libfuzzer_sys::fuzz_target;
use serde_json::value::RawValue;

/// Values that are special cases for some parser.
const ODD: &[&str] = &[
    "null",
    "true",
    "{}",
    "[]",
    "\"\"",
    "-0",
    "0.0",
    "1E2",
    "1e999",
    "-1e-999",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "18446744073709551616",
    "123456789012345678901234567890.5",
    r#""\ud800""#,
    r#""\u0000""#,
    r#""\u0061\n""#,
    r#""2026-11-21T05:00:00Z""#,
    r#""2026-11-21T05:00:00.123456+00:00""#,
    r#""2026-11-21t05:00:00.1z""#,
    r#""2026-02-30T05:00:00Z""#,
    r#""2016-12-31T23:59:60Z""#,
    r#""9999-12-31T23:59:60.999999Z""#,
    r#""0000-12-31T23:59:59Z""#,
    r#""2026-11-21T05:00:00\u005a""#,
    r#"[{"schedule":{"cron":"x"}},7]"#,
    r#"[{"schedule":null,"schedule":1}]"#,
];

fuzz_target!(|data: &[u8]| {
    let _ = run(&mut Unstructured::new(data));
});

fn run(u: &mut Unstructured) -> Result<()> {
    let choice = u.arbitrary::<u8>()?;
    let table = tables::ALL[usize::from(choice / 4) % tables::ALL.len()];
    let context = fuzz::context(choice & 2 == 2);
    let text = if choice & 1 == 1 {
        let rest = u.bytes(u.len())?;
        String::from_utf8_lossy(rest).into_owned()
    } else {
        page(u, table)?
    };
    // Every JSON list is a page, and nothing else is.
    let read = PageReader::new(table, &context).read(text.clone());
    let Ok(objects) = serde_json::from_str::<Vec<&RawValue>>(&text) else {
        assert!(read.is_err(), "not a list: {text}");
        return Ok(());
    };
    let page = read.unwrap_or_else(|error| panic!("{error}: {text}"));
    let flattener = Flattener::new(table);
    let mut want: Vec<_> = objects
        .iter()
        .map(|object| flattener.flatten(object, &context))
        .collect();
    want.sort_by_key(std::result::Result::is_err);
    assert_eq!(flattened_rows(&page), want, "{text}");
    for value in page.rows.iter().flat_map(|row| row.values()) {
        if let ValueRef::Json(json) = value {
            assert!(both_hashes_agree(json), "{json}");
        }
    }
    fuzz::ask_everything(table, page);
    Ok(())
}

/// Converts a page's rows to the types of the reference, valid rows first.
fn flattened_rows(page: &ParsedPage) -> Vec<std::result::Result<Flattened, BadRow>> {
    let rows = page.rows.iter().map(|row| {
        Ok(Flattened {
            values: row.values().map(ValueRef::to_value).collect(),
            misfits: row.misfits().to_vec(),
            undeclared: row.undeclared().to_vec(),
        })
    });
    rows.chain(page.bad.iter().map(|bad| Err(*bad))).collect()
}

fn page(u: &mut Unstructured, table: &Table) -> Result<String> {
    let mut text = String::from("[");
    for at in 0..u.int_in_range(0..=4)? {
        if at > 0 {
            text.push(',');
        }
        if u.ratio(1, 12)? {
            value(u, &mut text, 3)?;
        } else {
            row(u, table, &mut text)?;
        }
    }
    text.push(']');
    Ok(text)
}

/// Generates an object, mostly with fields of the table.
fn row(u: &mut Unstructured, table: &Table, text: &mut String) -> Result<()> {
    let places: Vec<&str> = table
        .columns
        .iter()
        .filter_map(|column| match column.source {
            Source::Json(places) => Some(places),
            _ => None,
        })
        .flatten()
        .copied()
        .collect();
    text.push('{');
    if u.ratio(9, 10)? {
        let _ = write!(text, "\"id\":\"{}\",", u.arbitrary::<u8>()?);
    }
    for _ in 0..u.int_in_range(0..=8)? {
        match u.choose(&places)?.split_once('.') {
            Some((outer, inner)) if u.ratio(7, 8)? => {
                name(u, outer, text)?;
                match inner.strip_prefix("0.") {
                    None => fields_of(u, &places, outer, text)?,
                    Some(field) => {
                        text.push_str("[{");
                        name(u, field, text)?;
                        value(u, text, 2)?;
                        text.push_str("}]");
                    }
                }
            }
            Some((outer, _)) => {
                name(u, outer, text)?;
                value(u, text, 3)?;
            }
            None if u.ratio(1, 10)? => {
                let other: String = u.arbitrary()?;
                name(u, &other, text)?;
                value(u, text, 3)?;
            }
            None => {
                let known = u.choose(&places)?.split('.').next().unwrap_or_default();
                name(u, known, text)?;
                value(u, text, 3)?;
            }
        }
        text.push(',');
    }
    name(u, "tags", text)?;
    value(u, text, 2)?;
    text.push('}');
    Ok(())
}

/// Generates the object of a flattened field.
fn fields_of(u: &mut Unstructured, places: &[&str], outer: &str, text: &mut String) -> Result<()> {
    let inner: Vec<&str> = places
        .iter()
        .filter_map(|place| place.strip_prefix(outer)?.strip_prefix('.'))
        .collect();
    text.push('{');
    for at in 0..u.int_in_range(0..=4)? {
        if at > 0 {
            text.push(',');
        }
        let field = if u.ratio(1, 6)? {
            "other"
        } else {
            *u.choose(&inner)?
        };
        name(u, field, text)?;
        value(u, text, 2)?;
    }
    text.push('}');
    Ok(())
}

/// Writes a field's name and its colon, sometimes with escapes, or with an invalid escape.
fn name(u: &mut Unstructured, name: &str, text: &mut String) -> Result<()> {
    match u.int_in_range(0..=40)? {
        0 => {
            text.push('"');
            for unit in name.encode_utf16() {
                let _ = write!(text, "\\u{unit:04x}");
            }
            text.push('"');
        }
        1 => text.push_str(r#""\ud800""#),
        _ => text.push_str(&serde_json::to_string(name).unwrap_or_default()),
    }
    text.push_str(if u.ratio(1, 30)? { " :\n " } else { ":" });
    Ok(())
}

fn value(u: &mut Unstructured, text: &mut String, depth: u8) -> Result<()> {
    match u.int_in_range(0..=if depth == 0 { 4 } else { 6 })? {
        0 | 1 => text.push_str(u.choose(ODD)?),
        2 => {
            let _ = write!(text, "{}", u.arbitrary::<i64>()?);
        }
        3 => {
            let number: f64 = u.arbitrary()?;
            text.push_str(&serde_json::to_string(&number).unwrap_or_default());
        }
        4 => {
            let string: &str = u.arbitrary()?;
            text.push_str(&serde_json::to_string(string).unwrap_or_default());
        }
        5 => {
            text.push('[');
            for at in 0..u.int_in_range(0..=3)? {
                if at > 0 {
                    text.push(',');
                }
                value(u, text, depth - 1)?;
            }
            text.push(']');
        }
        _ => {
            text.push('{');
            for at in 0..u.int_in_range(0..=3)? {
                if at > 0 {
                    text.push(',');
                }
                let field: &str = u.choose(&["a", "b", "schedule", "cron", "id"])?;
                name(u, field, text)?;
                value(u, text, depth - 1)?;
            }
            text.push('}');
        }
    }
    Ok(())
}
