//! Days and times in the formats that users type.

use std::str::FromStr;

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};

/// A day (its beginning, UTC), or a time with its time zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StartDate(DateTime<Utc>);

impl StartDate {
    /// The instant.
    pub fn get(self) -> DateTime<Utc> {
        self.0
    }
}

impl FromStr for StartDate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let day = text.parse::<NaiveDate>();
        let day = day.map(|day| day.and_time(NaiveTime::MIN).and_utc());
        let time = day.or_else(|_| DateTime::parse_from_rfc3339(text).map(|time| time.to_utc()));
        let years = NaiveDate::from_ymd_opt(1970, 1, 1)..NaiveDate::from_ymd_opt(9999, 1, 1);
        match time {
            Ok(time) if years.contains(&Some(time.date_naive())) => Ok(Self(time)),
            _ => Err(
                "must be a date such as 2026-01-31, or a time such as 2026-01-31T08:00:00Z"
                    .to_owned(),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_times_are_read_and_nothing_else() {
        let read = |text: &str| text.parse::<StartDate>().map(|at| at.get().to_rfc3339());
        assert_eq!(
            read("2026-01-31").as_deref(),
            Ok("2026-01-31T00:00:00+00:00")
        );
        assert_eq!(
            read("2026-01-31T08:00:00+02:00").as_deref(),
            Ok("2026-01-31T06:00:00+00:00")
        );
        for bad in [
            "31.01.2026",
            "2026-13-01",
            "2026-01-31T08:00:00",
            "0001-01-01",
            "yesterday",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
