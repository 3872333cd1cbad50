//! Three syncs of a workspace with all kinds of values: everything, then exactly the changes, then nothing.

use serde_json::json;

use crate::support::{
    connector::Connector,
    oracle,
    prefect_server::{Generation, PrefectServer},
    workspace::{NewDeployment, NewRun, Schedule, State, Workspace},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scenario_on_prefect_3() {
    scenario(Generation::Three).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scenario_on_prefect_2() {
    scenario(Generation::Two).await;
}

async fn scenario(generation: Generation) {
    let server = PrefectServer::start(generation).await;
    let workspace = server.workspace();
    // Small pages, so that even this small workspace has several of them.
    let connector = Connector::new(server.url(), 7);

    let cast = populate(&workspace).await;
    let first = connector.sync().await;
    let rows = cast.rows();
    assert_eq!(first.count("Upserts"), rows, "every row once: {first:?}");
    assert_eq!(first.count("Deletes"), 0, "{first:?}");
    oracle::compare(&connector.warehouse(), &workspace).await;

    let changed = change(&workspace, &cast).await;
    let second = connector.sync().await;
    assert_eq!(
        second.count("Upserts"),
        changed,
        "every changed row once, and no other: {second:?}"
    );
    oracle::compare(&connector.warehouse(), &workspace).await;

    let third = connector.sync().await;
    assert_eq!(third.count("Upserts"), 0, "nothing happened: {third:?}");
    assert_eq!(third.count("Deletes"), 0, "nothing happened: {third:?}");
    oracle::compare(&connector.warehouse(), &workspace).await;
}

/// The ids of the objects that the test created.
struct Cast {
    flows: Vec<String>,
    deployments: Vec<String>,
    /// One run for each of [`State::ALL`], in that order.
    runs: Vec<String>,
    /// More ended runs.
    others: Vec<String>,
}

impl Cast {
    fn rows(&self) -> u64 {
        let rows = self.flows.len() + self.deployments.len() + self.runs.len() + self.others.len();
        rows as u64
    }

    fn run(&self, state: State) -> &str {
        let position = State::ALL.iter().position(|each| *each == state);
        &self.runs[position.unwrap()]
    }
}

async fn populate(workspace: &Workspace) -> Cast {
    let flows = flows(workspace).await;
    let deployments = deployments(workspace, &flows).await;
    let mut runs = Vec::new();
    for state in State::ALL {
        let name = format!("run-{state:?}");
        let new = NewRun {
            parameters: parameters(),
            tags: &["täglich", "prod"],
            labels: json!({"team": "data", "tier": 1, "ratio": 0.1, "on": true}),
            deployment_id: Some(&deployments[0]),
            ..NewRun::new(&flows[0], &name)
        };
        runs.push(workspace.run_in(&new, state).await);
    }
    let mut others = Vec::new();
    for number in 0..5 {
        let name = format!("実行 {number} \"quoted\" \\ 🚀");
        let new = NewRun::new(&flows[number % flows.len()], &name);
        others.push(workspace.run_in(&new, State::Completed).await);
    }
    // A run that ended without ever having started.
    others.push(never_started(workspace, &flows[1]).await);
    Cast {
        flows,
        deployments,
        runs,
        others,
    }
}

async fn flows(workspace: &Workspace) -> Vec<String> {
    let mut flows = Vec::new();
    for (name, tags) in [
        ("orders", &["etl", "prod"][..]),
        ("überweisungen-ß", &["ünïcödé", "with space"]),
        ("注文 🚚", &[]),
    ] {
        flows.push(workspace.flow(name, tags, json!({"team": "数据"})).await);
    }
    flows
}

async fn deployments(workspace: &Workspace, flows: &[String]) -> Vec<String> {
    let scheduled = NewDeployment {
        name: "täglich",
        flow: &flows[0],
        schedules: &[
            (Schedule::Cron("0 6 * * *", "Europe/Berlin"), true),
            (Schedule::Interval(3600.0), true),
            (Schedule::Rrule("FREQ=WEEKLY;BYDAY=MO"), false),
        ],
        parameters: parameters(),
        job_variables: json!({"env": {"REGION": "eu", "EMPTY": ""}, "memory": 512}),
        tags: &["prod"],
        concurrency_limit: Some(2),
    };
    let plain = NewDeployment {
        name: "adhoc",
        flow: &flows[1],
        ..NewDeployment::default()
    };
    let doomed = NewDeployment {
        name: "doomed",
        flow: &flows[2],
        schedules: &[(Schedule::Interval(60.0), false)],
        ..NewDeployment::default()
    };
    let mut ids = Vec::new();
    for new in [scheduled, plain, doomed] {
        ids.push(workspace.deployment(&new).await);
    }
    ids
}

/// Returns nested parameters of many types, with integers up to 64 bits.
fn parameters() -> serde_json::Value {
    json!({
        "region": "eu",
        "max": i64::MAX,
        "min": i64::MIN,
        "beyond_a_double": 9_007_199_254_740_993_i64,
        "ratio": 1.1e-7,
        "none": null,
        "empty": {},
        "nested": {"list": [1, "zwei", null, {"three": [true, false]}], "ключ": "значение"},
        "text": "line\nbreak\ttab \"quote\" \\ / \u{2028} 🚀",
    })
}

async fn never_started(workspace: &Workspace, flow: &str) -> String {
    let run = workspace.run(&NewRun::new(flow, "never started")).await;
    workspace.set_state(&run, State::Cancelled).await;
    run
}

/// Changes the workspace, and returns the number of rows that the second sync must send.
async fn change(workspace: &Workspace, cast: &Cast) -> u64 {
    change_states(workspace, cast).await
        + edit_runs(workspace, cast).await
        + add_runs(workspace, cast).await
        + edit_flows_and_deployments(workspace, cast).await
}

async fn change_states(workspace: &Workspace, cast: &Cast) -> u64 {
    let moves = [
        // A run finishes, another one is retried, a third is cancelled.
        (State::Running, State::Completed),
        (State::Failed, State::AwaitingRetry),
        (State::Cancelling, State::Cancelled),
        // From one terminal state to another: `end_time` stays.
        (State::Crashed, State::Cancelled),
        (State::Completed, State::Failed),
    ];
    for (from, to) in moves {
        workspace.set_state(cast.run(from), to).await;
    }
    moves.len() as u64
}

async fn edit_runs(workspace: &Workspace, cast: &Cast) -> u64 {
    let edits = [
        (cast.run(State::Cached), json!({"name": "umbenannt 名"})),
        (cast.run(State::Paused), json!({"tags": ["neu", "täglich"]})),
        // A run that ended before the first sync.
        (&cast.others[0], json!({"tags": ["späte Änderung"]})),
    ];
    let count = edits.len() as u64;
    for (run, change) in edits {
        workspace.edit("/flow_runs", run, change).await;
    }
    count
}

async fn add_runs(workspace: &Workspace, cast: &Cast) -> u64 {
    let flow = &cast.flows[2];
    let states = [State::Completed, State::Running, State::Scheduled];
    for state in states {
        let name = format!("later-{state:?}");
        workspace.run_in(&NewRun::new(flow, &name), state).await;
    }
    never_started(workspace, flow).await;
    states.len() as u64 + 1
}

async fn edit_flows_and_deployments(workspace: &Workspace, cast: &Cast) -> u64 {
    let tags = json!({"tags": ["etl", "geändert"]});
    workspace.edit("/flows", &cast.flows[0], tags).await;
    let flow = workspace.flow("new-flow", &["new"], json!({})).await;

    // On Prefect 3 a change of a schedule does not change the deployment's `updated`.
    workspace.set_schedule(&cast.deployments[0], 0, false).await;
    let description = json!({"description": "edited ✓"});
    let edited = &cast.deployments[1];
    workspace.edit("/deployments", edited, description).await;
    let new = NewDeployment {
        name: "new",
        flow: &flow,
        schedules: &[(Schedule::Cron("*/5 * * * *", "UTC"), true)],
        ..NewDeployment::default()
    };
    workspace.deployment(&new).await;
    // Two flows and three deployments.
    5
}
