//! Converts a value of the protocol into a cell of a typed column, or reports that it does not fit.

use chrono::{DateTime, Datelike as _, NaiveDate, NaiveTime};
use prost_types::Timestamp;
use serde::de::IgnoredAny;

use super::{column_type::ColumnType, decimal::Decimal, number::text_of_double};
use fivetran_proto::value_type::Inner;

/// 0001-01-01T00:00:00Z, the first second that the protocol allows.
const FIRST_SECOND: i64 = -62_135_596_800;
/// 9999-12-31T23:59:59Z, the last second that the protocol allows.
const LAST_SECOND: i64 = 253_402_300_799;
const SECONDS_PER_DAY: i64 = 86_400;
const MICROS_PER_SECOND: i64 = 1_000_000;

/// One value of a row in its landed form. Timestamps are microseconds and dates are days since 1970; times of day are
/// microseconds since midnight.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Cell {
    Null,
    Bool(bool),
    Int(i64),
    Float(f32),
    Double(f64),
    Date(i32),
    Time(i64),
    Timestamp(i64),
    Blob(Vec<u8>),
    Text(String),
}

impl Cell {
    /// Converts `value` to a cell of a column of type `kind`. Returns the value as the error if the conversion would
    /// lose something, or if the value is not valid for its own type.
    pub(super) fn fit(value: Inner, kind: ColumnType) -> Result<Self, Inner> {
        match value {
            Inner::Null(_) => Ok(Self::Null),
            Inner::String(text) | Inner::Xml(text) if kind == ColumnType::Varchar => {
                Ok(Self::Text(text))
            }
            Inner::Json(text) if kind == ColumnType::Varchar => Ok(Self::Text(text)),
            Inner::Json(text) | Inner::String(text) if kind == ColumnType::Json => {
                if serde_json::from_str::<IgnoredAny>(&text).is_ok() {
                    Ok(Self::Text(text))
                } else {
                    Err(Inner::Json(text))
                }
            }
            Inner::Binary(bytes) if kind == ColumnType::Blob => Ok(Self::Blob(bytes)),
            other => Self::scalar(&other, kind).ok_or(other),
        }
    }

    fn scalar(value: &Inner, kind: ColumnType) -> Option<Self> {
        match value {
            Inner::Bool(flag) => match kind {
                ColumnType::Boolean => Some(Self::Bool(*flag)),
                ColumnType::Varchar => Some(Self::Text(flag.to_string())),
                _ => None,
            },
            Inner::Short(number) | Inner::Int(number) => Self::integer(i64::from(*number), kind),
            Inner::Long(number) => Self::integer(*number, kind),
            Inner::Float(number) => match kind {
                ColumnType::Float => Some(Self::Float(*number)),
                ColumnType::Double => Some(Self::Double(f64::from(*number))),
                ColumnType::Varchar => Some(Self::Text(text_of_double(f64::from(*number)))),
                _ => None,
            },
            Inner::Double(number) => match kind {
                ColumnType::Double => Some(Self::Double(*number)),
                ColumnType::Varchar => Some(Self::Text(text_of_double(*number))),
                _ => None,
            },
            Inner::Decimal(text) => Self::decimal(text, kind),
            Inner::NaiveDate(time) => match kind {
                ColumnType::Varchar => Some(Self::Text(date(time)?.to_string())),
                ColumnType::Date => Some(Self::Date(days(time)?)),
                _ => Self::instant(time, kind),
            },
            Inner::UtcDatetime(time) if kind == ColumnType::Varchar => {
                Some(Self::Text(format!("{}+00", written(time)?)))
            }
            Inner::NaiveDatetime(time) | Inner::UtcDatetime(time) => Self::instant(time, kind),
            Inner::NaiveTime(time) => {
                let micros = micros(time)?.rem_euclid(SECONDS_PER_DAY * MICROS_PER_SECOND);
                match kind {
                    ColumnType::Time => Some(Self::Time(micros)),
                    ColumnType::Varchar => Some(Self::Text(clock_time(micros)?.to_string())),
                    _ => None,
                }
            }
            _ => None,
        }
    }

    fn integer(number: i64, kind: ColumnType) -> Option<Self> {
        /// The largest number up to which every integer is exact as a double.
        const EXACT: u64 = 1 << 53;
        let fits = match kind {
            ColumnType::SmallInt => i16::try_from(number).is_ok(),
            ColumnType::Integer => i32::try_from(number).is_ok(),
            ColumnType::BigInt => true,
            // A number is the same value, and the same key, in every type in which it is sent.
            ColumnType::Double if number.unsigned_abs() <= EXACT => {
                #[expect(
                    clippy::cast_precision_loss,
                    reason = "a double holds these integers exactly"
                )]
                return Some(Self::Double(number as f64));
            }
            ColumnType::Decimal { .. } => return Self::decimal(&number.to_string(), kind),
            ColumnType::Varchar => return Some(Self::Text(number.to_string())),
            _ => false,
        };
        fits.then_some(Self::Int(number))
    }

    fn decimal(text: &str, kind: ColumnType) -> Option<Self> {
        let number = Decimal::parse(text)?;
        match kind {
            ColumnType::Decimal { precision, scale } => number
                .fits(precision, scale)
                .then(|| Self::Text(number.to_string())),
            ColumnType::Varchar => Some(Self::Text(number.to_string())),
            _ => None,
        }
    }

    fn instant(time: &Timestamp, kind: ColumnType) -> Option<Self> {
        let micros = micros(time)?;
        match kind {
            ColumnType::Timestamp | ColumnType::TimestampTz => Some(Self::Timestamp(micros)),
            ColumnType::Varchar => Some(Self::Text(written(time)?)),
            _ => None,
        }
    }

    /// Returns the cell as the id of a row in a message; `None` if it may be more than an id, such as an address.
    pub(super) fn as_id(&self) -> Option<String> {
        /// The length of a UUID.
        const LONGEST: usize = 36;
        match self {
            Self::Int(number) => Some(number.to_string()),
            Self::Double(number) => Some(text_of_double(*number)),
            Self::Text(text) => {
                let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
                (text.len() <= LONGEST && text.bytes().all(is_plain)).then(|| text.clone())
            }
            _ => None,
        }
    }

    /// The approximate memory of the cell, in bytes.
    pub(super) fn size(&self) -> usize {
        let heap = match self {
            Self::Blob(bytes) => bytes.len(),
            Self::Text(text) => text.len(),
            _ => 0,
        };
        size_of::<Self>() + heap
    }

    /// Appends bytes that are equal exactly for equal cells of one column, as the warehouse compares them.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let mut sized = |tag: u8, bytes: &[u8]| {
            out.push(tag);
            out.extend_from_slice(&bytes.len().to_le_bytes());
            out.extend_from_slice(bytes);
        };
        match self {
            Self::Null => sized(0, &[]),
            Self::Bool(flag) => sized(1, &[u8::from(*flag)]),
            Self::Int(number) | Self::Time(number) | Self::Timestamp(number) => {
                sized(2, &number.to_le_bytes());
            }
            // The warehouse does not distinguish the two zeros, nor the many representations of NaN.
            Self::Float(number) => sized(3, &canonical(f64::from(*number)).to_le_bytes()),
            Self::Double(number) => sized(4, &canonical(*number).to_le_bytes()),
            Self::Date(days) => sized(5, &days.to_le_bytes()),
            Self::Blob(bytes) => sized(6, bytes),
            Self::Text(text) => sized(7, text.as_bytes()),
        }
    }
}

/// Returns the number with one representation of zero and of NaN.
fn canonical(number: f64) -> f64 {
    if number == 0.0 {
        0.0
    } else if number.is_nan() {
        f64::NAN
    } else {
        number
    }
}

/// Returns the reason why a value is not valid, whatever its column's type; `None` if it is valid.
pub(super) fn invalid_reason(value: &Inner) -> Option<String> {
    match value {
        Inner::Json(text) => {
            let error = serde_json::from_str::<IgnoredAny>(text).err()?;
            Some(format!(
                "is not valid JSON ({error}); send valid JSON: NaN and Infinity, for example, must be null or a text"
            ))
        }
        Inner::Decimal(text) if Decimal::parse(text).is_none() => Some(
            "is not a decimal number; send digits with an optional point and exponent, or null"
                .to_owned(),
        ),
        Inner::NaiveDate(time)
        | Inner::NaiveDatetime(time)
        | Inner::UtcDatetime(time)
        | Inner::NaiveTime(time)
            if micros(time).is_none() =>
        {
            let year = DateTime::from_timestamp(time.seconds, 0).map(|time| time.year());
            Some(match year {
                Some(year) if !(1..=9_999).contains(&year) => {
                    format!("is in the year {year}; send null, or a time in the years 1 to 9999")
                }
                Some(_) => format!(
                    "has {} nanoseconds; send 0 to 999,999,999 nanoseconds, counted forward",
                    time.nanos
                ),
                None => "is not a time; send null, or a time in the years 1 to 9999".to_owned(),
            })
        }
        _ => None,
    }
}

/// Microseconds since 1970; `None` outside the range that the protocol allows.
pub(super) fn micros(time: &Timestamp) -> Option<i64> {
    let nanos = i64::from(time.nanos);
    let valid =
        (FIRST_SECOND..=LAST_SECOND).contains(&time.seconds) && (0..1_000_000_000).contains(&nanos);
    valid.then(|| time.seconds * MICROS_PER_SECOND + nanos / 1_000)
}

/// The text of a time, as the warehouse writes it when a column of times becomes text.
fn written(time: &Timestamp) -> Option<String> {
    let time = DateTime::from_timestamp_micros(micros(time)?)?;
    Some(time.format("%Y-%m-%d %H:%M:%S%.f").to_string())
}

fn days(time: &Timestamp) -> Option<i32> {
    let days = micros(time)?.div_euclid(SECONDS_PER_DAY * MICROS_PER_SECOND);
    i32::try_from(days).ok()
}

/// Returns true if the value of a date is not at midnight.
pub(super) fn has_time_of_day(date: &Timestamp) -> bool {
    date.seconds % SECONDS_PER_DAY != 0 || date.nanos != 0
}

fn date(time: &Timestamp) -> Option<NaiveDate> {
    Some(DateTime::from_timestamp_micros(micros(time)?)?.date_naive())
}

fn clock_time(micros: i64) -> Option<NaiveTime> {
    let seconds = u32::try_from(micros / MICROS_PER_SECOND).ok()?;
    let nanos = u32::try_from(micros % MICROS_PER_SECOND * 1_000).ok()?;
    NaiveTime::from_num_seconds_from_midnight_opt(seconds, nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lossy_conversions_are_rejected() {
        let refused = [
            (Inner::Long(40_000), ColumnType::SmallInt),
            (Inner::Long(i64::MAX), ColumnType::Integer),
            (Inner::Long((1 << 53) + 1), ColumnType::Double),
            (Inner::Double(0.1), ColumnType::Float),
            (Inner::Double(1.0), ColumnType::BigInt),
            (
                Inner::Decimal("1.234".into()),
                ColumnType::Decimal {
                    precision: 10,
                    scale: 2,
                },
            ),
            (Inner::String("true".into()), ColumnType::Boolean),
            (Inner::Json("{".into()), ColumnType::Json),
            (Inner::Binary(vec![1]), ColumnType::Varchar),
            (
                Inner::UtcDatetime(Timestamp {
                    seconds: LAST_SECOND + 1,
                    nanos: 0,
                }),
                ColumnType::TimestampTz,
            ),
            (
                Inner::UtcDatetime(Timestamp {
                    seconds: 0,
                    nanos: -1,
                }),
                ColumnType::TimestampTz,
            ),
        ];
        for (value, kind) in refused {
            assert_eq!(Cell::fit(value.clone(), kind), Err(value), "{kind:?}");
        }
    }

    #[test]
    fn times_before_1970_round_down_to_their_day() {
        let before = Timestamp {
            seconds: -1,
            nanos: 999_999_999,
        };
        assert_eq!(
            Cell::fit(Inner::NaiveDate(before), ColumnType::Date),
            Ok(Cell::Date(-1))
        );
        assert_eq!(
            Cell::fit(Inner::UtcDatetime(before), ColumnType::TimestampTz),
            Ok(Cell::Timestamp(-1))
        );
    }
}
