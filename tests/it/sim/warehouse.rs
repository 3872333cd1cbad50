//! Fivetran in memory: rows and state become permanent together, at a checkpoint only.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use fivetran_source::{
    rows::{Row, Value, ValueRef},
    sync::SelectedTable,
    tables::Table,
};

use super::journal::Key;

/// A destination.
#[derive(Default, Clone)]
pub(super) struct Warehouse {
    rows: BTreeMap<Key, Stored>,
    /// The previous values of what was changed since the last checkpoint.
    undo: Vec<(Key, Option<Stored>)>,
    state: Option<String>,
}

/// A row of the destination.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Stored {
    /// The values by column; `None` if the column was never sent.
    pub(super) cells: Vec<Option<Value>>,
    pub(super) deleted: bool,
}

impl Warehouse {
    pub(super) fn state(&self) -> Option<&str> {
        self.state.as_deref()
    }

    pub(super) fn row(&self, key: &Key) -> Option<&Stored> {
        self.rows.get(key)
    }

    /// Returns every row, including deleted ones.
    pub(super) fn rows(&self) -> impl Iterator<Item = (&Key, &Stored)> {
        self.rows.iter()
    }

    /// Sets the state that the next sync uses; the rows stay.
    pub(super) fn set_state(&mut self, state: Option<String>) {
        self.state = state;
    }

    /// Stores a row. Returns true if the row is new or changed.
    pub(super) fn upsert(&mut self, selected: &SelectedTable, row: &Row) -> bool {
        let key = (selected.table.name, row.id().to_owned());
        let before = self.rows.get(&key).cloned();
        let is_news = before
            .as_ref()
            .is_none_or(|before| before.deleted || !before.equals(selected, row));
        let mut cells = before
            .as_ref()
            .map_or_else(|| vec![None; row.values().len()], |row| row.cells.clone());
        for (position, (cell, value)) in cells.iter_mut().zip(row.values()).enumerate() {
            if selected.columns[position] {
                *cell = Some(value.to_value());
            }
        }
        let deleted = false;
        self.rows.insert(key.clone(), Stored { cells, deleted });
        self.undo.push((key, before));
        is_news
    }

    /// Marks a row as deleted.
    pub(super) fn delete(&mut self, key: &Key) {
        if let Some(row) = self.rows.get_mut(key) {
            self.undo.push((key.clone(), Some(row.clone())));
            row.deleted = true;
        }
    }

    /// Marks all rows of a table as deleted.
    pub(super) fn truncate(&mut self, table: &str) {
        let keys: Vec<Key> = self
            .rows
            .keys()
            .filter(|key| key.0 == table)
            .cloned()
            .collect();
        for key in keys {
            self.delete(&key);
        }
    }

    /// Makes everything permanent that was received so far, together with this state.
    pub(super) fn checkpoint(&mut self, state: String) {
        self.undo.clear();
        self.state = Some(state);
    }

    /// Discards what was received after the last checkpoint.
    pub(super) fn lose(&mut self) {
        while let Some((key, before)) = self.undo.pop() {
            match before {
                Some(before) => self.rows.insert(key, before),
                None => self.rows.remove(&key),
            };
        }
    }

    /// Resets the rows of a table that were updated since `to` to their values in `old`, or removes them. Rows whose
    /// objects are `gone` stay. Sets another state, and returns the keys of the rows that were reset.
    pub(super) fn go_back(
        &mut self,
        old: &Self,
        table: &'static Table,
        to: DateTime<Utc>,
        gone: &BTreeSet<Key>,
        state: String,
    ) -> Vec<Key> {
        let updated = table.position("updated").expect("a column");
        let is_lost = |row: &Stored| match &row.cells[updated] {
            Some(Value::UtcDatetime(at)) => !row.deleted && *at >= to,
            _ => !row.deleted,
        };
        let of_table = self.rows.iter().filter(|(key, _)| key.0 == table.name);
        let lost = of_table.filter(|(key, row)| is_lost(row) && !gone.contains(*key));
        let lost: Vec<Key> = lost.map(|(key, _)| key.clone()).collect();
        for key in &lost {
            match old.rows.get(key) {
                Some(row) => self.rows.insert(key.clone(), row.clone()),
                None => self.rows.remove(key),
            };
        }
        self.state = Some(state);
        lost
    }

    /// Returns all rows without the values of volatile columns and unselected tables, to compare two warehouses.
    pub(super) fn settled(&self, tables: &[SelectedTable]) -> BTreeMap<Key, Stored> {
        let mut rows = self.rows.clone();
        for (key, row) in &mut rows {
            let selected = tables.iter().find(|selected| selected.table.name == key.0);
            for (position, cell) in row.cells.iter_mut().enumerate() {
                if selected.is_none_or(|selected| selected.table.columns[position].volatile) {
                    *cell = None;
                }
            }
        }
        rows
    }
}

impl Stored {
    /// Returns true if this row equals `row` in all selected columns that are not volatile.
    pub(super) fn equals(&self, selected: &SelectedTable, row: &Row) -> bool {
        let table: &Table = selected.table;
        self.cells
            .iter()
            .zip(row.values())
            .enumerate()
            .all(|(position, (cell, value))| {
                !selected.columns[position]
                    || table.columns[position].volatile
                    || cell.as_ref().map(ValueRef::from) == Some(value)
            })
    }

    /// Describes the columns that differ from `row`.
    pub(super) fn differences(&self, selected: &SelectedTable, row: &Row) -> String {
        let columns = selected
            .table
            .columns
            .iter()
            .zip(&self.cells)
            .zip(row.values());
        let texts = columns
            .zip(&selected.columns)
            .filter(|(((column, cell), value), sent)| {
                **sent && !column.volatile && cell.as_ref().map(ValueRef::from) != Some(*value)
            })
            .map(|(((column, cell), value), _)| {
                format!("{}: {cell:?}, not {value:?}", column.name)
            });
        texts.collect::<Vec<String>>().join("; ")
    }
}
