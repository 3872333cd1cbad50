//! Prefect's formats for reading and writing times.

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, SubsecRound, TimeDelta, Timelike, Utc};
use serde::{Serialize, Serializer};
use serde_json::Value;

use super::model::Time;

/// Truncates to the microsecond.
pub fn micros(time: Time) -> Time {
    time.trunc_subsecs(6)
}

/// Truncates to the millisecond.
pub fn millis(time: Time) -> Time {
    time.trunc_subsecs(3)
}

/// Parses RFC 3339, a naive time or a date (both as UTC), and with `seconds` also seconds since 1970.
pub fn parse(value: &Value, seconds: bool) -> Option<Time> {
    match value {
        Value::String(text) => parse_text(text).map(micros),
        Value::Number(number) if seconds => {
            let whole = TimeDelta::try_seconds(number.as_i64()?)?;
            DateTime::UNIX_EPOCH.checked_add_signed(whole)
        }
        _ => None,
    }
}

fn parse_text(text: &str) -> Option<Time> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Some(time.with_timezone(&Utc));
    }
    if let Ok(time) = text.parse::<NaiveDateTime>() {
        return Some(time.and_utc());
    }
    text.parse::<NaiveDate>()
        .ok()?
        .and_hms_opt(0, 0, 0)
        .map(|time| time.and_utc())
}

/// A time as the API writes it.
#[derive(Debug, Clone, Copy)]
pub struct ApiTime {
    /// The time.
    pub at: Time,
    /// True for `Z`, false for `+00:00`.
    pub zulu: bool,
}

impl Serialize for ApiTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // The fraction is omitted if it is zero, and has six digits otherwise.
        let (year, month, day) = (self.at.year(), self.at.month(), self.at.day());
        let (hour, minute, second) = (self.at.hour(), self.at.minute(), self.at.second());
        let zone = if self.zulu { "Z" } else { "+00:00" };
        match self.at.timestamp_subsec_micros() {
            0 => serializer.collect_str(&format_args!(
                "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{zone}"
            )),
            micros => serializer.collect_str(&format_args!(
                "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micros:06}{zone}"
            )),
        }
    }
}

/// Converts a duration to the API's form: seconds, with microseconds.
pub fn seconds(duration: TimeDelta) -> f64 {
    let size = duration
        .abs()
        .to_std()
        .map_or(0.0, |size| size.as_secs_f64());
    if duration < TimeDelta::zero() {
        -size
    } else {
        size
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_accepted_spelling_is_the_same_moment() {
        let expected = parse(&json!("2026-01-01T00:00:00Z"), true).unwrap();
        for value in [
            json!("2026-01-01T02:00:00+02:00"),
            json!("2026-01-01T00:00:00"),
            json!("2026-01-01"),
            json!("2026-01-01T00:00:00.000000999Z"),
            json!(1_767_225_600),
        ] {
            assert_eq!(parse(&value, true), Some(expected), "{value}");
        }
        assert_eq!(parse(&json!(1_767_225_600), false), None);
        assert_eq!(parse(&json!("garbage"), true), None);
    }

    #[test]
    fn fractions_have_six_digits_or_none() {
        let show = |text: &str, zulu| {
            serde_json::to_value(ApiTime {
                at: parse(&json!(text), true).unwrap(),
                zulu,
            })
            .unwrap()
        };
        assert_eq!(show("2026-01-01T05:00:00Z", true), "2026-01-01T05:00:00Z");
        assert_eq!(
            show("2026-01-01T05:00:00.5Z", true),
            "2026-01-01T05:00:00.500000Z"
        );
        assert_eq!(
            show("2026-01-01T05:00:00.000001Z", false),
            "2026-01-01T05:00:00.000001+00:00"
        );
    }
}
