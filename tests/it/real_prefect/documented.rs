//! The limitations of Prefect that `docs/SYNC.md` documents, on a real server.

use fivetran_source::tables;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{
    connector::Connector,
    everything::Everything,
    oracle,
    prefect_server::{Generation, PrefectServer},
    warehouse::{self, Cell, Contents},
    workspace::{NewDeployment, Schedule, Workspace},
};

/// The number of runs that a schedule creates.
const SCHEDULED: usize = 4;

async fn post(workspace: &Workspace, path: &str, body: Value) -> Value {
    let body = body.to_string();
    let answer = workspace.send_text(Method::POST, path, Some(&body));
    serde_json::from_str(&answer.await.unwrap()).unwrap_or_default()
}

async fn id_of(workspace: &Workspace, path: &str, body: Value) -> String {
    let made = post(workspace, path, body).await;
    made["id"].as_str().unwrap().to_owned()
}

fn contents(connector: &Connector, table: &str) -> Contents {
    let table = tables::find(table).unwrap();
    warehouse::contents(&warehouse::open(&connector.warehouse()), table)
}

/// Returns a run's cell in a column of the warehouse.
fn text_of(connector: &Connector, run: &str, column: &str) -> Cell {
    let position = tables::find("flow_runs").unwrap().position(column).unwrap();
    contents(connector, "flow_runs").rows[run][position].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_keeps_the_name_of_its_queue_when_that_changes() {
    let server = PrefectServer::start(Generation::Three).await;
    let workspace = server.workspace();
    let flow = workspace.flow("stage", &[], json!({})).await;
    let pool = json!({"name": "pool", "type": "process"});
    post(&workspace, "/work_pools/", pool).await;
    let queue = json!({"name": "before"});
    post(&workspace, "/work_pools/pool/queues", queue).await;
    let deployment = json!({
        "name": "daily", "flow_id": flow, "work_pool_name": "pool", "work_queue_name": "before",
        "entrypoint": "flows/orders.py:orders",
    });
    let deployment = id_of(&workspace, "/deployments/", deployment).await;
    let path = format!("/deployments/{deployment}/create_flow_run");
    let run = id_of(&workspace, &path, json!({})).await;
    for state in ["RUNNING", "COMPLETED"] {
        let body = json!({"state": {"type": state}, "force": true});
        post(&workspace, &format!("/flow_runs/{run}/set_state"), body).await;
    }
    // Ended so long ago that the next sync does not compare the run again.
    server.backdate(&run, 3_600).await;
    let connector = Connector::new(server.url(), 200);
    connector.sync_everything().await;
    let before = Cell::Text("before".to_owned());
    assert_eq!(text_of(&connector, &run, "work_queue_name"), before);

    let renamed = json!({"name": "after"});
    workspace
        .edit("/work_pools/pool/queues", "before", renamed)
        .await;
    let shown: Value =
        serde_json::from_str(&workspace.get(&format!("/flow_runs/{run}")).await.unwrap()).unwrap();
    assert_eq!(shown["work_queue_name"], "after");
    // The queue and the deployment are sent.
    let report = connector.sync_everything().await;
    assert_eq!(
        (report.count("Upserts"), report.count("Deletes")),
        (2, 0),
        "{report:?}"
    );
    assert_eq!(text_of(&connector, &run, "work_queue_name"), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_the_states_only_the_first_of_scheduled_runs_is_missing() {
    let server = PrefectServer::start(Generation::Three).await;
    let workspace = server.workspace();
    let flow = workspace.flow("stage", &[], json!({})).await;
    let new = NewDeployment {
        name: "daily",
        flow: &flow,
        schedules: &[(Schedule::Interval(86_400.0), true)],
        ..NewDeployment::default()
    };
    let deployment = workspace.deployment(&new).await;
    workspace.schedule_runs(&deployment, SCHEDULED as u64).await;
    let by_api = json!({"name": "by hand", "flow_id": flow, "state": {"type": "SCHEDULED"}});
    post(&workspace, "/flow_runs/", by_api).await;
    let runs = workspace.list("/flow_runs").await;
    assert_eq!(runs.len(), SCHEDULED + 1);
    for run in &runs {
        let run: Value = serde_json::from_str(run.get()).unwrap();
        let path = format!("/flow_runs/{}/set_state", run["id"].as_str().unwrap());
        for state in ["PENDING", "RUNNING", "COMPLETED"] {
            post(
                &workspace,
                &path,
                json!({"state": {"type": state}, "force": true}),
            )
            .await;
        }
    }
    server
        .has_events("prefect.flow-run.", 3 * SCHEDULED as u64 + 4)
        .await;
    let connector = Connector::new(server.url(), 200);
    connector.answer(&[
        ("api_url", server.url()),
        ("sync_flow_run_state_history", "true"),
    ]);
    connector.sync_everything().await;

    let have = contents(&connector, "flow_run_state_history");
    let mut missing = Vec::new();
    for state in Everything::new(&workspace).states_of(|_| true).await {
        let state: Value = serde_json::from_str(state.get()).unwrap();
        if !have.rows.contains_key(state["id"].as_str().unwrap()) {
            missing.push(state["type"].as_str().unwrap().to_owned());
        }
    }
    assert_eq!(missing, vec!["SCHEDULED"; SCHEDULED]);
    assert_eq!(have.rows.len(), 3 * SCHEDULED + 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_scheduled_for_the_last_microsecond_of_all_arrives() {
    let server = PrefectServer::start(Generation::Three).await;
    let workspace = server.workspace();
    let flow = workspace.flow("stage", &[], json!({})).await;
    let last = "9999-12-31T23:59:59.999999Z";
    let state = json!({"type": "SCHEDULED", "state_details": {"scheduled_time": last}});
    let body = json!({"name": "never", "flow_id": flow, "state": state});
    let run = id_of(&workspace, "/flow_runs/", body).await;
    let connector = Connector::new(server.url(), 200);
    connector.sync().await;
    assert!(contents(&connector, "flow_runs").rows.contains_key(&run));
    oracle::compare(&connector.warehouse(), &workspace).await;
    assert_eq!(connector.sync().await.count("Upserts"), 0);
}
