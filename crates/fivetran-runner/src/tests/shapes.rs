//! Tests of tables and columns that are added, change, or remain from an earlier run.

use super::fake::*;
use fivetran_proto::{
    DataType, RecordType, Schema, SchemaChange, SchemaList, SchemaResponse, TableList,
    schema_change::Change, schema_response::Response, update_response::Operation,
    value_type::Inner,
};

fn columns(dir: &std::path::Path) -> Vec<String> {
    rows(
        dir,
        "SELECT column_name, data_type FROM duckdb_columns() WHERE table_name = 't' \
         ORDER BY column_index",
    )
}

fn shape(columns: Vec<fivetran_proto::Column>) -> SchemaResponse {
    schema(vec![table("t", columns)])
}

#[tokio::test]
async fn declared_columns_exist_before_any_row() {
    let dir = tempfile::tempdir().unwrap();
    let outcome = sync(dir.path(), one_table(), Vec::new()).await;
    assert_eq!(
        columns(dir.path()),
        [
            "id|BIGINT",
            "a|BIGINT",
            "b|VARCHAR",
            "_fivetran_synced|TIMESTAMP WITH TIME ZONE",
            "_fivetran_deleted|BOOLEAN"
        ]
    );
    assert_eq!(outcome.operations.schema_changes, 1);
    let again = sync(dir.path(), one_table(), Vec::new()).await;
    assert_eq!(again.operations.schema_changes, 0);
}

#[tokio::test]
async fn columns_without_a_type_come_with_their_first_value_and_widen() {
    let dir = tempfile::tempdir().unwrap();
    let untyped = || {
        shape(vec![
            key("id", DataType::Unspecified),
            column("v", DataType::Unspecified),
        ])
    };
    let steps = vec![
        upsert(&[("id", text("a")), ("v", Inner::Null(true))]),
        upsert(&[("id", text("b")), ("v", Inner::Short(1))]),
        upsert(&[
            ("id", text("c")),
            ("v", long(i64::MAX)),
            ("extra", Inner::Bool(true)),
        ]),
    ];
    assert_eq!(sync(dir.path(), untyped(), steps).await.failure, None);
    let all = "SELECT id, v, extra FROM tester.t ORDER BY id";
    let landed = ["a|-|-", "b|1|-", "c|9223372036854775807|true"];
    assert_eq!(rows(dir.path(), all), landed);
    let steps = vec![
        upsert(&[("id", text("b")), ("v", text("two"))]),
        update(&[("id", text("a")), ("extra", long(5))]),
    ];
    assert_eq!(sync(dir.path(), untyped(), steps).await.failure, None);
    let landed = ["a|-|5", "b|two|-", "c|9223372036854775807|true"];
    assert_eq!(rows(dir.path(), all), landed);
}

#[tokio::test]
async fn a_table_that_nobody_declared_is_inferred() {
    let dir = tempfile::tempdir().unwrap();
    let silent = SchemaResponse {
        response: Some(Response::SchemaResponseNotSupported(true)),
        selection_not_supported: None,
    };
    let steps = vec![
        upsert(&[("a", long(1))]),
        upsert(&[("b", Inner::Double(0.5))]),
    ];
    let outcome = sync(dir.path(), silent, steps).await;
    assert_eq!(outcome.failure, None);
    assert_eq!(outcome.operations.schema_changes, 1);
    let all = "SELECT a, b FROM tester.t ORDER BY ALL";
    assert_eq!(rows(dir.path(), all), ["1|-", "-|0.5"]);
}

#[tokio::test]
async fn a_later_run_adds_and_widens_columns_and_keeps_the_others() {
    let dir = tempfile::tempdir().unwrap();
    let first = shape(vec![
        key("id", DataType::Long),
        column("a", DataType::Int),
        column("old", DataType::String),
    ]);
    let row = |a| upsert(&[("id", long(1)), ("a", long(a)), ("old", text("x"))]);
    sync(dir.path(), first, vec![row(1)]).await;
    let second = shape(vec![
        key("id", DataType::Long),
        column("a", DataType::Long),
        column("new", DataType::Json),
    ]);
    let json = Inner::Json("[]".into());
    let next = upsert(&[("id", long(2)), ("a", long(i64::MAX)), ("new", json)]);
    let outcome = sync(dir.path(), second, vec![next]).await;
    assert_eq!(outcome.failure, None);
    assert_eq!(outcome.operations.schema_changes, 1);
    assert_eq!(
        rows(
            dir.path(),
            "SELECT id, a, old, new FROM tester.t ORDER BY id"
        ),
        ["1|1|x|-", "2|9223372036854775807|-|[]"]
    );
}

#[tokio::test]
async fn a_schema_change_takes_effect_between_rows() {
    let dir = tempfile::tempdir().unwrap();
    let change = SchemaChange {
        change: Some(Change::WithoutSchema(TableList {
            tables: vec![table(
                "t",
                vec![
                    key("id", DataType::Long),
                    column("a", DataType::String),
                    column("late", DataType::Boolean),
                ],
            )],
        })),
    };
    let late = ("late", Inner::Bool(true));
    let steps = vec![
        row(1, 10, "x"),
        Step::Send(Operation::SchemaChange(change)),
        upsert(&[("id", long(2)), ("a", text("ten")), late]),
        delete(1),
    ];
    let outcome = sync(dir.path(), one_table(), steps).await;
    assert_eq!(outcome.failure, None);
    let all = "SELECT id, a, late, _fivetran_deleted FROM tester.t ORDER BY id";
    assert_eq!(rows(dir.path(), all), ["1|10|-|true", "2|ten|true|false"]);
}

#[tokio::test]
async fn tables_with_a_schema_land_in_one_of_their_own() {
    let dir = tempfile::tempdir().unwrap();
    let with_schema = SchemaResponse {
        response: Some(Response::WithSchema(SchemaList {
            schemas: vec![Schema {
                name: "sales".into(),
                tables: vec![table("t", vec![key("id", DataType::Long)])],
            }],
        })),
        selection_not_supported: None,
    };
    let Step::Send(Operation::Record(mut record)) =
        record(RecordType::Upsert, "t", &[("id", long(1))])
    else {
        unreachable!()
    };
    record.schema_name = Some("sales".into());
    let steps = vec![Step::Send(Operation::Record(record))];
    let outcome = sync(dir.path(), with_schema, steps).await;
    assert_eq!(outcome.failure, None);
    assert_eq!(rows(dir.path(), "SELECT id FROM tester_sales.t"), ["1"]);
}

#[tokio::test]
async fn awkward_names_are_quoted() {
    let dir = tempfile::tempdir().unwrap();
    let name = "order \"by\" 'x'; --";
    let shape = schema(vec![table(
        name,
        vec![
            key("group", DataType::Long),
            column("a \"b\" c", DataType::Long),
        ],
    )]);
    let step = |a| {
        let values = [("group", long(1)), ("a \"b\" c", long(a))];
        record(RecordType::Upsert, name, &values)
    };
    for a in [1, 2] {
        let outcome = sync(dir.path(), shape.clone(), vec![step(a)]).await;
        assert_eq!(outcome.failure, None);
    }
    let all = r#"SELECT "a ""b"" c" FROM tester."order ""by"" 'x'; --""#;
    assert_eq!(rows(dir.path(), all), ["2"]);
}

#[tokio::test]
async fn a_column_in_another_case_is_the_same_column() {
    let dir = tempfile::tempdir().unwrap();
    let steps = vec![upsert(&[("ID", long(1)), ("A", long(2)), ("New", long(3))])];
    assert_eq!(sync(dir.path(), one_table(), steps).await.failure, None);
    let steps = vec![update(&[("id", long(1)), ("new", long(4))])];
    assert_eq!(sync(dir.path(), one_table(), steps).await.failure, None);
    assert_eq!(
        rows(dir.path(), "SELECT id, a, new FROM tester.t"),
        ["1|2|4"]
    );
}

#[tokio::test]
async fn a_changed_key_fails_with_the_remedy() {
    let dir = tempfile::tempdir().unwrap();
    sync(dir.path(), one_table(), vec![row(1, 1, "x")]).await;
    for columns in [
        vec![key("id", DataType::Long), key("a", DataType::Long)],
        vec![column("id", DataType::Long)],
    ] {
        let outcome = sync(dir.path(), shape(columns), Vec::new()).await;
        let why = outcome.failure.unwrap();
        assert!(why.contains("fivetran_source reset"), "{why}");
    }
    assert_eq!(landed(dir.path()), ["1|1|x|false"]);
}

#[tokio::test]
async fn a_key_in_another_order_or_letter_case_is_the_same_key() {
    let dir = tempfile::tempdir().unwrap();
    let keyed = |names: [&str; 2]| {
        let mut columns: Vec<_> = names.map(|name| key(name, DataType::Long)).into();
        columns.push(column("v", DataType::Long));
        shape(columns)
    };
    let row = |names: [&str; 2], ids: [i64; 2], v| {
        upsert(&[
            (names[0], long(ids[0])),
            (names[1], long(ids[1])),
            ("v", long(v)),
        ])
    };
    for (names, ids) in [
        (["a", "b"], [1, 2]),
        (["b", "a"], [2, 1]),
        (["B", "A"], [2, 1]),
    ] {
        let steps = vec![row(names, ids, ids[0])];
        let outcome = sync(dir.path(), keyed(names), steps).await;
        assert_eq!(outcome.failure, None);
    }
    assert_eq!(rows(dir.path(), "SELECT a, b, v FROM tester.t"), ["1|2|2"]);
}

#[tokio::test]
async fn a_table_that_returns_in_another_letter_case_is_the_same_table() {
    let dir = tempfile::tempdir().unwrap();
    sync(dir.path(), one_table(), vec![row(1, 1, "x")]).await;
    let again = schema(vec![table("T", vec![key("ID", DataType::Long)])]);
    let outcome = sync(dir.path(), again, vec![row(2, 2, "y")]).await;
    assert_eq!(outcome.failure, None);
    assert_eq!(landed(dir.path()), ["1|1|x|false", "2|2|y|false"]);
    let twice = schema(vec![table("t", vec![]), table("T", vec![])]);
    assert!(sync(dir.path(), twice, Vec::new()).await.failure.is_some());
}

#[tokio::test]
async fn large_integers_keep_their_digits_when_their_column_widens() {
    const LARGE: i64 = 9_007_199_254_740_993;
    let untyped = || shape(vec![key("id", DataType::Long)]);
    let value = |id, value| upsert(&[("id", long(id)), ("v", value)]);
    let read = "SELECT v::VARCHAR FROM tester.t ORDER BY id";
    for (first, want) in [(LARGE, ["9007199254740993", "0.5"]), (7, ["7.0", "0.5"])] {
        // In one sync, and in two.
        for both in [true, false] {
            let dir = tempfile::tempdir().unwrap();
            let (one, two) = (value(1, long(first)), value(2, Inner::Double(0.5)));
            let steps = if both {
                vec![one, two.clone()]
            } else {
                vec![one]
            };
            assert_eq!(sync(dir.path(), untyped(), steps).await.failure, None);
            assert_eq!(sync(dir.path(), untyped(), vec![two]).await.failure, None);
            assert_eq!(rows(dir.path(), read), want);
        }
    }
    let dir = tempfile::tempdir().unwrap();
    sync(dir.path(), untyped(), vec![value(1, long(LARGE))]).await;
    let declared = shape(vec![
        key("id", DataType::Long),
        column("v", DataType::Double),
    ]);
    let outcome = sync(dir.path(), declared, Vec::new()).await;
    assert!(
        outcome
            .warnings
            .iter()
            .any(|(note, _)| note.contains("beyond 2^53")),
        "{:?}",
        outcome.warnings
    );
}

#[tokio::test]
async fn a_date_with_a_time_of_day_is_reported() {
    let dir = tempfile::tempdir().unwrap();
    let dates = shape(vec![
        key("id", DataType::Long),
        column("d", DataType::NaiveDate),
    ]);
    let date = |id, seconds| upsert(&[("id", long(id)), ("d", Inner::NaiveDate(time(seconds, 0)))]);
    let outcome = sync(dir.path(), dates.clone(), vec![date(1, 86_400)]).await;
    assert_eq!(outcome.warnings, []);
    let outcome = sync(dir.path(), dates, vec![date(2, 79_200)]).await;
    assert!(
        outcome.warnings[0]
            .0
            .contains("column `d`: a NAIVE_DATE has a time of day"),
        "{:?}",
        outcome.warnings
    );
    let landed = rows(dir.path(), "SELECT d FROM tester.t ORDER BY id");
    assert_eq!(landed, ["1970-01-02", "1970-01-01"]);
}

#[tokio::test]
async fn a_schema_that_no_destination_takes_fails() {
    let bad = [
        schema(vec![table("t", vec![]), table("t", vec![])]),
        shape(vec![
            key("id", DataType::Long),
            column("id", DataType::Long),
        ]),
        shape(vec![column("_fivetran_deleted", DataType::Boolean)]),
        shape(vec![column("", DataType::Boolean)]),
    ];
    for bad in bad {
        let dir = tempfile::tempdir().unwrap();
        assert!(sync(dir.path(), bad, Vec::new()).await.failure.is_some());
    }
    let dir = tempfile::tempdir().unwrap();
    let own = vec![upsert(&[
        ("id", long(1)),
        ("_fivetran_deleted", Inner::Bool(true)),
    ])];
    assert!(sync(dir.path(), one_table(), own).await.failure.is_some());
}

/// Connectors in other languages send a map's entries in any order, and a name may occur twice.
#[test]
fn the_order_of_a_records_values_does_not_matter() {
    use crate::{database::DuckDb, state::StateFile, table::TableName, warehouse::Warehouse, wire};
    use prost::Message as _;
    let record = |column: &str, inner: Inner| fivetran_proto::Record {
        table_name: "t".into(),
        r#type: RecordType::Upsert.into(),
        data: [(
            column.to_owned(),
            fivetran_proto::ValueType { inner: Some(inner) },
        )]
        .into(),
        ..Default::default()
    };
    // Messages that follow each other are one message with the entries of all.
    let bytes: Vec<u8> = [
        record("z", long(1)),
        record("b", text("replaced")),
        record("a", text("x")),
        record("id", long(7)),
        record("b", long(2)),
    ]
    .iter()
    .flat_map(prost::Message::encode_to_vec)
    .collect();
    let record = wire::Record::decode(&*bytes).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let file = StateFile::new(dir.path().join("state.json"));
    let store = DuckDb::open(&dir.path().join("warehouse.db")).unwrap();
    let mut warehouse = Warehouse::new(store, file, "tester".into());
    let keyed = shape(vec![key("id", DataType::Long), column("b", DataType::Long)]);
    let Some(Response::WithoutSchema(list)) = keyed.response else {
        unreachable!()
    };
    let tables = list.tables.into_iter().map(|table| (None, table));
    warehouse.declare(tables.collect()).unwrap();
    let operation = wire::Operation::Record(record);
    warehouse
        .apply(operation, chrono::DateTime::UNIX_EPOCH)
        .unwrap();
    warehouse.flush().unwrap();
    let name = TableName {
        schema: "tester".into(),
        table: "t".into(),
    };
    let table = &warehouse.entries[&name].table;
    let names: Vec<&str> = table.columns().iter().map(|column| &*column.name).collect();
    assert_eq!(names, ["id", "b", "a", "z"]);
    drop(warehouse);
    assert_eq!(
        rows(dir.path(), "SELECT id, a, b, z FROM tester.t"),
        ["7|x|2|1"]
    );
}
