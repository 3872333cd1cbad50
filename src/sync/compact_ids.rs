//! Compact encodings for values of which the state contains many.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

/// Not a digit; see [`DIGITS`].
const NO_DIGIT: u8 = 0xff;

/// The value of each byte as a hexadecimal digit in Prefect's spelling, which has lower-case letters.
const DIGITS: [u8; 256] = {
    let mut digits = [NO_DIGIT; 256];
    let mut value = 0;
    while value < 16 {
        digits[b"0123456789abcdef"[value as usize] as usize] = value;
        value += 1;
    }
    digits
};

/// The positions of the first digits of a UUID's bytes in its text.
const PLACES: [usize; 16] = [0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34];

/// The positions of the hyphens in the text of a UUID.
const HYPHENS: [usize; 4] = [8, 13, 18, 23];

/// Returns the bytes of an id that is a UUID in Prefect's spelling.
fn uuid_bytes(id: &str) -> Option<[u8; 16]> {
    let text: &[u8; 36] = id.as_bytes().try_into().ok()?;
    let mut bytes = [0; 16];
    // The bits that no digit has: set if any byte is not a digit.
    let mut all = 0;
    for (byte, place) in bytes.iter_mut().zip(PLACES) {
        let high = DIGITS[usize::from(text[place])];
        let low = DIGITS[usize::from(text[place + 1])];
        all |= high | low;
        *byte = high << 4 | low & 0xf;
    }
    let is_uuid = all < 16 && HYPHENS.iter().all(|place| text[*place] == b'-');
    is_uuid.then_some(bytes)
}

/// The characters of base64 for URLs.
const ALPHABET: [u8; 64] = *b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Encodes a few bytes as base64 for URLs, without padding. (The encoder for any length needs several times as many
/// instructions.)
fn encode_short(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 4 / 3 + 1);
    for group in bytes.chunks(3) {
        let mut number = [0; 4];
        number[1..=group.len()].copy_from_slice(group);
        let number = u32::from_be_bytes(number);
        // Each character has six bits, and a group has one character more than bytes.
        for place in 0..=group.len() {
            let digit = number >> (18 - 6 * place) & 0x3f;
            text.push(ALPHABET[digit as usize].into());
        }
    }
    text
}

/// Encodes an id: a UUID in Prefect's spelling as 22 characters, any other id after a `=`.
pub(super) fn id(id: &str) -> String {
    match uuid_bytes(id) {
        Some(bytes) => encode_short(&bytes),
        None => format!("={id}"),
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
    encode_short(&hash.to_be_bytes())
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
    pub(crate) fn number(id: &str) -> Option<u128> {
        super::uuid_bytes(id).map(u128::from_be_bytes)
    }

    fn from_packed(packed: &str) -> Option<u128> {
        let bytes = URL_SAFE_NO_PAD.decode(packed).ok()?;
        bytes.try_into().ok().map(u128::from_be_bytes)
    }

    pub(crate) fn serialize<S: Serializer>(
        number: &u128,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&super::encode_short(&number.to_be_bytes()))
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

    #[test]
    fn a_text_that_is_almost_a_uuid_is_encoded_as_another_id() {
        let uuid = "0123abcd-4567-89ef-0123-456789abcdef";
        assert_eq!(parse_id(&id(uuid)), uuid);
        for place in 0..uuid.len() {
            for other in ["g", "A", "/", ":", "`", "é", "", "00"] {
                let mut text = uuid.to_owned();
                text.replace_range(place..=place, other);
                assert_eq!(id(&text), format!("={text}"));
            }
        }
        for place in HYPHENS {
            let mut text = uuid.to_owned();
            text.replace_range(place..=place, "0");
            assert_eq!(id(&text), format!("={text}"));
        }
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
        fn short_bytes_are_encoded_as_by_the_general_encoder(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            prop_assert_eq!(encode_short(&bytes), URL_SAFE_NO_PAD.encode(&bytes));
        }

        #[test]
        fn hashes_come_back(number: u64) {
            prop_assert_eq!(hash(number).len(), 11);
            prop_assert_eq!(parse_hash(&hash(number)), Some(number));
        }
    }
}
