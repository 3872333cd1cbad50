//! `debug` with foreign connectors.

use std::{
    path::Path,
    process::{Command, Output, Stdio},
};

use tokio::task::spawn_blocking;

use super::{
    fault::Fault,
    foreign::{node, python_command},
    scripted::Scripted,
};

/// Runs the executable in the folder.
async fn in_folder(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fivetran_source"));
    command
        .args(arguments)
        .current_dir(folder)
        .env("NO_PROXY", "127.0.0.1")
        .stdin(Stdio::null());
    spawn_blocking(move || command.output().unwrap())
        .await
        .unwrap()
}

async fn rows(folder: &Path, table: &str) -> String {
    let sql = format!("select 'rows=' || count(*) from tester.{table}");
    let output = in_folder(folder, &["query", &sql]).await;
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connector_that_listens_is_synced_without_a_configuration() {
    let connector = Scripted::start(Fault::None).await;
    let address = connector.endpoint.trim_start_matches("http://");
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("c.json"), r#"{"api_key": "a key"}"#).unwrap();
    let with = ["debug", "--connect", address, "--configuration", "c.json"];
    let output = in_folder(folder.path(), &with).await;
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.ends_with("Sync SUCCEEDED\n"),
        "{said}"
    );
    assert!(rows(folder.path(), "payments").await.contains("rows=14"));
    // Only our own tables have views.
    let views = [
        "query",
        "select 'views=' || count(*) from duckdb_views() where schema_name = 'views'",
    ];
    let output = in_folder(folder.path(), &views).await;
    assert!(String::from_utf8_lossy(&output.stdout).contains("views=0"));
    // Without a configuration, `debug` does not require one; the connector itself requires its key.
    let without = ["debug", "--connect", address];
    let output = in_folder(folder.path(), &without).await;
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        said.ends_with("Sync FAILED: Reach it: Give a key.\n"),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connector_is_started_synced_and_ended() {
    let folder = tempfile::tempdir().unwrap();
    let spawn = node("none").await;
    let output = in_folder(folder.path(), &["debug", "--spawn", &spawn]).await;
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.ends_with("Sync SUCCEEDED\n"),
        "{said}"
    );
    assert!(rows(folder.path(), "items").await.contains("rows=250"));
    // The second sync sends only new rows.
    let output = in_folder(folder.path(), &["debug", "--spawn", &spawn]).await;
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("Upserts         | 0\n"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connector_that_exits_during_a_sync_is_reported_with_its_last_lines() {
    let folder = tempfile::tempdir().unwrap();
    let spawn = python_command("exit").await;
    let output = in_folder(folder.path(), &["debug", "--spawn", &spawn]).await;
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.ends_with(
            "  cannot continue\n\nSync FAILED: the connector exited during the sync (exit status: 3)\n"
        ),
        "{said}"
    );
    // What it sent before has landed.
    assert!(rows(folder.path(), "payments").await.contains("rows=200"));
    let output = in_folder(folder.path(), &["debug", "--json", "--spawn", &spawn]).await;
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let last = report["last_lines"].as_array().unwrap().last();
    assert_eq!(
        last.and_then(|line| line.as_str()),
        Some("cannot continue"),
        "{report}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_port_that_accepts_connections_too_early_and_compressed_responses_are_no_failure() {
    for fault in ["published", "gzip"] {
        let folder = tempfile::tempdir().unwrap();
        let spawn = python_command(fault).await;
        let output = in_folder(folder.path(), &["debug", "--spawn", &spawn]).await;
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(said.ends_with("Sync SUCCEEDED\n"), "{fault}: {said}");
        assert!(rows(folder.path(), "payments").await.contains("rows=250"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sync_that_cannot_begin_ends_like_every_failed_sync() {
    let cases = [
        (&["debug"][..], "configuration.json"),
        (&["debug", "--connect", "127.0.0.1:1"], "127.0.0.1:1"),
        (
            &["debug", "--spawn", "sh -c 'echo no license; exit 4' {port}"],
            "(exit status: 4)",
        ),
        (&["debug", "--demo", "--schema", "No"], "`No`"),
        (&["debug", "--demo", "--state", "none.json"], "none.json"),
        (&["debug", "--demo", "--dir", "file"], "file"),
        (
            &["debug", "--demo", "--watch", "1h", "--dir", "file"],
            "file",
        ),
    ];
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("file"), "").unwrap();
    for (arguments, reason) in cases {
        let output = in_folder(folder.path(), arguments).await;
        let said = String::from_utf8_lossy(&output.stdout);
        let last = said.lines().last().unwrap_or_default();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {said}");
        assert!(
            last.starts_with("Sync FAILED: ") && last.contains(reason),
            "{arguments:?}: {said}"
        );
        assert!(!last.contains("no license"), "{last}");
        let as_json = [arguments, &["--json"]].concat();
        let output = in_folder(folder.path(), &as_json).await;
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(report["succeeded"], false, "{report}");
        let failure = report["failure"].as_str().unwrap();
        assert!(failure.contains(reason), "{report}");
    }
}
