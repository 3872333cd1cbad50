//! `conformance`: our connector follows the rules, and each fault is detected by exactly its rule.

mod ci;
mod debugged;
mod fault;
mod faults;
mod foreign;
mod ours;
mod scripted;
mod upgrades;

use std::{
    collections::BTreeMap,
    process::{Command, Output, Stdio},
};

use serde_json::Value;
use tokio::task::spawn_blocking;

use crate::support::in_checkout;

/// Runs the executable's `conformance`; returns its output and its exit code.
async fn conformance(arguments: Vec<String>) -> (Output, Option<i32>) {
    let output = spawn_blocking(move || {
        let folder = tempfile::tempdir().unwrap();
        Command::new(env!("CARGO_BIN_EXE_fivetran_source"))
            .arg("conformance")
            .args(arguments)
            // This folder has no configuration.json.
            .current_dir(folder.path())
            .env("NO_PROXY", "127.0.0.1")
            .stdin(Stdio::null())
            .output()
            .unwrap()
    })
    .await
    .unwrap();
    let code = output.status.code();
    (output, code)
}

/// Runs `conformance` and returns its report as JSON.
async fn report(arguments: &[&str]) -> (Value, Option<i32>) {
    let mut arguments: Vec<String> = arguments.iter().map(|it| (*it).to_owned()).collect();
    arguments.push("--json".to_owned());
    let (output, code) = conformance(arguments).await;
    let report = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        panic!("{error}: {}", String::from_utf8_lossy(&output.stderr));
    });
    (report, code)
}

/// Returns the violated rules, each with its severity.
fn broken(report: &Value) -> BTreeMap<&str, &str> {
    let findings = report["findings"].as_array().unwrap().iter();
    findings
        .map(|it| {
            (
                it["rule"].as_str().unwrap(),
                it["severity"].as_str().unwrap(),
            )
        })
        .collect()
}

/// Returns the folder that a script installs; `scripts/tests.sh` has run the script before.
async fn installed(script: &'static str, arguments: Vec<&'static str>) -> String {
    spawn_blocking(move || {
        let output = Command::new(in_checkout(script))
            .args(arguments)
            .current_dir(in_checkout("."))
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{script}: {said}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    })
    .await
    .unwrap()
}
