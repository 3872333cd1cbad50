//! Shapes of tables for which the usual memory of the database is not enough.

use std::path::Path;

use chrono::{DateTime, Utc};
use fivetran_proto::{
    Checkpoint, Column, DataType, Record, RecordType, ValueType, update_response,
};
use twox_hash::XxHash3_64;

use super::fake::{key, long, table, text};
use crate::{database::DuckDb, state::StateFile, warehouse::Warehouse};

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
fn large_texts_with_many_checkpoints_are_landed() {
    let dir = tempfile::tempdir().unwrap();
    let mut warehouse = open(dir.path(), false);
    declare(&mut warehouse, 1, 1);
    for id in 0..4_000_i64 {
        // Random texts, which the database cannot compress.
        let random = |at: u64| XxHash3_64::oneshot_with_seed(at, &id.to_le_bytes());
        let words: Vec<_> = (0..6_400)
            .map(|at| format!("{:016x}", random(at)))
            .collect();
        let value = words.concat();
        upsert(&mut warehouse, 0, id, 1, &value);
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
