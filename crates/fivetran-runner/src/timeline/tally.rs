//! Sums of the recorded events by listing, for the terminal and for JSON.

use std::time::Duration;

use super::{EndpointTrack, RunTrace};

/// The requests to the source for the tables of one listing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// The tables; empty for requests that belong to no table.
    pub tables: Vec<String>,
    /// The number of requests, including those that got an error or no response.
    pub requests: u64,
    /// The bytes of the response bodies, after decompression.
    pub bytes: u64,
    /// The number of retries.
    pub retries: u64,
    /// The total wait for retries and for the requests per minute.
    pub waited: Duration,
    /// The time from the start to the end of reading the tables.
    pub took: Duration,
}

impl RunTrace {
    /// The sums, in the order of the routes.
    pub fn tallies(&self) -> Vec<Tally> {
        self.tracks
            .iter()
            .map(|track| track.tally(self.took))
            .collect()
    }

    /// The number of requests of the setup tests, which are not in [`Self::tallies`].
    pub fn setup_requests(&self) -> u64 {
        self.setup_tests.requests.sum().count
    }
}

impl EndpointTrack {
    fn tally(&self, now: Duration) -> Tally {
        let (requests, retries, budget_waits) = (
            self.requests.sum(),
            self.retries.sum(),
            self.budget_waits.sum(),
        );
        let began = self.spans.iter().map(|(_, from, _)| *from).min();
        let ended = self.spans.iter().map(|(_, _, to)| to.unwrap_or(now)).max();
        let took = began.zip(ended).map(|(from, to)| to.saturating_sub(from));
        Tally {
            tables: self.tables.iter().map(|&table| table.to_owned()).collect(),
            requests: requests.count,
            bytes: requests.bytes,
            retries: retries.count,
            waited: retries.together + budget_waits.together,
            took: took.unwrap_or_default(),
        }
    }
}
