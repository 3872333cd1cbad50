//! The reasons that the reading of a table ends early, and their effect on the sync.

use super::{
    Error,
    shared::{Shared, SteppedBack},
};
use crate::{prefect, tables};

/// The reason that the reading of a table ends early.
pub(super) enum Halt {
    Failed(Error),
    /// The server's clock stepped back. The first response shows this, before anything was read.
    SteppedBack(SteppedBack),
}

impl From<Error> for Halt {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl From<SteppedBack> for Halt {
    fn from(stepped: SteppedBack) -> Self {
        Self::SteppedBack(stepped)
    }
}

pub(super) fn stepped_back(results: &[Result<(), Halt>]) -> Option<&SteppedBack> {
    results.iter().find_map(|result| match result {
        Err(Halt::SteppedBack(stepped)) => Some(stepped),
        _ => None,
    })
}

/// Returns true if the table was read, is missing, or may not be read: the other tables continue.
pub(super) fn is_there_or_missing(result: &Result<(), Halt>) -> bool {
    match result {
        Ok(()) => true,
        Err(Halt::Failed(Error::Prefect { source, .. })) => matches!(
            source,
            prefect::Error::NotFound { .. } | prefect::Error::Forbidden { .. }
        ),
        Err(_) => false,
    }
}

/// Remembers the tables that the server does not have, so that each is reported once.
pub(super) fn note_absent(results: &[Result<(), Halt>], shared: &mut Shared) {
    for result in results {
        if let Err(Halt::Failed(Error::Prefect {
            table,
            source: prefect::Error::NotFound { .. },
        })) = result
            && shared.state.absent.insert((*table).to_owned())
        {
            shared.newly_absent.extend(tables::find(table));
        }
    }
}
