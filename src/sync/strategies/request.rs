//! The requests of the strategies, and the responses to them.

use chrono::{DateTime, Utc};

use crate::{
    prefect::{CountRequest, EventsRequest, GetRequest, ListRequest, TimeRange, Token},
    rows::Row,
    sync::{keyset::latest_possible_time, unreadable::Known},
};

/// The next request of a strategy.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::sync) enum Request {
    /// A page.
    List(ListRequest),
    /// A page, read around objects that could not be read before.
    ListAround(ListRequest, Vec<Known>),
    /// A page for which the server returned an error before, requested without retries.
    Try(ListRequest),
    /// One object by its id, requested without retries. If the object cannot be read, the page has a gap.
    TryOne(ListRequest),
    /// The number of objects. Not every server can count them.
    Count(CountRequest),
    /// A page of the table whose objects have a listing each.
    Parents(ListRequest),
    /// A page of the second listing of a table. Not every server has that listing.
    Second(ListRequest),
    /// One object; the response is a page of it, or an empty one.
    Get(GetRequest),
    /// A page of events.
    Events(EventsRequest),
    /// The states of this flow run.
    States(String),
    /// A description of the server; the response is a page of one row.
    Server,
}

impl Request {
    /// Returns the range of time that is requested, if there is one.
    pub(in crate::sync) fn range(&self) -> Option<TimeRange> {
        let mut range = match self {
            Self::List(ListRequest { filter, .. })
            | Self::ListAround(ListRequest { filter, .. }, _)
            | Self::Parents(ListRequest { filter, .. }) => {
                let ranges = [
                    filter.end_time,
                    filter.expected_start_time,
                    filter.timestamp,
                ];
                ranges.into_iter().find(|range| !range.is_unbounded())?
            }
            // The range that a token represents was reported with the first page.
            Self::Events(request) if request.token.is_none() => TimeRange {
                after: request.since,
                before: request.until,
            },
            _ => return None,
        };
        range.before = range
            .before
            .filter(|before| *before < latest_possible_time());
        Some(range)
    }
}

/// The response to a [`Request`].
#[derive(Debug)]
pub(in crate::sync) enum Response {
    /// The page.
    Page(FetchedPage),
    /// The server still returns an error.
    Failed,
    /// The number of objects; `None` if the server has no counts.
    Count(Option<u64>),
}

/// The rows of a page.
#[derive(Debug)]
pub(in crate::sync) struct FetchedPage {
    /// The rows, in the server's order; elements without a usable id are left out.
    pub(in crate::sync) list: Vec<Row>,
    /// The number of elements on the page, including those without a usable id.
    pub(in crate::sync) objects: usize,
    /// The indices of the rows before which objects cannot be read, one for each such object.
    pub(in crate::sync) gaps: Vec<usize>,
    /// The offsets of those objects in the listing, where they are known.
    pub(in crate::sync) gap_offsets: Vec<u64>,
    /// The number of objects that were requested, including unreadable ones. A shorter page ends the listing.
    pub(in crate::sync) limit: u32,
    /// The server's clock at the response; never earlier than at the response before.
    pub(in crate::sync) now: DateTime<Utc>,
    /// A time that the rows' clock had reached at the response; never earlier than at the response before.
    pub(in crate::sync) mark: DateTime<Utc>,
    /// The continuation of a page of events.
    pub(in crate::sync) more: NextPage,
}

/// The continuation of a page of events.
#[derive(Debug, Default)]
pub(in crate::sync) struct NextPage {
    /// The token of the next page.
    pub(in crate::sync) next: Option<Token>,
    /// The number of events on all pages.
    pub(in crate::sync) total: Option<u64>,
}

impl FetchedPage {
    /// Creates a page without rows.
    pub(in crate::sync) fn none(limit: u32, now: DateTime<Utc>) -> Self {
        Self {
            list: Vec::new(),
            objects: 0,
            gaps: Vec::new(),
            gap_offsets: Vec::new(),
            limit,
            now,
            mark: now,
            more: NextPage::default(),
        }
    }
}
