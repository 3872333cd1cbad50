//! The cost of landing changed rows in a small and in a large table: `make scale`.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use fivetran_proto::{Record, RecordType, ValueType, update_response, value_type::Inner};

use super::fake::{long, text};
use crate::{database::DuckDb, state::StateFile, warehouse::Warehouse, wire::Operation};

/// The number of rows that change.
const CHANGED: i64 = 100_000;

/// The sizes of the tables.
const SIZES: [i64; 2] = [100_000, 1_000_000];

/// The maximum of the cost per changed row in the large table, compared with the small one.
const MOST_GROWTH: f64 = 1.3;

/// The rows that change.
#[derive(Debug, Clone, Copy)]
enum Changes {
    /// Rows that were landed one after another, as recent runs are.
    Adjacent,
    /// Rows from all over the table.
    Scattered,
}

#[test]
#[ignore = "minutes: make scale"]
fn a_changed_row_costs_about_the_same_in_a_large_table() {
    println!("\nlanding {CHANGED} changed rows   us per row, in tables of {SIZES:?} rows   ratio");
    for changes in [Changes::Adjacent, Changes::Scattered] {
        let [small, large] = SIZES.map(|size| cost(size, changes).as_secs_f64() / 0.1);
        let growth = large / small;
        println!("{changes:>9?}   {small:.1} {large:.1}   {growth:.2}");
        assert!(growth < MOST_GROWTH, "{changes:?}: {growth:.2}");
    }
}

/// Returns the time for landing the changes in a table of `size` rows.
fn cost(size: i64, changes: Changes) -> Duration {
    let dir = tempfile::tempdir().unwrap();
    let file = StateFile::new(dir.path().join("state.json"));
    let store = DuckDb::open(&dir.path().join("warehouse.db")).unwrap();
    let mut warehouse = Warehouse::new(store, file, "tester".into());
    let at = DateTime::<Utc>::UNIX_EPOCH;
    for id in 0..size {
        warehouse.apply(row(id, 0), at).unwrap();
    }
    warehouse.flush().unwrap();
    let step = match changes {
        Changes::Adjacent => 1,
        Changes::Scattered => size / CHANGED,
    };
    let began = Instant::now();
    for changed in 0..CHANGED {
        warehouse.apply(row(changed * step, 1), at).unwrap();
    }
    warehouse.flush().unwrap();
    began.elapsed()
}

/// Returns an upsert of a row like a flow run: a key, short texts, numbers, and JSON.
fn row(id: i64, version: i64) -> Operation {
    let mut data = vec![
        ("id".to_owned(), text(&format!("{:032x}", id * 0x9e37_79b9))),
        ("updated".to_owned(), long(version)),
        (
            "parameters".to_owned(),
            Inner::Json(format!(
                r#"{{"batch": {id}, "path": "{}"}}"#,
                "x".repeat(500)
            )),
        ),
    ];
    data.extend((0..12).map(|at| (format!("text_{at}"), text(&format!("value {at} of {id}")))));
    data.extend((0..8).map(|at| (format!("number_{at}"), long(id + at))));
    let data = data
        .into_iter()
        .map(|(name, inner)| (name, ValueType { inner: Some(inner) }));
    update_response::Operation::Record(Record {
        table_name: "runs".to_owned(),
        r#type: RecordType::Upsert.into(),
        data: data.collect(),
        ..Record::default()
    })
    .into()
}
