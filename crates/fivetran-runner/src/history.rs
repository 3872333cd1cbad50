//! The operations on one table that keeps all versions. They are not folded; each makes a version of its own.
//!
//! Operations are landed in rounds. In a round every row has at most one operation, so that the versions of a row
//! come in their order. A truncate begins a round of its own.

use std::collections::HashMap;

use chrono::{DateTime, Utc};

use super::{
    batch::{Change, Pending},
    value::Cell,
};

/// Operations of which no two concern the same row.
#[derive(Debug, Default)]
pub(super) struct Round {
    /// The time of a truncate, which ends every active version before the rows are landed.
    pub(super) truncate: Option<DateTime<Utc>>,
    pub(super) rows: Vec<Pending>,
}

/// The operations on one table since the last flush.
#[derive(Debug, Default)]
pub(super) struct Versions {
    pub(super) rounds: Vec<Round>,
    /// The number of upserts that repeat exactly the values of the version staged before.
    pub(super) repeats: u64,
    /// By key, the round of the row's last operation and the position in that round.
    last: HashMap<Vec<u8>, (usize, usize)>,
    /// The index of the first round after the last truncate.
    first: usize,
    rows: usize,
    bytes: usize,
}

impl Versions {
    pub(super) fn is_empty(&self) -> bool {
        self.rounds.is_empty()
    }

    /// The number of staged operations, without truncates.
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// The approximate memory that the operations take, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Stages an upsert: the row with this key becomes `cells`.
    pub(super) fn upsert(&mut self, key: Vec<u8>, cells: Vec<Cell>, synced: DateTime<Utc>) {
        let bytes = cells.iter().map(Cell::size).sum();
        let change = Change::Replace {
            cells,
            deleted: false,
        };
        let last = self
            .last
            .get(&key)
            .filter(|(round, _)| *round >= self.first);
        if last.is_some_and(|(round, at)| self.rounds[*round].rows[*at].change.is_same(&change)) {
            self.repeats += 1;
            return;
        }
        self.put(key, bytes, synced, change);
    }

    /// Stages an update: an existing row with this key that is not deleted takes over the given cells.
    pub(super) fn update(&mut self, key: Vec<u8>, patch: Vec<Option<Cell>>, synced: DateTime<Utc>) {
        let bytes = patch.iter().flatten().map(Cell::size).sum();
        let change = Change::Patch {
            cells: patch,
            deleted: None,
        };
        self.put(key, bytes, synced, change);
    }

    /// Stages a delete: an existing row with this key is deleted. `cells` holds its key.
    pub(super) fn delete(&mut self, key: Vec<u8>, cells: Vec<Option<Cell>>, synced: DateTime<Utc>) {
        let bytes = cells.iter().flatten().map(Cell::size).sum();
        let change = Change::Patch {
            cells,
            deleted: Some(true),
        };
        self.put(key, bytes, synced, change);
    }

    /// Stages a truncate: every row that came before `at` is deleted.
    pub(super) fn truncate(&mut self, at: DateTime<Utc>) {
        self.first = self.rounds.len();
        self.rounds.push(Round {
            truncate: Some(at),
            rows: Vec::new(),
        });
    }

    fn put(&mut self, key: Vec<u8>, bytes: usize, synced: DateTime<Utc>, change: Change) {
        self.bytes += key.len() + bytes;
        self.rows += 1;
        let next = match self.last.get(&key) {
            Some((round, _)) if *round >= self.first => round + 1,
            _ => self.first,
        };
        if next == self.rounds.len() {
            self.rounds.push(Round::default());
        }
        let rows = &mut self.rounds[next].rows;
        self.last.insert(key, (next, rows.len()));
        rows.push(Pending {
            synced,
            change,
            is_first: true,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(second, 0).unwrap()
    }

    fn upsert(versions: &mut Versions, id: i64, value: i64) {
        let cells = vec![Cell::Int(id), Cell::Int(value)];
        versions.upsert(id.to_le_bytes().to_vec(), cells, at(value));
    }

    /// The ids of each round; `T` for a truncate.
    fn rounds(versions: &Versions) -> Vec<String> {
        let line = |round: &Round| {
            let ids = round.rows.iter().map(|row| match &row.change {
                Change::Replace { cells, .. } => format!("{:?}", cells[0]),
                Change::Patch { cells, .. } => format!("{:?}", cells[0]),
            });
            let ids: Vec<_> = ids.collect();
            let truncate = round.truncate.map_or("", |_| "T ");
            format!("{truncate}{}", ids.join(" "))
        };
        versions.rounds.iter().map(line).collect()
    }

    #[test]
    fn no_round_has_a_row_twice_and_none_passes_a_truncate() {
        let mut versions = Versions::default();
        upsert(&mut versions, 1, 10);
        upsert(&mut versions, 2, 20);
        upsert(&mut versions, 1, 11);
        upsert(&mut versions, 1, 12);
        versions.truncate(at(13));
        upsert(&mut versions, 2, 21);
        upsert(&mut versions, 2, 22);
        let expected = ["Int(1) Int(2)", "Int(1)", "Int(1)", "T Int(2)", "Int(2)"];
        assert_eq!(rounds(&versions), expected);
        assert_eq!(versions.rows(), 6);
    }

    #[test]
    fn the_same_values_twice_are_one_version_but_not_across_a_truncate() {
        let mut versions = Versions::default();
        upsert(&mut versions, 1, 10);
        upsert(&mut versions, 1, 10);
        versions.truncate(at(13));
        upsert(&mut versions, 1, 10);
        assert_eq!(rounds(&versions), ["Int(1)", "T Int(1)"]);
        assert_eq!(versions.repeats, 1);
    }
}
