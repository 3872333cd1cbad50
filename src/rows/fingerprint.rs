//! 64-bit fingerprints, by which changed rows are found.

use twox_hash::XxHash3_64;

use super::{json_hash::hash_json, row::Row, value::ValueRef};

/// Returns the fingerprint of a row, over all columns that are not volatile.
///
/// The fingerprint is stored in the state, so it must not depend on the machine or the build: xxh3 over tagged,
/// length-prefixed values. JSON counts by its meaning, not by its bytes: the order of an object's fields and the
/// spacing do not matter. A number with more digits than a 64-bit integer or a double holds counts by its digits.
pub fn fingerprint(row: &Row) -> u64 {
    let mut bytes = Vec::with_capacity(1024);
    for (name, value) in row.counted() {
        if !value.is_null() {
            bytes.extend_from_slice(&name.to_le_bytes());
            write_value(&mut bytes, value);
        }
    }
    XxHash3_64::oneshot(&bytes)
}

/// Returns the six characters that represent a column's name in the state.
pub fn hash_name(name: &str) -> String {
    format!("{:06x}", XxHash3_64::oneshot(name.as_bytes()) & 0xff_ffff)
}

/// Appends the bytes that represent a value in a fingerprint.
fn write_value(bytes: &mut Vec<u8>, value: ValueRef<'_>) {
    match value {
        ValueRef::Null => {}
        ValueRef::String(text) => {
            bytes.push(b's');
            write_text(bytes, text);
        }
        ValueRef::Boolean(yes) => bytes.push(if yes { b't' } else { b'f' }),
        ValueRef::Long(number) => {
            bytes.push(b'l');
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        ValueRef::Double(number) => {
            bytes.push(b'd');
            bytes.extend_from_slice(&number.to_bits().to_le_bytes());
        }
        ValueRef::UtcDatetime(instant) => {
            bytes.push(b'u');
            bytes.extend_from_slice(&instant.timestamp_micros().to_le_bytes());
        }
        ValueRef::Json(text) => {
            bytes.push(b'j');
            match hash_json(text) {
                Ok(hash) => bytes.extend_from_slice(&hash.to_le_bytes()),
                // Nested too deep for the parser, or with a lone surrogate: hashed by its bytes.
                Err(_) => write_text(bytes, text),
            }
        }
    }
}

fn write_text(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend_from_slice(&(text.len() as u64).to_le_bytes());
    bytes.extend_from_slice(text.as_bytes());
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
