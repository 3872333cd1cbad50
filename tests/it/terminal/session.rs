//! Sessions of a user at a terminal of 24 rows.

use std::{fs, path::PathBuf, process::Command};

use prefect_fake::{Auth, Options, Population, Server, population::fixed_now};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::spawn_blocking;

use crate::support::in_checkout;

/// The credentials of the server.
pub(super) const KEY: &str = "admin:sw0rdfish";
/// `KEY` in base 64.
const KEY_ENCODED: &str = "YWRtaW46c3cwcmRmaXNo";

/// The output of a session and its exit code.
pub(super) struct Session {
    pub(super) shown: String,
    /// The output in parts, each with the seconds since the start.
    pub(super) parts: Value,
    pub(super) exit: i64,
}

/// A folder that is a git repository, and a server.
pub(super) struct Terminal {
    pub(super) folder: TempDir,
    pub(super) prefect: Server,
}

impl Terminal {
    pub(super) async fn new() -> Self {
        let folder = TempDir::new().unwrap();
        fs::create_dir(folder.path().join(".git")).unwrap();
        let options = Options {
            auth: Auth::Basic(KEY_ENCODED.to_owned()),
            ..Options::new(Population::small(5, fixed_now()))
        };
        let prefect = Server::start(options).await.unwrap();
        Self { folder, prefect }
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a configuration for the server, with more fields.
    pub(super) fn configure(&self, more: &[(&str, &str)]) {
        let mut fields = json!({ "api_url": self.prefect.url(), "auth_string": KEY });
        for (name, value) in more {
            fields[*name] = json!(value);
        }
        fs::write(self.file("configuration.json"), fields.to_string()).unwrap();
    }

    /// Runs a command of the executable at a terminal.
    pub(super) async fn at_terminal(
        &self,
        columns: u16,
        steps: &[(&str, &str)],
        arguments: &[&str],
    ) -> Session {
        let mut command = Command::new("python3");
        command
            .arg(in_checkout("tests/python/terminal.py"))
            .arg(columns.to_string())
            .arg(json!(steps).to_string())
            .arg(env!("CARGO_BIN_EXE_fivetran_source"))
            .args(arguments)
            .current_dir(self.folder.path())
            .env("TERM", "xterm-256color")
            .env("NO_PROXY", "127.0.0.1")
            .env_remove("NO_COLOR")
            .env_remove("PREFECT_API_URL")
            .env_remove("PREFECT_API_KEY")
            .env_remove("PREFECT_API_AUTH_STRING");
        let output = spawn_blocking(move || command.output().unwrap())
            .await
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        let session: Value = serde_json::from_slice(&output.stdout).expect(&errors);
        let shown = session["shown"].as_str().unwrap().to_owned();
        assert_eq!(session["left"], json!([]), "{shown}");
        Session {
            shown,
            parts: session["parts"].clone(),
            exit: session["exit"].as_i64().unwrap(),
        }
    }
}
