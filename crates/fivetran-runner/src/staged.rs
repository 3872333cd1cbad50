//! The operations on one table since the last flush, in the form for the warehouse's mode.

use chrono::{DateTime, Utc};

use super::{
    batch::{Batch, Change, Pending},
    history::Versions,
    value::Cell,
};

/// The size from which the store keeps a text apart from its row, in bytes.
const LONG: usize = 4_096;

/// Staged operations.
#[derive(Debug)]
pub(super) enum StagedValue {
    /// The warehouse keeps a row in its current form.
    Rows(Batch),
    /// The warehouse keeps all versions of a row.
    Versions(Versions),
}

impl StagedValue {
    /// An empty stage.
    pub(super) fn new(keeps_history: bool) -> Self {
        if keeps_history {
            Self::Versions(Versions::default())
        } else {
            Self::Rows(Batch::default())
        }
    }

    /// Forgets the staged operations.
    pub(super) fn clear(&mut self) {
        *self = Self::new(matches!(self, Self::Versions(_)));
    }

    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Rows(batch) => batch.is_empty(),
            Self::Versions(versions) => versions.is_empty(),
        }
    }

    /// The number of rows that the flush will change, apart from a truncate.
    pub(super) fn rows(&self) -> usize {
        match self {
            Self::Rows(batch) => batch.rows().len(),
            Self::Versions(versions) => versions.rows(),
        }
    }

    /// The approximate memory that the operations took on arrival, in bytes.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Rows(batch) => batch.bytes(),
            Self::Versions(versions) => versions.bytes(),
        }
    }

    /// The size of the long texts that the flush will write, in bytes.
    pub(super) fn long_bytes(&self) -> u64 {
        match self {
            Self::Rows(batch) => batch.rows().iter().map(long_bytes).sum(),
            Self::Versions(versions) => {
                let rows = versions.rounds.iter().flat_map(|round| &round.rows);
                rows.map(long_bytes).sum()
            }
        }
    }

    pub(super) fn upsert(&mut self, key: Vec<u8>, cells: Vec<Cell>, synced: DateTime<Utc>) {
        match self {
            Self::Rows(batch) => batch.upsert(key, cells, synced),
            Self::Versions(versions) => versions.upsert(key, cells, synced),
        }
    }

    pub(super) fn update(&mut self, key: Vec<u8>, patch: Vec<Option<Cell>>, synced: DateTime<Utc>) {
        match self {
            Self::Rows(batch) => batch.update(key, patch, synced),
            Self::Versions(versions) => versions.update(key, patch, synced),
        }
    }

    pub(super) fn delete(&mut self, key: Vec<u8>, cells: Vec<Option<Cell>>, synced: DateTime<Utc>) {
        match self {
            Self::Rows(batch) => batch.delete(key, cells, synced),
            Self::Versions(versions) => versions.delete(key, cells, synced),
        }
    }

    pub(super) fn truncate(&mut self, at: DateTime<Utc>) {
        match self {
            Self::Rows(batch) => batch.truncate(at),
            Self::Versions(versions) => versions.truncate(at),
        }
    }
}

fn long_bytes(row: &Pending) -> u64 {
    let sum = |sizes: &mut dyn Iterator<Item = usize>| sizes.filter(|size| *size > LONG).sum();
    let bytes: usize = match &row.change {
        Change::Replace { cells, .. } => sum(&mut cells.iter().map(Cell::size)),
        Change::Patch { cells, .. } => sum(&mut cells.iter().flatten().map(Cell::size)),
    };
    bytes as u64
}
