//! Newest first: read by `updated`, descending, down to the last cursor.
//!
//! ```text
//!  newest                                                        oldest
//!  |-- this walk ... reached --|-- an interrupted walk read this --|-- cursor - margin
//! ```
//!
//! The cursor moves only when the walk has arrived. A row that changes meanwhile moves to the front
//! with an `updated` after the walk's start: the next sync finds it.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{Reader, Rows, collection, position};
use crate::{
    prefect::{Filter, ListRequest},
    rows::{Row, fingerprint},
    sync::{
        paging::OffsetWalk,
        recent::{MARGIN, News, Recent},
        state::ReaderState,
    },
    tables::Table,
};

/// The state of a table read newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewestFirstState {
    news: News,
    /// What an interrupted walk has read; its rows need not be sent again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    walk: Option<Walk>,
}

/// A walk under way: every row with an `updated` between `reached` and `started` less the margin was
/// sent (or was no news).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Walk {
    started: DateTime<Utc>,
    reached: DateTime<Utc>,
}

impl Walk {
    /// Strictly inside: rows that share `reached` may be on the next page.
    fn covers(&self, updated: DateTime<Utc>) -> bool {
        updated > self.reached && updated < self.started - MARGIN
    }
}

pub(super) struct NewestFirst {
    table: &'static Table,
    sort: &'static str,
    updated: usize,
    news: News,
    /// Of this walk, to be remembered when it has arrived.
    sent: Recent,
    earlier: Option<Walk>,
    this: Option<Walk>,
    pages: OffsetWalk,
    done: bool,
}

impl NewestFirst {
    pub(super) fn new(
        table: &'static Table,
        sort: &'static str,
        state: Option<&NewestFirstState>,
    ) -> Self {
        Self {
            table,
            sort,
            updated: position(table, "updated"),
            news: state.map_or_else(News::new, |state| state.news.clone()),
            sent: Recent::default(),
            earlier: state.and_then(|state| state.walk),
            this: None,
            pages: OffsetWalk::default(),
            done: false,
        }
    }

    /// Both walks as one, as far as they meet; else the earlier one, whose rows are many.
    fn covered(&self) -> Option<Walk> {
        match (self.earlier, self.this) {
            (Some(earlier), Some(this)) if this.reached < earlier.started - MARGIN => Some(Walk {
                started: this.started,
                reached: this.reached.min(earlier.reached),
            }),
            (Some(earlier), _) => Some(earlier),
            (None, this) => this,
        }
    }

    /// Whether a row must be sent; remembers it.
    fn take(&mut self, row: &Row, started: DateTime<Utc>) -> bool {
        let updated = row.instant(self.updated);
        let hash = fingerprint(self.table, row);
        let was_sent = updated
            .is_some_and(|updated| self.earlier.is_some_and(|earlier| earlier.covers(updated)));
        let news = !was_sent && self.news.is_news(updated, hash);
        self.sent.remember(started, updated, hash);
        if let (Some(this), Some(updated)) = (&mut self.this, updated) {
            this.reached = this.reached.min(updated);
        }
        news
    }
}

impl Reader for NewestFirst {
    fn next(&self, limit: u32) -> Option<ListRequest> {
        (!self.done).then(|| ListRequest {
            collection: collection(self.table),
            sort: self.sort,
            limit,
            offset: self.pages.offset(),
            filter: Filter::default(),
        })
    }

    fn accept(&mut self, page: Rows) -> Vec<Row> {
        let started = self
            .this
            .get_or_insert(Walk {
                started: page.now,
                reached: page.now,
            })
            .started;
        let ids: Vec<&str> = page.list.iter().map(Row::id).collect();
        let step = self.pages.accept(&ids, page.objects, page.limit);
        if step.stepped_back {
            return Vec::new();
        }
        let mut arrived = step.ended;
        let mut send = Vec::new();
        for (at, row) in page.list.into_iter().enumerate() {
            if self.news.is_old(row.instant(self.updated)) {
                arrived = true;
                break;
            }
            if step.fresh.contains(&at) && self.take(&row, started) {
                send.push(row);
            }
        }
        if arrived {
            self.news = News {
                cursor: Some(started),
                recent: std::mem::take(&mut self.sent),
            };
            self.earlier = None;
            self.this = None;
            self.done = true;
        }
        send
    }

    fn state(&self) -> ReaderState {
        let mut news = self.news.clone();
        if self.this.is_some() {
            news.recent.extend(&self.sent);
        }
        ReaderState::NewestFirst(NewestFirstState {
            news,
            walk: self.covered(),
        })
    }
}
