//! Sums of what was heard, a listing each: for a terminal and for machines.

use std::time::Duration;

use super::{Lane, Seen};

/// What was asked of the source for the tables of one listing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// The tables; none for requests that are for no table.
    pub tables: Vec<String>,
    /// Requests that were answered, with an error, too.
    pub requests: u64,
    /// Bytes of their bodies, after decompression.
    pub bytes: u64,
    /// Requests that were tried again.
    pub retries: u64,
    /// How long was waited for that, and for the requests per minute.
    pub waited: Duration,
    /// From the beginning of the tables' reading to its end.
    pub took: Duration,
}

impl Seen {
    /// The sums, in the order of the routes.
    pub fn tallies(&self) -> Vec<Tally> {
        self.lanes
            .iter()
            .map(|lane| lane.tally(self.took))
            .collect()
    }
}

impl Lane {
    fn tally(&self, now: Duration) -> Tally {
        let (requests, retries, turns) =
            (self.requests.sum(), self.retries.sum(), self.turns.sum());
        let began = self.spans.iter().map(|(_, from, _)| *from).min();
        let ended = self.spans.iter().map(|(_, _, to)| to.unwrap_or(now)).max();
        let took = began.zip(ended).map(|(from, to)| to.saturating_sub(from));
        Tally {
            tables: self.tables.iter().map(|&table| table.to_owned()).collect(),
            requests: requests.count,
            bytes: requests.bytes,
            retries: retries.count,
            waited: retries.together + turns.together,
            took: took.unwrap_or_default(),
        }
    }
}
