//! The operations on one table since the last flush, in the form for the warehouse's mode.

use chrono::{DateTime, Utc};

use super::{batch::Batch, history::Versions, value::Cell};

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
