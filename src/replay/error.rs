//! The reasons why a recording or a replay fails.

use std::{
    io,
    path::{Path, PathBuf},
};

/// The reason why a recording or a replay failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file exists; a recording never replaces another file.
    #[error("{path} already exists: choose another name for the recording, or delete it")]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The file could not be read or written.
    #[error("cannot {doing} the recording {path}: {cause}")]
    Io {
        /// The operation that failed.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's error.
        cause: io::Error,
    },
    /// The file is not a recording, or was changed.
    #[error("{path} is not a recording, or is damaged: {why}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The defect.
        why: String,
    },
    /// The recording has another version of the format.
    #[error(
        "{path} is a recording of format {version}, which this version of the connector does not support"
    )]
    Version {
        /// The file.
        path: PathBuf,
        /// The format's version.
        version: u32,
    },
    /// A column cannot be removed.
    #[error("cannot redact `{column}`: {why}")]
    Redact {
        /// The column, as the user named it.
        column: String,
        /// The reason.
        why: String,
    },
}

impl Error {
    pub(super) fn io(doing: &'static str, path: &Path, cause: io::Error) -> Self {
        Self::Io {
            doing,
            path: path.to_owned(),
            cause,
        }
    }
}
