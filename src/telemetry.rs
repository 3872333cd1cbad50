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
    /// A page of a table was read, and its changed rows were sent.
    Page {
        /// The table.
        table: &'static str,
        /// The number of rows on the page.
        read: u64,
        /// The number of rows that were sent.
        sent: u64,
    },
    /// A page of a window is requested. The pages of a window are requested one after another, each for the rest of
    /// the window.
    Window {
        /// The table.
        table: &'static str,
        /// The purpose of the reading.
        reading: Reading,
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

/// The purpose for which a window is read, in the order of a sync, from the newest to the oldest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Reading {
    /// Rows that are new since the last sync.
    NewRows,
    /// Open runs.
    Open,
    /// Runs that ended without having started.
    NeverStarted,
    /// A pass over the whole look-back that finds edits.
    LookBack,
    /// A recheck, this long after the end of a run.
    Recheck(Duration),
    /// The backfill.
    Backfill,
}

impl fmt::Display for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::NewRows => "new rows",
            Self::Open => "open runs",
            Self::NeverStarted => "ended without starting",
            Self::LookBack => "look-back",
            Self::Backfill => "backfill",
            Self::Recheck(lag) => {
                let hours = lag.as_secs() / 3_600;
                return match (hours / 24, hours % 24) {
                    (0, 0) => write!(f, "recheck {} min", lag.as_secs() / 60),
                    (0, hours) => write!(f, "recheck {hours} h"),
                    (days, 0) => write!(f, "recheck {days} d"),
                    (days, hours) => write!(f, "recheck {days} d {hours} h"),
                };
            }
        };
        f.write_str(name)
    }
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
