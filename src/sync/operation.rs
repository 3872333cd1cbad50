//! The operations of a sync, independent of the protocol; `fivetran::emit` converts them.

use crate::rows::Row;

/// One operation of a sync.
#[derive(Debug, Clone, PartialEq)]
pub enum Op {
    /// The row has these values: every column of its table, explicit nulls included.
    Upsert {
        /// The table.
        table: &'static str,
        /// The row.
        row: Row,
    },
    /// The object no longer exists in Prefect: its row is marked as deleted.
    Delete {
        /// The table.
        table: &'static str,
        /// The key.
        id: String,
    },
    /// Every row of the table that was sent before is marked as deleted; later upserts restore rows.
    Truncate {
        /// The table.
        table: &'static str,
    },
    /// All operations before this one may be committed together with this state.
    Checkpoint {
        /// The state, a JSON object.
        state_json: String,
    },
    /// A message for the user; the sync continues.
    Warning {
        /// The text.
        message: String,
    },
}
