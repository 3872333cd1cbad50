//! The connector, called by an independent gRPC client and connected to a real Prefect server. The client is Google's,
//! in Python, with code generated from `proto/`.

use std::{
    collections::{BTreeMap, BTreeSet},
    process::Command,
};

use fivetran_source::tables::{self, ColumnType};
use prefect_fake::{
    GenericCollection, GenericObject, Options, Population, Server, population::fixed_now,
};
use serde_json::{Value, json};
use tokio::task::spawn_blocking;

use crate::support::{crowd::Crowd, in_checkout, prefect_server::Generation};

const RUNS: usize = 450;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_foreign_client_sees_what_the_protocol_promises() {
    let crowd = Crowd::gather(Generation::Three, RUNS).await;
    let seen = drive(crowd.server.url()).await;

    the_form_and_its_tests(&seen);
    the_schema(&seen["schema"]);
    everything(&seen["everything"]);
    the_selection(&seen);
    assert_eq!(seen["again"]["records"], json!({}), "nothing happened");
    what_holds_for_each_sync(&seen);
    let (plain, gzip) = (&seen["bytes"]["plain"], &seen["bytes"]["gzip"]);
    assert!(
        gzip.as_u64().unwrap() * 10 > plain.as_u64().unwrap() * 9,
        "compressed without being configured: {plain} bytes for a caller without gzip, {gzip} with"
    );
    the_log(&seen["log_lines"]);
    assert_eq!(seen["exit_code"], 0, "after SIGTERM");
}

fn the_form_and_its_tests(seen: &Value) {
    let form = &seen["form"];
    assert_eq!(
        form["fields"],
        json!([
            "api_url",
            "hosting",
            "api_key",
            "hosting_fields",
            "start_date",
            "include_scheduled_runs",
            "sync_flow_run_state_history",
            "sync_events",
            "sync_logs",
            "advanced",
            "advanced_fields"
        ])
    );
    assert_eq!(form["table_selection_supported"], true);
    let tests = seen["tests"].as_object().unwrap();
    assert!(!tests.is_empty(), "no setup tests");
    assert!(tests.values().all(|result| *result == true), "{tests:?}");
    // A wrong value in the form fails the test with a message, never with a gRPC error.
    let wrong = seen["tests_of_a_wrong_url"].as_object().unwrap();
    let mut failures = wrong.values().filter_map(Value::as_str);
    assert!(failures.any(|text| text.len() > 20), "{wrong:?}");
}

fn the_schema(schema: &Value) {
    let mut declared = BTreeMap::new();
    for table in tables::ALL.iter().filter(|table| table.choice.is_none()) {
        let columns: BTreeMap<_, _> = table
            .columns
            .iter()
            .map(|column| (column.name, type_name(column.kind)))
            .collect();
        declared.insert(table.name, json!({"columns": columns, "key": ["id"]}));
    }
    assert_eq!(*schema, json!(declared));
}

fn everything(update: &Value) {
    let upserts = |table: &str| update["records"][table][0].as_u64();
    assert_eq!(upserts("flows"), Some(1));
    assert_eq!(upserts("deployments"), Some(1));
    assert_eq!(upserts("flow_runs"), Some(RUNS as u64));
    let batch = update["largest_batch"].as_u64().unwrap();
    assert!((2..=100).contains(&batch), "{batch} records in a message");
}

/// Checks the selection of `client.py`: without the table `deployments` and the column `flow_runs.parameters`.
fn the_selection(seen: &Value) {
    let names = |update: &str, table: &str| -> BTreeSet<String> {
        serde_json::from_value(seen[update]["columns"][table].clone()).unwrap()
    };
    let records = seen["selected"]["records"].as_object().unwrap();
    assert!(!records.contains_key("deployments"), "{records:?}");
    assert_eq!(records["flow_runs"][0], RUNS);
    assert_eq!(names("selected", "flows"), names("everything", "flows"));
    let mut wanted = names("everything", "flow_runs");
    assert!(wanted.remove("parameters"));
    assert_eq!(names("selected", "flow_runs"), wanted);
}

fn what_holds_for_each_sync(seen: &Value) {
    for name in ["everything", "selected", "again"] {
        let update = &seen[name];
        assert_eq!(update["wrong_types"], json!([]), "{name}");
        assert_eq!(update["checkpoints_not_json"], json!([]), "{name}");
        assert_eq!(update["warnings"], json!([]), "{name}");
        assert_eq!(update["tasks"], json!([]), "{name}");
        assert_eq!(update["records_after_last_checkpoint"], 0, "{name}");
        assert!(update["checkpoints"].as_u64() > Some(0), "{name}");
    }
}

fn the_log(lines: &Value) {
    let lines = lines.as_array().unwrap();
    assert!(!lines.is_empty(), "the connector logs nothing");
    for line in lines {
        let parsed: Value = serde_json::from_str(line.as_str().unwrap()).unwrap();
        let keys: Vec<_> = parsed.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["level", "message", "message-origin"], "{line}");
        // No line needs attention, not even at the end.
        assert_eq!(parsed["level"], "INFO", "{line}");
        assert_eq!(parsed["message-origin"], "sdk_connector");
    }
}

fn type_name(kind: ColumnType) -> &'static str {
    match kind {
        ColumnType::String => "STRING",
        ColumnType::Boolean => "BOOLEAN",
        ColumnType::Long => "LONG",
        ColumnType::Double => "DOUBLE",
        ColumnType::UtcDatetime => "UTC_DATETIME",
        ColumnType::Json => "JSON",
    }
}

/// Installs the client if necessary, runs it, and returns its results.
async fn drive(api_url: &str) -> Value {
    let configuration = json!({
        "api_url": api_url,
        "api_key": "",
        "auth_string": "",
        "batch_size": "200",
    });
    run_client("client.py", configuration).await
}

/// Runs a script of `tests/python` with the executable and a configuration, and returns its results.
async fn run_client(script: &'static str, configuration: Value) -> Value {
    spawn_blocking(move || {
        let mut install = Command::new(in_checkout("scripts/python-venv.sh"));
        install
            .args(["client", "tests/python/client.txt", "3.10", "3.12"])
            .current_dir(in_checkout("."));
        let environment = output(&mut install);
        let mut client = Command::new(format!("{}/bin/python", environment.trim()));
        client
            .arg(in_checkout("tests/python").join(script))
            .arg(env!("CARGO_BIN_EXE_fivetran_source"))
            .arg(in_checkout("proto"))
            .arg(configuration.to_string())
            .env("NO_PROXY", "127.0.0.1");
        serde_json::from_str(&output(&mut client)).unwrap()
    })
    .await
    .unwrap()
}

/// The service with a client's defaults: gzip offered, messages of 4 MiB at most, and the ways in which syncs end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_with_default_settings_is_served_well() {
    let population = Population {
        runs: 6_000,
        ..Population::small(3, fixed_now())
    };
    let options = Options::new(population.with_full_workspace());
    let prefect = Server::start(options).await.unwrap();
    let large = prefect.with_store(|store| {
        let id = store.new_id();
        let fields = json!({"key": "large", "type": "markdown", "data": "x".repeat(5_000_000)});
        let artifact = GenericObject::new(id, store.now(), fields);
        store.put_object(GenericCollection::Artifacts, artifact);
        id.to_string()
    });
    let seen = run_client(
        "default_client.py",
        json!({"api_url": prefect.url(), "batch_size": "200"}),
    )
    .await;

    let bytes = |case: &str| seen["bytes"][case].as_u64().unwrap();
    assert!(
        bytes("offered") > 3 * bytes("enabled"),
        "gzip is used only if it is enabled: {seen}"
    );
    let last_log = |case: &str| seen["log"][case].as_str().unwrap().to_owned();
    let ends = |case: &str, text: &str| assert!(last_log(case).starts_with(text), "{seen}");
    ends("complete", "sync succeeded: seconds=");
    ends("cancelled", "sync cancelled by the caller: seconds=");
    ends(
        "rejected",
        "sync cancelled by the caller, perhaps because of a message of 5",
    );
    ends("failed", "sync failed: seconds=");
    ends("stalled", "sync ended with the connector");
    assert!(
        last_log("complete").contains("upserts=6000 deletes=0"),
        "{seen}"
    );
    let warning = seen["large_row"].as_str().unwrap();
    assert!(
        warning.contains(&format!("table artifacts: the row with id {large} has 5")),
        "{seen}"
    );
    assert_eq!(seen["rejected_with"], "RESOURCE_EXHAUSTED");
    // Far above the limit of 7 s, so that a busy machine does not matter, and below the 30 s of earlier versions.
    assert!(
        seen["stalled"]["seconds"].as_f64().unwrap() < 25.0,
        "{seen}"
    );
    assert_eq!(seen["stalled"]["exit_code"], 0);
    assert_eq!(seen["stalled"]["rows"], 6_000, "the saved state continues");
    assert_eq!(seen["health"], json!(["SERVING", "NOT_SERVING"]));
    let peak = seen["inflated_request"]["peak_megabytes"].as_f64().unwrap();
    assert!(peak < 150.0, "a compressed request of 120 MiB: {seen}");
    assert_eq!(seen["inflated_request"]["code"], "RESOURCE_EXHAUSTED");
}

fn output(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{command:?}\n{}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}
