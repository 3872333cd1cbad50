//! The oracle: compares every row and every column of the warehouse with the server's API.
//!
//! This is a second implementation of flattening, as simple as possible and without any code of the first one: it looks
//! up each column's places in the parsed object and takes the value there. It uses only the declarations in
//! `src/tables`.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use chrono::DateTime;
use fivetran_source::tables::{Column, ColumnType, Source, Table};
use serde_json::{Value, value::RawValue};

use super::{
    core_tables,
    warehouse::{self, Cell, Contents},
    workspace::Workspace,
};

/// The maximum number of differences that are shown.
const SHOWN: usize = 20;

/// The ids that the warehouse keeps as deleted, by table.
pub(crate) type Deleted = BTreeMap<&'static str, BTreeSet<String>>;

/// Compares a warehouse with a workspace that does not change. The workspace is self-hosted, so its id is null.
pub(crate) async fn compare(path: &Path, workspace: &Workspace) -> Deleted {
    compare_but(path, workspace, &BTreeSet::new()).await
}

/// Compares like [`compare`] if the runs `kept` were deleted after their end. Such deletes are not tracked, so the
/// warehouse must still have the runs, and not as deleted.
pub(crate) async fn compare_but(
    path: &Path,
    workspace: &Workspace,
    kept: &BTreeSet<String>,
) -> Deleted {
    let mut deleted = Deleted::new();
    let mut differences = Vec::new();
    for table in core_tables() {
        let listed = workspace.list(table.endpoint).await;
        // Opened after the listing, because a connection cannot be held across an await.
        let mut contents = warehouse::contents(&warehouse::open(path), table);
        if table.name == "flow_runs" {
            for id in kept {
                let row = contents.rows.remove(id);
                assert!(row.is_some(), "run {id}, deleted after its end, is gone");
            }
        }
        compare_table(table, &listed, &contents, &mut differences);
        deleted.insert(table.name, contents.deleted.into_iter().collect());
    }
    assert!(
        differences.is_empty(),
        "{} differences between warehouse and server:\n{}",
        differences.len(),
        differences[..differences.len().min(SHOWN)].join("\n")
    );
    deleted
}

/// Adds a line to `differences` for each value, row and table that differ.
pub(crate) fn compare_table(
    table: &Table,
    listed: &[Box<RawValue>],
    contents: &Contents,
    differences: &mut Vec<String>,
) {
    let mut missing: BTreeSet<&String> = contents.rows.keys().collect();
    for raw in listed {
        let object = Object::parse(raw);
        let id = object.parsed["id"].as_str().unwrap();
        missing.remove(&id.to_owned());
        let Some(cells) = contents.rows.get(id) else {
            let gone = if contents.deleted.iter().any(|deleted| deleted == id) {
                "as deleted"
            } else {
                "not at all"
            };
            differences.push(format!("{} {id}: in the warehouse {gone}", table.name));
            continue;
        };
        for (column, have) in table.columns.iter().zip(cells) {
            if let Some(difference) = compare_cell(&object, table, column, have) {
                differences.push(format!("{} {id} {}: {difference}", table.name, column.name));
            }
        }
    }
    differences.extend(
        missing
            .iter()
            .map(|id| format!("{} {id}: not on the server", table.name)),
    );
}

fn compare_cell(
    object: &Object<'_>,
    table: &Table,
    column: &Column,
    have: &Cell,
) -> Option<String> {
    let want = match column.source {
        Source::Workspace => Cell::Null,
        Source::Unmapped => return compare_unmapped(&object.left_over(table), have),
        Source::Json(places) => places
            .iter()
            .find_map(|place| object.at(place))
            .map_or(Cell::Null, |(value, raw)| typed(column, value, raw)),
    };
    let same = if column.volatile {
        (want == Cell::Null) == (*have == Cell::Null)
    } else {
        want == *have
    };
    (!same).then(|| format!("server {want:?}, warehouse {have:?}"))
}

/// Compares values, because JSON that the connector composed itself has no bytes of the server.
fn compare_unmapped(left: &Value, have: &Cell) -> Option<String> {
    let kept = match have {
        Cell::Null => Value::Null,
        Cell::Text(text) => serde_json::from_str(text).unwrap_or(Value::Null),
        other => panic!("unmapped is {other:?}"),
    };
    (*left != kept).then(|| format!("server {left}, warehouse {have:?}"))
}

fn typed(column: &Column, value: &Value, raw: &RawValue) -> Cell {
    let cell = match column.kind {
        // Compares the bytes, which determine the JSON's value.
        ColumnType::Json => Some(Cell::Text(raw.get().to_owned())),
        ColumnType::String => value.as_str().map(|text| Cell::Text(text.to_owned())),
        ColumnType::Boolean => value.as_bool().map(Cell::Boolean),
        ColumnType::Long => value.as_i64().map(Cell::Long),
        ColumnType::Double => value.as_f64().map(Cell::Double),
        ColumnType::UtcDatetime => value.as_str().map(|text| {
            let instant = DateTime::parse_from_rfc3339(text).unwrap();
            Cell::Micros(instant.timestamp_micros())
        }),
    };
    // A value of another type goes to `unmapped`. A real server sends none for a declared column; if one begins to, the
    // declaration is wrong.
    cell.unwrap_or_else(|| {
        panic!(
            "{} is {:?}, but the server sent {raw}",
            column.name, column.kind
        )
    })
}

/// An object of the API in two forms: as values, and as the server's bytes.
struct Object<'a> {
    parsed: Value,
    raw: BTreeMap<String, &'a RawValue>,
    raw_inner: BTreeMap<String, BTreeMap<String, &'a RawValue>>,
    raw_first: BTreeMap<String, BTreeMap<String, &'a RawValue>>,
}

impl<'a> Object<'a> {
    fn parse(text: &'a RawValue) -> Self {
        let text = text.get();
        let raw: BTreeMap<String, &'a RawValue> = serde_json::from_str(text).unwrap();
        let inner = |text: &'a str| serde_json::from_str(text).ok();
        let first = |text: &'a str| -> Option<BTreeMap<String, &'a RawValue>> {
            let list: Vec<&'a RawValue> = serde_json::from_str(text).ok()?;
            inner(list.first()?.get())
        };
        Self {
            parsed: serde_json::from_str(text).unwrap(),
            raw_inner: by_field(&raw, inner),
            raw_first: by_field(&raw, first),
            raw,
        }
    }

    /// Returns the value at a place, unless it is null or missing.
    fn at(&self, place: &str) -> Option<(&Value, &'a RawValue)> {
        let parts: Vec<_> = place.split('.').collect();
        let (value, raw) = match parts[..] {
            [field] => (&self.parsed[field], *self.raw.get(field)?),
            [outer, field] => (
                &self.parsed[outer][field],
                *self.raw_inner.get(outer)?.get(field)?,
            ),
            [list, "0", field] => (
                &self.parsed[list][0][field],
                *self.raw_first.get(list)?.get(field)?,
            ),
            _ => panic!("not a place: {place}"),
        };
        (!value.is_null()).then_some((value, raw))
    }

    /// Returns the object without the values that columns took. A column takes the first place with a value, and any
    /// further place that repeats this value.
    fn left_over(&self, table: &Table) -> Value {
        let mut left = self.parsed.clone();
        for field in table.dropped_fields {
            left[*field] = Value::Null;
        }
        for column in table.columns {
            let Source::Json(places) = column.source else {
                continue;
            };
            let Some((taken, _)) = places.iter().find_map(|place| self.at(place)) else {
                continue;
            };
            for place in places {
                if self.at(place).is_some_and(|(value, _)| value == taken) {
                    match place.split('.').collect::<Vec<_>>()[..] {
                        [field] => left[field] = Value::Null,
                        [outer, field] => left[outer][field] = Value::Null,
                        // The list's own column has this value, too.
                        _ => {}
                    }
                }
            }
        }
        let flattened: BTreeSet<&str> = table.columns.iter().flat_map(outer_fields).collect();
        let fields = left.as_object_mut().unwrap();
        for outer in flattened {
            if let Some(Value::Object(inner)) = fields.get_mut(outer) {
                inner.retain(|_, value| !value.is_null());
                if inner.is_empty() {
                    fields.remove(outer);
                }
            }
        }
        fields.retain(|_, value| !value.is_null());
        if fields.is_empty() { Value::Null } else { left }
    }
}

/// Returns the objects from which a column takes a field.
fn outer_fields(column: &'static Column) -> impl Iterator<Item = &'static str> {
    let places = match column.source {
        Source::Json(places) => places,
        _ => &[],
    };
    places.iter().filter_map(|place| {
        let (outer, field) = place.split_once('.')?;
        (!field.starts_with("0.")).then_some(outer)
    })
}

fn by_field<'a, T>(
    raw: &BTreeMap<String, &'a RawValue>,
    read: impl Fn(&'a str) -> Option<T>,
) -> BTreeMap<String, T> {
    raw.iter()
        .filter_map(|(name, value)| Some((name.clone(), read(value.get())?)))
        .collect()
}
