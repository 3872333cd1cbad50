//! Writes and lists a Prefect workspace through the server's REST API, for both generations.

use std::collections::BTreeSet;

use reqwest::{Client, Method, StatusCode};
use serde::Serialize;
use serde_json::{Map, Value, json, value::RawValue};

use super::prefect_server::Generation;

/// The largest page that a server returns by default.
const PAGE: usize = 200;

/// The number of retries while a server is busy.
const BUSY_TRIES: usize = 20;

/// The states of a run that a user may set; some are different names of one type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Scheduled,
    AwaitingRetry,
    Pending,
    Running,
    Retrying,
    Paused,
    Cancelling,
    Completed,
    Cached,
    Failed,
    Crashed,
    Cancelled,
}

impl State {
    /// The states in which a run stays open, and those in which it has ended.
    pub(crate) const ALL: [Self; 12] = [
        Self::Scheduled,
        Self::AwaitingRetry,
        Self::Pending,
        Self::Running,
        Self::Retrying,
        Self::Paused,
        Self::Cancelling,
        Self::Completed,
        Self::Cached,
        Self::Failed,
        Self::Crashed,
        Self::Cancelled,
    ];

    fn kind_and_name(self) -> (&'static str, &'static str) {
        match self {
            Self::Scheduled => ("SCHEDULED", "Scheduled"),
            Self::AwaitingRetry => ("SCHEDULED", "AwaitingRetry"),
            Self::Pending => ("PENDING", "Pending"),
            Self::Running => ("RUNNING", "Running"),
            Self::Retrying => ("RUNNING", "Retrying"),
            Self::Paused => ("PAUSED", "Paused"),
            Self::Cancelling => ("CANCELLING", "Cancelling"),
            Self::Completed => ("COMPLETED", "Completed"),
            Self::Cached => ("COMPLETED", "Cached"),
            Self::Failed => ("FAILED", "Failed"),
            Self::Crashed => ("CRASHED", "Crashed"),
            Self::Cancelled => ("CANCELLED", "Cancelled"),
        }
    }
}

/// The times at which a deployment runs.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Schedule {
    Cron(&'static str, &'static str),
    Interval(f64),
    Rrule(&'static str),
}

impl Schedule {
    fn body(self) -> Value {
        match self {
            Self::Cron(cron, timezone) => json!({"cron": cron, "timezone": timezone}),
            Self::Interval(seconds) => {
                json!({"interval": seconds, "anchor_date": "2026-01-01T00:00:00Z", "timezone": "UTC"})
            }
            Self::Rrule(rule) => json!({"rrule": rule, "timezone": "UTC"}),
        }
    }
}

/// The properties of a new deployment.
#[derive(Debug, Default)]
pub(crate) struct NewDeployment<'a> {
    pub(crate) name: &'a str,
    pub(crate) flow: &'a str,
    pub(crate) schedules: &'a [(Schedule, bool)],
    pub(crate) parameters: Value,
    pub(crate) job_variables: Value,
    pub(crate) tags: &'a [&'a str],
    pub(crate) concurrency_limit: Option<u32>,
}

/// The properties of a new run.
#[derive(Debug, Serialize)]
pub(crate) struct NewRun<'a> {
    pub(crate) name: &'a str,
    pub(crate) flow_id: &'a str,
    pub(crate) parameters: Value,
    pub(crate) tags: &'a [&'a str],
    /// Prefect 3 only.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub(crate) labels: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) deployment_id: Option<&'a str>,
}

impl<'a> NewRun<'a> {
    /// Returns a run without special properties.
    pub(crate) fn new(flow_id: &'a str, name: &'a str) -> Self {
        Self {
            name,
            flow_id,
            parameters: json!({}),
            tags: &[],
            labels: Value::Null,
            deployment_id: None,
        }
    }
}

/// A request without a successful response.
#[derive(Debug)]
pub(crate) struct Refused(
    /// The status, or `None` if no response arrived.
    Option<StatusCode>,
    #[expect(dead_code, reason = "shown by Debug when a test fails")] String,
);

/// A workspace of a real server.
#[derive(Debug, Clone)]
pub(crate) struct Workspace {
    client: Client,
    url: String,
    generation: Generation,
}

impl Workspace {
    pub(crate) fn new(url: &str, generation: Generation) -> Self {
        // reqwest requires a TLS provider even for plain HTTP; another test may have installed one already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder()
            // The server closes connections that are idle for five seconds: a request on such a connection is lost.
            .pool_max_idle_per_host(0)
            .no_proxy()
            .build()
            .unwrap();
        Self {
            client,
            url: url.to_owned(),
            generation,
        }
    }

    // Flows and deployments.

    /// Creates a flow and returns its id.
    pub(crate) async fn flow(&self, name: &str, tags: &[&str], labels: Value) -> String {
        let mut body = json!({"name": name, "tags": tags});
        if self.generation == Generation::Three {
            body["labels"] = labels;
        }
        self.create("/flows/", &body).await
    }

    /// Creates a deployment and returns its id.
    pub(crate) async fn deployment(&self, new: &NewDeployment<'_>) -> String {
        let schedules: Vec<_> = new
            .schedules
            .iter()
            .map(|(schedule, active)| json!({"schedule": schedule.body(), "active": active}))
            .collect();
        let mut body = json!({
            "name": new.name,
            "flow_id": new.flow,
            "schedules": schedules,
            "parameters": or_empty(&new.parameters),
            "tags": new.tags,
            "entrypoint": "flows/orders.py:orders",
            "path": "/opt/flows",
            "version": "1.2.3",
            "description": "täglich, 毎日",
        });
        match self.generation {
            Generation::Two => body["infra_overrides"] = or_empty(&new.job_variables),
            Generation::Three => {
                body["job_variables"] = or_empty(&new.job_variables);
                body["concurrency_limit"] = json!(new.concurrency_limit);
            }
        }
        self.create("/deployments/", &body).await
    }

    /// Switches a deployment's schedule number `index` on or off, in the order of the server's listing.
    pub(crate) async fn set_schedule(&self, deployment: &str, index: usize, active: bool) {
        self.edit_schedule(deployment, index, json!({"active": active}))
            .await;
    }

    /// Changes the times of a deployment's schedule number `index`.
    pub(crate) async fn reschedule(&self, deployment: &str, index: usize, schedule: Schedule) {
        self.edit_schedule(deployment, index, json!({"schedule": schedule.body()}))
            .await;
    }

    async fn edit_schedule(&self, deployment: &str, index: usize, change: Value) {
        let path = format!("/deployments/{deployment}/schedules");
        let schedules: Value = parse(&self.get(&path).await.unwrap());
        let id = schedules[index]["id"].as_str().unwrap().to_owned();
        self.patch(&format!("{path}/{id}"), &change).await;
    }

    /// Creates the next `runs` scheduled runs of a deployment, as the server's scheduler does.
    pub(crate) async fn schedule_runs(&self, deployment: &str, runs: u64) {
        let body = json!({"min_runs": runs, "max_runs": runs});
        self.post(&format!("/deployments/{deployment}/schedule"), &body)
            .await;
    }

    // Runs.

    /// Creates a run and returns its id.
    pub(crate) async fn run(&self, new: &NewRun<'_>) -> String {
        let mut body = json!(new);
        if self.generation == Generation::Two {
            body.as_object_mut().unwrap().remove("labels");
        }
        self.create("/flow_runs/", &body).await
    }

    /// Sets a run's state, bypassing the server's orchestration rules.
    pub(crate) async fn set_state(&self, run: &str, state: State) {
        let (kind, name) = state.kind_and_name();
        let message = format!("{name}: gesetzt von einem Test ✓");
        let body =
            json!({"state": {"type": kind, "name": name, "message": message}, "force": true});
        let path = format!("/flow_runs/{run}/set_state");
        self.send(Method::POST, &path, Some(&body)).await.unwrap();
    }

    /// Creates a run and takes it to `state` through the states before.
    pub(crate) async fn run_in(&self, new: &NewRun<'_>, state: State) -> String {
        let run = self.run(new).await;
        let before: &[State] = match state {
            State::Scheduled | State::Pending => &[],
            State::Running => &[State::Pending],
            State::AwaitingRetry | State::Retrying => {
                &[State::Pending, State::Running, State::Failed]
            }
            _ => &[State::Pending, State::Running],
        };
        for state in before.iter().copied().chain([state]) {
            self.set_state(&run, state).await;
        }
        run
    }

    /// Edits an object: `PATCH` of the collection's element.
    pub(crate) async fn edit(&self, collection: &str, id: &str, change: Value) {
        self.patch(&format!("{collection}/{id}"), &change).await;
    }

    /// Deletes an object.
    pub(crate) async fn delete(&self, collection: &str, id: &str) {
        let path = format!("{collection}/{id}");
        self.send(Method::DELETE, &path, None).await.unwrap();
    }

    // Reading.

    /// Returns all rows of a collection, as the server's bytes. Use it only while the workspace does not change.
    pub(crate) async fn list(&self, collection: &str) -> Vec<Box<RawValue>> {
        // Unique sort orders, so that offsets neither repeat nor skip rows.
        let sort = match collection {
            "/flows" => "NAME_ASC",
            "/deployments" => "CREATED_DESC",
            _ => "ID_DESC",
        };
        let mut rows: Vec<Box<RawValue>> = Vec::new();
        loop {
            let body = json!({"sort": sort, "limit": PAGE, "offset": rows.len()});
            let text = self.post(&format!("{collection}/filter"), &body).await;
            let page: Vec<Box<RawValue>> = serde_json::from_str(&text).unwrap();
            let last = page.len() < PAGE;
            rows.extend(page);
            if last {
                break;
            }
        }
        let ids: BTreeSet<_> = rows.iter().map(|row| parse::<Id>(row.get()).id).collect();
        assert_eq!(ids.len(), rows.len(), "{collection} moved while listed");
        rows
    }

    /// `GET` of a path below the API's root.
    pub(crate) async fn get(&self, path: &str) -> Result<String, Refused> {
        self.send(Method::GET, path, None).await
    }

    /// Sends a `POST`; returns `None` if the server does not have the path.
    pub(crate) async fn post_if_there(&self, path: &str, body: &Value) -> Option<String> {
        match self.send(Method::POST, path, Some(body)).await {
            Err(Refused(Some(StatusCode::NOT_FOUND), _)) => None,
            answer => Some(answer.unwrap()),
        }
    }

    async fn create(&self, path: &str, body: &Value) -> String {
        parse::<Id>(&self.post(path, body).await).id
    }

    async fn post(&self, path: &str, body: &Value) -> String {
        self.send(Method::POST, path, Some(body)).await.unwrap()
    }

    async fn patch(&self, path: &str, body: &Value) {
        self.send(Method::PATCH, path, Some(body)).await.unwrap();
    }

    /// Sends a request. It is repeated while the server reports that its database was busy and that nothing changed. On
    /// SQLite its own services cause this now and then.
    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<String, Refused> {
        let body = body.map(Value::to_string);
        self.send_text(method, path, body.as_deref()).await
    }

    /// Sends a request like [`Self::send`], with the body as it is.
    pub(crate) async fn send_text(
        &self,
        method: Method,
        path: &str,
        body: Option<&str>,
    ) -> Result<String, Refused> {
        let mut answer = self.send_once(&method, path, body).await;
        for _ in 0..BUSY_TRIES {
            match answer {
                Err(Refused(Some(StatusCode::SERVICE_UNAVAILABLE), _)) => {
                    answer = self.send_once(&method, path, body).await;
                }
                _ => break,
            }
        }
        answer
    }

    async fn send_once(
        &self,
        method: &Method,
        path: &str,
        body: Option<&str>,
    ) -> Result<String, Refused> {
        let url = format!("{}{path}", self.url);
        let mut request = self.client.request(method.clone(), &url);
        if let Some(body) = body {
            request = request
                .header("content-type", "application/json")
                .body(body.to_owned());
        }
        let broken = |error: reqwest::Error| Refused(None, format!("{method} {url}: {error:?}"));
        let response = request.send().await.map_err(broken)?;
        let status = response.status();
        let text = response.text().await.map_err(broken)?;
        if status.is_success() {
            Ok(text)
        } else {
            Err(Refused(Some(status), format!("{method} {url}: {text}")))
        }
    }
}

#[derive(serde::Deserialize)]
struct Id {
    id: String,
}

fn parse<T: serde::de::DeserializeOwned>(text: &str) -> T {
    serde_json::from_str(text).unwrap()
}

fn or_empty(value: &Value) -> Value {
    match value {
        Value::Null => Value::Object(Map::new()),
        given => given.clone(),
    }
}
