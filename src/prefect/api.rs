//! What the connector can ask of a Prefect server.

use std::future::Future;

use chrono::{DateTime, Utc};

use super::{CountRequest, Error, EventsRequest, GetRequest, ListRequest, Listed};

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

    /// The same, but without another try when the server fails (500), for what is known to fail.
    fn list_once<T: Send>(
        &self,
        request: &ListRequest,
        read: impl Fn(String) -> Result<T, serde_json::Error> + Send + Sync,
    ) -> impl Future<Output = Result<Listed<T>, Error>> + Send {
        self.list_briefly(request, read)
    }

    /// How many objects there are (`POST /<collection>/count`); `None` where there is no such endpoint,
    /// as may be on Prefect Cloud.
    fn count(
        &self,
        request: &CountRequest,
    ) -> impl Future<Output = Result<Option<u64>, Error>> + Send;

    /// One object (`GET /<collection>/<id>`); `None` where there is none.
    fn get<T: Send>(
        &self,
        _request: &GetRequest,
        _read: impl Fn(String) -> Result<T, serde_json::Error> + Send + Sync,
    ) -> impl Future<Output = Result<Option<Listed<T>>, Error>> + Send {
        std::future::ready(Ok(None))
    }

    /// A page of events; not every server has them.
    fn events<T: Send>(
        &self,
        request: &EventsRequest,
        _read: impl Fn(String) -> Result<T, serde_json::Error> + Send + Sync,
    ) -> impl Future<Output = Result<Listed<T>, Error>> + Send {
        let url = request.path().into_owned();
        std::future::ready(Err(Error::NotFound { url }))
    }

    /// The states of a flow run (`GET /flow_run_states/?flow_run_id=…`).
    fn states<T: Send>(
        &self,
        run: &str,
        _read: impl Fn(String) -> Result<T, serde_json::Error> + Send + Sync,
    ) -> impl Future<Output = Result<Listed<T>, Error>> + Send {
        let url = format!("/flow_run_states/?flow_run_id={run}");
        std::future::ready(Err(Error::NotFound { url }))
    }

    /// The server's version (`GET /admin/version`); `None` where there is no such endpoint, as on
    /// Prefect Cloud.
    fn version(&self) -> impl Future<Output = Result<Option<String>, Error>> + Send;

    /// What the server tells of itself besides; nothing where there are no such endpoints.
    fn about(&self) -> impl Future<Output = Result<About, Error>> + Send {
        std::future::ready(Ok(About::default()))
    }
}

/// What a server tells of itself besides its version.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct About {
    /// The version of its REST API (`GET /version`).
    pub api_version: Option<String>,
    /// Its settings (`GET /admin/settings`), as it writes them: also secrets.
    pub settings: Option<serde_json::Value>,
    /// Its clock when it answered.
    pub server_time: Option<DateTime<Utc>>,
}
