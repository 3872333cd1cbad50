//! Checkpoints: moves of committed rows from memory to the file.
//!
//! DuckDB holds long texts in memory until a checkpoint. A checkpoint also merges adjacent row groups, and holds all of
//! their long texts in memory then, three times. So checkpoints merge row groups only while those have few long texts.
//! With more, the end of a sync merges small row groups in parts ([`DuckDb::merge_row_groups`]), because each row group
//! takes at least 256 KiB of the file.

use std::{collections::BTreeMap, ops::Range};

use duckdb::Result;

use super::{
    connection::{DuckDb, bytes_of, failed},
    primary_keys::HAS_KEY,
    row_groups::{RowGroup, largest_own_merge, next_merge},
};
use crate::{error::Error, one_line::one_line, sql::path_of, table::TableName};

/// The size of DuckDB's log from which rows are moved to the file, in bytes.
const LOG_BYTES: u64 = 256 << 20;
/// The size of long texts in memory from which rows are moved to the file, in bytes. They become a row group, which
/// must be small: to change or to read one of its texts, DuckDB may read all of them.
const LONG_BYTES: u64 = 64 << 20;
/// The largest size of long texts in row groups that a checkpoint merges, in bytes.
const OWN_MERGE_BYTES: u64 = 128 << 20;
/// The size of DuckDB's blocks, in bytes.
const BLOCK_BYTES: u64 = 256 << 10;

/// The statement after which checkpoints merge row groups, with DuckDB's default value.
const MERGES: &str = "SET max_vacuum_tasks = 100";
/// The statement after which they do not.
const NO_MERGES: &str = "SET max_vacuum_tasks = 0";

/// The largest number of times that the end of a sync merges row groups of the same table. Later syncs do the rest.
const MOST_PASSES: usize = 16;

/// The temporary table with rows that are moved.
const MOVED: &str = "_fivetran_moved";

/// A table of the file.
struct StoredTable {
    name: TableName,
    columns: u64,
    /// False for tables that the user has made or has given an index, with which DuckDB does not drop empty row groups.
    is_ours: bool,
}

impl DuckDb {
    /// Moves committed rows to the file if there are many.
    pub(super) fn checkpoint_if_due(&mut self) -> Result<(), Error> {
        if self.long_bytes >= LONG_BYTES || bytes_of(&self.log) >= LOG_BYTES {
            self.checkpoint()?;
        }
        Ok(())
    }

    /// Moves committed rows from memory to the file. A checkpoint that lacks memory would make the database unusable, so
    /// the highest limit applies to it.
    pub(super) fn checkpoint(&mut self) -> Result<(), Error> {
        let Some(limit) = &self.limit else {
            return Ok(());
        };
        let (highest, usual) = (limit.highest(), limit.usual());
        let run = |database: &Self| -> Result<()> {
            database.connection.execute_batch(&highest)?;
            let merges = if database.may_merge()? {
                MERGES
            } else {
                NO_MERGES
            };
            let sql = format!("{merges}; CHECKPOINT; {NO_MERGES}; {usual}");
            database.connection.execute_batch(&sql)
        };
        run(self).map_err(|error| Error::Warehouse {
            doing: "write rows to the file".to_owned(),
            reason: one_line(&error.to_string()),
        })?;
        self.long_bytes = 0;
        Ok(())
    }

    /// Lets the checkpoint that closes the file merge row groups; merges small ones now if that one must not.
    pub(super) fn merge_row_groups(&mut self) -> Result<(), Error> {
        let Some(limit) = &self.limit else {
            return Ok(());
        };
        let merges = format!("{MERGES}; {}", limit.highest());
        if self.with_memory(|database| database.may_merge().map_err(not_merged))? {
            return self.connection.execute_batch(&merges).map_err(not_merged);
        }
        for _ in 0..MOST_PASSES {
            self.checkpoint()?;
            if !self.merge_once()? {
                return Ok(());
            }
        }
        self.checkpoint()
    }

    /// Returns true if a checkpoint that merges row groups would read few long texts.
    fn may_merge(&self) -> Result<bool> {
        if bytes_of(&self.file) + self.long_bytes <= OWN_MERGE_BYTES {
            return Ok(true);
        }
        for table in self.stored_tables()? {
            let merge = largest_own_merge(&self.row_groups(&table.name)?);
            if merge + self.long_bytes > OWN_MERGE_BYTES {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Merges the first small row groups of each table of a sync. Returns false if no table has any.
    fn merge_once(&mut self) -> Result<bool, Error> {
        let mut has_merged = false;
        let tables = self.stored_tables().map_err(not_merged)?;
        for table in tables.iter().filter(|table| table.is_ours) {
            let groups =
                self.with_memory(|database| database.row_groups(&table.name).map_err(not_merged))?;
            let Some(range) = next_merge(&groups, table.columns) else {
                continue;
            };
            let merged = groups.get(range.clone()).unwrap_or_default();
            let first = rows(groups.get(..range.start).unwrap_or_default());
            let last = first + rows(merged);
            self.with_memory(|database| database.move_rows(&table.name, first..last))?;
            self.long_bytes += merged.iter().map(|group| group.long_bytes).sum::<u64>();
            self.checkpoint_if_due()?;
            has_merged = true;
        }
        Ok(has_merged)
    }

    /// Moves rows to the end of their table. The next checkpoint writes them as one row group, and drops the empty ones.
    fn move_rows(&mut self, name: &TableName, rows: Range<u64>) -> Result<(), Error> {
        let table = path_of(name);
        let which = format!(
            "{table} WHERE rowid >= {} AND rowid < {}",
            rows.start, rows.end
        );
        let sql = format!(
            "CREATE OR REPLACE TEMP TABLE {MOVED} AS FROM {which}; DELETE FROM {which}; \
             INSERT INTO {table} FROM temp.{MOVED}; DROP TABLE temp.{MOVED}"
        );
        let mut run = || -> Result<()> {
            let open = self.connection.transaction()?;
            open.execute_batch(&sql)?;
            open.commit()
        };
        run().map_err(|error| failed("merge row groups of", name, &error))
    }

    fn stored_tables(&self) -> Result<Vec<StoredTable>> {
        let find = format!(
            "SELECT schema_name, table_name, column_count, \
             ({HAS_KEY} OR schema_name = '_local_run') \
             AND index_count = 0 AND NOT has_primary_key FROM duckdb_tables() AS t \
             WHERE database_name = current_database() AND NOT internal AND NOT temporary"
        );
        let mut statement = self.connection.prepare(&find)?;
        let tables = statement.query_map([], |row| {
            Ok(StoredTable {
                name: TableName {
                    schema: row.get(0)?,
                    table: row.get(1)?,
                },
                columns: row.get(2)?,
                is_ours: row.get(3)?,
            })
        })?;
        tables.collect()
    }

    /// Reads the row groups of a table. Long texts that no checkpoint has written are not counted.
    fn row_groups(&self, name: &TableName) -> Result<Vec<RowGroup>> {
        // The first column has each row, and any column may have long texts. They are added up here, because that
        // takes DuckDB three times as long.
        let find = format!(
            "SELECT row_group_id, CASE column_path WHEN '[0]' THEN count ELSE 0 END, \
             coalesce(len(additional_block_ids), 0) FROM pragma_storage_info('{}') \
             WHERE column_path = '[0]' OR len(additional_block_ids) > 0",
            path_of(name).replace('\'', "''")
        );
        let mut statement = self.connection.prepare(&find)?;
        let mut segments = statement.query([])?;
        let mut groups = BTreeMap::<i64, RowGroup>::new();
        while let Some(segment) = segments.next()? {
            let group = groups.entry(segment.get(0)?).or_default();
            group.rows += segment.get::<_, u64>(1)?;
            group.long_bytes += segment.get::<_, u64>(2)? * BLOCK_BYTES;
        }
        Ok(groups.into_values().collect())
    }
}

fn rows(groups: &[RowGroup]) -> u64 {
    groups.iter().map(|group| group.rows).sum()
}

/// Describes a failed statement about all row groups.
#[expect(clippy::needless_pass_by_value, reason = "passed to map_err")]
fn not_merged(error: duckdb::Error) -> Error {
    Error::Warehouse {
        doing: "merge row groups".to_owned(),
        reason: one_line(&error.to_string()),
    }
}
