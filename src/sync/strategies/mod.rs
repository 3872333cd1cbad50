//! How a table is read: pure state machines. State and answers in, requests, rows to send and new
//! state out; the time comes with the answers.

mod feed;
mod gaps;
mod latest;
mod look_up;
mod newest_first;
mod runs;
mod snapshot;
mod wishes;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{
    Choices, NoProgress,
    paging::{Sorted, by_time},
    selection::Group,
    unreadable::Known,
    value_walk::latest,
};
use crate::{
    messages,
    prefect::{Collection, CountRequest, EventsRequest, GetRequest, ListRequest, TimeRange, Token},
    rows::{Context, Row},
    tables::{self, Strategy, Table},
    telemetry::Reading,
};

pub(super) use feed::FeedState;
pub(super) use newest_first::NewestFirstState;
pub(super) use runs::RunsState;
pub(super) use snapshot::SnapshotState;
pub(super) use wishes::NotRewound;

/// Where a table's reading stands, in its strategy's own words.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ReaderState {
    Snapshot(SnapshotState),
    NewestFirst(NewestFirstState),
    Runs(Box<RunsState>),
    Feed(Box<FeedState>),
    /// Read together with the table of this name, which has the state.
    With(String),
}

impl ReaderState {
    /// What [`Self::shed`] would take out of the state, in bytes, roughly.
    pub(super) fn weight(&self) -> usize {
        match self {
            Self::Snapshot(state) => state.weight(),
            Self::NewestFirst(state) => state.weight(),
            Self::Runs(state) => state.weight(),
            Self::Feed(state) => state.weight(),
            Self::With(_) => 0,
        }
    }

    /// Gives up the largest set it holds, or half of it: less is known then, but nothing is lost.
    pub(super) fn shed(&mut self) {
        match self {
            Self::Snapshot(state) => state.shed(),
            Self::NewestFirst(state) => state.shed(),
            Self::Runs(state) => state.shed(),
            Self::Feed(state) => state.shed(),
            Self::With(_) => {}
        }
    }

    /// What is not seen any more because of that. (A full open set is told of by its reader.)
    pub(super) fn untracked(&self) -> Option<&'static str> {
        match self {
            Self::Snapshot(state) => state.untracked(),
            Self::NewestFirst(state) => state.untracked(),
            Self::Runs(_) | Self::Feed(_) | Self::With(_) => None,
        }
    }

    /// Times in the state cannot be compared with any more, the server's clock is at `now`: everything
    /// that is read by time is sent once more.
    pub(super) fn rewind(&mut self, now: DateTime<Utc>) {
        match self {
            // Compares fingerprints.
            Self::Snapshot(state) => state.listed = None,
            Self::NewestFirst(state) => state.rewind(),
            Self::Runs(state) => state.rewind(now),
            Self::Feed(state) => state.rewind(),
            Self::With(_) => {}
        }
    }

    /// The server is another one by now: what it could not do is tried again.
    pub(super) fn forget_abilities(&mut self) {
        match self {
            Self::Runs(state) => state.forget_abilities(),
            // A feed asks at each sync.
            Self::Feed(_) | Self::Snapshot(_) | Self::NewestFirst(_) | Self::With(_) => {}
        }
    }

    /// By which time runs are read.
    pub(super) fn ability(&self) -> Option<&'static str> {
        match self {
            Self::Runs(state) => Some(state.ability()),
            Self::Feed(state) => state.ability(),
            _ => None,
        }
    }

    /// Some objects that exist, or existed at the last sync: at most `most` packed ids.
    pub(super) fn some_ids(&self, most: usize) -> Vec<&str> {
        fn of<'a>(ids: impl Iterator<Item = &'a String>, most: usize) -> Vec<&'a str> {
            ids.take(most).map(String::as_str).collect()
        }
        match self {
            Self::Snapshot(state) => of(state.rows.keys(), most),
            Self::NewestFirst(state) => of(state.ids.iter(), most),
            Self::Runs(state) => of(state.open_ids(), most),
            Self::Feed(_) | Self::With(_) => Vec::new(),
        }
    }
}

/// Asks for objects by their ids, whatever else they are; `None` where that cannot be asked.
pub(super) fn look_up(table: &'static Table, ids: Vec<String>) -> Option<ListRequest> {
    let limit = u32::try_from(ids.len()).ok()?;
    match look_up::LookUp::of(ids)?.next(table, limit)? {
        Ask::List(request) => Some(request),
        _ => None,
    }
}

/// What a strategy wants to know next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ask {
    /// A page.
    List(ListRequest),
    /// A page with objects that the server could not answer for before.
    ListAround(ListRequest, Vec<Known>),
    /// A page that the server could not answer before.
    Try(ListRequest),
    /// One object by its id; that the server cannot answer for it is a gap on the page.
    TryOne(ListRequest),
    /// A number; not every server can tell it.
    Count(CountRequest),
    /// A page of the table whose objects have a listing each.
    Parents(ListRequest),
    /// A page of the second listing of a table; not every server has it.
    Second(ListRequest),
    /// One object; a page of it, or an empty one.
    Get(GetRequest),
    /// A page of events.
    Events(EventsRequest),
    /// The states of this flow run.
    States(String),
    /// What the server is: a page of one row.
    Server,
}

impl Ask {
    /// The range of time that it asks for, if it asks for one.
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
            // A token stands for a range that was told with the first page.
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

/// What it is told.
#[derive(Debug)]
pub(super) enum Answer {
    /// The page.
    Page(Rows),
    /// The server still cannot answer.
    Failed,
    /// The number; `None` when the server has no counts.
    Count(Option<u64>),
}

/// The rows of a page.
#[derive(Debug)]
pub(super) struct Rows {
    /// The rows, in the server's order; elements without a usable id are left out.
    pub(super) list: Vec<Row>,
    /// How many elements the page had with those.
    pub(super) objects: usize,
    /// Before which of the rows there are objects that the server cannot answer for.
    pub(super) gaps: Vec<usize>,
    /// The offsets of those objects in the listing, where they are known.
    pub(super) gap_offsets: Vec<u64>,
    /// How many were asked for, with those that the server cannot answer for: a shorter page ends the listing.
    pub(super) limit: u32,
    /// The server's clock when it answered; never earlier than before.
    pub(super) now: DateTime<Utc>,
    /// A time that the clock by which rows are updated had reached then; never earlier than before.
    pub(super) mark: DateTime<Utc>,
    /// What follows a page of events.
    pub(super) more: More,
}

/// What follows a page of events.
#[derive(Debug, Default)]
pub(super) struct More {
    /// The next page.
    pub(super) next: Option<Token>,
    /// Events on all pages.
    pub(super) total: Option<u64>,
}

impl Rows {
    /// A page without rows.
    pub(super) fn none(limit: u32, now: DateTime<Utc>) -> Self {
        Self {
            list: Vec::new(),
            objects: 0,
            gaps: Vec::new(),
            gap_offsets: Vec::new(),
            limit,
            now,
            mark: now,
            more: More::default(),
        }
    }
}

/// One thing to send.
#[derive(Debug)]
pub(super) enum Change {
    /// The row as it is now.
    Upsert(Row),
    /// The same, for those tables only that are read once more.
    Again(Row),
    /// The object with this id is gone.
    Delete(&'static Table, String),
    /// All rows sent before are gone, as far as they do not come again.
    Truncate(&'static Table),
}

/// What an answer leads to.
#[derive(Debug, Default)]
pub(super) struct Step {
    /// What to send, in order.
    pub(super) changes: Vec<Change>,
    /// Sentences for the user.
    pub(super) warnings: Vec<String>,
    /// The listing makes no progress: nothing more is asked, and the sync ends with that once the changes
    /// are sent. Never the end of a listing: what was not read is not known.
    pub(super) stuck: Option<NoProgress>,
    /// The state says something that another sync might not learn: it counts as a change.
    pub(super) has_learnt: bool,
}

/// The states of tables, by their names.
pub(super) type States = Vec<(&'static str, ReaderState)>;

/// What a reader says when it may ask.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// A question; its answer comes with the same ticket.
    Ask(usize, Box<Ask>),
    /// First an answer to what was asked.
    Busy,
    /// Everything is asked and answered.
    Done,
}

/// The reading of one table in one sync.
pub(super) trait Reader: Send {
    /// What to ask, at most `limit` objects at once. Questions may be under way.
    fn next(&mut self, limit: u32) -> Next;

    /// Takes the answer to the question `ticket`.
    fn accept(&mut self, ticket: usize, answer: Answer) -> Step;

    /// The question `ticket` is to be asked again, perhaps for fewer objects.
    fn again(&mut self, ticket: usize);

    /// Learns that the server does not know a filter of the question: `detail` names it. Whether there is
    /// another way, which the next question takes.
    fn refused(&mut self, ticket: usize, detail: &str) -> bool;

    /// What stands for everything accepted so far, by table.
    fn states(&self) -> States;

    /// Learns that the server has nothing at the address of the question. Whether there is another way,
    /// which the next question takes.
    fn missing(&mut self, _ticket: usize) -> bool {
        false
    }

    /// What the question that was given last is for.
    fn reading(&self) -> Reading {
        Reading::Tail
    }

    /// Sentences for the user, when everything is read.
    fn remarks(&self) -> Vec<String> {
        Vec::new()
    }
}

/// A reader that waits for each answer.
pub(super) trait Serial: Send {
    /// What to ask next, at most `limit` objects at once; `None` when the table is read.
    fn next(&mut self, limit: u32) -> Option<Ask>;

    /// Takes the answer to the last question.
    fn accept(&mut self, answer: Answer) -> Step;

    /// Learns that there is nothing at the address of the last question; see [`Reader::missing`].
    fn missing(&mut self) -> bool {
        false
    }

    /// What stands for everything accepted so far, by table.
    fn states(&self) -> States;

    /// What the last question is for; see [`Reader::reading`].
    fn reading(&self) -> Reading {
        Reading::Tail
    }

    /// Sentences for the user; see [`Reader::remarks`].
    fn remarks(&self) -> Vec<String> {
        Vec::new()
    }
}

/// Asks one question at a time.
struct OneByOne<S> {
    reader: S,
    is_asked: bool,
}

impl<S: Serial> OneByOne<S> {
    fn new(reader: S) -> Self {
        Self {
            reader,
            is_asked: false,
        }
    }
}

impl<S: Serial> Reader for OneByOne<S> {
    fn next(&mut self, limit: u32) -> Next {
        if self.is_asked {
            return Next::Busy;
        }
        match self.reader.next(limit) {
            Some(ask) => {
                self.is_asked = true;
                Next::Ask(0, Box::new(ask))
            }
            None => Next::Done,
        }
    }

    fn accept(&mut self, _: usize, answer: Answer) -> Step {
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

    fn reading(&self) -> Reading {
        self.reader.reading()
    }

    fn remarks(&self) -> Vec<String> {
        self.reader.remarks()
    }
}

/// The sentence about objects of a table that the server cannot answer for.
fn unreadable_remark(table: &Table, objects: u64) -> Option<String> {
    (objects > 0).then(|| {
        messages::BAD_OBJECTS.say(format_args!(
            "table {}: {objects} object(s) were skipped: the server fails (500) on each page that holds them; each sync tries them again",
            table.name
        ))
    })
}

/// What a reading begins with.
pub(super) struct Beginning<'a> {
    pub(super) group: &'a Group,
    /// For each table of the group its state, if it has one, and whether columns were added to it: then
    /// everything is sent once more.
    pub(super) saved: Vec<Option<(&'a ReaderState, bool)>>,
    /// What every row shares.
    pub(super) context: &'a Context,
    pub(super) choices: &'a Choices,
    /// The server's clock at the last answer, if there was one.
    pub(super) now: Option<DateTime<Utc>>,
}

/// Starts reading tables from where their states stand; a state of another strategy counts as none.
pub(super) fn start(beginning: &Beginning<'_>) -> Box<dyn Reader> {
    let source = beginning.group.source;
    match source.strategy {
        Strategy::Snapshot(_) | Strategy::Server | Strategy::Part(_) => {
            Box::new(OneByOne::new(snapshot::Snapshot::new(beginning)))
        }
        Strategy::NewestFirst {
            sort,
            keeps_history,
        } => {
            let saved = match beginning.saved.first() {
                Some(Some((ReaderState::NewestFirst(state), refill))) => Some((state, *refill)),
                _ => None,
            };
            let reader = newest_first::NewestFirst::new(source, sort, keeps_history, saved);
            Box::new(OneByOne::new(reader))
        }
        Strategy::Runs => Box::new(runs::Together::new(beginning)),
        Strategy::Tail(kind) => Box::new(OneByOne::new(feed::Feed::new(kind, beginning))),
    }
}

/// How the collection of a table is sorted when it is listed in full, and by which column then.
fn full_listing(table: &Table) -> (Option<&'static str>, &'static str) {
    match table.strategy {
        Strategy::Snapshot(tables::Listing { sort, order, .. }) => (sort, order),
        Strategy::NewestFirst { .. } => (Some("CREATED_DESC"), "created"),
        Strategy::Runs => (Some("ID_DESC"), "id"),
        Strategy::Tail(_) | Strategy::Part(_) | Strategy::Server => (None, "id"),
    }
}

fn collection(table: &Table) -> Collection {
    Collection(table.endpoint)
}

/// Where a table keeps a column that every table of its strategy has (the catalogue's checks).
fn position(table: &Table, name: &str) -> usize {
    table.position(name).unwrap_or(usize::MAX)
}

/// Rows of a listing that is sorted by the instant in column `position`.
fn sorted(rows: &[Row], position: usize) -> Vec<Sorted<'_>> {
    rows.iter()
        .map(|row| by_time(row.id(), row.instant(position)))
        .collect()
}
