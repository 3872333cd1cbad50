//! Tests of every type with its extreme values.

use super::fake::*;
use fivetran_proto::{
    Column, DataType, DataTypeParams, DecimalParams, Table, data_type_params::Params,
    value_type::Inner,
};

/// 0001-01-01T00:00:00Z.
const FIRST: i64 = -62_135_596_800;
/// 9999-12-31T23:59:59Z.
const LAST: i64 = 253_402_300_799;

fn decimal(precision: u32, scale: u32) -> Column {
    let params = Params::Decimal(DecimalParams { precision, scale });
    Column {
        params: Some(DataTypeParams {
            params: Some(params),
        }),
        ..column("v", DataType::Decimal)
    }
}

fn holding(value: Column) -> Table {
    table("t", vec![key("id", DataType::Long), value])
}

/// Lands `values` in one column. Returns its type and the result of `show`, row by row.
async fn land(value: Column, values: Vec<Inner>, show: &str) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    let steps = (0..)
        .zip(&values)
        .map(|(id, value)| upsert(&[("id", long(id)), ("v", value.clone())]));
    let outcome = sync(dir.path(), schema(vec![holding(value)]), steps.collect()).await;
    assert_eq!(outcome.failure, None);
    let mut landed = rows(
        dir.path(),
        "SELECT data_type FROM duckdb_columns() WHERE column_name = 'v'",
    );
    landed.extend(rows(
        dir.path(),
        &format!("SELECT {show} FROM tester.t ORDER BY id"),
    ));
    landed
}

#[tokio::test]
async fn numbers_land_with_their_extremes() {
    let short = column("v", DataType::Short);
    let values = vec![Inner::Short(-32_768), Inner::Short(32_767), long(7)];
    assert_eq!(
        land(short, values, "v").await,
        ["SMALLINT", "-32768", "32767", "7"]
    );
    let int = column("v", DataType::Int);
    let values = vec![Inner::Int(i32::MIN), Inner::Int(i32::MAX)];
    assert_eq!(
        land(int, values, "v").await,
        ["INTEGER", "-2147483648", "2147483647"]
    );
    let big = column("v", DataType::Long);
    let values = vec![long(i64::MIN), long(i64::MAX), Inner::Null(true)];
    let extremes = ["BIGINT", "-9223372036854775808", "9223372036854775807", "-"];
    assert_eq!(land(big, values, "v").await, extremes);
    let flag = column("v", DataType::Boolean);
    let values = vec![Inner::Bool(true), Inner::Bool(false)];
    assert_eq!(land(flag, values, "v").await, ["BOOLEAN", "true", "false"]);
}

#[tokio::test]
async fn floating_numbers_land_bit_for_bit() {
    let values = vec![
        Inner::Double(f64::MAX),
        Inner::Double(f64::from_bits(1)),
        Inner::Double(0.1),
        Inner::Double(f64::NEG_INFINITY),
        Inner::Double(f64::NAN),
        Inner::Float(0.5),
        long(1 << 53),
    ];
    let same = "CASE WHEN isnan(v) THEN 'nan' ELSE (v = CAST([\
        '1.7976931348623157e308', '4.9406564584124654e-324', '0.1', '-inf', 'nan', '0.5', \
        '9007199254740992'][id + 1] AS DOUBLE))::VARCHAR END";
    assert_eq!(
        land(column("v", DataType::Double), values, same).await,
        [
            "DOUBLE", "true", "true", "true", "true", "nan", "true", "true"
        ]
    );
    let values = vec![Inner::Float(f32::MAX), Inner::Float(0.1)];
    let same = "v = CAST(['3.4028235e38', '0.1'][id + 1] AS FLOAT)";
    assert_eq!(
        land(column("v", DataType::Float), values, same).await,
        ["FLOAT", "true", "true"]
    );
}

#[tokio::test]
async fn decimals_land_exactly() {
    let nines = "9".repeat(38);
    let values = vec![
        Inner::Decimal(nines.clone()),
        Inner::Decimal(format!("-{nines}")),
    ];
    let landed = land(decimal(38, 0), values, "v").await;
    assert_eq!(
        landed,
        [
            "DECIMAL(38,0)".to_owned(),
            nines.clone(),
            format!("-{nines}")
        ]
    );
    let values = vec![
        Inner::Decimal("1E-10".into()),
        Inner::Decimal("12.50".into()),
        long(3),
    ];
    assert_eq!(
        land(decimal(20, 10), values, "v").await,
        [
            "DECIMAL(20,10)",
            "0.0000000001",
            "12.5000000000",
            "3.0000000000"
        ]
    );
    // More digits than DuckDB's decimals hold.
    let values = vec![Inner::Decimal(format!("{nines}9.5"))];
    let landed = land(decimal(60, 10), values, "v").await;
    assert_eq!(landed, ["VARCHAR".to_owned(), format!("{nines}9.5")]);
    // Without declared digits the values decide, and the column widens.
    let values = vec![
        Inner::Decimal("1.5".into()),
        Inner::Decimal("123".into()),
        long(1),
    ];
    assert_eq!(
        land(column("v", DataType::Decimal), values, "v").await,
        ["DECIMAL(4,1)", "1.5", "123.0", "1.0"]
    );
}

#[tokio::test]
async fn times_land_with_microseconds_from_year_1_to_9999() {
    let zoned = "TIMESTAMP WITH TIME ZONE";
    let values = vec![
        Inner::UtcDatetime(time(FIRST, 0)),
        Inner::UtcDatetime(time(LAST, 999_999_999)),
        Inner::UtcDatetime(time(-1, 1_000)),
        Inner::UtcDatetime(time(1_700_000_000, 123_456_000)),
    ];
    let expected = [
        zoned,
        "0001-01-01 00:00:00+00",
        "9999-12-31 23:59:59.999999+00",
        "1969-12-31 23:59:59.000001+00",
        "2023-11-14 22:13:20.123456+00",
    ];
    assert_eq!(
        land(column("v", DataType::UtcDatetime), values, "v").await,
        expected
    );
    let values = vec![
        Inner::NaiveDatetime(time(FIRST, 0)),
        Inner::NaiveDatetime(time(LAST, 999_999_000)),
    ];
    let expected = [
        "TIMESTAMP",
        "0001-01-01 00:00:00",
        "9999-12-31 23:59:59.999999",
    ];
    assert_eq!(
        land(column("v", DataType::NaiveDatetime), values, "v").await,
        expected
    );
    let values = vec![
        Inner::NaiveDate(time(FIRST, 0)),
        Inner::NaiveDate(time(LAST, 0)),
        Inner::NaiveDate(time(-1, 0)),
    ];
    let expected = ["DATE", "0001-01-01", "9999-12-31", "1969-12-31"];
    assert_eq!(
        land(column("v", DataType::NaiveDate), values, "v").await,
        expected
    );
    let values = vec![Inner::NaiveTime(time(86_399, 999_999_000))];
    let expected = ["TIME", "23:59:59.999999"];
    assert_eq!(
        land(column("v", DataType::NaiveTime), values, "v").await,
        expected
    );
}

fn hex(bytes: &[u8]) -> String {
    let pairs: Vec<_> = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
    pairs.concat()
}

#[tokio::test]
async fn texts_and_bytes_land_byte_for_byte() {
    let awkward = [
        "",
        "quote ' double \" back\\slash",
        "line\nbreak\ttab\r",
        "nul\0inside",
        "\u{10ffff}\u{feff}\u{202e}e\u{301}",
        "👩‍👩‍👧‍👦 日本語",
    ];
    let texts = awkward.iter().map(|awkward| text(awkward)).collect();
    let mut expected = vec!["VARCHAR".to_owned()];
    expected.extend(awkward.iter().map(|text| hex(text.as_bytes())));
    let landed = land(column("v", DataType::String), texts, "hex(encode(v))").await;
    assert_eq!(landed, expected);

    let bytes: Vec<u8> = (0..=255).collect();
    let expected = hex(&bytes);
    let values = vec![Inner::Binary(bytes), Inner::Binary(Vec::new())];
    let landed = land(column("v", DataType::Binary), values, "hex(v)").await;
    assert_eq!(landed, ["BLOB".to_owned(), expected, String::new()]);

    let values = vec![Inner::Xml("<a b='1'/>".into())];
    let landed = land(column("v", DataType::Xml), values, "v").await;
    assert_eq!(landed, ["VARCHAR", "<a b='1'/>"]);
}

#[tokio::test]
async fn json_is_stored_byte_for_byte_and_can_be_queried() {
    let deep = format!("{}1{}", "[".repeat(500), "]".repeat(500));
    let documents = [
        r#"{ "b" : 1.50,  "a":[null,true], "b":2}"#,
        r#""\u0000 \ud83d\ude00 \/""#,
        "123456789012345678901234567890.5e-3",
        "null",
        &deep,
    ];
    let values = documents
        .iter()
        .map(|document| Inner::Json((*document).into()));
    let landed = land(column("v", DataType::Json), values.collect(), "v::VARCHAR").await;
    assert_eq!(landed[0], "JSON");
    assert_eq!(landed[1..], documents);

    let values = vec![Inner::Json(documents[0].into())];
    let asked = land(column("v", DataType::Json), values, "v->>'$.a[1]'").await;
    assert_eq!(asked, ["JSON", "true"]);
}

#[tokio::test]
async fn a_value_that_its_declaration_does_not_hold_fails_the_sync() {
    let wrong = [
        (column("v", DataType::Short), long(40_000)),
        (column("v", DataType::Boolean), text("secret text")),
        (column("v", DataType::Json), Inner::Json("{broken".into())),
        (decimal(4, 2), Inner::Decimal("123.45".into())),
        (decimal(4, 2), Inner::Decimal("many".into())),
        (column("v", DataType::UtcDatetime), text("2024-01-01")),
        (
            column("v", DataType::UtcDatetime),
            Inner::UtcDatetime(time(LAST + 1, 0)),
        ),
    ];
    for (value, wrong) in wrong {
        let dir = tempfile::tempdir().unwrap();
        let steps = vec![upsert(&[("id", long(1)), ("v", wrong.clone())])];
        let outcome = sync(dir.path(), schema(vec![holding(value)]), steps).await;
        let why = outcome.failure.unwrap();
        assert!(why.contains("column `v`"), "{wrong:?}: {why}");
        assert!(
            !why.contains("secret"),
            "the message contains row data: {why}"
        );
    }
}
