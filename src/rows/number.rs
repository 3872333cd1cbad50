//! JSON numbers with more digits than the types of this program hold.

/// Returns true if a JSON text contains an inexact number; see [`is_inexact`].
pub(super) fn has_inexact(text: &str) -> bool {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'"' => at = end_of_string(bytes, at),
            b'-' | b'0'..=b'9' => {
                let is_part =
                    |byte: &u8| matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9');
                let len = bytes[at..].iter().take_while(|byte| is_part(byte)).count();
                if is_inexact(&text[at..at + len]) {
                    return true;
                }
                at += len;
            }
            _ => at += 1,
        }
    }
    false
}

/// The position after the string that begins at `at`.
fn end_of_string(bytes: &[u8], at: usize) -> usize {
    let mut at = at + 1;
    let ends = |byte: &u8| matches!(byte, b'"' | b'\\');
    while let Some(length) = bytes.get(at..).and_then(|rest| rest.iter().position(ends)) {
        at += length;
        if bytes[at] == b'"' {
            return at + 1;
        }
        at += 2;
    }
    bytes.len()
}

/// Returns true if parsing the number loses digits. That applies to an integer beyond 64 bits, and to a decimal
/// with more digits than the nearest double needs.
pub(super) fn is_inexact(number: &str) -> bool {
    // A double distinguishes all numbers of 15 digits, and a 64-bit integer even longer ones.
    if number.len() <= 15 && !number.contains(['e', 'E']) {
        return false;
    }
    if !number.contains(['.', 'e', 'E']) {
        return number.parse::<i64>().is_err() && number.parse::<u64>().is_err();
    }
    match number.parse::<f64>() {
        Ok(double) => decimal(number) != decimal(&format!("{double:e}")),
        Err(_) => true,
    }
}

/// Returns a form that all texts of one number share. Integers and decimals have different forms, as they also
/// differ when parsed.
pub(super) fn normalised(number: &str) -> String {
    if !number.contains(['.', 'e', 'E']) {
        return number.to_owned();
    }
    match decimal(number) {
        Some((is_negative, digits, exponent)) => {
            let sign = if is_negative { "-" } else { "" };
            format!("{sign}{digits}e{exponent}")
        }
        None => number.to_owned(),
    }
}

/// Returns the sign, the digits without zeros at either end, and the power of ten of the last digit. Returns
/// `None` if the exponent is out of range.
fn decimal(number: &str) -> Option<(bool, String, i64)> {
    let (is_negative, number) = match number.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, number),
    };
    let (mantissa, exponent) = match number.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().ok()?),
        None => (number, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let without_end = digits.trim_end_matches('0');
    let zeros = digits.len() - without_end.len();
    let digits = without_end.trim_start_matches('0');
    if digits.is_empty() {
        return Some((is_negative, String::new(), 0));
    }
    let places = i64::try_from(zeros).ok()? - i64::try_from(fraction.len()).ok()?;
    Some((
        is_negative,
        digits.to_owned(),
        exponent.checked_add(places)?,
    ))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_that_a_double_holds_exactly_are_recognised() {
        for exact in [
            "0",
            "-0.0",
            "-0.0e5",
            "1.10",
            "0.30000000000000004",
            "1e23",
            "5e-324",
            "1E+2",
            "18446744073709551615",
            "-9223372036854775808",
            "100000000000000000000.0",
        ] {
            assert!(!is_inexact(exact), "{exact}");
        }
        for inexact in [
            "18446744073709551616",
            "-9223372036854775809",
            "0.10000000000000000001",
            "1e-400",
            "1.7976931348623157e308000000000000000000000",
            "123456789012345678901.0",
        ] {
            assert!(is_inexact(inexact), "{inexact}");
        }
        assert!(!has_inexact(
            r#"{"18446744073709551616":["\"18446744073709551616",-1.5]}"#
        ));
        assert!(has_inexact(r#"{"a\\":[1,{"b":-18446744073709551616}]}"#));
    }

    proptest! {
        #[test]
        fn every_double_is_exact_as_it_is_printed(double in any::<f64>().prop_filter("finite", |it| it.is_finite())) {
            let (plain, short) = (format!("{double:?}"), format!("{double:e}"));
            prop_assert!(!is_inexact(&plain), "{}", plain);
            prop_assert!(!short.contains('e') || !is_inexact(&short), "{}", short);
        }
    }
}
