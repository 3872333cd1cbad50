//! Flattening: the fields of a Prefect object find their columns, and what finds none is kept.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap, HashSet},
    fmt,
};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;

use super::value::{Misfit, Row, Value};
use crate::tables::{Kind, Source, Table};

/// What every row of a sync shares.
#[derive(Debug, Clone, Default)]
pub struct Context {
    /// The Prefect Cloud workspace; `None` for a self-hosted server.
    pub workspace_id: Option<String>,
}

/// A row and what did not fit into it.
#[derive(Debug, Clone, PartialEq)]
pub struct Flattened {
    /// The row, all columns of its table.
    pub row: Row,
    /// Columns whose value had another type; the value is in `unmapped`.
    pub misfits: Vec<&'static str>,
    /// Fields without a column; they are in `unmapped`.
    pub undeclared: Vec<String>,
}

/// An element of a page that cannot become a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadRow {
    /// Not a JSON object.
    #[error("it is not a JSON object")]
    NotAnObject,
    /// The id is missing, null, empty or not a string.
    #[error("it has no usable id")]
    NoId,
}

/// Turns the objects of one table into rows.
#[derive(Debug)]
pub struct Flattener {
    table: &'static Table,
    /// For each column the places its value may stand at.
    places: Vec<Vec<Place<'static>>>,
    /// All of them.
    declared: HashSet<Place<'static>>,
    /// Fields that are flattened into columns of their own.
    objects: HashSet<&'static str>,
}

/// Where a value may stand; see [`Source::Json`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Place<'a> {
    Field(&'a str),
    Nested(&'a str, &'a str),
    /// A field of a list's first element: a convenience beside the column that holds the whole list.
    OfFirst(&'a str, &'a str),
}

impl<'a> Place<'a> {
    fn parse(text: &'a str) -> Self {
        match text.split_once('.') {
            None => Self::Field(text),
            Some((field, rest)) => match rest.strip_prefix("0.") {
                Some(inner) => Self::OfFirst(field, inner),
                None => Self::Nested(field, rest),
            },
        }
    }
}

impl Flattener {
    /// Prepares flattening for `table`.
    pub fn new(table: &'static Table) -> Self {
        let places: Vec<Vec<Place<'static>>> = table
            .columns
            .iter()
            .map(|column| match column.source {
                Source::Json(places) => places.iter().map(|place| Place::parse(place)).collect(),
                Source::Workspace | Source::Unmapped => Vec::new(),
            })
            .collect();
        let objects = places
            .iter()
            .flatten()
            .filter_map(|place| match place {
                Place::Nested(field, _) => Some(*field),
                _ => None,
            })
            .collect();
        Self {
            table,
            declared: places.iter().flatten().copied().collect(),
            places,
            objects,
        }
    }

    /// The table whose rows are made.
    pub fn table(&self) -> &'static Table {
        self.table
    }

    /// Flattens one object.
    pub fn flatten(&self, raw: &RawValue, context: &Context) -> Result<Flattened, BadRow> {
        let fields = Fields::parse(raw).ok_or(BadRow::NotAnObject)?;
        let object = Object {
            nested: self
                .objects
                .iter()
                .filter_map(|&name| Some((name, Fields::parse(fields.get(name)?)?)))
                .collect(),
            fields,
        };
        let mut claimed = HashSet::new();
        let mut misfits = Vec::new();
        let mut values = Vec::with_capacity(self.table.columns.len());
        for (column, places) in self.table.columns.iter().zip(&self.places) {
            values.push(match column.source {
                Source::Json(_) => object
                    .take(column.kind, places, &mut claimed)
                    .unwrap_or_else(|_| {
                        misfits.push(column.name);
                        Value::Null
                    }),
                Source::Workspace => context
                    .workspace_id
                    .clone()
                    .map_or(Value::Null, Value::String),
                // Filled in below, when it is known what the others left.
                Source::Unmapped => Value::Null,
            });
        }
        let row = Row { values };
        if row.id().is_empty() {
            return Err(BadRow::NoId);
        }
        Ok(self.keep_the_rest(row, misfits, &object, &claimed))
    }

    /// Puts what no column took into the column `unmapped`.
    fn keep_the_rest(
        &self,
        mut row: Row,
        misfits: Vec<&'static str>,
        object: &Object<'_>,
        claimed: &HashSet<Place<'static>>,
    ) -> Flattened {
        let (unmapped, undeclared) = object.unclaimed(claimed, &self.declared);
        for (value, column) in row.values.iter_mut().zip(self.table.columns) {
            if column.source == Source::Unmapped
                && let Some(json) = &unmapped
            {
                *value = Value::Json(json.clone());
            }
        }
        Flattened {
            row,
            misfits,
            undeclared,
        }
    }
}

/// The fields of an object, the flattened ones also by their own fields.
struct Object<'a> {
    fields: Fields<'a>,
    nested: HashMap<&'static str, Fields<'a>>,
}

impl<'a> Object<'a> {
    /// The raw value at a place; `None` when there is none or it is null.
    fn at(&self, place: Place<'_>) -> Option<&'a RawValue> {
        let raw = match place {
            Place::Field(field) => self.fields.get(field)?,
            Place::Nested(object, field) => self.nested.get(object)?.get(field)?,
            Place::OfFirst(list, field) => {
                let list: Vec<&'a RawValue> =
                    serde_json::from_str(self.fields.get(list)?.get()).ok()?;
                Fields::parse(list.first()?)?.get(field)?
            }
        };
        (raw.get() != "null").then_some(raw)
    }

    /// The value at the first of `places` that holds one; marks what it used, and every other place
    /// that says the same.
    fn take(
        &self,
        kind: Kind,
        places: &[Place<'static>],
        claimed: &mut HashSet<Place<'static>>,
    ) -> Result<Value, Misfit> {
        let mut found: Option<(&RawValue, Value)> = None;
        for &place in places {
            let Some(raw) = self.at(place) else { continue };
            match &found {
                None => {
                    let value = Value::from_json(kind, raw)?;
                    claimed.insert(place);
                    found = Some((raw, value));
                }
                Some((first, _)) if first.get() == raw.get() => {
                    claimed.insert(place);
                }
                Some(_) => {}
            }
        }
        Ok(found.map_or(Value::Null, |(_, value)| value))
    }

    /// What nobody claimed and is not null, as one JSON object with sorted keys; and the names among
    /// it that are no place of any column.
    fn unclaimed<'b>(
        &'b self,
        claimed: &HashSet<Place<'b>>,
        declared: &HashSet<Place<'b>>,
    ) -> (Option<String>, Vec<String>) {
        let mut left: BTreeMap<&str, Left<'_>> = BTreeMap::new();
        let mut undeclared = Vec::new();
        let is_left =
            |place: Place<'b>, raw: &RawValue| raw.get() != "null" && !claimed.contains(&place);
        for (name, raw) in self.fields.iter() {
            if let Some(nested) = self.nested.get(name) {
                let inner: BTreeMap<&str, &RawValue> = nested
                    .iter()
                    .filter(|(field, raw)| is_left(Place::Nested(name, field), raw))
                    .collect();
                for field in inner.keys() {
                    if !declared.contains(&Place::Nested(name, field)) {
                        undeclared.push(format!("{name}.{field}"));
                    }
                }
                if !inner.is_empty() {
                    left.insert(name, Left::Some(inner));
                }
            } else if is_left(Place::Field(name), raw) {
                if !declared.contains(&Place::Field(name)) {
                    undeclared.push(name.to_owned());
                }
                left.insert(name, Left::All(raw));
            }
        }
        undeclared.sort_unstable();
        let json = (!left.is_empty())
            .then(|| serde_json::to_string(&left).ok())
            .flatten();
        (json, undeclared)
    }
}

/// What is left of a field: all of it, or some fields of a flattened object.
#[derive(serde::Serialize)]
#[serde(untagged)]
enum Left<'a> {
    All(&'a RawValue),
    Some(BTreeMap<&'a str, &'a RawValue>),
}

/// The fields of a JSON object, unparsed; of a name that stands twice the last one.
struct Fields<'a>(HashMap<Cow<'a, str>, &'a RawValue>);

impl<'a> Fields<'a> {
    /// The fields of `raw`; `None` when it is not an object.
    fn parse(raw: &'a RawValue) -> Option<Self> {
        serde_json::from_str(raw.get()).ok()
    }

    fn get(&self, name: &str) -> Option<&'a RawValue> {
        self.0.get(name).copied()
    }

    fn iter(&self) -> impl Iterator<Item = (&str, &'a RawValue)> {
        self.0.iter().map(|(name, raw)| (&**name, *raw))
    }
}

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FieldsVisitor;

        impl<'de> Visitor<'de> for FieldsVisitor {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = HashMap::with_capacity(64);
                while let Some(Name(name)) = map.next_key()? {
                    fields.insert(name, map.next_value()?);
                }
                Ok(Fields(fields))
            }
        }

        deserializer.deserialize_map(FieldsVisitor)
    }
}

/// A field's name, borrowed where it has no escapes.
#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value as Json, json};

    use super::*;
    use crate::tables;

    fn flatten(table: &str, json: &str) -> Result<Flattened, BadRow> {
        let raw: &RawValue = serde_json::from_str(json).expect("test input is JSON");
        Flattener::new(tables::find(table).expect("a table")).flatten(raw, &Context::default())
    }

    fn value<'a>(table: &str, flattened: &'a Flattened, column: &str) -> &'a Value {
        let position = tables::find(table)
            .and_then(|table| table.position(column))
            .expect("a column");
        &flattened.row.values[position]
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

    fn any_json() -> impl Strategy<Value = Json> {
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

    /// Rebuilds an object from a row: every column back to its first place, then `unmapped` on top.
    fn rebuild(table: &tables::Table, row: &Flattened) -> Json {
        let mut object = serde_json::Map::new();
        for (column, value) in table.columns.iter().zip(&row.row.values) {
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
        if let Some(Value::Json(text)) = row.row.values.last() {
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
        fn flattening_never_fails_on_any_fields(
            fields in prop::collection::btree_map("(state|created_by|id|schedules|name|x)", any_json(), 0..6),
        ) {
            let text = Json::Object(fields.into_iter().collect()).to_string();
            for table in tables::ALL {
                let _ = flatten(table.name, &text);
            }
        }
    }
}
