//! The executable as a user runs it: `debug` with a configuration, a folder, and its output.

use std::{
    collections::BTreeMap,
    fs,
    path::PathBuf,
    process::{Command, Output, Stdio},
};

use serde_json::json;
use tempfile::TempDir;
use tokio::task::spawn_blocking;

use super::CORE;

/// The executable with its own folder.
pub(crate) struct Connector {
    folder: TempDir,
}

/// The summary that a sync prints.
#[derive(Debug)]
pub(crate) struct Report {
    operations: BTreeMap<String, u64>,
    text: String,
}

impl Connector {
    /// Creates a connector that is configured for the API at `url`.
    pub(crate) fn new(url: &str, batch_size: u32) -> Self {
        let connector = Self {
            folder: TempDir::new().unwrap(),
        };
        connector.point_at(url, batch_size);
        connector
    }

    /// Changes the configuration; warehouse and state are kept.
    pub(crate) fn point_at(&self, url: &str, batch_size: u32) {
        self.configure(url, "", batch_size);
    }

    /// Changes the configuration, with a key.
    pub(crate) fn configure(&self, url: &str, key: &str, batch_size: u32) {
        self.write(&json!({
            "api_url": url,
            "api_key": key,
            "auth_string": "",
            "batch_size": batch_size.to_string(),
        }));
    }

    /// Creates a connector for the API at `url` that sends one request at a time.
    pub(crate) fn one_by_one(url: &str, batch_size: u32) -> Self {
        let connector = Self::new(url, batch_size);
        connector.write(&json!({
            "api_url": url,
            "batch_size": batch_size.to_string(),
            "concurrency": "1",
        }));
        connector
    }

    /// Configures the connector with only these fields.
    pub(crate) fn answer(&self, answers: &[(&str, &str)]) {
        let answers: BTreeMap<_, _> = answers.iter().copied().collect();
        self.write(&json!(answers));
    }

    fn write(&self, configuration: &serde_json::Value) {
        let file = self.folder.path().join("configuration.json");
        fs::write(file, configuration.to_string()).unwrap();
    }

    /// Returns the path of the DuckDB file.
    pub(crate) fn warehouse(&self) -> PathBuf {
        self.folder.path().join("files/warehouse.db")
    }

    /// Returns the path of the saved state.
    pub(crate) fn state(&self) -> PathBuf {
        self.folder.path().join("files/state.json")
    }

    /// Returns the command that syncs the core tables, ready to be started.
    pub(crate) fn debug(&self) -> Command {
        let mut command = self.debug_everything();
        for table in CORE {
            command.args(["--table", table]);
        }
        command
    }

    /// Returns the command that syncs all selected tables.
    pub(crate) fn debug_everything(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fivetran_source"));
        command
            .arg("debug")
            .arg("--configuration")
            .arg(self.folder.path().join("configuration.json"))
            .arg("--dir")
            .arg(self.folder.path().join("files"))
            .current_dir(self.folder.path())
            .env("NO_PROXY", "127.0.0.1")
            .stdin(Stdio::null());
        command
    }

    /// Syncs all selected tables from the saved state; fails the test unless the sync succeeds.
    pub(crate) async fn sync_everything(&self) -> Report {
        let mut command = self.debug_everything();
        let output = spawn_blocking(move || command.output().unwrap())
            .await
            .unwrap();
        Report::from_output(&output)
    }

    /// Syncs the core tables from the saved state; fails the test unless the sync succeeds.
    pub(crate) async fn sync(&self) -> Report {
        let mut command = self.debug();
        let output = spawn_blocking(move || command.output().unwrap())
            .await
            .unwrap();
        Report::from_output(&output)
    }
}

impl Report {
    fn from_output(output: &Output) -> Self {
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr);
        let last = text.trim_end().lines().last().unwrap_or_default();
        assert!(
            output.status.success() && last.ends_with("Sync SUCCEEDED"),
            "{}\n--- stdout\n{text}\n--- stderr\n{errors}",
            output.status
        );
        let operations = text
            .lines()
            .filter_map(|line| {
                let (name, number) = line.split_once('|')?;
                Some((name.trim().to_owned(), number.trim().parse().ok()?))
            })
            .collect();
        Self { operations, text }
    }

    /// Returns the number of operations of a kind: `Upserts`, `Deletes`, `Checkpoints` …
    pub(crate) fn count(&self, operation: &str) -> u64 {
        *self
            .operations
            .get(operation)
            .unwrap_or_else(|| panic!("no line for {operation}:\n{}", self.text))
    }
}
