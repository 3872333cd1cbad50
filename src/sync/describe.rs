//! Descriptions of states for people: a list of facts for each table.

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde::Serialize;

use crate::telemetry::format_age;

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

/// Formats a lag, such as `15 min` or `2 d 16 h`.
pub(super) fn duration(lag: TimeDelta) -> String {
    format_age(lag.to_std().unwrap_or_default())
}
