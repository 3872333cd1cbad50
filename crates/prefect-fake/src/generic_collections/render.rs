//! Generic objects in the JSON shape of a release.

use serde_json::{Map, Value};

use super::{GenericCollection, GenericObject};
use crate::{
    times::{self, ApiTime},
    versions::Capabilities,
};

/// The replacement for a secret.
pub const MASK: &str = "********";

/// Returns an object as JSON.
pub fn object(
    collection: GenericCollection,
    row: &GenericObject,
    capabilities: &Capabilities,
) -> Value {
    let spec = collection.spec();
    let mut fields = row.fields.clone();
    if !capabilities.third_generation {
        fields.retain(|key, _| !spec.third.contains(&key.as_str()));
    }
    for place in spec.times {
        if let Some(value) = at_mut(&mut fields, place) {
            let time = times::parse(value, false);
            if let Some(at) = time {
                *value = shown(at, capabilities);
            }
        }
    }
    if collection == GenericCollection::BlockDocuments {
        mask(&mut fields);
    }
    fields.insert("id".to_owned(), Value::from(row.id.to_string()));
    if collection != GenericCollection::Events {
        fields.insert("created".to_owned(), shown(row.created, capabilities));
        fields.insert("updated".to_owned(), shown(row.updated, capabilities));
    }
    Value::Object(fields)
}

fn shown(at: crate::model::Time, capabilities: &Capabilities) -> Value {
    let zulu = capabilities.zulu;
    serde_json::to_value(ApiTime { at, zulu }).unwrap_or_default()
}

fn at_mut<'a>(fields: &'a mut Map<String, Value>, place: &str) -> Option<&'a mut Value> {
    let mut keys = place.split('/');
    let first = fields.get_mut(keys.next()?);
    keys.fold(first, |value, key| {
        value.and_then(|value| value.get_mut(key))
    })
}

/// Masks the secrets of a block document at the paths that its schema lists.
fn mask(fields: &mut Map<String, Value>) {
    let shown = fields
        .get("block_schema")
        .and_then(|schema| schema.get("fields")?.get("secret_fields")?.as_array());
    let places: Vec<String> = shown
        .into_iter()
        .flatten()
        .filter_map(|place| place.as_str().map(|place| place.replace('.', "/")))
        .collect();
    for place in places {
        let inside = place.strip_suffix("/*").unwrap_or(&place);
        if let Some(secret) = at_mut(fields, &format!("data/{inside}")) {
            hide(secret, inside.len() < place.len());
        }
    }
}

/// Masks a value, or each value of an object.
fn hide(secret: &mut Value, each: bool) {
    match secret {
        Value::Null => {}
        Value::Object(inner) if each => {
            for value in inner.values_mut() {
                *value = Value::from(MASK);
            }
        }
        _ => *secret = Value::from(MASK),
    }
}
