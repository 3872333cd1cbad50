//! A position in a JSON text, from which values are read eight bytes at a time.
//!
//! Every function returns `None` if the text is not JSON there, or nested deeper than [`MAX_DEPTH`]. None of them parses:
//! they find the ends of values.

use super::page_buffer::Span;

/// The maximum depth of a value: one bit of an integer each.
const MAX_DEPTH: u32 = 128;

/// The highest bit of each of eight bytes.
const HIGH: u64 = repeated(0x80);

/// A byte in each of the eight bytes of an integer.
const fn repeated(byte: u8) -> u64 {
    u64::from_ne_bytes([byte; 8])
}

/// The notation of a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NumberNotation {
    /// Digits, perhaps with a sign.
    Integer,
    /// An integer with a fraction.
    Fraction,
    /// A number with an exponent.
    Exponent,
}

/// A position in a JSON text.
pub(super) struct Cursor<'b> {
    bytes: &'b [u8],
    at: usize,
}

impl<'b> Cursor<'b> {
    /// Creates a cursor at the beginning of `text`.
    pub(super) fn new(text: &'b str) -> Self {
        Self {
            bytes: text.as_bytes(),
            at: 0,
        }
    }

    /// The position in the text.
    #[inline]
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// The text from the position on.
    #[inline]
    pub(super) fn rest(&self) -> &'b [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    /// Returns true at the end of the text.
    pub(super) fn is_at_end(&self) -> bool {
        self.at == self.bytes.len()
    }

    /// Returns the next byte.
    #[inline]
    pub(super) fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    /// Reads a byte.
    #[inline]
    pub(super) fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    /// Skips `count` bytes, which [`rest`](Self::rest) has shown.
    #[inline]
    pub(super) fn skip(&mut self, count: usize) {
        self.at += count;
    }

    /// Skips the byte if it comes next.
    #[inline]
    pub(super) fn accept(&mut self, byte: u8) -> bool {
        let is_next = self.peek() == Some(byte);
        self.at += usize::from(is_next);
        is_next
    }

    /// Returns true if the text has these bytes here.
    #[inline]
    fn is_next<const N: usize>(&self, bytes: &[u8; N]) -> bool {
        self.bytes.get(self.at..self.at + N) == Some(bytes)
    }

    /// Reads a byte that must come next.
    #[inline]
    pub(super) fn expect(&mut self, byte: u8) -> Option<()> {
        self.accept(byte).then_some(())
    }

    /// Skips whitespace.
    #[inline]
    pub(super) fn skip_whitespace(&mut self) {
        // Usually there is none.
        if let Some(..=b' ') = self.peek() {
            self.skip_some_whitespace();
        }
    }

    #[cold]
    fn skip_some_whitespace(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
    }

    /// Returns the span from `start` to the position. The text is known to be shorter than 4 GiB.
    #[inline]
    pub(super) fn span_from(&self, start: usize) -> Span {
        let at = |place| u32::try_from(place).unwrap_or(u32::MAX);
        Span {
            start: at(start),
            end: at(self.at),
        }
    }

    /// Reads what follows a field: the end of its object, or a comma and the whitespace before the next field.
    #[inline]
    pub(super) fn is_object_over(&mut self) -> Option<bool> {
        // In a compact text a comma and a quote follow.
        if self.is_next(b",\"") {
            self.at += 1;
            return Some(false);
        }
        self.is_over(b'}')
    }

    /// Reads what follows an element: the end of its list, or a comma and the whitespace before the next element.
    #[inline]
    pub(super) fn is_list_over(&mut self) -> Option<bool> {
        self.is_over(b']')
    }

    /// Reads the byte that ends a list or an object, or a comma and the whitespace after it.
    #[inline]
    fn is_over(&mut self, end: u8) -> Option<bool> {
        self.skip_whitespace();
        let byte = self.next()?;
        if byte == b',' {
            self.skip_whitespace();
            return Some(false);
        }
        (byte == end).then_some(true)
    }

    /// Reads a colon with the whitespace around it.
    #[inline]
    pub(super) fn colon(&mut self) -> Option<()> {
        self.skip_whitespace();
        self.expect(b':')?;
        self.skip_whitespace();
        Some(())
    }

    /// Reads a name without escapes and its colon. Returns the span of the name. A name with an escape gives `None`.
    #[inline]
    pub(super) fn plain_name(&mut self) -> Option<Span> {
        self.expect(b'"')?;
        let start = self.at;
        self.at = self.special(start)?;
        let name = self.span_from(start);
        self.expect(b'"')?;
        self.colon()?;
        Some(name)
    }

    /// Reads a name and its colon.
    #[inline]
    fn any_name(&mut self) -> Option<()> {
        self.expect(b'"')?;
        self.at = self.special(self.at)?;
        // In a compact text a quote and a colon follow.
        if self.is_next(b"\":") {
            self.at += 2;
            self.skip_whitespace();
            return Some(());
        }
        self.escapes()?;
        self.colon()
    }

    /// Skips `name` and the whitespace after it, if the text has it here.
    #[inline]
    pub(super) fn accept_name(&mut self, name: &[u8]) -> bool {
        let end = self.at + name.len();
        let here = self.bytes.get(self.at..end);
        let is_here = here.is_some_and(|here| is_same(here, name));
        if is_here {
            self.at = end;
            self.skip_whitespace();
        }
        is_here
    }

    /// Reads a value. Returns its span, which is empty for null, and true if it is a text with an escape.
    #[inline]
    pub(super) fn value_span(&mut self) -> Option<(Span, bool)> {
        let start = self.at;
        let is_escaped = match self.peek()? {
            b'n' => {
                self.literal(b"null")?;
                return Some((Span::default(), false));
            }
            b'"' => self.text()?,
            _ => {
                self.value()?;
                false
            }
        };
        Some((self.span_from(start), is_escaped))
    }

    /// Reads a value of any kind.
    pub(super) fn value(&mut self) -> Option<()> {
        // The lists and objects around the position, the innermost in the lowest bit: one for an object.
        let mut around = 0_u128;
        let mut depth = 0;
        loop {
            match self.peek()? {
                b'"' => {
                    self.text()?;
                }
                b'{' | b'[' => {
                    if self.opens(&mut around, &mut depth)? {
                        continue;
                    }
                }
                _ => self.scalar()?,
            }
            // A value has ended.
            loop {
                if depth == 0 {
                    return Some(());
                }
                let is_over = if around & 1 == 1 {
                    let is_over = self.is_object_over()?;
                    if !is_over {
                        self.any_name()?;
                    }
                    is_over
                } else {
                    self.is_list_over()?
                };
                if !is_over {
                    break;
                }
                around >>= 1;
                depth -= 1;
            }
        }
    }

    /// Reads a value that is neither a text nor a list nor an object.
    #[inline]
    fn scalar(&mut self) -> Option<()> {
        match self.peek()? {
            b'n' => self.literal(b"null"),
            b't' => self.literal(b"true"),
            b'f' => self.literal(b"false"),
            _ => self.number().map(drop),
        }
    }

    /// Reads the beginning of a list or an object. Returns true if a value follows, and false if it is empty.
    #[inline]
    fn opens(&mut self, around: &mut u128, depth: &mut u32) -> Option<bool> {
        let is_object = self.next()? == b'{';
        self.skip_whitespace();
        if self.accept(if is_object { b'}' } else { b']' }) {
            return Some(false);
        }
        if *depth == MAX_DEPTH {
            return None;
        }
        *depth += 1;
        *around = *around << 1 | u128::from(is_object);
        if is_object {
            self.any_name()?;
        }
        Some(true)
    }

    /// Reads one of the three literals.
    #[inline]
    pub(super) fn literal<const N: usize>(&mut self, literal: &[u8; N]) -> Option<()> {
        let is_here = self.is_next(literal);
        self.at += N;
        is_here.then_some(())
    }

    /// Reads a number by JSON's grammar, whatever its size.
    #[inline]
    pub(super) fn number(&mut self) -> Option<NumberNotation> {
        let mut notation = NumberNotation::Integer;
        self.accept(b'-');
        if !self.accept(b'0') {
            self.digits()?;
        }
        if self.accept(b'.') {
            self.digits()?;
            notation = NumberNotation::Fraction;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
            notation = NumberNotation::Exponent;
        }
        Some(notation)
    }

    /// Reads at least one digit.
    #[inline]
    fn digits(&mut self) -> Option<()> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        (self.at > start).then_some(())
    }

    /// Reads a text with its quotes; returns true if it has an escape. An escape may name half a surrogate pair, as
    /// `serde_json` accepts it where it does not parse.
    #[inline]
    pub(super) fn text(&mut self) -> Option<bool> {
        self.at = self.special(self.at + 1)?;
        if self.accept(b'"') {
            return Some(false);
        }
        self.escapes()?;
        Some(true)
    }

    /// Reads a text from its first escape to its end.
    #[cold]
    #[inline(never)]
    fn escapes(&mut self) -> Option<()> {
        while !self.accept(b'"') {
            self.expect(b'\\')?;
            match self.next()? {
                b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => {}
                b'u' => {
                    let digits = self.rest().first_chunk::<4>()?;
                    if !digits.iter().all(u8::is_ascii_hexdigit) {
                        return None;
                    }
                    self.at += 4;
                }
                _ => return None,
            }
            self.at = self.special(self.at)?;
        }
        Some(())
    }

    /// Returns the position of the first quote, backslash or control character from `at` on.
    #[inline]
    fn special(&self, mut at: usize) -> Option<usize> {
        let (words, _) = self.bytes.get(at..)?.as_chunks();
        for word in words {
            let found = special_bytes(*word);
            if found != 0 {
                return Some(at + found.trailing_zeros() as usize / 8);
            }
            at += 8;
        }
        self.special_at_end(at)
    }

    /// Returns what [`special`](Self::special) does, near the end of the text.
    #[cold]
    #[inline(never)]
    fn special_at_end(&self, at: usize) -> Option<usize> {
        let rest = self.bytes.get(at..)?;
        let is_special = |byte: &u8| matches!(byte, b'"' | b'\\' | ..0x20);
        Some(at + rest.iter().position(is_special)?)
    }
}

/// Returns the highest bit of each byte that is a quote, a backslash or a control character. Bits above the lowest one
/// may be wrong.
#[inline]
fn special_bytes(eight: [u8; 8]) -> u64 {
    let bytes = u64::from_le_bytes(eight);
    // Exchanges the quote (0x22) with the space (0x20), and control characters with each other: both are below 0x21.
    let quotes_and_controls = (bytes ^ repeated(2)).wrapping_sub(repeated(0x21));
    let backslashes = (bytes ^ repeated(b'\\')).wrapping_sub(repeated(1));
    // A byte of a character beyond ASCII is none of them.
    (quotes_and_controls | backslashes) & !bytes & HIGH
}

/// Compares two names of the same length. Names of 4 to 32 bytes are compared without a call, which would cost more
/// than the comparison.
#[inline]
fn is_same(one: &[u8], other: &[u8]) -> bool {
    let len = other.len();
    if (8..=16).contains(&len) {
        is_same_at_both_ends::<8>(one, other)
    } else if (17..=32).contains(&len) {
        is_same_at_both_ends::<16>(one, other)
    } else if (4..=7).contains(&len) {
        is_same_at_both_ends::<4>(one, other)
    } else {
        one == other
    }
}

/// Compares the first and the last `N` bytes of two texts of the same length.
#[inline]
fn is_same_at_both_ends<const N: usize>(one: &[u8], other: &[u8]) -> bool {
    one.first_chunk::<N>() == other.first_chunk() && one.last_chunk::<N>() == other.last_chunk()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_differ_in_one_byte_are_distinguished() {
        for len in 1..40 {
            let name = vec![b'a'; len];
            assert!(is_same(&name, &name));
            for place in 0..len {
                let mut other = name.clone();
                other[place] = b'b';
                assert!(!is_same(&other, &name), "{len} {place}");
            }
        }
    }

    #[test]
    fn a_text_ends_at_its_quote_wherever_that_is() {
        for len in 0..40 {
            for special in ["\"", "\\", "\u{1f}"] {
                let text = format!(
                    "\"{}{special}",
                    "é ~".chars().cycle().take(len).collect::<String>()
                );
                for rest in ["", "x", "xxxxxxxxxxxxxxxxx\""] {
                    let text = format!("{text}{rest}");
                    let mut cursor = Cursor::new(&text);
                    let is_text = cursor.text() == Some(false);
                    assert_eq!(is_text, special == "\"", "{text}");
                    assert!(!is_text || cursor.rest() == rest.as_bytes(), "{text}");
                }
            }
        }
    }
}
