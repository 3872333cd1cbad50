//! The requests that the connector can send to a Prefect server.

use std::future::Future;

use chrono::{DateTime, Utc};

use super::{CountRequest, Error, EventsRequest, GetRequest, ListRequest, ListResponse};

/// A Prefect server, real or simulated.
pub trait PrefectApi: Send + Sync {
    /// Fetches one page of a collection (`POST /<collection>/filter`) and parses it with `read`. A body that
    /// `read` cannot parse is not a Prefect response, and the request is repeated.
    fn list<T: Send>(
        &self,
        request: &ListRequest,
        read: impl Fn(String) -> Result<T, serde_json::Error> + Send + Sync,
    ) -> impl Future<Output = Result<ListResponse<T>, Error>> + Send;

    /// Fetches a page like [`list`](Self::list), but with few retries, for a request that failed before.
    fn list_briefly<T: Send>(
        &self,
        request: &ListRequest,
        read: impl Fn(String) -> Result<T, serde_json::Error> + Send + Sync,
    ) -> impl Future<Output = Result<ListResponse<T>, Error>> + Send {
        self.list(request, read)
    }

    /// Fetches a page like [`list`](Self::list), but without a retry after a 500, for a request known to fail.
    fn list_once<T: Send>(
        &self,
        request: &ListRequest,
        read: impl Fn(String) -> Result<T, serde_json::Error> + Send + Sync,
    ) -> impl Future<Output = Result<ListResponse<T>, Error>> + Send {
        self.list_briefly(request, read)
    }

    /// Counts objects (`POST /<collection>/count`). Returns `None` if the endpoint does not exist, as may be the
    /// case on Prefect Cloud.
    fn count(
        &self,
        request: &CountRequest,
    ) -> impl Future<Output = Result<Option<u64>, Error>> + Send;

    /// Fetches one object (`GET /<collection>/<id>`). Returns `None` if the object does not exist.
    fn get<T: Send>(
        &self,
        _request: &GetRequest,
        _read: impl Fn(String) -> Result<T, serde_json::Error> + Send + Sync,
    ) -> impl Future<Output = Result<Option<ListResponse<T>>, Error>> + Send {
        std::future::ready(Ok(None))
    }

    /// Fetches a page of events. Not every server has events.
    fn events<T: Send>(
        &self,
        request: &EventsRequest,
        _read: impl Fn(String) -> Result<T, serde_json::Error> + Send + Sync,
    ) -> impl Future<Output = Result<ListResponse<T>, Error>> + Send {
        let url = request.path().into_owned();
        std::future::ready(Err(Error::NotFound { url }))
    }

    /// Fetches the states of a flow run (`GET /flow_run_states/?flow_run_id=…`).
    fn states<T: Send>(
        &self,
        run: &str,
        _read: impl Fn(String) -> Result<T, serde_json::Error> + Send + Sync,
    ) -> impl Future<Output = Result<ListResponse<T>, Error>> + Send {
        let url = format!("/flow_run_states/?flow_run_id={run}");
        std::future::ready(Err(Error::NotFound { url }))
    }

    /// Fetches the server's version (`GET /admin/version`). Returns `None` if the endpoint does not exist, as on
    /// Prefect Cloud.
    fn version(&self) -> impl Future<Output = Result<Option<String>, Error>> + Send;

    /// Fetches further information about the server. A field is `None` if its endpoint is missing or denied.
    fn about(&self) -> impl Future<Output = Result<ServerInfo, Error>> + Send {
        std::future::ready(Ok(ServerInfo::default()))
    }
}

/// The information that a server gives about itself besides its version.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ServerInfo {
    /// The version of the server's REST API (`GET /version`).
    pub api_version: Option<String>,
    /// The server's settings (`GET /admin/settings`), unfiltered: they include secrets.
    pub settings: Option<serde_json::Value>,
    /// The server's clock at the earlier of the two responses.
    pub server_time: Option<DateTime<Utc>>,
}
