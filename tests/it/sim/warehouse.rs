//! The destination of a simulated connection. Volatile columns are not stored, because they never count.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use fivetran_source::{
    rows::{Row, Value, ValueRef},
    sync::SelectedTable,
    tables::Table,
};
use test_support::Destination;

use super::journal::Key;

/// The values by column; `None` if the column was never sent.
type Cells = Vec<Option<Value>>;

/// A destination.
pub(super) type Warehouse = Destination<Cells, &'static str>;

/// A row of the destination.
pub(super) type Stored = test_support::Stored<Cells>;

pub(super) fn empty() -> Warehouse {
    Warehouse::default().keeping_absent_columns()
}

/// Stores a row. Returns true if the row is new or changed.
pub(super) fn upsert(warehouse: &mut Warehouse, selected: &SelectedTable, row: &Row) -> bool {
    let key = (selected.table.name, row.id().to_owned());
    let compared = compared(selected).zip(row.values());
    let cells = compared.map(|(is_compared, value)| is_compared.then(|| value.to_value()));
    warehouse.upsert(key, cells.collect())
}

/// Returns, for each column, true if it is selected and not volatile.
fn compared(selected: &SelectedTable) -> impl Iterator<Item = bool> {
    let columns = selected.table.columns.iter().zip(&selected.columns);
    columns.map(|(column, is_sent)| *is_sent && !column.volatile)
}

/// Resets the rows of a table that were updated since `to` to their values in `old`, or removes them. Rows whose objects
/// are `gone` stay. Sets another state, and returns the keys of the rows that were reset.
pub(super) fn go_back(
    warehouse: &mut Warehouse,
    old: &Warehouse,
    table: &'static Table,
    to: DateTime<Utc>,
    gone: &BTreeSet<Key>,
    state: String,
) -> Vec<Key> {
    let updated = table.position("updated").expect("a column");
    let is_lost = |row: &Stored| match &row.columns[updated] {
        Some(Value::UtcDatetime(at)) => !row.deleted && *at >= to,
        _ => !row.deleted,
    };
    let of_table = warehouse.rows().filter(|(key, _)| key.0 == table.name);
    let lost = of_table.filter(|(key, row)| is_lost(row) && !gone.contains(*key));
    let lost: Vec<Key> = lost.map(|(key, _)| key.clone()).collect();
    for key in &lost {
        warehouse.put(key.clone(), old.row(key).cloned());
    }
    warehouse.checkpoint(state);
    lost
}

/// Returns all rows without the values of unselected tables, to compare two warehouses.
pub(super) fn settled(warehouse: &Warehouse, tables: &[SelectedTable]) -> BTreeMap<Key, Stored> {
    let is_selected = |name: &str| tables.iter().any(|selected| selected.table.name == name);
    let rows = warehouse.rows().map(|(key, row)| {
        let mut row = row.clone();
        if !is_selected(key.0) {
            row.columns.fill(None);
        }
        (key.clone(), row)
    });
    rows.collect()
}

/// Returns true if a stored row equals `row` in all selected columns that are not volatile.
pub(super) fn equals(stored: &Stored, selected: &SelectedTable, row: &Row) -> bool {
    let mut columns = stored
        .columns
        .iter()
        .zip(row.values())
        .zip(compared(selected));
    columns.all(|((cell, value), is_compared)| {
        !is_compared || cell.as_ref().map(ValueRef::from) == Some(value)
    })
}

/// Describes the columns in which a stored row differs from `row`.
pub(super) fn differences(stored: &Stored, selected: &SelectedTable, row: &Row) -> String {
    let columns = selected.table.columns.iter().zip(&stored.columns);
    let columns = columns.zip(row.values()).zip(compared(selected));
    let texts = columns
        .filter(|(((_, cell), value), is_compared)| {
            *is_compared && cell.as_ref().map(ValueRef::from) != Some(*value)
        })
        .map(|(((column, cell), value), _)| format!("{}: {cell:?}, not {value:?}", column.name));
    texts.collect::<Vec<String>>().join("; ")
}
