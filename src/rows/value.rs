//! One typed value of a row.

use chrono::{DateTime, Datelike, SubsecRound, Utc};
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::tables::Kind;

/// A value, typed as its column says, or null.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// No value.
    Null,
    /// See [`Kind::String`].
    String(String),
    /// See [`Kind::Boolean`].
    Boolean(bool),
    /// See [`Kind::Long`].
    Long(i64),
    /// See [`Kind::Double`].
    Double(f64),
    /// See [`Kind::UtcDatetime`].
    UtcDatetime(DateTime<Utc>),
    /// See [`Kind::Json`]: the text, byte for byte.
    Json(String),
}

/// The values of a row, one for each column of its table, in that order.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// The values.
    pub values: Vec<Value>,
}

impl Row {
    /// The row's key: its first column, the id.
    pub fn id(&self) -> &str {
        match self.values.first() {
            Some(Value::String(id)) => id,
            _ => "",
        }
    }

    /// The instant in column `position`; `None` when it is null or not an instant.
    pub fn instant(&self, position: usize) -> Option<DateTime<Utc>> {
        match self.values.get(position) {
            Some(Value::UtcDatetime(instant)) => Some(*instant),
            _ => None,
        }
    }
}

/// The JSON value does not fit the column's type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Misfit;

impl Value {
    /// Reads a JSON value as `kind`; JSON `null` is [`Value::Null`] for every kind.
    ///
    /// Instants must lie in the years 1 to 9999, which is what a protobuf timestamp can carry, and are
    /// cut to microseconds, which is all that Prefect keeps.
    pub fn from_json(kind: Kind, raw: &RawValue) -> Result<Self, Misfit> {
        let text = raw.get();
        if text == "null" {
            return Ok(Self::Null);
        }
        match kind {
            Kind::String => parse(text).map(Self::String),
            Kind::Boolean => parse(text).map(Self::Boolean),
            Kind::Long => parse(text).map(Self::Long),
            Kind::Double => parse::<f64>(text)
                .and_then(|number| number.is_finite().then_some(number).ok_or(Misfit))
                .map(Self::Double),
            Kind::UtcDatetime => parse::<String>(text)
                .and_then(|text| parse_instant(&text).ok_or(Misfit))
                .map(Self::UtcDatetime),
            Kind::Json => Ok(Self::Json(text.to_owned())),
        }
    }

    /// Whether this is no value.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }
}

fn parse<T: DeserializeOwned>(text: &str) -> Result<T, Misfit> {
    serde_json::from_str(text).map_err(|_| Misfit)
}

/// Reads an RFC 3339 instant of the years 1 to 9999, to the microsecond.
fn parse_instant(text: &str) -> Option<DateTime<Utc>> {
    let instant = DateTime::parse_from_rfc3339(text).ok()?.to_utc();
    (1..=9999)
        .contains(&instant.year())
        .then(|| instant.trunc_subsecs(6))
}

#[cfg(test)]
mod tests {
    use chrono::TimeZone;
    use proptest::prelude::*;

    use super::*;

    fn read(kind: Kind, json: &str) -> Result<Value, Misfit> {
        let raw: &RawValue = serde_json::from_str(json).expect("test input is JSON");
        Value::from_json(kind, raw)
    }

    #[test]
    fn a_value_is_read_as_its_kind_or_is_a_misfit() {
        assert_eq!(read(Kind::Long, "42"), Ok(Value::Long(42)));
        assert_eq!(read(Kind::Long, "4.2"), Err(Misfit));
        assert_eq!(read(Kind::Long, "9223372036854775808"), Err(Misfit));
        assert_eq!(read(Kind::Double, "3"), Ok(Value::Double(3.0)));
        assert_eq!(read(Kind::Double, "1e400"), Err(Misfit));
        assert_eq!(read(Kind::Boolean, "\"true\""), Err(Misfit));
        assert_eq!(read(Kind::String, "7"), Err(Misfit));
        assert_eq!(read(Kind::String, r#""\ud800""#), Err(Misfit));
        assert_eq!(
            read(Kind::String, r#""\u00e4""#),
            Ok(Value::String("ä".into()))
        );
        assert_eq!(read(Kind::Boolean, "null"), Ok(Value::Null));
    }

    #[test]
    fn json_keeps_every_byte() {
        let text = r#"{ "b":1.10, "a" : "\u00e4" }"#;
        assert_eq!(read(Kind::Json, text), Ok(Value::Json(text.into())));
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
                read(Kind::UtcDatetime, text),
                Ok(Value::UtcDatetime(want)),
                "{text}"
            );
        }
        assert_eq!(
            read(Kind::UtcDatetime, "\"0000-12-31T23:59:59Z\""),
            Err(Misfit)
        );
        assert_eq!(
            read(Kind::UtcDatetime, "\"9999-12-31T23:59:59-01:00\""),
            Err(Misfit)
        );
        assert_eq!(read(Kind::UtcDatetime, "\"soon\""), Err(Misfit));
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
        }
    }
}
