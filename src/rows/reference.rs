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
    field_path::FieldPath,
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
    /// The possible paths to the value of each column.
    paths: Vec<Vec<FieldPath<'static>>>,
    /// The paths of all columns.
    declared: HashSet<FieldPath<'static>>,
    /// Fields that are flattened into columns of their own.
    objects: HashSet<&'static str>,
}

impl Flattener {
    /// Creates a flattener for `table`.
    pub fn new(table: &'static Table) -> Self {
        let paths: Vec<Vec<FieldPath<'static>>> = table
            .columns
            .iter()
            .map(|column| match column.source {
                Source::Json(paths) => paths.iter().map(|path| FieldPath::parse(path)).collect(),
                Source::Workspace | Source::Unmapped => Vec::new(),
            })
            .collect();
        let objects = paths
            .iter()
            .flatten()
            .filter_map(|path| match path {
                FieldPath::Nested(field, _) => Some(*field),
                _ => None,
            })
            .collect();
        Self {
            table,
            declared: paths.iter().flatten().copied().collect(),
            paths,
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
            .retain(|name, _| !self.table.dropped_fields.contains(&&**name));
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
        for (column, paths) in self.table.columns.iter().zip(&self.paths) {
            values.push(match column.source {
                Source::Json(_) => object
                    .take_value(column.kind, paths, &mut claimed)
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
        claimed: &HashSet<FieldPath<'static>>,
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
    /// Returns the raw value at a path, or `None` if the value is missing or null.
    fn at(&self, path: FieldPath<'_>) -> Option<&'a RawValue> {
        let raw = match path {
            FieldPath::Field(field) => self.fields.get(field)?,
            FieldPath::Nested(object, field) => self.nested.get(object)?.get(field)?,
            FieldPath::FirstElement(list, field) => {
                let list: Vec<&'a RawValue> =
                    serde_json::from_str(self.fields.get(list)?.get()).ok()?;
                Fields::parse(list.first()?)?.get(field)?
            }
        };
        (raw.get() != "null").then_some(raw)
    }

    /// Returns the value at the first of `paths` that has one. Marks that path, and every other path with the
    /// same text, as claimed.
    fn take_value(
        &self,
        kind: ColumnType,
        paths: &[FieldPath<'static>],
        claimed: &mut HashSet<FieldPath<'static>>,
    ) -> Result<Value, Misfit> {
        let mut found: Option<(&RawValue, Value)> = None;
        for &path in paths {
            let Some(raw) = self.at(path) else { continue };
            match &found {
                None => {
                    let value = Value::from_json(kind, raw.get())?;
                    claimed.insert(path);
                    found = Some((raw, value));
                }
                Some((first, _)) if first.get() == raw.get() => {
                    claimed.insert(path);
                }
                Some(_) => {}
            }
        }
        Ok(found.map_or(Value::Null, |(_, value)| value))
    }

    /// Returns the unclaimed fields that are not null, as one JSON object with sorted keys. Also returns the names
    /// of those fields that are not a path of any column.
    fn unclaimed<'b>(
        &'b self,
        claimed: &HashSet<FieldPath<'b>>,
        declared: &HashSet<FieldPath<'b>>,
    ) -> (Option<String>, Vec<String>) {
        let mut left: BTreeMap<&str, Left<'_>> = BTreeMap::new();
        let mut undeclared = Vec::new();
        let is_left =
            |path: FieldPath<'b>, raw: &RawValue| raw.get() != "null" && !claimed.contains(&path);
        for (name, raw) in self.fields.iter() {
            if let Some(nested) = self.nested.get(name) {
                let inner: BTreeMap<&str, &RawValue> = nested
                    .iter()
                    .filter(|(field, raw)| is_left(FieldPath::Nested(name, field), raw))
                    .collect();
                for field in inner.keys() {
                    if !declared.contains(&FieldPath::Nested(name, field)) {
                        undeclared.push(format!("{name}.{field}"));
                    }
                }
                if !inner.is_empty() {
                    left.insert(name, Left::Some(inner));
                }
            } else if is_left(FieldPath::Field(name), raw) {
                if !declared.contains(&FieldPath::Field(name)) {
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
