//! The operations on one table since the last flush, by what the warehouse keeps of a row.

use chrono::{DateTime, Utc};

use super::{batch::Batch, history::Versions, value::Cell};

/// Staged operations.
#[derive(Debug)]
pub(super) enum Staged {
    /// A row is kept as it is now.
    Rows(Batch),
    /// All versions of a row are kept.
    Versions(Versions),
}

impl Staged {
    /// Nothing.
    pub(super) fn new(keeps_history: bool) -> Self {
        if keeps_history {
            Self::Versions(Versions::default())
        } else {
            Self::Rows(Batch::default())
        }
    }

    /// Forgets what is staged.
    pub(super) fn clear(&mut self) {
        *self = Self::new(matches!(self, Self::Versions(_)));
    }

    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Rows(batch) => batch.is_empty(),
            Self::Versions(versions) => versions.is_empty(),
        }
    }

    /// Rows that the flush will touch, apart from a truncate.
    pub(super) fn rows(&self) -> usize {
        match self {
            Self::Rows(batch) => batch.rows().len(),
            Self::Versions(versions) => versions.rows(),
        }
    }

    /// About how much memory the operations took when they came, in bytes.
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
