//! Short spellings for what the state holds many of.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

/// An id in 22 characters when it is a UUID as Prefect spells it, else behind a `=`.
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

/// A 64-bit hash in 11 characters.
pub(super) fn hash(hash: u64) -> String {
    URL_SAFE_NO_PAD.encode(hash.to_be_bytes())
}

/// The hash that [`hash`] spelled.
pub(super) fn parse_hash(text: &str) -> Option<u64> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    Some(u64::from_be_bytes(bytes.try_into().ok()?))
}

/// Hashes in the state: a list of 11 characters each.
pub(super) mod hashes {
    use std::collections::BTreeSet;

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(crate) fn serialize<S: Serializer>(
        hashes: &BTreeSet<u64>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(hashes.iter().map(|hash| super::hash(*hash)))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeSet<u64>, D::Error> {
        Vec::<String>::deserialize(deserializer)?
            .iter()
            .map(|text| {
                super::parse_hash(text).ok_or_else(|| D::Error::custom("a hash is damaged"))
            })
            .collect()
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
        fn hashes_come_back(number: u64) {
            prop_assert_eq!(hash(number).len(), 11);
            prop_assert_eq!(parse_hash(&hash(number)), Some(number));
        }
    }
}
