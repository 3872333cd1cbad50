//! Tests of the oracle: it agrees with the real flattening on all samples, and names the column of any wrong value.
//!
//! The oracle shares no code with the flattening, so the first test is also the differential test of the flattening.

use std::collections::BTreeMap;

use fivetran_source::{
    rows::{Context, Row, Value, ValueRef},
    tables::{self, Column, Source, Table},
};
use serde_json::value::RawValue;

use crate::support::{
    oracle::compare_table,
    warehouse::{Cell, Contents},
};

#[test]
fn it_agrees_with_the_flattening_of_all_samples() {
    for (table, object) in objects() {
        let contents = flattened(table, &object);
        let found = differences(table, &object, &contents);
        assert!(found.is_empty(), "{found:#?}");
    }
}

#[test]
fn it_finds_a_wrong_value_in_any_column() {
    for (table, object) in objects() {
        for (position, column) in table.columns.iter().enumerate().skip(1) {
            let mut contents = flattened(table, &object);
            let cells = contents.rows.values_mut().next().unwrap();
            cells[position] = another(&cells[position], column);
            let found = differences(table, &object, &contents);
            assert_eq!(found.len(), 1, "{} {}: {found:#?}", table.name, column.name);
            assert!(found[0].contains(column.name), "{found:?}");
        }
    }
}

#[test]
fn it_finds_rows_too_few_too_many_and_deleted() {
    for (table, object) in objects() {
        let full = flattened(table, &object);
        let (id, cells) = full.rows.first_key_value().unwrap();
        let none = Contents::default();
        let deleted = Contents {
            deleted: vec![id.clone()],
            ..Contents::default()
        };
        let mut more = Contents::default();
        more.rows.insert(id.clone(), cells.clone());
        more.rows.insert("another".to_owned(), cells.clone());
        for (contents, says) in [
            (none, "not at all"),
            (deleted, "as deleted"),
            (more, "not on the server"),
        ] {
            let found = differences(table, &object, &contents);
            assert_eq!(found.len(), 1, "{says}: {found:#?}");
            assert!(found[0].contains(says), "{found:?}");
        }
    }
}

/// Returns every sample of every table, unchanged and with extra fields that have no column.
fn objects() -> Vec<(&'static Table, Box<RawValue>)> {
    let mut objects = Vec::new();
    for table in tables::ALL {
        for sample in table.samples {
            let more = sample
                .replacen('{', r#"{"beyond":{"b":[1.10,null]},"#, 1)
                .replacen(r#""created_by":{"#, r#""created_by":{"shoe_size":46,"#, 1);
            for text in [sample.to_string(), more] {
                objects.push((*table, RawValue::from_string(text).unwrap()));
            }
        }
    }
    assert!(objects.len() >= 12, "only {} objects", objects.len());
    objects
}

fn differences(table: &Table, object: &RawValue, contents: &Contents) -> Vec<String> {
    let mut differences = Vec::new();
    compare_table(table, &[object.to_owned()], contents, &mut differences);
    differences
}

fn flattened(table: &'static Table, object: &RawValue) -> Contents {
    let row = Row::parse(table, object.get(), &Context::default()).unwrap();
    let id = row.id().to_owned();
    let cells = row.values().map(ValueRef::to_value).map(cell).collect();
    Contents {
        rows: BTreeMap::from([(id, cells)]),
        deleted: Vec::new(),
    }
}

fn cell(value: Value) -> Cell {
    match value {
        Value::Null => Cell::Null,
        Value::String(text) | Value::Json(text) => Cell::Text(text),
        Value::Boolean(value) => Cell::Boolean(value),
        Value::Long(value) => Cell::Long(value),
        Value::Double(value) => Cell::Double(value),
        Value::UtcDatetime(instant) => Cell::Micros(instant.timestamp_micros()),
    }
}

/// Returns a value that differs as little as its type allows. Of a volatile column only the presence is compared.
fn another(cell: &Cell, column: &Column) -> Cell {
    let planted = Cell::Text(r#"{"planted":true}"#.to_owned());
    match cell {
        Cell::Null => planted,
        // The connector composes this value: only its meaning is compared.
        _ if column.source == Source::Unmapped => planted,
        _ if column.volatile => Cell::Null,
        // Not even the spaces of a JSON value may change.
        Cell::Text(text) => Cell::Text(text.replacen(':', ": ", 1) + " "),
        Cell::Boolean(value) => Cell::Boolean(!value),
        Cell::Long(value) => Cell::Long(value + 1),
        Cell::Double(value) => Cell::Double(value.next_up()),
        Cell::Micros(value) => Cell::Micros(value + 1),
    }
}
