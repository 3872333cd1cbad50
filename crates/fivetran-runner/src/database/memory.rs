//! Operations that get more memory if they need it.

use super::connection::DuckDb;
use crate::error::Error;

impl DuckDb {
    /// Runs an operation that leaves nothing behind if it fails. If DuckDB lacks memory, committed rows are moved from
    /// memory to the file, and the operation is repeated; then with a higher limit, and so on.
    pub(super) fn with_memory<T>(
        &mut self,
        mut operation: impl FnMut(&mut Self) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mut has_checkpoint = false;
        loop {
            match operation(self) {
                Err(error) if lacks_memory(&error) => {
                    if has_checkpoint && !self.raise_limit() {
                        return Err(error);
                    }
                    has_checkpoint = true;
                    self.checkpoint()?;
                }
                ended => return ended,
            }
        }
    }

    /// Raises the limit. Returns false if the highest one applies.
    fn raise_limit(&mut self) -> bool {
        let Some(limit) = self.limit.as_mut() else {
            return false;
        };
        if !limit.raise() {
            return false;
        }
        let set = limit.usual();
        tracing::debug!("DuckDB needs more memory: {set}");
        self.connection.execute_batch(&set).is_ok()
    }
}

/// Returns true if DuckDB lacked memory. Only some of those errors have that name; all of them advise a higher limit.
fn lacks_memory(error: &Error) -> bool {
    let names_memory =
        |reason: &str| reason.contains("Out of Memory") || reason.contains("memory_limit=");
    matches!(error, Error::Warehouse { reason, .. } if names_memory(reason))
}
