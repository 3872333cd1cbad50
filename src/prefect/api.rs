//! What the connector can ask of a Prefect server.

use std::future::Future;

use super::{Error, ListRequest, Page};

/// A Prefect server, real or simulated.
pub trait PrefectApi: Send + Sync {
    /// One page of a collection (`POST /<collection>/filter`).
    fn list(&self, request: &ListRequest) -> impl Future<Output = Result<Page, Error>> + Send;

    /// The server's version (`GET /admin/version`); `None` where there is no such endpoint, as on
    /// Prefect Cloud.
    fn version(&self) -> impl Future<Output = Result<Option<String>, Error>> + Send;
}
