//! Lands rows in their current form: one row for each key.

use duckdb::{
    Appender, Connection, Result, ToSql, appender_params_from_iter,
    types::{TimeUnit, ToSqlOutput, ValueRef},
};

use crate::{
    batch::{Batch, Change, Pending},
    sql::{
        KEYS, MASK, MATCHES, NEXT, NUMBER, SAME, STAGE, column_list, count_same_statement,
        key_columns, match_statement, patch_statement, patches, path_of, replace_statements,
        same_statement,
    },
    table::{DELETED, SYNCED, Table, TableName},
    value::Cell,
};

/// Lands one table's batch in the order that the batch defines. Returns the number of upserts equal to the row that
/// was there.
pub(super) fn land(connection: &Connection, table: &Table, batch: &Batch) -> Result<u64> {
    if let Some(at) = batch.truncate {
        let sql = format!(
            "UPDATE {} SET {DELETED} = true WHERE {DELETED} IS NOT TRUE AND epoch_us({SYNCED}) < ?",
            path_of(&table.name)
        );
        connection.execute(&sql, [at.timestamp_micros()])?;
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
    let unchanged = replace(connection, table, replaced)?;
    for rows in [patched, marked] {
        if !rows.is_empty() {
            stage(connection, table, &rows)?;
            connection.execute_batch(&patch_statement(table, &rows))?;
        }
    }
    drop_temporary_tables(connection)?;
    Ok(batch.repeats + unchanged)
}

/// Drops the tables that landing a batch may have made.
pub(super) fn drop_temporary_tables(connection: &Connection) -> Result<()> {
    let tables = [STAGE, MATCHES, SAME, NEXT];
    let drops = tables.map(|table| format!("DROP TABLE IF EXISTS temp.{table};"));
    connection.execute_batch(&drops.concat())
}

/// Replaces the rows that have the same keys, and returns how many of them were equal. Rows with new keys are
/// appended to the table directly, which is the largest part of the cost of a first sync.
fn replace(connection: &Connection, table: &Table, rows: Vec<&Pending>) -> Result<u64> {
    let (known, new) = by_key(connection, table, rows)?;
    let mut unchanged = 0;
    if !known.is_empty() {
        stage(connection, table, &known)?;
        connection.execute_batch(&same_statement(table))?;
        let is_any = format!("SELECT EXISTS (FROM temp.{SAME})");
        if connection.query_row(&is_any, [], |row| row.get(0))? {
            unchanged = connection.query_row(&count_same_statement(table), [], |row| row.get(0))?;
        }
        connection.execute_batch(&replace_statements(table))?;
    }
    if !new.is_empty() {
        let mut appender = appender(connection, table, &[SYNCED, DELETED])?;
        for row in new {
            let (synced, deleted) = (synced(row), Cell::Bool(row.change.is_deleted()));
            append(&mut appender, table, row, &[&synced, &deleted])?;
        }
        appender.flush()?;
    }
    Ok(unchanged)
}

/// Separates rows whose keys the table has from those whose keys are new. If there are known ones, the temporary table
/// [`MATCHES`] has their row ids then.
pub(super) fn by_key<'a>(
    connection: &Connection,
    table: &Table,
    rows: Vec<&'a Pending>,
) -> Result<(Vec<&'a Pending>, Vec<&'a Pending>)> {
    let target = path_of(&table.name);
    let empty = format!("SELECT NOT EXISTS (FROM {target})");
    if rows.is_empty() || connection.query_row(&empty, [], |row| row.get::<_, bool>(0))? {
        return Ok((Vec::new(), rows));
    }
    let keys = key_columns(table);
    let list = column_list(keys.iter().map(|position| &table.columns()[*position]));
    connection.execute_batch(&format!(
        "CREATE OR REPLACE TEMP TABLE {KEYS} ({list}{NUMBER} BIGINT)"
    ))?;
    let mut appender = connection.appender_to_catalog_and_db(KEYS, "temp", "main")?;
    for (number, row) in (0_i64..).zip(&rows) {
        let number = Cell::Int(number);
        let key = keys.iter().filter_map(|at| row.change.cell(*at));
        appender.append_row(appender_params_from_iter(key.chain([&number]).map(Bound)))?;
    }
    appender.flush()?;
    let mut is_known = vec![false; rows.len()];
    connection.execute_batch(&match_statement(table))?;
    let met = format!("SELECT {NUMBER} FROM temp.{MATCHES}");
    let mut statement = connection.prepare(&met)?;
    let mut found = statement.query([])?;
    while let Some(row) = found.next()? {
        if let Some(known) = is_known.get_mut(row.get::<_, usize>(0)?) {
            *known = true;
        }
    }
    connection.execute_batch(&format!("DROP TABLE temp.{KEYS}"))?;
    let mut is_known = is_known.into_iter();
    Ok(rows
        .into_iter()
        .partition(|_| is_known.next().unwrap_or_default()))
}

/// Puts rows into a new temporary table with the target's columns.
pub(super) fn stage(connection: &Connection, table: &Table, rows: &[&Pending]) -> Result<()> {
    let columns = column_list(table.columns());
    connection.execute_batch(&format!(
        "CREATE OR REPLACE TEMP TABLE {STAGE} \
         ({columns}{SYNCED} TIMESTAMPTZ, {DELETED} BOOLEAN, {MASK} VARCHAR)"
    ))?;
    let mut appender = connection.appender_to_catalog_and_db(STAGE, "temp", "main")?;
    for row in rows {
        let (deleted, mask) = match &row.change {
            Change::Replace { deleted, .. } if row.is_first => (Some(*deleted), None),
            // Other operations came in between, so the row in the warehouse is not the one that came before.
            Change::Replace { deleted, .. } => (Some(*deleted), Some(String::new())),
            Change::Patch { cells, deleted } => {
                let mask = patches(table, cells).map(|patch| if patch { '1' } else { '0' });
                (*deleted, Some(mask.collect()))
            }
        };
        let deleted = deleted.map_or(Cell::Null, Cell::Bool);
        let mask = mask.map_or(Cell::Null, Cell::Text);
        append(&mut appender, table, row, &[&synced(row), &deleted, &mask])?;
    }
    appender.flush()
}

/// Appends to the table itself, by name, because added columns are behind the system columns.
pub(super) fn appender<'a>(
    connection: &'a Connection,
    table: &Table,
    system: &[&str],
) -> Result<Appender<'a>> {
    let names = table.columns().iter().map(|column| column.name.as_str());
    let names: Vec<_> = names.chain(system.iter().copied()).collect();
    let TableName {
        schema,
        table: name,
    } = &table.name;
    connection.appender_with_columns_to_db(name, schema, &names)
}

/// Appends a row with its system columns.
pub(super) fn append(
    appender: &mut Appender<'_>,
    table: &Table,
    row: &Pending,
    system: &[&Cell],
) -> Result<()> {
    let null = Cell::Null;
    // The table may have gained columns since the row was staged.
    let cells = (0..table.columns().len()).map(|at| row.change.cell(at).unwrap_or(&null));
    let values = cells.chain(system.iter().copied()).map(Bound);
    appender.append_row(appender_params_from_iter(values))
}

pub(super) fn synced(row: &Pending) -> Cell {
    Cell::Timestamp(row.synced.timestamp_micros())
}

/// A cell to be bound or appended in DuckDB.
struct Bound<'a>(&'a Cell);

impl ToSql for Bound<'_> {
    fn to_sql(&self) -> Result<ToSqlOutput<'_>> {
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
