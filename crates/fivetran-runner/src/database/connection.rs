//! The connection to a DuckDB file, and queries that concern no sync.

use std::{
    fs,
    path::{Path, PathBuf},
};

use chrono::{DateTime, Utc};
use duckdb::{AccessMode, Config, Connection, params};

use super::{
    memory_limit::MemoryLimit,
    primary_keys::{self, HAS_KEY},
};
use crate::{
    error::Error,
    one_line::one_line,
    sql::quote,
    table::{ACTIVE, DELETED, TableName},
};

/// The result of a query: columns and rows of text.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) columns: Vec<String>,
    pub(crate) rows: Vec<Vec<Option<String>>>,
}

/// The settings for landing rows. One thread is enough, because rows arrive one after another and a second thread
/// mostly waits busily. DuckDB does not write rows to the file on its own, but when the file is closed, and merges no row
/// groups then: see [`DuckDb::checkpoint_if_due`].
const WRITING: &str =
    "SET threads = 1; SET checkpoint_threshold = '1TiB'; SET max_vacuum_tasks = 0";

/// A DuckDB file.
#[derive(Debug)]
pub(crate) struct DuckDb {
    pub(super) connection: Connection,
    pub(super) keeps_history: bool,
    /// The number of the running sync, if it is logged.
    pub(super) sync: Option<i64>,
    /// The time at which the last row was landed, as far as the log shows.
    pub(super) latest: DateTime<Utc>,
    /// The limit of the memory; `None` if the file is only read.
    pub(super) limit: Option<MemoryLimit>,
    /// The path of the file.
    pub(super) file: PathBuf,
    /// The file of DuckDB's log.
    pub(super) log: PathBuf,
    /// The size of the long texts that no checkpoint has moved to the file, in bytes; an upper bound.
    pub(super) long_bytes: u64,
}

impl DuckDb {
    /// Opens the file for writing, and creates it if it does not exist.
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        let mut connection = connect(path, AccessMode::ReadWrite)?;
        let set = connection.execute_batch(WRITING);
        let set = set.and_then(|()| primary_keys::prepare(&mut connection));
        let limit = set.and_then(|()| MemoryLimit::begin(&connection));
        let limit = limit.map_err(|error| cannot_open(path, &error))?;
        Ok(Self::new(connection, path, Some(limit)))
    }

    fn new(connection: Connection, path: &Path, limit: Option<MemoryLimit>) -> Self {
        let mut log = path.as_os_str().to_owned();
        log.push(".wal");
        let log = PathBuf::from(log);
        Self {
            connection,
            keeps_history: false,
            sync: None,
            latest: DateTime::UNIX_EPOCH,
            limit,
            // A sync that was killed has left a log.
            long_bytes: bytes_of(&log),
            file: path.to_owned(),
            log,
        }
    }

    /// Opens the file for queries only.
    pub(crate) fn open_read_only(path: &Path) -> Result<Self, Error> {
        let connection = connect(path, AccessMode::ReadOnly)?;
        Ok(Self::new(connection, path, None))
    }

    /// Looks for tables without a schema in this one. Without such a schema, nothing changes.
    pub(crate) fn prefer_schema(&self, schema: &str) {
        let set = format!("SET search_path = '{}'", quote(schema).replace('\'', "''"));
        let _ = self.connection.execute_batch(&set);
    }

    /// Runs one statement that returns rows, with every value as DuckDB writes it.
    pub(crate) fn query(&self, sql: &str, max_rows: usize) -> Result<Answer, Error> {
        self.select("COLUMNS(*)::VARCHAR", sql, max_rows)
    }

    /// Runs one statement that returns rows, each of which becomes one JSON object.
    pub(crate) fn query_json(&self, sql: &str, max_rows: usize) -> Result<Answer, Error> {
        self.select("to_json(q)::VARCHAR", sql, max_rows)
    }

    fn select(&self, values: &str, sql: &str, max_rows: usize) -> Result<Answer, Error> {
        // The brackets are on lines of their own, so that a comment at the end does not swallow the closing one.
        let sql = format!("SELECT {values} FROM (\n{sql}\n) AS q LIMIT {max_rows}");
        let run = || -> duckdb::Result<Answer> {
            let mut statement = self.connection.prepare(&sql)?;
            let mut rows = statement.query([])?;
            let columns = rows
                .as_ref()
                .map(duckdb::Statement::column_names)
                .unwrap_or_default();
            let mut answer = Answer {
                columns,
                rows: Vec::new(),
            };
            while let Some(row) = rows.next()? {
                let cells = (0..answer.columns.len()).map(|column| row.get(column));
                answer.rows.push(cells.collect::<duckdb::Result<_>>()?);
            }
            Ok(answer)
        };
        run().map_err(|error| Error::Query {
            reason: error.to_string(),
        })
    }

    /// Runs statements that return nothing. The error is DuckDB's message.
    pub(crate) fn execute(&self, sql: &str) -> Result<(), String> {
        let run = self.connection.execute_batch(sql);
        run.map_err(|error| error.to_string())
    }

    /// Sets whether new tables keep all versions of a row or only current rows. Fails if the schema's tables were
    /// made in the other mode.
    pub(crate) fn keep(mut self, schema: &str, history: bool) -> Result<Self, Error> {
        let other = if history { DELETED } else { ACTIVE };
        let others = self.other_schemas(schema)?;
        // No schema has an empty name, so the list is never empty.
        let others = others.iter().map(String::as_str).chain([""]);
        let others = others.map(|name| format!("'{}'", name.replace('\'', "''")));
        let find = format!(
            "SELECT t.schema_name, t.table_name FROM duckdb_tables() AS t \
             JOIN duckdb_columns() AS c USING (table_oid) \
             WHERE t.database_name = current_database() AND c.database_name = current_database() \
             AND (t.schema_name = ? OR starts_with(t.schema_name, ? || '_')) \
             AND t.schema_name NOT IN ({}) \
             AND {HAS_KEY} AND c.column_name = ? ORDER BY ALL LIMIT 1",
            others.collect::<Vec<_>>().join(", ")
        );
        let found = || -> duckdb::Result<Option<TableName>> {
            let mut statement = self.connection.prepare(&find)?;
            let mut rows = statement.query(params![schema, schema, other])?;
            let Some(row) = rows.next()? else {
                return Ok(None);
            };
            Ok(Some(TableName {
                schema: row.get(0)?,
                table: row.get(1)?,
            }))
        };
        let found = found().map_err(|error| Error::Warehouse {
            doing: "look up tables".to_owned(),
            reason: one_line(&error.to_string()),
        })?;
        if let Some(table) = found {
            return Err(Error::OtherMode {
                table: table.to_string(),
                was: if history { "without" } else { "with" },
            });
        }
        self.keeps_history = history;
        Ok(self)
    }

    /// The names of the schema's tables that a sync made.
    pub(crate) fn tables_in(&self, schema: &str) -> Result<Vec<String>, Error> {
        let find = format!(
            "SELECT t.table_name FROM duckdb_tables() AS t WHERE t.schema_name = ? \
             AND {HAS_KEY} AND t.database_name = current_database() ORDER BY ALL"
        );
        let read = || -> duckdb::Result<Vec<String>> {
            let mut statement = self.connection.prepare(&find)?;
            statement.query_map([schema], |row| row.get(0))?.collect()
        };
        read().map_err(|error| Error::Warehouse {
            doing: format!("list the tables of schema `{schema}`"),
            reason: one_line(&error.to_string()),
        })
    }

    /// Runs statements on a table.
    pub(super) fn run(&mut self, doing: &str, name: &TableName, sql: &str) -> Result<(), Error> {
        self.with_memory(|database| {
            let run = database.connection.execute_batch(sql);
            run.map_err(|error| failed(doing, name, &error))
        })
    }
}

/// The size of a file, in bytes; 0 if there is none.
pub(super) fn bytes_of(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |file| file.len())
}

fn connect(path: &Path, mode: AccessMode) -> Result<Connection, Error> {
    let open = || -> duckdb::Result<Connection> {
        let config = Config::default()
            .access_mode(mode)?
            // Never use the network.
            .with("autoinstall_known_extensions", "false")?;
        let connection = Connection::open_with_flags(path, config)?;
        // Times are printed in UTC, the zone in which they were sent.
        connection.execute_batch("SET TimeZone = 'UTC'")?;
        Ok(connection)
    };
    open().map_err(|error| cannot_open(path, &error))
}

fn cannot_open(path: &Path, error: &duckdb::Error) -> Error {
    let reason = error.to_string();
    if reason.contains("Could not set lock") || reason.contains("Conflicting lock") {
        return Error::Locked {
            path: path.to_owned(),
            holder: holder(&reason),
        };
    }
    Error::Warehouse {
        doing: format!("open {}", path.display()),
        reason: format!(
            "{}; if the file is damaged, run `fivetran_source reset`",
            one_line(&reason)
        ),
    }
}

/// The process that holds the lock according to DuckDB: ` (process 123)`, or empty.
fn holder(reason: &str) -> String {
    let after = reason.split_once("(PID ").map(|(_, after)| after);
    let process = after.and_then(|after| after.split_once(')'));
    process.map_or_else(String::new, |(id, _)| format!(" (process {id})"))
}

/// Describes a failed operation on a table.
pub(super) fn failed(doing: &str, name: &TableName, error: &duckdb::Error) -> Error {
    Error::Warehouse {
        doing: format!("{doing} table `{name}`"),
        reason: one_line(&error.to_string()),
    }
}
