//! A 64-bit fingerprint tells whether a row changed.

use std::hash::Hasher;

use twox_hash::XxHash3_64;

use super::value::{Row, Value};
use crate::tables::Table;

/// The fingerprint of a row: of all its columns that do not change by themselves.
///
/// It lives in the state, so it must not depend on the machine or the build: xxh3 over tagged,
/// length-prefixed values. JSON counts by its meaning, not by its bytes: the order of an object's
/// fields and the spacing do not matter.
pub fn fingerprint(table: &Table, row: &Row) -> u64 {
    let mut hasher = XxHash3_64::new();
    for (column, value) in table.columns.iter().zip(&row.values) {
        if !column.volatile && !value.is_null() {
            write_bytes(&mut hasher, column.name.as_bytes());
            write_value(&mut hasher, value);
        }
    }
    hasher.finish()
}

/// Six characters that stand for a column's name in the state.
pub fn hash_name(name: &str) -> String {
    format!("{:06x}", XxHash3_64::oneshot(name.as_bytes()) & 0xff_ffff)
}

fn write_value(hasher: &mut XxHash3_64, value: &Value) {
    match value {
        Value::Null => hasher.write(b"0"),
        Value::String(text) => {
            hasher.write(b"s");
            write_bytes(hasher, text.as_bytes());
        }
        Value::Boolean(yes) => hasher.write(if *yes { b"t" } else { b"f" }),
        Value::Long(number) => {
            hasher.write(b"l");
            hasher.write(&number.to_le_bytes());
        }
        Value::Double(number) => {
            hasher.write(b"d");
            hasher.write(&number.to_bits().to_le_bytes());
        }
        Value::UtcDatetime(instant) => {
            hasher.write(b"u");
            hasher.write(&instant.timestamp_micros().to_le_bytes());
        }
        Value::Json(text) => match serde_json::from_str::<serde_json::Value>(text) {
            Ok(json) => write_json(hasher, &json),
            // Deeper than the parser goes, or a lone surrogate: by its bytes.
            Err(_) => write_bytes(hasher, text.as_bytes()),
        },
    }
}

/// Depth is bounded by the parser that made `json` (128 levels).
fn write_json(hasher: &mut XxHash3_64, json: &serde_json::Value) {
    match json {
        serde_json::Value::Null => hasher.write(b"n"),
        serde_json::Value::Bool(yes) => hasher.write(if *yes { b"t" } else { b"f" }),
        serde_json::Value::Number(number) => {
            hasher.write(b"#");
            write_bytes(hasher, number.to_string().as_bytes());
        }
        serde_json::Value::String(text) => {
            hasher.write(b"s");
            write_bytes(hasher, text.as_bytes());
        }
        serde_json::Value::Array(items) => {
            hasher.write(b"[");
            hasher.write(&(items.len() as u64).to_le_bytes());
            for item in items {
                write_json(hasher, item);
            }
        }
        serde_json::Value::Object(fields) => {
            hasher.write(b"{");
            hasher.write(&(fields.len() as u64).to_le_bytes());
            // serde_json's map iterates in the order of its keys.
            for (name, value) in fields {
                write_bytes(hasher, name.as_bytes());
                write_json(hasher, value);
            }
        }
    }
}

fn write_bytes(hasher: &mut XxHash3_64, bytes: &[u8]) {
    hasher.write(&(bytes.len() as u64).to_le_bytes());
    hasher.write(bytes);
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::*;
    use crate::{
        rows::{Context, Flattener},
        tables,
    };

    fn of(json: &str) -> u64 {
        let table = tables::find("flow_runs").expect("a table");
        let raw: &RawValue = serde_json::from_str(json).expect("JSON");
        let flattened = Flattener::new(table)
            .flatten(raw, &Context::default())
            .expect("a row");
        fingerprint(table, &flattened.row)
    }

    #[test]
    fn volatile_columns_and_the_order_of_fields_do_not_count() {
        let one = of(r#"{"id":"a","parameters":{"x":1,"y":2},"estimated_run_time":1.0}"#);
        let two = of(r#"{"estimated_run_time":2.0,"parameters":{ "y":2,"x":1},"id":"a"}"#);
        assert_eq!(one, two);
    }

    #[test]
    fn everything_else_counts() {
        let base = of(r#"{"id":"a","parameters":{"x":1},"tags":["a","b"],"name":"n"}"#);
        for other in [
            r#"{"id":"b","parameters":{"x":1},"tags":["a","b"],"name":"n"}"#,
            r#"{"id":"a","parameters":{"x":2},"tags":["a","b"],"name":"n"}"#,
            r#"{"id":"a","parameters":{"x":1},"tags":["b","a"],"name":"n"}"#,
            r#"{"id":"a","parameters":{"x":1},"tags":["a","b"]}"#,
            r#"{"id":"a","parameters":{"x":1},"tags":["a","b"],"name":"n","new":1}"#,
        ] {
            assert_ne!(base, of(other), "{other}");
        }
    }

    /// The state outlives builds: these values may never change.
    #[test]
    fn the_hash_is_stable() {
        assert_eq!(of(r#"{"id":"a"}"#), of(r#"{"id":"a"}"#));
        assert_eq!(hash_name("id"), "53ba83");
        assert_eq!(
            of(r#"{"id":"a","run_count":3,"tags":["x"]}"#),
            18_130_648_455_782_674_737
        );
    }
}
