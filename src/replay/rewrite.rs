//! Replacement of values in some fields of JSON. All other values stay the same, byte for byte.

use std::{borrow::Cow, collections::BTreeMap, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::{Value, value::RawValue};

/// The fields of an object that are changed.
pub(super) type Fields = BTreeMap<&'static str, Field>;

/// The change of a field.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Field {
    /// The JSON value that replaces the field's value.
    Put(&'static str),
    /// Changes of the fields of the object in the field.
    Inside(Fields),
}

/// Adds changes of fields to others.
pub(super) fn merge(into: &mut Fields, more: Fields) {
    for (name, field) in more {
        match (into.get_mut(name), field) {
            (Some(Field::Inside(into)), Field::Inside(more)) => merge(into, more),
            // The replacement of a whole value includes its parts.
            (Some(Field::Put(_)), Field::Inside(_)) => {}
            (_, field) => {
                into.insert(name, field);
            }
        }
    }
}

/// The fields of an object in their order, with their values as unparsed text.
struct Object<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Object<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Object<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object<'de>, A::Error> {
                let mut fields = Vec::new();
                while let Some((name, value)) = map.next_entry::<String, &RawValue>()? {
                    fields.push((Cow::Owned(name), value));
                }
                Ok(Object(fields))
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

/// Appends `json` with `fields` changed. `json` is a list of objects, a page of events, or one object.
pub(super) fn rewrite(json: &RawValue, fields: &Fields, out: &mut String) {
    let text = json.get().trim_start();
    if text.starts_with('[') {
        let Ok(list) = serde_json::from_str::<Vec<&RawValue>>(json.get()) else {
            return out.push_str(json.get());
        };
        out.push('[');
        for (at, object) in list.into_iter().enumerate() {
            if at > 0 {
                out.push(',');
            }
            rewrite(object, fields, out);
        }
        return out.push(']');
    }
    let Ok(Object(object)) = serde_json::from_str(json.get()) else {
        return out.push_str(json.get());
    };
    // A page of events: `{"events": […], "total": …}`.
    let is_page = object.iter().any(|(name, _)| name == "events") && object.len() <= 3;
    out.push('{');
    for (at, (name, value)) in object.into_iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        out.push_str(&Value::from(&*name).to_string());
        out.push(':');
        match fields.get(&*name) {
            _ if is_page && name == "events" => rewrite(value, fields, out),
            _ if value.get() == "null" => out.push_str("null"),
            Some(Field::Put(other)) => out.push_str(other),
            Some(Field::Inside(inner)) => rewrite(value, inner, out),
            None => out.push_str(value.get()),
        }
    }
    out.push('}');
}
