//! The interfaces by which a recording observes a service's syncs and a replay controls them.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use tonic::Status;

use super::{proto::Selection, wire::Encoded};
use crate::{prefect::HttpInterceptor, sync::Schedule};

/// Receives the messages of a sync as they are sent.
pub trait MessageSink: Send + Sync {
    /// Receives the selection and the state with which a sync begins.
    fn begun(&self, selection: Option<&Selection>, state_json: Option<&str>);
    /// Receives a message, an encoded `UpdateResponse`.
    fn message(&self, message: Bytes);
    /// Receives the outcome of a sync that the caller did not break off. Only the first outcome counts.
    fn ended(&self, how: Result<(), &Status>);
}

/// The observers and controls of a service's syncs. All are unset unless syncs are recorded or replayed.
#[derive(Clone, Default)]
pub struct SyncHooks {
    /// The interceptor of requests.
    pub interceptor: Option<Arc<dyn HttpInterceptor>>,
    /// The order in which tables take their turns.
    pub schedule: Schedule,
    /// The receiver of messages.
    pub messages: Option<Arc<dyn MessageSink>>,
}

impl fmt::Debug for SyncHooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SyncHooks").finish_non_exhaustive()
    }
}

impl SyncHooks {
    /// Passes a message or an error to the receiver.
    pub(super) fn sent(&self, message: &Result<Encoded, Status>) {
        if let Some(messages) = &self.messages {
            match message {
                Ok(message) => messages.message(message.message()),
                Err(status) => messages.ended(Err(status)),
            }
        }
    }
}
