//! Numbers as text: one spelling for equal numbers, whatever their type.
//!
//! A column may become text because of a value that arrives later. The numbers that are there are then written by the
//! warehouse (`sql::number_as_text`), and later ones here, so both use the same rules.

/// The least number that has no exact representation as a 64-bit integer because it is too large.
pub(super) const INTEGERS: f64 = 9_223_372_036_854_775_808.0;
/// The least fraction that the warehouse writes without an exponent.
const PLAIN: f64 = 1e-4;

/// Returns the text of a floating point number: as an integer if it is one, otherwise as the warehouse writes it.
pub(super) fn text_of_double(number: f64) -> String {
    let size = number.abs();
    if number.is_nan() {
        return "nan".to_owned();
    }
    if number.fract() == 0.0 && size < INTEGERS {
        // The sign of zero is not a part of the number.
        return format!("{:.0}", if number == 0.0 { 0.0 } else { number });
    }
    if number.is_infinite() || (PLAIN..INTEGERS).contains(&size) {
        return number.to_string();
    }
    let text = format!("{number:e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    match exponent.strip_prefix('-') {
        Some(exponent) => format!("{mantissa}e-{exponent:0>2}"),
        None => format!("{mantissa}e+{exponent:0>2}"),
    }
}
