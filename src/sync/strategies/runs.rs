//! Runs: read by the value of `expected_start_time`, newest first.
//!
//! No server can filter or sort runs by `updated`, so a walk passes over all of them and sends those
//! that changed since the last complete walk began.
//!
//! ```text
//!  future                                                        oldest
//!  |-------- passed --------| before          next page ... ------|
//! ```
//!
//! The place is a value, not an offset: runs created or deleted meanwhile do not move it, and a run
//! that changes after it was passed has an `updated` after the walk's start, so the next one sends it.

use std::collections::HashSet;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::{Reader, Rows, collection, position};
use crate::{
    prefect::{Filter, ListRequest, TimeRange},
    rows::{Row, fingerprint},
    sync::{
        paging::OffsetWalk,
        recent::{News, Recent},
        state::ReaderState,
    },
    tables::Table,
};

/// The state of a table of runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RunsState {
    news: News,
    /// An interrupted walk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    walk: Option<Walk>,
}

/// A walk under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Walk {
    started: DateTime<Utc>,
    /// Everything later is passed; `None` at the beginning.
    before: Option<DateTime<Utc>>,
    /// Sent with an `updated` that the next walk will meet again.
    #[serde(default, skip_serializing_if = "Recent::is_empty")]
    sent: Recent,
}

pub(super) struct Runs {
    table: &'static Table,
    updated: usize,
    expected: usize,
    news: News,
    walk: Option<Walk>,
    /// Ids already taken at the value `before`, which the next page begins with.
    taken: HashSet<String>,
    /// The walk was begun by an earlier sync: what came since then is still to be read.
    resumed: bool,
    /// Reading the runs of one single value, of which there are more than fit on a page.
    tie: Option<OffsetWalk>,
    done: bool,
}

impl Runs {
    pub(super) fn new(table: &'static Table, state: Option<&RunsState>) -> Self {
        Self {
            table,
            updated: position(table, "updated"),
            expected: position(table, "expected_start_time"),
            news: state.map_or_else(News::new, |state| state.news.clone()),
            walk: state.and_then(|state| state.walk.clone()),
            taken: HashSet::new(),
            resumed: state.is_some_and(|state| state.walk.is_some()),
            tie: None,
            done: false,
        }
    }

    fn before(&self) -> Option<DateTime<Utc>> {
        self.walk.as_ref().and_then(|walk| walk.before)
    }

    /// Moves on after a page by value; `taken` are the ids taken before it at the value it began with.
    fn advance(&mut self, taken: HashSet<String>, rows: &[Row], is_last: bool) {
        if is_last {
            return self.arrive();
        }
        let value = |row: Option<&Row>| row.and_then(|row| row.instant(self.expected));
        let (first, last) = (value(rows.first()), value(rows.last()));
        let Some(bound) = last else {
            // Nulls, which a range never matches: PostgreSQL puts them first, so the values are still
            // to come; SQLite puts them last, so all values were read.
            return match first {
                None if self.before().is_none() => self.move_to(DateTime::<Utc>::MAX_UTC),
                _ => self.arrive(),
            };
        };
        if first == last {
            // The whole page shares one value, and there may be more of it: by offset, inside it.
            self.tie = Some(OffsetWalk::default());
        }
        if self.before() == last {
            self.taken = taken;
        }
        self.taken.extend(
            rows.iter()
                .filter(|row| row.instant(self.expected) == last)
                .map(|row| row.id().to_owned()),
        );
        self.move_to(bound);
    }

    /// Moves on after a page of runs that share one value.
    fn advance_in_tie(&mut self, mut taken: HashSet<String>, page: &Rows) {
        let ids: Vec<&str> = page.list.iter().map(Row::id).collect();
        let ended = self
            .tie
            .as_mut()
            .is_none_or(|walk| walk.accept(&ids, page.objects, page.limit).ended);
        if ended {
            self.tie = None;
            if let Some(bound) = self.before() {
                self.move_to(bound - TimeDelta::microseconds(1));
            }
        } else {
            taken.extend(ids.into_iter().map(str::to_owned));
            self.taken = taken;
        }
    }

    fn move_to(&mut self, bound: DateTime<Utc>) {
        if let Some(walk) = &mut self.walk {
            walk.before = Some(bound.min(latest()));
        }
    }

    /// The walk is complete; after one that an earlier sync began, another one reads what came since.
    fn arrive(&mut self) {
        if let Some(walk) = self.walk.take() {
            self.news = News {
                cursor: Some(walk.started),
                recent: walk.sent,
            };
        }
        self.done = !std::mem::take(&mut self.resumed);
    }

    /// Whether a row must be sent; remembers it.
    fn take(&mut self, row: &Row) -> bool {
        let updated = row.instant(self.updated);
        let hash = fingerprint(self.table, row);
        let Some(walk) = &mut self.walk else {
            return true;
        };
        let news = self.news.is_news(updated, hash) && !walk.sent.contains(hash);
        walk.sent.remember(walk.started, updated, hash);
        news
    }
}

/// The latest time that Prefect's filters can spell.
fn latest() -> DateTime<Utc> {
    DateTime::from_timestamp(253_402_300_799, 0).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

impl Reader for Runs {
    fn next(&self, limit: u32) -> Option<ListRequest> {
        if self.done {
            return None;
        }
        let before = self.before();
        let (sort, after, offset) = match &self.tie {
            // The one order that is unique.
            Some(walk) => ("ID_DESC", before, walk.offset()),
            None => ("EXPECTED_START_TIME_DESC", None, 0),
        };
        Some(ListRequest {
            collection: collection(self.table),
            sort,
            limit,
            offset,
            filter: Filter {
                expected_start_time: TimeRange { after, before },
                ..Filter::default()
            },
        })
    }

    fn accept(&mut self, page: Rows) -> Vec<Row> {
        self.walk.get_or_insert_with(|| Walk {
            started: page.now,
            before: None,
            sent: Recent::default(),
        });
        let is_short = page.objects < usize::try_from(page.limit).unwrap_or(usize::MAX);
        let taken = std::mem::take(&mut self.taken);
        let is_sent: Vec<bool> = page
            .list
            .iter()
            .map(|row| !taken.contains(row.id()) && self.take(row))
            .collect();
        if self.tie.is_some() {
            self.advance_in_tie(taken, &page);
        } else {
            self.advance(taken, &page.list, is_short);
        }
        page.list
            .into_iter()
            .zip(is_sent)
            .filter_map(|(row, is_sent)| is_sent.then_some(row))
            .collect()
    }

    fn state(&self) -> ReaderState {
        ReaderState::Runs(RunsState {
            news: self.news.clone(),
            walk: self.walk.clone(),
        })
    }
}
