//! Everything that a server's API lists, by table, fetched without any code of the connector.

use std::collections::{BTreeMap, BTreeSet};

use fivetran_source::tables::Table;
use serde_json::{Value, json, value::RawValue};

use super::workspace::Workspace;

/// The number of objects on a page.
const PAGE: usize = 200;

/// The objects of a workspace that does not change, by table.
pub(crate) struct Everything<'a> {
    workspace: &'a Workspace,
    /// The collections that were listed already.
    lists: BTreeMap<String, Vec<Box<RawValue>>>,
}

impl<'a> Everything<'a> {
    pub(crate) fn new(workspace: &'a Workspace) -> Self {
        Self {
            workspace,
            lists: BTreeMap::new(),
        }
    }

    /// Returns the expected rows of a table; `None` if the server has no such collection.
    pub(crate) async fn rows_of(&mut self, table: &Table) -> Option<Vec<Box<RawValue>>> {
        match table.name {
            "workers" => Some(self.workers().await),
            "deployment_schedules" => Some(self.schedules().await),
            "task_run_dependencies" => Some(self.dependencies().await),
            "events" => self.events(&json!({})).await,
            "flow_run_state_history" => {
                let names = json!({
                    "prefix": ["prefect.flow-run."],
                    "exclude_name": ["prefect.flow-run.heartbeat"],
                });
                match self.events(&names).await {
                    Some(events) => Some(events.iter().map(|event| state_of(event)).collect()),
                    None => Some(self.states().await),
                }
            }
            "server_info" => Some(vec![self.server().await]),
            _ => self.list(table.endpoint).await,
        }
    }

    /// Lists a collection; returns `None` if the server does not have it.
    async fn list(&mut self, path: &str) -> Option<Vec<Box<RawValue>>> {
        if let Some(list) = self.lists.get(path) {
            return Some(list.clone());
        }
        let mut rows: Vec<Box<RawValue>> = Vec::new();
        loop {
            let body = json!({"limit": PAGE, "offset": rows.len()});
            let text = self.post(&format!("{path}/filter"), &body).await?;
            let page: Vec<Box<RawValue>> = serde_json::from_str(&text).unwrap();
            let is_last = page.len() < PAGE;
            rows.extend(page);
            if is_last {
                break;
            }
        }
        let ids: BTreeSet<String> = rows.iter().map(|row| id_of(row)).collect();
        assert_eq!(ids.len(), rows.len(), "{path} moved while listed");
        self.lists.insert(path.to_owned(), rows.clone());
        Some(rows)
    }

    async fn post(&self, path: &str, body: &Value) -> Option<String> {
        self.workspace.post_if_there(path, body).await
    }

    async fn workers(&mut self) -> Vec<Box<RawValue>> {
        let mut workers = Vec::new();
        for pool in self.list("/work_pools").await.unwrap() {
            let pool: Value = serde_json::from_str(pool.get()).unwrap();
            let path = format!("/work_pools/{}/workers", pool["name"].as_str().unwrap());
            workers.extend(self.list(&path).await.unwrap());
        }
        workers
    }

    async fn schedules(&mut self) -> Vec<Box<RawValue>> {
        #[derive(serde::Deserialize)]
        struct Deployment {
            schedules: Vec<Box<RawValue>>,
        }
        let deployments = self.list("/deployments").await.unwrap();
        let deployments = deployments
            .iter()
            .map(|text| serde_json::from_str::<Deployment>(text.get()).unwrap());
        deployments.flat_map(|it| it.schedules).collect()
    }

    async fn dependencies(&mut self) -> Vec<Box<RawValue>> {
        let mut found = Vec::new();
        for run in self.list("/task_runs").await.unwrap() {
            let run: Value = serde_json::from_str(run.get()).unwrap();
            let id = run["id"].as_str().unwrap();
            for (argument, inputs) in run["task_inputs"].as_object().unwrap() {
                for (position, input) in inputs.as_array().unwrap().iter().enumerate() {
                    let upstream = match input["input_type"].as_str().unwrap() {
                        "task_run" => "upstream_task_run_id",
                        "flow_run" => "upstream_flow_run_id",
                        _ => continue,
                    };
                    let mut row = json!({
                        "id": format!("{id}/{argument}/{position}"), "task_run_id": id,
                        "argument": argument, "position": position,
                        "input_type": input["input_type"],
                    });
                    row[upstream] = input["id"].clone();
                    found.push(raw(&row));
                }
            }
        }
        found
    }

    async fn events(&mut self, names: &Value) -> Option<Vec<Box<RawValue>>> {
        #[derive(serde::Deserialize)]
        struct Page {
            events: Vec<Box<RawValue>>,
            next_page: Option<String>,
        }
        let since = "2020-01-01T00:00:00Z";
        let body = json!({"limit": 50, "filter": {"occurred": {"since": since}, "event": names}});
        let mut text = self.post("/events/filter", &body).await?;
        let mut events = Vec::new();
        loop {
            let page: Page = serde_json::from_str(&text).unwrap();
            events.extend(page.events.iter().map(|event| with_resource(event)));
            let Some(next) = page.next_page else {
                return Some(events);
            };
            let (_, path) = next.split_once("/api").unwrap();
            text = self.workspace.get(path).await.unwrap();
        }
    }

    /// Returns the states of the runs that started and ended.
    async fn states(&mut self) -> Vec<Box<RawValue>> {
        self.states_of(|run| !run["start_time"].is_null() && !run["end_time"].is_null())
            .await
    }

    /// Returns the states of these runs, with one request per run.
    pub(crate) async fn states_of(
        &mut self,
        wanted: impl Fn(&Value) -> bool,
    ) -> Vec<Box<RawValue>> {
        let mut states = Vec::new();
        for run in self.list("/flow_runs").await.unwrap() {
            let run: Value = serde_json::from_str(run.get()).unwrap();
            if !wanted(&run) {
                continue;
            }
            let id = run["id"].as_str().unwrap();
            let path = format!("/flow_run_states/?flow_run_id={id}");
            let text = self.workspace.get(&path).await.unwrap();
            let list: Vec<Value> = serde_json::from_str(&text).unwrap();
            for mut state in list {
                state["flow_run_id"] = id.into();
                states.push(raw(&state));
            }
        }
        states
    }

    /// Returns the expected row of `server_info`, without the columns that the connector finds out by trying.
    async fn server(&mut self) -> Box<RawValue> {
        let get = async |path: &str| -> Value {
            serde_json::from_str(&self.workspace.get(path).await.unwrap()).unwrap()
        };
        raw(&json!({
            "id": "server",
            "version": get("/admin/version").await,
            "api_version": get("/version").await,
        }))
    }
}

fn raw(value: &Value) -> Box<RawValue> {
    serde_json::value::to_raw_value(value).unwrap()
}

fn id_of(object: &RawValue) -> String {
    let object: Value = serde_json::from_str(object.get()).unwrap();
    object["id"].as_str().unwrap().to_owned()
}

/// Copies two labels of an event's resource into fields that columns can name.
fn with_resource(event: &RawValue) -> Box<RawValue> {
    let parsed: Value = serde_json::from_str(event.get()).unwrap();
    let mut fields: BTreeMap<String, Box<RawValue>> = serde_json::from_str(event.get()).unwrap();
    for (name, label) in [
        ("resource_id", "prefect.resource.id"),
        ("resource_name", "prefect.resource.name"),
    ] {
        fields.insert(name.to_owned(), raw(&parsed["resource"][label]));
    }
    RawValue::from_string(serde_json::to_string(&fields).unwrap()).unwrap()
}

/// Returns the state that an event reports.
fn state_of(event: &RawValue) -> Box<RawValue> {
    let event: Value = serde_json::from_str(event.get()).unwrap();
    let resource = &event["resource"];
    let run = resource["prefect.resource.id"].as_str().unwrap();
    let count = resource["prefect.run-count"].as_str();
    let before = &event["payload"]["initial_state"];
    raw(&json!({
        "id": event["id"],
        "flow_run_id": run.replace("prefect.flow-run.", ""),
        "occurred": event["occurred"],
        "state_type": resource["prefect.state-type"],
        "state_name": resource["prefect.state-name"],
        "state_message": resource["prefect.state-message"],
        "from_state_type": before["type"],
        "from_state_name": before["name"],
        "run_count": count.map(|count| count.parse::<i64>().unwrap()),
    }))
}
