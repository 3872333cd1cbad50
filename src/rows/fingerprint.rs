//! A 64-bit fingerprint tells whether a row changed.

use std::{fmt, hash::Hasher};

use serde::{
    Deserializer,
    de::{DeserializeSeed, MapAccess, SeqAccess, Visitor},
};
use twox_hash::XxHash3_64;

use super::{row::Row, value::ValueRef};

/// The fingerprint of a row: of all its columns that do not change by themselves.
///
/// It lives in the state, so it must not depend on the machine or the build: xxh3 over tagged,
/// length-prefixed values. JSON counts by its meaning, not by its bytes: the order of an object's
/// fields and the spacing do not matter.
pub fn fingerprint(row: &Row) -> u64 {
    let mut hasher = XxHash3_64::new();
    for (name, value) in row.counted() {
        if !value.is_null() {
            hasher.write_u64(name.to_le());
            write_value(&mut hasher, value);
        }
    }
    hasher.finish()
}

/// Six characters that stand for a column's name in the state.
pub fn hash_name(name: &str) -> String {
    format!("{:06x}", XxHash3_64::oneshot(name.as_bytes()) & 0xff_ffff)
}

fn write_value(hasher: &mut XxHash3_64, value: ValueRef<'_>) {
    match value {
        ValueRef::Null => {}
        ValueRef::String(text) => {
            hasher.write(b"s");
            write_bytes(hasher, text.as_bytes());
        }
        ValueRef::Boolean(yes) => hasher.write(if yes { b"t" } else { b"f" }),
        ValueRef::Long(number) => {
            hasher.write(b"l");
            hasher.write(&number.to_le_bytes());
        }
        ValueRef::Double(number) => {
            hasher.write(b"d");
            hasher.write(&number.to_bits().to_le_bytes());
        }
        ValueRef::UtcDatetime(instant) => {
            hasher.write(b"u");
            hasher.write(&instant.timestamp_micros().to_le_bytes());
        }
        ValueRef::Json(text) => {
            hasher.write(b"j");
            match hash_json(text) {
                Ok(hash) => hasher.write(&hash.to_le_bytes()),
                // Deeper than the parser goes, or a lone surrogate: by its bytes.
                Err(_) => write_bytes(hasher, text.as_bytes()),
            }
        }
    }
}

fn write_bytes(hasher: &mut XxHash3_64, bytes: &[u8]) {
    hasher.write(&(bytes.len() as u64).to_le_bytes());
    hasher.write(bytes);
}

fn hash_json(text: &str) -> Result<u64, serde_json::Error> {
    // The two that stand in most columns.
    if matches!(text, "{}" | "[]") {
        return Ok(Json::tagged(text.as_bytes()[0], b""));
    }
    Json.deserialize(&mut serde_json::Deserializer::from_str(text))
}

/// The hash of a JSON value. Depth is bounded by the parser (128 levels).
struct Json;

impl Json {
    fn tagged(tag: u8, bytes: &[u8]) -> u64 {
        XxHash3_64::oneshot_with_seed(u64::from(tag), bytes)
    }
}

impl<'de> DeserializeSeed<'de> for Json {
    type Value = u64;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<u64, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Json {
    type Value = u64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<u64, E> {
        Ok(Self::tagged(b'n', b""))
    }

    fn visit_bool<E>(self, yes: bool) -> Result<u64, E> {
        Ok(Self::tagged(if yes { b't' } else { b'f' }, b""))
    }

    fn visit_i64<E>(self, number: i64) -> Result<u64, E> {
        Ok(Self::tagged(b'-', &number.to_le_bytes()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<u64, E> {
        Ok(Self::tagged(b'#', &number.to_le_bytes()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<u64, E> {
        Ok(Self::tagged(b'd', &number.to_bits().to_le_bytes()))
    }

    fn visit_str<E>(self, text: &str) -> Result<u64, E> {
        Ok(Self::tagged(b's', text.as_bytes()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<u64, A::Error> {
        let mut hasher = XxHash3_64::with_seed(u64::from(b'['));
        while let Some(hash) = list.next_element_seed(Self)? {
            hasher.write(&hash.to_le_bytes());
        }
        Ok(hasher.finish())
    }

    /// The sum of its fields: their order does not matter.
    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<u64, A::Error> {
        let mut sum = 0_u64;
        while let Some(name) = fields.next_key_seed(Self)? {
            let value = fields.next_value_seed(Self)?;
            let mut pair = [0; 16];
            pair[..8].copy_from_slice(&name.to_le_bytes());
            pair[8..].copy_from_slice(&value.to_le_bytes());
            sum = sum.wrapping_add(Self::tagged(b':', &pair));
        }
        Ok(Self::tagged(b'{', &sum.to_le_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{rows::Context, tables};

    fn of(json: &str) -> u64 {
        let table = tables::find("flow_runs").expect("a table");
        fingerprint(&Row::parse(table, json, &Context::default()).expect("a row"))
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
            872_723_823_117_687_219
        );
    }
}
