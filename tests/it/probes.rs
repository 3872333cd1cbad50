//! Does the demo server answer like Prefect? The same requests to both, and their outcomes compared.
//!
//! [`outcomes`] prepares a server through its API, asks it every probe, and returns what must agree: status,
//! refusals, numbers and order of rows, their keys. Ids, times and durations are replaced by what they stand for.
//!
//! Both generations are asked, in servers of the test's own.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use chrono::{DateTime, TimeDelta, Utc};
use fivetran_source::{
    clock::Clock,
    demo::{Options, Population, Server, model::StateType, population, versions},
};
use serde_json::{Map, Value, json};

use crate::support::prefect_server::{Generation, PrefectServer};

/// Probes that cannot be asked of a release, by the start of its number. (Releases before 3.7 leave a run that
/// never ran without times; what they answer is compared like everything else.)
const LACKING: [(&str, &str); 0] = [];

/// An answer.
struct Got {
    status: u16,
    headers: BTreeMap<String, String>,
    body: Value,
}

/// A server that is being asked.
struct Asker {
    client: reqwest::Client,
    base: String,
    nonce: String,
    /// Ids by what they stand for.
    known: BTreeMap<String, String>,
    outcomes: BTreeMap<String, Value>,
    release: String,
}

impl Asker {
    /// Asks; once more, for a while, when the server is busy (503: its database is locked).
    async fn ask(&self, method: &str, path: &str, body: Option<String>) -> Got {
        for _ in 0..50 {
            // After a 503 the server closes the connection, which the next request may still meet.
            match self.ask_once(method, path, body.clone()).await {
                Ok(got) if got.status != 503 => return got,
                _ => {}
            }
        }
        panic!("{method} {path}: the server stays busy");
    }

    async fn ask_once(
        &self,
        method: &str,
        path: &str,
        body: Option<String>,
    ) -> reqwest::Result<Got> {
        let method = method.parse().unwrap();
        let mut request = self.client.request(method, format!("{}{path}", self.base));
        if let Some(body) = body {
            request = request
                .header("content-type", "application/json")
                .body(body);
        }
        let response = request.send().await?;
        let status = response.status().as_u16();
        let headers = response
            .headers()
            .iter()
            .map(|(name, value)| {
                (
                    name.as_str().to_owned(),
                    value.to_str().unwrap_or_default().to_owned(),
                )
            })
            .collect();
        let text = response.text().await?;
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Ok(Got {
            status,
            headers,
            body,
        })
    }

    async fn post(&self, path: &str, body: &Value) -> Got {
        self.ask("POST", path, Some(body.to_string())).await
    }

    /// Creates an object and remembers its id under `label`.
    async fn make(&mut self, label: &str, path: &str, body: &Value) -> Value {
        let got = self.post(path, body).await;
        assert!(
            matches!(got.status, 200 | 201),
            "{label}: {} {}",
            got.status,
            got.body
        );
        self.known.insert(
            got.body["id"].as_str().unwrap().to_owned(),
            label.to_owned(),
        );
        got.body
    }

    fn id(&self, label: &str) -> String {
        self.known
            .iter()
            .find(|(_, known)| *known == label)
            .map(|(id, _)| id.clone())
            .unwrap()
    }

    fn note(&mut self, name: &str, outcome: Value) {
        let lacking = LACKING
            .iter()
            .any(|(probe, release)| *probe == name && self.release.starts_with(release));
        if !lacking {
            let outcome = self.normal("", &outcome);
            assert!(
                self.outcomes.insert(name.to_owned(), outcome).is_none(),
                "two probes are called {name}"
            );
        }
    }

    /// Replaces what differs from server to server by what it stands for.
    fn normal(&self, key: &str, value: &Value) -> Value {
        match value {
            Value::Object(object) => Value::Object(
                object
                    .iter()
                    .map(|(key, value)| (key.clone(), self.normal(key, value)))
                    .collect(),
            ),
            Value::Array(items) => {
                Value::Array(items.iter().map(|item| self.normal(key, item)).collect())
            }
            Value::String(text) => Value::String(self.normal_text(text)),
            Value::Number(_) if key.ends_with("run_time") || key.ends_with("_delta") => {
                json!("<seconds>")
            }
            other => other.clone(),
        }
    }

    fn normal_text(&self, text: &str) -> String {
        if let Some(label) = self.known.get(text) {
            return format!("<{label}>");
        }
        let bytes = text.as_bytes();
        if text.len() == 36 && [8, 13, 18, 23].iter().all(|at| bytes[*at] == b'-') {
            return "<id>".to_owned();
        }
        // Times that the probes choose lie in 2099 and stay.
        if text.starts_with("20")
            && !text.starts_with("2099")
            && DateTime::parse_from_rfc3339(text).is_ok()
        {
            return format!(
                "<time {}>",
                if text.ends_with('Z') {
                    "Z"
                } else {
                    &text[text.len() - 6..]
                }
            );
        }
        let mut text = text
            .replace(&self.base, "<base>")
            .replace(&self.nonce, "<nonce>");
        for (id, label) in &self.known {
            text = text.replace(id, &format!("<{label}>"));
        }
        text
    }

    /// A probe whose whole answer must agree.
    async fn whole(&mut self, name: &str, method: &str, path: &str, body: Option<Value>) {
        let got = self
            .ask(method, path, body.map(|body| body.to_string()))
            .await;
        let mut outcome = json!({ "status": got.status, "body": got.body });
        if let Some(location) = got.headers.get("location") {
            outcome["location"] = json!(location);
        }
        outcome["typed"] = json!(got.headers.get("content-type"));
        self.note(name, outcome);
    }

    /// A probe of a list: how many rows, which, and in which order if `ordered`.
    async fn rows(&mut self, name: &str, path: &str, body: Value, ordered: bool) {
        let got = self.post(path, &body).await;
        let Some(rows) = got.body.as_array() else {
            return self.note(name, json!({ "status": got.status, "body": got.body }));
        };
        let mut names: Vec<&str> = rows
            .iter()
            .map(|row| row["name"].as_str().unwrap_or_default())
            .collect();
        if !ordered {
            names.sort_unstable();
        }
        let outcome = json!({ "status": got.status, "rows": rows.len(), "names": names });
        self.note(name, outcome);
    }

    /// A list of this suite's own flow runs.
    async fn runs(&mut self, name: &str, filter: Value, sort: Option<&str>) {
        let mut body = json!({ "flows": self.mine(), "flow_runs": filter });
        if let Some(sort) = sort {
            body["sort"] = json!(sort);
        }
        self.rows(name, "/flow_runs/filter", body, sort.is_some())
            .await;
    }

    /// This suite's own flows.
    fn mine(&self) -> Value {
        json!({ "id": { "any_": [self.id("flow a"), self.id("flow b"), self.id("flow c")] } })
    }

    async fn set(&mut self, run: &str, state: Value, force: bool) -> Got {
        let path = format!("/flow_runs/{}/set_state", self.id(run));
        self.post(&path, &json!({ "state": state, "force": force }))
            .await
    }

    async fn row(&self, run: &str) -> Value {
        self.ask("GET", &format!("/flow_runs/{}", self.id(run)), None)
            .await
            .body
    }
}

/// Due times of the scheduled runs; the second and third are a tie, the fourth has a microsecond.
const DUE: [&str; 4] = [
    "2099-01-01T00:00:00Z",
    "2099-01-02T00:00:00Z",
    "2099-01-02T00:00:00Z",
    "2099-01-03T00:00:00.000001Z",
];

/// Asks the server at `base_url` (with `/api`) every probe. `nonce` keeps two visits of one server apart.
pub(crate) async fn outcomes(base_url: &str, nonce: &str) -> BTreeMap<String, Value> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .build()
        .unwrap();
    let mut asker = Asker {
        client,
        base: base_url.to_owned(),
        nonce: nonce.to_owned(),
        known: BTreeMap::new(),
        outcomes: BTreeMap::new(),
        release: String::new(),
    };
    let release = asker.ask("GET", "/admin/version", None).await.body;
    asker.release = release.as_str().unwrap().to_owned();
    prepare(&mut asker).await;
    shapes(&mut asker).await;
    limits(&mut asker).await;
    refusals(&mut asker).await;
    filters(&mut asker).await;
    sorts(&mut asker).await;
    others(&mut asker).await;
    service(&mut asker).await;
    lives(&mut asker).await;
    verdicts(&mut asker).await;
    deletes(&mut asker).await;
    asker.outcomes
}

/// Three flows, two deployments, ten runs in all kinds of state.
async fn prepare(asker: &mut Asker) {
    let nonce = asker.nonce.clone();
    for (letter, tags) in [
        ("a", json!(["x", "y"])),
        ("b", json!(["y"])),
        ("c", json!([])),
    ] {
        let body = json!({ "name": format!("{nonce} {letter}"), "tags": tags });
        asker
            .make(&format!("flow {letter}"), "/flows/", &body)
            .await;
    }
    let schedules = json!([
        { "schedule": { "cron": "0 6 * * *", "timezone": "Europe/Berlin" } },
        { "schedule": { "interval": 3600, "anchor_date": "2099-01-01T00:00:00Z" }, "active": false },
        { "schedule": { "rrule": "FREQ=DAILY;COUNT=3" } },
    ]);
    let deployed = json!({
        "name": format!("{nonce} one"), "flow_id": asker.id("flow a"), "tags": ["x"],
        "parameters": { "n": 1.5, "deep": [null, { "k": "ü" }] }, "schedules": schedules,
    });
    asker
        .make("deployment one", "/deployments/", &deployed)
        .await;
    let two =
        json!({ "name": format!("{nonce} two"), "flow_id": asker.id("flow b"), "paused": true });
    asker.make("deployment two", "/deployments/", &two).await;
    for (number, due) in DUE.iter().enumerate() {
        let state = json!({ "type": "SCHEDULED", "state_details": { "scheduled_time": due } });
        let body = json!({
            "name": format!("s{number}"), "flow_id": asker.id("flow a"), "deployment_id": asker.id("deployment one"),
            "state": state, "tags": ["x", "y"], "idempotency_key": format!("{nonce}{number}"),
            "parameters": { "date": "2099", "list": [1, 2.5, true] },
        });
        asker
            .make(&format!("run s{number}"), "/flow_runs/", &body)
            .await;
    }
    let ends = [
        ("done", "COMPLETED"),
        ("failed", "FAILED"),
        ("crashed", "CRASHED"),
        ("running", "RUNNING"),
    ];
    for (name, state) in ends {
        let body = json!({ "name": name, "flow_id": asker.id("flow b"), "tags": ["y"] });
        asker
            .make(&format!("run {name}"), "/flow_runs/", &body)
            .await;
        asker
            .set(&format!("run {name}"), json!({ "type": "RUNNING" }), true)
            .await;
        if state != "RUNNING" {
            asker
                .set(
                    &format!("run {name}"),
                    json!({ "type": state, "message": "m" }),
                    true,
                )
                .await;
        }
    }
    for name in ["waiting", "spare"] {
        asker
            .make(
                &format!("run {name}"),
                "/flow_runs/",
                &json!({ "name": name, "flow_id": asker.id("flow c") }),
            )
            .await;
    }
}

/// One whole object of each kind.
async fn shapes(asker: &mut Asker) {
    for label in ["run s0", "run s3", "run done", "run running", "run waiting"] {
        let path = format!("/flow_runs/{}", asker.id(label));
        asker
            .whole(&format!("shape/{label}"), "GET", &path, None)
            .await;
    }
    for (label, collection) in [
        ("flow a", "flows"),
        ("deployment one", "deployments"),
        ("deployment two", "deployments"),
    ] {
        let path = format!("/{collection}/{}", asker.id(label));
        asker
            .whole(&format!("shape/{label}"), "GET", &path, None)
            .await;
    }
    let body = json!({ "flow_runs": { "id": { "any_": [asker.id("run s1")] } } });
    asker
        .whole("shape/in a list", "POST", "/flow_runs/filter", Some(body))
        .await;
}

async fn limits(asker: &mut Asker) {
    for collection in ["flows", "flow_runs", "deployments"] {
        let path = format!("/{collection}/filter");
        for limit in [201, -1, 0] {
            let name = format!("limit/{collection} {limit}");
            asker
                .whole(&name, "POST", &path, Some(json!({ "limit": limit })))
                .await;
        }
        asker
            .whole(
                &format!("offset/{collection} negative"),
                "POST",
                &path,
                Some(json!({ "offset": -1 })),
            )
            .await;
        asker
            .whole(
                &format!("offset/{collection} far"),
                "POST",
                &path,
                Some(json!({ "offset": 1_000_000 })),
            )
            .await;
    }
    for (name, limit) in [
        ("fraction", json!(1.5)),
        ("word", json!("x")),
        ("boolean", json!(true)),
        ("text", json!("2")),
    ] {
        let body = json!({ "limit": limit, "flows": asker.mine(), "sort": "NAME_ASC" });
        asker
            .rows(&format!("limit/{name}"), "/flow_runs/filter", body, true)
            .await;
    }
    asker
        .whole(
            "offset/word",
            "POST",
            "/flow_runs/filter",
            Some(json!({ "offset": "x" })),
        )
        .await;
    let nulls = json!({ "limit": null, "offset": null, "sort": null, "flow_runs": null, "flows": asker.mine() });
    asker.rows("nulls", "/flow_runs/filter", nulls, false).await;
    for (offset, limit) in [(0, 3), (3, 3), (9, 3), (10, 3)] {
        let body =
            json!({ "flows": asker.mine(), "sort": "NAME_DESC", "offset": offset, "limit": limit });
        asker
            .rows(&format!("page/{offset}"), "/flow_runs/filter", body, true)
            .await;
    }
}

async fn refusals(asker: &mut Asker) {
    let after = json!({ "after_": "2026-01-01T00:00:00Z" });
    let bodies = [
        ("unknown key", json!({ "flow_runs": { "updated": after } })),
        (
            "unknown keys",
            json!({ "flow_runs": { "b": 1, "a": null, "id": { "zz": [] } }, "offset": -1, "sort": "X" }),
        ),
        (
            "unknown inner key",
            json!({ "flow_runs": { "start_time": { "zz": 1 } } }),
        ),
        (
            "unknown key of another",
            json!({ "flows": { "updated": 1 } }),
        ),
        ("operator", json!({ "flow_runs": { "operator": "xor_" } })),
        ("sort", json!({ "sort": "UPDATED_DESC" })),
        (
            "sort and limit",
            json!({ "sort": "UPDATED_DESC", "limit": 1000 }),
        ),
        ("id", json!({ "flow_runs": { "id": { "any_": ["nope"] } } })),
        (
            "no list",
            json!({ "flow_runs": { "id": { "any_": "nope" } } }),
        ),
        (
            "state type",
            json!({ "flow_runs": { "state": { "type": { "any_": ["COMPLETED", "BOGUS"] } } } }),
        ),
        (
            "time",
            json!({ "flow_runs": { "start_time": { "after_": "garbage" } } }),
        ),
    ];
    for (name, body) in bodies {
        asker
            .whole(
                &format!("refused/{name}"),
                "POST",
                "/flow_runs/filter",
                Some(body),
            )
            .await;
    }
    refused_elsewhere(asker).await;
}

async fn refused_elsewhere(asker: &mut Asker) {
    for collection in ["flows", "deployments"] {
        let path = format!("/{collection}/filter");
        asker
            .whole(
                &format!("refused/{collection} sort"),
                "POST",
                &path,
                Some(json!({ "sort": "ID_DESC" })),
            )
            .await;
        let body = json!({ collection: { "updated": 1 } });
        asker
            .whole(
                &format!("refused/{collection} key"),
                "POST",
                &path,
                Some(body),
            )
            .await;
    }
    let body = json!({ "flow_runs": { "zz": 1 } });
    asker
        .whole("refused/count", "POST", "/flow_runs/count", Some(body))
        .await;
    asker
        .whole(
            "refused/flow without name",
            "POST",
            "/flows/",
            Some(json!({})),
        )
        .await;
    asker
        .whole(
            "refused/run without flow",
            "POST",
            "/flow_runs/",
            Some(json!({})),
        )
        .await;
    let nil = "00000000-0000-0000-0000-000000000000";
    asker
        .whole(
            "refused/run of no flow",
            "POST",
            "/flow_runs/",
            Some(json!({ "flow_id": nil })),
        )
        .await;
    let bogus = asker
        .set("run spare", json!({ "type": "BOGUS" }), true)
        .await;
    asker.note(
        "refused/state",
        json!({ "status": bogus.status, "body": bogus.body }),
    );
    let malformed = asker
        .ask("POST", "/flow_runs/filter", Some("{bad".to_owned()))
        .await;
    let keys: Vec<&String> = malformed.body.as_object().unwrap().keys().collect();
    asker.note(
        "refused/malformed",
        json!({ "status": malformed.status, "keys": keys }),
    );
}

/// Filters by what a run is.
fn plain_filters(asker: &Asker) -> Vec<(&'static str, Value)> {
    let id = |label: &str| asker.id(label);
    vec![
        (
            "id",
            json!({ "id": { "any_": [id("run s0"), id("run done")] } }),
        ),
        ("not id", json!({ "id": { "not_any_": [id("run s0")] } })),
        ("none_of_an_empty_list", json!({ "id": { "not_any_": [] } })),
        ("empty list", json!({ "id": { "any_": [] } })),
        (
            "name",
            json!({ "name": { "any_": ["s1", "done", "nobody"] } }),
        ),
        ("name like", json!({ "name": { "like_": "AI" } })),
        ("tags all", json!({ "tags": { "all_": ["y", "x"] } })),
        ("tags any", json!({ "tags": { "any_": ["x"] } })),
        ("tags none", json!({ "tags": { "is_null_": true } })),
        (
            "deployment",
            json!({ "deployment_id": { "any_": [id("deployment one")] } }),
        ),
        (
            "no deployment",
            json!({ "deployment_id": { "is_null_": true } }),
        ),
        (
            "state type",
            json!({ "state": { "type": { "any_": ["FAILED", "CRASHED"] } } }),
        ),
        (
            "state not type",
            json!({ "state": { "type": { "not_any_": ["SCHEDULED", "PENDING"] } } }),
        ),
        (
            "state name",
            json!({ "state": { "name": { "any_": ["Scheduled"] } } }),
        ),
        (
            "state both",
            json!({ "state": { "name": { "any_": ["Failed"] }, "type": { "any_": ["CRASHED"] } } }),
        ),
        (
            "state either",
            json!({ "state": { "operator": "or_", "name": { "any_": ["Failed"] }, "type": { "any_": ["CRASHED"] } } }),
        ),
        (
            "parent",
            json!({ "parent_task_run_id": { "is_null_": true } }),
        ),
        (
            "no parent",
            json!({ "parent_task_run_id": { "is_null_": false } }),
        ),
    ]
}

/// A bound at an exact time.
fn exactly(key: &str, at: DateTime<Utc>) -> Value {
    json!({ key: at.to_rfc3339_opts(chrono::SecondsFormat::Micros, true) })
}

/// Filters by times; `ended` is when one of the runs did.
fn time_filters(ended: DateTime<Utc>) -> Vec<(&'static str, Value)> {
    let one = TimeDelta::microseconds(1);
    vec![
        (
            "due from",
            json!({ "expected_start_time": { "after_": DUE[1] } }),
        ),
        (
            "due to",
            json!({ "expected_start_time": { "before_": DUE[1] } }),
        ),
        (
            "due at",
            json!({ "expected_start_time": { "after_": DUE[3], "before_": DUE[3] } }),
        ),
        (
            "due after",
            json!({ "expected_start_time": { "after_": "2099-01-03T00:00:00.000002Z" } }),
        ),
        (
            "due elsewhere",
            json!({ "expected_start_time": { "after_": "2099-01-03T05:00:00.000001+05:00" } }),
        ),
        (
            "due naive",
            json!({ "expected_start_time": { "after_": "2099-01-03T00:00:00" } }),
        ),
        (
            "due date",
            json!({ "expected_start_time": { "after_": "2099-01-03" } }),
        ),
        (
            "due nanoseconds",
            json!({ "expected_start_time": { "after_": "2099-01-03T00:00:00.000001999Z" } }),
        ),
        (
            "due number",
            json!({ "expected_start_time": { "after_": 4_070_908_800_i64 } }),
        ),
        (
            "next due",
            json!({ "next_scheduled_start_time": { "after_": DUE[0], "before_": DUE[1] } }),
        ),
        ("start from", json!({ "start_time": { "after_": DUE[1] } })),
        ("not started", json!({ "start_time": { "is_null_": true } })),
        ("started", json!({ "start_time": { "is_null_": false } })),
        (
            "started text",
            json!({ "start_time": { "is_null_": "yes" } }),
        ),
        ("end from", json!({ "end_time": exactly("after_", ended) })),
        (
            "end after",
            json!({ "end_time": exactly("after_", ended + one) }),
        ),
        ("end to", json!({ "end_time": exactly("before_", ended) })),
        (
            "end before",
            json!({ "end_time": exactly("before_", ended - one) }),
        ),
        ("not ended", json!({ "end_time": { "is_null_": true } })),
        (
            "ended and not",
            json!({ "end_time": { "is_null_": true, "after_": "2020-01-01T00:00:00Z" } }),
        ),
    ]
}

/// Filters joined by an operator.
fn joined_filters(asker: &Asker, ended: DateTime<Utc>) -> Vec<(&'static str, Value)> {
    let one = TimeDelta::microseconds(1);
    let open = json!(["SCHEDULED", "PENDING", "RUNNING", "PAUSED", "CANCELLING"]);
    vec![
        (
            "ended or open",
            json!({ "operator": "or_", "end_time": exactly("after_", ended + one), "state": { "type": { "any_": open } } }),
        ),
        (
            "either",
            json!({ "operator": "or_", "name": { "any_": ["done"] }, "state": { "type": { "any_": ["SCHEDULED"] } } }),
        ),
        ("either of nothing", json!({ "operator": "or_" })),
        (
            "both",
            json!({ "operator": "and_", "name": { "any_": ["done"] }, "state": { "type": { "any_": ["SCHEDULED"] } } }),
        ),
        ("nothing", json!({})),
        (
            "nulls",
            json!({ "id": null, "state": { "type": null }, "start_time": { "after_": null } }),
        ),
        (
            "idempotency",
            json!({ "idempotency_key": { "any_": [format!("{}1", asker.nonce)] } }),
        ),
    ]
}

async fn filters(asker: &mut Asker) {
    let ended = asker.row("run failed").await["end_time"]
        .as_str()
        .unwrap()
        .to_owned();
    let ended: DateTime<Utc> = ended.parse().unwrap();
    let mut cases = plain_filters(asker);
    cases.extend(time_filters(ended));
    cases.extend(joined_filters(asker, ended));
    for (name, filter) in cases {
        asker
            .runs(&format!("filter/{name}"), filter.clone(), None)
            .await;
        let body = json!({ "flows": asker.mine(), "flow_runs": filter });
        asker
            .whole(
                &format!("count/{name}"),
                "POST",
                "/flow_runs/count",
                Some(body),
            )
            .await;
    }
    let body =
        json!({ "flow_run": { "name": { "any_": ["done"] } }, "flows": asker.mine(), "bogus": 1 });
    asker
        .rows(
            "filter/unknown top-level keys",
            "/flow_runs/filter",
            body,
            false,
        )
        .await;
}

async fn sorts(asker: &mut Asker) {
    asker
        .runs("sort/NAME_ASC", json!({}), Some("NAME_ASC"))
        .await;
    asker
        .runs(
            "sort/END_TIME_DESC",
            json!({ "state": { "type": { "any_": ["COMPLETED", "FAILED", "CRASHED"] } } }),
            Some("END_TIME_DESC"),
        )
        .await;
    // Ties and nulls may come in any order: their keys are compared.
    let keys = [
        ("EXPECTED_START_TIME_ASC", "expected_start_time"),
        ("EXPECTED_START_TIME_DESC", "expected_start_time"),
        ("NEXT_SCHEDULED_START_TIME_ASC", "next_scheduled_start_time"),
        ("END_TIME_DESC", "end_time"),
        ("START_TIME_ASC", "start_time"),
        ("START_TIME_DESC", "start_time"),
    ];
    for (sort, key) in keys {
        let body = json!({ "flows": asker.mine(), "sort": sort });
        let got = asker.post("/flow_runs/filter", &body).await;
        let values: Vec<&Value> = got
            .body
            .as_array()
            .unwrap()
            .iter()
            .map(|row| &row[key])
            .collect();
        asker.note(&format!("sort/keys of {sort}"), json!(values));
    }
    let mut ids: Vec<String> = Vec::new();
    let got = asker
        .post("/flow_runs/filter", &json!({ "flows": asker.mine() }))
        .await;
    ids.extend(
        got.body
            .as_array()
            .unwrap()
            .iter()
            .map(|row| row["id"].as_str().unwrap().to_owned()),
    );
    asker.note(
        "sort/ids fall by default",
        json!(ids.windows(2).all(|pair| pair[0] > pair[1])),
    );
}

async fn others(asker: &mut Asker) {
    for collection in ["flows", "deployments"] {
        let path = format!("/{collection}/filter");
        let mine = json!({ "like_": asker.nonce });
        for sort in ["NAME_ASC", "NAME_DESC", "CREATED_DESC", "UPDATED_DESC"] {
            let body = json!({ collection: { "name": mine }, "sort": sort });
            asker
                .rows(&format!("{collection}/{sort}"), &path, body, true)
                .await;
        }
        for (name, filter) in [
            (
                "all tags",
                json!({ "name": mine, "tags": { "all_": ["x"] } }),
            ),
            (
                "no tags",
                json!({ "name": mine, "tags": { "is_null_": true } }),
            ),
            ("no ids", json!({ "id": { "any_": [] } })),
        ] {
            asker
                .rows(
                    &format!("{collection}/{name}"),
                    &path,
                    json!({ collection: filter }),
                    false,
                )
                .await;
            let count = format!("/{collection}/count");
            asker
                .whole(
                    &format!("{collection}/count {name}"),
                    "POST",
                    &count,
                    Some(json!({ collection: filter })),
                )
                .await;
        }
    }
    let paused =
        json!({ "deployments": { "name": { "like_": asker.nonce }, "paused": { "eq_": true } } });
    asker
        .rows("deployments/paused", "/deployments/filter", paused, false)
        .await;
    let by_flow = json!({ "flows": { "id": { "any_": [asker.id("flow a")] } } });
    asker
        .rows("deployments/by flow", "/deployments/filter", by_flow, false)
        .await;
    let by_deployment =
        json!({ "deployments": { "id": { "any_": [asker.id("deployment one")] } } });
    asker
        .rows(
            "flows/by deployment",
            "/flows/filter",
            by_deployment.clone(),
            false,
        )
        .await;
    asker
        .rows(
            "runs/by deployment",
            "/flow_runs/filter",
            by_deployment,
            false,
        )
        .await;
    let by_run = json!({ "flow_runs": { "id": { "any_": [asker.id("run done")] } } });
    asker
        .rows("flows/by run", "/flows/filter", by_run, false)
        .await;
}

async fn service(asker: &mut Asker) {
    let nil = "00000000-0000-0000-0000-000000000000";
    let gets = [
        "/health",
        "/ready",
        "/version",
        "/hello",
        "/admin/version",
        "/csrf-token",
        "/csrf-token?client=x",
        "/nope",
        "/flows/",
        "/flow_runs/filter",
        "/flow_runs/zz",
    ];
    for path in gets {
        asker.whole(&format!("get{path}"), "GET", path, None).await;
    }
    for collection in ["flows", "flow_runs", "deployments"] {
        asker
            .whole(
                &format!("get/{collection} unknown"),
                "GET",
                &format!("/{collection}/{nil}"),
                None,
            )
            .await;
        asker
            .whole(
                &format!("delete/{collection} unknown"),
                "DELETE",
                &format!("/{collection}/{nil}"),
                None,
            )
            .await;
        asker
            .whole(
                &format!("slash/{collection}"),
                "POST",
                &format!("/{collection}/filter/"),
                Some(json!({})),
            )
            .await;
        asker
            .whole(
                &format!("no slash/{collection}"),
                "POST",
                &format!("/{collection}"),
                Some(json!({})),
            )
            .await;
    }
    asker
        .whole(
            "patch unknown",
            "PATCH",
            &format!("/flow_runs/{nil}"),
            Some(json!({ "name": "x" })),
        )
        .await;
    let state = json!({ "state": { "type": "RUNNING" } });
    asker
        .whole(
            "set_state unknown",
            "POST",
            &format!("/flow_runs/{nil}/set_state"),
            Some(state),
        )
        .await;
    let empty = asker.ask("POST", "/flow_runs/count", None).await;
    asker.note(
        "no body",
        json!({ "status": empty.status, "number": empty.body.is_number() }),
    );
    let got = asker.ask("GET", "/health", None).await;
    let headers =
        ["content-length", "content-type", "transfer-encoding"].map(|name| got.headers.get(name));
    asker.note(
        "headers",
        json!({ "headers": headers, "date": got.headers.contains_key("date") }),
    );
}

/// What of a run a change moved.
fn moved(before: &Value, after: &Value) -> Map<String, Value> {
    let mut moved = Map::new();
    for key in [
        "updated",
        "end_time",
        "start_time",
        "expected_start_time",
        "state_id",
    ] {
        moved.insert(key.to_owned(), json!(before[key] != after[key]));
    }
    for key in [
        "state_type",
        "state_name",
        "run_count",
        "next_scheduled_start_time",
        "name",
        "tags",
        "parameters",
    ] {
        moved.insert(key.to_owned(), after[key].clone());
    }
    for key in ["end_time", "start_time"] {
        moved.insert(format!("has {key}"), json!(!after[key].is_null()));
    }
    moved
}

/// A run's life, step by step.
async fn lives(asker: &mut Asker) {
    asker
        .make(
            "run life",
            "/flow_runs/",
            &json!({ "name": "life", "flow_id": asker.id("flow c") }),
        )
        .await;
    let steps = [
        ("SCHEDULED", "", true),
        ("SCHEDULED", "Late", true),
        ("PENDING", "", true),
        ("PENDING", "", false),
        ("RUNNING", "", false),
        ("PAUSED", "", false),
        ("RUNNING", "", false),
        ("FAILED", "", false),
        ("COMPLETED", "Cached", false),
        ("CRASHED", "", false),
        ("CANCELLED", "", true),
        ("SCHEDULED", "AwaitingRetry", true),
        ("RUNNING", "Retrying", true),
        ("PENDING", "", false),
        ("CANCELLING", "", true),
        ("COMPLETED", "", false),
        ("CANCELLED", "", false),
    ];
    for (number, (kind, name, force)) in steps.into_iter().enumerate() {
        let before = asker.row("run life").await;
        let mut state = json!({ "type": kind });
        if kind == "SCHEDULED" {
            state["state_details"] = json!({ "scheduled_time": DUE[0] });
        }
        if !name.is_empty() {
            state["name"] = json!(name);
        }
        let got = asker.set("run life", state, force).await;
        let after = asker.row("run life").await;
        let outcome = json!({
            "status": got.status, "verdict": got.body["status"], "details": got.body["details"],
            "state": got.body["state"]["type"], "moved": moved(&before, &after),
        });
        asker.note(&format!("life/{number:02} {kind} {name}"), outcome);
    }
    let path = format!("/flow_runs/{}", asker.id("run life"));
    for (name, body) in [
        ("rename", json!({ "name": "other" })),
        ("same name", json!({ "name": "other" })),
        ("tags", json!({ "tags": ["z"] })),
        ("parameters", json!({ "parameters": { "p": 1 } })),
        ("unknown key", json!({ "bogus": 1 })),
    ] {
        let before = asker.row("run life").await;
        let got = asker.ask("PATCH", &path, Some(body.to_string())).await;
        let after = asker.row("run life").await;
        asker.note(
            &format!("edit/{name}"),
            json!({ "status": got.status, "body": got.body, "moved": moved(&before, &after) }),
        );
    }
    for kind in ["COMPLETED", "CANCELLED", "RUNNING", "PAUSED"] {
        let body =
            json!({ "name": "born", "flow_id": asker.id("flow c"), "state": { "type": kind } });
        asker
            .whole(&format!("born/{kind}"), "POST", "/flow_runs/", Some(body))
            .await;
    }
    let body = json!({ "name": "twin", "flow_id": asker.id("flow a"), "idempotency_key": format!("{}0", asker.nonce) });
    asker
        .whole("born/twin", "POST", "/flow_runs/", Some(body))
        .await;
    let body = json!({ "name": format!("{} a", asker.nonce), "tags": ["other"] });
    asker
        .whole("born/flow twin", "POST", "/flows/", Some(body))
        .await;
    let body = json!({ "name": format!("{} two", asker.nonce), "flow_id": asker.id("flow b") });
    asker
        .whole("born/deployment twin", "POST", "/deployments/", Some(body))
        .await;
}

/// Every change of state that is not forced.
async fn verdicts(asker: &mut Asker) {
    for from in StateType::ALL {
        for to in StateType::ALL {
            let label = format!("{} to {}", from.text(), to.text());
            let body = json!({ "name": "verdict", "flow_id": asker.id("flow c") });
            asker.make(&label, "/flow_runs/", &body).await;
            for kind in [StateType::Running, from] {
                asker
                    .set(&label, json!({ "type": kind.text() }), true)
                    .await;
            }
            let got = asker.set(&label, json!({ "type": to.text() }), false).await;
            let after = asker.row(&label).await;
            let outcome = json!({
                "status": got.status, "verdict": got.body["status"], "details": got.body["details"],
                "state": after["state_type"], "name": after["state_name"], "runs": after["run_count"],
                "ended": !after["end_time"].is_null(),
            });
            asker.note(&format!("verdict/{label}"), outcome);
        }
    }
}

async fn deletes(asker: &mut Asker) {
    let path = format!("/flow_runs/{}", asker.id("run spare"));
    asker.whole("delete/run", "DELETE", &path, None).await;
    asker.whole("delete/run again", "DELETE", &path, None).await;
    asker.whole("delete/run read", "GET", &path, None).await;
    let life = format!("/flow_runs/{}/set_state", asker.id("run s0"));
    asker
        .post(
            &life,
            &json!({ "state": { "type": "RUNNING" }, "force": true }),
        )
        .await;
    let before = asker.row("run s0").await;
    asker
        .whole(
            "delete/deployment",
            "DELETE",
            &format!("/deployments/{}", asker.id("deployment one")),
            None,
        )
        .await;
    asker
        .runs("delete/runs after the deployment", json!({}), None)
        .await;
    let after = asker.row("run s0").await;
    let outcome = json!({ "deployment_id": after["deployment_id"], "moved": before["updated"] != after["updated"] });
    asker.note("delete/run of the deployment", outcome);
    asker
        .whole(
            "delete/flow",
            "DELETE",
            &format!("/flows/{}", asker.id("flow a")),
            None,
        )
        .await;
    asker
        .runs("delete/runs after the flow", json!({}), None)
        .await;
    for flow in ["flow b", "flow c"] {
        asker
            .ask("DELETE", &format!("/flows/{}", asker.id(flow)), None)
            .await;
    }
    asker.runs("delete/nothing is left", json!({}), None).await;
}

/// A clock that is two milliseconds later at each look.
struct Ticking(AtomicI64);

impl Clock for Ticking {
    fn now(&self) -> DateTime<Utc> {
        let ticks = self.0.fetch_add(1, Ordering::SeqCst);
        population::fixed_now() + TimeDelta::microseconds(ticks * 2_001)
    }

    fn sleep(
        &self,
        _: std::time::Duration,
    ) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(std::future::ready(()))
    }
}

async fn demo(capabilities: &versions::Capabilities) -> Server {
    let mut options = Options::of(Population::empty(7, population::fixed_now()));
    options.settings.capabilities = capabilities.clone();
    options.clock = Some(Arc::new(Ticking(AtomicI64::new(0))));
    Server::start(options).await.unwrap()
}

/// The demo server's outcomes as `capabilities`.
async fn demo_outcomes(capabilities: &versions::Capabilities) -> BTreeMap<String, Value> {
    let server = demo(capabilities).await;
    outcomes(&server.url(), "probe").await
}

#[tokio::test]
async fn every_release_answers_every_probe() {
    for capabilities in versions::ALL {
        let outcomes = demo_outcomes(capabilities).await;
        let broken: Vec<_> = outcomes
            .iter()
            .filter(|(_, o)| o["status"].as_u64().is_some_and(|s| s >= 500))
            .collect();
        assert!(
            outcomes.len() > 200 && broken.is_empty(),
            "{}: {broken:#?}",
            capabilities.release
        );
        assert_eq!(outcomes["delete/nothing is left"]["rows"], 0);
    }
}

#[tokio::test]
async fn releases_differ_where_they_should() {
    let (new, old) = (
        demo_outcomes(&versions::V3_8).await,
        demo_outcomes(&versions::V2_20).await,
    );
    assert_eq!(
        new["filter/end from"]["names"],
        json!(["crashed", "failed"])
    );
    assert_eq!(new["filter/end after"]["names"], json!(["crashed"]));
    assert_eq!(old["filter/end from"]["status"], 422);
    assert_eq!(
        demo_outcomes(&versions::V3_0).await["filter/end from"]["status"],
        422
    );
    assert_eq!(new["get/flow_runs/filter"]["status"], 405);
    assert_eq!(old["get/flow_runs/filter"]["status"], 422);
    assert!(new["shape/flow a"]["body"].get("labels").is_some());
    assert!(old["shape/flow a"]["body"].get("labels").is_none());
    assert!(
        old["shape/deployment one"]["body"]
            .get("infra_overrides")
            .is_some()
    );
}

#[tokio::test]
async fn same_as_prefect_3() {
    same_as_a_real_server(Generation::Three).await;
}

#[tokio::test]
async fn same_as_prefect_2() {
    same_as_a_real_server(Generation::Two).await;
}

async fn same_as_a_real_server(generation: Generation) {
    let server = PrefectServer::start(generation).await;
    let real = outcomes(server.url(), "probe").await;
    let release = real["get/admin/version"]["body"]
        .as_str()
        .unwrap()
        .to_owned();
    let number = |release: &str| release.split('.').take(2).collect::<Vec<_>>().join(".");
    let played = versions::ALL
        .into_iter()
        .find(|c| number(c.release) == number(&release))
        .unwrap();
    let demo = demo_outcomes(played).await;
    let names: std::collections::BTreeSet<&String> = real.keys().chain(demo.keys()).collect();
    let different: Vec<String> = names
        .into_iter()
        .filter(|name| real.get(*name) != demo.get(*name) && *name != "get/admin/version")
        .map(|name| format!("{name}\n   real {}\n   demo {}", real[name], demo[name]))
        .collect();
    assert!(
        different.is_empty(),
        "{} of {} differ:\n{}",
        different.len(),
        real.len(),
        different.join("\n")
    );
}
