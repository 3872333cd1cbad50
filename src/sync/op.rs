//! What a sync says, in its own words; `fivetran::emit` turns it into the protocol's.

use crate::rows::Row;

/// One operation of a sync.
#[derive(Debug, Clone, PartialEq)]
pub enum Op {
    /// The row is as given: every column of its table, explicit nulls included.
    Upsert {
        /// The table.
        table: &'static str,
        /// The row.
        row: Row,
    },
    /// The object is gone at the source: its row is marked as deleted.
    Delete {
        /// The table.
        table: &'static str,
        /// The key.
        id: String,
    },
    /// Every row of the table that was sent before is marked as deleted; what follows revives rows.
    Truncate {
        /// The table.
        table: &'static str,
    },
    /// Everything before it may be committed together with this state.
    Checkpoint {
        /// The state, a JSON object.
        state_json: String,
    },
    /// The user should know; the sync goes on.
    Warning {
        /// The text.
        message: String,
    },
}
