//! The options of a local run, and the names of its files.

use std::{collections::BTreeMap, fmt, path::PathBuf, sync::Arc, time::Duration};

use super::{
    TableDescription, connector_exit::AwaitExit, counters::Counters, transport::Transport,
};
use fivetran_proto::Selection;

/// The DuckDB file's name in the folder of a local run.
pub const WAREHOUSE_FILE: &str = "warehouse.db";
/// The state file's name in the folder of a local run.
pub const STATE_FILE: &str = "state.json";
/// The name of the HTML report in the folder of a local run.
pub const REPORT_FILE: &str = "report.html";
/// The default schema in which tables are landed.
pub const DEFAULT_SCHEMA: &str = "tester";

/// A callback that receives the table's name and the number of records that arrived.
pub type RecordObserver = Arc<dyn Fn(&str, u64) + Send + Sync>;

/// The options of a local run.
#[derive(Clone)]
pub struct Options {
    /// The connection to the connector.
    pub endpoint: Transport,
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
    pub selection: RequestedSelection,
    /// The descriptions of the connector's tables, stored as comments in the warehouse; tables may be missing.
    pub descriptions: Vec<TableDescription>,
    /// Leaves out the setup tests.
    pub skip_tests: bool,
    /// The treatment of values for which the form has no field.
    pub unknown_fields: UnknownFields,
    /// Keeps every version of a row, as Fivetran does in its history mode.
    pub history: bool,
    /// The counters of the connector's requests, for the log of syncs; `None` if the connector does not run here.
    pub counters: Option<Arc<Counters>>,
    /// The connector's process, asked for its end if the connection is lost; `None` if it was started elsewhere.
    pub process: Option<Arc<dyn AwaitExit>>,
    /// The time within which the connector must respond to the first call. Until then the call is repeated if the
    /// connection breaks, as it does at a published port of a container that is still starting.
    pub start_within: Duration,
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
            .field("selection", &self.selection)
            .field("skip_tests", &self.skip_tests)
            .field("history", &self.history)
            .finish_non_exhaustive()
    }
}

impl Options {
    /// A sync of everything into a folder, continuing from the last one there.
    pub fn new(
        endpoint: impl Into<Transport>,
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
            selection: RequestedSelection::default(),
            descriptions: Vec::new(),
            skip_tests: false,
            unknown_fields: UnknownFields::default(),
            history: false,
            counters: None,
            process: None,
            start_within: Duration::ZERO,
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

/// The treatment of values for which the setup form has no field.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum UnknownFields {
    /// The run warns of them.
    #[default]
    Warn,
    /// The connector itself warns of them.
    LeaveToConnector,
}

/// The selection of tables and columns.
#[derive(Debug, Clone)]
pub enum RequestedSelection {
    /// A selection by names.
    Names(Names),
    /// Exactly this selection, or `None` if the connector is sent no selection.
    Exactly(Option<Selection>),
}

impl Default for RequestedSelection {
    fn default() -> Self {
        Self::Names(Names::default())
    }
}

/// The user's choice by names: `table`, `table.column`, or `schema.table` if the connector has schemas. Without any
/// name everything is selected.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    /// Only these tables.
    pub tables: Vec<String>,
    /// Only these columns of their tables, and the key. Their tables are selected, too.
    pub columns: Vec<String>,
    /// All columns except these.
    pub but: Vec<String>,
}
