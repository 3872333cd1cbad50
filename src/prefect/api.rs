//! What the connector can ask of a Prefect server.

use std::future::Future;

use super::{CountRequest, Error, ListRequest, Listed};

/// A Prefect server, real or simulated.
pub trait PrefectApi: Send + Sync {
    /// One page of a collection (`POST /<collection>/filter`), read by `read`. What `read` cannot read
    /// is no answer of Prefect's, and is asked for again.
    fn list<T: Send>(
        &self,
        request: &ListRequest,
        read: impl Fn(String) -> Result<T, serde_json::Error> + Send + Sync,
    ) -> impl Future<Output = Result<Listed<T>, Error>> + Send;

    /// The same with little patience, for what failed before.
    fn list_briefly<T: Send>(
        &self,
        request: &ListRequest,
        read: impl Fn(String) -> Result<T, serde_json::Error> + Send + Sync,
    ) -> impl Future<Output = Result<Listed<T>, Error>> + Send {
        self.list(request, read)
    }

    /// How many objects there are (`POST /<collection>/count`); `None` where there is no such endpoint,
    /// as may be on Prefect Cloud.
    fn count(
        &self,
        request: &CountRequest,
    ) -> impl Future<Output = Result<Option<u64>, Error>> + Send;

    /// The server's version (`GET /admin/version`); `None` where there is no such endpoint, as on
    /// Prefect Cloud.
    fn version(&self) -> impl Future<Output = Result<Option<String>, Error>> + Send;
}
