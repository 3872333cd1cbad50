//! What states say, in words for people: a list of facts for each table.

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde::Serialize;

/// One thing that a state says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fact {
    /// What it is about, such as `read up to`.
    pub what: String,
    /// What is said of it.
    pub said: String,
}

/// What the state of one table says.
#[derive(Debug, Default)]
pub(super) struct Facts {
    pub(super) list: Vec<Fact>,
    /// Up to which time the table is read, where that is a time.
    pub(super) read_up_to: Option<DateTime<Utc>>,
}

impl Facts {
    pub(super) fn say(&mut self, what: impl Into<String>, said: impl Into<String>) {
        self.list.push(Fact {
            what: what.into(),
            said: said.into(),
        });
    }

    /// A number of things, unless there are none.
    pub(super) fn say_count(&mut self, what: &str, count: usize) {
        if count > 0 {
            self.say(what, count.to_string());
        }
    }

    /// A time, unless there is none.
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

/// A time to the second: nobody looks at more.
pub(super) fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// A lag, such as `15 min`, `4 h`, or `2.7 d`.
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
