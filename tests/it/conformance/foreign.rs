//! Connectors on other foundations: Fivetran's own SDK for Python, and gRPC for Node.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{broken, installed, report};
use crate::support::in_checkout;

/// The findings that the Python SDK (2.13) itself causes, independently of the connector.
const OF_THE_SDK: [(&str, &str); 2] = [("selection-unstated", "note"), ("state-absent", "warning")];
/// The secret in the configuration.
const SECRET: &str = "canary-51f0";

fn quoted(path: &str) -> String {
    format!("'{}'", in_checkout(path).display())
}

/// Returns the command of the connector in Node with this fault.
pub(super) async fn node(fault: &str) -> String {
    let modules = installed("scripts/node-modules.sh", Vec::new()).await;
    let (script, proto) = (quoted("tests/node/connector.js"), quoted("proto"));
    format!("env NODE_PATH='{modules}/node_modules' node {script} {proto} {{port}} {fault}")
}

/// Returns the command of the connector on the Python SDK with this fault.
pub(super) async fn python_command(fault: &str) -> String {
    let requirements = ["sdk", "tests/python/sdk.txt", "3.10", "3.12"];
    let environment = installed("scripts/python-venv.sh", requirements.to_vec()).await;
    let script = quoted("tests/python/sdk_connector.py");
    format!("'{environment}/bin/python' {script} {{port}} {fault}")
}

/// Examines the connector on the Python SDK with this fault.
async fn python(fault: &'static str, cuts: &'static str) -> (Value, Option<i32>) {
    let spawn = python_command(fault).await;
    let folder = tempfile::tempdir().unwrap();
    let configuration = folder.path().join("c.json");
    std::fs::write(&configuration, json!({ "api_key": SECRET }).to_string()).unwrap();
    let (report, code) = report(&[
        "--spawn",
        &spawn,
        "--configuration",
        configuration.to_str().unwrap(),
        "--cuts",
        cuts,
    ])
    .await;
    assert!(!report.to_string().contains(SECRET), "{report:#}");
    (report, code)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_good_connector_on_the_python_sdk_breaks_only_what_the_sdk_does() {
    let (report, code) = python("none", "1").await;
    assert_eq!(broken(&report), BTreeMap::from(OF_THE_SDK), "{report:#}");
    assert_eq!((report["incomplete"].is_null(), code), (true, Some(0)));
    assert_eq!(report["unchecked"], json!([]));
    assert_eq!(report["changed"], json!([]));
    let full = &report["syncs"][0];
    assert_eq!(
        (&full["records"], &full["largest_batch"]),
        (&json!(500), &json!(100))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn faults_on_the_python_sdk_are_found_out() {
    let faults = [
        ("ahead", "1", "checkpoint-ahead", "error"),
        ("changes", "0", "rerun-not-idempotent", "error"),
        ("null_key", "0", "key-missing", "error"),
        ("print", "0", "log-line-malformed", "warning"),
        ("secret", "0", "secret-exposed", "error"),
    ];
    let reports = faults.map(|(fault, cuts, ..)| python(fault, cuts));
    let reports = futures::future::join_all(reports).await;
    for ((fault, _, rule, severity), (report, code)) in faults.iter().zip(reports) {
        let mut expected = BTreeMap::from(OF_THE_SDK);
        expected.insert(rule, severity);
        assert_eq!(broken(&report), expected, "{fault} {report:#}");
        let expected_code = Some(i32::from(*severity == "error"));
        assert_eq!(code, expected_code, "{fault} {report:#}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn operations_of_the_python_sdk_itself_are_only_a_note() {
    let (report, code) = python("file", "0").await;
    let mut expected = BTreeMap::from(OF_THE_SDK);
    expected.insert("sdk-operation", "note");
    assert_eq!((broken(&report), code), (expected, Some(0)), "{report:#}");
    // Rows in the SDK's own field are not examined, so there is none to try a selection with.
    let (report, code) = python("row_data", "0").await;
    let expected = BTreeMap::from([("sdk-operation", "note"), ("state-absent", "warning")]);
    assert_eq!((broken(&report), code), (expected, Some(0)), "{report:#}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connector_in_node_keeps_the_rules_and_its_faults_are_found_out() {
    let cases = [
        ("none", None),
        ("batch", Some(("batch-size", "error"))),
        ("type", Some(("type-mismatch", "error"))),
        ("ahead", Some(("checkpoint-ahead", "error"))),
        ("log", Some(("log-line-malformed", "warning"))),
    ];
    let reports = cases.map(|(fault, _)| async move {
        report(&["--spawn", &node(fault).await, "--cuts", "1"]).await
    });
    let reports = futures::future::join_all(reports).await;
    for ((fault, expected), (report, code)) in cases.into_iter().zip(reports) {
        assert_eq!(
            broken(&report),
            expected.into_iter().collect(),
            "{fault} {report:#}"
        );
        let is_error = expected.is_some_and(|(_, severity)| severity == "error");
        assert_eq!(code, Some(i32::from(is_error)), "{fault} {report:#}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connector_whose_published_port_accepts_connections_too_early_is_checked() {
    let (report, code) = python("published", "1").await;
    assert_eq!(broken(&report), BTreeMap::from(OF_THE_SDK), "{report:#}");
    assert_eq!((report["incomplete"].is_null(), code), (true, Some(0)));
}
