//! The hash of JSON by its meaning, not by its bytes: the order of an object's fields and the spacing do not matter.

use std::{cell::Cell, fmt};

use serde::{
    Deserializer,
    de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use super::{
    fast_json_hash::{self, FieldHashes, list, tagged},
    number,
};

/// Returns the hash of a JSON text. A number with more digits than a 64-bit integer or a double holds counts by its
/// digits. Fails if the text is nested too deep for the parser, or has half a surrogate pair.
pub(super) fn hash_json(text: &str) -> Result<u64, serde_json::Error> {
    // The two most frequent values.
    if matches!(text, "{}" | "[]") {
        return Ok(tagged(text.as_bytes()[0], b""));
    }
    match fast_json_hash::hash(text) {
        Some(hash) => Ok(hash),
        None => hash_any(text),
    }
}

/// Returns the hash of a JSON text of any kind.
pub(super) fn hash_any(text: &str) -> Result<u64, serde_json::Error> {
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
            Ok(tagged(b'i', number::normalised(text).as_bytes()))
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

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<u64, A::Error> {
        let mut hashes = Vec::new();
        while let Some(raw) = values.next_element::<&RawValue>()? {
            let hash = by_digits(raw.get()).map_err(A::Error::custom)?;
            hashes.extend_from_slice(&hash.to_le_bytes());
        }
        Ok(list(&hashes))
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

/// Hashes a JSON value. The parser bounds the depth (128 levels).
#[derive(Clone, Copy)]
struct Json<'a> {
    /// Set when a number is read that is not a 64-bit integer.
    has_float: &'a Cell<bool>,
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
        Ok(tagged(b'n', b""))
    }

    fn visit_bool<E>(self, yes: bool) -> Result<u64, E> {
        Ok(tagged(if yes { b't' } else { b'f' }, b""))
    }

    fn visit_i64<E>(self, number: i64) -> Result<u64, E> {
        Ok(tagged(b'-', &number.to_le_bytes()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<u64, E> {
        Ok(tagged(b'#', &number.to_le_bytes()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<u64, E> {
        self.has_float.set(true);
        Ok(tagged(b'd', &number.to_bits().to_le_bytes()))
    }

    fn visit_str<E>(self, text: &str) -> Result<u64, E> {
        Ok(tagged(b's', text.as_bytes()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<u64, A::Error> {
        let mut hashes = Vec::new();
        while let Some(hash) = values.next_element_seed(self)? {
            hashes.extend_from_slice(&hash.to_le_bytes());
        }
        Ok(list(&hashes))
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
    use proptest::prelude::*;

    use super::*;

    /// Hashes a text in both ways. Returns true if the fast one accepts it.
    fn is_fast(text: &str) -> bool {
        let fast = fast_json_hash::hash(text);
        if let Some(fast) = fast {
            let any = hash_any(text);
            assert_eq!(any.ok(), Some(fast), "{text}");
        }
        fast.is_some()
    }

    #[test]
    fn usual_values_are_hashed_fast() {
        for text in [
            r#"{"a":[1,-2,0.5,1e5,-0,{"b":{}},[],[[null,true,false]]],"b":"x"}"#,
            r#"{ "a" : [ 1 , 2 ] , "a" : "\u00e4\n" }"#,
            "18446744073709551615",
            "-9223372036854775808",
            "-0.0e5",
            r#""""#,
        ] {
            assert!(is_fast(text), "{text}");
        }
    }

    #[test]
    fn unusual_values_are_left_to_the_parser() {
        let deep = format!("{}1{}", "[".repeat(100), "]".repeat(100));
        for text in [
            "18446744073709551616",
            "-9223372036854775809",
            "0.10000000000000000000001",
            "1e400",
            r#""\ud800""#,
            r#"{"\ud800":1}"#,
            "[1,]",
            "[1}",
            "{1:2}",
            "{\"a\":1,}",
            "[1] 2",
            "",
            &deep,
        ] {
            assert!(!is_fast(text), "{text}");
        }
    }

    /// Generates a JSON text.
    fn any_text() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            prop::sample::select(&["null", "true", "false", "{}", "[]", "-0", "1E2", "1e400"][..])
                .prop_map(str::to_owned),
            any::<u64>().prop_map(|number| number.to_string()),
            any::<i64>().prop_map(|number| number.to_string()),
            any::<f64>()
                .prop_filter("finite", |number| number.is_finite())
                .prop_map(|number| serde_json::to_string(&number).unwrap_or_default()),
            "-?[1-9][0-9]{0,24}(\\.[0-9]{1,24})?(e-?[0-9]{1,3})?",
            ".{0,20}".prop_map(|text| serde_json::Value::from(text).to_string()),
        ];
        leaf.prop_recursive(4, 30, 5, |inner| {
            let name = ".{0,9}".prop_map(|text| serde_json::Value::from(text).to_string());
            let field = (name, inner.clone()).prop_map(|(name, value)| format!("{name} :{value}"));
            prop_oneof![
                prop::collection::vec(inner, 0..5)
                    .prop_map(|values| format!("[{}]", values.join(" ,"))),
                prop::collection::vec(field, 0..5)
                    .prop_map(|fields| format!("{{{}}}", fields.join(", "))),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1024))]

        #[test]
        fn both_ways_give_the_same_hash(text in any_text()) {
            is_fast(&text);
        }
    }
}
