//! The reasons why a local run failed.

use std::{
    io,
    path::{Path, PathBuf},
};

/// The reason why a local run failed. A sync that failed is an [`SyncOutcome`](super::SyncOutcome) instead.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No connector responds at the endpoint.
    #[error("cannot reach a connector at {endpoint} ({reason}); is it running?")]
    Connect {
        /// The address.
        endpoint: String,
        /// The transport's message.
        reason: String,
        /// True if the connection was accepted and then closed.
        is_closed: bool,
    },
    /// The connector did not return a form whose tests could be run.
    #[error("the connector ended the setup form with {status}")]
    NoForm {
        /// The description of the connector's status.
        status: String,
    },
    /// The state file is not JSON.
    #[error(
        "the state file {path} is damaged ({reason}); run `fivetran_source reset`, or start over \
         with --full-refresh"
    )]
    State {
        /// The file.
        path: PathBuf,
        /// The reason.
        reason: String,
    },
    /// There is a state whose rows are gone.
    #[error(
        "{state} belongs to rows that no longer exist: {warehouse} is missing; run \
         `fivetran_source reset`, or start over with --full-refresh"
    )]
    RowsMissing {
        /// The state file.
        state: PathBuf,
        /// The file that is missing.
        warehouse: PathBuf,
    },
    /// The connector does not have a table or column that the user named.
    #[error("the connector has no table or column `{name}`; list them with the command `tables`")]
    UnknownTable {
        /// The name as the user gave it.
        name: String,
    },
    /// The file given as start state does not exist.
    #[error("the state file {path} does not exist; check the path")]
    NoState {
        /// The file.
        path: PathBuf,
    },
    /// Another process has the DuckDB file open.
    #[error(
        "another process uses {path}{holder}; wait until it has ended, or choose another folder"
    )]
    Locked {
        /// The file.
        path: PathBuf,
        /// The process, with a leading space; empty if unknown.
        holder: String,
    },
    /// The warehouse was made without history and must keep it now, or the other way round.
    #[error(
        "table `{table}` was created {was} --history, which cannot change; run \
         `fivetran_source reset`, or choose another folder (--dir)"
    )]
    OtherMode {
        /// A table of the other mode.
        table: String,
        /// `with` or `without`.
        was: &'static str,
    },
    /// The state belongs to rows in another schema.
    #[error(
        "{state} belongs to rows in schema `{was}`, and schema `{now}` would lack them; continue with \
         --schema {was}, start over with --full-refresh, or choose another folder (--dir)"
    )]
    OtherSchema {
        /// The state file.
        state: PathBuf,
        /// The schema of the last sync.
        was: String,
        /// The requested schema.
        now: String,
    },
    /// A schema must not have this name.
    #[error(
        "`{name}` cannot be the name of the schema: use lower-case letters, digits and `_`, a letter \
         first, at most 63 characters, and none of DuckDB's own names (such as `temp`)"
    )]
    SchemaName {
        /// The name as the user gave it.
        name: String,
    },
    /// DuckDB rejected an operation.
    #[error("cannot {doing}: {reason}")]
    Warehouse {
        /// The attempted operation.
        doing: String,
        /// DuckDB's message.
        reason: String,
    },
    /// DuckDB rejected a query.
    #[error("the query failed: {reason}")]
    Query {
        /// DuckDB's message.
        reason: String,
    },
    /// There is no DuckDB file to query.
    #[error("{path} does not exist yet; run a sync first")]
    NoWarehouse {
        /// The file.
        path: PathBuf,
    },
    /// A file could not be read or written.
    #[error("cannot {doing} {path}: {cause}")]
    Io {
        /// The attempted operation.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's error.
        // Not named `source`: a caller that prints the chain of causes would print it twice.
        cause: io::Error,
    },
    /// A confirmation is needed, but there is no terminal.
    #[error("cannot ask for confirmation without a terminal; add --yes")]
    NotInteractive,
    /// The run's own thread ended early: a bug in this crate.
    #[error("the warehouse thread ended unexpectedly; please report this")]
    Lost,
}

impl Error {
    /// Creates an error of reading or writing a file.
    pub(super) fn io(doing: &'static str, path: &Path, cause: io::Error) -> Self {
        let path = path.to_owned();
        Self::Io { doing, path, cause }
    }
}
