//! The warehouse in a DuckDB file; the only place that knows DuckDB.

use std::path::Path;

use duckdb::{
    AccessMode, Appender, Config, Connection, ToSql, appender_params_from_iter, params,
    types::{TimeUnit, ToSqlOutput, ValueRef},
};

use super::{
    Error,
    batch::{Batch, Change, Pending},
    sql::{
        MASK, STAGE, column_list, key_columns, parse_type, patch_statement, patches, path_of,
        quote, same_key, type_name,
    },
    table::{Column, DELETED, SYNCED, Table, TableName},
    value::{Cell, ColumnType},
    warehouse::{Existing, Store},
};

/// Rows and columns of text: what a query answers.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) columns: Vec<String>,
    pub(super) rows: Vec<Vec<Option<String>>>,
}

/// How rows are landed. One thread: they come one after another, and a second one does little but wait busily.
/// Whenever the log is full, the last row group (122,880 rows) is compressed anew, so the log may be larger than
/// one. And a sync should not take the machine's memory: beyond the limit DuckDB uses the disk.
const WRITING: &str = "SET threads = 1; SET checkpoint_threshold = '256MiB'; \
                       SET memory_limit = '256MiB'";

/// A table's comment, and its columns with their types.
type Found = (Option<String>, Vec<(String, String)>);

/// A DuckDB file.
#[derive(Debug)]
pub(super) struct DuckDb {
    connection: Connection,
}

impl DuckDb {
    /// Opens the file for writing, and makes it if it is not there.
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        let connection = connect(path, AccessMode::ReadWrite)?;
        let set = connection.execute_batch(WRITING);
        set.map_err(|error| cannot_open(path, &error))?;
        Ok(Self { connection })
    }

    /// Opens the file for queries only.
    pub(super) fn open_read_only(path: &Path) -> Result<Self, Error> {
        connect(path, AccessMode::ReadOnly).map(|connection| Self { connection })
    }

    /// Runs one statement that answers rows; every value as DuckDB writes it.
    pub(super) fn query(&self, sql: &str, max_rows: usize) -> Result<Answer, Error> {
        let sql = sql.trim().trim_end_matches(';');
        // On its own line, so that a comment at the end does not swallow the bracket.
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

    /// Runs statements that answer nothing; an error is DuckDB's words.
    pub(super) fn execute(&self, sql: &str) -> Result<(), String> {
        let run = self.connection.execute_batch(sql);
        run.map_err(|error| error.to_string())
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
            if column == SYNCED || column == DELETED {
                continue;
            }
            let kind = parse_type(&kind).ok_or_else(|| Error::Warehouse {
                doing: format!("continue table `{name}`"),
                reason: format!("its column `{column}` has type {kind}, which no sync makes"),
            })?;
            existing.columns.push((column, kind));
        }
        Ok(Some(existing))
    }

    fn create(&mut self, table: &Table) -> Result<(), Error> {
        let name = &table.name;
        let columns = column_list(table.columns());
        // The key is kept as the table's comment: DuckDB's own keys make replacing rows slow.
        let key = serde_json::Value::from(table.key()).to_string();
        let sql = format!(
            "BEGIN; CREATE SCHEMA IF NOT EXISTS {schema}; \
             CREATE TABLE {table} ({columns}{SYNCED} TIMESTAMPTZ, {DELETED} BOOLEAN); \
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

    fn commit(&mut self, batches: &[(&Table, &Batch)]) -> Result<(), Error> {
        let transaction = |error| Error::Warehouse {
            doing: "commit rows".to_owned(),
            reason: duckdb::Error::to_string(&error),
        };
        // Dropped without a commit, it rolls back.
        let open = self.connection.transaction().map_err(transaction)?;
        for (table, batch) in batches {
            land(&open, table, batch).map_err(|error| failed("write", &table.name, &error))?;
        }
        open.commit().map_err(transaction)
    }

    fn count(&mut self, name: &TableName) -> Result<(u64, u64), Error> {
        let sql = format!(
            "SELECT count(*), count(*) FILTER (WHERE {DELETED}) FROM {}",
            path_of(name)
        );
        self.connection
            .query_row(&sql, [], |row| Ok((row.get(0)?, row.get(1)?)))
            .map_err(|error| failed("count", name, &error))
    }
}

fn connect(path: &Path, mode: AccessMode) -> Result<Connection, Error> {
    let open = || -> duckdb::Result<Connection> {
        let config = Config::default()
            .access_mode(mode)?
            // Never reach for the network.
            .with("autoinstall_known_extensions", "false")?;
        let connection = Connection::open_with_flags(path, config)?;
        // Times are printed in the zone they were sent in.
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

/// The process that DuckDB says holds the lock: ` (process 123)`, or nothing.
fn holder(reason: &str) -> String {
    let after = reason.split_once("(PID ").map(|(_, after)| after);
    let process = after.and_then(|after| after.split_once(')'));
    process.map_or_else(String::new, |(id, _)| format!(" (process {id})"))
}

/// Carries out one table's batch; `batch` says in which order.
fn land(connection: &Connection, table: &Table, batch: &Batch) -> duckdb::Result<()> {
    let target = path_of(&table.name);
    if batch.truncate {
        connection.execute_batch(&format!(
            "UPDATE {target} SET {DELETED} = true WHERE {DELETED} IS NOT TRUE"
        ))?;
    }
    let (mut replaced, mut patched, mut marked) = (Vec::new(), Vec::new(), Vec::new());
    for row in batch.rows() {
        match &row.change {
            Change::Replace { .. } => replaced.push(row),
            Change::Patch { cells, .. } if patches(table, cells).any(|patch| patch) => {
                patched.push(row);
            }
            Change::Patch { .. } => marked.push(row),
        }
    }
    if !replaced.is_empty() {
        replace(connection, table, &replaced)?;
    }
    for rows in [patched, marked] {
        if !rows.is_empty() {
            stage(connection, table, &rows)?;
            connection.execute_batch(&patch_statement(table, &rows))?;
        }
    }
    connection.execute_batch(&format!("DROP TABLE IF EXISTS temp.{STAGE}"))
}

/// Puts rows in the place of those with their keys. Only the keys are staged: the rows go straight to where they
/// stay, which is the most of what a first sync costs.
fn replace(connection: &Connection, table: &Table, rows: &[&Pending]) -> duckdb::Result<()> {
    let target = path_of(&table.name);
    let empty = format!("SELECT NOT EXISTS (FROM {target})");
    if !connection.query_row(&empty, [], |row| row.get::<_, bool>(0))? {
        let keys = key_columns(table);
        let list = column_list(keys.iter().map(|position| &table.columns()[*position]));
        connection.execute_batch(&format!("CREATE OR REPLACE TEMP TABLE {STAGE} ({list})"))?;
        let mut appender = connection.appender_to_catalog_and_db(STAGE, "temp", "main")?;
        for row in rows {
            if let Change::Replace { cells, .. } = &row.change {
                let key = keys.iter().map(|position| Bound(&cells[*position]));
                appender.append_row(appender_params_from_iter(key))?;
            }
        }
        appender.flush()?;
        connection.execute_batch(&format!(
            "DELETE FROM {target} AS t USING {STAGE} AS s WHERE {}",
            same_key(table)
        ))?;
    }
    // By name: columns that were added stand behind the system columns.
    let names = table.columns().iter().map(|column| column.name.as_str());
    let names: Vec<_> = names.chain([SYNCED, DELETED]).collect();
    let TableName {
        schema,
        table: name,
    } = &table.name;
    let mut appender = connection.appender_with_columns_to_db(name, schema, &names)?;
    for row in rows {
        append(&mut appender, table, row)?;
    }
    appender.flush()
}

/// Puts patches into a fresh temporary table with the target's columns.
fn stage(connection: &Connection, table: &Table, rows: &[&Pending]) -> duckdb::Result<()> {
    let columns = column_list(table.columns());
    connection.execute_batch(&format!(
        "CREATE OR REPLACE TEMP TABLE {STAGE} \
         ({columns}{SYNCED} TIMESTAMPTZ, {DELETED} BOOLEAN, {MASK} VARCHAR)"
    ))?;
    let mut appender = connection.appender_to_catalog_and_db(STAGE, "temp", "main")?;
    for row in rows {
        append(&mut appender, table, row)?;
    }
    appender.flush()
}

/// Appends a row with what the platform knows of it, and for a patch its mask.
fn append(appender: &mut Appender<'_>, table: &Table, row: &Pending) -> duckdb::Result<()> {
    let width = table.columns().len();
    let null = Cell::Null;
    let mut values = Vec::with_capacity(width + 3);
    let (deleted, mask) = match &row.change {
        Change::Replace { cells, deleted } => {
            values.extend(cells.iter().map(Bound));
            (Some(*deleted), None)
        }
        Change::Patch { cells, deleted } => {
            values.extend(
                cells
                    .iter()
                    .map(|cell| Bound(cell.as_ref().unwrap_or(&null))),
            );
            let mask = patches(table, cells).map(|patch| if patch { '1' } else { '0' });
            (*deleted, Some(Cell::Text(mask.collect())))
        }
    };
    // The table has gained columns since the row was staged.
    values.resize_with(width, || Bound(&null));
    let synced = Cell::Timestamp(row.synced.timestamp_micros());
    let deleted = deleted.map_or(Cell::Null, Cell::Bool);
    values.extend([Bound(&synced), Bound(&deleted)]);
    values.extend(mask.as_ref().map(Bound));
    appender.append_row(appender_params_from_iter(values))
}

/// A cell on its way into DuckDB.
struct Bound<'a>(&'a Cell);

impl ToSql for Bound<'_> {
    fn to_sql(&self) -> duckdb::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self.0 {
            Cell::Null => ValueRef::Null,
            Cell::Bool(flag) => ValueRef::Boolean(*flag),
            Cell::Int(number) => ValueRef::BigInt(*number),
            Cell::Float(number) => ValueRef::Float(*number),
            Cell::Double(number) => ValueRef::Double(*number),
            Cell::Date(days) => ValueRef::Date32(*days),
            Cell::Time(micros) => ValueRef::Time64(TimeUnit::Microsecond, *micros),
            Cell::Timestamp(micros) => ValueRef::Timestamp(TimeUnit::Microsecond, *micros),
            Cell::Blob(bytes) => ValueRef::Blob(bytes),
            Cell::Text(text) => ValueRef::Text(text.as_bytes()),
        }))
    }
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
