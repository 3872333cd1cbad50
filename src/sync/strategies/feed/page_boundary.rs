//! Boundaries between two pages of events.
//!
//! Prefect sorts events by their time alone and divides them into pages by offset, so that events of one instant come
//! in a different order with each request. If an instant is on two pages, one of its events may come twice and another
//! not at all. Such an instant is requested again, separately.

use std::collections::HashSet;

use chrono::{DateTime, Utc};

use crate::{
    prefect::Token,
    sync::{NoProgress, progress::Progress, strategies::request::NextPage},
};

/// The number of successive readings without a new event after which an instant counts as read. It applies if the
/// server counts more events than were seen, or does not count them.
const MOST_QUIET: u32 = 8;

/// The end of the events that were read, from the latest to the earliest.
#[derive(Debug, Default)]
pub(super) struct PageBoundary {
    last: Option<DateTime<Utc>>,
    /// The events of the instant `last` that were seen.
    seen: HashSet<String>,
    /// True if the events of that instant are on two pages.
    is_split: bool,
    /// An instant on two pages that was passed, and its events that were seen.
    passed: Option<(DateTime<Utc>, HashSet<String>)>,
}

impl PageBoundary {
    /// Returns the earliest time that was seen.
    pub(super) fn last(&self) -> Option<DateTime<Utc>> {
        self.last
    }

    /// Takes a page as the id and time of each event; returns for each event whether it is new. (An event later than
    /// the end of the page before was seen on that page, or arrived late: the next window reads it again.)
    ///
    /// The first page of a listing (`is_next` is false) holds the first events of its instant, even if some of them
    /// were seen before.
    pub(super) fn accept(
        &mut self,
        events: &[(&str, Option<DateTime<Utc>>)],
        is_next: bool,
    ) -> Vec<bool> {
        let before = self.last.filter(|_| is_next);
        self.is_split |= before.is_some() && events.first().is_some_and(|(_, at)| *at >= before);
        let mut fresh = Vec::with_capacity(events.len());
        for (id, at) in events {
            fresh.push(match (*at, self.last) {
                (Some(at), Some(last)) if at > last => false,
                (Some(at), Some(last)) if at == last => self.seen.insert((*id).to_owned()),
                (Some(at), _) => {
                    self.pass();
                    self.last = Some(at);
                    self.seen.insert((*id).to_owned());
                    true
                }
                (None, _) => true,
            });
        }
        fresh
    }

    /// Ends the current instant, and records it if it was on two pages.
    fn pass(&mut self) {
        let seen = std::mem::take(&mut self.seen);
        if let (true, Some(last)) = (std::mem::take(&mut self.is_split), self.last) {
            self.passed = Some((last, seen));
        }
    }

    /// Returns an instant that was on two pages, once it was passed or the listing has ended.
    pub(super) fn split(&mut self, is_last: bool) -> Option<SameTimeEvents> {
        if is_last && self.is_split {
            let seen = self.seen.clone();
            self.pass();
            self.seen = seen;
        }
        let (at, seen) = self.passed.take()?;
        Some(SameTimeEvents {
            at,
            seen,
            token: None,
            has_news: false,
            quiet: 0,
            progress: Progress::default(),
        })
    }
}

/// The events of one instant.
#[derive(Debug)]
pub(super) struct SameTimeEvents {
    at: DateTime<Utc>,
    seen: HashSet<String>,
    token: Option<Token>,
    has_news: bool,
    quiet: u32,
    progress: Progress,
}

impl SameTimeEvents {
    pub(super) fn at(&self) -> DateTime<Utc> {
        self.at
    }

    pub(super) fn token(&self) -> Option<Token> {
        self.token.clone()
    }

    /// Takes a page that was requested with `limit`; returns for each event whether it is new. Returns an error if a
    /// reading has more pages than its events need.
    pub(super) fn accept(&mut self, ids: &[&str], limit: u32) -> Result<Vec<bool>, NoProgress> {
        let limit = u64::from(limit.max(1));
        if self.token.is_none() {
            // The events that were seen before come again.
            self.progress.grant(self.seen.len() as u64 / limit + 1);
        }
        let fresh: Vec<bool> = ids
            .iter()
            .map(|id| self.seen.insert((*id).to_owned()))
            .collect();
        if fresh.contains(&true) {
            self.has_news = true;
            self.progress.useful();
        } else {
            self.progress.idle(NoProgress::Repeats, limit)?;
        }
        Ok(fresh)
    }

    /// Returns true if all events of the instant were seen, according to the response. Otherwise the events are read
    /// again until their number is the one that the server counts, or until further readings bring no new event.
    pub(super) fn is_complete(&mut self, more: NextPage) -> bool {
        self.token = more.next;
        if self.token.is_some() {
            return false;
        }
        if more
            .total
            .is_some_and(|total| self.seen.len() as u64 >= total)
        {
            return true;
        }
        self.quiet = if std::mem::take(&mut self.has_news) {
            0
        } else {
            self.quiet + 1
        };
        self.quiet >= MOST_QUIET
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Option<DateTime<Utc>> {
        DateTime::from_timestamp(second, 0)
    }

    #[test]
    fn an_instant_on_two_pages_is_asked_for_by_itself() {
        let mut boundary = PageBoundary::default();
        assert_eq!(
            boundary.accept(&[("a", at(9)), ("b", at(8))], true),
            [true, true]
        );
        assert!(boundary.split(false).is_none());
        // Events b and c are both at 8; b comes twice.
        assert_eq!(
            boundary.accept(&[("b", at(8)), ("d", at(7))], true),
            [false, true]
        );
        let mut instant = boundary.split(false).expect("split");
        assert_eq!(Some(instant.at()), at(8));
        assert_eq!(instant.accept(&["c", "b"], 2), Ok(vec![true, false]));
        let total = Some(2);
        assert!(instant.is_complete(NextPage { next: None, total }));
        assert_eq!(boundary.accept(&[("e", at(6))], true), [true]);
        assert!(boundary.split(true).is_none());
    }

    #[test]
    fn a_large_instant_is_asked_for_when_it_is_passed() {
        let mut boundary = PageBoundary::default();
        boundary.accept(&[("a", at(8)), ("b", at(8))], true);
        boundary.accept(&[("c", at(8)), ("d", at(8))], true);
        assert!(
            boundary.split(false).is_none(),
            "the instant continues on the next page"
        );
        boundary.accept(&[("e", at(8)), ("f", at(7))], true);
        let mut instant = boundary.split(false).expect("split");
        assert_eq!(
            instant.accept(&["a", "b", "c", "d", "e"], 5),
            Ok(vec![false; 5])
        );
        let total = Some(6);
        for _ in 0..7 {
            assert!(!instant.is_complete(NextPage { next: None, total }));
        }
        assert_eq!(instant.accept(&["g"], 5), Ok(vec![true]));
        assert!(instant.is_complete(NextPage { next: None, total }));
    }

    #[test]
    fn a_large_instant_may_end_with_a_page() {
        let mut boundary = PageBoundary::default();
        boundary.accept(&[("a", at(9)), ("b", at(8))], true);
        boundary.accept(&[("c", at(8)), ("d", at(8))], true);
        assert!(boundary.split(false).is_none());
        boundary.accept(&[("e", at(7)), ("f", at(6))], true);
        assert_eq!(boundary.split(false).map(|it| it.at()), at(8));
    }

    #[test]
    fn what_came_later_than_the_page_before_is_left_to_the_next_window() {
        let mut boundary = PageBoundary::default();
        boundary.accept(&[("a", at(9)), ("b", at(8))], true);
        assert_eq!(
            boundary.accept(&[("late", at(9)), ("b", at(8)), ("c", at(7))], true),
            [false, false, true]
        );
        assert!(boundary.split(false).is_some());
    }
}
