//! The strategies by which tables are read, as pure state machines.
//!
//! Their input is the state and the responses; their output is requests, rows to send and the new state. The time comes
//! with the responses.

mod emission;
mod feed;
mod gaps;
mod get_by_id;
mod latest_objects;
mod listing;
mod newest_first;
mod reader_state;
mod request;
mod rewind_requests;
mod run_states;
mod runs;
mod snapshot;
mod table_sync;

use self::table_sync::Sequential;
use crate::{
    prefect::ListRequest,
    tables::{Strategy, Table},
};

pub(super) use self::{
    emission::{Change, Emission},
    newest_first::NewestFirstState,
    reader_state::ReaderState,
    request::{FetchedPage, NextPage, Request, Response},
    rewind_requests::RewindRefused,
    runs::RunsState,
    snapshot::SnapshotState,
    table_sync::{Poll, StartContext, TableSync},
};

/// Returns the request for objects by their ids alone; `None` if they cannot be requested so.
pub(super) fn request_by_ids(table: &'static Table, ids: Vec<String>) -> Option<ListRequest> {
    let limit = u32::try_from(ids.len()).ok()?;
    match get_by_id::GetById::new(ids)?.next(table, limit)? {
        Request::List(request) => Some(request),
        _ => None,
    }
}

/// Starts reading tables from their saved states. A state of another strategy counts as none.
pub(super) fn start(start: &StartContext<'_>) -> Box<dyn TableSync> {
    let source = start.group.source;
    match source.strategy {
        Strategy::Snapshot(_) | Strategy::Server | Strategy::Nested(_) => {
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
