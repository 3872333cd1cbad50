//! The errors that end a sync early.

use super::{NoProgress, StateError};
use crate::{
    error::ErrorClass,
    messages::{self, Message},
    prefect,
};

/// The reason that a sync ended early. Rows that were sent before the last checkpoint stay valid.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The saved state cannot be used.
    #[error(transparent)]
    State(#[from] StateError),
    /// Prefect could not be read.
    #[error("table {table}: {source}")]
    Prefect {
        /// The table that was read.
        table: &'static str,
        /// The cause.
        source: prefect::Error,
    },
    /// No Prefect API is at the configured address: not even flows can be listed.
    #[error("there is no Prefect API at the configured address: {0}")]
    NothingThere(prefect::Error),
    /// A listing makes no progress.
    #[error(
        "table {table}: the listing makes no progress: {source}. No unread row counts as read or deleted, and the next sync continues from the last checkpoint. If it happens again, check for a cache or a gateway between the connector and Prefect"
    )]
    NoProgress {
        /// The table that was read.
        table: &'static str,
        /// The misbehaviour of the server.
        source: NoProgress,
    },
    /// The new state could not be written.
    #[error("the state could not be written: {0}")]
    Serialize(#[from] serde_json::Error),
    /// The server's clock is unreliable: it stepped back more than once.
    #[error(
        "the server's clock stepped back more than once; the next sync continues from the last checkpoint"
    )]
    ClockUnsteady,
    /// A request's task panicked.
    #[error("the sync failed because of an error in the connector; please report it")]
    Panicked,
    /// The connector is being stopped.
    #[error("the connector is being stopped; the next sync continues from the last checkpoint")]
    Stopped,
    /// The caller (Fivetran) disconnected.
    #[error("the caller disconnected")]
    CallerGone,
}

impl Error {
    /// Returns the documented message of the error.
    pub fn message(&self) -> &'static Message {
        match self {
            Self::State(error) => error.message(),
            Self::Prefect { source, .. } => source.message(),
            Self::NothingThere(_) => &messages::NOT_THERE,
            Self::Serialize(_) | Self::Panicked => &messages::FAULT,
            Self::NoProgress { .. } => &messages::NO_PROGRESS,
            Self::ClockUnsteady => &messages::CLOCK_UNSTEADY,
            Self::Stopped | Self::CallerGone => &messages::STOPPED,
        }
    }

    /// Returns the class of the error, which decides who must act on it.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::State(_) | Self::NothingThere(_) => ErrorClass::UserMustAct,
            Self::Prefect { source, .. } => source.class(),
            Self::Serialize(_) | Self::Panicked => ErrorClass::Bug,
            Self::NoProgress { .. } | Self::ClockUnsteady | Self::Stopped | Self::CallerGone => {
                ErrorClass::Transient
            }
        }
    }
}
