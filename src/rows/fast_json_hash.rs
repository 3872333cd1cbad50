//! The hash of usual JSON, computed in one pass over its text.
//!
//! It returns `None` for everything unusual (deep nesting, numbers that a 64-bit integer or a double does not hold
//! exactly, halves of surrogate pairs, any error): [`json_hash`](super::json_hash) then hashes the value, by the same
//! rules.

use twox_hash::XxHash3_64;

use super::{
    json_cursor::{Cursor, NumberNotation},
    number,
};

/// The depth from which on a value is unusual: far below the limit of the parser.
const MAX_DEPTH: usize = 64;

/// The size of the hashes for which memory is reserved, in bytes.
const USUAL_BYTES: usize = 256;

/// Hashes bytes with a tag that distinguishes types.
#[inline]
pub(super) fn tagged(tag: u8, bytes: &[u8]) -> u64 {
    XxHash3_64::oneshot_with_seed(u64::from(tag), bytes)
}

/// The hash of a list: its values in their order. `values` has the eight bytes of the hash of each value.
pub(super) fn list(values: &[u8]) -> u64 {
    tagged(b'[', values)
}

/// The hash of an object: the sum of its fields, so that their order does not matter.
#[derive(Default)]
pub(super) struct FieldHashes(u64);

impl FieldHashes {
    /// Adds the hashes of a name and its value.
    pub(super) fn add(&mut self, name: u64, value: u64) {
        let mut pair = [0; 16];
        pair[..8].copy_from_slice(&name.to_le_bytes());
        pair[8..].copy_from_slice(&value.to_le_bytes());
        self.0 = self.0.wrapping_add(tagged(b':', &pair));
    }

    /// Returns the hash of the object.
    pub(super) fn finish(self) -> u64 {
        tagged(b'{', &self.0.to_le_bytes())
    }
}

/// Returns the hash of a JSON text, or `None` if it is unusual.
pub(super) fn hash(text: &str) -> Option<u64> {
    let mut pass = Pass {
        text,
        cursor: Cursor::new(text),
        values: Vec::new(),
    };
    let hash = pass.value(0)?;
    pass.cursor.is_at_end().then_some(hash)
}

struct Pass<'t> {
    text: &'t str,
    cursor: Cursor<'t>,
    /// The hashes of the values in the lists around the position, eight bytes each.
    values: Vec<u8>,
}

impl Pass<'_> {
    fn value(&mut self, depth: usize) -> Option<u64> {
        match self.cursor.peek()? {
            b'"' => self.string(),
            b'{' => self.object(depth),
            b'[' => self.list(depth),
            b'n' => self.cursor.literal(b"null").map(|()| tagged(b'n', b"")),
            b't' => self.cursor.literal(b"true").map(|()| tagged(b't', b"")),
            b'f' => self.cursor.literal(b"false").map(|()| tagged(b'f', b"")),
            _ => self.number(),
        }
    }

    fn object(&mut self, depth: usize) -> Option<u64> {
        self.cursor.expect(b'{')?;
        let mut hashes = FieldHashes::default();
        self.cursor.skip_whitespace();
        let mut is_over = self.cursor.accept(b'}');
        if !is_over && depth == MAX_DEPTH {
            return None;
        }
        while !is_over {
            if self.cursor.peek() != Some(b'"') {
                return None;
            }
            let name = self.string()?;
            self.cursor.colon()?;
            hashes.add(name, self.value(depth + 1)?);
            is_over = self.cursor.is_object_over()?;
        }
        Some(hashes.finish())
    }

    fn list(&mut self, depth: usize) -> Option<u64> {
        self.cursor.expect(b'[')?;
        let start = self.values.len();
        self.cursor.skip_whitespace();
        let mut is_over = self.cursor.accept(b']');
        if !is_over && depth == MAX_DEPTH {
            return None;
        }
        if self.values.capacity() == 0 {
            self.values.reserve(USUAL_BYTES);
        }
        while !is_over {
            let value = self.value(depth + 1)?;
            self.values.extend_from_slice(&value.to_le_bytes());
            is_over = self.cursor.is_list_over()?;
        }
        let hash = list(self.values.get(start..)?);
        self.values.truncate(start);
        Some(hash)
    }

    /// Hashes a text, which begins here.
    fn string(&mut self) -> Option<u64> {
        let start = self.cursor.at();
        let is_escaped = self.cursor.text()?;
        let end = self.cursor.at();
        if is_escaped {
            let text: String = serde_json::from_str(self.text.get(start..end)?).ok()?;
            return Some(tagged(b's', text.as_bytes()));
        }
        let inner = self.text.as_bytes().get(start + 1..end - 1)?;
        Some(tagged(b's', inner))
    }

    fn number(&mut self) -> Option<u64> {
        let start = self.cursor.at();
        let notation = self.cursor.number()?;
        let text = self.text.get(start..self.cursor.at())?;
        match notation {
            // This is a double.
            NumberNotation::Integer if text == "-0" => double(text),
            NumberNotation::Integer if text.starts_with('-') => {
                let number: i64 = text.parse().ok()?;
                Some(tagged(b'-', &number.to_le_bytes()))
            }
            NumberNotation::Integer => {
                let number: u64 = text.parse().ok()?;
                Some(tagged(b'#', &number.to_le_bytes()))
            }
            NumberNotation::Fraction | NumberNotation::Exponent => double(text),
        }
    }
}

/// Returns the hash of a double, or `None` if the text has more digits than a double holds.
fn double(text: &str) -> Option<u64> {
    if number::is_inexact(text) {
        return None;
    }
    let number: f64 = text.parse().ok()?;
    Some(tagged(b'd', &number.to_bits().to_le_bytes()))
}
