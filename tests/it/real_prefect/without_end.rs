//! Task runs that real clients leave without an end: sent, never marked as deleted, and not read forever.

use fivetran_source::tables;
use serde_json::Value;
use test_support::HttpProxy;

use crate::support::{
    connector::Connector,
    prefect_server::{Generation, PrefectServer},
    warehouse::{self, Cell, Contents},
};

/// The number of task runs that wait for the failed one.
const WAITING: usize = 40;

fn task_runs(connector: &Connector) -> Contents {
    let table = tables::find("task_runs").unwrap();
    warehouse::contents(&warehouse::open(&connector.warehouse()), table)
}

/// Returns a task run's cell in a column.
fn text<'a>(contents: &'a Contents, id: &str, column: &str) -> &'a Cell {
    let position = tables::find("task_runs").unwrap().position(column).unwrap();
    let row = contents.rows.get(id);
    &row.unwrap_or_else(|| panic!("no task run {id}"))[position]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_run_that_timed_out_without_an_end_time_arrives() {
    let server = PrefectServer::start(Generation::Three).await;
    let connector = Connector::new(server.url(), 200);
    connector.sync_everything().await;
    let made = server
        .run_script("client-3.1", "tasks_without_end.py", &["timed-out"])
        .await;
    assert_eq!(made["client"], "3.1.0");
    let task = &made["task_runs"][0];
    assert_eq!(task["end_time"], Value::Null, "this client sets it: {task}");

    connector.sync_everything().await;
    let contents = task_runs(&connector);
    let id = task["id"].as_str().unwrap();
    assert_eq!(
        text(&contents, id, "state_type"),
        &Cell::Text("FAILED".to_owned())
    );
    assert!(matches!(text(&contents, id, "start_time"), Cell::Micros(_)));
    assert_eq!(text(&contents, id, "end_time"), &Cell::Null);
    let third = connector.sync_everything().await;
    assert_eq!((third.count("Upserts"), third.count("Deletes")), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn task_runs_that_never_become_ready_end_with_their_flow_run() {
    let server = PrefectServer::start(Generation::Three).await;
    let proxy = HttpProxy::start(server.url()).await;
    let connector = Connector::new(proxy.url(), 200);
    connector.sync_everything().await;
    let number = WAITING.to_string();
    let made = server
        .run_script("3", "tasks_without_end.py", &["not-ready", &number])
        .await;
    connector.sync_everything().await;
    let waiting = |contents: &Contents| {
        let pending = Cell::Text("PENDING".to_owned());
        let ids = contents.rows.keys();
        ids.filter(|id| text(contents, id, "state_type") == &pending)
            .count()
    };
    let contents = task_runs(&connector);
    assert_eq!((waiting(&contents), contents.deleted.len()), (WAITING, 0));
    let quiet = connector.sync_everything().await;
    assert_eq!((quiet.count("Upserts"), quiet.count("Deletes")), (0, 0));

    // As under retention, the task runs are deleted with their ended flow run.
    let flow_run = made["flow_run"].as_str().unwrap();
    server.workspace().delete("/flow_runs", flow_run).await;
    proxy.take_exchanges();
    let after = connector.sync_everything().await;
    assert_eq!((after.count("Upserts"), after.count("Deletes")), (0, 0));
    let contents = task_runs(&connector);
    assert_eq!((waiting(&contents), contents.deleted.len()), (WAITING, 0));
    // No task run is requested by its id either.
    let exchanges = proxy.take_exchanges();
    assert!(!exchanges.is_empty(), "the requests were recorded");
    let looked_up: Vec<_> = exchanges
        .iter()
        .filter(|it| {
            it.path == "/task_runs/filter" && !it.request_body["task_runs"]["id"].is_null()
        })
        .collect();
    assert!(looked_up.is_empty(), "{looked_up:?}");
}
