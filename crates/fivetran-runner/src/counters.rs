//! Counts the requests of a connector in this process. A connector elsewhere reports none.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use sync_telemetry::{Event, Observer};

/// Counts the connector's requests and waits, for the log of syncs.
#[derive(Debug, Default)]
pub struct Counters {
    counted: Mutex<Counted>,
}

/// The counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counted {
    /// The number of requests, including those that got an error or no response.
    pub requests: u64,
    /// The bytes of the response bodies, after decompression.
    pub bytes: u64,
    /// The number of waits, before a retry or for the requests per minute.
    pub waits: u64,
    /// The total time of all waits.
    pub waited: Duration,
}

impl Counters {
    /// The counts so far.
    pub fn counted(&self) -> Counted {
        *self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observer for Counters {
    fn observe(&self, event: &Event) {
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::Request { bytes, .. } => {
                counted.requests += 1;
                counted.bytes += bytes;
            }
            Event::Wait { wait, .. } => {
                counted.waits += 1;
                counted.waited += *wait;
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_and_waits_are_counted_and_nothing_else() {
        let counters = Counters::default();
        for bytes in [5, 7] {
            counters.observe(&Event::Request {
                path: "/flows/filter".into(),
                status: Some(200),
                bytes,
                took: Duration::ZERO,
            });
        }
        counters.observe(&Event::Wait {
            path: "/flows/filter".into(),
            why: "429".into(),
            wait: Duration::from_secs(3),
        });
        counters.observe(&Event::TableDone { table: "flows" });
        let expected = Counted {
            requests: 2,
            bytes: 12,
            waits: 1,
            waited: Duration::from_secs(3),
        };
        assert_eq!(counters.counted(), expected);
    }
}
