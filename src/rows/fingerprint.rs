//! 64-bit fingerprints, by which changed rows are found.

use std::{cell::Cell, fmt, hash::Hasher};

use serde::{
    Deserializer,
    de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;
use twox_hash::XxHash3_64;

use super::{number, row::Row, value::ValueRef};

/// Returns the fingerprint of a row, over all columns that are not volatile.
///
/// The fingerprint is stored in the state, so it must not depend on the machine or the build: xxh3 over tagged,
/// length-prefixed values. JSON counts by its meaning, not by its bytes: the order of an object's fields and the
/// spacing do not matter. A number with more digits than a 64-bit integer or a double holds counts by its digits.
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

/// Returns the six characters that represent a column's name in the state.
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
                // Nested too deep for the parser, or with a lone surrogate: hashed by its bytes.
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
    // The two most frequent values.
    if matches!(text, "{}" | "[]") {
        return Ok(Json::tagged(text.as_bytes()[0], b""));
    }
    let has_float = Cell::new(false);
    let json = Json {
        has_float: &has_float,
    };
    let hash = json.deserialize(&mut serde_json::Deserializer::from_str(text))?;
    if has_float.get() && number::has_inexact(text) {
        return by_digits(text);
    }
    Ok(hash)
}

/// Returns the hash of a JSON text that may contain inexact numbers. Nested values are parsed again for each
/// level; such documents are rare. The text was parsed before, so its depth is bounded.
fn by_digits(text: &str) -> Result<u64, serde_json::Error> {
    let text = text.trim();
    match text.as_bytes().first() {
        Some(b'{' | b'[') => Exact.deserialize(&mut serde_json::Deserializer::from_str(text)),
        Some(b'-' | b'0'..=b'9') if number::is_inexact(text) => {
            Ok(Json::tagged(b'i', number::normalised(text).as_bytes()))
        }
        _ => Json {
            has_float: &Cell::new(false),
        }
        .deserialize(&mut serde_json::Deserializer::from_str(text)),
    }
}

/// Hashes an object or a list whose values are hashed by [`by_digits`].
struct Exact;

impl<'de> DeserializeSeed<'de> for Exact {
    type Value = u64;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<u64, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Exact {
    type Value = u64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object or list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<u64, A::Error> {
        let mut hashes = ListHash::default();
        while let Some(raw) = list.next_element::<&RawValue>()? {
            hashes.add(by_digits(raw.get()).map_err(A::Error::custom)?);
        }
        Ok(hashes.finish())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<u64, A::Error> {
        let has_float = Cell::new(false);
        let mut hashes = FieldHashes::default();
        while let Some(name) = fields.next_key_seed(Json {
            has_float: &has_float,
        })? {
            let raw: &RawValue = fields.next_value()?;
            hashes.add(name, by_digits(raw.get()).map_err(A::Error::custom)?);
        }
        Ok(hashes.finish())
    }
}

/// The hash of a list: its values in their order.
struct ListHash(XxHash3_64);

impl Default for ListHash {
    fn default() -> Self {
        Self(XxHash3_64::with_seed(u64::from(b'[')))
    }
}

impl ListHash {
    fn add(&mut self, hash: u64) {
        self.0.write(&hash.to_le_bytes());
    }

    fn finish(self) -> u64 {
        self.0.finish()
    }
}

/// The hash of an object: the sum of its fields, so that their order does not matter.
#[derive(Default)]
struct FieldHashes(u64);

impl FieldHashes {
    fn add(&mut self, name: u64, value: u64) {
        let mut pair = [0; 16];
        pair[..8].copy_from_slice(&name.to_le_bytes());
        pair[8..].copy_from_slice(&value.to_le_bytes());
        self.0 = self.0.wrapping_add(Json::tagged(b':', &pair));
    }

    fn finish(self) -> u64 {
        Json::tagged(b'{', &self.0.to_le_bytes())
    }
}

/// Hashes a JSON value. The parser bounds the depth (128 levels).
#[derive(Clone, Copy)]
struct Json<'a> {
    /// Set when a number is read that is not a 64-bit integer.
    has_float: &'a Cell<bool>,
}

impl Json<'_> {
    fn tagged(tag: u8, bytes: &[u8]) -> u64 {
        XxHash3_64::oneshot_with_seed(u64::from(tag), bytes)
    }
}

impl<'de> DeserializeSeed<'de> for Json<'_> {
    type Value = u64;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<u64, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Json<'_> {
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
        self.has_float.set(true);
        Ok(Self::tagged(b'd', &number.to_bits().to_le_bytes()))
    }

    fn visit_str<E>(self, text: &str) -> Result<u64, E> {
        Ok(Self::tagged(b's', text.as_bytes()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<u64, A::Error> {
        let mut hashes = ListHash::default();
        while let Some(hash) = list.next_element_seed(self)? {
            hashes.add(hash);
        }
        Ok(hashes.finish())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<u64, A::Error> {
        let mut hashes = FieldHashes::default();
        while let Some(name) = fields.next_key_seed(self)? {
            hashes.add(name, fields.next_value_seed(self)?);
        }
        Ok(hashes.finish())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{rows::Context, tables};

    fn fingerprint_of(json: &str) -> u64 {
        let table = tables::find("flow_runs").expect("a table");
        fingerprint(&Row::parse(table, json, &Context::default()).expect("a row"))
    }

    #[test]
    fn volatile_columns_and_the_order_of_fields_do_not_count() {
        let one =
            fingerprint_of(r#"{"id":"a","parameters":{"x":1,"y":2},"estimated_run_time":1.0}"#);
        let two =
            fingerprint_of(r#"{"estimated_run_time":2.0,"parameters":{ "y":2,"x":1},"id":"a"}"#);
        assert_eq!(one, two);
    }

    #[test]
    fn all_other_values_change_the_fingerprint() {
        let base = fingerprint_of(r#"{"id":"a","parameters":{"x":1},"tags":["a","b"],"name":"n"}"#);
        for other in [
            r#"{"id":"b","parameters":{"x":1},"tags":["a","b"],"name":"n"}"#,
            r#"{"id":"a","parameters":{"x":2},"tags":["a","b"],"name":"n"}"#,
            r#"{"id":"a","parameters":{"x":1},"tags":["b","a"],"name":"n"}"#,
            r#"{"id":"a","parameters":{"x":1},"tags":["a","b"]}"#,
            r#"{"id":"a","parameters":{"x":1},"tags":["a","b"],"name":"n","new":1}"#,
        ] {
            assert_ne!(base, fingerprint_of(other), "{other}");
        }
    }

    /// Checks values that must never change, because the state is used by later builds.
    #[test]
    fn the_hash_is_stable() {
        assert_eq!(hash_name("id"), "53ba83");
        assert_eq!(
            fingerprint_of(r#"{"id":"a","run_count":3,"tags":["x"]}"#),
            872_723_823_117_687_219
        );
    }

    /// Checks the fingerprints of earlier versions. If one of these values changed, every such row would be sent
    /// again.
    #[test]
    fn fingerprints_of_ordinary_values_are_those_of_earlier_versions() {
        let golden = [
            (r"{}", 29_225_549_897_378_092_u64),
            (
                r#"{"n":null,"t":true,"f":false}"#,
                5_423_590_462_301_442_239,
            ),
            (
                r#"{"int":[0,1,-1,9223372036854775807,18446744073709551615,-9223372036854775808]}"#,
                5_061_526_730_765_494_619,
            ),
            (
                r#"{"float":[0.5,-0.0,-0,1.0,1.10,1e5,2.5E-3,0.30000000000000004,1.7976931348623157e308,5e-324]}"#,
                10_267_744_177_639_533_967,
            ),
            (
                r#"{"round":[1e23,1e22,123456789012345680000.0]}"#,
                15_305_897_779_677_426_284,
            ),
            (
                r#"{"text":["","a\"b","\u00e4","18446744073709551617"]}"#,
                16_937_342_748_112_079_028,
            ),
            (
                r#"{"nested":{"a":[{},[],[[]],{"b":{"c":1.5}}]}}"#,
                17_730_827_252_737_243_117,
            ),
        ];
        let found: Vec<_> = golden
            .iter()
            .map(|(json, _)| fingerprint_of(&format!(r#"{{"id":"a","parameters":{json}}}"#)))
            .collect();
        let want: Vec<_> = golden.iter().map(|(_, hash)| *hash).collect();
        assert_eq!(found, want);
    }

    /// Numbers with more digits than an integer or a double holds count by their digits.
    #[test]
    fn numbers_that_are_equal_as_doubles_are_distinguished_by_their_digits() {
        for (one, other) in [
            ("18446744073709551617", "18446744073709551618"),
            ("-9223372036854775809", "-9223372036854775810"),
            ("[1,18446744073709551617]", "[1,18446744073709551618]"),
            (
                r#"{"a":{"b":[18446744073709551617]}}"#,
                r#"{"a":{"b":[18446744073709551618]}}"#,
            ),
            ("0.1", "0.1000000000000000000001"),
            ("0.1000000000000000000001", "0.1000000000000000000002"),
            ("1e-400", "2e-400"),
            ("0.0", "1e-400"),
            ("1e400", "2e400"),
            ("100000000000000000000000", "1e23"),
            ("1", "1.0"),
            ("18446744073709551617", "-18446744073709551617"),
            ("18446744073709551617", "184467440737095516170"),
        ] {
            let hash =
                |value: &str| fingerprint_of(&format!(r#"{{"id":"a","parameters":{value}}}"#));
            assert_ne!(hash(one), hash(other), "{one} and {other}");
        }
    }

    /// The order of fields, the spacing and the notation of floats do not count beside such a number either.
    #[test]
    fn documents_with_such_numbers_count_by_their_meaning() {
        for (one, other) in [
            (
                r#"{"a":18446744073709551617,"b":{"c":0.5,"d":[null,true,"x"]}}"#,
                r#"{ "b": {"d":[ null,true,"\u0078" ], "c":0.50}, "a":18446744073709551617 }"#,
            ),
            ("0.10000000000000000000010", "10.000000000000000000010e-2"),
            ("1.10", "1.1"),
            ("1e5", "100000.0"),
        ] {
            let hash =
                |value: &str| fingerprint_of(&format!(r#"{{"id":"a","parameters":{value}}}"#));
            assert_eq!(hash(one), hash(other), "{one} and {other}");
        }
    }
}
