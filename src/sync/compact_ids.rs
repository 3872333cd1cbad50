//! Compact encodings for values of which the state contains many.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

/// Encodes an id: a UUID in Prefect's spelling as 22 characters, any other id after a `=`.
pub(super) fn id(id: &str) -> String {
    let bytes = id.as_bytes();
    let is_uuid = bytes.len() == 36
        && bytes.iter().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_digit() || (b'a'..=b'f').contains(byte),
        });
    match u128::from_str_radix(&id.replace('-', ""), 16) {
        Ok(number) if is_uuid => URL_SAFE_NO_PAD.encode(number.to_be_bytes()),
        _ => format!("={id}"),
    }
}

/// Decodes an id that [`id`] encoded.
pub(super) fn parse_id(packed: &str) -> String {
    if let Some(id) = packed.strip_prefix('=') {
        return id.to_owned();
    }
    let number = URL_SAFE_NO_PAD
        .decode(packed)
        .ok()
        .and_then(|bytes| bytes.try_into().ok())
        .map_or(0, u128::from_be_bytes);
    let hex = format!("{number:032x}");
    let mut id = String::with_capacity(36);
    for (at, digit) in hex.chars().enumerate() {
        if matches!(at, 8 | 12 | 16 | 20) {
            id.push('-');
        }
        id.push(digit);
    }
    id
}

/// Returns the size of packed ids in the state, in bytes, with quotes and a comma.
pub(super) fn weight(ids: &std::collections::BTreeSet<String>) -> usize {
    ids.len() * 25
}

/// Encodes a 64-bit hash as 11 characters.
pub(super) fn hash(hash: u64) -> String {
    URL_SAFE_NO_PAD.encode(hash.to_be_bytes())
}

/// Decodes a hash that [`hash`] encoded.
pub(super) fn parse_hash(text: &str) -> Option<u64> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    Some(u64::from_be_bytes(bytes.try_into().ok()?))
}

/// A UUID as a number, serialized as a packed id.
pub(super) mod uuid {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    /// Returns the number of an id that is a UUID in Prefect's spelling. Numbers sort like ids.
    pub(crate) fn of(id: &str) -> Option<u128> {
        from_packed(&super::id(id))
    }

    fn from_packed(packed: &str) -> Option<u128> {
        let bytes = URL_SAFE_NO_PAD.decode(packed).ok()?;
        bytes.try_into().ok().map(u128::from_be_bytes)
    }

    pub(crate) fn serialize<S: Serializer>(
        number: &u128,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&URL_SAFE_NO_PAD.encode(number.to_be_bytes()))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<u128, D::Error> {
        let packed = String::deserialize(deserializer)?;
        from_packed(&packed).ok_or_else(|| D::Error::custom("an id is damaged"))
    }
}

/// Fingerprints by packed id.
pub(super) mod fingerprints {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(crate) fn serialize<S: Serializer>(
        rows: &BTreeMap<String, u64>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_map(rows.iter().map(|(id, hash)| (id, super::hash(*hash))))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<String, u64>, D::Error> {
        BTreeMap::<String, String>::deserialize(deserializer)?
            .into_iter()
            .map(|(id, text)| match super::parse_hash(&text) {
                Some(hash) => Ok((id, hash)),
                None => Err(D::Error::custom("a fingerprint is damaged")),
            })
            .collect()
    }
}

/// Fingerprints without ids: eight bytes each, as one base64 text.
pub(super) mod hashes {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(crate) fn serialize<'a, S: Serializer>(
        hashes: impl IntoIterator<Item = &'a u64>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let bytes: Vec<u8> = hashes
            .into_iter()
            .flat_map(|hash| hash.to_be_bytes())
            .collect();
        serializer.serialize_str(&URL_SAFE_NO_PAD.encode(bytes))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>, C: FromIterator<u64>>(
        deserializer: D,
    ) -> Result<C, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(D::Error::custom)?;
        let (hashes, rest) = bytes.as_chunks::<8>();
        if rest.is_empty() {
            Ok(hashes
                .iter()
                .map(|hash| u64::from_be_bytes(*hash))
                .collect())
        } else {
            Err(D::Error::custom("a fingerprint is truncated"))
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ids_are_short_and_never_confused() {
        assert_eq!(
            id("00000000-0000-0000-0000-000000000001"),
            "AAAAAAAAAAAAAAAAAAAAAQ"
        );
        assert_eq!(id("AAAAAAAAAAAAAAAAAAAAAQ"), "=AAAAAAAAAAAAAAAAAAAAAQ");
        assert_eq!(
            id("0000000A-0000-0000-0000-000000000001"),
            "=0000000A-0000-0000-0000-000000000001"
        );
    }

    proptest! {
        #[test]
        fn ids_come_back(number: u128, other in ".{1,40}") {
            let packed = id(&parse_id(&URL_SAFE_NO_PAD.encode(number.to_be_bytes())));
            prop_assert_eq!(&packed, &URL_SAFE_NO_PAD.encode(number.to_be_bytes()));
            prop_assert_eq!(packed.len(), 22);
            prop_assert_eq!(parse_id(&id(&other)), other);
        }

        #[test]
        fn hashes_come_back(number: u64) {
            prop_assert_eq!(hash(number).len(), 11);
            prop_assert_eq!(parse_hash(&hash(number)), Some(number));
        }
    }
}
