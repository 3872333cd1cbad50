//! Plays Fivetran over real gRPC, into a DuckDB file.
//!
//! [`run`] asks any connector for its form, its tests and its schema, runs one sync, and lands every
//! operation in `warehouse.db` the way Fivetran's destinations do. It knows no table and no source.
//!
//! | file | what it does |
//! |---|---|
//! | `driver`, `writer`, `warnings` | the four calls, in order; landing goes on beside reading |
//! | `wire` | how a connector is reached |
//! | `choose` | which tables are wanted |
//! | `form` | defaults of the setup form, and which answers are secret |
//! | `warehouse`, `record` | what a destination does with operations |
//! | `staged`, `batch`, `history` | operations until their flush: folded, or all versions |
//! | `table`, `value`, `decimal` | columns, and values that fit them |
//! | `duckdb`, `sql`, `schema` | rows in a DuckDB file, and the log of syncs |
//! | `counters` | what the connector asked its source, for that log |
//! | `state` | `state.json`, never ahead of the rows |
//! | [`progress`] | bars on a terminal |
//! | [`report`] | the tables at the end |
//! | [`timeline`], [`page`] | what was heard meanwhile, and the page made of it |
//! | [`reset`] | start over |
//! | [`conformance`] | whether a connector keeps the protocol's rules |
//! | `views`, `digest` | names for questions; whether two warehouses hold the same |

use std::{
    collections::BTreeMap,
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio_util::sync::CancellationToken;

use crate::{clock::Clock, fivetran::proto::Selection};
pub use choose::Names;
pub use counters::{Counted, Counters};
pub use digest::{Digests, digests};
pub use form::Redactor;
pub use schema::check_schema;
pub use views::{LeftOut, View, execute_views, make_latest, tables_lie_in};
pub use wire::{Calls, Dialer, Wire, within};

mod batch;
mod choose;
pub mod conformance;
mod counters;
mod decimal;
mod digest;
mod driver;
mod duckdb;
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
/// The page's name in the folder of a local run.
pub const REPORT_FILE: &str = "report.html";
/// The schema that tables are landed in when the caller has no wish.
pub const DEFAULT_SCHEMA: &str = "tester";
/// The most rows that [`query`] shows.
const QUERY_ROWS: usize = 1_000;

/// What a local run does.
#[derive(Clone)]
pub struct Options {
    /// Where the connector is.
    pub endpoint: Wire,
    /// The answers to the setup form. Missing ones take the form's default. Never printed.
    pub configuration: BTreeMap<String, String>,
    /// Reads the start state from this file instead of `state.json` in `dir`; checkpoints go to the
    /// latter in any case.
    pub state: Option<PathBuf>,
    /// The folder of the warehouse and the state; made if it is not there.
    pub dir: PathBuf,
    /// Starts with the state of a connection that has never synced, over the rows that are there.
    pub full_refresh: bool,
    /// The schema that tables are landed in; [`DEFAULT_SCHEMA`] is customary.
    pub schema: String,
    /// What is selected.
    pub choice: Choice,
    /// Leaves out the setup tests.
    pub skip_tests: bool,
    /// Keeps every version of a row, as Fivetran does in its history mode.
    pub history: bool,
    /// Where the connector's requests are counted, for the log of syncs; `None` when it does not run here.
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
    /// A sync of everything into a folder, from where the last one there ended.
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

/// Which tables and columns are selected.
#[derive(Debug, Clone)]
pub enum Choice {
    /// By their names.
    Names(Names),
    /// Exactly this; `None`: the connector is told of no selection.
    Exactly(Option<Selection>),
}

impl Default for Choice {
    fn default() -> Self {
        Self::Names(Names::default())
    }
}

/// How many operations of each kind a sync sent.
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

/// What a sync did to one table. Of `operations`, only those on records count here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableOutcome {
    /// Schema and name, such as `tester.flows`.
    pub table: String,
    /// The operations on its records.
    pub operations: Operations,
    /// Upserts that found just the values they brought: rows that were sent again though nothing had changed. (Of
    /// several upserts of a row with different values at about the same time none counts.)
    pub unchanged: u64,
    /// Rows now in the warehouse, those marked as deleted included; with `history` all versions.
    pub rows: u64,
    /// Rows that are marked as deleted; with `history` versions that are not active any more.
    pub deleted: u64,
}

/// The result of one test of the setup form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestOutcome {
    /// The test as the user sees it.
    pub label: String,
    /// The text for the user when it failed.
    pub failure: Option<String>,
}

/// How a sync ended. Texts of the connector have their secrets replaced by `***`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Why the sync failed; `None` when it succeeded.
    pub failure: Option<String>,
    /// The setup tests that ran.
    pub tests: Vec<TestOutcome>,
    /// All operations.
    pub operations: Operations,
    /// The tables of this run, by name.
    pub tables: Vec<TableOutcome>,
    /// Each different warning and how often it came, in the order of their first coming.
    pub warnings: Vec<(String, u64)>,
    /// What the connector asked its source, a listing each; empty when it does not run here.
    pub asked: Vec<timeline::Tally>,
    /// Whether every version of a row was kept.
    pub history: bool,
    /// From the first call to the last row.
    pub took: Duration,
    /// The DuckDB file.
    pub warehouse: PathBuf,
    /// The state file.
    pub state: PathBuf,
    /// The page about the run, if one was written.
    pub page: Option<PathBuf>,
}

impl Outcome {
    /// Whether everything the connector sent has landed and it ended well.
    pub fn succeeded(&self) -> bool {
        self.failure.is_none()
    }
}

/// Why a local run could not do its work; a sync that failed is an [`Outcome`] instead.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Nothing answers at the endpoint.
    #[error("cannot reach a connector at {endpoint} ({reason}); is it running?")]
    Connect {
        /// The address.
        endpoint: String,
        /// The transport's words.
        reason: String,
    },
    /// The connector has no form to run the tests of.
    #[error("the connector ended the setup form with {status}")]
    NoForm {
        /// Its status, in words.
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
        /// What is wrong with it.
        reason: String,
    },
    /// There is a state whose rows are gone.
    #[error(
        "{state} belongs to rows that are not there: {warehouse} is missing; run \
         `fivetran_source reset`, or start over with --full-refresh"
    )]
    RowsMissing {
        /// The state file.
        state: PathBuf,
        /// The file that is missing.
        warehouse: PathBuf,
    },
    /// A table or column that was asked for does not exist.
    #[error(
        "the connector has no table or column `{name}`; see what it has with the command `tables`"
    )]
    UnknownTable {
        /// As it was asked for.
        name: String,
    },
    /// The file given as start state does not exist.
    #[error("there is no state file {path}; check the path")]
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
        /// Which process, with a leading space; empty when unknown.
        holder: String,
    },
    /// The warehouse was made without history and is asked to keep it, or the other way round.
    #[error(
        "table `{table}` was made {was} --history, and cannot go on otherwise; run \
         `fivetran_source reset`, or choose another folder (--dir)"
    )]
    OtherMode {
        /// A table of the other mode.
        table: String,
        /// `with` or `without`.
        was: &'static str,
    },
    /// The state stands for rows in another schema.
    #[error(
        "{state} stands for rows in schema `{was}`, and schema `{now}` would lack them; go on with \
         --schema {was}, start over with --full-refresh, or choose another folder (--dir)"
    )]
    OtherSchema {
        /// The state file.
        state: PathBuf,
        /// The schema of the last sync.
        was: String,
        /// The one asked for.
        now: String,
    },
    /// A name that no schema may have.
    #[error(
        "`{name}` cannot be the name of the schema: use lower-case letters, digits and `_`, a letter \
         first, at most 63 characters, and none of DuckDB's own names (such as `temp`)"
    )]
    SchemaName {
        /// As it was asked for.
        name: String,
    },
    /// DuckDB refused something.
    #[error("cannot {doing}: {reason}")]
    Warehouse {
        /// What was tried.
        doing: String,
        /// DuckDB's words.
        reason: String,
    },
    /// A query was refused.
    #[error("the query failed: {reason}")]
    Query {
        /// DuckDB's words.
        reason: String,
    },
    /// There is no DuckDB file to query.
    #[error("there is no {path} yet; run a sync first")]
    NoWarehouse {
        /// The file.
        path: PathBuf,
    },
    /// A file could not be read or written.
    #[error("cannot {doing} {path}: {source}")]
    Io {
        /// What was tried.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
    /// A question cannot be asked, because nobody sits at the other end.
    #[error("cannot ask for confirmation without a terminal; add --yes")]
    NotInteractive,
    /// The run's own thread ended early: a mistake in this crate.
    #[error("the warehouse ended unexpectedly; please report this")]
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
/// When `cancel` fires, reading stops, what has arrived is landed with its last checkpoint, and the
/// outcome says that the sync was interrupted.
pub async fn run(
    options: Options,
    clock: Arc<dyn Clock>,
    cancel: CancellationToken,
) -> Result<Outcome, Error> {
    driver::drive(options, clock, cancel, None).await
}

/// Told of the records that come: the table's name, and how many.
pub type Watch = Arc<dyn Fn(&str, u64) + Send + Sync>;

/// The same as [`run`], with somebody who is told of each record as it comes.
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

/// Runs one SQL statement on a DuckDB file and draws its result as a table of text.
///
/// The file is opened for reading only. At most 1,000 rows are shown.
pub fn query(db: &Path, sql: &str) -> Result<String, Error> {
    if !db.exists() {
        let path = db.to_owned();
        return Err(Error::NoWarehouse { path });
    }
    let mut answer = duckdb::DuckDb::open_read_only(db)?.query(sql, QUERY_ROWS + 1)?;
    let more = answer.rows.len() > QUERY_ROWS;
    answer.rows.truncate(QUERY_ROWS);
    let mut text = report::grid(answer.columns, answer.rows);
    if more {
        text.push_str("\n(the first 1,000 rows)");
    }
    Ok(text)
}
