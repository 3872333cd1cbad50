//! Shapes of tables for which the usual memory of the database is not enough.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use chrono::{DateTime, Utc};
use fivetran_proto::{
    Checkpoint, Column, DataType, Record, RecordType, ValueType, update_response,
};
use twox_hash::XxHash3_64;

use super::fake::{key, long, table, text};
use crate::{
    database::DuckDb,
    state::StateFile,
    warehouse::{Store as _, Warehouse},
};

const DIR: &str = "LOCAL_RUN_MEMORY_DIR";
/// The size of a long text, in bytes.
const LONG: u64 = 1 << 20;

/// Opens the warehouse of a folder for one sync.
fn open(dir: &Path, history: bool) -> Warehouse<DuckDb> {
    let file = StateFile::new(dir.join("state.json"));
    let store = DuckDb::open(&dir.join("warehouse.db")).unwrap();
    let store = store.keep("tester", history).unwrap();
    Warehouse::new(store, file, "tester".into())
}

/// Declares tables with a key and this number of further columns.
fn declare(warehouse: &mut Warehouse<DuckDb>, tables: usize, columns: usize) {
    let column = |at: usize| Column {
        primary_key: false,
        ..key(&format!("c{at}"), DataType::String)
    };
    let declared = |at: usize| {
        let mut all = vec![key("id", DataType::Long)];
        all.extend((0..columns).map(column));
        (None, table(&format!("t{at}"), all))
    };
    warehouse
        .declare((0..tables).map(declared).collect())
        .unwrap();
}

fn upsert(warehouse: &mut Warehouse<DuckDb>, table: usize, id: i64, columns: usize, value: &str) {
    let cells = (0..columns).map(|at| (format!("c{at}"), text(value)));
    let data = [("id".to_owned(), long(id))].into_iter().chain(cells);
    apply(
        warehouse,
        update_response::Operation::Record(Record {
            table_name: format!("t{table}"),
            r#type: RecordType::Upsert.into(),
            data: data
                .map(|(name, inner)| (name, ValueType { inner: Some(inner) }))
                .collect(),
            ..Record::default()
        }),
    );
}

fn apply(warehouse: &mut Warehouse<DuckDb>, operation: update_response::Operation) {
    let at = DateTime::<Utc>::UNIX_EPOCH;
    warehouse.apply(operation.into(), at).unwrap();
}

/// Returns a random text, which the database cannot compress. It depends on the id only.
fn random_text(id: i64, bytes: u64) -> String {
    let random = |at: u64| XxHash3_64::oneshot_with_seed(at, &id.to_le_bytes());
    let words: Vec<_> = (0..bytes / 16)
        .map(|at| format!("{:016x}", random(at)))
        .collect();
    words.concat()
}

/// Upserts rows with long texts into the first table.
fn upsert_long(warehouse: &mut Warehouse<DuckDb>, ids: std::ops::Range<i64>) {
    for id in ids {
        upsert(warehouse, 0, id, 1, &random_text(id, LONG));
    }
}

/// Ends a sync as the writer does.
fn finish(mut warehouse: Warehouse<DuckDb>) {
    warehouse.flush().unwrap();
    warehouse.store.finish();
}

/// Returns the first value of a query's only row.
fn number(dir: &Path, sql: &str) -> u64 {
    let store = DuckDb::open_read_only(&dir.join("warehouse.db")).unwrap();
    let answer = store.query(sql, 1).unwrap();
    answer.rows[0][0].as_deref().unwrap().parse().unwrap()
}

fn row_groups(dir: &Path, table: &str) -> u64 {
    let from = format!("pragma_storage_info('tester.{table}')");
    number(
        dir,
        &format!("SELECT count(DISTINCT row_group_id) FROM {from}"),
    )
}

/// Returns the number of rows of all tables.
fn rows(warehouse: &mut Warehouse<DuckDb>) -> u64 {
    warehouse.flush().unwrap();
    let landed = warehouse.landed().unwrap();
    landed.iter().map(|table| table.rows).sum()
}

#[test]
fn many_tables_with_a_row_each_are_landed_again_and_again() {
    for (tables, columns, history) in [(100, 50, false), (150, 20, true)] {
        let dir = tempfile::tempdir().unwrap();
        for sync in 0..2 {
            let mut warehouse = open(dir.path(), history);
            declare(&mut warehouse, tables, columns);
            for at in 0..tables {
                upsert(&mut warehouse, at, sync, columns, "a");
            }
            let landed = rows(&mut warehouse);
            assert_eq!(landed, tables as u64 * (sync.unsigned_abs() + 1));
        }
    }
}

#[test]
fn a_table_with_a_thousand_columns_is_landed_and_changed() {
    let dir = tempfile::tempdir().unwrap();
    for value in ["one", "two"] {
        let mut warehouse = open(dir.path(), false);
        declare(&mut warehouse, 1, 1_000);
        for id in 0..2_000 {
            upsert(&mut warehouse, 0, id, 1_000, value);
        }
        assert_eq!(rows(&mut warehouse), 2_000);
    }
}

#[test]
fn a_sync_of_many_columns_leaves_no_log() {
    let dir = tempfile::tempdir().unwrap();
    let mut warehouse = open(dir.path(), false);
    declare(&mut warehouse, 1, 300);
    for id in 0..10_000 {
        upsert(&mut warehouse, 0, id, 300, &random_text(id, 16));
    }
    finish(warehouse);
    assert!(!dir.path().join("warehouse.db.wal").exists());
}

#[test]
fn large_texts_with_many_checkpoints_are_landed() {
    let dir = tempfile::tempdir().unwrap();
    let mut warehouse = open(dir.path(), false);
    declare(&mut warehouse, 1, 1);
    for id in 0..4_000_i64 {
        upsert(&mut warehouse, 0, id, 1, &random_text(id, 102_400));
        if id % 50 == 49 {
            let state_json = "{}".to_owned();
            apply(
                &mut warehouse,
                update_response::Operation::Checkpoint(Checkpoint { state_json }),
            );
            warehouse.flush().unwrap();
        }
    }
    assert_eq!(rows(&mut warehouse), 4_000);
}

/// Syncs long texts twice, and prints the largest memory of this process after each part, in KiB.
#[test]
#[ignore = "runs as the other process of this module's tests"]
fn child() {
    let dir = std::env::var(DIR).unwrap();
    let dir = Path::new(&dir);
    let mut warehouse = open(dir, false);
    declare(&mut warehouse, 1, 1);
    upsert_long(&mut warehouse, 0..192);
    println!("peak {}", peak());
    upsert_long(&mut warehouse, 192..640);
    finish(warehouse);
    let mut warehouse = open(dir, false);
    declare(&mut warehouse, 1, 1);
    upsert_long(&mut warehouse, 639..641);
    finish(warehouse);
    println!("peak {}", peak());
}

/// The largest memory of this process so far, in KiB.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.unwrap().trim().trim_end_matches(" kB");
    number.parse().unwrap()
}

#[test]
fn memory_does_not_grow_with_the_number_of_long_texts() {
    let dir = tempfile::tempdir().unwrap();
    let child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "tests::memory::child",
            "--ignored",
            "--nocapture",
        ])
        .env(DIR, dir.path())
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    let output = String::from_utf8(child.stdout).unwrap();
    let peaks: Vec<u64> = output
        .lines()
        .filter_map(|line| line.split_once("peak ")?.1.parse().ok())
        .collect();
    let [first, last] = peaks[..] else {
        panic!("{output}");
    };
    assert!(last <= first + first / 4, "{first} KiB, then {last} KiB");
    assert_eq!(number(dir.path(), "SELECT count(*) FROM tester.t0"), 641);
    let lengths = format!("SELECT count(*) FROM tester.t0 WHERE strlen(c0) = {LONG}");
    assert_eq!(number(dir.path(), &lengths), 641);
}

#[test]
fn long_texts_are_written_to_the_file_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let mut warehouse = open(dir.path(), false);
    declare(&mut warehouse, 1, 1);
    // As many as a flush has.
    upsert_long(&mut warehouse, 0..64);
    assert_eq!(rows(&mut warehouse), 64);
    let log = std::fs::metadata(dir.path().join("warehouse.db.wal"));
    let bytes = log.map_or(0, |log| log.len());
    assert!(bytes < LONG, "{bytes} bytes are in the log only");
}

#[test]
fn small_syncs_do_not_leave_a_row_group_each() {
    // With few long texts DuckDB merges row groups, with many we do.
    for long in [1, 144] {
        let dir = tempfile::tempdir().unwrap();
        let mut warehouse = open(dir.path(), false);
        declare(&mut warehouse, 2, 1);
        upsert_long(&mut warehouse, 0..long);
        finish(warehouse);
        for sync in 0..30_i64 {
            let mut warehouse = open(dir.path(), false);
            declare(&mut warehouse, 2, 1);
            upsert(&mut warehouse, 0, 1_000 + sync, 1, "short");
            // Each row is replaced by the next sync, so row groups have deleted rows.
            upsert(&mut warehouse, 1, sync, 1, "new");
            upsert(&mut warehouse, 1, sync - 1, 1, &sync.to_string());
            finish(warehouse);
        }
        for table in ["t0", "t1"] {
            let groups = row_groups(dir.path(), table);
            assert!(groups <= 14, "{table} with {long}: {groups} row groups");
        }
        let long = long.unsigned_abs();
        let texts = format!("SELECT count(*) FROM tester.t0 WHERE strlen(c0) = {LONG}");
        assert_eq!(number(dir.path(), &texts), long);
        let all = "SELECT count(*) FROM tester.t0";
        assert_eq!(number(dir.path(), all), long + 30);
        let replaced = "SELECT count(DISTINCT id) FROM tester.t1 WHERE c0 = (id + 1)::VARCHAR";
        assert_eq!(number(dir.path(), replaced), 30);
        assert_eq!(number(dir.path(), "SELECT count(*) FROM tester.t1"), 31);
    }
}
