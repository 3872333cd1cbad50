//! Tests of a selection: the tables that are created and listed, and of the records that an observer counts.

use std::{
    path::Path,
    sync::{Arc, Mutex},
};

use tokio_util::sync::CancellationToken;

use super::fake::*;
use crate::{Names, Options, RequestedSelection, SyncOutcome, run_observed};
use fivetran_proto::{DataType, RecordType, SchemaResponse};

fn two_tables() -> SchemaResponse {
    let columns = || vec![key("id", DataType::Long), column("a", DataType::Long)];
    schema(vec![table("t", columns()), table("u", columns())])
}

/// Runs a sync of the table `t` alone, with these steps.
async fn sync_of_t(dir: &Path, update: Vec<Step>) -> SyncOutcome {
    let script = Script {
        schema: two_tables(),
        update,
        ..Script::default()
    };
    let fake = Fake::start(script).await;
    let names = Names {
        tables: vec!["t".into()],
        ..Names::default()
    };
    let options = Options {
        selection: RequestedSelection::Names(names),
        ..options(&fake, dir)
    };
    run_with(options).await.unwrap()
}

fn tables(outcome: &SyncOutcome) -> Vec<&str> {
    let tables = outcome.tables.iter();
    tables.map(|table| table.table.as_str()).collect()
}

#[tokio::test]
async fn a_table_that_is_not_selected_is_neither_created_nor_listed() {
    let dir = tempfile::tempdir().unwrap();
    let row = || upsert(&[("id", long(1)), ("a", long(2))]);
    let outcome = sync_of_t(dir.path(), vec![row()]).await;
    assert_eq!(tables(&outcome), ["tester.t"]);
    assert_eq!(outcome.operations.schema_changes, 1);
    let created = "SELECT table_name FROM duckdb_tables() WHERE schema_name = 'tester'";
    assert_eq!(rows(dir.path(), created), ["t"]);

    // A connector that sends it in spite of the selection gets the table that it declared.
    let other = record(RecordType::Upsert, "u", &[("id", long(1)), ("a", long(2))]);
    let outcome = sync_of_t(dir.path(), vec![row(), other]).await;
    assert_eq!(tables(&outcome), ["tester.t", "tester.u"]);
    let outcome = sync(dir.path(), two_tables(), vec![row()]).await;
    assert_eq!(outcome.failure, None);
}

#[tokio::test]
async fn an_observer_counts_the_rows_of_the_outcome() {
    let dir = tempfile::tempdir().unwrap();
    let fake = Fake::start(Script {
        schema: one_table(),
        update: vec![
            truncate(),
            row(1, 1, "x"),
            row(2, 1, "x"),
            update(&[("id", long(1)), ("a", long(3))]),
            delete(2),
            checkpoint("{}"),
        ],
        ..Script::default()
    })
    .await;
    let seen = Arc::new(Mutex::new(0));
    let sum = Arc::clone(&seen);
    let observer = Arc::new(move |_: &str, rows: u64| *sum.lock().unwrap() += rows);
    let clock = Arc::new(Hasty::default());
    let outcome = run_observed(
        options(&fake, dir.path()),
        clock,
        CancellationToken::new(),
        observer,
    )
    .await
    .unwrap();
    assert_eq!(outcome.operations.truncates, 1);
    assert_eq!(outcome.operations.records(), 4);
    assert_eq!(*seen.lock().unwrap(), 4);
}
