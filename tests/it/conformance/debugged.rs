//! `debug` with foreign connectors.

use std::{
    path::Path,
    process::{Command, Output, Stdio},
};

use tokio::task::spawn_blocking;

use super::{
    foreign::node,
    scripted::{Fault, Scripted},
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
