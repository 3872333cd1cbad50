//! The `state` commands and the modes of the local run, through the executable, on the demo workspace.

use std::{
    path::Path,
    process::{Command, Output},
};

use chrono::{DateTime, SecondsFormat, Utc};
use fivetran_runner::duckdb::Connection;
use fivetran_source::tables;
use prefect_fake::{Options, Population, Server, hourly_activity, population::fixed_now};
use serde_json::Value;

use crate::support::connector::Connector;

/// Runs the executable and returns its output.
fn tool(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_fivetran_source"))
        .args(arguments)
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

async fn server() -> Server {
    Server::start(Options::new(Population::small(5, fixed_now())))
        .await
        .unwrap()
}

/// Advances the demo workspace by some hours and returns the time before.
fn hours_pass(server: &Server, hours: std::ops::Range<u32>) -> DateTime<Utc> {
    server.with_store(|store| {
        let before = store.now();
        for hour in hours {
            hourly_activity::simulate_hour(store, hour);
        }
        before
    })
}

/// Deletes the rows that were updated since then, except those marked as deleted: these are not sent again.
fn lose_since(warehouse: &Path, since: &str) -> usize {
    let connection = Connection::open(warehouse).unwrap();
    let lose = "DELETE FROM tester.flow_runs WHERE NOT _fivetran_deleted \
         AND updated > CAST(? AS TIMESTAMPTZ)";
    connection.execute(lose, [since]).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_rows_are_sent_again_from_a_rewound_state() {
    let server = server().await;
    let connector = Connector::new(&server.url(), 50);
    // The twin loses no row: in the end the other warehouse must equal it.
    let twin = Connector::new(&server.url(), 50);
    let mut since = fixed_now();
    for (nth, hours) in [0..0, 1..4, 4..6].into_iter().enumerate() {
        let before = hours_pass(&server, hours);
        since = if nth == 1 { before } else { since };
        connector.sync().await;
        twin.sync().await;
    }
    let since = since.to_rfc3339_opts(SecondsFormat::Secs, true);
    let lost = lose_since(&connector.warehouse(), &since);
    assert!(lost > 20, "{lost} rows");
    let state = connector.state();
    let file = state.to_str().unwrap();

    let shown = text(&tool(&["state", "show", file]).stdout);
    assert!(shown.contains("\nflow_runs (runs, "), "{shown}");
    let rewound = tool(&[
        "state",
        "rewind",
        "--table",
        "flow_runs",
        "--to",
        &since,
        "--in-place",
        file,
    ]);
    let said = text(&rewound.stderr);
    assert!(rewound.status.success(), "{said}");
    assert!(
        said.contains("state.json.bak\nflow_runs is rewound to"),
        "{said}"
    );
    let kept = format!("{file}.bak");
    let shown = text(&tool(&["state", "show", file]).stdout);
    assert!(
        shown.contains(&format!("  read up to               {since}\n")),
        "{shown}"
    );
    let json = text(&tool(&["state", "diff", "--json", &kept, file]).stdout);
    let differences: Vec<Value> = serde_json::from_str(&json).unwrap();
    assert!(
        differences.iter().all(|it| it["table"] == "flow_runs"),
        "{json}"
    );

    let report = connector.sync().await;
    assert!(report.count("Upserts") >= lost as u64);
    twin.sync().await;
    let columns = tables::find("flow_runs").unwrap().columns.iter();
    let settled = columns.filter(|column| !column.volatile);
    let settled: Vec<_> = settled.map(|column| column.name).collect();
    let rows = format!(
        "SELECT to_json(t)::VARCHAR FROM (SELECT {}, _fivetran_deleted \
         FROM tester.flow_runs ORDER BY id) AS t",
        settled.join(", ")
    );
    let (have, want) = (
        column(&connector.warehouse(), &rows),
        column(&twin.warehouse(), &rows),
    );
    assert_eq!(have.len(), want.len());
    let mut pairs = have.iter().zip(&want);
    assert_eq!(pairs.find(|(have, want)| have != want), None);
    // The rewind is complete: the next sync sends no row.
    assert_eq!(connector.sync().await.count("Upserts"), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_impossible_rewind_gives_the_reason_and_leaves_the_file_unchanged() {
    let server = server().await;
    let connector = Connector::new(&server.url(), 50);
    connector.sync().await;
    let state = connector.state();
    let before = std::fs::read_to_string(&state).unwrap();
    let file = state.to_str().unwrap();
    for (table, to, says) in [
        (
            "runs",
            "2026-01-01",
            "table `runs` does not exist; the state has deployments, flow_runs, flows",
        ),
        ("artifacts", "2026-01-01", "not in this state"),
        ("deployments", "2026-01-01", "not read by time"),
        ("flow_runs", "9999-01-01", "is in the future"),
        ("flow_runs", "1969-01-01", "too long ago"),
    ] {
        let ended = tool(&[
            "state",
            "rewind",
            "--table",
            table,
            "--to",
            to,
            "--in-place",
            file,
        ]);
        let said = text(&ended.stderr);
        assert!(!ended.status.success() && said.contains(says), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
    let now = server.with_store(|store| store.now());
    let late = (now + chrono::TimeDelta::seconds(1)).to_rfc3339();
    let ended = tool(&["state", "rewind", "--table", "flows", "--to", &late, file]);
    let said = text(&ended.stderr);
    assert!(said.contains("is read up to"), "{said}");
    assert_eq!(std::fs::read_to_string(&state).unwrap(), before);
    // Without an output option the new state is printed. `--all` is possible for every table.
    let printed = tool(&["state", "rewind", "--table", "deployments", "--all", file]);
    assert!(printed.status.success());
    assert_ne!(text(&printed.stdout).trim(), before.trim());
    assert_eq!(std::fs::read_to_string(&state).unwrap(), before);
    std::fs::write(&state, &printed.stdout).unwrap();
    let deployments = server.with_store(|store| store.deployments().count());
    assert_eq!(connector.sync().await.count("Upserts"), deployments as u64);
}

/// Returns one column of text.
fn column(warehouse: &Path, sql: &str) -> Vec<String> {
    let connection = Connection::open(warehouse).unwrap();
    let mut statement = connection.prepare(sql).unwrap();
    let rows = statement.query_map([], |row| row.get(0)).unwrap();
    rows.collect::<fivetran_runner::duckdb::Result<_>>()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_warehouse_with_history_answers_the_same_questions() {
    let server = server().await;
    let plain = Connector::new(&server.url(), 50);
    let kept = Connector::new(&server.url(), 50);
    for hours in [0..0, 1..4, 4..6] {
        hours_pass(&server, hours);
        plain.sync().await;
        let mut command = kept.debug();
        command.args(["--history", "--schema", "prefect"]);
        let output = tokio::task::spawn_blocking(move || command.output().unwrap());
        let output = output.await.unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
    }
    for table in ["flows", "deployments", "flow_runs"] {
        let rows = |schema: &str| {
            format!(
                "SELECT to_json(t)::VARCHAR FROM (SELECT * EXCLUDE (_fivetran_synced, \
                 _fivetran_deleted), _fivetran_deleted FROM {schema}.{table} ORDER BY id) AS t"
            )
        };
        let (one, two) = (rows("tester"), rows("latest"));
        let (one, two) = (
            column(&plain.warehouse(), &one),
            column(&kept.warehouse(), &two),
        );
        // In both warehouses, volatile columns have the values of the last upsert, so a few rows may differ.
        assert_eq!(one.len(), two.len(), "{table}");
        let differ = one.iter().zip(&two).filter(|(one, two)| one != two).count();
        assert!(
            differ * 20 <= one.len(),
            "{table}: {differ} of {} rows",
            one.len()
        );
    }
    let versions = "SELECT count(*)::VARCHAR FROM prefect.flow_runs WHERE NOT _fivetran_active";
    assert_ne!(column(&kept.warehouse(), versions), ["0"]);
    let views = "SELECT schema_name || '.' || view_name FROM duckdb_views() \
         WHERE schema_name IN ('views', 'python_connector') ORDER BY ALL";
    let made = column(&plain.warehouse(), views);
    assert_eq!(made, column(&kept.warehouse(), views));
    assert!(made.len() > 5, "{made:?}");
    for view in made {
        column(
            &kept.warehouse(),
            &format!("SELECT count(*)::VARCHAR FROM {view}"),
        );
    }
    let log = "SELECT outcome || ' ' || (requests > 0) || ' ' || schema_name || ' ' || history \
         FROM _local_run.sync_log ORDER BY sync";
    assert_eq!(
        column(&kept.warehouse(), log),
        ["succeeded true prefect true"; 3]
    );
}
