//! The reference implementation of flattening: fields of a Prefect object go to their columns, and other fields
//! are kept. [`PageReader`](super::PageReader) is the fast implementation; tests compare the two.

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

use super::{
    context::{BadRow, Context},
    place::Place,
    value::{Misfit, Value},
};
use crate::tables::{ColumnType, Source, Table};

/// A row, and the names of the fields that did not fit into it.
#[derive(Debug, Clone, PartialEq)]
pub struct Flattened {
    /// The values, one for each column of the table, in that order.
    pub values: Vec<Value>,
    /// Columns whose value had another type; the value is in `unmapped`.
    pub misfits: Vec<&'static str>,
    /// Fields without a column; they are in `unmapped`.
    pub undeclared: Vec<String>,
}

/// Converts the objects of one table into rows.
#[derive(Debug)]
pub struct Flattener {
    table: &'static Table,
    /// The possible places of the value of each column.
    places: Vec<Vec<Place<'static>>>,
    /// The places of all columns.
    declared: HashSet<Place<'static>>,
    /// Fields that are flattened into columns of their own.
    objects: HashSet<&'static str>,
}

impl Flattener {
    /// Creates a flattener for `table`.
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

    /// The table of the rows.
    pub fn table(&self) -> &'static Table {
        self.table
    }

    /// Flattens one object.
    pub fn flatten(&self, raw: &RawValue, context: &Context) -> Result<Flattened, BadRow> {
        let mut fields = Fields::parse(raw).ok_or(BadRow::NotAnObject)?;
        fields
            .0
            .retain(|name, _| !self.table.left_out.contains(&&**name));
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
                // Filled in below, when the fields that the other columns took are known.
                Source::Unmapped => Value::Null,
            });
        }
        match values.first() {
            Some(Value::String(id)) if !id.is_empty() => {}
            _ => return Err(BadRow::NoId),
        }
        Ok(self.keep_the_rest(values, misfits, &object, &claimed))
    }

    /// Puts the fields that no column took into the column `unmapped`.
    fn keep_the_rest(
        &self,
        mut values: Vec<Value>,
        misfits: Vec<&'static str>,
        object: &Object<'_>,
        claimed: &HashSet<Place<'static>>,
    ) -> Flattened {
        let (unmapped, undeclared) = object.unclaimed(claimed, &self.declared);
        for (value, column) in values.iter_mut().zip(self.table.columns) {
            if column.source == Source::Unmapped
                && let Some(json) = &unmapped
            {
                *value = Value::Json(json.clone());
            }
        }
        Flattened {
            values,
            misfits,
            undeclared,
        }
    }
}

/// The fields of an object, and the fields of its flattened objects.
struct Object<'a> {
    fields: Fields<'a>,
    nested: HashMap<&'static str, Fields<'a>>,
}

impl<'a> Object<'a> {
    /// Returns the raw value at a place, or `None` if the value is missing or null.
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

    /// Returns the value at the first of `places` that has one. Marks that place, and every other place with the
    /// same text, as claimed.
    fn take(
        &self,
        kind: ColumnType,
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

    /// Returns the unclaimed fields that are not null, as one JSON object with sorted keys. Also returns the names
    /// of those fields that are not a place of any column.
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

/// The unclaimed part of a field: the whole field, or some fields of a flattened object.
#[derive(serde::Serialize)]
#[serde(untagged)]
enum Left<'a> {
    All(&'a RawValue),
    Some(BTreeMap<&'a str, &'a RawValue>),
}

/// The fields of a JSON object, unparsed. If a name occurs twice, the last value counts.
struct Fields<'a>(HashMap<Cow<'a, str>, &'a RawValue>);

impl<'a> Fields<'a> {
    /// Returns the fields of `raw`, or `None` if `raw` is not an object.
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

/// The name of a field, borrowed if it has no escapes.
#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);
