//! What happens during a sync, as plain events: `prefect` and `sync` publish them, log lines and the
//! local run's progress bars subscribe.
//!
//! No event carries row contents or secrets.

use std::{sync::Arc, time::Duration};

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
