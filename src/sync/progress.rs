//! The limit on the requests of a pass: a listing that makes no progress is an error, never an end.
//!
//! A page makes progress if it contains something that was not read before. Pages without progress also occur on a
//! healthy server, because rows that are deleted or inserted during the pass move the others. There are at most about
//! as many of these pages as pages that made progress, so twice as many are accepted, and no more.

/// The number of further pages without progress that are accepted, however little was read.
const AT_FIRST: u64 = 2;

/// The same allowance in rows. That many rows may come or go between two requests, which moves small pages by several.
const ROWS_AT_FIRST: u64 = 64;

/// The reason that a listing makes no progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoProgress {
    /// The page is empty, although rows that were read before should be on it.
    #[error("pages that should contain rows are empty")]
    Empty,
    /// The page does not begin where the previous page ended, and neither do the pages before it.
    #[error("pages do not follow one another")]
    Gap,
    /// The page holds only rows that were read before.
    #[error("pages repeat rows that were already read")]
    Repeats,
}

/// The numbers of pages of a pass that made progress, and of those that did not.
#[derive(Debug, Default)]
pub(super) struct Progress {
    useful: u64,
    idle: u64,
    /// The number of pages that the pager chose to read again.
    granted: u64,
}

impl Progress {
    /// Counts a page that made progress.
    pub(super) fn useful(&mut self) {
        self.useful += 1;
    }

    /// Counts a page without progress; returns an error if there were too many. Pages have `limit` rows.
    pub(super) fn idle(&mut self, why: NoProgress, limit: u64) -> Result<(), NoProgress> {
        self.idle += 1;
        let at_first = AT_FIRST + ROWS_AT_FIRST / limit.max(1);
        if self.idle > 2 * self.useful + at_first + self.granted {
            return Err(why);
        }
        Ok(())
    }

    /// Allows `pages` further pages without progress, because they are read again on purpose.
    pub(super) fn grant(&mut self, pages: u64) {
        self.granted += pages;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_walk_ends_after_three_times_the_requests_of_a_complete_read() {
        for useful in 1..50 {
            let mut progress = Progress::default();
            (0..useful).for_each(|_| progress.useful());
            let idle = (1..1_000).find(|_| progress.idle(NoProgress::Repeats, 200).is_err());
            // A complete read has at least one page more.
            assert_eq!(idle.map(|idle| idle + useful), Some(3 * (useful + 1)));
        }
    }
}
