//! Tests of the effect of each operation on rows, alone and in sequence, within a flush and across flushes.

use super::fake::*;
use fivetran_proto::{RecordType, Records, update_response::Operation, value_type::Inner};

/// Runs `steps` in one flush, then again with each step in a sync of its own. The rows must be the same.
async fn both_ways(steps: Vec<Step>) -> Vec<String> {
    let together = tempfile::tempdir().unwrap();
    let outcome = sync(together.path(), one_table(), steps.clone()).await;
    assert_eq!(outcome.failure, None);
    let apart = tempfile::tempdir().unwrap();
    for step in steps {
        let outcome = sync(apart.path(), one_table(), vec![step]).await;
        assert_eq!(outcome.failure, None);
    }
    let rows = landed(together.path());
    assert_eq!(rows, landed(apart.path()), "in one flush and in several");
    rows
}

#[tokio::test]
async fn an_upsert_replaces_the_whole_row() {
    let steps = vec![
        row(1, 10, "x"),
        row(2, 20, "y"),
        upsert(&[("id", long(1)), ("b", text("new"))]),
    ];
    assert_eq!(both_ways(steps).await, ["1|-|new|false", "2|20|y|false"]);
}

#[tokio::test]
async fn an_update_patches_and_ignores_a_missing_row() {
    let steps = vec![
        row(1, 10, "x"),
        update(&[("id", long(1)), ("a", long(11))]),
        update(&[("id", long(1)), ("b", Inner::Null(true))]),
        update(&[("id", long(9)), ("a", long(11))]),
    ];
    assert_eq!(both_ways(steps).await, ["1|11|-|false"]);
}

#[tokio::test]
async fn updates_of_different_columns_add_up() {
    let steps = vec![
        row(1, 10, "x"),
        row(2, 20, "y"),
        row(3, 30, "z"),
        update(&[("id", long(1)), ("a", long(11))]),
        update(&[("id", long(2)), ("b", text("Y"))]),
        update(&[("id", long(3)), ("b", text("Z"))]),
        update(&[("id", long(3)), ("a", long(31))]),
    ];
    let expected = ["1|11|x|false", "2|20|Y|false", "3|31|Z|false"];
    assert_eq!(both_ways(steps.clone()).await, expected);
    // The patches in a later flush than their rows.
    let dir = tempfile::tempdir().unwrap();
    let (rows, patches) = steps.split_at(3);
    sync(dir.path(), one_table(), rows.to_vec()).await;
    sync(dir.path(), one_table(), patches.to_vec()).await;
    assert_eq!(landed(dir.path()), expected);
}

#[tokio::test]
async fn a_delete_marks_and_ignores_a_missing_row() {
    let steps = vec![row(1, 10, "x"), row(2, 20, "y"), delete(1), delete(9)];
    assert_eq!(both_ways(steps).await, ["1|10|x|true", "2|20|y|false"]);
}

#[tokio::test]
async fn an_upsert_revives_a_deleted_row() {
    let steps = vec![row(1, 10, "x"), delete(1), row(1, 11, "back")];
    assert_eq!(both_ways(steps).await, ["1|11|back|false"]);
}

#[tokio::test]
async fn a_delete_after_a_revival_holds() {
    let steps = vec![
        row(1, 10, "x"),
        delete(1),
        row(1, 11, "back"),
        update(&[("id", long(1)), ("a", long(12))]),
        delete(1),
    ];
    assert_eq!(both_ways(steps).await, ["1|12|back|true"]);
}

#[tokio::test]
async fn a_truncate_marks_what_came_before_it_only() {
    let steps = vec![
        row(1, 10, "x"),
        row(2, 20, "y"),
        truncate(),
        row(2, 21, "again"),
        row(3, 30, "z"),
    ];
    let expected = ["1|10|x|true", "2|21|again|false", "3|30|z|false"];
    assert_eq!(both_ways(steps).await, expected);
}

#[tokio::test]
async fn a_truncate_between_operations_of_one_flush_keeps_their_order() {
    let dir = tempfile::tempdir().unwrap();
    let first = vec![row(1, 10, "x"), row(2, 20, "y"), row(3, 30, "z")];
    sync(dir.path(), one_table(), first).await;
    let second = vec![
        update(&[("id", long(1)), ("a", long(11))]),
        truncate(),
        update(&[("id", long(2)), ("a", long(21))]),
        row(3, 31, "alive"),
    ];
    let outcome = sync(dir.path(), one_table(), second).await;
    assert_eq!(
        landed(dir.path()),
        ["1|11|x|true", "2|21|y|true", "3|31|alive|false"]
    );
    assert_eq!(outcome.operations.truncates, 1);
    assert_eq!((outcome.tables[0].rows, outcome.tables[0].deleted), (3, 2));
}

#[tokio::test]
async fn the_last_of_many_upserts_of_a_row_wins_across_flushes_and_batches() {
    let dir = tempfile::tempdir().unwrap();
    // Three times more operations than a flush holds, with 7,001 keys, so that each flush has a different mix.
    let mut records = Vec::new();
    for number in 0..30_000_i64 {
        let Step::Send(Operation::Record(record)) = row(number % 7_001, number, "r") else {
            unreachable!()
        };
        records.push(record);
    }
    let steps = records.chunks(100).map(|chunk| {
        let records = chunk.to_vec();
        Step::Send(Operation::Records(Records { records }))
    });
    let outcome = sync(dir.path(), one_table(), steps.collect()).await;
    assert_eq!(outcome.failure, None);
    assert_eq!(outcome.operations.upserts, 30_000);
    let sum = "SELECT count(*), count(DISTINCT id), min(a), max(a) FROM tester.t";
    assert_eq!(rows(dir.path(), sum), ["7001|7001|22999|29999"]);
}

#[tokio::test]
async fn rows_of_a_table_without_a_key_are_identified_by_their_values() {
    let dir = tempfile::tempdir().unwrap();
    let keyless = || {
        schema(vec![table(
            "t",
            vec![
                column("a", fivetran_proto::DataType::Long),
                column("b", fivetran_proto::DataType::String),
            ],
        )])
    };
    let steps = vec![
        upsert(&[("a", long(1)), ("b", text("x"))]),
        upsert(&[("a", long(1)), ("b", text("x"))]),
        upsert(&[("a", long(1))]),
        upsert(&[("a", long(1)), ("b", Inner::Null(true))]),
        upsert(&[("b", text("x"))]),
        // The same value in another column is another row.
        upsert(&[("c", text("x"))]),
    ];
    for _ in 0..2 {
        let outcome = sync(dir.path(), keyless(), steps.clone()).await;
        assert_eq!(outcome.failure, None);
        let all = "SELECT a, b, c, length(_fivetran_id) FROM tester.t ORDER BY ALL";
        let landed = ["1|x|-|32", "1|-|-|32", "-|x|-|32", "-|-|x|32"];
        assert_eq!(rows(dir.path(), all), landed);
    }
    let gone = record(RecordType::Delete, "t", &[("b", text("x"))]);
    let outcome = sync(dir.path(), keyless(), vec![gone.clone(), gone]).await;
    assert!(outcome.warnings[0].0.contains("no primary key"));
    let marked = "SELECT a, b FROM tester.t WHERE _fivetran_deleted";
    assert_eq!(rows(dir.path(), marked), ["-|x"]);
}

#[tokio::test]
async fn a_record_without_its_key_fails_the_sync_and_keeps_what_came_before() {
    for bad in [
        upsert(&[("a", long(1))]),
        upsert(&[("id", Inner::Null(true)), ("a", long(1))]),
        record(RecordType::Delete, "t", &[("a", long(1))]),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let steps = vec![row(1, 10, "x"), checkpoint("{\"n\":1}"), bad];
        let outcome = sync(dir.path(), one_table(), steps).await;
        let why = outcome.failure.unwrap();
        assert!(why.contains("`tester.t`") && why.contains("`id`"), "{why}");
        assert_eq!(landed(dir.path()), ["1|10|x|false"]);
        assert_eq!(kept(dir.path()).as_deref(), Some("{\"n\":1}"));
    }
}

#[tokio::test]
async fn rows_say_when_they_were_landed() {
    let dir = tempfile::tempdir().unwrap();
    sync(
        dir.path(),
        one_table(),
        vec![row(1, 1, "x"), row(2, 2, "y")],
    )
    .await;
    let synced = "SELECT id, _fivetran_synced FROM tester.t ORDER BY id";
    let before = rows(dir.path(), synced);
    sync(dir.path(), one_table(), vec![delete(2)]).await;
    let after = rows(dir.path(), synced);
    assert_eq!(before[0], after[0]);
    assert!(before[1] < after[1], "{before:?} {after:?}");
    assert!(after[1].ends_with("+00"), "{after:?}");
}

/// The number of unchanged upserts in a sync with these steps.
async fn unchanged(dir: &std::path::Path, steps: Vec<Step>) -> u64 {
    let outcome = sync(dir, one_table(), steps).await;
    assert_eq!(outcome.failure, None);
    outcome.tables[0].unchanged
}

#[tokio::test]
async fn upserts_that_change_nothing_are_counted() {
    let dir = tempfile::tempdir().unwrap();
    let null = |id| upsert(&[("id", long(id)), ("a", long(30))]);
    let first = vec![row(1, 10, "x"), row(2, 20, "y"), null(3), row(4, 40, "z")];
    assert_eq!(unchanged(dir.path(), first).await, 0);
    let second = vec![
        row(1, 10, "x"),
        row(2, 21, "y"),
        null(3),
        row(4, 40, "z"),
        // The same row again, and a new row.
        row(4, 40, "z"),
        row(5, 50, "new"),
    ];
    assert_eq!(unchanged(dir.path(), second).await, 4);
    let synced = "SELECT count(DISTINCT _fivetran_synced) FROM tester.t WHERE id <= 4";
    assert_eq!(rows(dir.path(), synced), ["4"], "the row is landed anyway");
    // A deleted row that is sent again counts as changed, and so does a row sent in several versions.
    assert_eq!(unchanged(dir.path(), vec![delete(1), delete(2)]).await, 0);
    let third = vec![
        row(1, 10, "x"),
        row(3, 31, "-"),
        null(3),
        update(&[("id", long(4)), ("a", long(41))]),
        row(4, 40, "z"),
    ];
    assert_eq!(unchanged(dir.path(), third).await, 0);
    let fourth = vec![row(1, 10, "x"), truncate(), row(5, 50, "new")];
    assert_eq!(unchanged(dir.path(), fourth).await, 0);
}

#[tokio::test]
async fn a_row_that_differs_only_in_a_text_counts_as_changed() {
    let dir = tempfile::tempdir().unwrap();
    let first = vec![row(1, 10, "x"), row(2, 20, "y"), row(3, 30, "z")];
    assert_eq!(unchanged(dir.path(), first).await, 0);
    let second = vec![row(1, 10, "other"), row(2, 20, "y"), row(3, 31, "z")];
    assert_eq!(unchanged(dir.path(), second).await, 1);
    assert_eq!(
        landed(dir.path()),
        ["1|10|other|false", "2|20|y|false", "3|31|z|false"]
    );
}

#[test]
fn a_truncate_marks_only_earlier_rows_even_if_the_clock_steps_back() {
    use crate::{database::DuckDb, state::StateFile, warehouse::Warehouse};
    let at = |second| chrono::DateTime::from_timestamp(second, 0).unwrap();
    for history in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let file = StateFile::new(dir.path().join("state.json"));
        let store = DuckDb::open(&dir.path().join("warehouse.db")).unwrap();
        let store = store.keep("tester", history).unwrap();
        let mut warehouse = Warehouse::new(store, file, "tester".into());
        let Some(fivetran_proto::schema_response::Response::WithoutSchema(list)) =
            one_table().response
        else {
            unreachable!()
        };
        let tables = list.tables.into_iter().map(|table| (None, table));
        warehouse.declare(tables.collect()).unwrap();
        for (step, second) in [
            (row(1, 10, "x"), 100),
            (truncate(), 90),
            (row(2, 20, "y"), 80),
        ] {
            let Step::Send(operation) = step else {
                unreachable!()
            };
            warehouse.apply(operation.into(), at(second)).unwrap();
            warehouse.flush().unwrap();
        }
        drop(warehouse);
        let alive = if history {
            "_fivetran_active"
        } else {
            "NOT _fivetran_deleted"
        };
        let alive = format!("SELECT id FROM tester.t WHERE {alive}");
        assert_eq!(rows(dir.path(), &alive), ["2"]);
    }
}
