//! The end of a connector's process, for the report of a sync whose connection was lost.

use async_trait::async_trait;

/// The end of a connector's process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectorExit {
    /// The exit status, such as `exit status: 1` or `signal: 9 (SIGKILL)`.
    pub status: String,
    /// The last lines of its output, without secrets.
    pub last_lines: Vec<String>,
}

/// Reports the end of a connector's process that was started for this sync.
#[async_trait]
pub trait AwaitExit: Send + Sync {
    /// Returns the end of the process, or `None` if it is still running. A process whose connections have just been
    /// closed may need a moment to exit; the implementation waits for it.
    async fn exit(&self) -> Option<ConnectorExit>;
}
