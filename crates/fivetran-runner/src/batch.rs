//! The operations on one table since the last flush, folded to at most one per row.
//!
//! A flush runs in three steps: a pending truncate marks every row of the warehouse as deleted, then whole rows
//! replace theirs, then patches change existing rows. Folding keeps the outcome the same as if each operation had run
//! alone, in the order of arrival.

use std::collections::HashMap;

use chrono::{DateTime, Utc};

use super::value::Cell;

/// The outcome of all operations on one row since the last flush.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Pending {
    /// The arrival time of the last operation.
    pub(super) synced: DateTime<Utc>,
    pub(super) change: Change,
    /// True if the warehouse holds the values that came right before this change, with no other values in between.
    pub(super) is_first: bool,
}

/// The change to the row. Cells are in the order of the table's columns. The list may be short, because the table may
/// have gained columns since.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Change {
    /// The row becomes exactly this, whatever it was before.
    Replace {
        /// The values of all columns.
        cells: Vec<Cell>,
        /// True if the row counts as deleted.
        deleted: bool,
    },
    /// An existing row changes. A missing row stays missing.
    Patch {
        /// The key and the columns that change.
        cells: Vec<Option<Cell>>,
        /// The new deletion mark, if the mark changes.
        deleted: Option<bool>,
    },
}

/// The operations on one table since the last flush.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// Rows of the warehouse that were landed before this time are marked as deleted first.
    pub(super) truncate: Option<DateTime<Utc>>,
    /// The number of upserts that repeat exactly the values staged for their row.
    pub(super) repeats: u64,
    rows: Vec<Pending>,
    by_key: HashMap<Vec<u8>, usize>,
    bytes: usize,
}

impl Batch {
    pub(super) fn is_empty(&self) -> bool {
        self.truncate.is_none() && self.rows.is_empty()
    }

    /// The rows that the flush will change, apart from a truncate.
    pub(super) fn rows(&self) -> &[Pending] {
        &self.rows
    }

    /// The approximate memory that the operations took on arrival, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Stages an upsert: the row with this key becomes `cells` and is not deleted.
    pub(super) fn upsert(&mut self, key: Vec<u8>, cells: Vec<Cell>, synced: DateTime<Utc>) {
        self.bytes += key.len() + cells.iter().map(Cell::size).sum::<usize>();
        let change = Change::Replace {
            cells,
            deleted: false,
        };
        if let Some(row) = self.pending(&key) {
            row.synced = synced;
            if row.change.is_same(&change) {
                self.repeats += 1;
            } else {
                row.change = change;
                row.is_first = false;
            }
            return;
        }
        self.put(key, synced, change);
    }

    /// Stages an update: an existing row with this key takes over the given cells. A row that is marked as deleted
    /// stays so.
    pub(super) fn update(&mut self, key: Vec<u8>, patch: Vec<Option<Cell>>, synced: DateTime<Utc>) {
        self.bytes += key.len() + patch.iter().flatten().map(Cell::size).sum::<usize>();
        let Some(row) = self.pending(&key) else {
            let (cells, deleted) = (patch, None);
            return self.put(key, synced, Change::Patch { cells, deleted });
        };
        row.synced = synced;
        row.is_first = false;
        match &mut row.change {
            Change::Replace { cells, .. } => lay_over(cells, patch, &Cell::Null, |cell| cell),
            Change::Patch { cells, .. } => lay_over(cells, patch, &None, Some),
        }
    }

    /// Stages a delete: an existing row with this key is marked as deleted. `cells` holds its key.
    pub(super) fn delete(&mut self, key: Vec<u8>, cells: Vec<Option<Cell>>, synced: DateTime<Utc>) {
        self.bytes += key.len() + cells.iter().flatten().map(Cell::size).sum::<usize>();
        let Some(row) = self.pending(&key) else {
            let deleted = Some(true);
            return self.put(key, synced, Change::Patch { cells, deleted });
        };
        row.synced = synced;
        row.is_first = false;
        row.change.mark_deleted();
    }

    /// Stages a truncate: every row that came before `at` is marked as deleted.
    pub(super) fn truncate(&mut self, at: DateTime<Utc>) {
        self.truncate = Some(at);
        for row in &mut self.rows {
            row.is_first = false;
            row.change.mark_deleted();
        }
    }

    fn pending(&mut self, key: &[u8]) -> Option<&mut Pending> {
        let position = *self.by_key.get(key)?;
        self.rows.get_mut(position)
    }

    fn put(&mut self, key: Vec<u8>, synced: DateTime<Utc>, change: Change) {
        self.by_key.insert(key, self.rows.len());
        self.rows.push(Pending {
            synced,
            change,
            is_first: true,
        });
    }
}

impl Change {
    /// Returns true if both changes write the same whole row. One may have been staged before the table gained
    /// columns.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        let (
            Self::Replace {
                cells: one,
                deleted: false,
            },
            Self::Replace {
                cells: two,
                deleted: false,
            },
        ) = (self, other)
        else {
            return false;
        };
        let common = one.len().min(two.len());
        let rest = one[common..].iter().chain(&two[common..]);
        one[..common] == two[..common] && rest.into_iter().all(|cell| *cell == Cell::Null)
    }

    /// The value for a column, or `None` if the change does not set the column.
    pub(super) fn cell(&self, position: usize) -> Option<&Cell> {
        match self {
            Self::Replace { cells, .. } => cells.get(position),
            Self::Patch { cells, .. } => cells.get(position)?.as_ref(),
        }
    }

    /// Returns true if the change marks the row as deleted.
    pub(super) fn is_deleted(&self) -> bool {
        match self {
            Self::Replace { deleted, .. } => *deleted,
            Self::Patch { deleted, .. } => *deleted == Some(true),
        }
    }

    fn mark_deleted(&mut self) {
        match self {
            Self::Replace { deleted, .. } => *deleted = true,
            Self::Patch { deleted, .. } => *deleted = Some(true),
        }
    }
}

fn lay_over<T: Clone>(
    cells: &mut Vec<T>,
    patch: Vec<Option<Cell>>,
    absent: &T,
    wrap: impl Fn(Cell) -> T,
) {
    if cells.len() < patch.len() {
        cells.resize(patch.len(), absent.clone());
    }
    for (cell, new) in cells.iter_mut().zip(patch) {
        if let Some(new) = new {
            *cell = wrap(new);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(id: i64) -> Vec<u8> {
        id.to_le_bytes().to_vec()
    }

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(second, 0).unwrap()
    }

    fn row(id: i64, value: i64) -> Vec<Cell> {
        vec![Cell::Int(id), Cell::Int(value)]
    }

    #[test]
    fn the_last_operation_on_a_row_decides() {
        let mut batch = Batch::default();
        batch.upsert(key(1), row(1, 10), at(1));
        batch.delete(key(1), vec![Some(Cell::Int(1))], at(2));
        batch.upsert(key(1), row(1, 11), at(3));
        let (cells, deleted) = (row(1, 11), false);
        let change = Change::Replace { cells, deleted };
        assert_eq!(
            batch.rows(),
            [Pending {
                synced: at(3),
                change,
                is_first: false
            }]
        );
    }

    #[test]
    fn an_update_changes_only_its_cells_and_keeps_the_deletion_mark() {
        let mut batch = Batch::default();
        batch.upsert(key(1), row(1, 10), at(1));
        batch.delete(key(1), vec![Some(Cell::Int(1))], at(2));
        batch.update(key(1), vec![None, None, Some(Cell::Int(12))], at(3));
        let cells = vec![Cell::Int(1), Cell::Int(10), Cell::Int(12)];
        let deleted = true;
        let change = Change::Replace { cells, deleted };
        assert_eq!(
            batch.rows(),
            [Pending {
                synced: at(3),
                change,
                is_first: false
            }]
        );
    }

    #[test]
    fn updates_of_a_row_that_is_not_staged_add_up() {
        let mut batch = Batch::default();
        batch.update(key(1), vec![Some(Cell::Int(1)), Some(Cell::Int(5))], at(1));
        batch.update(
            key(1),
            vec![Some(Cell::Int(1)), None, Some(Cell::Null)],
            at(2),
        );
        batch.delete(key(1), vec![Some(Cell::Int(1))], at(3));
        let cells = vec![Some(Cell::Int(1)), Some(Cell::Int(5)), Some(Cell::Null)];
        let deleted = Some(true);
        let change = Change::Patch { cells, deleted };
        assert_eq!(
            batch.rows(),
            [Pending {
                synced: at(3),
                change,
                is_first: false
            }]
        );
    }

    #[test]
    fn upserts_of_equal_and_of_different_values_are_distinguished() {
        let mut batch = Batch::default();
        batch.upsert(key(1), row(1, 10), at(1));
        // The table has gained a column, which is null here.
        let wide = vec![Cell::Int(1), Cell::Int(10), Cell::Null];
        batch.upsert(key(1), wide, at(2));
        assert_eq!((batch.repeats, batch.rows()[0].is_first), (1, true));
        assert_eq!(batch.rows()[0].synced, at(2));
        batch.upsert(key(1), row(1, 11), at(3));
        assert_eq!((batch.repeats, batch.rows()[0].is_first), (1, false));
        batch.delete(key(1), vec![Some(Cell::Int(1))], at(4));
        batch.upsert(key(1), row(1, 11), at(5));
        assert_eq!(batch.repeats, 1);
    }

    #[test]
    fn a_truncate_marks_what_came_before_and_nothing_after() {
        let mut batch = Batch::default();
        batch.upsert(key(1), row(1, 10), at(1));
        batch.update(key(2), vec![Some(Cell::Int(2)), Some(Cell::Int(5))], at(1));
        batch.truncate(at(2));
        batch.upsert(key(3), row(3, 30), at(2));
        let marks: Vec<_> = batch
            .rows()
            .iter()
            .map(|row| match &row.change {
                Change::Replace { deleted, .. } => Some(*deleted),
                Change::Patch { deleted, .. } => *deleted,
            })
            .collect();
        assert_eq!(marks, [Some(true), Some(true), Some(false)]);
        assert_eq!(batch.truncate, Some(at(2)));
    }
}
