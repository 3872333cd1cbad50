//! Tests of the support code for real servers: a server is a real Prefect server, keeps the written objects, and ends
//! with its value.

use serde_json::{Value, json};

use crate::support::{
    prefect_server::{Generation, PrefectServer},
    workspace::{NewDeployment, NewRun, Schedule, State, Workspace},
};

#[tokio::test]
async fn prefect_3_keeps_what_is_written() {
    keeps_what_is_written(Generation::Three, "3.9.1").await;
}

#[tokio::test]
async fn prefect_2_keeps_what_is_written() {
    keeps_what_is_written(Generation::Two, "2.20.27").await;
}

#[tokio::test]
async fn prefect_3_on_postgresql_keeps_what_is_written() {
    let server = PrefectServer::start_on_postgres(Generation::Three).await;
    let reported = server.workspace().get("/admin/version").await.unwrap();
    assert_eq!(reported, "\"3.9.1\"");
    write_and_look(&server).await;
    assert!(server.holds("postgres/data/PG_VERSION") && !server.holds("prefect.db"));

    // The cluster stops and starts with the server, and keeps its data.
    let server = server.restart(&[]).await;
    let flows = server.workspace().list("/flows").await;
    assert_eq!(flows.len(), 1);
    assert_eq!(states(&server.workspace()).await, expected_states());
}

async fn keeps_what_is_written(generation: Generation, version: &str) {
    let server = PrefectServer::start(generation).await;
    let reported = server.workspace().get("/admin/version").await.unwrap();
    assert_eq!(reported, format!("\"{version}\""));
    write_and_look(&server).await;

    let url = server.url().to_owned();
    drop(server);
    let gone = Workspace::new(&url, generation).get("/ready").await;
    assert!(gone.is_err(), "the server outlives its value: {gone:?}");
}

async fn write_and_look(server: &PrefectServer) {
    let workspace = server.workspace();
    let flow = workspace.flow("flow ü", &["a"], json!({"k": 1})).await;
    let schedules = [
        (Schedule::Cron("0 6 * * *", "Europe/Berlin"), true),
        (Schedule::Interval(60.0), true),
        (Schedule::Rrule("FREQ=DAILY"), false),
    ];
    let new = NewDeployment {
        name: "d",
        flow: &flow,
        schedules: &schedules,
        ..NewDeployment::default()
    };
    let deployment = workspace.deployment(&new).await;
    workspace.set_schedule(&deployment, 0, false).await;
    for state in State::ALL {
        workspace.run_in(&NewRun::new(&flow, "r"), state).await;
    }

    assert_eq!(workspace.list("/flows").await.len(), 1);
    let deployments = workspace.list("/deployments").await;
    let deployment: Value = serde_json::from_str(deployments[0].get()).unwrap();
    assert_eq!(deployment["schedules"].as_array().unwrap().len(), 3);
    // Only the test creates runs, although two schedules are active.
    assert_eq!(states(&workspace).await, expected_states());
}

async fn states(workspace: &Workspace) -> Vec<String> {
    let mut states: Vec<_> = workspace
        .list("/flow_runs")
        .await
        .iter()
        .map(|run| {
            let run: Value = serde_json::from_str(run.get()).unwrap();
            run["state_name"].as_str().unwrap().to_owned()
        })
        .collect();
    states.sort();
    states
}

fn expected_states() -> Vec<String> {
    let mut names: Vec<_> = State::ALL
        .iter()
        .map(|state| format!("{state:?}"))
        .collect();
    names.sort();
    names
}
