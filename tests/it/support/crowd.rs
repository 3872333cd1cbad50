//! A real server with many runs.

use std::{path::Path, process::Command};

use serde_json::json;
use tokio::task::spawn_blocking;

use super::{
    in_checkout,
    prefect_server::{Generation, PrefectServer},
    workspace::{NewDeployment, NewRun, State},
};

/// One run in each state, made through the server's API, and copies of them.
pub(crate) struct Crowd {
    pub(crate) server: PrefectServer,
    pub(crate) flow: String,
    originals: Vec<String>,
}

impl Crowd {
    /// A server with `runs` runs.
    pub(crate) async fn gather(generation: Generation, runs: usize) -> Self {
        let server = PrefectServer::start(generation).await;
        let workspace = server.workspace();
        let flow = workspace.flow("crowd", &["many"], json!({})).await;
        let deployment = NewDeployment {
            name: "crowd",
            flow: &flow,
            ..NewDeployment::default()
        };
        let deployment = workspace.deployment(&deployment).await;
        let mut originals = Vec::new();
        for state in State::ALL {
            let name = format!("original-{state:?}");
            let new = NewRun {
                deployment_id: Some(&deployment),
                parameters: json!({"größe": [1, 2, 3]}),
                ..NewRun::of(&flow, &name)
            };
            originals.push(workspace.run_in(&new, state).await);
        }
        copy(&server.database(), runs - originals.len()).await;
        assert_eq!(workspace.list("/flow_runs").await.len(), runs);
        Self {
            server,
            flow,
            originals,
        }
    }

    /// The run that was made in `state`, not a copy.
    pub(crate) fn original(&self, state: State) -> &str {
        let position = State::ALL.iter().position(|each| *each == state);
        &self.originals[position.unwrap()]
    }
}

async fn copy(database: &Path, copies: usize) {
    let mut command = Command::new("python3");
    command
        .arg(in_checkout("tests/python/seed.py"))
        .arg(database)
        .arg(copies.to_string());
    let status = spawn_blocking(move || command.status().unwrap()).await;
    assert!(status.unwrap().success(), "the runs were not copied");
}
