//! An object of which only the id and the two times are typed.

use serde_json::{Map, Value};

use super::GenericCollection;
use crate::{
    filter::{Cell, Field, Filtered},
    id::Id,
    listing_spec::Column,
    model::Time,
    table::{Nulls, Row, SortKey, Table},
    times,
};

/// An object: everything except the id and the two times is JSON, with times as RFC 3339 text.
#[derive(Debug, Clone)]
pub struct GenericObject {
    /// The id.
    pub id: Id,
    /// The time of creation.
    pub created: Time,
    /// The time of the last change.
    pub updated: Time,
    /// All other values, by the API's keys.
    pub fields: Map<String, Value>,
}

impl GenericObject {
    /// Creates an object that never changed. If `fields` is not a JSON object, the new object has no fields.
    pub fn new(id: Id, created: Time, fields: Value) -> Self {
        let fields = match fields {
            Value::Object(fields) => fields,
            _ => Map::new(),
        };
        Self {
            id,
            created,
            updated: created,
            fields,
        }
    }

    /// Returns the value at a path of keys joined by slashes, or null if there is none.
    pub fn at(&self, place: &str) -> &Value {
        let mut keys = place.split('/');
        let first = keys.next().and_then(|key| self.fields.get(key));
        keys.fold(first, |value, key| value.and_then(|value| value.get(key)))
            .unwrap_or(&Value::Null)
    }

    /// Returns the text at a path.
    pub fn text(&self, place: &str) -> Option<&str> {
        self.at(place).as_str()
    }

    /// Returns the id at a path.
    pub fn id_at(&self, place: &str) -> Option<Id> {
        self.text(place).and_then(Id::parse)
    }
}

impl Row for GenericObject {
    type Column = Column;

    fn id(&self) -> Id {
        self.id
    }

    fn key(&self, column: Column, nulls: Nulls) -> SortKey {
        let text = |place: &str| self.text(place).map(str::to_owned);
        match column {
            Column::Created => nulls.time(Some(self.created)),
            Column::Updated => nulls.time(Some(self.updated)),
            Column::Name => nulls.text(text("name")),
            Column::Text(place) => nulls.text(text(place)),
            Column::Texts(first, second) => {
                let both = text(first).zip(text(second));
                nulls.text(both.map(|(first, second)| format!("{first}\0{second}")))
            }
            Column::Moment(place) => nulls.time(times::parse(self.at(place), false)),
            _ => SortKey::Id(self.id),
        }
    }
}

impl Filtered for GenericObject {
    fn cell(&self, field: Field) -> Cell<'_> {
        match field {
            Field::Id => Cell::Id(Some(self.id)),
            Field::Name => Cell::Text(self.text("name")),
            Field::Value("created") => Cell::Time(Some(self.created)),
            Field::Value(place) => Cell::Json(self.at(place)),
            _ => Cell::Text(None),
        }
    }
}

/// The objects of all generic collections.
#[derive(Debug, Clone)]
pub struct GenericObjects([Table<GenericObject>; GenericCollection::ALL.len()]);

impl GenericObjects {
    pub(crate) fn new(nulls: Nulls) -> Self {
        Self(GenericCollection::ALL.map(|_| Table::new(nulls)))
    }

    pub(crate) fn table(&self, collection: GenericCollection) -> &Table<GenericObject> {
        &self.0[collection as usize]
    }

    pub(crate) fn table_mut(&mut self, collection: GenericCollection) -> &mut Table<GenericObject> {
        &mut self.0[collection as usize]
    }
}
