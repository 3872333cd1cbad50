//! Tests of the comments on tables and columns, and of the keys that earlier versions stored as comments.

use std::path::Path;

use duckdb::Connection;

use super::fake::*;
use crate::{
    Options, TableDescription,
    comments::comments_of,
    database::DuckDb,
    make_latest,
    table::{Table, TableName},
    warehouse::Store as _,
};
use fivetran_proto::{DataType, SchemaResponse};

fn described(text: &str) -> Vec<TableDescription> {
    let column = |name: &str| (name.to_owned(), format!("{text} {name}"));
    vec![TableDescription {
        table: "t".to_owned(),
        description: format!("It's {text}."),
        columns: vec![column("id"), column("a"), column("not_selected")],
    }]
}

/// Runs a sync with these descriptions.
async fn sync_described(dir: &Path, schema: SchemaResponse, text: &str, history: bool) {
    let fake = Fake::start(Script {
        schema,
        update: vec![row(1, 10, "x"), checkpoint("{}")],
        ..Script::default()
    })
    .await;
    let options = Options {
        descriptions: described(text),
        history,
        ..options(&fake, dir)
    };
    let outcome = run_with(options).await.unwrap();
    assert_eq!((outcome.failure, outcome.warnings), (None, Vec::new()));
}

/// Runs a statement on the warehouse.
fn execute(dir: &Path, sql: &str) {
    let connection = Connection::open(dir.join("warehouse.db")).unwrap();
    connection.execute_batch(sql).unwrap();
}

/// The comments of the table `t` and its columns.
fn comments(dir: &Path) -> Vec<String> {
    rows(
        dir,
        "SELECT '', comment FROM duckdb_tables() WHERE table_name = 't' UNION ALL \
         (SELECT column_name, comment FROM duckdb_columns() WHERE table_name = 't' \
         ORDER BY column_index)",
    )
}

#[tokio::test]
async fn descriptions_are_comments() {
    let dir = tempfile::tempdir().unwrap();
    sync_described(dir.path(), one_table(), "first", false).await;
    let written =
        "_fivetran_synced|The time at which the row, or this version of it, was last written.";
    let deleted = "_fivetran_deleted|True if the source deleted the row.";
    assert_eq!(
        comments(dir.path()),
        [
            "|It's first.",
            "id|first id",
            "a|first a",
            "b|-",
            written,
            deleted
        ]
    );
    // Another text, a new column, and a comment of the user on a column without a description.
    execute(dir.path(), "COMMENT ON COLUMN tester.t.b IS 'mine'");
    let more = schema(vec![table(
        "t",
        vec![
            key("id", DataType::Long),
            column("a", DataType::Long),
            column("b", DataType::String),
            column("not_selected", DataType::Long),
        ],
    )]);
    sync_described(dir.path(), more, "second", false).await;
    assert_eq!(
        comments(dir.path()),
        [
            "|It's second.",
            "id|second id",
            "a|second a",
            "b|mine",
            written,
            deleted,
            "not_selected|second not_selected"
        ]
    );
    let without = "SELECT column_name FROM duckdb_columns() \
         WHERE schema_name = '_local_run' AND comment IS NULL";
    assert!(rows(dir.path(), without).is_empty());
}

#[tokio::test]
async fn versions_and_their_views_are_described() {
    let dir = tempfile::tempdir().unwrap();
    sync_described(dir.path(), one_table(), "a row", true).await;
    make_latest(&dir.path().join("warehouse.db")).unwrap();
    let described = "SELECT column_name FROM duckdb_columns() WHERE schema_name = 'tester' \
         AND starts_with(column_name, '_') AND comment IS NOT NULL ORDER BY ALL";
    assert_eq!(
        rows(dir.path(), described),
        [
            "_fivetran_active",
            "_fivetran_end",
            "_fivetran_start",
            "_fivetran_synced"
        ]
    );
    let view = "SELECT comment FROM duckdb_views() WHERE schema_name = 'latest'";
    assert_eq!(rows(dir.path(), view), ["It's a row."]);
}

#[test]
fn comments_that_are_present_are_not_written_again() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = DuckDb::open(&dir.path().join("warehouse.db")).unwrap();
    let name = TableName {
        schema: "tester".to_owned(),
        table: "t".to_owned(),
    };
    store.create(&Table::new(name.clone(), Vec::new())).unwrap();
    let log = dir.path().join("warehouse.db.wal");
    let log_bytes = || std::fs::metadata(&log).unwrap().len();
    let mut description = described("a row").remove(0);
    let mut write = |description: &TableDescription| {
        let before = log_bytes();
        store
            .comment(&comments_of(&name, Some(description)))
            .unwrap();
        log_bytes() - before
    };
    assert!(write(&description) > 0);
    assert_eq!(write(&description), 0);
    description.description.clear();
    assert!(write(&description) > 0);
}

/// Gives a warehouse the form that earlier versions wrote.
fn make_old(dir: &Path) {
    execute(
        dir,
        "DROP TABLE _local_run.primary_keys; COMMENT ON TABLE tester.t IS '[\"id\"]'",
    );
}

#[tokio::test]
async fn keys_that_are_comments_are_moved() {
    for history in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        sync_described(dir.path(), one_table(), "a row", history).await;
        make_old(dir.path());
        // A table of the user, with a comment that only looks like a key.
        let mine =
            "CREATE TABLE tester.mine (id BIGINT); COMMENT ON TABLE tester.mine IS '[\"id\"]'";
        execute(dir.path(), mine);
        let file = dir.path().join("warehouse.db");
        make_latest(&file).unwrap();
        assert_eq!(comments(dir.path())[0], "|-");
        sync_described(dir.path(), one_table(), "a row", history).await;
        assert_eq!(comments(dir.path())[0], "|It's a row.");
        let keys = "SELECT * FROM _local_run.primary_keys";
        assert_eq!(rows(dir.path(), keys), ["tester|t|[\"id\"]"]);
        let mine = "SELECT comment FROM duckdb_tables() WHERE table_name = 'mine'";
        assert_eq!(rows(dir.path(), mine), ["[\"id\"]"]);
        let latest = "SELECT count(*) FROM duckdb_views() WHERE schema_name = 'latest'";
        assert_eq!(rows(dir.path(), latest), [u8::from(history).to_string()]);
    }
}

#[tokio::test]
async fn a_key_that_is_a_comment_is_compared() {
    let dir = tempfile::tempdir().unwrap();
    sync_described(dir.path(), one_table(), "a row", false).await;
    make_old(dir.path());
    let columns = vec![column("id", DataType::Long), key("a", DataType::Long)];
    let outcome = sync(dir.path(), schema(vec![table("t", columns)]), Vec::new()).await;
    let why = outcome.failure.unwrap();
    assert!(
        why.contains("its primary key was (id) and is now (a)"),
        "{why}"
    );
    // The mode cannot change, either.
    make_old(dir.path());
    let fake = Fake::start(Script::default()).await;
    let history = Options {
        history: true,
        ..options(&fake, dir.path())
    };
    let error = run_with(history).await.unwrap_err();
    assert!(
        error.to_string().contains("`tester.t` was created without"),
        "{error}"
    );
}
