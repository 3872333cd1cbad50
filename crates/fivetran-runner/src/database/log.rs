//! The log of syncs: a row for each, in the warehouse itself.
//!
//! The row is written when a sync begins and completed when it ends. Each flush updates the counts in its own
//! transaction, so the log also shows a sync that was killed, with the counts of the rows that were landed. The next
//! sync marks the row as killed: the file is locked, so no other sync can be running. The state of the killed sync is
//! read from the state file, which alone decides where the next sync begins.

use chrono::{DateTime, Utc};
use duckdb::{Connection, Result, params};

use super::connection::DuckDb;
use crate::{
    Error, Operations, SyncOutcome, TableDescription,
    comments::{Comment, comments_of},
    counters::Counted,
    one_line::one_line,
    table::TableName,
    warehouse::FlushProgress,
};

/// The log's table. No schema for tables may have a name that begins like its schema.
const LOG: &str = "_local_run.sync_log";

/// The number of syncs whose states are kept. Older rows keep everything else.
const STATES_KEPT: i64 = 100;

/// The description of a row.
const DESCRIPTION: &str = "One row for each sync of the local run.";

/// The columns with their types and descriptions.
const COLUMNS: [(&str, &str, &str); 24] = [
    ("sync", "BIGINT", "The number of the sync; the first is 1."),
    ("began", "TIMESTAMPTZ", "The time at which the sync began."),
    (
        "ended",
        "TIMESTAMPTZ",
        "The time at which the sync ended; null if it is running or was killed.",
    ),
    (
        "outcome",
        "VARCHAR",
        "`succeeded`, `failed`, `interrupted`, `killed`, or `running` until the sync ends.",
    ),
    ("failure", "VARCHAR", "The reason why the sync failed."),
    (
        "schema_name",
        "VARCHAR",
        "The schema into which the sync wrote.",
    ),
    (
        "history",
        "BOOLEAN",
        "True if every version of a row is kept (`--history`).",
    ),
    (
        "full_refresh",
        "BOOLEAN",
        "True if the sync began without a state (`--full-refresh`).",
    ),
    (
        "state_before",
        "JSON",
        "The state with which the sync began; kept for the last 100 syncs.",
    ),
    (
        "state_after",
        "JSON",
        "The state of the last checkpoint; kept for the last 100 syncs.",
    ),
    ("upserts", "BIGINT", "The number of upserts."),
    (
        "unchanged",
        "BIGINT",
        "The upserts of rows that the warehouse already had with the same values.",
    ),
    ("updates", "BIGINT", "The number of updates."),
    ("deletes", "BIGINT", "The number of deletes."),
    (
        "truncates",
        "BIGINT",
        "The number of truncates: operations on a table, not rows.",
    ),
    (
        "schema_changes",
        "BIGINT",
        "The number of tables that were created or changed.",
    ),
    ("checkpoints", "BIGINT", "The number of checkpoints."),
    (
        "last_landed",
        "TIMESTAMPTZ",
        "The arrival time of the last operation that was written.",
    ),
    (
        "tables",
        "JSON",
        "The number of operations of each kind, and of rows, by table; null until the sync ends.",
    ),
    (
        "requests",
        "BIGINT",
        "The connector's HTTP requests; null if it runs in another process, like the next three.",
    ),
    (
        "response_bytes",
        "BIGINT",
        "The size of the responses, in bytes.",
    ),
    (
        "waits",
        "BIGINT",
        "The number of waits: for a rate limit, or before a retry.",
    ),
    ("waited_seconds", "DOUBLE", "The sum of these waits."),
    ("seconds", "DOUBLE", "The duration of the sync."),
];

/// A sync that begins.
#[derive(Debug)]
pub(crate) struct SyncStartEntry<'a> {
    pub(crate) at: DateTime<Utc>,
    pub(crate) schema: &'a str,
    pub(crate) full_refresh: bool,
    /// The state with which the sync begins.
    pub(crate) state: &'a str,
    /// The content of the state file: the last checkpoint of an earlier sync that was killed.
    pub(crate) kept: Option<&'a str>,
}

/// A sync that has ended.
#[derive(Debug)]
pub(crate) struct SyncEndEntry<'a> {
    pub(crate) at: DateTime<Utc>,
    pub(crate) outcome: &'static str,
    /// The reason for the failure, without secrets.
    pub(crate) failure: Option<&'a str>,
    /// The content of the state file.
    pub(crate) state: Option<&'a str>,
    pub(crate) counts: &'a SyncOutcome,
    /// The counts of the connector's requests, if known.
    pub(crate) counted: Option<Counted>,
}

/// The row of a running sync.
#[derive(Debug)]
pub(crate) struct SyncLog {
    connection: Connection,
    sync: i64,
}

impl DuckDb {
    /// Writes the row of a sync that begins. Marks the rows of syncs that never ended as killed.
    pub(crate) fn begin_sync(&mut self, began: &SyncStartEntry<'_>) -> Result<SyncLog, Error> {
        let connection = self.connection.try_clone().map_err(failed)?;
        let mut write = || -> Result<()> {
            self.connection.execute_batch(&create_statement())?;
            let open = self.connection.transaction()?;
            let end = format!(
                "UPDATE {LOG} SET outcome = 'killed', state_after = ? WHERE outcome = 'running'"
            );
            open.execute(&end, params![began.kept])?;
            let last =
                format!("SELECT coalesce(max(sync), 0), epoch_us(max(last_landed)) FROM {LOG}");
            let (last, landed): (i64, Option<i64>) =
                open.query_row(&last, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
            let sync = last + 1;
            let forget = format!(
                "UPDATE {LOG} SET state_before = NULL, state_after = NULL \
                 WHERE sync <= ? AND state_before IS NOT NULL"
            );
            open.execute(&forget, params![sync - STATES_KEPT])?;
            let insert = format!(
                "INSERT INTO {LOG} (sync, began, outcome, schema_name, history, full_refresh, \
                 state_before, upserts, unchanged, updates, deletes, truncates, schema_changes, \
                 checkpoints) VALUES (?, ?, 'running', ?, ?, ?, ?, 0, 0, 0, 0, 0, 0, 0)"
            );
            open.execute(
                &insert,
                params![
                    sync,
                    began.at,
                    began.schema,
                    self.keeps_history,
                    began.full_refresh,
                    began.state
                ],
            )?;
            open.commit()?;
            self.sync = Some(sync);
            self.latest = landed
                .and_then(DateTime::from_timestamp_micros)
                .unwrap_or_default();
            Ok(())
        };
        write().map_err(failed)?;
        let sync = self.sync.unwrap_or_default();
        Ok(SyncLog { connection, sync })
    }

    fn has_log(&self) -> Result<bool> {
        let find = "SELECT count(*) > 0 FROM duckdb_tables() WHERE schema_name = '_local_run' \
             AND table_name = 'sync_log' AND database_name = current_database()";
        self.connection.query_row(find, [], |row| row.get(0))
    }

    /// The schemas of other syncs whose names begin like `schema`. Their tables are not tables of `schema`, although
    /// those of a connector with schemas of its own have such names, too.
    pub(super) fn other_schemas(&self, schema: &str) -> Result<Vec<String>, Error> {
        let find = format!(
            "SELECT DISTINCT schema_name FROM {LOG} WHERE starts_with(schema_name, ? || '_')"
        );
        let read = || -> Result<Vec<String>> {
            if !self.has_log()? {
                return Ok(Vec::new());
            }
            let mut statement = self.connection.prepare(&find)?;
            statement.query_map([schema], |row| row.get(0))?.collect()
        };
        read().map_err(failed)
    }

    /// The schema and the mode of the last sync that reached a checkpoint, or `None` if there is none.
    pub(crate) fn last_checkpointed(&self) -> Result<Option<(String, bool)>, Error> {
        let find = format!(
            "SELECT schema_name, history FROM {LOG} WHERE checkpoints > 0 ORDER BY sync DESC LIMIT 1"
        );
        let read = || -> Result<Option<(String, bool)>> {
            if !self.has_log()? {
                return Ok(None);
            }
            let mut statement = self.connection.prepare(&find)?;
            let mut rows = statement.query([])?;
            match rows.next()? {
                Some(row) => Ok(Some((row.get(0)?, row.get(1)?))),
                None => Ok(None),
            }
        };
        read().map_err(failed)
    }
}

fn create_statement() -> String {
    let columns = COLUMNS.map(|(name, kind, _)| format!("{name} {kind}"));
    let columns = columns.join(", ");
    format!("CREATE SCHEMA IF NOT EXISTS _local_run; CREATE TABLE IF NOT EXISTS {LOG} ({columns})")
}

/// Returns the comments of the log and its columns.
pub(super) fn comments() -> Vec<Comment> {
    let description = TableDescription {
        table: "sync_log".to_owned(),
        description: DESCRIPTION.to_owned(),
        columns: COLUMNS
            .iter()
            .map(|(name, _, text)| ((*name).to_owned(), (*text).to_owned()))
            .collect(),
    };
    let name = TableName {
        schema: "_local_run".to_owned(),
        table: description.table.clone(),
    };
    comments_of(&name, Some(&description))
}

/// Writes the sync's counts so far, in the transaction of a flush.
pub(super) fn note(
    connection: &Connection,
    sync: i64,
    landed: &FlushProgress,
    unchanged: u64,
) -> Result<()> {
    let Operations {
        upserts,
        updates,
        deletes,
        truncates,
        schema_changes,
        checkpoints,
    } = landed.operations;
    let sql = format!(
        "UPDATE {LOG} SET upserts = ?, updates = ?, deletes = ?, truncates = ?, \
         schema_changes = ?, checkpoints = ?, unchanged = unchanged + ?, last_landed = ? \
         WHERE sync = ?"
    );
    let values = params![
        upserts,
        updates,
        deletes,
        truncates,
        schema_changes,
        checkpoints,
        unchanged,
        landed.at,
        sync
    ];
    connection.execute(&sql, values).map(|_| ())
}

impl SyncLog {
    /// Completes the row.
    pub(crate) fn end(&self, ended: &SyncEndEntry<'_>) -> Result<(), Error> {
        let counted = ended.counted;
        let sql = format!(
            "UPDATE {LOG} SET ended = ?, outcome = ?, failure = ?, state_after = ?, tables = ?, \
             requests = ?, response_bytes = ?, waits = ?, waited_seconds = ?, \
             seconds = ? WHERE sync = ?"
        );
        let values = params![
            ended.at,
            ended.outcome,
            ended.failure,
            ended.state,
            tables(ended.counts),
            counted.map(|counted| counted.requests),
            counted.map(|counted| counted.bytes),
            counted.map(|counted| counted.waits),
            counted.map(|counted| counted.waited.as_secs_f64()),
            ended.counts.took.as_secs_f64(),
            self.sync
        ];
        let written = self.connection.execute(&sql, values);
        written.map(|_| ()).map_err(failed)
    }
}

/// The counts of each table as JSON, by its name.
fn tables(outcome: &SyncOutcome) -> String {
    let tables = outcome.tables.iter().map(|table| {
        let counts = serde_json::json!({
            "upserts": table.operations.upserts,
            "unchanged": table.unchanged,
            "updates": table.operations.updates,
            "deletes": table.operations.deletes,
            "truncates": table.operations.truncates,
            "rows": table.rows,
            "deleted": table.deleted,
        });
        (table.table.clone(), counts)
    });
    serde_json::Value::Object(tables.collect()).to_string()
}

#[expect(clippy::needless_pass_by_value, reason = "passed to map_err")]
fn failed(error: duckdb::Error) -> Error {
    Error::Warehouse {
        doing: "write the log of syncs".to_owned(),
        reason: one_line(&error.to_string()),
    }
}
