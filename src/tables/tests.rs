//! Checks that hold for every table.

use std::collections::HashSet;

use serde_json::Value;

use super::{ALL, ColumnType, Feed, LookUp, Source, Strategy, Table, find};

/// Words that some warehouse rejects as an unquoted name (a selection of SQL:2016 and dialects).
const RESERVED: &[&str] = &[
    "all", "and", "any", "as", "asc", "between", "by", "case", "column", "desc", "distinct", "end",
    "from", "group", "having", "in", "is", "join", "key", "limit", "not", "null", "offset", "on",
    "or", "order", "primary", "range", "select", "table", "to", "union", "user", "using", "when",
    "where", "with",
];

fn is_plain(name: &str) -> bool {
    let mut chars = name.chars();
    chars.next().is_some_and(|c| c.is_ascii_lowercase())
        && chars.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        && !name.contains("__")
        && !name.starts_with("_fivetran")
        && !RESERVED.contains(&name)
}

/// The value at a place such as `state.type` or `schedules.0.schedule`.
fn at<'a>(sample: &'a Value, place: &str) -> Option<&'a Value> {
    place
        .split('.')
        .try_fold(sample, |value, step| match step.parse::<usize>() {
            Ok(index) => value.get(index),
            Err(_) => value.get(step),
        })
}

/// Returns the samples, with the fields that the table takes from them.
fn samples(table: &Table) -> Vec<Value> {
    let parse = |sample: &&str| {
        let mut object: Value = serde_json::from_str(sample).expect("a sample is JSON");
        if let Strategy::AppendOnly(Feed::Events(events)) = table.strategy {
            for (name, value) in (events.derived)(&object) {
                object[name] = value;
            }
        }
        object
    };
    table.samples.iter().map(parse).collect()
}

#[test]
fn names_are_unique_and_legal_in_every_warehouse() {
    let mut tables = HashSet::new();
    for table in ALL {
        assert!(is_plain(table.name), "{}", table.name);
        assert!(tables.insert(table.name), "{} twice", table.name);
        let mut columns = HashSet::new();
        for column in table.columns {
            assert!(is_plain(column.name), "{}.{}", table.name, column.name);
            assert!(
                columns.insert(column.name),
                "{}.{} twice",
                table.name,
                column.name
            );
            assert!(
                column.doc.ends_with('.'),
                "{}.{}: doc",
                table.name,
                column.name
            );
        }
    }
}

#[test]
fn the_key_is_the_id_and_never_volatile() {
    for table in ALL {
        let key = &table.columns[0];
        assert_eq!(
            (key.name, key.kind, key.volatile),
            ("id", ColumnType::String, false)
        );
        assert_eq!(table.columns[1].source, Source::Workspace, "{}", table.name);
        let last = table.columns.last().expect("a table has columns");
        assert_eq!(last.source, Source::Unmapped, "{}", table.name);
    }
}

#[test]
fn every_place_resolves_in_a_sample() {
    for table in ALL {
        let samples = samples(table);
        assert!(
            samples.len() >= 2,
            "{}: one sample per server generation",
            table.name
        );
        for column in table.columns {
            let Source::Json(places) = column.source else {
                continue;
            };
            for place in places {
                assert!(
                    samples.iter().any(|sample| at(sample, place).is_some()),
                    "{}.{}: no sample has {place}",
                    table.name,
                    column.name
                );
            }
        }
    }
}

#[test]
fn tables_have_the_columns_that_their_strategies_use() {
    for table in ALL {
        let needs: &[&str] = match table.strategy {
            Strategy::Snapshot(listing) => {
                if let Some(second) = listing.second {
                    // Objects that only the second listing has are looked up.
                    assert_eq!(listing.look_up, LookUp::Get, "{}", table.name);
                    assert!(listing.each.is_none(), "{}", table.name);
                    assert!(
                        second.table.position(second.name).is_some(),
                        "{}",
                        table.name
                    );
                    assert!(table.position(second.column).is_some(), "{}", table.name);
                }
                &["id", listing.order]
            }
            Strategy::NewestFirst { .. } => &["id", "updated", "created"],
            Strategy::Runs => &[
                "id",
                "updated",
                "expected_start_time",
                "start_time",
                "end_time",
                "state_type",
            ],
            Strategy::AppendOnly(Feed::Logs) => &["id", "timestamp"],
            Strategy::AppendOnly(Feed::Events(_)) => &["id", "occurred"],
            Strategy::Nested(part) => {
                let holder = part.parent;
                assert!(holder.position(part.column).is_some(), "{}", table.name);
                assert_eq!(table.endpoint, holder.endpoint, "{}", table.name);
                &["id"]
            }
            Strategy::Server => &["id"],
        };
        for name in needs {
            assert!(table.position(name).is_some(), "{}: no {name}", table.name);
        }
    }
}

/// Checks the conditions on which `rows` relies to read a page in one pass.
#[test]
fn a_field_is_a_value_or_flattened_and_a_list_has_its_own_column() {
    for table in ALL {
        let places: HashSet<&str> = table
            .columns
            .iter()
            .filter_map(|column| match column.source {
                Source::Json(places) => Some(places),
                _ => None,
            })
            .flatten()
            .copied()
            .collect();
        assert!(places.len() <= 128, "{}: too many places", table.name);
        for place in &places {
            let Some((field, rest)) = place.split_once('.') else {
                continue;
            };
            assert_eq!(
                places.contains(field),
                rest.starts_with("0."),
                "{}: {place}: a list is kept whole beside its first element's fields, an object is flattened",
                table.name
            );
        }
    }
}

#[test]
fn references_lead_to_tables_and_what_is_required_is_there() {
    for table in ALL {
        for column in table.columns {
            if let Some(reference) = column.references {
                assert!(
                    find(reference.table).is_some(),
                    "{}.{}",
                    table.name,
                    column.name
                );
                assert_eq!(
                    column.kind,
                    ColumnType::String,
                    "{}.{}",
                    table.name,
                    column.name
                );
            }
            let Source::Json(places) = column.source else {
                continue;
            };
            for sample in samples(table).iter().filter(|_| column.required) {
                let has_value = |place: &str| at(sample, place).is_some_and(|it| !it.is_null());
                assert!(
                    places.iter().any(|place| has_value(place)),
                    "{}.{} is null in a sample",
                    table.name,
                    column.name
                );
            }
        }
    }
}

/// Checks that left-out fields have no column, and that optional tables state their cost.
#[test]
fn left_out_fields_have_no_column_and_optional_tables_state_their_cost() {
    for table in ALL {
        for column in table.columns {
            if let Source::Json(places) = column.source {
                let is_left_out = |place: &&str| table.dropped_fields.contains(place);
                assert!(!places.iter().any(is_left_out), "{}", column.name);
            }
        }
        if let Some(choice) = table.choice {
            assert_eq!(choice.field, format!("sync_{}", table.name));
            assert!(choice.cost.contains("request") && choice.cost.contains("row"));
        }
    }
}

/// Checks which columns keep the value last sent, because Prefect was observed to change them without moving
/// `updated`. Tables that are compared as a whole find such changes anyway.
#[test]
fn columns_that_keep_the_value_last_sent_are_these() {
    let kept = ALL.iter().flat_map(|table| {
        let columns = table.columns.iter().filter(|column| column.as_sent);
        columns.map(|column| (table.name, column.name))
    });
    let want = [
        ("flow_runs", "work_pool_id"),
        ("flow_runs", "work_pool_name"),
        ("flow_runs", "work_queue_id"),
        ("flow_runs", "work_queue_name"),
        ("flow_runs", "parent_task_run_id"),
    ];
    assert_eq!(kept.collect::<Vec<_>>(), want);
    for table in ALL
        .iter()
        .filter(|table| table.columns.iter().any(|column| column.as_sent))
    {
        let by_updated = matches!(
            table.strategy,
            Strategy::Runs | Strategy::NewestFirst { .. }
        );
        assert!(by_updated, "{}: compared by fingerprints", table.name);
    }
}
