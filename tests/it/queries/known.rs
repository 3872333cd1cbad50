//! The queries on a few hand-written rows, with results computed by hand.

use std::collections::BTreeMap;

use fivetran_runner::duckdb::Connection;
use fivetran_source::tables::{self, ColumnType};

use super::{Query, Rows};

/// Creates all tables, empty. By default, rows are synced at `2026-01-10 00:00:00Z` and not deleted.
fn warehouse() -> Connection {
    let connection = Connection::open_in_memory().unwrap();
    connection
        .execute_batch("SET TimeZone = 'UTC'; CREATE SCHEMA tester")
        .unwrap();
    for table in tables::ALL {
        let columns = table.columns.iter().map(|column| {
            let kind = match column.kind {
                ColumnType::String => "VARCHAR",
                ColumnType::Boolean => "BOOLEAN",
                ColumnType::Long => "BIGINT",
                ColumnType::Double => "DOUBLE",
                ColumnType::UtcDatetime => "TIMESTAMPTZ",
                ColumnType::Json => "JSON",
            };
            format!("\"{}\" {kind}", column.name)
        });
        let columns = columns.collect::<Vec<_>>().join(", ");
        let create = format!(
            "CREATE TABLE tester.{} ({columns}, _fivetran_synced TIMESTAMPTZ DEFAULT \
             '2026-01-10 00:00:00Z', _fivetran_deleted BOOLEAN DEFAULT false)",
            table.name
        );
        connection.execute_batch(&create).unwrap();
    }
    connection
}

fn insert(connection: &Connection, table: &str, columns: &str, rows: &[&str]) {
    let rows = rows.iter().map(|row| format!("({row})"));
    let rows = rows.collect::<Vec<_>>().join(", ");
    let insert = format!("INSERT INTO tester.{table} ({columns}) VALUES {rows}");
    connection.execute_batch(&insert).unwrap();
}

fn run(connection: &Connection, name: &str) -> Rows {
    Query::find(&format!("views.{name}")).run(connection)
}

/// Returns each row's values of these columns, joined by `|`; null is `-`.
fn values(rows: &Rows, columns: &str) -> Vec<String> {
    let value = |row: &BTreeMap<String, Option<String>>, column: &str| {
        row[column].clone().unwrap_or_else(|| "-".to_owned())
    };
    rows.iter()
        .map(|row| {
            let cells = columns.split(", ").map(|column| value(row, column));
            cells.collect::<Vec<_>>().join("|")
        })
        .collect()
}

#[test]
fn success_and_durations() {
    let db = warehouse();
    insert(&db, "flows", "id, name", &["'f', 'etl'"]);
    insert(
        &db,
        "flow_runs",
        "id, flow_id, state_type, end_time, total_run_time, _fivetran_deleted",
        &[
            "'1', 'f', 'COMPLETED', '2026-01-05 00:00:00Z', 10, false",
            "'2', 'f', 'COMPLETED', '2026-01-05 12:00:00Z', 20, false",
            "'3', 'f', 'COMPLETED', '2026-01-05 13:00:00Z', 40, false",
            "'4', 'f', 'COMPLETED', '2026-01-05 23:59:59Z', 30, false",
            "'5', 'f', 'FAILED', '2026-01-05 12:00:00Z', 1000, false",
            "'6', 'f', 'CANCELLED', '2026-01-05 12:00:00Z', 1000, false",
            "'7', 'f', 'COMPLETED', '2026-01-05 12:00:00Z', 1000, true",
            "'8', 'f', 'RUNNING', null, 1000, false",
            "'9', 'f', 'CRASHED', '2026-01-06 00:00:00Z', 5, false",
        ],
    );
    let rows = run(&db, "flow_success_by_day");
    let columns = "day, flow, runs, completed, failed, crashed, cancelled, success_rate, \
                   p50_seconds, p95_seconds, max_seconds";
    // Four of the five runs that were not cancelled succeeded. 10 20 30 40: the median is 25, at 0.95 · 3 = 2.85
    // steps 38.5.
    assert_eq!(
        values(&rows, columns),
        [
            "2026-01-06|etl|1|0|0|1|0|0.0|-|-|-",
            "2026-01-05|etl|6|4|1|0|1|0.8|25.0|38.5|40.0",
        ]
    );
}

#[test]
fn lateness() {
    let db = warehouse();
    insert(&db, "deployments", "id, name", &["'d', 'nightly'"]);
    let due = "'d', 'pool', '2026-01-05 12:00:00Z'";
    insert(
        &db,
        "flow_runs",
        "id, deployment_id, work_pool_name, expected_start_time, start_time",
        &[
            &format!("'1', {due}, '2026-01-05 11:59:55Z'"),
            &format!("'2', {due}, '2026-01-05 12:00:10Z'"),
            &format!("'3', {due}, '2026-01-05 12:00:20Z'"),
            &format!("'4', {due}, '2026-01-05 12:00:30Z'"),
            &format!("'5', {due}, '2026-01-05 12:01:40Z'"),
            &format!("'6', {due}, null"),
            "'7', 'gone', null, '2026-01-05 12:00:00Z', '2026-01-05 12:00:01.500Z'",
            "'8', null, 'pool', '2026-01-05 12:00:00Z', '2026-01-05 13:00:00Z'",
        ],
    );
    let rows = run(&db, "lateness_by_deployment");
    let columns = "work_pool, deployment, runs, p50_seconds, p95_seconds, p99_seconds, \
                   max_seconds, share_over_a_minute";
    // 0 10 20 30 100: at 0.95 · 4 = 3.8 steps 30 + 0.8 · 70 = 86, at 3.96 steps 97.2.
    assert_eq!(
        values(&rows, columns),
        [
            "pool|nightly|5|20.0|86.0|97.2|100.0|0.2",
            "none|gone|1|1.5|1.5|1.5|1.5|0.0",
        ]
    );
}

#[test]
fn queue_time() {
    let db = warehouse();
    insert(
        &db,
        "flow_runs",
        "id, work_pool_name, created, expected_start_time, start_time",
        &[
            // Created after its due time; created before its due time; without a work pool.
            "'1', 'pool', '2026-01-05 12:00:30Z', '2026-01-05 12:00:00Z', '2026-01-05 12:00:40Z'",
            "'2', 'pool', '2026-01-01 12:00:00Z', '2026-01-05 12:00:00Z', '2026-01-05 12:00:30Z'",
            "'3', null, '2026-01-01 12:00:00Z', '2026-01-05 12:00:00Z', '2026-01-05 12:00:30Z'",
        ],
    );
    let rows = run(&db, "queue_time_by_day");
    let columns = "day, work_pool, runs, p50_seconds, p95_seconds, max_seconds";
    assert_eq!(values(&rows, columns), ["2026-01-05|pool|2|20.0|29.0|30.0"]);

    insert(
        &db,
        "flow_runs",
        "id, work_pool_name, created, expected_start_time",
        &["'4', 'pool', '2026-01-01 12:00:00Z', '2026-01-06 12:00:00Z'"],
    );
    insert(
        &db,
        "flow_run_state_history",
        "id, flow_run_id, state_type, occurred",
        &[
            // Run 2 started twice: only the first start counts. The PENDING state of run 1 is missing.
            "'a', '2', 'SCHEDULED', '2026-01-01 12:00:00Z'",
            "'b', '2', 'PENDING', '2026-01-05 12:00:05Z'",
            "'c', '2', 'RUNNING', '2026-01-05 12:00:30Z'",
            "'d', '2', 'PENDING', '2026-01-05 13:00:00Z'",
            "'e', '2', 'RUNNING', '2026-01-05 13:30:00Z'",
            "'f', '1', 'RUNNING', '2026-01-05 12:00:40Z'",
            // A worker took run 4 nine seconds early.
            "'g', '4', 'PENDING', '2026-01-06 11:59:51Z'",
            "'h', '4', 'RUNNING', '2026-01-06 12:00:02Z'",
        ],
    );
    let rows = run(&db, "queue_time_by_state");
    let columns = "day, work_pool, runs, p50_worker_seconds, p50_machine_seconds";
    assert_eq!(
        values(&rows, columns),
        ["2026-01-06|pool|1|0.0|2.0", "2026-01-05|pool|1|5.0|25.0"]
    );
}

#[test]
fn durations_across_a_clock_change_are_right_in_every_time_zone() {
    for zone in ["UTC", "Europe/Berlin", "America/New_York"] {
        let db = warehouse();
        db.execute_batch(&format!("SET TimeZone = '{zone}'"))
            .unwrap();
        // Clocks are set back on 2026-10-25 in Berlin, and on 2026-11-01 in New York.
        insert(
            &db,
            "flow_runs",
            "id, deployment_id, work_pool_name, created, expected_start_time, start_time",
            &[
                "'1', 'd', 'a', '2026-10-01 12:00:00Z', '2026-10-24 12:00:00Z', '2026-10-26 12:00:00Z'",
                "'2', 'e', 'b', '2026-10-01 12:00:00Z', '2026-10-31 12:00:00Z', '2026-11-02 12:00:00Z'",
            ],
        );
        for view in ["queue_time_by_day", "lateness_by_deployment"] {
            let rows = run(&db, view);
            assert_eq!(
                values(&rows, "max_seconds"),
                ["172800.0"; 2],
                "{zone} {view}"
            );
        }
    }
}

#[test]
fn retries_and_flakiness() {
    let db = warehouse();
    insert(&db, "flows", "id, name", &["'f', 'etl'", "'g', 'steady'"]);
    insert(
        &db,
        "flow_runs",
        "id, flow_id, state_type, run_count, end_time",
        &[
            "'1', 'f', 'COMPLETED', 1, '2026-01-05 01:00:00Z'",
            "'2', 'f', 'FAILED', 3, '2026-01-05 02:00:00Z'",
            "'3', 'f', 'COMPLETED', 2, '2026-01-05 03:00:00Z'",
            "'4', 'f', 'COMPLETED', 1, '2026-01-05 04:00:00Z'",
            "'5', 'f', 'CRASHED', 1, '2026-01-05 05:00:00Z'",
            "'6', 'f', 'CANCELLED', 0, '2026-01-05 06:00:00Z'",
            "'7', 'g', 'FAILED', 1, '2026-01-05 01:00:00Z'",
            "'8', 'g', 'FAILED', 1, '2026-01-05 02:00:00Z'",
        ],
    );
    let rows = run(&db, "retries_by_flow");
    let columns = "flow, runs, started_again, share_started_again, starts, recovered, \
                   failed_anyway, most_starts";
    assert_eq!(
        values(&rows, columns),
        ["etl|5|2|0.4|8|1|1|3", "steady|2|0|0.0|2|0|0|1"]
    );
    let rows = run(&db, "flaky_flows");
    let columns = "flow, runs, failed, changes, share_of_changes, last_result";
    // Succeeded, failed, succeeded, succeeded, failed: three changes in four steps.
    assert_eq!(
        values(&rows, columns),
        ["etl|5|2|3|0.75|failed", "steady|2|2|0|0.0|failed"]
    );
}

#[test]
fn runs_that_are_open() {
    let db = warehouse();
    insert(
        &db,
        "deployments",
        "id, name, paused",
        &["'d', 'on', false", "'e', 'off', true"],
    );
    insert(
        &db,
        "flow_runs",
        "id, flow_id, deployment_id, state_type, start_time, expected_start_time, total_run_time",
        &[
            "'1', 'f', 'd', 'RUNNING', now() - INTERVAL 2 HOUR, now() - INTERVAL 3 HOUR, 0",
            "'2', 'f', 'd', 'COMPLETED', now() - INTERVAL 9 HOUR, now() - INTERVAL 9 HOUR, 3600",
            "'3', 'f', 'd', 'PENDING', null, now() - INTERVAL 1 HOUR, 0",
            "'4', 'f', 'd', 'SCHEDULED', null, now() + INTERVAL 1 HOUR, 0",
            "'5', 'f', 'e', 'SCHEDULED', null, now() - INTERVAL 1 HOUR, 0",
        ],
    );
    let rows = run(&db, "longest_running");
    let columns = "flow_run_id, usual_p95_seconds, times_usual";
    assert_eq!(values(&rows, columns), ["1|3600.0|2.0"]);
    let rows = run(&db, "late_runs");
    assert_eq!(values(&rows, "flow_run_id, deployment"), ["3|on"]);
    let late: f64 = values(&rows, "late_seconds")[0].parse().unwrap();
    assert!((3600.0..3660.0).contains(&late), "{late}");
}

#[test]
fn tasks_that_fail_and_what_they_waited_for() {
    let db = warehouse();
    insert(&db, "flows", "id, name", &["'f', 'etl'"]);
    insert(&db, "flow_runs", "id, flow_id, name", &["'r', 'f', 'run'"]);
    insert(
        &db,
        "task_runs",
        "id, flow_run_id, name, task_key, state_type, state_message, state_timestamp, start_time, \
         end_time, total_run_time",
        &[
            "'x', 'r', 'x', 'k-0123abcd', 'COMPLETED', null, '2026-01-05 00:00:10Z', \
             '2026-01-05 00:00:00Z', '2026-01-05 00:00:10Z', 10",
            "'a', 'r', 'a', 'k', 'COMPLETED', null, '2026-01-05 00:00:15Z', \
             '2026-01-05 00:00:05Z', '2026-01-05 00:00:15Z', 10",
            "'b', 'r', 'b', 'k-fedcba98', 'FAILED', 'first', '2026-01-05 00:00:30Z', \
             '2026-01-05 00:00:12Z', '2026-01-05 00:00:30Z', 18",
            "'c', 'r', 'c', 'k', 'FAILED', 'last', '2026-01-05 00:00:40Z', \
             '2026-01-05 00:00:33Z', '2026-01-05 00:00:40Z', 7",
        ],
    );
    insert(
        &db,
        "task_run_dependencies",
        "id, task_run_id, argument, upstream_task_run_id",
        &[
            "'c/p/0', 'c', 'p', 'a'",
            "'c/p/1', 'c', 'p', 'b'",
            "'c/q/0', 'c', 'q', 'b'",
            "'b/p/0', 'b', 'p', 'x'",
            "'c/z/0', 'c', 'z', 'forgotten'",
        ],
    );
    let rows = run(&db, "failed_tasks");
    let columns = "task, flow, runs, failed, failure_rate, last_message, last_task_run_id";
    assert_eq!(values(&rows, columns), ["k|etl|4|2|0.5|last|c"]);
    let rows = run(&db, "failed_task_upstream");
    let columns = "failed_task, upstream_task, upstream_state, ended_before_start_seconds, \
                   kept_waiting";
    assert_eq!(
        values(&rows, columns),
        [
            "c|b|FAILED|3.0|true",
            "c|a|COMPLETED|18.0|false",
            "c|-|-|-|false",
            "b|x|COMPLETED|2.0|true",
        ]
    );
    let rows = run(&db, "failed_task_critical_path");
    let columns = "failed_task_run_id, step, task, run_seconds, waited_seconds";
    assert_eq!(
        values(&rows, columns),
        [
            "c|0|c|7.0|3.0",
            "c|1|b|18.0|2.0",
            "c|2|x|10.0|-",
            "b|0|b|18.0|2.0",
            "b|1|x|10.0|-",
        ]
    );
}

#[test]
fn schedules_and_pauses() {
    let db = warehouse();
    insert(
        &db,
        "deployments",
        "id, name, paused, updated",
        &[
            "'d', 'on', false, '2026-01-05 00:00:00Z'",
            "'e', 'paused', true, '2026-01-06 00:00:00Z'",
            "'g', 'off', false, '2026-01-04 00:00:00Z'",
        ],
    );
    insert(
        &db,
        "deployment_schedules",
        "id, deployment_id, active, schedule, created, updated, _fivetran_deleted",
        &[
            "'1', 'd', true, '{\"cron\":\"0 * * * *\"}', '2026-01-01 00:00:00Z', \
             '2026-01-01 00:00:00.000012Z', false",
            "'2', 'g', false, '{\"interval\":5400.0}', '2026-01-01 00:00:00Z', \
             '2026-01-09 00:00:00Z', false",
            "'3', 'g', true, '{\"rrule\":\"FREQ=DAILY\"}', '2026-01-01 00:00:00Z', \
             '2026-01-09 00:00:00Z', true",
        ],
    );
    let rows = run(&db, "schedule_changes");
    let columns = "changed_at, change, deployment, schedule, active";
    assert_eq!(
        values(&rows, columns),
        [
            "2026-01-10 00:00:00+00|deleted|off|FREQ=DAILY|true",
            "2026-01-09 00:00:00+00|updated|off|every 5400.0 s|false",
            "2026-01-01 00:00:00.000012+00|created|on|0 * * * *|true",
        ]
    );
    let rows = run(&db, "paused_deployments");
    let columns = "deployment, why, schedules, active_schedules";
    assert_eq!(
        values(&rows, columns),
        ["paused|paused|0|0", "off|no active schedule|1|0"]
    );
}

#[test]
fn what_syncs_cost() {
    let db = warehouse();
    insert(
        &db,
        "flows",
        "id, _fivetran_synced, _fivetran_deleted",
        &[
            "'1', '2026-01-31 22:00:00Z', false",
            "'2', '2026-01-31 22:08:00Z', false",
            "'3', '2026-02-01 00:00:00Z', true",
        ],
    );
    insert(
        &db,
        "variables",
        "id, _fivetran_synced",
        &["'1', '2026-01-31 22:15:00Z'"],
    );
    let rows = run(&db, "rows_by_sync");
    let columns = "sync, table_name, rows_landed, of_them_deletes";
    assert_eq!(
        values(&rows, columns),
        ["2|flows|1|1", "1|flows|2|0", "1|variables|1|0"]
    );
    let rows = run(&db, "active_rows_by_month");
    let columns = "month, table_name, active_rows, of_them_deletes";
    assert_eq!(
        values(&rows, columns),
        [
            "2026-02-01|flows|1|1",
            "2026-01-01|flows|2|0",
            "2026-01-01|variables|1|0",
        ]
    );
    let rows = run(&db, "table_freshness");
    let columns = "table_name, live_rows, deleted_rows, last_landed";
    let values = values(&rows, columns);
    assert!(values.contains(&"flows|2|1|2026-02-01 00:00:00+00".to_owned()));
    assert!(values.contains(&"flow_runs|0|0|-".to_owned()));
}
