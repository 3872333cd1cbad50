//! The strategies by which tables are read, as pure state machines.
//!
//! Their input is the state and the responses; their output is requests, rows to send and the new state. The time comes
//! with the responses.

mod feed;
mod gaps;
mod latest;
mod look_up;
mod newest_first;
mod rewind_requests;
mod runs;
mod snapshot;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{
    NoProgress, SyncSettings,
    keyset::latest,
    offset::{Sorted, by_time},
    selection::Group,
    unreadable::Known,
};
use crate::{
    messages,
    prefect::{Collection, CountRequest, EventsRequest, GetRequest, ListRequest, TimeRange, Token},
    rows::{Context, Row},
    sync::window_kind,
    tables::{self, Strategy, Table},
    telemetry::WindowKind,
};

pub(super) use feed::FeedState;
pub(super) use newest_first::NewestFirstState;
pub(super) use rewind_requests::RewindRefused;
pub(super) use runs::RunsState;
pub(super) use snapshot::SnapshotState;

/// The saved state of a table, in the form that its strategy defines.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ReaderState {
    Snapshot(SnapshotState),
    NewestFirst(NewestFirstState),
    Runs(Box<RunsState>),
    Feed(Box<FeedState>),
    /// The table is read together with the table of this name, which has the state.
    #[serde(rename = "with")]
    HeldBy(String),
}

impl ReaderState {
    /// Returns the approximate size in bytes of the set that [`Self::shed`] would drop or halve.
    pub(super) fn weight(&self) -> usize {
        match self {
            Self::Snapshot(state) => state.weight(),
            Self::NewestFirst(state) => state.weight(),
            Self::Runs(state) => state.weight(),
            Self::Feed(state) => state.weight(),
            Self::HeldBy(_) => 0,
        }
    }

    /// Drops the largest set of the state, or half of it. Less is known then, but nothing is lost.
    pub(super) fn shed(&mut self) {
        match self {
            Self::Snapshot(state) => state.shed(),
            Self::NewestFirst(state) => state.shed(),
            Self::Runs(state) => state.shed(),
            Self::Feed(state) => state.shed(),
            Self::HeldBy(_) => {}
        }
    }

    /// Returns the changes that are not seen any more because of [`Self::shed`]. (The reader of runs warns of a full
    /// open set itself.)
    pub(super) fn untracked(&self) -> Option<&'static str> {
        match self {
            Self::Snapshot(state) => state.untracked(),
            Self::NewestFirst(state) => state.untracked(),
            Self::Runs(_) | Self::Feed(_) | Self::HeldBy(_) => None,
        }
    }

    /// Resets times that cannot be compared with any more, so that everything read by time is sent again. The server's
    /// clock is at `now`.
    pub(super) fn rewind(&mut self, now: DateTime<Utc>) {
        match self {
            // Snapshots compare fingerprints, not times.
            Self::Snapshot(state) => state.listed = None,
            Self::NewestFirst(state) => state.rewind(),
            Self::Runs(state) => state.rewind(now),
            Self::Feed(state) => state.rewind(),
            Self::HeldBy(_) => {}
        }
    }

    /// Forgets what the server could not do, because the server has changed. The next sync tries all of that again.
    pub(super) fn forget_abilities(&mut self) {
        match self {
            Self::Runs(state) => state.forget_abilities(),
            // An append-only table finds out at each sync.
            Self::Feed(_) | Self::Snapshot(_) | Self::NewestFirst(_) | Self::HeldBy(_) => {}
        }
    }

    /// Returns the name of the way in which the table is read, if that depends on the server.
    pub(super) fn ability(&self) -> Option<&'static str> {
        match self {
            Self::Runs(state) => Some(state.ability()),
            Self::Feed(state) => state.ability(),
            _ => None,
        }
    }

    /// Returns at most `most` packed ids of objects that existed at the last sync.
    pub(super) fn some_ids(&self, most: usize) -> Vec<&str> {
        fn of<'a>(ids: impl Iterator<Item = &'a String>, most: usize) -> Vec<&'a str> {
            ids.take(most).map(String::as_str).collect()
        }
        match self {
            Self::Snapshot(state) => of(state.rows.keys(), most),
            Self::NewestFirst(state) => of(state.ids.iter(), most),
            Self::Runs(state) => of(state.open_ids(), most),
            Self::Feed(_) | Self::HeldBy(_) => Vec::new(),
        }
    }
}

/// Returns the request for objects by their ids alone; `None` if they cannot be requested so.
pub(super) fn look_up(table: &'static Table, ids: Vec<String>) -> Option<ListRequest> {
    let limit = u32::try_from(ids.len()).ok()?;
    match look_up::GetById::of(ids)?.next(table, limit)? {
        Request::List(request) => Some(request),
        _ => None,
    }
}

/// The next request of a strategy.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Request {
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
    pub(super) fn range(&self) -> Option<TimeRange> {
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
        range.before = range.before.filter(|before| *before < latest());
        Some(range)
    }
}

/// The response to a [`Request`].
#[derive(Debug)]
pub(super) enum Response {
    /// The page.
    Page(FetchedPage),
    /// The server still returns an error.
    Failed,
    /// The number of objects; `None` if the server has no counts.
    Count(Option<u64>),
}

/// The rows of a page.
#[derive(Debug)]
pub(super) struct FetchedPage {
    /// The rows, in the server's order; elements without a usable id are left out.
    pub(super) list: Vec<Row>,
    /// The number of elements on the page, including those without a usable id.
    pub(super) objects: usize,
    /// The indices of the rows before which objects cannot be read, one for each such object.
    pub(super) gaps: Vec<usize>,
    /// The offsets of those objects in the listing, where they are known.
    pub(super) gap_offsets: Vec<u64>,
    /// The number of objects that were requested, including unreadable ones. A shorter page ends the listing.
    pub(super) limit: u32,
    /// The server's clock at the response; never earlier than at the response before.
    pub(super) now: DateTime<Utc>,
    /// A time that the rows' clock had reached at the response; never earlier than at the response before.
    pub(super) mark: DateTime<Utc>,
    /// The continuation of a page of events.
    pub(super) more: NextPage,
}

/// The continuation of a page of events.
#[derive(Debug, Default)]
pub(super) struct NextPage {
    /// The token of the next page.
    pub(super) next: Option<Token>,
    /// The number of events on all pages.
    pub(super) total: Option<u64>,
}

impl FetchedPage {
    /// Creates a page without rows.
    pub(super) fn none(limit: u32, now: DateTime<Utc>) -> Self {
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

/// A change to send.
#[derive(Debug)]
pub(super) enum Change {
    /// The row as it is now.
    Upsert(Row),
    /// The row as it is now, only for the tables that the backfill is for.
    BackfillOnly(Row),
    /// The object with this id is deleted.
    Delete(&'static Table, String),
    /// All rows sent before are deleted, unless they are sent again.
    Truncate(&'static Table),
}

/// The result of a response.
#[derive(Debug, Default)]
pub(super) struct Emission {
    /// The changes to send, in order.
    pub(super) changes: Vec<Change>,
    /// Warnings for the user.
    pub(super) warnings: Vec<String>,
    /// Set if the listing makes no progress. No more requests are sent, and the sync ends with this error once the
    /// changes are sent. This never counts as the end of the listing, because the unread rest is unknown.
    pub(super) stuck: Option<NoProgress>,
    /// Set if the state has a new fact that another sync might not find out: it counts as a change.
    pub(super) has_learnt: bool,
}

/// The states of tables, by table name.
pub(super) type States = Vec<(&'static str, ReaderState)>;

/// The next step of a reader that may send a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Poll {
    /// A request. Its response arrives with the same ticket.
    Request(usize, Box<Request>),
    /// The reader waits for a response first.
    Pending,
    /// Everything is requested and received.
    Done,
}

/// The reading of one table in one sync.
pub(super) trait TableSync: Send {
    /// Returns the next request, for at most `limit` objects. Other requests may be under way.
    fn next(&mut self, limit: u32) -> Poll;

    /// Takes the response to the request `ticket`.
    fn accept(&mut self, ticket: usize, answer: Response) -> Emission;

    /// Marks the request `ticket` to be sent again, perhaps for fewer objects.
    fn again(&mut self, ticket: usize);

    /// Handles the rejection of a filter of the request, which `detail` names. Returns true if the next request uses
    /// another way.
    fn refused(&mut self, ticket: usize, detail: &str) -> bool;

    /// Returns the states that cover everything accepted so far, by table.
    fn states(&self) -> States;

    /// Handles a request to an address at which the server has nothing. Returns true if the next request uses another
    /// way.
    fn missing(&mut self, _ticket: usize) -> bool {
        false
    }

    /// Returns the purpose of the last request, for telemetry.
    fn window_kind(&self) -> WindowKind {
        window_kind::NEW_ROWS
    }

    /// Returns warnings for the user, once everything is read.
    fn remarks(&self) -> Vec<String> {
        Vec::new()
    }
}

/// A reader that waits for each response.
pub(super) trait SequentialSync: Send {
    /// Returns the next request, for at most `limit` objects; `None` once the table is read.
    fn next(&mut self, limit: u32) -> Option<Request>;

    /// Takes the response to the last request.
    fn accept(&mut self, answer: Response) -> Emission;

    /// Handles a last request to an address at which there is nothing; see [`TableSync::missing`].
    fn missing(&mut self) -> bool {
        false
    }

    /// Returns the states that cover everything accepted so far, by table.
    fn states(&self) -> States;

    /// Returns the purpose of the last request; see [`TableSync::reading`].
    fn window_kind(&self) -> WindowKind {
        window_kind::NEW_ROWS
    }

    /// Returns warnings for the user; see [`TableSync::remarks`].
    fn remarks(&self) -> Vec<String> {
        Vec::new()
    }
}

/// A [`TableSync`] that sends one request at a time.
struct Sequential<S> {
    reader: S,
    is_asked: bool,
}

impl<S: SequentialSync> Sequential<S> {
    fn new(reader: S) -> Self {
        Self {
            reader,
            is_asked: false,
        }
    }
}

impl<S: SequentialSync> TableSync for Sequential<S> {
    fn next(&mut self, limit: u32) -> Poll {
        if self.is_asked {
            return Poll::Pending;
        }
        match self.reader.next(limit) {
            Some(ask) => {
                self.is_asked = true;
                Poll::Request(0, Box::new(ask))
            }
            None => Poll::Done,
        }
    }

    fn accept(&mut self, _: usize, answer: Response) -> Emission {
        self.is_asked = false;
        self.reader.accept(answer)
    }

    fn again(&mut self, _: usize) {
        self.is_asked = false;
    }

    fn refused(&mut self, _: usize, _: &str) -> bool {
        false
    }

    fn missing(&mut self, _: usize) -> bool {
        self.is_asked = false;
        self.reader.missing()
    }

    fn states(&self) -> States {
        self.reader.states()
    }

    fn window_kind(&self) -> WindowKind {
        self.reader.window_kind()
    }

    fn remarks(&self) -> Vec<String> {
        self.reader.remarks()
    }
}

/// Returns the warning about unreadable objects of a table, if there are any.
fn unreadable_remark(table: &Table, objects: u64) -> Option<String> {
    (objects > 0).then(|| {
        messages::BAD_OBJECTS.format(format_args!(
            "table {}: {objects} object(s) were skipped: the server fails (500) on each page that contains them; each sync tries them again",
            table.name
        ))
    })
}

/// The input with which a reading begins.
pub(super) struct StartContext<'a> {
    pub(super) group: &'a Group,
    /// The state of each table of the group, if it has one. The flag is true if columns were added to the table: then
    /// everything is sent again.
    pub(super) saved: Vec<Option<(&'a ReaderState, bool)>>,
    /// The values that all rows share.
    pub(super) context: &'a Context,
    pub(super) settings: &'a SyncSettings,
    /// The server's clock at the last response, if there was one.
    pub(super) now: Option<DateTime<Utc>>,
}

/// Starts reading tables from their saved states. A state of another strategy counts as none.
pub(super) fn start(start: &StartContext<'_>) -> Box<dyn TableSync> {
    let source = start.group.source;
    match source.strategy {
        Strategy::Snapshot(_) | Strategy::Server | Strategy::Part(_) => {
            Box::new(Sequential::new(snapshot::Snapshot::new(start)))
        }
        Strategy::NewestFirst {
            sort,
            keeps_history,
        } => {
            let saved = match start.saved.first() {
                Some(Some((ReaderState::NewestFirst(state), refill))) => Some((state, *refill)),
                _ => None,
            };
            let reader = newest_first::NewestFirst::new(source, sort, keeps_history, saved);
            Box::new(Sequential::new(reader))
        }
        Strategy::Runs => Box::new(runs::RunsGroup::new(start)),
        Strategy::AppendOnly(kind) => Box::new(Sequential::new(feed::Feed::new(kind, start))),
    }
}

/// Returns the sort of a complete listing of a table, and the column by which it is sorted.
fn full_listing(table: &Table) -> (Option<&'static str>, &'static str) {
    match table.strategy {
        Strategy::Snapshot(tables::Listing { sort, order, .. }) => (sort, order),
        Strategy::NewestFirst { .. } => (Some("CREATED_DESC"), "created"),
        Strategy::Runs => (Some("ID_DESC"), "id"),
        Strategy::AppendOnly(_) | Strategy::Part(_) | Strategy::Server => (None, "id"),
    }
}

fn collection(table: &Table) -> Collection {
    Collection(table.endpoint)
}

/// Returns the position of a column that every table of its strategy has, as the checks of the tables ensure.
fn position(table: &Table, name: &str) -> usize {
    table.position(name).unwrap_or(usize::MAX)
}

/// Returns the sort keys of rows whose listing is sorted by the instant in column `position`.
fn sorted(rows: &[Row], position: usize) -> Vec<Sorted<'_>> {
    rows.iter()
        .map(|row| by_time(row.id(), row.instant(position)))
        .collect()
}
