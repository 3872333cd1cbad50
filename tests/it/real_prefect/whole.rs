//! The whole workspace: every table and every column, compared with real servers on which real flows ran.
//!
//! `cargo test --test it whole_ -- --nocapture` prints what was compared, table by table.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use fivetran_source::{
    clock::SystemClock,
    fivetran::proto::UpdateRequest,
    tables::{self, Strategy, Table},
    telemetry::Telemetry,
};
use serde_json::{Value, json};
use test_support::{Exchange, HttpProxy, records, sync};

use crate::support::{
    connector::Connector,
    everything::Everything,
    oracle,
    prefect_server::{Generation, PrefectServer},
    served::{self, Served},
    warehouse::{self, Cell, Contents},
};

/// The highest number of requests of a quiet sync in addition to one for each listing: those of the readers of runs, and
/// further pages.
const MORE_QUIET_REQUESTS: usize = 13;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whole_prefect_3_on_sqlite() {
    let server = PrefectServer::start(Generation::Three).await;
    whole(&server, "Prefect 3 on SQLite", &[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whole_prefect_3_on_postgresql() {
    let server = PrefectServer::start_on_postgres(Generation::Three).await;
    whole(&server, "Prefect 3 on PostgreSQL", &[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whole_prefect_2() {
    let server = PrefectServer::start(Generation::Two).await;
    let absent = tables::ALL.iter();
    let absent = absent.filter(|table| table.releases.starts_with("3."));
    let absent: Vec<&str> = absent.map(|table| table.name).collect();
    whole(&server, "Prefect 2.20 on SQLite", &absent).await;
}

async fn whole(server: &PrefectServer, name: &str, absent: &[&str]) {
    let proxy = HttpProxy::start(server.url()).await;
    // Small pages, so that even this small workspace has several of them.
    let connector = Connector::new(proxy.url(), 7);
    connector.answer(&[
        ("api_url", proxy.url()),
        ("batch_size", "7"),
        ("sync_logs", "true"),
        ("sync_events", "true"),
        ("sync_flow_run_state_history", "true"),
    ]);
    server.run_flows(None).await;
    connector.sync_everything().await;
    let first = compare(server, &connector.warehouse(), absent).await;
    print(name, "after the first sync", &first);

    let changed = server.run_flows(Some("change")).await;
    connector.sync_everything().await;
    let second = compare(server, &connector.warehouse(), absent).await;
    print(name, "after every table changed", &second);
    for (table, counts) in changed["tables"].as_object().unwrap() {
        assert!(
            counts["created"].as_u64() != Some(0) || !second.contains_key(table.as_str()),
            "{table} did not change"
        );
    }

    let answers = crate::queries::run_all(&connector.warehouse());
    assert!(answers.left_out.is_empty(), "{:?}", answers.left_out);
    print_answers(name, &answers.rows);

    let third = connector.sync_everything().await;
    assert_eq!(
        third.count("Upserts") + third.count("Deletes"),
        0,
        "{third:?}"
    );
    quiet(&connector, &proxy, name).await;
}

/// The numbers of compared values of a table.
#[derive(Debug, Default)]
pub(super) struct Compared {
    rows: usize,
    columns: usize,
    /// Rows kept as history although their objects are gone.
    kept: usize,
    deleted: usize,
}

/// Compares every table with the server, and fails the test unless all values are equal.
pub(super) async fn compare(
    server: &PrefectServer,
    path: &Path,
    absent: &[&str],
) -> BTreeMap<&'static str, Compared> {
    let workspace = server.workspace();
    let mut everything = Everything::new(&workspace);
    let mut compared = BTreeMap::new();
    let mut differences = Vec::new();
    for table in tables::ALL {
        let listed = everything.rows_of(table).await;
        let mut contents = warehouse::contents(&warehouse::open(path), table);
        let Some(listed) = listed else {
            assert!(absent.contains(&table.name), "{} is not there", table.name);
            assert!(contents.rows.is_empty(), "{}", table.name);
            continue;
        };
        assert!(!absent.contains(&table.name), "{} is there", table.name);
        if table.name == "server_info" {
            take_what_was_found(table, &mut contents, absent);
        }
        let ids: BTreeSet<String> = listed.iter().map(|row| id_of(row.get())).collect();
        if table.name == "flow_run_state_history" && absent.is_empty() {
            // The table is built from events: no state that the server returns run by run may be missing.
            for state in everything.states_of(|_| true).await {
                let id = id_of(state.get());
                assert!(contents.rows.contains_key(&id), "no state {state}");
            }
        }
        let kept = take_history(table, &mut contents, &ids);
        oracle::compare_table(table, &listed, &contents, &mut differences);
        let numbers = Compared {
            rows: listed.len(),
            columns: table.columns.len(),
            kept,
            deleted: contents.deleted.len(),
        };
        compared.insert(table.name, numbers);
    }
    assert!(
        differences.is_empty(),
        "{} differences between warehouse and server:\n{}",
        differences.len(),
        differences.join("\n")
    );
    compared
}

fn id_of(object: &str) -> String {
    let object: Value = serde_json::from_str(object).unwrap();
    object["id"].as_str().unwrap().to_owned()
}

/// Removes the rows that outlive their objects, and returns their number.
fn take_history(table: &'static Table, contents: &mut Contents, there: &BTreeSet<String>) -> usize {
    let is_history = match table.source().strategy {
        Strategy::NewestFirst { keeps_history, .. } => keeps_history,
        Strategy::Runs | Strategy::AppendOnly(_) => true,
        Strategy::Snapshot(_) | Strategy::Nested(_) | Strategy::Server => false,
    };
    if !is_history {
        return 0;
    }
    let is_runs = matches!(table.strategy, Strategy::Runs);
    let state = table.position("state_type").filter(|_| is_runs);
    let before = contents.rows.len();
    contents.rows.retain(|id, cells| {
        let ended = state.is_none_or(|state| {
            let open = ["SCHEDULED", "PENDING", "RUNNING", "PAUSED", "CANCELLING"];
            !matches!(&cells[state], Cell::Text(kind) if open.contains(&kind.as_str()))
        });
        // An open run that is gone must be marked as deleted.
        there.contains(id) || !ended
    });
    before - contents.rows.len()
}

/// Checks and removes the columns of `server_info` that are not compared with the API.
fn take_what_was_found(table: &Table, contents: &mut Contents, absent: &[&str]) {
    let cells = contents.rows.get_mut("server").unwrap();
    let mut take = |column: &str| -> Value {
        let at = table.position(column).unwrap();
        let Cell::Text(text) = std::mem::replace(&mut cells[at], Cell::Null) else {
            panic!("{column} is no JSON");
        };
        serde_json::from_str(&text).unwrap()
    };
    let found = if absent.is_empty() {
        json!({"absent_tables": [], "flow_runs": "end_time", "task_runs": "end_time"})
    } else {
        json!({
            "absent_tables": absent, "flow_runs": "expected_start_time", "task_runs": "no time",
            "flow_run_state_history": "states of each run",
        })
    };
    assert_eq!(take("capabilities"), found);
    let settings = take("settings");
    assert_eq!(settings["server.api.default_limit"], 200, "{settings}");
    assert!(!settings.to_string().contains("sqlite"), "{settings}");
}

/// Runs a quiet sync of all default tables, and checks its requests and rows.
#[expect(clippy::print_stdout, reason = "to be read with --nocapture")]
async fn quiet(connector: &Connector, proxy: &HttpProxy, name: &str) {
    let mut served = Served::start(std::sync::Arc::new(SystemClock), Telemetry::default()).await;
    proxy.take_exchanges();
    let request = UpdateRequest {
        // The default page size.
        configuration: served::configuration(proxy.url(), &[]),
        selection: None,
        state_json: Some(std::fs::read_to_string(connector.state()).unwrap()),
    };
    let (operations, end) = sync(&mut served.client, request).await;
    end.unwrap();
    assert_eq!(records(&operations).count(), 0, "{operations:?}");
    let mut exchanges = proxy.take_exchanges();
    assert!(!exchanges.is_empty(), "the requests were recorded");
    // Where the test takes long, runs are old enough for their first recheck.
    let is_recheck = |it: &Exchange| {
        let tables = ["flow_runs", "task_runs"];
        let ends = tables.map(|table| &it.request_body[table]["end_time"]["before_"]);
        ends.into_iter().any(Value::is_string)
    };
    exchanges.retain(|it| !is_recheck(it));
    println!(
        "\n{name}: a quiet sync of all default tables: {} requests, 0 rows",
        exchanges.len()
    );
    let paths: Vec<&str> = exchanges.iter().map(|it| it.path.as_str()).collect();
    let defaults = tables::ALL.iter().filter(|table| table.choice.is_none());
    let listings = defaults.filter(|table| !matches!(table.strategy, Strategy::Nested(_)));
    assert!(
        exchanges.len() <= listings.count() + MORE_QUIET_REQUESTS,
        "{paths:#?}"
    );
}

#[expect(clippy::print_stdout, reason = "to be read with --nocapture")]
fn print_answers(name: &str, rows: &BTreeMap<String, usize>) {
    println!("\n{name}, queries and views: rows of the answers\n{rows:?}");
}

#[expect(clippy::print_stdout, reason = "to be read with --nocapture")]
fn print(name: &str, when: &str, compared: &BTreeMap<&'static str, Compared>) {
    println!("\n{name}, {when}\n");
    println!("| table | rows | columns | values equal | kept as history | marked deleted |");
    println!("|---|---|---|---|---|---|");
    for (table, it) in compared {
        println!(
            "| {table} | {} | {} | {} | {} | {} |",
            it.rows,
            it.columns,
            it.rows * it.columns,
            it.kept,
            it.deleted
        );
    }
}
