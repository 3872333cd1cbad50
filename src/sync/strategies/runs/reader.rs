//! The contract of the readers of runs.

use super::context::RunsContext;
use crate::{
    sync::{
        NoProgress,
        keyset::TimeField,
        partitioned_scan::PartitionedScan,
        strategies::{
            emission::Emission,
            request::{FetchedPage, Request},
        },
    },
    telemetry::WindowKind,
};

/// A reader: requests the pages of one task and offers their rows.
///
/// A task creates its reader when it is planned. The reader exists until the task is finished, and is dropped earlier if
/// the sync ends or the server rejects a filter.
///
/// - A reader MUST offer each row of a page that was not read before to [`RunsContext::offer_all`], which alone decides
///   if the row is sent.
/// - It MUST store, together with the rows of a page, the position from which the next sync continues. It MUST NOT move
///   a cursor past a run that was neither offered nor recorded as a gap.
/// - It MUST end only if a page shows that there is nothing left, and MUST return an error for a listing without
///   progress.
/// - It MUST NOT keep anything in itself that the next sync needs, and MUST NOT read the time: times come with pages.
/// - It SHOULD change only its own part of the state, which its file names.
pub(super) trait Reader: Send {
    /// Takes a page, the response to the request `ticket`.
    fn accept(
        &mut self,
        runs: &mut RunsContext,
        ticket: usize,
        page: FetchedPage,
        emission: &mut Emission,
    ) -> Result<Next, NoProgress>;

    /// Returns the purpose of the reading, for telemetry.
    fn window_kind(&self) -> WindowKind;

    /// Returns the partitions that are read concurrently; `None` if the reader sends one request at a time.
    fn scan_mut(&mut self) -> Option<&mut PartitionedScan> {
        None
    }

    /// Returns the next request of a reader that sends one at a time. `None` means that nothing can be requested.
    fn request(&mut self, _runs: &RunsContext, _limit: u32) -> Option<Request> {
        None
    }

    /// Returns the reader that sends the next request. A reader of partitions may end here, once no request is under
    /// way.
    fn before_request(&mut self, _runs: &mut RunsContext) -> Next {
        Next::Same
    }

    /// Returns true if no request is sent until all requests under way have their responses.
    fn is_pausing(&self) -> bool {
        false
    }

    /// Handles a request for objects that still cannot be read.
    fn failed(&mut self, _runs: &mut RunsContext, _emission: &mut Emission) -> Next {
        Next::Finished
    }

    /// Takes a count; `None` if the server has no counts.
    fn counted(&mut self, _runs: &mut RunsContext, _count: Option<u64>) -> Next {
        Next::Finished
    }

    /// Returns the filter of the requests under way that some servers reject.
    fn filter(&mut self) -> Option<UsedFilter> {
        self.scan_mut()?.time_field().map(UsedFilter::Range)
    }

    /// Returns a name for the next page of a listing whose gaps are remembered by page; `number` pages were read.
    fn page_name(&self, _number: usize) -> Option<String> {
        None
    }
}

/// The continuation of a task.
pub(super) enum Next {
    /// The same reader continues.
    Same,
    /// Another reader continues the task.
    Reader(Box<dyn Reader>),
    /// The task is finished.
    Finished,
}

impl Next {
    /// Returns the continuation with `reader`; without one the task is finished.
    pub(super) fn from_reader(reader: Option<Box<dyn Reader>>) -> Self {
        reader.map_or(Self::Finished, Self::Reader)
    }

    /// Returns the continuation with the same reader, unless it is done.
    pub(super) fn unless(is_done: bool) -> Self {
        if is_done { Self::Finished } else { Self::Same }
    }
}

/// A filter that some servers reject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum UsedFilter {
    /// A range of this time.
    Range(TimeField),
    /// A null end time, in a listing by expected start.
    NullEndTime,
}
