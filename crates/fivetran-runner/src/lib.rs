//! Acts as Fivetran over real gRPC and lands the rows in a DuckDB file.
//!
//! [`run`] requests any connector's form, tests and schema, runs one sync, and lands every operation in
//! `warehouse.db` the way Fivetran's destinations do. It depends on no table and no source.
//!
//! | file | content |
//! |---|---|
//! | `options`, `outcome`, `error` | the options of a run, its result, and the reasons of its failure |
//! | `driver`, `writer`, `warnings` | the four calls, in order; landing runs concurrently with reading |
//! | `transport`, `client`, `connector_exit` | the connection to a connector, and the end of its process |
//! | `receive` | the same calls without a warehouse |
//! | `choose` | the selection of tables and columns |
//! | `form` | defaults of the setup form, and which values are secret |
//! | `warehouse`, `record` | what a destination does with operations |
//! | `staged`, `batch`, `history` | operations until their flush: folded, or all versions |
//! | `table`, `column_type`, `value`, `decimal`, `number` | columns, and values that fit them |
//! | `database`, `sql`, `schema` | rows in a DuckDB file, and the log of syncs |
//! | `comments` | descriptions of tables and columns, stored as comments |
//! | `counters` | counts of the connector's requests, for that log |
//! | `state` | `state.json`, never ahead of the rows |
//! | [`progress`], `progress_lines` | the progress on a terminal |
//! | [`report`], `report_table` | the text report at the end |
//! | [`terminal`] | the width of the terminal, and texts that fit it |
//! | [`timeline`], [`html_report`] | the events of a run, and the HTML report made of them |
//! | [`reset`] | start over |
//! | [`conformance`] | checks of a connector against the protocol's rules |
//! | `views`, `digest` | views for queries; comparison of two warehouses |

use std::{collections::BTreeMap, sync::Arc};

use tokio_util::sync::CancellationToken;

pub use comments::TableDescription;
pub use connector_exit::{AwaitExit, ConnectorExit};
pub use counters::{Counted, Counters};
pub use digest::{Digests, digests};
/// The database of the warehouse, for callers that read it.
pub use duckdb;
pub use error::Error;
pub use form::redactor_by_names;
pub use options::{
    DEFAULT_SCHEMA, Names, Options, REPORT_FILE, RecordObserver, RequestedSelection, STATE_FILE,
    UnknownFields, WAREHOUSE_FILE,
};
pub use query::{QueryFormat, query};
pub use schema::check_schema;
pub use secret_redactor::Redactor;
use sync_clock::Clock;
pub use sync_outcome::{Operations, SyncOutcome, TableOutcome, TestOutcome};
pub use transport::{InProcessCalls, InProcessConnector, Transport, within};
pub use views::{LeftOut, View, execute_views, make_latest, tables_lie_in};

mod batch;
mod choose;
mod client;
mod column_type;
mod comments;
pub mod conformance;
mod connector_exit;
mod counters;
mod database;
mod decimal;
mod digest;
mod driver;
mod error;
mod form;
mod history;
pub mod html_report;
mod number;
mod one_line;
mod options;
pub mod progress;
mod progress_lines;
mod query;
mod receive;
mod record;
pub mod report;
mod report_json;
mod report_table;
pub mod reset;
mod schema;
mod sql;
mod staged;
mod state;
mod sync_outcome;
mod table;
pub mod terminal;
#[cfg(test)]
mod tests;
pub mod timeline;
mod transport;
mod value;
mod views;
mod warehouse;
mod warnings;
mod wire;
mod writer;

/// Runs one sync against the connector at the endpoint.
///
/// Cancellation: when `cancel` fires, reading stops, the rows that have arrived are landed with their last checkpoint, and
/// the outcome reports that the sync was interrupted.
pub async fn run(
    options: Options,
    clock: Arc<dyn Clock>,
    cancel: CancellationToken,
) -> Result<SyncOutcome, Error> {
    driver::drive(options, clock, cancel, None).await
}

/// Runs one sync like [`run`], and calls `observer` for the records as they arrive.
pub async fn run_observed(
    options: Options,
    clock: Arc<dyn Clock>,
    cancel: CancellationToken,
    observer: RecordObserver,
) -> Result<SyncOutcome, Error> {
    driver::drive(options, clock, cancel, Some(observer)).await
}

/// Makes the same calls as [`run`], but lands nothing: of the files in the options only the state is read, and the
/// outcome has no counts.
pub async fn receive(
    options: Options,
    clock: Arc<dyn Clock>,
    cancel: CancellationToken,
) -> Result<SyncOutcome, Error> {
    receive::receive(options, clock, cancel).await
}

/// Runs the tests of a connector's setup form, up to the first that fails, and nothing else. If `only` is a name, only
/// the test with this name is run.
pub async fn run_tests(
    transport: &Transport,
    answers: &BTreeMap<String, String>,
    only: Option<&str>,
) -> Result<Vec<TestOutcome>, Error> {
    driver::run_tests(transport, answers, only).await
}
