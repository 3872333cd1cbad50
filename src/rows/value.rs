//! One typed value of a row.

use chrono::{DateTime, Datelike, NaiveDate, Utc};
use serde::de::DeserializeOwned;

use crate::tables::ColumnType;

/// A value with the type of its column, or null.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// No value.
    Null,
    /// See [`ColumnType::String`].
    String(String),
    /// See [`ColumnType::Boolean`].
    Boolean(bool),
    /// See [`ColumnType::Long`].
    Long(i64),
    /// See [`ColumnType::Double`].
    Double(f64),
    /// See [`ColumnType::UtcDatetime`].
    UtcDatetime(DateTime<Utc>),
    /// See [`ColumnType::Json`]: the text, byte for byte.
    Json(String),
}

/// The error for a JSON value that does not fit the column's type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Misfit;

impl Value {
    /// Reads a JSON value as `kind`; JSON `null` is [`Value::Null`] for every kind.
    ///
    /// Instants must be in the years 1 to 9999, the range of a protobuf timestamp, and are truncated to
    /// microseconds, the precision that Prefect keeps.
    pub fn from_json(kind: ColumnType, text: &str) -> Result<Self, Misfit> {
        if text == "null" {
            return Ok(Self::Null);
        }
        match kind {
            ColumnType::String => parse(text).map(Self::String),
            ColumnType::Boolean => parse(text).map(Self::Boolean),
            ColumnType::Long => parse(text).map(Self::Long),
            ColumnType::Double => parse::<f64>(text)
                .and_then(|number| number.is_finite().then_some(number).ok_or(Misfit))
                .map(Self::Double),
            ColumnType::UtcDatetime => parse::<String>(text)
                .and_then(|text| parse_instant(&text).ok_or(Misfit))
                .map(Self::UtcDatetime),
            ColumnType::Json => Ok(Self::Json(text.to_owned())),
        }
    }

    /// Returns true if the value is null.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }
}

/// A value with the type of its column, or null; borrowed from the row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ValueRef<'a> {
    /// No value.
    Null,
    /// See [`ColumnType::String`].
    String(&'a str),
    /// See [`ColumnType::Boolean`].
    Boolean(bool),
    /// See [`ColumnType::Long`].
    Long(i64),
    /// See [`ColumnType::Double`].
    Double(f64),
    /// See [`ColumnType::UtcDatetime`].
    UtcDatetime(DateTime<Utc>),
    /// See [`ColumnType::Json`]: the text, byte for byte.
    Json(&'a str),
}

impl<'a> From<&'a Value> for ValueRef<'a> {
    fn from(value: &'a Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::String(text) => Self::String(text),
            Value::Boolean(yes) => Self::Boolean(*yes),
            Value::Long(number) => Self::Long(*number),
            Value::Double(number) => Self::Double(*number),
            Value::UtcDatetime(instant) => Self::UtcDatetime(*instant),
            Value::Json(text) => Self::Json(text),
        }
    }
}

impl ValueRef<'_> {
    /// Returns true if the value is null.
    pub fn is_null(self) -> bool {
        matches!(self, Self::Null)
    }

    /// Returns an owned copy of the value.
    pub fn to_value(self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::String(text) => Value::String(text.to_owned()),
            Self::Boolean(yes) => Value::Boolean(yes),
            Self::Long(number) => Value::Long(number),
            Self::Double(number) => Value::Double(number),
            Self::UtcDatetime(instant) => Value::UtcDatetime(instant),
            Self::Json(text) => Value::Json(text.to_owned()),
        }
    }
}

fn parse<T: DeserializeOwned>(text: &str) -> Result<T, Misfit> {
    serde_json::from_str(text).map_err(|_| Misfit)
}

/// Reads an RFC 3339 instant of the years 1 to 9999, to the microsecond.
pub(super) fn parse_instant(text: &str) -> Option<DateTime<Utc>> {
    if let Some(instant) = usual_instant(text.as_bytes()) {
        return Some(instant);
    }
    let instant = DateTime::parse_from_rfc3339(text).ok()?;
    // A leap second, which a protobuf timestamp cannot carry, becomes the second after it.
    let instant = DateTime::from_timestamp_micros(instant.timestamp_micros())?;
    (1..=9999).contains(&instant.year()).then_some(instant)
}

/// Parses the format that Prefect uses, `2026-11-21T05:00:00.123456Z` (2.x: `+00:00` at the end; without the
/// fraction if it is zero). Returns `None` for any other format, valid or not.
pub(super) fn usual_instant(text: &[u8]) -> Option<DateTime<Utc>> {
    let (instant, len) = usual_instant_at(text, &mut LastDate::default())?;
    (len == text.len()).then_some(instant)
}

/// The date of the instant that was read last. The next instant often has the same date.
#[derive(Debug, Default)]
pub(super) struct LastDate {
    /// The text of the year and the month.
    month: [u8; 8],
    day: u8,
    /// The date, if an instant was read.
    date: Option<NaiveDate>,
}

impl LastDate {
    /// Returns the date that begins with `month`, such as `2026-11-`.
    #[inline]
    fn get(&mut self, month: [u8; 8], day: u8) -> Option<NaiveDate> {
        if let Some(date) = self.date
            && self.month == month
            && self.day == day
        {
            return Some(date);
        }
        // Each value has its two digits at the place of the first one.
        let [century, _, years, _, _, number, ..] = digits(month, *b"0000-00-")?;
        let year = i32::from(century) * 100 + i32::from(years);
        let date = NaiveDate::from_ymd_opt(year, number.into(), day.into());
        let date = date.filter(|_| year > 0)?;
        *self = Self {
            month,
            day,
            date: Some(date),
        };
        Some(date)
    }
}

/// Parses an instant in the format of [`usual_instant`] at the beginning of a text. Returns it with its length in
/// bytes.
#[inline]
pub(super) fn usual_instant_at(text: &[u8], last: &mut LastDate) -> Option<(DateTime<Utc>, usize)> {
    let digits = |at: usize, pattern: &[u8; 8]| digits(*text.get(at..)?.first_chunk()?, *pattern);
    // Each value has its two digits at the place of the first one.
    let [day, ..] = digits(8, b"00T00:00")?;
    let [hour, _, _, minute, _, _, second, _] = digits(11, b"00:00:00")?;
    let (micros, fraction_len) = match text.get(19)? {
        b'.' => {
            let [_, _, first, _, second, _, third, _] = digits(18, b"0.000000")?;
            let pairs = [first, second, third].map(u32::from);
            (pairs[0] * 10_000 + pairs[1] * 100 + pairs[2], 7)
        }
        _ => (0, 0),
    };
    let zone = text.get(19 + fraction_len..)?;
    let zone_len = match zone {
        [b'Z', ..] => 1,
        [b'+', b'0', b'0', b':', b'0', b'0', ..] => 6,
        _ => return None,
    };
    let date = last.get(*text.first_chunk()?, day)?;
    let time = date.and_hms_micro_opt(hour.into(), minute.into(), second.into(), micros)?;
    Some((time.and_utc(), 19 + fraction_len + zone_len))
}

/// Compares a text with a pattern whose `0` matches any digit. Returns, for each place of a digit that another
/// one follows, the number of the two digits; the other values have no meaning.
#[inline]
fn digits(text: [u8; 8], pattern: [u8; 8]) -> Option<[u8; 8]> {
    const HIGH: u64 = u64::from_le_bytes([0x80; 8]);
    // A digit becomes its value, and any other byte of the pattern becomes zero.
    let values = u64::from_le_bytes(text) ^ u64::from_le_bytes(pattern);
    // What is added sets the highest bit of a byte that is above nine, or above zero.
    let most = pattern.map(|byte| if byte == b'0' { 0x76 } else { 0x7f });
    let is_other = (values | ((values & !HIGH) + u64::from_le_bytes(most))) & HIGH;
    (is_other == 0).then(|| (values * 10 + (values >> 8)).to_le_bytes())
}

#[cfg(test)]
mod tests {
    use chrono::TimeZone;
    use proptest::prelude::*;
    use serde_json::value::RawValue;

    use super::*;

    fn read(kind: ColumnType, json: &str) -> Result<Value, Misfit> {
        let _: &RawValue = serde_json::from_str(json).expect("test input is JSON");
        Value::from_json(kind, json)
    }

    #[test]
    fn a_value_is_read_as_its_kind_or_is_a_misfit() {
        assert_eq!(read(ColumnType::Long, "42"), Ok(Value::Long(42)));
        assert_eq!(read(ColumnType::Long, "4.2"), Err(Misfit));
        assert_eq!(read(ColumnType::Long, "9223372036854775808"), Err(Misfit));
        assert_eq!(read(ColumnType::Double, "3"), Ok(Value::Double(3.0)));
        assert_eq!(read(ColumnType::Double, "1e400"), Err(Misfit));
        assert_eq!(read(ColumnType::Boolean, "\"true\""), Err(Misfit));
        assert_eq!(read(ColumnType::String, "7"), Err(Misfit));
        assert_eq!(read(ColumnType::String, r#""\ud800""#), Err(Misfit));
        assert_eq!(
            read(ColumnType::String, r#""\u00e4""#),
            Ok(Value::String("ä".into()))
        );
        assert_eq!(read(ColumnType::Boolean, "null"), Ok(Value::Null));
    }

    #[test]
    fn json_keeps_every_byte() {
        let text = r#"{ "b":1.10, "a" : "\u00e4" }"#;
        assert_eq!(read(ColumnType::Json, text), Ok(Value::Json(text.into())));
    }

    #[test]
    fn instants_of_both_generations_mean_the_same() {
        let want = Utc
            .with_ymd_and_hms(2026, 11, 21, 5, 0, 0)
            .single()
            .expect("valid");
        for text in [
            "\"2026-11-21T05:00:00Z\"",
            "\"2026-11-21T05:00:00+00:00\"",
            "\"2026-11-21T07:00:00.000000999+02:00\"",
        ] {
            assert_eq!(
                read(ColumnType::UtcDatetime, text),
                Ok(Value::UtcDatetime(want)),
                "{text}"
            );
        }
        assert_eq!(
            read(ColumnType::UtcDatetime, "\"0000-12-31T23:59:59Z\""),
            Err(Misfit)
        );
        assert_eq!(
            read(ColumnType::UtcDatetime, "\"9999-12-31T23:59:59-01:00\""),
            Err(Misfit)
        );
        assert_eq!(
            read(ColumnType::UtcDatetime, "\"2016-12-31T23:59:60.5Z\""),
            read(ColumnType::UtcDatetime, "\"2017-01-01T00:00:00.5Z\"")
        );
        assert_eq!(
            read(ColumnType::UtcDatetime, "\"9999-12-31T23:59:60Z\""),
            Err(Misfit)
        );
        assert_eq!(read(ColumnType::UtcDatetime, "\"soon\""), Err(Misfit));
    }

    #[test]
    fn an_instant_is_read_alike_after_any_other() {
        let texts = [
            "2026-11-21T05:00:00Z",
            "2026-11-22T05:00:00Z",
            "2026-12-22T05:00:00Z",
            "2026-02-30T05:00:00Z",
            "2026-03-30T05:00:00Z",
            "0000-03-30T05:00:00Z",
            "2126-03-30T05:00:00Z",
            "\0\0\0\0\0\0\0\u{0}00T05:00:00Z",
        ];
        for text in texts {
            for before in texts {
                let mut last = LastDate::default();
                usual_instant_at(before.as_bytes(), &mut last);
                let instant = usual_instant_at(text.as_bytes(), &mut last);
                let want = DateTime::parse_from_rfc3339(text).ok();
                let want = want.filter(|instant| instant.year() > 0);
                assert_eq!(
                    instant.map(|(instant, _)| instant),
                    want.map(|instant| instant.to_utc()),
                    "{text} after {before}"
                );
            }
        }
    }

    proptest! {
        #[test]
        fn any_instant_keeps_its_microseconds(
            micros in -62_135_596_800_000_000_i64..253_402_300_799_999_999,
            offset in -14 * 60..14 * 60_i32,
        ) {
            let instant = DateTime::from_timestamp_micros(micros).expect("in range");
            let local = instant.with_timezone(&chrono::FixedOffset::east_opt(offset * 60).expect("offset"));
            // An offset may push the local year out of the format's range.
            prop_assume!((1..=9999).contains(&local.year()));
            prop_assert_eq!(parse_instant(&local.to_rfc3339()), Some(instant));
            let usual = instant.format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string();
            prop_assert_eq!(usual_instant(usual.as_bytes()), Some(instant));
            prop_assert_eq!(usual_instant(usual.replace('Z', "+00:00").as_bytes()), Some(instant));
        }

        #[test]
        fn the_usual_spelling_is_read_as_any_other(
            text in "[0-9]{4}-[0-9]{2}-[0-3][0-9]T[0-2][0-9]:[0-6][0-9]:[0-6][0-9](\\.[0-9]{6})?(Z|\\+00:00)",
        ) {
            if let Some(instant) = usual_instant(text.as_bytes()) {
                let other = DateTime::parse_from_rfc3339(&text).map(|instant| instant.to_utc());
                prop_assert_eq!(other, Ok(instant));
            }
        }
    }
}
