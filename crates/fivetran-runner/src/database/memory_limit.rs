//! The limit of the memory that DuckDB may use: low for most syncs, and higher if an operation needs it.

use duckdb::{Connection, Result};

/// The limits that are tried one after another. Then DuckDB's own limit applies, a share of the machine's memory.
///
/// The first one is enough for a connector like ours. Tables with many columns need more, because DuckDB keeps a
/// buffer for each column of each table that a transaction writes.
const LIMITS: [&str; 4] = ["128MiB", "256MiB", "512MiB", "1GiB"];

/// The limit that applies now.
#[derive(Debug)]
pub(super) struct MemoryLimit {
    /// The position in [`LIMITS`].
    position: usize,
    /// DuckDB's own limit, as it was before the first one was set.
    highest: String,
}

impl MemoryLimit {
    /// Sets the first limit on a new connection.
    pub(super) fn begin(connection: &Connection) -> Result<Self> {
        let own = "SELECT current_setting('memory_limit')";
        let limit = Self {
            position: 0,
            highest: connection.query_row(own, [], |row| row.get(0))?,
        };
        connection.execute_batch(&limit.usual())?;
        Ok(limit)
    }

    /// Returns the statement that sets the limit of most operations.
    pub(super) fn usual(&self) -> String {
        let limit = LIMITS.get(self.position).copied();
        set(limit.unwrap_or(&self.highest))
    }

    /// Returns the statement that sets the highest limit.
    pub(super) fn highest(&self) -> String {
        set(&self.highest)
    }

    /// Raises the limit by a step. Returns false if the highest one applies.
    pub(super) fn raise(&mut self) -> bool {
        let has_next = self.position < LIMITS.len();
        self.position += usize::from(has_next);
        has_next
    }
}

fn set(limit: &str) -> String {
    format!("SET memory_limit = '{limit}'")
}
