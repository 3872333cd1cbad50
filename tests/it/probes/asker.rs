//! Sends requests to a server, and replaces the values in its responses that differ between servers.

use std::collections::BTreeMap;

use chrono::DateTime;
use serde_json::{Value, json};

/// Probes that are not noted for a release, by the start of its number. (Releases before 3.7 leave a run that never ran
/// without times; their responses are compared like all others.)
const LACKING: [(&str, &str); 0] = [];

/// A response.
pub(super) struct Got {
    pub(super) status: u16,
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: Value,
}

/// The client of a server under test, with the outcomes of its probes.
pub(super) struct Asker {
    pub(super) client: reqwest::Client,
    pub(super) base: String,
    pub(super) nonce: String,
    /// The label of each known id.
    pub(super) known: BTreeMap<String, String>,
    pub(super) outcomes: BTreeMap<String, Value>,
    pub(super) release: String,
}

impl Asker {
    /// Sends a request, up to 50 times while the server is busy (503: its database is locked).
    pub(super) async fn ask(&self, method: &str, path: &str, body: Option<String>) -> Got {
        for _ in 0..50 {
            // After a 503 the server closes the connection, on which the next request may still fail.
            match self.ask_once(method, path, body.clone()).await {
                Ok(got) if got.status != 503 => return got,
                _ => {}
            }
        }
        panic!("{method} {path}: the server stays busy");
    }

    pub(super) async fn ask_once(
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

    pub(super) async fn post(&self, path: &str, body: &Value) -> Got {
        self.ask("POST", path, Some(body.to_string())).await
    }

    /// Creates an object and remembers its id under `label`.
    pub(super) async fn make(&mut self, label: &str, path: &str, body: &Value) -> Value {
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

    pub(super) fn id(&self, label: &str) -> String {
        self.known
            .iter()
            .find(|(_, known)| *known == label)
            .map(|(id, _)| id.clone())
            .unwrap()
    }

    #[expect(clippy::needless_pass_by_value, reason = "outcomes are made for it")]
    pub(super) fn note(&mut self, name: &str, outcome: Value) {
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

    /// Replaces values that differ between servers by placeholders.
    pub(super) fn normal(&self, key: &str, value: &Value) -> Value {
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

    pub(super) fn normal_text(&self, text: &str) -> String {
        if let Some(label) = self.known.get(text) {
            return format!("<{label}>");
        }
        let bytes = text.as_bytes();
        if text.len() == 36 && [8, 13, 18, 23].iter().all(|at| bytes[*at] == b'-') {
            return "<id>".to_owned();
        }
        // Times chosen by the probes are in 2099 and stay unchanged.
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

    /// Runs a probe whose complete response must agree.
    pub(super) async fn whole(
        &mut self,
        name: &str,
        method: &str,
        path: &str,
        body: Option<Value>,
    ) {
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

    /// Probes a list: the number of rows, their names, and their order if `ordered`.
    pub(super) async fn rows(&mut self, name: &str, path: &str, body: Value, ordered: bool) {
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

    /// Probes a list of this suite's own flow runs.
    pub(super) async fn runs(&mut self, name: &str, filter: Value, sort: Option<&str>) {
        let mut body = json!({ "flows": self.mine(), "flow_runs": filter });
        if let Some(sort) = sort {
            body["sort"] = json!(sort);
        }
        self.rows(name, "/flow_runs/filter", body, sort.is_some())
            .await;
    }

    /// Returns a filter for this suite's own flows.
    pub(super) fn mine(&self) -> Value {
        json!({ "id": { "any_": [self.id("flow a"), self.id("flow b"), self.id("flow c")] } })
    }

    pub(super) async fn set(&mut self, run: &str, state: Value, force: bool) -> Got {
        let path = format!("/flow_runs/{}/set_state", self.id(run));
        self.post(&path, &json!({ "state": state, "force": force }))
            .await
    }

    pub(super) async fn row(&self, run: &str) -> Value {
        self.ask("GET", &format!("/flow_runs/{}", self.id(run)), None)
            .await
            .body
    }
}

/// The due times of the scheduled runs. The second and third are equal; the fourth has a microsecond.
pub(super) const DUE: [&str; 4] = [
    "2099-01-01T00:00:00Z",
    "2099-01-02T00:00:00Z",
    "2099-01-02T00:00:00Z",
    "2099-01-03T00:00:00.000001Z",
];
