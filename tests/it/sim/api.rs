//! The connector's Prefect server: the demo store behind [`PrefectApi`], with failures and changes between requests.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use fivetran_source::{
    clock::Clock,
    prefect::{CountRequest, Error, ListRequest, ListResponse, PrefectApi},
};
use prefect_fake::{ApiRequest, ApiResponse, Auth, handler};
use rand::Rng;
use serde::Serialize;

use super::world::World;

/// A number of requests that no sync of a simulated workspace needs: the engine is in an endless loop.
const RUNAWAY: u32 = 20_000;

/// A server that the engine and the simulation share.
#[derive(Clone)]
pub(super) struct Server(pub(super) Arc<Mutex<World>>);

/// One sync as the server sees it.
#[derive(Debug, Default, Clone)]
pub(super) struct Visit {
    pub(super) requests: u32,
    /// The server's time at the first page, and the number of the last change before it.
    pub(super) start: Option<(DateTime<Utc>, u64)>,
    /// True if a request failed on purpose.
    pub(super) hurt: bool,
    /// True after a cut: every request fails, and the server state does not change.
    pub(super) cut: bool,
    pub(super) runaway: bool,
}

impl Server {
    pub(super) fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().expect("nobody panicked with it")
    }

    /// Responds to one request, and may change the workspace afterwards.
    fn ask<B: Serialize>(&self, path: &str, body: Option<&B>) -> Result<Answered, Error> {
        let mut guard = self.world();
        let world = &mut *guard;
        if world.receive(path).is_err() {
            world.visit.hurt |= !world.visit.cut && !world.visit.runaway;
            return Err(unavailable(path));
        }
        let request = ApiRequest {
            method: if body.is_some() { "POST" } else { "GET" }.to_owned(),
            path: path.to_owned(),
            body: body.map_or_else(String::new, |body| {
                serde_json::to_string(body).expect("requests serialise")
            }),
            ..ApiRequest::default()
        };
        let response = handler::respond(&mut world.store, &Auth::Open, &request);
        let (at, served) = (world.api_time(), world.store.now());
        world.answered(&request, &response);
        match response.status {
            200 => Ok(Answered {
                body: response.body,
                at: at.trunc_subsecs(0),
                served,
            }),
            404 => Err(Error::NotFound {
                url: format!("sim:{path}"),
            }),
            422 => Err(refusal(path, &response.body)),
            _ => Err(unavailable(path)),
        }
    }
}

/// Returns the error of a server that is unavailable.
pub(super) fn unavailable(path: &str) -> Error {
    Error::Server {
        path: path.to_owned(),
        status: 503,
        tries: 8,
    }
}

impl World {
    /// Advances the clock for a request. Returns a status if the request must fail.
    pub(super) fn receive(&mut self, path: &str) -> Result<(), u16> {
        if self.visit.cut {
            return Err(503);
        }
        self.visit.requests += 1;
        if self.visit.requests > RUNAWAY {
            self.visit.runaway = true;
            return Err(500);
        }
        let latency = self.weather.random_range(1_000..400_000);
        self.store.advance(TimeDelta::microseconds(latency));
        if self.weather.random_bool(self.nature.errors) {
            self.log(|| format!("  {path} fails"));
            return Err(503);
        }
        Ok(())
    }

    /// Records a response, and may change the workspace afterwards.
    pub(super) fn answered(&mut self, request: &ApiRequest, response: &ApiResponse) {
        let path = &request.path;
        self.is_logged = self.is_logged.max(self.api_time());
        if self.visit.start.is_none() && path.ends_with("/filter") && response.status == 200 {
            self.visit.start = Some((self.store.now(), self.journal.clock));
        }
        self.log(|| format!("  {path} {} -> {}", request.body, summary(response)));
        self.change_at_random();
    }
}

/// A successful response.
struct Answered {
    body: String,
    /// The date of the response, in whole seconds.
    at: DateTime<Utc>,
    /// The time at the server.
    served: DateTime<Utc>,
}

fn summary(response: &ApiResponse) -> String {
    match serde_json::from_str::<serde_json::Value>(&response.body) {
        Ok(serde_json::Value::Array(list)) => format!("{} rows", list.len()),
        _ => format!("{} {}", response.status, response.body),
    }
}

/// Returns the error with which the HTTP client reports a 422.
pub(super) fn refusal(path: &str, body: &str) -> Error {
    let words: serde_json::Value = serde_json::from_str(body).unwrap_or_default();
    let text = words["detail"].as_str().unwrap_or_default();
    let limit = text
        .strip_prefix("Invalid limit: must be less than or equal to ")
        .and_then(|rest| rest.trim_end_matches('.').parse().ok());
    if let Some(max) = limit {
        return Error::LimitTooLarge { max };
    }
    let steps: Vec<&str> = words["exception_detail"][0]["loc"]
        .as_array()
        .map(|steps| steps.iter().filter_map(|step| step.as_str()).collect())
        .unwrap_or_default();
    Error::Rejected {
        path: path.to_owned(),
        status: 422,
        detail: format!(": field {}", steps.join(".")),
    }
}

impl PrefectApi for Server {
    async fn list<T: Send>(
        &self,
        request: &ListRequest,
        read: impl Fn(String) -> Result<T, serde_json::Error> + Send + Sync,
    ) -> Result<ListResponse<T>, Error> {
        let answered = self.ask(&request.collection.filter_path(), Some(request))?;
        self.world()
            .windows
            .note(request, &answered.body, answered.at, answered.served);
        Ok(ListResponse {
            page: read(answered.body).expect("the demo answers with a list"),
            server_time: Some(answered.at),
        })
    }

    async fn count(&self, request: &CountRequest) -> Result<Option<u64>, Error> {
        if self.world().nature.cloud {
            return Ok(None);
        }
        let answered = self.ask(&request.collection.count_path(), Some(request))?;
        Ok(answered.body.parse().ok())
    }

    async fn version(&self) -> Result<Option<String>, Error> {
        if self.world().nature.cloud {
            return Ok(None);
        }
        let answered = self.ask::<()>("/admin/version", None)?;
        Ok(serde_json::from_str(&answered.body).ok())
    }
}

/// The server's clock as the machine's: waiting advances the server's time.
impl Clock for Server {
    fn now(&self) -> DateTime<Utc> {
        self.world().api_time()
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        let by = TimeDelta::from_std(duration).expect("a short wait");
        self.world().store.advance(by);
        Box::pin(std::future::ready(()))
    }
}
