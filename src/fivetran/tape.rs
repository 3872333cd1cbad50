//! Who listens to a service's syncs, or leads them: a recording, or its replay.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use tonic::Status;

use super::{proto::Selection, wire::Encoded};
use crate::{prefect::Exchanges, sync::Order};

/// Hears what a sync sends, as it is sent.
pub trait Tape: Send + Sync {
    /// A sync begins.
    fn begun(&self, selection: Option<&Selection>, state_json: Option<&str>);
    /// It sends a message: an encoded `UpdateResponse`, in one piece or two.
    fn message(&self, pieces: [&Bytes; 2]);
    /// It ends by itself.
    fn ended(&self, how: Result<(), &Status>);
}

/// What stands around a service's syncs: nothing, unless they are recorded or replayed.
#[derive(Clone, Default)]
pub struct Instruments {
    /// What goes over the network.
    pub exchanges: Option<Arc<dyn Exchanges>>,
    /// In which order tables take their turns.
    pub order: Order,
    /// What is sent.
    pub tape: Option<Arc<dyn Tape>>,
}

impl fmt::Debug for Instruments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Instruments").finish_non_exhaustive()
    }
}

impl Instruments {
    /// Tells the tape what is sent.
    pub(super) fn sent(&self, message: &Result<Encoded, Status>) {
        if let Some(tape) = &self.tape {
            match message {
                Ok(message) => tape.message(message.pieces()),
                Err(status) => tape.ended(Err(status)),
            }
        }
    }
}
