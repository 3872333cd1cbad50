//! The reasons that the reading of a table ends early, and their effect on the sync.

use super::{
    Error,
    session::{SteppedBack, SyncSession},
};
use crate::{prefect, tables};

/// The reason that the reading of a table ends early.
pub(super) enum TableFailure {
    Failed(Error),
    /// The server's clock stepped back. The first response shows this, before anything was read.
    SteppedBack(SteppedBack),
}

impl From<Error> for TableFailure {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl From<SteppedBack> for TableFailure {
    fn from(stepped: SteppedBack) -> Self {
        Self::SteppedBack(stepped)
    }
}

pub(super) fn stepped_back(results: &[Result<(), TableFailure>]) -> Option<&SteppedBack> {
    results.iter().find_map(|result| match result {
        Err(TableFailure::SteppedBack(stepped)) => Some(stepped),
        _ => None,
    })
}

/// Returns true if the table was read, is missing, or may not be read: the other tables continue.
pub(super) fn exists(result: &Result<(), TableFailure>) -> bool {
    match result {
        Ok(()) => true,
        Err(TableFailure::Failed(Error::Prefect { source, .. })) => matches!(
            source,
            prefect::Error::NotFound { .. } | prefect::Error::Forbidden { .. }
        ),
        Err(_) => false,
    }
}

/// Remembers the tables that the server does not have, so that each is reported once.
pub(super) fn note_absent(results: &[Result<(), TableFailure>], session: &mut SyncSession) {
    for result in results {
        if let Err(TableFailure::Failed(Error::Prefect {
            table,
            source: prefect::Error::NotFound { .. },
        })) = result
            && session.state.absent.insert((*table).to_owned())
        {
            session.newly_absent.extend(tables::find(table));
        }
    }
}
