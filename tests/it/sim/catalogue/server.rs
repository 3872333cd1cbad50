//! The connector's Prefect server: the workspace's store behind [`PrefectApi`], with faults and changes between
//! requests.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use fivetran_source::{
    clock::Clock,
    prefect::{
        CountRequest, Error, EventsRequest, GetRequest, ListRequest, ListResponse, PrefectApi,
        ServerInfo,
    },
};
use prefect_fake::{ApiRequest, ApiResponse, Auth, cloud, handler};
use rand::Rng;
use serde::Serialize;
use serde_json::{Value, value::RawValue};

use super::{
    super::api::{refusal, unavailable},
    world::World,
};

/// A server that the engine and the simulation share.
#[derive(Clone)]
pub(super) struct Server(pub(super) Arc<Mutex<World>>);

/// One sync as the server sees it.
#[derive(Debug, Default, Clone)]
pub(super) struct Visit {
    pub(super) requests: u32,
    /// The first request that fails; all later ones fail, too.
    pub(super) fails_from: Option<u32>,
    /// The largest number of requests of a sync; more mean that the sync does not end.
    pub(super) most: Option<u32>,
    /// True if a request failed on purpose.
    pub(super) hurt: bool,
    /// True after a cut: every request fails, and the server state does not change.
    pub(super) cut: bool,
    pub(super) runaway: bool,
    /// The paths of the responses that were altered.
    pub(super) spoilt: Vec<String>,
}

impl Visit {
    /// Returns true if a sync is running.
    pub(super) fn is_under_way(&self) -> bool {
        self.requests > 0 && !self.cut
    }
}

/// A fault in the responses of one sync.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trouble {
    /// The first page of one listing is empty, once.
    EmptyPage(&'static str),
    /// The first page of one listing has one object only, once.
    ShortPage(&'static str),
    /// Later pages of a listing are empty.
    NoLaterPages(&'static str),
    /// Every page of a listing is the first one.
    SamePage(&'static str),
}

impl Trouble {
    fn path(&self) -> &'static str {
        match self {
            Self::EmptyPage(path)
            | Self::ShortPage(path)
            | Self::NoLaterPages(path)
            | Self::SamePage(path) => path,
        }
    }
}

impl Server {
    pub(super) fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().expect("nobody panicked with it")
    }

    /// Responds to one request, and may change the workspace afterwards.
    fn ask<B: Serialize>(&self, path: &str, body: Option<&B>) -> Result<Answered, Error> {
        let mut guard = self.world();
        let world = &mut *guard;
        world.receive(path)?;
        let request = ApiRequest {
            method: if body.is_some() { "POST" } else { "GET" }.to_owned(),
            path: path.to_owned(),
            base: "http://sim/api".to_owned(),
            body: body.map_or_else(String::new, |body| {
                serde_json::to_string(body).expect("requests serialise")
            }),
            ..ApiRequest::default()
        };
        let response = world.response(&request);
        let at = world.date().trunc_subsecs(0);
        let short = path.split("page-token").next().unwrap_or_default();
        world.log(|| format!("  {short} {} -> {}", request.body, summary(&response)));
        world.make_random_changes();
        match response.status {
            200 => Ok(Answered {
                body: response.body,
                at,
            }),
            404 => Err(Error::NotFound {
                url: format!("sim:{path}"),
            }),
            422 => Err(refusal(path, &response.body)),
            status => Err(Error::Server {
                path: path.to_owned(),
                status,
                tries: 8,
            }),
        }
    }

    /// Requests an endpoint that not every server has. Returns `None` if the server does not have it.
    fn helper<B: Serialize>(
        &self,
        path: &str,
        body: Option<&B>,
    ) -> Result<Option<Answered>, Error> {
        match self.ask(path, body) {
            Err(Error::NotFound { .. } | Error::Rejected { .. }) => Ok(None),
            answered => answered.map(Some),
        }
    }
}

impl World {
    /// Advances the clock for a request, and may return an error.
    fn receive(&mut self, path: &str) -> Result<(), Error> {
        if self.visit.cut {
            return Err(unavailable(path));
        }
        self.visit.requests += 1;
        if self
            .visit
            .most
            .is_some_and(|most| self.visit.requests > most)
        {
            self.visit.runaway = true;
            return Err(unavailable(path));
        }
        let latency = self.weather.random_range(1_000..300_000);
        self.store.advance(TimeDelta::microseconds(latency));
        let fails = self.visit.fails_from;
        if fails.is_some_and(|from| self.visit.requests >= from) {
            self.visit.hurt = true;
            self.log(|| format!("  {path} fails"));
            return Err(unavailable(path));
        }
        Ok(())
    }

    /// Returns the response to a request, altered by the present fault.
    fn response(&mut self, request: &ApiRequest) -> ApiResponse {
        if self.kind.cloud && cloud::is_missing(&request.path) {
            return ApiResponse::json(404, &serde_json::json!({ "detail": "Not Found" }));
        }
        let mut request = request.clone();
        let trouble = self.trouble.clone();
        let concerns = trouble.as_ref().is_some_and(|trouble| {
            let may_be_look_up = matches!(trouble, Trouble::EmptyPage(_));
            request.path == trouble.path() && (may_be_look_up || !asks_for_ids(&request))
        });
        if concerns && matches!(trouble, Some(Trouble::SamePage(_))) && is_later_page(&request) {
            self.visit.spoilt.push(request.path.clone());
            request.body = without_place(&request.body);
        }
        let mut response = handler::respond(&mut self.store, &Auth::Open, &request);
        if response.status != 200 {
            return response;
        }
        if self.holds_unreadable(&request, &response) {
            return ApiResponse::json(
                500,
                &serde_json::json!({ "detail": "Internal Server Error" }),
            );
        }
        if concerns {
            self.spoil(&request, trouble.as_ref(), &mut response);
        }
        response
    }

    fn spoil(
        &mut self,
        request: &ApiRequest,
        trouble: Option<&Trouble>,
        response: &mut ApiResponse,
    ) {
        // Raw values: the rows that are kept stay as they were written.
        let Ok(mut rows) = serde_json::from_str::<Vec<Box<RawValue>>>(&response.body) else {
            return;
        };
        let keep = match trouble {
            Some(Trouble::EmptyPage(_)) => 0,
            Some(Trouble::ShortPage(_)) => 1,
            Some(Trouble::NoLaterPages(_)) if is_later_page(request) => 0,
            _ => return,
        };
        if rows.len() <= keep {
            return;
        }
        rows.truncate(keep);
        response.body = serde_json::to_string(&rows).expect("rows serialise");
        self.visit.spoilt.push(request.path.clone());
        self.log(|| format!("  the next answer is spoilt: {trouble:?}"));
        if matches!(trouble, Some(Trouble::EmptyPage(_) | Trouble::ShortPage(_))) {
            self.trouble = None;
        }
    }

    /// Returns true if the response contains an object for which the server must fail.
    fn holds_unreadable(&self, request: &ApiRequest, response: &ApiResponse) -> bool {
        if self.unreadable.is_empty() || request.path.ends_with("/count") {
            return false;
        }
        let json = serde_json::from_str::<Value>(&response.body).unwrap_or_default();
        let is_unreadable = |row: &Value| {
            self.unreadable.iter().any(|(table, id)| {
                request.path.starts_with(&format!("/{table}/"))
                    && row["id"].as_str() == Some(id.to_string().as_str())
            })
        };
        match &json {
            Value::Array(rows) => rows.iter().any(is_unreadable),
            object => is_unreadable(object),
        }
    }

    /// Makes random changes between two requests, with the probability `changes`.
    fn make_random_changes(&mut self) {
        if self.kind.changes > 0.0 && self.weather.random_bool(self.kind.changes) {
            self.store.advance(TimeDelta::milliseconds(1));
            for _ in 0..self.rng.random_range(1..4) {
                self.act();
            }
        }
    }
}

fn is_later_page(request: &ApiRequest) -> bool {
    let body = serde_json::from_str::<Value>(&request.body).unwrap_or_default();
    body["offset"].as_u64().is_some_and(|offset| offset > 0)
}

fn asks_for_ids(request: &ApiRequest) -> bool {
    request.body.contains("\"id\":{\"any_\"")
}

/// Returns the body of the request for the first page of the same listing.
fn without_place(body: &str) -> String {
    let mut body = serde_json::from_str::<Value>(body).unwrap_or_default();
    body["offset"] = 0.into();
    body.to_string()
}

/// A successful response.
struct Answered {
    body: String,
    at: DateTime<Utc>,
}

impl Answered {
    fn listed<T>(self, read: impl Fn(String) -> Result<T, serde_json::Error>) -> ListResponse<T> {
        ListResponse {
            page: read(self.body).expect("the demo speaks JSON"),
            server_time: Some(self.at),
        }
    }
}

fn summary(response: &ApiResponse) -> String {
    match serde_json::from_str::<Value>(&response.body) {
        Ok(Value::Array(list)) => format!("{} rows", list.len()),
        Ok(Value::Object(object)) if object.contains_key("events") => {
            format!("{} events", object["events"].as_array().map_or(0, Vec::len))
        }
        _ => format!(
            "{} {}",
            response.status,
            response.body.chars().take(200).collect::<String>()
        ),
    }
}

impl PrefectApi for Server {
    async fn list<T: Send>(
        &self,
        request: &ListRequest,
        read: impl Fn(String) -> Result<T, serde_json::Error> + Send + Sync,
    ) -> Result<ListResponse<T>, Error> {
        Ok(self.ask(&request.path(), Some(request))?.listed(read))
    }

    async fn count(&self, request: &CountRequest) -> Result<Option<u64>, Error> {
        let answered = self.helper(&request.collection.count_path(), Some(request))?;
        Ok(answered.and_then(|answered| answered.body.parse().ok()))
    }

    async fn get<T: Send>(
        &self,
        request: &GetRequest,
        read: impl Fn(String) -> Result<T, serde_json::Error> + Send + Sync,
    ) -> Result<Option<ListResponse<T>>, Error> {
        match self.ask::<()>(&request.collection.object_path(&request.id), None) {
            Err(Error::NotFound { .. }) => Ok(None),
            answered => Ok(Some(answered?.listed(read))),
        }
    }

    async fn events<T: Send>(
        &self,
        request: &EventsRequest,
        read: impl Fn(String) -> Result<T, serde_json::Error> + Send + Sync,
    ) -> Result<ListResponse<T>, Error> {
        let body = request.token.is_none().then_some(request);
        Ok(self.ask(&request.path(), body)?.listed(read))
    }

    async fn states<T: Send>(
        &self,
        run: &str,
        read: impl Fn(String) -> Result<T, serde_json::Error> + Send + Sync,
    ) -> Result<ListResponse<T>, Error> {
        let path = format!("/flow_run_states/?flow_run_id={run}");
        Ok(self.ask::<()>(&path, None)?.listed(read))
    }

    async fn version(&self) -> Result<Option<String>, Error> {
        let answered = self.helper::<()>("/admin/version", None)?;
        Ok(answered.and_then(|answered| serde_json::from_str(&answered.body).ok()))
    }

    async fn about(&self) -> Result<ServerInfo, Error> {
        let version = self.helper::<()>("/version", None)?;
        let settings = self.helper::<()>("/admin/settings", None)?;
        let read = |answered: &Answered| serde_json::from_str(&answered.body).ok();
        Ok(ServerInfo {
            server_time: version.as_ref().map(|answered| answered.at),
            api_version: version.and_then(|it| serde_json::from_str(&it.body).ok()),
            settings: settings.as_ref().and_then(read),
        })
    }
}

/// The server's clock as the machine's: waiting advances the server's time.
impl Clock for Server {
    fn now(&self) -> DateTime<Utc> {
        self.world().date()
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        let by = TimeDelta::from_std(duration).expect("a short wait");
        self.world().store.advance(by);
        Box::pin(std::future::ready(()))
    }
}
