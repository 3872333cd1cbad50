//! The reasons that a saved state cannot be used, and the remedy.

use crate::{
    error::ErrorClass,
    messages::{self, Message},
};

/// The version that this connector writes. Every released version is still read.
pub(super) const VERSION: u32 = 2;

/// The remedy for a state that cannot be used.
const REMEDY: &str = "Re-sync the connection (in Fivetran: Setup, \"Re-sync All Historical Data\"; \
    local run: --full-refresh). Nothing was read or changed";

/// The reason that a saved state cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// The state is not one that this connector writes.
    #[error("the saved state is damaged ({why}). {REMEDY}")]
    Damaged {
        /// The place and the kind of the damage, without contents.
        why: String,
    },
    /// A newer connector wrote the state.
    #[error(
        "the saved state has version {0}, this connector reads versions up to {VERSION}. Use a newer connector, or: {REMEDY}"
    )]
    UnknownVersion(u64),
    /// The state was written for another workspace.
    #[error(
        "the saved state belongs to another workspace ({saved}) than the configured one ({configured}): no previously synced object exists there. Set the API URL back, or: {REMEDY}"
    )]
    OtherWorkspace {
        /// The workspace of the state.
        saved: String,
        /// The configured workspace.
        configured: String,
    },
}

impl StateError {
    /// Returns the documented message of the error.
    pub fn message(&self) -> &'static Message {
        match self {
            Self::Damaged { .. } => &messages::STATE_DAMAGED,
            Self::UnknownVersion(_) => &messages::STATE_NEWER,
            Self::OtherWorkspace { .. } => &messages::OTHER_WORKSPACE,
        }
    }

    /// Returns the class of the error: the user must always act.
    pub fn class(&self) -> ErrorClass {
        ErrorClass::UserMustAct
    }
}

/// Reports only the place of a fault, because the rest may contain arbitrary text.
pub(super) fn damaged_at(error: &serde_path_to_error::Error<serde_json::Error>) -> StateError {
    let place = error.path().to_string();
    StateError::Damaged {
        why: match place.as_str() {
            "." => "something is missing".to_owned(),
            place => format!("at {place}"),
        },
    }
}
