//! Our connector follows the rules.

use fivetran_runner::conformance::rules;
use fivetran_source::clock::{Clock, SystemClock};
use prefect_fake::Population;
use serde_json::{Value, json};

use super::{broken, conformance, report};

/// Returns true for the column that has the abilities which the selected tables need. The test run deselects every
/// second table by name, so it depends on the number of tables whether the column differs.
fn is_expected(finding: &Value) -> bool {
    let text = finding["text"].as_str().unwrap_or_default();
    finding["rule"] == "selection-differs"
        && finding["table"] == "server_info"
        && text.starts_with("`capabilities`")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn our_connector_has_no_findings() {
    let (report, code) = report(&["--demo", "--strict"]).await;
    let findings = report["findings"].as_array().unwrap();
    let others: Vec<&Value> = findings.iter().filter(|it| !is_expected(it)).collect();
    assert!(others.is_empty(), "{others:?}");
    let expected = i32::from(!findings.is_empty());
    assert_eq!(
        (report["incomplete"].is_null(), code),
        (true, Some(expected))
    );
    // The source does not change, so changes hide no finding.
    assert_eq!(report["changed"], json!([]));
    let unchecked = report["unchecked"].as_array().unwrap();
    assert_eq!(unchecked.len(), 1, "{unchecked:?}");
    assert_eq!(unchecked[0]["rule"], "log-line-malformed");
    let syncs = report["syncs"].as_array().unwrap();
    assert!(syncs[0]["records"].as_u64() > Some(1_000), "{syncs:?}");
    assert_eq!(syncs[1]["records"], 0, "{syncs:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn our_connector_as_a_process_has_no_findings_even_in_its_log() {
    let population = Population {
        runs: 300,
        ..Population::small(1, SystemClock.now())
    };
    let prefect = prefect_fake::Server::start(prefect_fake::Options::new(population))
        .await
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (configuration, log) = (file("configuration.json"), file("log"));
    let answers = json!({ "api_url": prefect.url(), "requests_per_minute": "100000" });
    std::fs::write(&configuration, answers.to_string()).unwrap();
    let command = format!(
        "'{}' --port {{port}}",
        env!("CARGO_BIN_EXE_fivetran_source")
    );
    let arguments = [
        ["--spawn", &command],
        ["--configuration", &configuration],
        ["--log", &log],
        ["--cuts", "4"],
    ];
    let (report, code) = report(arguments.as_flattened()).await;
    assert_eq!(broken(&report), [].into(), "{report:#}");
    assert_eq!((report["incomplete"].is_null(), code), (true, Some(0)));
    assert_eq!(report["unchecked"], json!([]));
    // Each sync had its own process, which was killed if the sync was cut. (A sync that should be cut may have fewer
    // checkpoints than the first one, and end before.)
    let log = std::fs::read_to_string(log).unwrap();
    let syncs = report["syncs"].as_array().unwrap();
    let ended = syncs.iter().filter(|sync| sync["was_cut"] == false);
    assert_eq!(log.matches("listening").count(), syncs.len(), "{log}");
    assert_eq!(log.matches("stopped").count(), ended.count(), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn our_connector_continues_the_syncs_of_an_old_version_in_a_process_of_its_own() {
    let old = format!(
        "'{}' --port {{port}}",
        env!("CARGO_BIN_EXE_fivetran_source")
    );
    let rules = rules::UPGRADES.map(|rule| rule.id);
    let arguments = [
        ["--demo", "--strict"],
        ["--cuts", "3"],
        ["--rules", &rules.join(",")],
        ["--against", &old],
    ];
    let (report, code) = report(arguments.as_flattened()).await;
    assert_eq!((&report["findings"], code), (&json!([]), Some(0)));
    assert_eq!(report["outcome"], "passed");
    let cases = report["test_cases"].as_array().unwrap().iter();
    let passed = cases.filter(|case| case["outcome"] == "passed");
    let passed: Vec<&str> = passed.map(|case| case["rule"].as_str().unwrap()).collect();
    assert_eq!(passed, rules);
    let syncs = report["syncs"].as_array().unwrap().iter();
    let names: Vec<&str> = syncs.map(|sync| sync["name"].as_str().unwrap()).collect();
    assert_eq!(names[1], "full sync of the old version");
    let upgraded = names
        .iter()
        .filter(|name| name.starts_with("upgraded after"));
    // Three checkpoints of the full sync, and the one of the second sync.
    assert_eq!(upgraded.count(), 4, "{names:?}");
}

#[tokio::test]
async fn a_connector_that_cannot_be_examined_has_its_own_exit_code() {
    let cases = [
        vec!["--connect", "127.0.0.1:1"],
        vec!["--spawn", "false {port}"],
        vec!["--spawn", "false"],
        vec!["--demo", "--rules", "no-such-rule"],
        vec!["--demo", "--connect", "127.0.0.1:1"],
        vec!["--demo", "--against", "127.0.0.1:1"],
        vec!["--demo", "--against", "false {port}"],
        vec!["--demo", "--waivers", "no-such-file"],
    ];
    for arguments in cases {
        let owned = arguments.iter().map(|it| (*it).to_owned()).collect();
        let (output, code) = conformance(owned).await;
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(code, Some(2), "{arguments:?} {said}");
        assert!(said.contains("error: "), "{arguments:?} {said}");
    }
}
