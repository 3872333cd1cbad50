//! Decimal numbers as text: the digits that they need, and one spelling for equal numbers.

use std::fmt;

use bigdecimal::{BigDecimal, Zero};

/// The largest exponent that is accepted. No decimal column could hold a number beyond it.
const MAX_EXPONENT: u32 = 400;

/// A decimal number, without superfluous zeros.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Decimal(BigDecimal);

impl Decimal {
    /// Reads `-12.50`, `.5`, `1E+5`. Returns `None` if `text` is not a decimal number.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let exponent: i32 = exponent.parse().ok()?;
        let unsigned = mantissa.strip_prefix(['-', '+']).unwrap_or(mantissa);
        // The library also accepts underscores, and a sign after the point.
        let is_plain = unsigned
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'.');
        if !is_plain || exponent.unsigned_abs() > MAX_EXPONENT {
            return None;
        }
        let number: BigDecimal = text.parse().ok()?;
        Some(Self(number.normalized()))
    }

    /// Returns true if `DECIMAL(precision, scale)` holds the number exactly.
    pub(super) fn fits(&self, precision: u8, scale: u8) -> bool {
        let (whole, fraction) = self.digits();
        whole + usize::from(scale) <= usize::from(precision) && fraction <= usize::from(scale)
    }

    /// The number of digits before and after the point.
    pub(super) fn digits(&self) -> (usize, usize) {
        if self.0.is_zero() {
            return (0, 0);
        }
        let fraction = self.0.fractional_digit_count();
        let whole = self.0.digits().saturating_add_signed(-fraction);
        let fraction = u64::try_from(fraction).unwrap_or(0);
        [whole, fraction]
            .map(|count| usize::try_from(count).unwrap_or(usize::MAX))
            .into()
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.write_plain_string(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: &str) -> Option<String> {
        Decimal::parse(text).map(|decimal| decimal.to_string())
    }

    #[test]
    fn equal_numbers_have_one_spelling() {
        for text in ["12.5", "012.50", "+12.5", "1.25e1", "125E-1"] {
            assert_eq!(plain(text).as_deref(), Some("12.5"), "{text}");
        }
        for text in ["0", "-0", "0.00", ".0", "0e9"] {
            assert_eq!(plain(text).as_deref(), Some("0"), "{text}");
        }
        assert_eq!(plain("-1E+5").as_deref(), Some("-100000"));
        assert_eq!(plain("1e-3").as_deref(), Some("0.001"));
    }

    #[test]
    fn texts_that_are_not_numbers_are_rejected() {
        for text in [
            "", "-", ".", "1,5", "NaN", "1e", "--1", "1e9999", "1 ", "1_0", ".+5",
        ] {
            assert_eq!(plain(text), None, "{text}");
        }
    }

    #[test]
    fn fits_counts_digits_on_both_sides() {
        let number = Decimal::parse("123.45").unwrap();
        assert!(number.fits(5, 2));
        assert!(!number.fits(4, 2));
        assert!(!number.fits(5, 1));
        assert!(!number.fits(5, 3));
    }
}
