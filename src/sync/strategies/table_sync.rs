//! The contract between a strategy and the engine.

use chrono::{DateTime, Utc};

use super::{
    emission::Emission,
    reader_state::ReaderState,
    request::{Request, Response},
};
use crate::{
    rows::Context,
    sync::{SyncSettings, selection::Group, window_kind},
    telemetry::WindowKind,
};

/// The states of tables, by table name.
pub(in crate::sync) type States = Vec<(&'static str, ReaderState)>;

/// The next step of a reader that may send a request.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::sync) enum Poll {
    /// A request. Its response arrives with the same ticket.
    Request(usize, Box<Request>),
    /// The reader waits for a response first.
    Pending,
    /// Everything is requested and received.
    Done,
}

/// The reading of one table in one sync.
pub(in crate::sync) trait TableSync: Send {
    /// Returns the next request, for at most `limit` objects. Other requests may be under way.
    fn next(&mut self, limit: u32) -> Poll;

    /// Takes the response to the request `ticket`.
    fn accept(&mut self, ticket: usize, response: Response) -> Emission;

    /// Marks the request `ticket` to be sent again, perhaps for fewer objects.
    fn retry(&mut self, ticket: usize);

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
pub(in crate::sync) trait SequentialSync: Send {
    /// Returns the next request, for at most `limit` objects; `None` once the table is read.
    fn next(&mut self, limit: u32) -> Option<Request>;

    /// Takes the response to the last request.
    fn accept(&mut self, response: Response) -> Emission;

    /// Handles a last request to an address at which there is nothing; see [`TableSync::missing`].
    fn missing(&mut self) -> bool {
        false
    }

    /// Returns the states that cover everything accepted so far, by table.
    fn states(&self) -> States;

    /// Returns the purpose of the last request; see [`TableSync::window_kind`].
    fn window_kind(&self) -> WindowKind {
        window_kind::NEW_ROWS
    }

    /// Returns warnings for the user; see [`TableSync::remarks`].
    fn remarks(&self) -> Vec<String> {
        Vec::new()
    }
}

/// A [`TableSync`] that sends one request at a time.
pub(in crate::sync) struct Sequential<S> {
    reader: S,
    is_waiting: bool,
}

impl<S: SequentialSync> Sequential<S> {
    pub(in crate::sync) fn new(reader: S) -> Self {
        Self {
            reader,
            is_waiting: false,
        }
    }
}

impl<S: SequentialSync> TableSync for Sequential<S> {
    fn next(&mut self, limit: u32) -> Poll {
        if self.is_waiting {
            return Poll::Pending;
        }
        match self.reader.next(limit) {
            Some(request) => {
                self.is_waiting = true;
                Poll::Request(0, Box::new(request))
            }
            None => Poll::Done,
        }
    }

    fn accept(&mut self, _: usize, response: Response) -> Emission {
        self.is_waiting = false;
        self.reader.accept(response)
    }

    fn retry(&mut self, _: usize) {
        self.is_waiting = false;
    }

    fn refused(&mut self, _: usize, _: &str) -> bool {
        false
    }

    fn missing(&mut self, _: usize) -> bool {
        self.is_waiting = false;
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

/// The input with which a reading begins.
pub(in crate::sync) struct StartContext<'a> {
    pub(in crate::sync) group: &'a Group,
    /// The state of each table of the group, if it has one. The flag is true if columns were added to the table: then
    /// everything is sent again.
    pub(in crate::sync) saved: Vec<Option<(&'a ReaderState, bool)>>,
    /// The values that all rows share.
    pub(in crate::sync) context: &'a Context,
    pub(in crate::sync) settings: &'a SyncSettings,
    /// The server's clock at the last response, if there was one.
    pub(in crate::sync) now: Option<DateTime<Utc>>,
}
