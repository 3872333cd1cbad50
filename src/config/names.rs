//! The names of the configuration's fields, and the types that their values have in a file.

use std::fmt;

use super::{
    choices::choices,
    closest::closest_name,
    form::{FORM, ValueType},
};

/// A key of a configuration that is not a field of the form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownField {
    name: String,
    /// The field with a similar name.
    closest: Option<&'static str>,
}

impl fmt::Display for UnknownField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name.escape_debug();
        write!(
            f,
            "configuration field `{name}` is not known and has no effect"
        )?;
        match self.closest {
            Some(closest) => write!(f, "; the closest field is `{closest}`"),
            None => Ok(()),
        }
    }
}

/// The names of all fields, with those that turn on an optional table.
fn names() -> impl Iterator<Item = &'static str> {
    let optional = choices().map(|(_, choice)| choice.field);
    FORM.iter().map(|field| field.name).chain(optional)
}

/// Returns the keys that are not fields of the form, in the order of their names.
pub fn unknown_fields<'a>(keys: impl Iterator<Item = &'a String>) -> Vec<UnknownField> {
    let mut unknown: Vec<_> = keys
        .filter(|key| names().all(|field| field != *key))
        .map(|key| UnknownField {
            name: key.clone(),
            closest: closest_name(key, names()),
        })
        .collect();
    unknown.sort_unstable_by(|one, other| one.name.cmp(&other.name));
    unknown
}

/// Returns the type of a field's value, or `None` for an unknown name.
pub fn value_type(name: &str) -> Option<ValueType> {
    if choices().any(|(_, choice)| choice.field == name) {
        return Some(ValueType::Boolean);
    }
    let field = FORM.iter().find(|field| field.name == name)?;
    Some(field.value_type)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closest_field_is_named() {
        for (key, closest) in [
            ("Api_Url", Some("api_url")),
            ("batchsize", Some("batch_size")),
            ("sync_log", Some("sync_logs")),
            ("retention", None),
        ] {
            let unknown = unknown_fields([key.to_owned()].iter());
            assert_eq!(unknown[0].closest, closest, "{key}");
        }
    }

    #[test]
    fn every_field_has_a_type() {
        for name in names() {
            assert!(value_type(name).is_some(), "{name}");
        }
        assert_eq!(value_type("sync_logs"), Some(ValueType::Boolean));
        assert_eq!(value_type("colour"), None);
    }
}
