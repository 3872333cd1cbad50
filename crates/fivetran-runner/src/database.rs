//! The warehouse in a DuckDB file. Only this module and its submodules use the `duckdb` crate.

use std::path::Path;

use chrono::{DateTime, Utc};
use duckdb::{AccessMode, Config, Connection, params};

use super::{
    Error,
    sql::{column_list, parse_type, path_of, quote, type_name},
    staged::Staged,
    table::{ACTIVE, Column, DELETED, END, ROW_ID, START, SYNCED, Table, TableName, is_system},
    value::ColumnType,
    warehouse::{Existing, Landed, Store},
};

pub(super) use log::{Began, Ended};

mod history;
mod log;
mod rows;

/// The result of a query: columns and rows of text.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) columns: Vec<String>,
    pub(super) rows: Vec<Vec<Option<String>>>,
}

/// The settings for landing rows. One thread is enough, because rows arrive one after another and a second thread
/// mostly waits busily. Each time the log is full, DuckDB compresses the last row group (122,880 rows) again, so the
/// log may be larger than one row group. Beyond the memory limit DuckDB uses the disk, so that a sync does not take
/// the machine's memory.
const WRITING: &str = "SET threads = 1; SET checkpoint_threshold = '256MiB'; \
                       SET memory_limit = '256MiB'";

/// A table's comment, and its columns with their types.
type Found = (Option<String>, Vec<(String, String)>);

/// A DuckDB file.
#[derive(Debug)]
pub(super) struct DuckDb {
    connection: Connection,
    keeps_history: bool,
    /// The number of the running sync, if it is logged.
    sync: Option<i64>,
    /// The time at which the last row was landed, as far as the log shows.
    latest: DateTime<Utc>,
}

impl DuckDb {
    /// Opens the file for writing, and creates it if it does not exist.
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        let connection = connect(path, AccessMode::ReadWrite)?;
        let set = connection.execute_batch(WRITING);
        set.map_err(|error| cannot_open(path, &error))?;
        Ok(Self::of(connection))
    }

    fn of(connection: Connection) -> Self {
        Self {
            connection,
            keeps_history: false,
            sync: None,
            latest: DateTime::UNIX_EPOCH,
        }
    }

    /// Opens the file for queries only.
    pub(super) fn open_read_only(path: &Path) -> Result<Self, Error> {
        connect(path, AccessMode::ReadOnly).map(Self::of)
    }

    /// Runs one statement that returns rows, with every value as DuckDB writes it.
    pub(super) fn query(&self, sql: &str, max_rows: usize) -> Result<Answer, Error> {
        let sql = sql.trim().trim_end_matches(';');
        // The brackets are on lines of their own, so that a comment at the end does not swallow the closing one.
        let sql = format!("SELECT COLUMNS(*)::VARCHAR FROM (\n{sql}\n) LIMIT {max_rows}");
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
    pub(super) fn execute(&self, sql: &str) -> Result<(), String> {
        let run = self.connection.execute_batch(sql);
        run.map_err(|error| error.to_string())
    }

    /// Sets whether new tables keep all versions of a row or only current rows. Fails if the schema's tables were
    /// made in the other mode.
    pub(super) fn keep(mut self, schema: &str, history: bool) -> Result<Self, Error> {
        let other = if history { DELETED } else { ACTIVE };
        let find = "SELECT t.schema_name, t.table_name FROM duckdb_tables() AS t \
             JOIN duckdb_columns() AS c USING (table_oid) \
             WHERE t.database_name = current_database() AND c.database_name = current_database() \
             AND (t.schema_name = ? OR starts_with(t.schema_name, ? || '_')) \
             AND t.comment IS NOT NULL AND c.column_name = ? ORDER BY ALL LIMIT 1";
        let found = || -> duckdb::Result<Option<TableName>> {
            let mut statement = self.connection.prepare(find)?;
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
    pub(super) fn tables_in(&self, schema: &str) -> Result<Vec<String>, Error> {
        let find = "SELECT table_name FROM duckdb_tables() WHERE schema_name = ? \
             AND comment IS NOT NULL AND database_name = current_database() ORDER BY ALL";
        let read = || -> duckdb::Result<Vec<String>> {
            let mut statement = self.connection.prepare(find)?;
            statement.query_map([schema], |row| row.get(0))?.collect()
        };
        read().map_err(|error| Error::Warehouse {
            doing: format!("list the tables of schema `{schema}`"),
            reason: one_line(&error.to_string()),
        })
    }

    fn run(&self, doing: &str, name: &TableName, sql: &str) -> Result<(), Error> {
        self.connection
            .execute_batch(sql)
            .map_err(|error| failed(doing, name, &error))
    }
}

impl Store for DuckDb {
    fn describe(&mut self, name: &TableName) -> Result<Option<Existing>, Error> {
        let run = || -> duckdb::Result<Option<Found>> {
            let mut statement = self.connection.prepare(
                "SELECT comment FROM duckdb_tables() WHERE schema_name = ? AND table_name = ? \
                 AND database_name = current_database()",
            )?;
            let mut rows = statement.query(params![name.schema, name.table])?;
            let Some(row) = rows.next()? else {
                return Ok(None);
            };
            let comment = row.get(0)?;
            let mut statement = self.connection.prepare(
                "SELECT column_name, data_type FROM duckdb_columns() WHERE schema_name = ? \
                 AND table_name = ? AND database_name = current_database() \
                 ORDER BY column_index",
            )?;
            let columns = statement
                .query_map(params![name.schema, name.table], |row| {
                    Ok((row.get(0)?, row.get(1)?))
                })?
                .collect::<duckdb::Result<_>>()?;
            Ok(Some((comment, columns)))
        };
        let found = run().map_err(|error| failed("look up", name, &error))?;
        let Some((comment, columns)) = found else {
            return Ok(None);
        };
        let mut existing = Existing {
            columns: Vec::new(),
            key: comment.and_then(|comment| serde_json::from_str(&comment).ok()),
        };
        for (column, kind) in columns {
            if is_system(&column) && column != ROW_ID {
                continue;
            }
            let kind = parse_type(&kind).ok_or_else(|| Error::Warehouse {
                doing: format!("continue table `{name}`"),
                reason: format!("its column `{column}` has type {kind}, which no sync creates"),
            })?;
            existing.columns.push((column, kind));
        }
        Ok(Some(existing))
    }

    fn create(&mut self, table: &Table) -> Result<(), Error> {
        let name = &table.name;
        let columns = column_list(table.columns());
        // The key is stored as the table's comment, because DuckDB's own keys make replacing rows slow.
        let key = serde_json::Value::from(table.key()).to_string();
        let system = if self.keeps_history {
            format!("{ACTIVE} BOOLEAN, {START} TIMESTAMPTZ, {END} TIMESTAMPTZ")
        } else {
            format!("{DELETED} BOOLEAN")
        };
        let sql = format!(
            "BEGIN; CREATE SCHEMA IF NOT EXISTS {schema}; \
             CREATE TABLE {table} ({columns}{SYNCED} TIMESTAMPTZ, {system}); \
             COMMENT ON TABLE {table} IS '{comment}'; COMMIT",
            schema = quote(&name.schema),
            table = path_of(name),
            comment = key.replace('\'', "''"),
        );
        let made = self.run("create", name, &sql);
        if made.is_err() {
            // The first error is the one to report; there may be no transaction left.
            let _ = self.connection.execute_batch("ROLLBACK");
        }
        made
    }

    fn add_column(&mut self, name: &TableName, column: &Column) -> Result<(), Error> {
        let sql = format!(
            "ALTER TABLE {} ADD COLUMN {} {}",
            path_of(name),
            quote(&column.name),
            type_name(column.kind)
        );
        self.run(&format!("add column `{}` to", column.name), name, &sql)
    }

    fn change_type(&mut self, name: &TableName, column: &str, to: ColumnType) -> Result<(), Error> {
        let sql = format!(
            "ALTER TABLE {} ALTER COLUMN {} TYPE {}",
            path_of(name),
            quote(column),
            type_name(to)
        );
        self.run(&format!("widen column `{column}` of"), name, &sql)
    }

    fn commit(&mut self, work: &[(&Table, &Staged)], landed: &Landed) -> Result<Vec<u64>, Error> {
        let transaction = |error| Error::Warehouse {
            doing: "commit rows".to_owned(),
            reason: one_line(&duckdb::Error::to_string(&error)),
        };
        // Dropped without a commit, the transaction rolls back.
        let open = self.connection.transaction().map_err(transaction)?;
        let mut unchanged = Vec::with_capacity(work.len());
        for (table, staged) in work {
            let same = match staged {
                Staged::Rows(batch) => rows::land(&open, table, batch),
                Staged::Versions(versions) => history::land(&open, table, versions),
            };
            unchanged.push(same.map_err(|error| failed("write", &table.name, &error))?);
            tracing::trace!(table = %table.name, "wrote a table, not yet committed");
        }
        if let Some(sync) = self.sync {
            log::note(&open, sync, landed, unchanged.iter().sum()).map_err(transaction)?;
        }
        open.commit().map_err(transaction)?;
        Ok(unchanged)
    }

    fn count(&mut self, name: &TableName) -> Result<(u64, u64), Error> {
        let gone = if self.keeps_history {
            format!("NOT {ACTIVE}")
        } else {
            DELETED.to_owned()
        };
        let sql = format!(
            "SELECT count(*), count(*) FILTER (WHERE {gone}) FROM {}",
            path_of(name)
        );
        self.connection
            .query_row(&sql, [], |row| Ok((row.get(0)?, row.get(1)?)))
            .map_err(|error| failed("count", name, &error))
    }

    fn keeps_history(&self) -> bool {
        self.keeps_history
    }

    fn latest(&self) -> DateTime<Utc> {
        self.latest
    }
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

fn failed(doing: &str, name: &TableName, error: &duckdb::Error) -> Error {
    Error::Warehouse {
        doing: format!("{doing} table `{name}`"),
        reason: one_line(&error.to_string()),
    }
}

fn one_line(text: &str) -> String {
    text.lines().map(str::trim).collect::<Vec<_>>().join(" ")
}
