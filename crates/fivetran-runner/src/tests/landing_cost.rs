//! The cost of landing changed rows in a small and in a large table: `make scale`.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use fivetran_proto::{DataType, Record, RecordType, ValueType, update_response, value_type::Inner};

use twox_hash::XxHash3_64;

use super::fake::{key, long, table, text};
use crate::{database::DuckDb, state::StateFile, warehouse::Warehouse, wire::Operation};

/// The number of rows that change.
const CHANGED: i64 = 100_000;

/// The sizes of the tables.
const SIZES: [i64; 2] = [100_000, 1_000_000];

/// The rows that change.
#[derive(Debug, Clone, Copy)]
enum Changes {
    /// Rows that were landed one after another, as recent runs are.
    Adjacent,
    /// Rows from all over the table. Each flush reads the keys and the columns of a fixed size of the whole table.
    Scattered,
}

impl Changes {
    /// Returns the maximum of the cost per changed row in the large table, compared with the small one.
    fn most_growth(self) -> f64 {
        match self {
            Self::Adjacent => 1.3,
            Self::Scattered => 1.6,
        }
    }
}

#[test]
#[ignore = "minutes: make scale"]
fn a_changed_row_costs_about_the_same_in_a_large_table() {
    println!("\nlanding {CHANGED} changed rows   us per row, in tables of {SIZES:?} rows   ratio");
    for changes in [Changes::Adjacent, Changes::Scattered] {
        let [small, large] = SIZES.map(|size| cost(size, changes).as_secs_f64() / 0.1);
        let growth = large / small;
        println!("{changes:>9?}   {small:.1} {large:.1}   {growth:.2}");
        assert!(growth < changes.most_growth(), "{changes:?}: {growth:.2}");
    }
}

/// Returns the time for landing the changes in a table of `size` rows.
fn cost(size: i64, changes: Changes) -> Duration {
    let dir = tempfile::tempdir().unwrap();
    let file = StateFile::new(dir.path().join("state.json"));
    let store = DuckDb::open(&dir.path().join("warehouse.db")).unwrap();
    let mut warehouse = Warehouse::new(store, file, "tester".into());
    let declared = table("runs", vec![key("id", DataType::String)]);
    warehouse.declare(vec![(None, declared)]).unwrap();
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
    let took = began.elapsed();
    let landed = &warehouse.landed().unwrap()[0];
    assert_eq!(
        landed.rows,
        size.unsigned_abs(),
        "every change replaces a row"
    );
    took
}

/// Returns an upsert of a row like a flow run: a random key, short texts, numbers, and JSON. The values are random, so
/// that neither compression nor the order of the keys spares the database any work.
fn row(id: i64, version: i64) -> Operation {
    let random = |seed: u64| XxHash3_64::oneshot_with_seed(seed, &id.to_le_bytes());
    let number = |seed| long(random(seed).cast_signed());
    let parameters: Vec<String> = (0..40).map(|seed| random(seed).to_string()).collect();
    let parameters = format!(
        r#"{{"batch": {id}, "values": [{}]}}"#,
        parameters.join(", ")
    );
    let mut data = vec![
        ("id".to_owned(), text(&format!("{:016x}", random(40)))),
        ("updated".to_owned(), long(version)),
        ("parameters".to_owned(), Inner::Json(parameters)),
    ];
    let texts = (41..53).map(|seed| (format!("text_{seed}"), text(&random(seed).to_string())));
    data.extend(texts);
    data.extend((53..61).map(|seed| (format!("number_{seed}"), number(seed))));
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
