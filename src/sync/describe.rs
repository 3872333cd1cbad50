//! Descriptions of states for people: a list of facts for each table.

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde::Serialize;

/// One fact about a state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Field {
    /// The subject of the fact, such as `read up to`.
    pub what: String,
    /// The statement about the subject.
    pub said: String,
}

/// The facts about the state of one table.
#[derive(Debug, Default)]
pub(super) struct Summary {
    pub(super) list: Vec<Field>,
    /// The time up to which the table was read, if it is read by time.
    pub(super) read_up_to: Option<DateTime<Utc>>,
}

impl Summary {
    pub(super) fn say(&mut self, what: impl Into<String>, said: impl Into<String>) {
        self.list.push(Field {
            what: what.into(),
            said: said.into(),
        });
    }

    /// Adds a number of things, unless there are none.
    pub(super) fn say_count(&mut self, what: &str, count: usize) {
        if count > 0 {
            self.say(what, count.to_string());
        }
    }

    /// Adds a time, unless there is none.
    pub(super) fn say_time(&mut self, what: &str, at: Option<DateTime<Utc>>) {
        if let Some(at) = at {
            self.say(what, time(at));
        }
    }

    pub(super) fn read_up_to(&mut self, at: DateTime<Utc>) {
        self.read_up_to = Some(at);
        self.say("read up to", time(at));
    }
}

/// Formats a time to the second, which is precise enough for people.
pub(super) fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// Formats a lag, such as `15 min`, `4 h`, or `2.6 d`.
pub(super) fn duration(lag: TimeDelta) -> String {
    const HOUR: i64 = 60;
    const DAY: i64 = 24 * HOUR;
    let minutes = lag.num_minutes();
    match minutes {
        ..HOUR => format!("{minutes} min"),
        HOUR..DAY => format!("{} h", minutes / HOUR),
        _ => {
            let tenths = minutes * 10 / DAY;
            match tenths % 10 {
                0 => format!("{} d", tenths / 10),
                tenth => format!("{}.{tenth} d", tenths / 10),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lags_are_short() {
        let minutes = [15, 60, 240, 960, 3_840, 15_360, 43_200];
        let words = minutes.map(|minutes| duration(TimeDelta::minutes(minutes)));
        let expected = ["15 min", "1 h", "4 h", "16 h", "2.6 d", "10.6 d", "30 d"];
        assert_eq!(words, expected);
    }
}
