//! The warehouse's SQL as text: names, types, and the statements that carry out a staged batch.

use std::fmt::Write as _;

use super::{
    batch::{Change, Pending},
    table::{Column, DELETED, SYNCED, Table, TableName},
    value::{Cell, ColumnType},
};

/// Holds the rows of a flush while they are matched with the table's.
pub(super) const STAGE: &str = "_fivetran_stage";
/// In a stage of patches: for each of the table's columns `1` if the row patches it, else `0`.
pub(super) const MASK: &str = "_fivetran_mask";

/// An update that changes, in each staged row's counterpart, the columns of its mask.
pub(super) fn patch_statement(table: &Table, rows: &[&Pending]) -> String {
    let mut used = vec![false; table.columns().len()];
    for row in rows {
        if let Change::Patch { cells, .. } = &row.change {
            for (used, patch) in used.iter_mut().zip(patches(table, cells)) {
                *used |= patch;
            }
        }
    }
    let mut set = format!("{SYNCED} = s.{SYNCED}, {DELETED} = coalesce(s.{DELETED}, t.{DELETED})");
    for (position, column) in table.columns().iter().enumerate() {
        if used[position] {
            let (column, digit) = (quote(&column.name), position + 1);
            let _ = write!(
                set,
                ", {column} = CASE WHEN substr(s.{MASK}, {digit}, 1) = '1' \
                 THEN s.{column} ELSE t.{column} END"
            );
        }
    }
    format!(
        "UPDATE {} AS t SET {set} FROM {STAGE} AS s WHERE {}",
        path_of(&table.name),
        same_key(table)
    )
}

/// For each of the table's columns, whether the patch changes it; the key never changes.
pub(super) fn patches<'a>(
    table: &'a Table,
    cells: &'a [Option<Cell>],
) -> impl Iterator<Item = bool> + 'a {
    table
        .columns()
        .iter()
        .zip(cells)
        .map(|(column, cell)| cell.is_some() && !table.key().contains(&column.name))
}

pub(super) fn same_key(table: &Table) -> String {
    let equal = table.key().iter().map(|column| {
        let column = quote(column);
        format!("t.{column} IS NOT DISTINCT FROM s.{column}")
    });
    equal.collect::<Vec<_>>().join(" AND ")
}

pub(super) fn path_of(name: &TableName) -> String {
    format!("{}.{}", quote(&name.schema), quote(&name.table))
}

pub(super) fn quote(identifier: &str) -> String {
    format!("\"{}\"", identifier.replace('"', "\"\""))
}

pub(super) fn type_name(kind: ColumnType) -> String {
    match kind {
        ColumnType::Boolean => "BOOLEAN".to_owned(),
        ColumnType::SmallInt => "SMALLINT".to_owned(),
        ColumnType::Integer => "INTEGER".to_owned(),
        ColumnType::BigInt => "BIGINT".to_owned(),
        ColumnType::Decimal { precision, scale } => format!("DECIMAL({precision},{scale})"),
        ColumnType::Float => "FLOAT".to_owned(),
        ColumnType::Double => "DOUBLE".to_owned(),
        ColumnType::Date => "DATE".to_owned(),
        ColumnType::Time => "TIME".to_owned(),
        ColumnType::Timestamp => "TIMESTAMP".to_owned(),
        ColumnType::TimestampTz => "TIMESTAMP WITH TIME ZONE".to_owned(),
        ColumnType::Blob => "BLOB".to_owned(),
        ColumnType::Varchar => "VARCHAR".to_owned(),
        ColumnType::Json => "JSON".to_owned(),
    }
}

/// The inverse of [`type_name`], as DuckDB lists its columns.
pub(super) fn parse_type(name: &str) -> Option<ColumnType> {
    if let Some(digits) = name.strip_prefix("DECIMAL(") {
        let (precision, scale) = digits.strip_suffix(')')?.split_once(',')?;
        let (precision, scale) = (precision.trim().parse().ok()?, scale.trim().parse().ok()?);
        return Some(ColumnType::Decimal { precision, scale });
    }
    [
        ColumnType::Boolean,
        ColumnType::SmallInt,
        ColumnType::Integer,
        ColumnType::BigInt,
        ColumnType::Float,
        ColumnType::Double,
        ColumnType::Date,
        ColumnType::Time,
        ColumnType::Timestamp,
        ColumnType::TimestampTz,
        ColumnType::Blob,
        ColumnType::Varchar,
        ColumnType::Json,
    ]
    .into_iter()
    .find(|kind| type_name(*kind) == name)
}

/// Columns with their types, each followed by a comma.
pub(super) fn column_list<'a>(columns: impl IntoIterator<Item = &'a Column>) -> String {
    let mut list = String::new();
    for column in columns {
        let (name, kind) = (quote(&column.name), type_name(column.kind));
        let _ = write!(list, "{name} {kind}, ");
    }
    list
}

/// Where the key's columns stand.
pub(super) fn key_columns(table: &Table) -> Vec<usize> {
    let key = table.key().iter();
    key.filter_map(|column| table.position(column)).collect()
}
