//! Checks that hold for every table.

use std::collections::HashSet;

use serde_json::Value;

use super::{ALL, Kind, Source, Strategy};

/// Words that some warehouse refuses as an unquoted name (a selection of SQL:2016 and dialects).
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
            ("id", Kind::String, false)
        );
        assert_eq!(table.columns[1].source, Source::Workspace, "{}", table.name);
        let last = table.columns.last().expect("a table has columns");
        assert_eq!(last.source, Source::Unmapped, "{}", table.name);
    }
}

#[test]
fn every_place_resolves_in_a_sample() {
    for table in ALL {
        let samples: Vec<Value> = table
            .samples
            .iter()
            .map(|sample| serde_json::from_str(sample).expect("a sample is JSON"))
            .collect();
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
fn strategies_have_the_columns_they_steer_by() {
    for table in ALL {
        let needs: &[&str] = match table.strategy {
            Strategy::Snapshot { .. } => &["id"],
            Strategy::NewestFirst { .. } => &["id", "updated"],
            Strategy::Runs => &["id", "updated", "expected_start_time"],
        };
        for name in needs {
            assert!(table.position(name).is_some(), "{}: no {name}", table.name);
        }
    }
}

/// What `rows` relies on to read a page in one pass.
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
