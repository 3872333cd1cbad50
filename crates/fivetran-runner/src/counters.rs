//! Counts the requests of a connector in this process. A connector elsewhere reports none.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use sync_telemetry::{Event, Observer};

/// Counts the connector's requests and waits, for the log of syncs. Those of setup tests do not count.
#[derive(Debug, Default)]
pub struct Counters {
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    counted: Counted,
    is_testing: bool,
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
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.counted
    }
}

impl Observer for Counters {
    fn observe(&self, event: &Event) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::TestStarted => seen.is_testing = true,
            Event::TestDone => seen.is_testing = false,
            Event::Request { bytes, .. } if !seen.is_testing => {
                seen.counted.requests += 1;
                seen.counted.bytes += bytes;
            }
            Event::Wait { wait, .. } if !seen.is_testing => {
                seen.counted.waits += 1;
                seen.counted.waited += *wait;
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_and_waits_of_a_sync_are_counted_and_nothing_else() {
        let counters = Counters::default();
        let request = |bytes| Event::Request {
            path: "/flows/filter".into(),
            status: Some(200),
            bytes,
            took: Duration::ZERO,
        };
        let wait = Event::Wait {
            path: "/flows/filter".into(),
            why: "429".into(),
            wait: Duration::from_secs(3),
        };
        for event in [
            Event::TestStarted,
            request(100),
            wait.clone(),
            Event::TestDone,
        ] {
            counters.observe(&event);
        }
        assert_eq!(counters.counted(), Counted::default());
        for event in [
            request(5),
            request(7),
            wait,
            Event::TableDone { table: "flows" },
        ] {
            counters.observe(&event);
        }
        let expected = Counted {
            requests: 2,
            bytes: 12,
            waits: 1,
            waited: Duration::from_secs(3),
        };
        assert_eq!(counters.counted(), expected);
    }
}
