//! What happens during a sync, as plain events: `prefect` and `sync` publish them, log lines, progress
//! bars and the local run's page subscribe.
//!
//! No event carries row contents or secrets.

use std::{fmt, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};

/// The [`Event::Wait`] that is no retry: nothing failed, but the requests per minute are used up.
pub const BUDGET: &str = "requests per minute";

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A request was answered (also with an error status).
    Request {
        /// The path below the API's root, such as `/flow_runs/filter`.
        path: String,
        /// HTTP status; `None` when no answer arrived.
        status: Option<u16>,
        /// Bytes of the body, after decompression.
        bytes: u64,
        /// From sending the request to the end of the body.
        took: Duration,
    },
    /// A request is tried again after a wait.
    Wait {
        /// The path that is tried again.
        path: String,
        /// Why, in a few words: `429`, `503`, `connection reset`.
        why: String,
        /// How long.
        wait: Duration,
    },
    /// A table's reading begins.
    TableStarted {
        /// The table.
        table: &'static str,
    },
    /// A page of a table was read and its changed rows sent.
    Page {
        /// The table.
        table: &'static str,
        /// Rows on the page.
        read: u64,
        /// Rows of it that were sent.
        sent: u64,
    },
    /// A page of a range of time is asked for. The pages of a range come one after another, each for what
    /// is left of it.
    Window {
        /// The table.
        table: &'static str,
        /// What for.
        reading: Reading,
        /// Not before; `None`: from the very first.
        from: Option<DateTime<Utc>>,
        /// Not after; `None`: to the very last.
        to: Option<DateTime<Utc>>,
        /// The server's clock at its latest answer, if there was one: the ranges are by that.
        now: Option<DateTime<Utc>>,
    },
    /// A table was read to its end.
    TableDone {
        /// The table.
        table: &'static str,
    },
    /// Something the user should know, already in words.
    Warning {
        /// The text.
        message: String,
    },
}

/// What a range of time is read for. In the order of a sync, from the newest to the oldest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Reading {
    /// What is new since the last sync.
    Tail,
    /// What has not ended.
    Open,
    /// What ended without having started.
    NeverStarted,
    /// Once more, for edits: the whole look-back.
    LookBack,
    /// Once more, for edits: when so much time has passed.
    Rung(Duration),
    /// Everything, once.
    Backfill,
}

impl fmt::Display for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::Tail => "tail",
            Self::Open => "open",
            Self::NeverStarted => "never started",
            Self::LookBack => "look-back",
            Self::Backfill => "backfill",
            Self::Rung(lag) => {
                let hours = lag.as_secs() / 3_600;
                return match (hours / 24, hours % 24) {
                    (0, 0) => write!(f, "rung {} min", lag.as_secs() / 60),
                    (0, hours) => write!(f, "rung {hours} h"),
                    (days, 0) => write!(f, "rung {days} d"),
                    (days, hours) => write!(f, "rung {days} d {hours} h"),
                };
            }
        };
        f.write_str(name)
    }
}

/// Receives events; must not block.
pub trait Observer: Send + Sync {
    /// Called for each event, in order per publisher.
    fn observe(&self, event: &Event);
}

/// A handle to publish events with; cheap to clone, silent by default.
#[derive(Clone, Default)]
pub struct Telemetry {
    observers: Arc<[Arc<dyn Observer>]>,
}

impl Telemetry {
    /// Publishes to each of `observers`.
    pub fn new(observers: Vec<Arc<dyn Observer>>) -> Self {
        Self {
            observers: observers.into(),
        }
    }

    /// Tells every observer.
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
