//! Decimal numbers as text: the digits that they need, and one spelling for equal numbers.

use std::fmt;

/// The largest exponent that is accepted. No decimal column could hold a number beyond it.
const MAX_EXPONENT: i32 = 400;

/// A decimal number, without superfluous zeros.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Decimal {
    negative: bool,
    whole: String,
    fraction: String,
}

impl Decimal {
    /// Reads `-12.50`, `.5`, `1E+5`. Returns `None` if `text` is not a decimal number.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
            None => (text, 0),
        };
        if exponent.abs() > MAX_EXPONENT {
            return None;
        }
        let unsigned = mantissa.strip_prefix(['-', '+']).unwrap_or(mantissa);
        let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
        let digits = format!("{whole}{fraction}");
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        // The position of the point, counted from the left of `digits`; may lie outside.
        let point = i32::try_from(whole.len()).ok()? + exponent;
        let (whole, fraction) = split_at_point(&digits, point);
        let whole = whole.trim_start_matches('0').to_owned();
        let fraction = fraction.trim_end_matches('0').to_owned();
        let negative = mantissa.starts_with('-') && !(whole.is_empty() && fraction.is_empty());
        Some(Self {
            negative,
            whole,
            fraction,
        })
    }

    /// Returns true if `DECIMAL(precision, scale)` holds the number exactly.
    pub(super) fn fits(&self, precision: u8, scale: u8) -> bool {
        self.whole.len() + usize::from(scale) <= usize::from(precision)
            && self.fraction.len() <= usize::from(scale)
    }

    /// The number of digits before and after the point.
    pub(super) fn digits(&self) -> (usize, usize) {
        (self.whole.len(), self.fraction.len())
    }
}

fn split_at_point(digits: &str, point: i32) -> (String, String) {
    match usize::try_from(point) {
        Ok(point) if point <= digits.len() => {
            let (whole, fraction) = digits.split_at(point);
            (whole.to_owned(), fraction.to_owned())
        }
        Ok(point) => (
            format!("{digits}{}", "0".repeat(point - digits.len())),
            String::new(),
        ),
        Err(_) => {
            let zeros = usize::try_from(point.unsigned_abs()).unwrap_or(0);
            (String::new(), format!("{}{digits}", "0".repeat(zeros)))
        }
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.negative { "-" } else { "" };
        let whole = if self.whole.is_empty() {
            "0"
        } else {
            &self.whole
        };
        if self.fraction.is_empty() {
            write!(f, "{sign}{whole}")
        } else {
            write!(f, "{sign}{whole}.{}", self.fraction)
        }
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
    fn what_is_no_number_is_refused() {
        for text in ["", "-", ".", "1,5", "NaN", "1e", "--1", "1e9999", "1 "] {
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
