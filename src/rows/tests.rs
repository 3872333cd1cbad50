//! Tests that compare the fast reader of rows with the reference implementation.

use proptest::prelude::*;
use serde_json::{Value as Json, json, value::RawValue};

use super::{
    BadRow, Context, PageReader, ParsedPage, Value,
    reference::{Flattened, Flattener},
};
use crate::tables::{self, Source, Table};

/// Flattens an object with both implementations and asserts that the results agree.
fn flatten(table: &str, json: &str) -> Result<Flattened, BadRow> {
    let table = tables::find(table).expect("a table");
    let context = Context {
        workspace_id: Some("here".to_owned()),
    };
    let raw: &RawValue = serde_json::from_str(json).expect("test input is JSON");
    let want = Flattener::new(table).flatten(raw, &context);
    let page = PageReader::new(table, &context)
        .read(format!("[{json}]"))
        .expect("a page");
    assert_eq!(flattened_rows(&page), std::slice::from_ref(&want), "{json}");
    want
}

/// Converts a page to the form of the reference implementation: good rows first.
fn flattened_rows(page: &ParsedPage) -> Vec<Result<Flattened, BadRow>> {
    let rows = page.rows.iter().map(|row| {
        Ok(Flattened {
            values: row.values().map(super::ValueRef::to_value).collect(),
            misfits: row.misfits().to_vec(),
            undeclared: row.undeclared().to_vec(),
        })
    });
    rows.chain(page.bad.iter().map(|bad| Err(*bad))).collect()
}

fn value<'a>(table: &str, flattened: &'a Flattened, column: &str) -> &'a Value {
    let position = tables::find(table)
        .and_then(|table| table.position(column))
        .expect("a column");
    &flattened.values[position]
}

#[test]
fn every_sample_flattens_without_loss() {
    for table in tables::ALL {
        for sample in table.samples {
            let flattened = flatten(table.name, sample).expect("a row");
            assert_eq!(flattened.misfits, Vec::<&str>::new(), "{}", table.name);
            assert_eq!(flattened.undeclared, Vec::<String>::new(), "{}", table.name);
            assert_eq!(value(table.name, &flattened, "unmapped"), &Value::Null);
        }
    }
}

#[test]
fn a_fixed_shape_is_flattened_and_an_open_one_kept_byte_for_byte() {
    let row = flatten(
        "flow_runs",
        r#"{"id":"a","parameters":{ "x": 1.10 },"state":{"type":"FAILED","message":"boom","state_details":{"k":1}}}"#,
    )
    .expect("a row");
    assert_eq!(
        value("flow_runs", &row, "parameters"),
        &Value::Json(r#"{ "x": 1.10 }"#.into())
    );
    assert_eq!(
        value("flow_runs", &row, "state_type"),
        &Value::String("FAILED".into())
    );
    assert_eq!(
        value("flow_runs", &row, "state_message"),
        &Value::String("boom".into())
    );
    assert_eq!(
        value("flow_runs", &row, "state_details"),
        &Value::Json(r#"{"k":1}"#.into())
    );
    assert_eq!(value("flow_runs", &row, "unmapped"), &Value::Null);
}

#[test]
fn the_last_of_two_values_counts_whether_they_fit_or_not() {
    let values = [
        "null",
        "7",
        "\"2026-11-21T05:00:00Z\"",
        "\"2026-11-21T07:00:00+02:00\"",
        "\"\\u0041\"",
        "true",
    ];
    for field in [
        "start_time",
        "run_count",
        "name",
        "auto_scheduled",
        "state_type",
    ] {
        for (first, last) in values
            .iter()
            .flat_map(|first| values.iter().map(move |last| (first, last)))
        {
            let twice = flatten(
                "flow_runs",
                &format!(r#"{{"id":"a","{field}":{first},"{field}":{last}}}"#),
            );
            let once = flatten("flow_runs", &format!(r#"{{"id":"a","{field}":{last}}}"#));
            assert_eq!(twice, once, "{field}: {first}, {last}");
        }
    }
}

#[test]
fn what_has_no_column_or_does_not_fit_is_kept() {
    let row = flatten(
        "flow_runs",
        r#"{"id":"a","run_count":"many","new_field":{"deep":[1]},"nothing":null,"state":{"type":"FAILED","mood":"sad"},"created_by":7}"#,
    )
    .expect("a row");
    assert_eq!(row.misfits, ["run_count"]);
    assert_eq!(row.undeclared, ["created_by", "new_field", "state.mood"]);
    assert_eq!(
        value("flow_runs", &row, "unmapped"),
        &Value::Json(
            r#"{"created_by":7,"new_field":{"deep":[1]},"run_count":"many","state":{"mood":"sad"}}"#.into()
        )
    );
}

#[test]
fn two_places_that_disagree_lose_nothing() {
    let row = flatten(
        "deployments",
        r#"{"id":"a","job_variables":{"a":1},"infra_overrides":{"b":2},"schedules":[{"schedule":{"cron":"0 6 * * *"}}]}"#,
    )
    .expect("a row");
    assert_eq!(
        value("deployments", &row, "job_variables"),
        &Value::Json(r#"{"a":1}"#.into())
    );
    assert_eq!(
        value("deployments", &row, "unmapped"),
        &Value::Json(r#"{"infra_overrides":{"b":2}}"#.into())
    );
    assert_eq!(
        value("deployments", &row, "schedule"),
        &Value::Json(r#"{"cron":"0 6 * * *"}"#.into())
    );
    assert!(row.undeclared.is_empty());
}

#[test]
fn an_element_without_an_id_is_no_row() {
    assert_eq!(flatten("flows", "[]"), Err(BadRow::NotAnObject));
    assert_eq!(flatten("flows", "{}"), Err(BadRow::NoId));
    for id in ["null", "\"\"", "7", "{}"] {
        assert_eq!(
            flatten("flows", &format!("{{\"id\":{id}}}")),
            Err(BadRow::NoId),
            "{id}"
        );
    }
}

/// Invalid text in names (lone surrogates) and numbers out of range invalidate only the value that contains them.
#[test]
fn unreadable_text_invalidates_only_the_value_that_contains_it() {
    for (object, want) in [
        (r#"{"id":"a","\ud800":1}"#, Err(BadRow::NotAnObject)),
        (r#""\ud800""#, Err(BadRow::NotAnObject)),
        ("1e999", Err(BadRow::NotAnObject)),
        (
            r#"{"id":"a","state":{"type":"X","\ud800":1}}"#,
            Ok(vec!["state".to_owned()]),
        ),
    ] {
        let row = flatten("flow_runs", object);
        assert_eq!(row.map(|row| row.undeclared), want, "{object}");
        let table = tables::find("flow_runs").expect("a table");
        let page = PageReader::new(table, &Context::default())
            .read(format!(r#"[{{"id":"b","x":1}},{object},{{"id":"c"}}]"#))
            .expect("a page");
        let ids: Vec<_> = page.rows.iter().map(super::Row::id).collect();
        assert!(ids.starts_with(&["b"]) && ids.ends_with(&["c"]), "{ids:?}");
        assert_eq!(page.rows[0].undeclared(), ["x"]);
        assert_eq!(page.objects(), 3);
    }
}

fn any_json() -> impl Strategy<Value = Json> + Clone {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        any::<f64>()
            .prop_filter("finite", |x| x.is_finite())
            .prop_map(Json::from),
        ".{0,8}".prop_map(Json::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Json::from),
            prop::collection::btree_map("[a-z_]{1,5}", inner, 0..4)
                .prop_map(|map| Json::Object(map.into_iter().collect())),
        ]
    })
}

/// Rebuilds an object from a row: every column at its first place, then `unmapped` on top.
fn rebuild(table: &Table, row: &Flattened) -> Json {
    let mut object = serde_json::Map::new();
    for (column, value) in table.columns.iter().zip(&row.values) {
        let json = match value {
            Value::Null => continue,
            Value::String(text) => json!(text),
            Value::Boolean(yes) => json!(yes),
            Value::Long(number) => json!(number),
            Value::Double(number) => json!(number),
            Value::UtcDatetime(instant) => json!(instant),
            Value::Json(text) => serde_json::from_str(text).expect("JSON"),
        };
        match column.source {
            Source::Json([place, ..]) => object.insert((*place).to_owned(), json),
            _ => continue,
        };
    }
    if let Some(Value::Json(text)) = row.values.last() {
        let unmapped: serde_json::Map<String, Json> =
            serde_json::from_str(text).expect("an object");
        object.extend(unmapped);
    }
    Json::Object(object)
}

proptest! {
    #[test]
    fn any_object_flattens_and_comes_back(
        name in any_json(), tags in any_json(), labels in any_json(), other in any_json(),
    ) {
        let source = json!({"id": "a", "name": name, "tags": tags, "labels": labels, "other": other});
        let row = flatten("flows", &source.to_string()).expect("a row");
        let mut want = source;
        want.as_object_mut().expect("an object").retain(|_, value| !value.is_null());
        prop_assert_eq!(rebuild(tables::find("flows").expect("flows"), &row), want);
    }

    #[test]
    fn objects_with_an_id_become_rows_and_others_do_not(
        fields in prop::collection::btree_map("(state|created_by|id|schedules|name|x)", any_json(), 0..6),
    ) {
        let id = fields.get("id").and_then(Json::as_str).unwrap_or_default();
        let has_id = !id.is_empty();
        let text = Json::Object(fields.into_iter().collect()).to_string();
        for table in tables::ALL {
            let is_row = flatten(table.name, &text).is_ok();
            prop_assert_eq!(is_row, has_id, "{}: {}", table.name, text);
        }
    }

    /// Reads pages of objects that resemble the samples, with faults in some fields.
    #[test]
    fn the_fast_parser_and_the_reference_agree(
        seeds in prop::collection::vec((0..10_usize, prop::collection::vec(any_fault(), 0..5)), 1..5),
        table in 0..tables::ALL.len(),
    ) {
        let table = tables::ALL[table];
        let context = Context::default();
        let objects: Vec<String> = seeds
            .iter()
            .map(|(sample, faults)| spoil(table.samples[sample % table.samples.len()], faults))
            .collect();
        let flattener = Flattener::new(table);
        let mut want: Vec<_> = objects
            .iter()
            .map(|object| {
                let raw: &RawValue = serde_json::from_str(object).expect("JSON");
                flattener.flatten(raw, &context)
            })
            .collect();
        want.sort_by_key(Result::is_err);
        let page = PageReader::new(table, &context)
            .read(format!("[{}]", objects.join(" ,\n")))
            .expect("a page");
        prop_assert_eq!(page.objects(), objects.len());
        prop_assert_eq!(flattened_rows(&page), want);
    }
}

/// A fault in a field of an object: the position, and the change.
#[derive(Debug, Clone)]
enum Fault {
    Replace(usize, Json),
    /// Replaces a field of a nested object, if the value is an object.
    ReplaceInner(usize, usize, Json),
    Rename(usize, String),
    Twice(usize, Json),
    Drop(usize),
    Escape(usize),
    Raw(usize, &'static str),
}

fn any_fault() -> impl Strategy<Value = Fault> {
    let at = 0..60_usize;
    prop_oneof![
        (at.clone(), any_json()).prop_map(|(at, json)| Fault::Replace(at, json)),
        (at.clone(), at.clone(), any_json())
            .prop_map(|(at, inner, json)| Fault::ReplaceInner(at, inner, json)),
        (at.clone(), "[a-z_]{1,9}").prop_map(|(at, name)| Fault::Rename(at, name)),
        (at.clone(), any_json()).prop_map(|(at, json)| Fault::Twice(at, json)),
        at.clone().prop_map(Fault::Drop),
        at.clone().prop_map(Fault::Escape),
        (
            at,
            prop::sample::select(vec![
                r#""\ud800""#,
                "1e999",
                "-0",
                "9223372036854775808",
                "18446744073709551616",
                "1.0",
                r#""\u0061\n""#,
                "\"\"",
                "[[[]]]",
                "\"2026-11-21T05:00:00Z\"",
                "\"2026-02-30T05:00:00Z\"",
                "true",
                "null",
                "{}",
                "[{\"schedule\":{\"cron\":\"x\"}}]",
            ]),
        )
            .prop_map(|(at, raw)| Fault::Raw(at, raw)),
    ]
}

/// Applies faults to an object and returns its text, in which names may occur twice.
fn spoil(sample: &str, faults: &[Fault]) -> String {
    let object: serde_json::Map<String, Json> = serde_json::from_str(sample).expect("an object");
    let mut fields: Vec<(String, String)> = object
        .iter()
        .map(|(name, value)| (json!(name).to_string(), value.to_string()))
        .collect();
    for fault in faults {
        let number = fields.len().max(1);
        let index = |at: &usize| at % number;
        match fault {
            Fault::Replace(at, json) => fields[index(at)].1 = json.to_string(),
            Fault::ReplaceInner(at, inner, json) => {
                let text = &mut fields[index(at)].1;
                if let Ok(mut object) = serde_json::from_str::<serde_json::Map<String, Json>>(text)
                    && let Some(name) = object.keys().nth(inner % object.len().max(1)).cloned()
                {
                    object.insert(name, json.clone());
                    *text = Json::Object(object).to_string();
                }
            }
            Fault::Rename(at, name) => fields[index(at)].0 = json!(name).to_string(),
            Fault::Twice(at, json) => {
                let name = fields[index(at)].0.clone();
                fields.push((name, json.to_string()));
            }
            Fault::Drop(at) => {
                fields.remove(index(at));
                if fields.is_empty() {
                    return "{}".to_owned();
                }
            }
            Fault::Escape(at) => {
                let name = &mut fields[index(at)].0;
                if let Some(first) = name.chars().nth(1).filter(char::is_ascii_alphabetic) {
                    *name = format!("\"\\u{:04x}{}", u32::from(first), &name[2..]);
                }
            }
            Fault::Raw(at, raw) => fields[index(at)].1 = (*raw).to_owned(),
        }
    }
    let fields: Vec<String> = fields
        .iter()
        .map(|(name, value)| format!("{name}: {value}"))
        .collect();
    format!("{{{}}}", fields.join(","))
}
