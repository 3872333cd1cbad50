//! The endpoints, as paths and bodies of requests.

use chrono::{DateTime, Utc};
use reqwest::Method;
use serde::de::DeserializeOwned;

use super::{
    HttpApi, SMALLEST_PAGE,
    classify::{optional_endpoint, with_filter},
    response::{Response, server_time},
};
use crate::prefect::{
    CountRequest, Error, EventsRequest, GetRequest, ListRequest, ListResponse, PrefectApi,
    RetryPolicy, ServerInfo,
};

impl HttpApi {
    async fn list_with<T>(
        &self,
        request: &ListRequest,
        policy: RetryPolicy,
        read: impl Fn(String) -> Result<T, serde_json::Error>,
    ) -> Result<ListResponse<T>, Error> {
        let body = serde_json::to_vec(request).map_err(|error| Error::Setup(error.to_string()))?;
        let path = request.path();
        let result = self
            .ask((Method::POST, &path, Some(&body)), policy, listed(read))
            .await;
        let own = request.collection.filter_key();
        match result.map_err(|error| with_filter(error, own, request.scope.as_deref())) {
            // Half as many objects take about half as many bytes.
            Err(Error::TooLarge { .. }) if request.limit > SMALLEST_PAGE => {
                Err(Error::LimitTooLarge {
                    max: (request.limit / 2).max(SMALLEST_PAGE),
                })
            }
            // A static file server responds like this, such as the one of Prefect's own pages.
            Err(Error::Rejected { status: 405, .. }) => Err(Error::NotPrefect {
                url: self.settings.api_url.join(&path),
                why: "it does not allow POST (405)".to_owned(),
            }),
            result => result,
        }
    }
}

impl PrefectApi for HttpApi {
    async fn list<T: Send>(
        &self,
        request: &ListRequest,
        read: impl Fn(String) -> Result<T, serde_json::Error> + Send + Sync,
    ) -> Result<ListResponse<T>, Error> {
        self.list_with(request, self.policy, read).await
    }

    async fn list_briefly<T: Send>(
        &self,
        request: &ListRequest,
        read: impl Fn(String) -> Result<T, serde_json::Error> + Send + Sync,
    ) -> Result<ListResponse<T>, Error> {
        self.list_with(request, RetryPolicy::BRIEF, read).await
    }

    async fn list_once<T: Send>(
        &self,
        request: &ListRequest,
        read: impl Fn(String) -> Result<T, serde_json::Error> + Send + Sync,
    ) -> Result<ListResponse<T>, Error> {
        match self.list_with(request, RetryPolicy::ONCE, &read).await {
            // Only a 500 points to an unreadable object; other failures are retried as usual.
            Err(Error::Server { status, .. }) if status != 500 => {
                self.list_with(request, self.policy, read).await
            }
            Err(Error::Unreachable { .. } | Error::NotPrefect { .. }) => {
                self.list_with(request, self.policy, read).await
            }
            listed => listed,
        }
    }

    async fn count(&self, request: &CountRequest) -> Result<Option<u64>, Error> {
        let body = serde_json::to_vec(request).map_err(|error| Error::Setup(error.to_string()))?;
        let path = request.collection.count_path();
        let result = self
            .ask(
                (Method::POST, &path, Some(&body)),
                self.policy,
                |response| serde_json::from_str::<u64>(&response.body),
            )
            .await;
        let own = request.collection.filter_key();
        optional_endpoint(result.map_err(|error| with_filter(error, own, request.scope.as_deref())))
    }

    async fn get<T: Send>(
        &self,
        request: &GetRequest,
        read: impl Fn(String) -> Result<T, serde_json::Error> + Send + Sync,
    ) -> Result<Option<ListResponse<T>>, Error> {
        let path = request.collection.object_path(&request.id);
        match self
            .ask((Method::GET, &path, None), self.policy, listed(read))
            .await
        {
            Err(Error::NotFound { .. }) => Ok(None),
            response => response.map(Some),
        }
    }

    async fn events<T: Send>(
        &self,
        request: &EventsRequest,
        read: impl Fn(String) -> Result<T, serde_json::Error> + Send + Sync,
    ) -> Result<ListResponse<T>, Error> {
        let path = request.path();
        let body = serde_json::to_vec(request).map_err(|error| Error::Setup(error.to_string()))?;
        let what = match request.token {
            None => (Method::POST, &*path, Some(&*body)),
            Some(_) => (Method::GET, &*path, None),
        };
        self.ask(what, self.policy, listed(read)).await
    }

    async fn states<T: Send>(
        &self,
        run: &str,
        read: impl Fn(String) -> Result<T, serde_json::Error> + Send + Sync,
    ) -> Result<ListResponse<T>, Error> {
        let run: String = url::form_urlencoded::byte_serialize(run.as_bytes()).collect();
        let path = format!("/flow_run_states/?flow_run_id={run}");
        self.ask((Method::GET, &path, None), self.policy, listed(read))
            .await
    }

    async fn version(&self) -> Result<Option<String>, Error> {
        let result = self.read_json("/admin/version").await?;
        Ok(result.map(|(version, _)| version))
    }

    async fn about(&self) -> Result<ServerInfo, Error> {
        let api_version = self.read_json("/version").await?;
        let settings = self.read_json("/admin/settings").await?;
        let times = [
            api_version.as_ref().and_then(|(_, time)| *time),
            settings.as_ref().and_then(|(_, time)| *time),
        ];
        Ok(ServerInfo {
            api_version: api_version.map(|(version, _)| version),
            settings: settings.map(|(settings, _)| settings),
            server_time: times.into_iter().flatten().min(),
        })
    }
}

impl HttpApi {
    /// Reads JSON from an endpoint that some servers lack and some deny to certain users. Returns `None` in both
    /// cases, except that a denied `/admin/version` is an error.
    async fn read_json<T: DeserializeOwned>(
        &self,
        path: &str,
    ) -> Result<Option<(T, Option<DateTime<Utc>>)>, Error> {
        let read = |response: Response| {
            let time = server_time(&response.headers);
            Ok((serde_json::from_str(&response.body)?, time))
        };
        match optional_endpoint(self.ask((Method::GET, path, None), self.policy, read).await) {
            Err(Error::Forbidden { .. }) if path != "/admin/version" => Ok(None),
            result => result,
        }
    }
}

/// Extends `read` to return the server's time as well.
fn listed<T>(
    read: impl Fn(String) -> Result<T, serde_json::Error>,
) -> impl Fn(Response) -> Result<ListResponse<T>, serde_json::Error> {
    move |response| {
        Ok(ListResponse {
            server_time: server_time(&response.headers),
            page: read(response.body)?,
        })
    }
}
