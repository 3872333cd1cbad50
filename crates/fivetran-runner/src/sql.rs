//! The warehouse's SQL as text: names, types, and the statements that land a staged batch.

use std::fmt::Write as _;

use super::{
    batch::{Change, Pending},
    column_type::ColumnType,
    number::INTEGERS,
    table::{ACTIVE, Column, DELETED, END, START, SYNCED, Table, TableName},
    value::Cell,
};

/// The temporary table with the rows of a flush, which is joined with the target table.
pub(super) const STAGE: &str = "_fivetran_stage";
/// The temporary table with the keys of a flush, to find those that the target table has.
pub(super) const KEYS: &str = "_fivetran_keys";
/// The column of [`KEYS`] with the row's position in the flush.
pub(super) const NUMBER: &str = "_fivetran_number";
/// The temporary table with the keys of a flush that the target table has, and the row ids there.
pub(super) const MATCHES: &str = "_fivetran_matches";
/// The column of [`MATCHES`] and [`SAME`] with the target's row id.
pub(super) const ROW: &str = "_fivetran_row";
/// The temporary table with the row ids of rows that are equal to the staged ones in all columns of a fixed size.
pub(super) const SAME: &str = "_fivetran_same";
/// The temporary table with the versions that a flush begins.
pub(super) const NEXT: &str = "_fivetran_next";
/// The column of [`NEXT`] that is true if an upsert caused the version.
pub(super) const UPSERT: &str = "_fivetran_upsert";
/// The column of [`NEXT`] that is true if the row was deleted and no version follows.
pub(super) const GONE: &str = "_fivetran_gone";
/// The end of an active version: 9999-12-31 23:59:59.999, in microseconds since 1970.
pub(super) const FOREVER: i64 = 253_402_300_799_999_000;
/// The column of [`STAGE`] with a digit for each table column: `1` if the row patches it, else `0`.
pub(super) const MASK: &str = "_fivetran_mask";

/// An update of the rows with the staged keys that changes the columns of each staged row's mask.
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
        same_key(table, "t", "s")
    )
}

/// Returns true for each of the table's columns that the patch changes, in order. The key never changes.
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

/// Finds the target's rows that have the keys of a flush. Only the key's columns of the target are read.
pub(super) fn match_statement(table: &Table) -> String {
    let key = table
        .key()
        .iter()
        .map(|column| format!("s.{}", quote(column)));
    format!(
        "CREATE OR REPLACE TEMP TABLE {MATCHES} AS SELECT {}, s.{NUMBER}, t.rowid AS {ROW} \
         FROM {} AS t JOIN {KEYS} AS s ON {}",
        key.collect::<Vec<_>>().join(", "),
        path_of(&table.name),
        same_key(table, "t", "s")
    )
}

/// Finds the matched rows that are not deleted and equal the staged rows in all columns of a fixed size. Most changed
/// rows differ in one of those, for example a time, so the large columns of the target are not read for them.
pub(super) fn same_statement(table: &Table) -> String {
    format!(
        "CREATE OR REPLACE TEMP TABLE {SAME} AS SELECT m.{ROW} FROM {} AS t \
         JOIN {MATCHES} AS m ON t.rowid = m.{ROW} JOIN {STAGE} AS s ON {} \
         WHERE s.{MASK} IS NULL AND t.{DELETED} IS NOT TRUE AND NOT s.{DELETED} AND NOT ({})",
        path_of(&table.name),
        same_key(table, "m", "s"),
        columns_differ(table, ColumnType::has_fixed_size)
    )
}

/// Counts the rows of [`SAME`] that equal the staged rows in the other columns, too.
pub(super) fn count_same_statement(table: &Table) -> String {
    format!(
        "SELECT count(*) FROM {} AS t JOIN {SAME} AS m ON t.rowid = m.{ROW} \
         JOIN {STAGE} AS s ON {} WHERE NOT ({})",
        path_of(&table.name),
        same_key(table, "t", "s"),
        columns_differ(table, |kind| !kind.has_fixed_size())
    )
}

/// Replaces the matched rows by the staged ones.
pub(super) fn replace_statements(table: &Table) -> String {
    let target = path_of(&table.name);
    format!(
        "DELETE FROM {target} WHERE rowid IN (SELECT {ROW} FROM {MATCHES}); \
         INSERT INTO {target} BY NAME SELECT * EXCLUDE ({MASK}) FROM {STAGE}"
    )
}

/// The condition under which a column outside the key differs between `t` and the staged row `s`; only of columns whose
/// type `counts`.
fn columns_differ(table: &Table, counts: impl Fn(ColumnType) -> bool) -> String {
    let counted = values(table).filter(|column| counts(column.kind));
    let differ = counted.map(|column| {
        let column = quote(&column.name);
        format!("t.{column} IS DISTINCT FROM s.{column}")
    });
    any(differ)
}

fn any(conditions: impl Iterator<Item = String>) -> String {
    let conditions: Vec<_> = conditions.collect();
    match conditions.as_slice() {
        [] => "false".to_owned(),
        several => several.join(" OR "),
    }
}

/// The columns outside the key.
fn values(table: &Table) -> impl Iterator<Item = &Column> {
    let columns = table.columns().iter();
    columns.filter(|column| !table.key().contains(&column.name))
}

/// Selects the versions that staged rows begin, or end without a next one ([`GONE`]). Leaves out rows that change
/// nothing, and patches of rows that are deleted or never existed.
pub(super) fn next_statement(table: &Table) -> String {
    let mut list = String::new();
    let mut differs = Vec::new();
    for (position, column) in table.columns().iter().enumerate() {
        let (name, digit) = (quote(&column.name), position + 1);
        if table.key().contains(&column.name) {
            let _ = write!(list, "s.{name}, ");
            continue;
        }
        let takes = format!("(s.{MASK} IS NULL OR substr(s.{MASK}, {digit}, 1) = '1')");
        let _ = write!(
            list,
            "CASE WHEN {takes} THEN s.{name} ELSE t.{name} END AS {name}, "
        );
        differs.push(format!("({takes} AND t.{name} IS DISTINCT FROM s.{name})"));
    }
    let key = table
        .key()
        .iter()
        .map(|column| format!("t.{}", quote(column)));
    let key = key.collect::<Vec<_>>().join(", ");
    let (target, same_key) = (path_of(&table.name), same_key(table, "t", "s"));
    let differs = any(differs.into_iter());
    format!(
        "CREATE OR REPLACE TEMP TABLE {NEXT} AS \
         WITH last AS (\
         SELECT t.* FROM {target} AS t JOIN {MATCHES} AS m ON t.rowid = m.{ROW} \
         QUALIFY row_number() OVER (PARTITION BY {key} ORDER BY t.{START} DESC) = 1) \
         SELECT {list}s.{SYNCED}, s.{MASK} IS NULL AS {UPSERT}, s.{DELETED} IS TRUE AS {GONE}, \
         greatest(date_trunc('millisecond', s.{SYNCED}), t.{START} + INTERVAL 1 MILLISECOND, \
         CASE WHEN t.{ACTIVE} THEN t.{START} ELSE t.{END} + INTERVAL 1 MILLISECOND END) AS {START} \
         FROM {STAGE} AS s JOIN last AS t ON {same_key} \
         WHERE CASE WHEN s.{DELETED} IS TRUE THEN t.{ACTIVE} \
         WHEN s.{MASK} IS NULL THEN NOT t.{ACTIVE} OR {differs} \
         ELSE t.{ACTIVE} AND ({differs}) END"
    )
}

/// Ends the active versions that are followed by another one, or whose row was deleted.
pub(super) fn close_statement(table: &Table) -> String {
    format!(
        "UPDATE {} AS t SET {ACTIVE} = false, {END} = CASE WHEN s.{GONE} \
         THEN greatest(date_trunc('millisecond', s.{SYNCED}), t.{START}) \
         ELSE s.{START} - INTERVAL 1 MILLISECOND END \
         FROM {NEXT} AS s WHERE t.{ACTIVE} AND {}",
        path_of(&table.name),
        same_key(table, "t", "s")
    )
}

/// Begins the versions that follow.
pub(super) fn open_statement(table: &Table) -> String {
    format!(
        "INSERT INTO {} BY NAME SELECT * EXCLUDE ({UPSERT}, {GONE}), true AS {ACTIVE}, \
         make_timestamptz({FOREVER}) AS {END} FROM {NEXT} WHERE NOT {GONE}",
        path_of(&table.name)
    )
}

/// The condition under which rows of two tables, by their aliases, have the same key.
fn same_key(table: &Table, one: &str, other: &str) -> String {
    let equal = table.key().iter().map(|column| {
        let column = quote(column);
        format!("{one}.{column} IS NOT DISTINCT FROM {other}.{column}")
    });
    equal.collect::<Vec<_>>().join(" AND ")
}

pub(super) fn path_of(name: &TableName) -> String {
    format!("{}.{}", quote(&name.schema), quote(&name.table))
}

/// Returns the SQL expression for the text of a column's values, equal to the text that later values get.
pub(super) fn number_as_text(column: &str, kind: ColumnType) -> String {
    let column = quote(column);
    match kind {
        ColumnType::Float | ColumnType::Double => format!(
            "CASE WHEN isfinite({column}) AND {column} = trunc({column}) AND abs({column}) < {INTEGERS:.1} \
             THEN {column}::BIGINT::VARCHAR ELSE {column}::DOUBLE::VARCHAR END"
        ),
        ColumnType::Decimal { scale: 1.., .. } => {
            format!("rtrim(rtrim({column}::VARCHAR, '0'), '.')")
        }
        _ => format!("{column}::VARCHAR"),
    }
}

pub(super) fn quote(identifier: &str) -> String {
    format!("\"{}\"", identifier.replace('"', "\"\""))
}

/// Returns a string literal.
pub(super) fn text_literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
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

/// Parses a type as DuckDB lists it; the inverse of [`type_name`].
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

/// The positions of the key's columns.
pub(super) fn key_columns(table: &Table) -> Vec<usize> {
    let key = table.key().iter();
    key.filter_map(|column| table.position(column)).collect()
}
