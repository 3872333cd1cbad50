//! The events of a sync. `prefect`, `sync` and `fivetran` publish them; the local run's progress bars, counters and
//! HTML report receive them.
//!
//! No event carries row contents or secrets.

use std::{fmt, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};

/// The reason of an [`Event::Wait`] without a failure: the requests per minute are used up.
pub const BUDGET: &str = "requests per minute";

/// An event of a sync.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A setup test begins. The requests up to its end are for the test.
    TestStarted,
    /// A setup test ended.
    TestDone,
    /// A request ended, with a response of any status or without a response.
    Request {
        /// The path below the API's root, such as `/flow_runs/filter`.
        path: String,
        /// The HTTP status; `None` if no response arrived.
        status: Option<u16>,
        /// The size of the body in bytes, after decompression.
        bytes: u64,
        /// The time from sending the request to the end of the body.
        took: Duration,
    },
    /// A request is sent after a wait: a retry, or a request that exceeds the requests per minute.
    Wait {
        /// The path of the request.
        path: String,
        /// The reason in a few words: `429`, `503`, `no connection`, [`BUDGET`].
        why: String,
        /// The length of the wait.
        wait: Duration,
    },
    /// The reading of a table begins.
    TableStarted {
        /// The table.
        table: &'static str,
    },
    /// A page of a table was read.
    Page {
        /// The table.
        table: &'static str,
        /// The number of rows on the page.
        read: u64,
    },
    /// A page of a window is requested. The pages of a window are requested one after another, each for the rest of
    /// the window.
    Window {
        /// The table.
        table: &'static str,
        /// The purpose for which it is read.
        kind: WindowKind,
        /// The lower bound; `None`: from the first row.
        from: Option<DateTime<Utc>>,
        /// The upper bound; `None`: to the last row.
        to: Option<DateTime<Utc>>,
        /// The server's clock at its latest response, if there was one. The windows are computed from it.
        now: Option<DateTime<Utc>>,
    },
    /// A table was read completely.
    TableDone {
        /// The table.
        table: &'static str,
    },
    /// A warning for the user.
    Warning {
        /// The text.
        message: String,
    },
}

/// The purpose for which a window is read. Kinds are ordered as in a sync, from the newest rows to the oldest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WindowKind {
    /// The position among the kinds.
    pub order: u8,
    /// The name in a few words, such as `new rows`.
    pub label: &'static str,
    /// The age at which rows are read, for a kind that reads them again.
    pub age: Option<Duration>,
}

impl WindowKind {
    /// Creates a kind that reads rows of any age.
    pub const fn new(order: u8, label: &'static str) -> Self {
        let age = None;
        Self { order, label, age }
    }

    /// Returns this kind for rows of the given age.
    #[must_use]
    pub const fn after(self, age: Duration) -> Self {
        let age = Some(age);
        Self { age, ..self }
    }
}

impl fmt::Display for WindowKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label)?;
        match self.age {
            Some(age) => write!(f, " after {}", format_age(age)),
            None => Ok(()),
        }
    }
}

/// Formats an age to the minute below an hour, and to the hour otherwise: `15 min`, `4 h`, `2 d 16 h`.
pub fn format_age(age: Duration) -> String {
    let hours = age.as_secs() / 3_600;
    match (hours / 24, hours % 24) {
        (0, 0) => format!("{} min", age.as_secs() / 60),
        (0, hours) => format!("{hours} h"),
        (days, 0) => format!("{days} d"),
        (days, hours) => format!("{days} d {hours} h"),
    }
}

/// Formats a number with a comma between groups of three digits.
pub fn format_count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Formats a number with its noun: `1 request`, `2 requests`.
pub fn counted(number: u64, one: &str, many: &str) -> String {
    let noun = if number == 1 { one } else { many };
    format!("{} {noun}", format_count(number))
}

/// Receives events. An implementation must not block.
pub trait Observer: Send + Sync {
    /// Receives an event. The events of one publisher arrive in order.
    fn observe(&self, event: &Event);
}

/// A handle for publishing events. The handle is cheap to clone, and has no observers by default.
#[derive(Clone, Default)]
pub struct Telemetry {
    observers: Arc<[Arc<dyn Observer>]>,
}

impl Telemetry {
    /// Creates a handle that publishes to each of `observers`.
    pub fn new(observers: Vec<Arc<dyn Observer>>) -> Self {
        Self {
            observers: observers.into(),
        }
    }

    /// Passes an event to every observer.
    pub fn publish(&self, event: &Event) {
        for observer in self.observers.iter() {
            observer.observe(event);
        }
    }
}

impl std::fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Telemetry")
            .field("observers", &self.observers.len())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_shows_its_age() {
        let recheck = |minutes: u64| {
            let kind = WindowKind::new(4, "recheck");
            kind.after(Duration::from_secs(60 * minutes)).to_string()
        };
        assert_eq!(recheck(15), "recheck after 15 min");
        assert_eq!(recheck(240), "recheck after 4 h");
        assert_eq!(recheck(3_840), "recheck after 2 d 16 h");
        assert_eq!(recheck(43_200), "recheck after 30 d");
        assert_eq!(WindowKind::new(0, "new rows").to_string(), "new rows");
    }

    #[test]
    fn numbers_are_grouped() {
        assert_eq!(
            [0, 999, 1_000, 1_234_567].map(format_count),
            ["0", "999", "1,000", "1,234,567"]
        );
    }
}
