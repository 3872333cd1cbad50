//! The steps of one sync of an append-only table.

use chrono::{DateTime, Utc};

use super::{page_boundary::SameTimeEvents, runs_with_states::RunsWithStates};
use crate::{
    prefect::Token,
    rows::Row,
    sync::{keyset::KeysetPager, strategies::gaps::Between},
};

/// The step that a sync of an append-only table is at.
pub(super) enum Phase {
    /// The request for the server's clock, by which a long range is divided into parts.
    Clock,
    Logs(Box<KeysetPager>),
    Events(FeedCursor),
    /// Ended runs and their states.
    Runs(Box<RunsWithStates>),
    /// Runs whose states from before the first event are read.
    Earlier(Box<RunsWithStates>),
    /// Events of one instant that was on two pages, and the position at which to continue.
    Instant(SameTimeEvents, Option<FeedCursor>),
    /// A gap in the log lines, which is requested again.
    Unreadable(Box<GapRetry>),
    Done,
}

/// The reading of a gap in the log lines.
///
/// All lines are sent when the last of them is read: while the server still fails on some, none is sent at each sync.
pub(super) struct GapRetry {
    pub(super) between: Between,
    pub(super) pager: KeysetPager,
    pub(super) found: Vec<Row>,
}

/// A position in a listing of events.
#[derive(Debug, Clone)]
pub(super) struct FeedCursor {
    pub(super) since: DateTime<Utc>,
    /// The time after which all events are read.
    pub(super) before: Option<DateTime<Utc>>,
    /// The token of the next page; `None` if a listing begins.
    pub(super) token: Option<Token>,
    /// The earliest time that was seen before this listing.
    pub(super) reached_before: Option<DateTime<Utc>>,
}
