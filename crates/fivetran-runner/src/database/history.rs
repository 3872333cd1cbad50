//! Lands all versions of rows.
//!
//! A version is active from its start until its end, which is a millisecond before the next one's start. The active
//! version ends at [`FOREVER`]. Starts are the arrival times of records in milliseconds, and increase from version to
//! version of a row, so that versions of the same moment stay distinct.

use duckdb::{Connection, Result};

use super::rows::{append, appender, by_key, drop_temporary_tables, stage, synced};
use crate::{
    batch::{Change, Pending},
    history::{Round, Versions},
    sql::{FOREVER, NEXT, UPSERT, close_statement, next_statement, open_statement, path_of},
    table::{ACTIVE, END, START, SYNCED, Table},
    value::Cell,
};

/// Microseconds in a millisecond.
const MILLISECOND: i64 = 1_000;

/// Lands the staged operations of one table. Returns the number of upserts equal to the active version.
pub(super) fn land(connection: &Connection, table: &Table, versions: &Versions) -> Result<u64> {
    let mut unchanged = versions.repeats;
    for round in &versions.rounds {
        if let Some(at) = round.truncate {
            let close = format!(
                "UPDATE {} SET {ACTIVE} = false, \
                 {END} = greatest(date_trunc('millisecond', ?::TIMESTAMPTZ), {START}) \
                 WHERE {ACTIVE}",
                path_of(&table.name)
            );
            connection.execute(&close, [at])?;
        }
        unchanged += land_round(connection, table, round)?;
    }
    drop_temporary_tables(connection)?;
    Ok(unchanged)
}

fn land_round(connection: &Connection, table: &Table, round: &Round) -> Result<u64> {
    let is_upsert = |row: &Pending| matches!(row.change, Change::Replace { .. });
    let (known, new) = by_key(connection, table, round.rows.iter().collect())?;
    let mut unchanged = 0;
    if !known.is_empty() {
        stage(connection, table, &known)?;
        connection.execute_batch(&next_statement(table))?;
        let count = format!("SELECT count(*) FILTER (WHERE {UPSERT}) FROM {NEXT}");
        let changed: u64 = connection.query_row(&count, [], |row| row.get(0))?;
        let upserts = known.iter().filter(|row| is_upsert(row)).count() as u64;
        unchanged = upserts.saturating_sub(changed);
        connection.execute_batch(&close_statement(table))?;
        connection.execute_batch(&open_statement(table))?;
    }
    if new.iter().any(|row| is_upsert(row)) {
        let mut appender = appender(connection, table, &[SYNCED, ACTIVE, START, END])?;
        let end = Cell::Timestamp(FOREVER);
        for row in new.into_iter().filter(|row| is_upsert(row)) {
            let micros = row.synced.timestamp_micros();
            let start = Cell::Timestamp(micros - micros.rem_euclid(MILLISECOND));
            let system = [&synced(row), &Cell::Bool(true), &start, &end];
            append(&mut appender, table, row, &system)?;
        }
        appender.flush()?;
    }
    Ok(unchanged)
}
