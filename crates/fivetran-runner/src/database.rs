//! The warehouse in a DuckDB file. Only this module and its submodules use the `duckdb` crate.

use chrono::{DateTime, Utc};
use duckdb::params;

use self::connection::failed;
use super::{
    column_type::ColumnType,
    comments::Comment,
    error::Error,
    one_line::one_line,
    sql::{column_list, number_as_text, parse_type, path_of, quote, type_name},
    staged::StagedValue,
    table::{ACTIVE, Column, DELETED, END, ROW_ID, START, SYNCED, Table, TableName, is_system},
    warehouse::{ExistingTable, FlushProgress, Store},
};

pub(super) use connection::DuckDb;
pub(super) use log::{SyncEndEntry, SyncStartEntry};

mod checkpoint;
mod comments;
mod connection;
mod history;
mod log;
mod memory;
mod memory_limit;
mod primary_keys;
mod row_groups;
mod rows;

/// A table as it is stored: its key, its comment, and its columns with their types.
type StoredTable = (Option<Vec<String>>, Option<String>, Vec<(String, String)>);

impl Store for DuckDb {
    fn describe(&mut self, name: &TableName) -> Result<Option<ExistingTable>, Error> {
        let run = || -> duckdb::Result<Option<StoredTable>> {
            let mut statement = self.connection.prepare(
                "SELECT comment FROM duckdb_tables() WHERE lower(schema_name) = lower(?) \
                 AND lower(table_name) = lower(?) AND database_name = current_database()",
            )?;
            let mut rows = statement.query(params![name.schema, name.table])?;
            let Some(row) = rows.next()? else {
                return Ok(None);
            };
            let comment = row.get(0)?;
            let mut statement = self.connection.prepare(
                "SELECT column_name, data_type FROM duckdb_columns() \
                 WHERE lower(schema_name) = lower(?) AND lower(table_name) = lower(?) \
                 AND database_name = current_database() \
                 ORDER BY column_index",
            )?;
            let columns = statement
                .query_map(params![name.schema, name.table], |row| {
                    Ok((row.get(0)?, row.get(1)?))
                })?
                .collect::<duckdb::Result<_>>()?;
            let key = primary_keys::find(&self.connection, name)?;
            Ok(Some((key, comment, columns)))
        };
        let found = run().map_err(|error| failed("look up", name, &error))?;
        let Some((key, comment, columns)) = found else {
            return Ok(None);
        };
        let mut existing = ExistingTable {
            columns: Vec::new(),
            key,
            comment,
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
        let system = if self.keeps_history {
            format!("{ACTIVE} BOOLEAN, {START} TIMESTAMPTZ, {END} TIMESTAMPTZ")
        } else {
            format!("{DELETED} BOOLEAN")
        };
        let sql = format!(
            "BEGIN; CREATE SCHEMA IF NOT EXISTS {schema}; \
             CREATE TABLE {table} ({columns}{SYNCED} TIMESTAMPTZ, {system}); \
             {key}; COMMIT",
            schema = quote(&name.schema),
            table = path_of(name),
            key = primary_keys::insert_statements(table),
        );
        self.with_memory(|database| {
            let made = database.connection.execute_batch(&sql);
            if made.is_err() {
                // The first error is the one to report; there may be no transaction left.
                let _ = database.connection.execute_batch("ROLLBACK");
            }
            made.map_err(|error| failed("create", name, &error))
        })
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

    fn change_type(
        &mut self,
        name: &TableName,
        column: &Column,
        to: ColumnType,
    ) -> Result<(), Error> {
        let mut sql = format!(
            "ALTER TABLE {} ALTER COLUMN {} TYPE {}",
            path_of(name),
            quote(&column.name),
            type_name(to)
        );
        if to == ColumnType::Varchar {
            sql = format!("{sql} USING {}", number_as_text(&column.name, column.kind));
        }
        self.run(&format!("widen column `{}` of", column.name), name, &sql)
    }

    fn has_large_integers(&mut self, name: &TableName, column: &str) -> Result<bool, Error> {
        let (table, column) = (path_of(name), quote(column));
        let sql =
            format!("SELECT EXISTS (FROM {table} WHERE abs({column}::HUGEINT) > 9007199254740992)");
        self.with_memory(|database| {
            let found = database.connection.query_row(&sql, [], |row| row.get(0));
            found.map_err(|error| failed("read", name, &error))
        })
    }

    fn commit(
        &mut self,
        work: &[(&Table, &StagedValue)],
        landed: &FlushProgress,
    ) -> Result<Vec<u64>, Error> {
        let unchanged = self.with_memory(|database| database.land(work, landed))?;
        self.long_bytes += work
            .iter()
            .map(|(_, staged)| staged.long_bytes())
            .sum::<u64>();
        self.checkpoint_if_due()?;
        Ok(unchanged)
    }

    fn finish(&mut self) {
        if let Err(error) = self.merge_row_groups() {
            // The rows that have landed are not affected. The next sync tries again.
            tracing::warn!("{error}");
        }
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

    fn comment(&mut self, comments: &[Comment]) -> Result<(), Error> {
        self.write_comments(comments)
    }

    fn keeps_history(&self) -> bool {
        self.keeps_history
    }

    fn latest(&self) -> DateTime<Utc> {
        self.latest
    }
}

impl DuckDb {
    /// Lands all operations in one transaction, or none of them.
    fn land(
        &mut self,
        work: &[(&Table, &StagedValue)],
        landed: &FlushProgress,
    ) -> Result<Vec<u64>, Error> {
        let transaction = |error| Error::Warehouse {
            doing: "commit rows".to_owned(),
            reason: one_line(&duckdb::Error::to_string(&error)),
        };
        // Dropped without a commit, the transaction rolls back.
        let open = self.connection.transaction().map_err(transaction)?;
        let mut unchanged = Vec::with_capacity(work.len());
        for (table, staged) in work {
            let same = match staged {
                StagedValue::Rows(batch) => rows::land(&open, table, batch),
                StagedValue::Versions(versions) => history::land(&open, table, versions),
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
}
