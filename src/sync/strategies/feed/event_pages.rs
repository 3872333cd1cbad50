//! Listings of events.

use chrono::{DateTime, TimeDelta, Utc};

use super::{
    DAYS_AT_ONCE, Feed, OLDEST_EVENTS,
    page_boundary::SameTimeEvents,
    phase::{FeedCursor, Phase},
};
use crate::{
    prefect::{EventsRequest, MOST_EVENTS, Token},
    rows::Row,
    sync::{
        NoProgress,
        strategies::{
            emission::Emission,
            request::{FetchedPage, Request},
        },
    },
    tables,
};

impl Feed {
    /// Returns the lower bound of the part of the window that ends at `before`.
    pub(super) fn since(&self, before: DateTime<Utc>) -> DateTime<Utc> {
        let part = before - DAYS_AT_ONCE;
        part.max(self.lo().unwrap_or(self.now - OLDEST_EVENTS))
    }

    pub(super) fn events(
        &mut self,
        place: &FeedCursor,
        mut page: FetchedPage,
        emission: &mut Emission,
    ) -> Result<(), NoProgress> {
        let lo = self.lo().unwrap_or(self.now - OLDEST_EVENTS);
        let is_end = page.more.next.is_none() && (place.since <= lo || page.objects == 0);
        if self.is_doubtful(&page, is_end) {
            self.phase = Phase::Events(place.clone());
            return Ok(());
        }
        let more = std::mem::take(&mut page.more);
        let is_full = page.objects >= page.limit.min(MOST_EVENTS) as usize;
        let values = page.list.iter();
        let values: Vec<_> = values
            .map(|row| (row.id(), row.instant(self.time)))
            .collect();
        let fresh = self.boundary.accept(&values, place.token.is_some());
        drop(values);
        let is_over = page.objects == 0 && more.next.is_none();
        if fresh.contains(&true) {
            self.progress.useful();
        } else if !is_over {
            self.progress.idle(NoProgress::Repeats, page.limit.into())?;
        }
        self.send_new_rows(page, &fresh, emission);
        let is_last = more.next.is_none();
        let instant = self.boundary.split(is_last);
        let place = if is_last {
            let rest = is_full.then(|| self.rest(place, instant.as_ref()));
            rest.flatten().or_else(|| self.next_part(place.since))
        } else {
            Some(FeedCursor {
                before: self.boundary.last(),
                token: more.next,
                ..place.clone()
            })
        };
        self.phase = match instant {
            Some(instant) => {
                // A sync that is interrupted now reads that instant again.
                self.pass(Some(instant.at()), emission);
                Phase::Instant(instant, place)
            }
            None => self.continue_at(place, emission),
        };
        Ok(())
    }

    /// Returns the listing that follows one that ended with a full page; `None` if that reached its lower bound.
    ///
    /// Prefect counts the events for the first page, and ends the listing at that number. Events that arrive later,
    /// with times in between, move the earliest events past that end.
    pub(super) fn rest(
        &self,
        ended: &FeedCursor,
        instant: Option<&SameTimeEvents>,
    ) -> Option<FeedCursor> {
        let last = self.boundary.last()?;
        let is_read = instant.is_some_and(|instant| instant.at() == last);
        let is_lower = ended.reached_before.is_none_or(|before| last < before);
        // If the instant itself is read, or filled the whole listing, only earlier events are left.
        let before = if is_lower && !is_read {
            last
        } else {
            last - TimeDelta::microseconds(1)
        };
        (before >= ended.since).then_some(FeedCursor {
            since: ended.since,
            before: Some(before),
            token: None,
            reached_before: Some(last),
        })
    }

    /// Returns the part of the window that ends at `before`; `None` if the window begins there.
    pub(super) fn next_part(&self, before: DateTime<Utc>) -> Option<FeedCursor> {
        let lo = self.lo().unwrap_or(self.now - OLDEST_EVENTS);
        (before > lo).then(|| FeedCursor {
            since: self.since(before),
            before: Some(before),
            token: None,
            reached_before: self.boundary.last(),
        })
    }

    /// Takes a page of the events of one instant.
    pub(super) fn instant(
        &mut self,
        mut instant: SameTimeEvents,
        place: Option<FeedCursor>,
        mut page: FetchedPage,
        emission: &mut Emission,
    ) -> Result<(), NoProgress> {
        let more = std::mem::take(&mut page.more);
        let ids: Vec<&str> = page.list.iter().map(Row::id).collect();
        let fresh = instant.accept(&ids, page.limit)?;
        drop(ids);
        self.send_new_rows(page, &fresh, emission);
        self.phase = if instant.is_complete(more) {
            self.continue_at(place, emission)
        } else {
            Phase::Instant(instant, place)
        };
        Ok(())
    }

    pub(super) fn continue_at(
        &mut self,
        place: Option<FeedCursor>,
        emission: &mut Emission,
    ) -> Phase {
        match place {
            Some(place) => {
                self.pass(place.before, emission);
                Phase::Events(place)
            }
            None => self.finish(emission),
        }
    }

    pub(super) fn ask(
        &self,
        since: Option<DateTime<Utc>>,
        until: Option<DateTime<Utc>>,
        token: Option<Token>,
        limit: u32,
    ) -> Option<Request> {
        let tables::Feed::Events(tables::Events { names, exclude, .. }) = self.kind else {
            return None;
        };
        Some(Request::Events(EventsRequest {
            since,
            until,
            names,
            exclude,
            limit,
            token,
        }))
    }
}
