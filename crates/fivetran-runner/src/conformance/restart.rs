//! Restarts of the connector between syncs.

use async_trait::async_trait;

/// The way in which a connector's process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The process receives a request to end.
    Asked,
    /// The process is killed at once, as may happen to a container.
    Killed,
}

/// Ends a connector's process and starts a new one.
#[async_trait]
pub trait Restart: Send + Sync {
    /// Returns the new address of the connector, or why it did not start.
    async fn restart(&self, ending: Ending) -> Result<String, String>;
}
