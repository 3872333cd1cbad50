//! Tests of every type with its extreme values.

use rand::{Rng as _, SeedableRng as _, rngs::SmallRng};

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

/// A table whose only declared column is its key.
fn undeclared() -> Table {
    table("t", vec![key("id", DataType::Long)])
}

#[tokio::test]
async fn the_text_of_a_number_is_the_same_before_and_after_its_column_becomes_text() {
    let mut rng = SmallRng::seed_from_u64(7);
    let random = (0..300).map(|_| f64::from_bits(rng.random()));
    let near = (0..300).map(|at| 10_f64.powi(at % 40 - 15) * (1.0 + f64::from(at) / 7.0));
    let fixed = [
        10.0,
        -10.0,
        0.1,
        -0.0,
        1e-4,
        9.99e-5,
        1e-7,
        1e15,
        1e16,
        1e17,
        1e18,
        1e19,
        1e20,
        1e300,
        4_503_599_627_370_495.5,
        9_223_372_036_854_774_784.0,
        9_223_372_036_854_775_808.0,
        f64::NAN,
        f64::INFINITY,
        f64::NEG_INFINITY,
        f64::MAX,
        f64::MIN_POSITIVE,
    ];
    let doubles: Vec<f64> = fixed.into_iter().chain(near).chain(random).collect();
    let decimals = ["10", "10.0", "12.50", "-0.0", "100", "0.001"];
    let groups: [Vec<Inner>; 4] = [
        doubles
            .iter()
            .map(|number| Inner::Double(*number))
            .collect(),
        [0.1, 10.0, 16_777_216.0, 1e20, 0.3]
            .map(Inner::Float)
            .into(),
        decimals.map(|text| Inner::Decimal(text.to_owned())).into(),
        [10, -3, i64::MAX].map(long).into(),
    ];
    for values in groups {
        let dir = tempfile::tempdir().unwrap();
        let count = i64::try_from(values.len()).unwrap();
        let with = |first: i64| {
            let ids = first..;
            ids.zip(values.clone())
                .map(|(id, value)| upsert(&[("id", long(id)), ("v", value)]))
        };
        let mut steps: Vec<Step> = with(0).collect();
        steps.push(upsert(&[("id", long(-1)), ("v", text("no number"))]));
        steps.extend(with(count));
        let outcome = sync(dir.path(), schema(vec![undeclared()]), steps).await;
        assert_eq!(outcome.failure, None);
        let differing = format!(
            "SELECT a.v, b.v FROM tester.t a JOIN tester.t b ON b.id = a.id + {count} \
             WHERE a.id >= 0 AND a.v IS DISTINCT FROM b.v"
        );
        assert_eq!(rows(dir.path(), &differing), [""; 0]);
        let landed = rows(
            dir.path(),
            "SELECT count(v), typeof(any_value(v)) FROM tester.t",
        );
        assert_eq!(landed, [format!("{}|VARCHAR", 2 * count + 1)]);
        // Sent again, the numbers are the same values.
        let steps: Vec<Step> = with(0).collect();
        let outcome = sync(dir.path(), schema(vec![undeclared()]), steps).await;
        assert_eq!(outcome.tables[0].unchanged, u64::try_from(count).unwrap());
    }
}

#[tokio::test]
async fn a_number_is_one_key_in_all_types() {
    let ten = || {
        [
            Inner::Double(10.0),
            long(10),
            Inner::Int(10),
            Inner::Short(10),
            Inner::Float(10.0),
        ]
    };
    let dir = tempfile::tempdir().unwrap();
    let keyed = table("t", vec![key("id", DataType::Double)]);
    let mut steps: Vec<Step> = ten().into_iter().map(|id| upsert(&[("id", id)])).collect();
    for zero in [0.0, -0.0] {
        steps.push(upsert(&[("id", Inner::Double(zero))]));
    }
    let outcome = sync(dir.path(), schema(vec![keyed]), steps).await;
    assert_eq!(outcome.failure, None);
    let landed = rows(dir.path(), "SELECT id FROM tester.t ORDER BY abs(id)");
    assert_eq!((landed.len(), &*landed[1]), (2, "10.0"));

    // The values of a row without a key identify it.
    let dir = tempfile::tempdir().unwrap();
    let keyless = table("t", vec![column("name", DataType::String)]);
    let decimals = ["10", "10.00", "1E+1"].map(|text| Inner::Decimal(text.to_owned()));
    let steps = ten().into_iter().chain(decimals);
    let steps = steps.map(|value| upsert(&[("name", text("n")), ("v", value)]));
    let outcome = sync(dir.path(), schema(vec![keyless]), steps.collect()).await;
    assert_eq!(outcome.failure, None);
    assert_eq!(rows(dir.path(), "SELECT count(*) FROM tester.t"), ["1"]);
}

#[tokio::test]
async fn names_that_differ_only_in_letter_case_are_reported() {
    let one = [("id", long(1)), ("Name", text("a")), ("name", text("b"))];
    let two = [("id", long(2)), ("name", text("c"))];
    for (steps, expected) in [
        (vec![upsert(&one)], true),
        (vec![upsert(&two), upsert(&one)], true),
        (vec![upsert(&two)], false),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let outcome = sync(dir.path(), schema(vec![undeclared()]), steps).await;
        assert_eq!(outcome.failure, None);
        let warned = outcome
            .warnings
            .iter()
            .any(|(text, _)| text.contains("letter case"));
        assert_eq!(warned, expected, "{:?}", outcome.warnings);
    }
}

#[tokio::test]
async fn a_value_that_is_not_valid_is_reported_with_its_row_and_advice() {
    let json = || column("v", DataType::Json);
    let not_json = r#"{"secret": NaN}"#;
    let cases = [
        (json(), Inner::Json(not_json.into()), "NaN and Infinity"),
        (
            column("w", DataType::Long),
            Inner::Json(not_json.into()),
            "NaN and Infinity",
        ),
        (
            column("v", DataType::UtcDatetime),
            Inner::UtcDatetime(time(LAST + 1, 0)),
            "is in the year 10000; send null",
        ),
        (
            column("v", DataType::NaiveDate),
            Inner::NaiveDate(time(0, -1)),
            "has -1 nanoseconds",
        ),
        (
            column("w", DataType::Long),
            Inner::Decimal("secret".into()),
            "is not a decimal number",
        ),
    ];
    for (declared, value, advice) in cases {
        let dir = tempfile::tempdir().unwrap();
        let steps = vec![upsert(&[("id", long(7)), ("v", value)])];
        let outcome = sync(dir.path(), schema(vec![holding(declared)]), steps).await;
        let why = outcome.failure.unwrap();
        assert!(
            why.contains("row (id = 7), column `v`") && why.contains(advice),
            "{why}"
        );
        assert!(!why.contains("secret"), "{why}");
    }
    // A key that may be more than an id is not repeated.
    let by_text = table(
        "t",
        vec![key("id", DataType::String), column("v", DataType::Json)],
    );
    let dir = tempfile::tempdir().unwrap();
    let fine = || ("v", Inner::Json("1".into()));
    let steps = vec![
        upsert(&[("id", text("a")), fine()]),
        upsert(&[
            ("id", text("j.doe@example.com")),
            ("v", Inner::Json("NaN".into())),
        ]),
    ];
    let outcome = sync(dir.path(), schema(vec![by_text]), steps).await;
    let why = outcome.failure.unwrap();
    assert!(why.contains("row (record 2 of this sync)"), "{why}");
}
