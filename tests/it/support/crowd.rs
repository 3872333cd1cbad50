//! A real server with many runs.

use std::process::Command;

use serde_json::json;
use tokio::task::spawn_blocking;

use super::{
    in_checkout,
    prefect_server::{Generation, PrefectServer},
    workspace::{NewDeployment, NewRun, State},
};

/// One run in each state, created through the server's API, and copies of them.
pub(crate) struct Crowd {
    pub(crate) server: PrefectServer,
    pub(crate) flow: String,
    originals: Vec<String>,
    /// The number of runs, with the copies.
    runs: usize,
}

impl Crowd {
    /// Starts a server with `runs` runs.
    pub(crate) async fn gather(generation: Generation, runs: usize) -> Self {
        let mut crowd = Self::begin(generation).await;
        crowd.grow(runs, &[]).await;
        let listed = crowd.server.workspace().list("/flow_runs").await;
        assert_eq!(listed.len(), runs);
        crowd
    }

    /// Starts a server with one run in each state.
    pub(crate) async fn begin(generation: Generation) -> Self {
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
                ..NewRun::new(&flow, &name)
            };
            originals.push(workspace.run_in(&new, state).await);
        }
        Self {
            server,
            flow,
            runs: originals.len(),
            originals,
        }
    }

    /// Adds copies until there are `runs` runs; see `tests/python/seed.py` for the options.
    pub(crate) async fn grow(&mut self, runs: usize, options: &[&str]) {
        let copies = runs - self.runs;
        let first = self.runs - self.originals.len();
        let mut command = Command::new("python3");
        command
            .arg(in_checkout("tests/python/seed.py"))
            .arg(self.server.database())
            .args([copies.to_string(), format!("--first={first}")])
            .args(options);
        let status = spawn_blocking(move || command.status().unwrap()).await;
        assert!(status.unwrap().success(), "the runs were not copied");
        self.runs = runs;
    }

    /// Returns the run that was created in `state`, not a copy.
    pub(crate) fn original(&self, state: State) -> &str {
        let position = State::ALL.iter().position(|each| *each == state);
        &self.originals[position.unwrap()]
    }
}
