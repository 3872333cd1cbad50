//! A saved state that cannot be used, and what to do about it.

use crate::{
    error::Class,
    messages::{self, Message},
};

/// The version that this connector writes. Every version that was ever released is still read.
pub(super) const VERSION: u32 = 2;

/// What to do about a state that cannot be used.
const REMEDY: &str = "Re-sync the connection (in Fivetran: Setup, \"Re-sync All Historical Data\"; \
    local run: --full-refresh). Nothing was read or changed";

/// A saved state that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// Not what this connector writes.
    #[error("the saved state is damaged ({why}). {REMEDY}")]
    Damaged {
        /// Where and how, without contents.
        why: String,
    },
    /// Written by a newer connector.
    #[error(
        "the saved state has version {0}, this connector reads versions up to {VERSION}. Use a newer connector, or: {REMEDY}"
    )]
    UnknownVersion(u64),
    /// Written for another workspace.
    #[error(
        "the saved state belongs to another workspace ({saved}) than the one configured ({configured}): nothing known from there is found here. Set the API URL back, or: {REMEDY}"
    )]
    OtherWorkspace {
        /// Where it was written.
        saved: String,
        /// What is configured.
        configured: String,
    },
}

impl StateError {
    /// Which message it is.
    pub fn message(&self) -> &'static Message {
        match self {
            Self::Damaged { .. } => &messages::STATE_DAMAGED,
            Self::UnknownVersion(_) => &messages::STATE_NEWER,
            Self::OtherWorkspace { .. } => &messages::OTHER_WORKSPACE,
        }
    }

    /// Who must hear of it: always the user.
    pub fn class(&self) -> Class {
        Class::UserMustAct
    }
}

/// Only the place of a fault is told: the rest may hold whatever somebody put there.
pub(super) fn damaged_at(error: &serde_path_to_error::Error<serde_json::Error>) -> StateError {
    let place = error.path().to_string();
    StateError::Damaged {
        why: match place.as_str() {
            "." => "something is missing".to_owned(),
            place => format!("at {place}"),
        },
    }
}
