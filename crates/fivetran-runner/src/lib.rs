//! Acts as Fivetran over real gRPC and lands the rows in a DuckDB file.
//!
//! [`run`] requests any connector's form, tests and schema, runs one sync, and lands every operation in
//! `warehouse.db` the way Fivetran's destinations do. It depends on no table and no source.
//!
//! | file | content |
//! |---|---|
//! | `driver`, `writer`, `warnings` | the four calls, in order; landing runs concurrently with reading |
//! | `wire` | the connection to a connector |
//! | `choose` | the selection of tables and columns |
//! | `form` | defaults of the setup form, and which values are secret |
//! | `warehouse`, `record` | what a destination does with operations |
//! | `staged`, `batch`, `history` | operations until their flush: folded, or all versions |
//! | `table`, `value`, `decimal` | columns, and values that fit them |
//! | `duckdb`, `sql`, `schema` | rows in a DuckDB file, and the log of syncs |
//! | `counters` | counts of the connector's requests, for that log |
//! | `state` | `state.json`, never ahead of the rows |
//! | [`progress`] | progress bars on a terminal |
//! | [`report`] | the tables at the end |
//! | [`timeline`], [`page`] | the events of a run, and the HTML report made of them |
//! | [`reset`] | start over |
//! | [`conformance`] | checks of a connector against the protocol's rules |
//! | `views`, `digest` | views for queries; comparison of two warehouses |

use std::{
    collections::BTreeMap,
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio_util::sync::CancellationToken;

pub use choose::Names;
pub use counters::{Counted, Counters};
pub use digest::{Digests, digests};
/// The database of the warehouse, for callers that read it.
pub use duckdb;
use fivetran_proto::Selection;
pub use form::Redactor;
pub use schema::check_schema;
use sync_clock::Clock;
pub use views::{LeftOut, View, execute_views, make_latest, tables_lie_in};
pub use wire::{Calls, Dialer, Wire, within};

mod batch;
mod choose;
pub mod conformance;
mod counters;
mod database;
mod decimal;
mod digest;
mod driver;
mod form;
mod history;
pub mod page;
pub mod progress;
mod record;
pub mod report;
mod report_json;
pub mod reset;
mod schema;
mod sql;
mod staged;
mod state;
mod table;
#[cfg(test)]
mod tests;
pub mod timeline;
mod value;
mod views;
mod warehouse;
mod warnings;
mod wire;
mod writer;

/// The DuckDB file's name in the folder of a local run.
pub const WAREHOUSE_FILE: &str = "warehouse.db";
/// The state file's name in the folder of a local run.
pub const STATE_FILE: &str = "state.json";
/// The name of the HTML report in the folder of a local run.
pub const REPORT_FILE: &str = "report.html";
/// The default schema in which tables are landed.
pub const DEFAULT_SCHEMA: &str = "tester";
/// The most rows that [`query`] shows.
const QUERY_ROWS: usize = 1_000;

/// The options of a local run.
#[derive(Clone)]
pub struct Options {
    /// The connection to the connector.
    pub endpoint: Wire,
    /// The values of the setup form. Missing ones take the form's default. Never printed.
    pub configuration: BTreeMap<String, String>,
    /// The file of the start state, instead of `state.json` in `dir`. Checkpoints go to the latter in any case.
    pub state: Option<PathBuf>,
    /// The folder of the warehouse and the state; created if missing.
    pub dir: PathBuf,
    /// Starts with the state of a connection that has never synced, over the existing rows.
    pub full_refresh: bool,
    /// The schema in which tables are landed; usually [`DEFAULT_SCHEMA`].
    pub schema: String,
    /// The selection of tables and columns.
    pub choice: Choice,
    /// Leaves out the setup tests.
    pub skip_tests: bool,
    /// Keeps every version of a row, as Fivetran does in its history mode.
    pub history: bool,
    /// The counters of the connector's requests, for the log of syncs; `None` if the connector does not run here.
    pub counters: Option<Arc<Counters>>,
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("endpoint", &self.endpoint)
            .field("configuration", &self.configuration.keys())
            .field("state", &self.state)
            .field("dir", &self.dir)
            .field("full_refresh", &self.full_refresh)
            .field("schema", &self.schema)
            .field("choice", &self.choice)
            .field("skip_tests", &self.skip_tests)
            .field("history", &self.history)
            .finish_non_exhaustive()
    }
}

impl Options {
    /// A sync of everything into a folder, continuing from the last one there.
    pub fn new(
        endpoint: impl Into<Wire>,
        configuration: BTreeMap<String, String>,
        dir: impl Into<PathBuf>,
    ) -> Self {
        Self {
            endpoint: endpoint.into(),
            configuration,
            state: None,
            dir: dir.into(),
            full_refresh: false,
            schema: DEFAULT_SCHEMA.to_owned(),
            choice: Choice::default(),
            skip_tests: false,
            history: false,
            counters: None,
        }
    }

    /// The DuckDB file.
    pub fn warehouse_file(&self) -> PathBuf {
        self.dir.join(WAREHOUSE_FILE)
    }

    /// The state file that checkpoints go to.
    pub fn state_file(&self) -> PathBuf {
        self.dir.join(STATE_FILE)
    }
}

/// The selection of tables and columns.
#[derive(Debug, Clone)]
pub enum Choice {
    /// A selection by names.
    Names(Names),
    /// Exactly this selection, or `None` if the connector is sent no selection.
    Exactly(Option<Selection>),
}

impl Default for Choice {
    fn default() -> Self {
        Self::Names(Names::default())
    }
}

/// The number of operations of each kind that a sync sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Operations {
    /// Records that replace a row.
    pub upserts: u64,
    /// Records that patch a row.
    pub updates: u64,
    /// Records that delete a row.
    pub deletes: u64,
    /// Records that mark all rows of a table as deleted.
    pub truncates: u64,
    /// Tables that were created or changed.
    pub schema_changes: u64,
    /// Checkpoints.
    pub checkpoints: u64,
}

/// The effect of a sync on one table. Of `operations`, only those on records count here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableOutcome {
    /// Schema and name, such as `tester.flows`.
    pub table: String,
    /// The operations on the table's records.
    pub operations: Operations,
    /// Upserts of exactly the values that were there: rows that were sent again though nothing had changed. Several
    /// upserts of a row with different values at about the same time do not count.
    pub unchanged: u64,
    /// The number of rows in the warehouse now, including those marked as deleted; with `history` all versions.
    pub rows: u64,
    /// The number of rows marked as deleted; with `history` the versions that are no longer active.
    pub deleted: u64,
}

/// The result of one test of the setup form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestOutcome {
    /// The name of the test that the user sees.
    pub label: String,
    /// The text for the user if the test failed.
    pub failure: Option<String>,
}

/// The end of a sync. Secrets in texts of the connector are replaced by `***`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// The reason why the sync failed, or `None` if it succeeded.
    pub failure: Option<String>,
    /// The setup tests that ran.
    pub tests: Vec<TestOutcome>,
    /// All operations.
    pub operations: Operations,
    /// The tables of this run, by name.
    pub tables: Vec<TableOutcome>,
    /// Each distinct warning and its count, in the order of first arrival.
    pub warnings: Vec<(String, u64)>,
    /// The connector's requests to its source, by listing; empty if the connector does not run here.
    pub asked: Vec<timeline::Tally>,
    /// True if every version of a row was kept.
    pub history: bool,
    /// The time from the first call to the last row.
    pub took: Duration,
    /// The DuckDB file.
    pub warehouse: PathBuf,
    /// The state file.
    pub state: PathBuf,
    /// The HTML report, if one was written.
    pub page: Option<PathBuf>,
}

impl Outcome {
    /// Returns true if the sync ended well and everything the connector sent has landed.
    pub fn succeeded(&self) -> bool {
        self.failure.is_none()
    }
}

/// The reason why a local run failed. A sync that failed is an [`Outcome`] instead.
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
    #[error("cannot {doing} {path}: {source}")]
    Io {
        /// The attempted operation.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// A confirmation is needed, but there is no terminal.
    #[error("cannot ask for confirmation without a terminal; add --yes")]
    NotInteractive,
    /// The run's own thread ended early: a bug in this crate.
    #[error("the warehouse thread ended unexpectedly; please report this")]
    Lost,
}

impl Error {
    fn io(doing: &'static str, path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        Self::Io {
            doing,
            path,
            source,
        }
    }
}

/// Runs one sync against the connector at the endpoint.
///
/// Cancellation: when `cancel` fires, reading stops, the rows that have arrived are landed with their last checkpoint, and
/// the outcome reports that the sync was interrupted.
pub async fn run(
    options: Options,
    clock: Arc<dyn Clock>,
    cancel: CancellationToken,
) -> Result<Outcome, Error> {
    driver::drive(options, clock, cancel, None).await
}

/// A callback that receives the table's name and the number of records that arrived.
pub type Watch = Arc<dyn Fn(&str, u64) + Send + Sync>;

/// Runs one sync like [`run`], and calls `watch` for the records as they arrive.
pub async fn run_watched(
    options: Options,
    clock: Arc<dyn Clock>,
    cancel: CancellationToken,
    watch: Watch,
) -> Result<Outcome, Error> {
    driver::drive(options, clock, cancel, Some(watch)).await
}

/// Runs the tests of a connector's setup form, up to the first that fails, and nothing else.
pub async fn run_tests(
    wire: &Wire,
    answers: &BTreeMap<String, String>,
) -> Result<Vec<TestOutcome>, Error> {
    driver::run_tests(wire, answers).await
}

/// Runs one SQL statement on a DuckDB file and returns its result as a text table.
///
/// The file is opened for reading only. At most 1,000 rows are shown.
pub fn query(db: &Path, sql: &str) -> Result<String, Error> {
    if !db.exists() {
        let path = db.to_owned();
        return Err(Error::NoWarehouse { path });
    }
    let mut answer = database::DuckDb::open_read_only(db)?.query(sql, QUERY_ROWS + 1)?;
    let more = answer.rows.len() > QUERY_ROWS;
    answer.rows.truncate(QUERY_ROWS);
    let mut text = report::grid(answer.columns, answer.rows);
    if more {
        text.push_str("\n(the first 1,000 rows)");
    }
    Ok(text)
}
