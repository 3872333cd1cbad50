//! The expected contents of the page, computed independently of the page.

use std::collections::BTreeMap;

use fivetran_runner::duckdb::{Connection, Row};
use serde_json::{Value, json};

fn ask<T>(
    connection: &Connection,
    sql: &str,
    read: impl FnMut(&Row<'_>) -> fivetran_runner::duckdb::Result<T>,
) -> Vec<T> {
    let mut statement = connection.prepare(sql).unwrap();
    let rows = statement.query_map([], read).unwrap();
    rows.map(Result::unwrap).collect()
}

/// Checks the page's list of tables against the warehouse, and the sum against the list.
pub(super) fn assert_tables(shown: &Value, connection: &Connection) {
    let tables = shown["tables"].as_object().unwrap();
    assert!(!tables.is_empty());
    let mut sent = 0;
    for (table, numbers) in tables {
        let sql =
            format!("SELECT count(*), count(*) FILTER (WHERE _fivetran_deleted) FROM {table}");
        let held = ask(connection, &sql, |row| Ok((row.get(0)?, row.get(1)?)));
        let (rows, deleted): (u64, u64) = held[0];
        assert_eq!(
            (&numbers[4], &numbers[5]),
            (&json!(rows), &json!(deleted)),
            "{table}"
        );
        let of_table: u64 = (0..3).map(|at| numbers[at].as_u64().unwrap()).sum();
        sent += of_table;
    }
    assert_eq!(shown["tiles"]["rows"], sent);
}

/// Returns day, state and number of flow runs, ordered by day and from the bottom of a bar to its top.
pub(super) fn runs_per_day(connection: &Connection) -> Value {
    let order = [
        "COMPLETED",
        "RUNNING",
        "PENDING",
        "SCHEDULED",
        "CRASHED",
        "FAILED",
        "CANCELLED",
        "CANCELLING",
        "PAUSED",
    ];
    let sql = "SELECT strftime(coalesce(start_time, expected_start_time) AT TIME ZONE 'UTC', '%Y-%m-%d'), state_type \
               FROM tester.flow_runs WHERE NOT _fivetran_deleted \
               AND coalesce(start_time, expected_start_time) <= _fivetran_synced";
    let runs: Vec<(String, String)> = ask(connection, sql, |row| Ok((row.get(0)?, row.get(1)?)));
    assert!(runs.len() > 1_000);
    let mut counts: BTreeMap<(String, usize), u64> = BTreeMap::new();
    for (day, state) in runs {
        let place = order.iter().position(|name| *name == state).unwrap();
        *counts.entry((day, place)).or_default() += 1;
    }
    // The last 30 days; the demo workspace has runs on every day.
    let mut days: Vec<&String> = counts.keys().map(|(day, _)| day).collect();
    days.dedup();
    let first = days[days.len().saturating_sub(30)].clone();
    let shown = counts.iter().filter(|((day, _), _)| *day >= first);
    shown
        .map(|((day, place), count)| json!([day, order[*place], count]))
        .collect()
}

/// Returns end, flow, name, state and message of the last failed runs.
pub(super) fn failed_runs(connection: &Connection) -> Value {
    let sql = "SELECT strftime(end_time AT TIME ZONE 'UTC', '%Y-%m-%d %H:%M'), \
               (SELECT name FROM tester.flows WHERE id = flow_id), name, state_name, state_message \
               FROM tester.flow_runs WHERE state_type IN ('FAILED', 'CRASHED') AND NOT _fivetran_deleted \
               ORDER BY end_time DESC, id LIMIT 15";
    let runs = ask(connection, sql, |row| {
        let text = |at| {
            Ok::<_, fivetran_runner::duckdb::Error>(
                row.get::<_, Option<String>>(at)?.unwrap_or_default(),
            )
        };
        Ok([text(0)?, text(1)?, text(2)?, text(3)?, text(4)?])
    });
    assert_eq!(runs.len(), 15);
    json!(runs)
}

/// Checks the number of runs and three percentiles of their durations, for each flow.
pub(super) fn assert_durations(shown: &Value, connection: &Connection) {
    let sql = "SELECT f.name, r.total_run_time FROM tester.flow_runs r JOIN tester.flows f ON f.id = r.flow_id \
               WHERE r.state_type = 'COMPLETED' AND NOT r._fivetran_deleted ORDER BY r.total_run_time";
    let mut flows: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for (flow, took) in ask(connection, sql, |row| Ok((row.get(0)?, row.get(1)?))) {
        flows.entry(flow).or_default().push(took);
    }
    let shown = shown.as_array().unwrap();
    assert_eq!(shown.len(), flows.len().min(10));
    let most = shown.iter().map(|flow| flow[1].as_u64().unwrap());
    let mut all: Vec<u64> = flows.values().map(|took| took.len() as u64).collect();
    all.sort_unstable();
    assert!(most.eq(all.into_iter().rev().take(10)));
    for flow in shown {
        let took = &flows[flow[0].as_str().unwrap()];
        assert_eq!(flow[1], took.len());
        for (at, part) in [(2, 0.5), (3, 0.9), (4, 0.99)] {
            let (want, shown_values) = (at_part(took, part), flow[at].as_f64().unwrap());
            assert!((want - shown_values).abs() <= want * 1e-6, "{flow}: {want}");
        }
    }
}

/// Returns the value at a fraction of a sorted list, interpolated linearly between two values.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a small list"
)]
fn at_part(sorted: &[f64], part: f64) -> f64 {
    let place = part * (sorted.len() - 1) as f64;
    let below = place.floor() as usize;
    let above = (below + 1).min(sorted.len() - 1);
    sorted[below] + (sorted[above] - sorted[below]) * place.fract()
}
