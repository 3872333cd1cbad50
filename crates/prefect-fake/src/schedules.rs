//! The schedules of generated deployments: a rule and its due times.

use chrono::{DateTime, TimeDelta};

use super::model::{Rule, Time};

/// A rule that is due at a fixed interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Timing {
    /// Seconds between two due times.
    pub(super) every: i64,
    /// Seconds from 1970 to the first due time, less than `every`.
    pub(super) offset: i64,
}

impl Timing {
    /// Returns the last due time at or before `time`.
    pub(super) fn at_or_before(self, time: Time) -> Time {
        let seconds = time.timestamp() - self.offset;
        self.nth(seconds.div_euclid(self.every))
    }

    /// Returns the due time that is `count` intervals after the first one after `time`.
    pub(super) fn after(self, time: Time, count: i64) -> Time {
        let seconds = time.timestamp() - self.offset;
        self.nth(seconds.div_euclid(self.every) + 1 + count)
    }

    fn nth(self, number: i64) -> Time {
        DateTime::UNIX_EPOCH + TimeDelta::seconds(number * self.every + self.offset)
    }
}

/// The number of presets.
pub(super) const PRESETS: usize = 7;

const DAY: i64 = 86_400;

/// Returns one of the presets. Their time zones have no summer time, so that all days are equally long.
pub(super) fn preset(number: usize) -> (Rule, Timing) {
    let cron = |line: &str, zone: &str, every, offset| {
        (
            Rule::Cron {
                cron: line.to_owned(),
                timezone: zone.to_owned(),
            },
            Timing { every, offset },
        )
    };
    match number % PRESETS {
        // Midnight is the most frequent preset, so that many runs share one expected start.
        0 | 1 => cron("0 0 * * *", "UTC", DAY, 0),
        2 => cron("0 6 * * *", "Asia/Tokyo", DAY, 21 * 3_600),
        3 => cron("0 * * * *", "UTC", 3_600, 0),
        4 => cron("*/15 * * * *", "UTC", 900, 0),
        5 => {
            let rule = Rule::Interval {
                seconds: 5_400,
                anchor: DateTime::UNIX_EPOCH + TimeDelta::seconds(7),
            };
            (
                rule,
                Timing {
                    every: 5_400,
                    offset: 7,
                },
            )
        }
        _ => {
            let rrule = "DTSTART:20200101T000000\nRRULE:FREQ=DAILY;BYHOUR=2;BYMINUTE=30".to_owned();
            (
                Rule::RRule {
                    rrule,
                    timezone: "UTC".to_owned(),
                },
                Timing {
                    every: DAY,
                    offset: 9_000,
                },
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn due_times_lie_around_the_moment_and_on_the_rule() {
        let now = DateTime::from_timestamp(1_790_000_123, 456).unwrap();
        for number in 0..PRESETS {
            let (_, timing) = preset(number);
            let (before, after) = (timing.at_or_before(now), timing.after(now, 0));
            assert!(before <= now && now < after, "{number}");
            assert_eq!(after - before, TimeDelta::seconds(timing.every));
            assert_eq!(
                timing.after(now, 3) - after,
                TimeDelta::seconds(3 * timing.every)
            );
        }
    }
}
