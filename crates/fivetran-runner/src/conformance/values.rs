//! Checks of values against their column's declaration, and their digests and texts.

use std::fmt::Write as _;

use chrono::DateTime;
use prost_types::Timestamp;
use serde::de::IgnoredAny;
use twox_hash::XxHash3_64;

use super::super::{decimal::Decimal, value::micros};
use fivetran_proto::{DataType, DataTypeParams, data_type_params::Params, value_type::Inner};

/// The seconds of a day.
const DAY: i64 = 24 * 60 * 60;

/// The fault of a value.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ValueFault {
    /// The value's type differs from the declared one.
    Type(String),
    /// The value is not valid for its own type.
    Malformed(String),
}

/// Checks a value of a column, which may be declared with a type or not at all.
pub(super) fn check(
    value: &Inner,
    declared: Option<(DataType, Option<DataTypeParams>)>,
) -> Option<ValueFault> {
    if let Some(why) = malformed(value) {
        return Some(ValueFault::Malformed(why.to_owned()));
    }
    let (kind, params) = declared?;
    if !is_of(value, kind) {
        let text = format!("{} in a column of type {}", name(value), kind.as_str_name());
        return Some(ValueFault::Type(text));
    }
    too_wide(value, params?.params?).map(ValueFault::Malformed)
}

/// Returns true for a date with a time of day.
pub(super) fn has_time_of_day(value: &Inner) -> bool {
    let Inner::NaiveDate(time) = value else {
        return false;
    };
    time.seconds.rem_euclid(DAY) != 0 || time.nanos != 0
}

fn malformed(value: &Inner) -> Option<&'static str> {
    match value {
        Inner::Json(text) if serde_json::from_str::<IgnoredAny>(text).is_err() => {
            Some("invalid JSON")
        }
        Inner::Decimal(text) if Decimal::parse(text).is_none() => {
            Some("a decimal that is not a number")
        }
        Inner::NaiveDate(time)
        | Inner::NaiveDatetime(time)
        | Inner::UtcDatetime(time)
        | Inner::NaiveTime(time)
            if micros(time).is_none() =>
        {
            Some("a time outside the years 1 to 9999, or with nanoseconds that exceed a second")
        }
        _ => None,
    }
}

fn is_of(value: &Inner, kind: DataType) -> bool {
    use DataType as D;
    match value {
        Inner::Null(_) => true,
        _ if kind == D::Unspecified => true,
        Inner::Bool(_) => kind == D::Boolean,
        Inner::Short(_) => matches!(kind, D::Short | D::Int | D::Long | D::Decimal),
        Inner::Int(_) => matches!(kind, D::Int | D::Long | D::Decimal),
        Inner::Long(_) => matches!(kind, D::Long | D::Decimal),
        Inner::Float(_) => matches!(kind, D::Float | D::Double),
        Inner::Double(_) => kind == D::Double,
        Inner::NaiveDate(_) => kind == D::NaiveDate,
        Inner::NaiveDatetime(_) => kind == D::NaiveDatetime,
        Inner::UtcDatetime(_) => kind == D::UtcDatetime,
        Inner::NaiveTime(_) => kind == D::NaiveTime,
        Inner::Decimal(_) => kind == D::Decimal,
        Inner::Binary(_) => kind == D::Binary,
        Inner::String(_) => kind == D::String,
        Inner::Json(_) => kind == D::Json,
        Inner::Xml(_) => kind == D::Xml,
    }
}

fn too_wide(value: &Inner, params: Params) -> Option<String> {
    match (value, params) {
        (Inner::Decimal(text), Params::Decimal(digits)) => {
            let (precision, scale) = (digits.precision as usize, digits.scale as usize);
            let (whole, fraction) = Decimal::parse(text)?.digits();
            let fits = whole + scale <= precision && fraction <= scale;
            let text =
                format!("a decimal with more digits than DECIMAL({precision},{scale}) allows");
            (!fits).then_some(text)
        }
        (Inner::String(text), Params::StringByteLength(most)) => {
            let most = usize::try_from(most).unwrap_or(0);
            let (length, declared) = (text.len(), most > 0);
            let text = format!("a string of {length} bytes where {most} are declared");
            (declared && length > most).then_some(text)
        }
        _ => None,
    }
}

/// The protocol's name of the value's type.
fn name(value: &Inner) -> &'static str {
    match value {
        Inner::Null(_) => "null",
        Inner::Bool(_) => "bool",
        Inner::Short(_) => "short",
        Inner::Int(_) => "int",
        Inner::Long(_) => "long",
        Inner::Float(_) => "float",
        Inner::Double(_) => "double",
        Inner::NaiveDate(_) => "naive_date",
        Inner::NaiveDatetime(_) => "naive_datetime",
        Inner::UtcDatetime(_) => "utc_datetime",
        Inner::NaiveTime(_) => "naive_time",
        Inner::Decimal(_) => "decimal",
        Inner::Binary(_) => "binary",
        Inner::String(_) => "string",
        Inner::Json(_) => "json",
        Inner::Xml(_) => "xml",
    }
}

/// A hash that is equal for values that land as the same; `None` for null. JSON is compared by its meaning.
pub(super) fn digest(value: &Inner) -> Option<u64> {
    let time = |tag: u8, time: &Timestamp| {
        let mut bytes = vec![tag];
        bytes.extend_from_slice(&time.seconds.to_le_bytes());
        bytes.extend_from_slice(&time.nanos.to_le_bytes());
        XxHash3_64::oneshot(&bytes)
    };
    let tagged = |tag: u8, bytes: &[u8]| XxHash3_64::oneshot_with_seed(tag.into(), bytes);
    Some(match value {
        Inner::Null(_) => return None,
        Inner::Bool(flag) => tagged(1, &[u8::from(*flag)]),
        Inner::Short(number) | Inner::Int(number) => tagged(2, &i64::from(*number).to_le_bytes()),
        Inner::Long(number) => tagged(2, &number.to_le_bytes()),
        Inner::Float(number) => tagged(3, &f64::from(*number).to_le_bytes()),
        Inner::Double(number) => tagged(3, &number.to_le_bytes()),
        Inner::NaiveDate(instant) => time(4, instant),
        Inner::NaiveDatetime(instant) => time(5, instant),
        Inner::UtcDatetime(instant) => time(6, instant),
        Inner::NaiveTime(instant) => time(7, instant),
        Inner::Decimal(text) => {
            let number = Decimal::parse(text);
            tagged(
                8,
                number.map_or(text.clone(), |it| it.to_string()).as_bytes(),
            )
        }
        Inner::Binary(bytes) => tagged(9, bytes),
        Inner::String(text) | Inner::Xml(text) => tagged(10, text.as_bytes()),
        Inner::Json(text) => match serde_json::from_str::<serde_json::Value>(text) {
            // The output has sorted keys, whatever their order in the text.
            Ok(value) => tagged(11, value.to_string().as_bytes()),
            Err(_) => tagged(11, text.as_bytes()),
        },
    })
}

/// The text of a key's value for the report; `None` for null.
pub(super) fn shown(value: &Inner) -> Option<String> {
    Some(match value {
        Inner::Null(_) => return None,
        Inner::Bool(flag) => flag.to_string(),
        Inner::Short(number) | Inner::Int(number) => number.to_string(),
        Inner::Long(number) => number.to_string(),
        Inner::Float(number) => number.to_string(),
        Inner::Double(number) => number.to_string(),
        Inner::NaiveDate(time)
        | Inner::NaiveDatetime(time)
        | Inner::UtcDatetime(time)
        | Inner::NaiveTime(time) => u32::try_from(time.nanos)
            .ok()
            .and_then(|nanos| DateTime::from_timestamp(time.seconds, nanos))
            .map_or_else(
                || format!("{}s {}ns", time.seconds, time.nanos),
                |time| time.format("%Y-%m-%dT%H:%M:%S%.fZ").to_string(),
            ),
        Inner::Decimal(text) => text.clone(),
        Inner::Binary(bytes) => bytes.iter().fold("0x".to_owned(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        }),
        Inner::String(text) | Inner::Json(text) | Inner::Xml(text) => format!("{text:?}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use fivetran_proto::DecimalParams;

    #[test]
    fn only_lossless_widening_is_as_declared() {
        let fits = [
            (Inner::Short(1), DataType::Long),
            (Inner::Long(1), DataType::Decimal),
            (Inner::Float(1.0), DataType::Double),
            (Inner::Null(true), DataType::Json),
            (Inner::Bool(true), DataType::Unspecified),
        ];
        for (value, kind) in fits {
            assert_eq!(
                check(&value, Some((kind, None))),
                None,
                "{value:?} {kind:?}"
            );
        }
        let misfits = [
            (Inner::Long(1), DataType::Int),
            (Inner::Double(1.0), DataType::Float),
            (Inner::Long(1), DataType::String),
            (Inner::String("{}".into()), DataType::Json),
            (Inner::Bool(true), DataType::Long),
        ];
        for (value, kind) in misfits {
            let misfit = check(&value, Some((kind, None)));
            assert!(
                matches!(misfit, Some(ValueFault::Type(_))),
                "{value:?} {kind:?}"
            );
        }
    }

    #[test]
    fn values_are_what_their_type_says() {
        let digits = DataTypeParams {
            params: Some(Params::Decimal(DecimalParams {
                precision: 5,
                scale: 2,
            })),
        };
        let bytes = DataTypeParams {
            params: Some(Params::StringByteLength(3)),
        };
        let late = Timestamp {
            seconds: i64::MAX,
            nanos: 0,
        };
        let cases = [
            (Inner::Json("{".into()), None),
            (Inner::Decimal("1,5".into()), None),
            (Inner::UtcDatetime(late), None),
            (
                Inner::Decimal("1.234".into()),
                Some((DataType::Decimal, Some(digits))),
            ),
            (
                Inner::String("four".into()),
                Some((DataType::String, Some(bytes))),
            ),
        ];
        for (value, declared) in cases {
            let misfit = check(&value, declared);
            assert!(
                matches!(misfit, Some(ValueFault::Malformed(_))),
                "{value:?}"
            );
        }
        let fits = Inner::Decimal("123.450".into());
        assert_eq!(check(&fits, Some((DataType::Decimal, Some(digits)))), None);
    }

    #[test]
    fn dates_are_at_midnight() {
        let date = |seconds, nanos| Inner::NaiveDate(Timestamp { seconds, nanos });
        assert!(!has_time_of_day(&date(-2 * DAY, 0)) && !has_time_of_day(&date(DAY, 0)));
        assert!(has_time_of_day(&date(-3_600, 0)) && has_time_of_day(&date(0, 1)));
        let time = Timestamp {
            seconds: 1,
            nanos: 0,
        };
        assert!(!has_time_of_day(&Inner::NaiveDatetime(time)));
    }

    #[test]
    fn equal_rows_have_equal_digests() {
        let same = [
            (Inner::Int(5), Inner::Long(5)),
            (
                Inner::Json(r#"{"a":1,"b":2}"#.into()),
                Inner::Json(r#"{"b": 2, "a": 1}"#.into()),
            ),
            (Inner::Decimal("1.50".into()), Inner::Decimal("1.5".into())),
        ];
        for (one, other) in same {
            assert_eq!(digest(&one), digest(&other));
        }
        assert_ne!(digest(&Inner::Long(1)), digest(&Inner::String("1".into())));
        assert_eq!(digest(&Inner::Null(true)), None);
    }
}
