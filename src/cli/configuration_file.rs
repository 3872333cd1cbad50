//! The file with the values of the setup form.

use std::{
    collections::BTreeMap,
    fmt, fs,
    path::{Path, PathBuf},
};

use serde::{
    Deserialize, Deserializer,
    de::{Error as _, MapAccess, Visitor},
};
use serde_json::Value;
use serde_path_to_error::Segment;

use crate::config::{self, ValueType};

/// The file that is read by default.
pub(super) const CONFIGURATION: &str = "configuration.json";

/// The reason why a file has no usable values. The text has names and positions, never a value.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// The file could not be read.
    #[error("cannot read {path}: {why} (create it with `fivetran_source init`, or try --demo)")]
    Read { path: PathBuf, why: String },
    /// The file is not JSON.
    #[error("{path} is not valid JSON: {why}")]
    Syntax { path: PathBuf, why: String },
    /// The file is JSON of another shape.
    #[error("{path}: {why}")]
    Shape { path: PathBuf, why: String },
}

/// Reads the values. Numbers and the words `true` and `false` need no quotes, and a field that takes JSON, such as
/// `filter`, may have it directly. `null` means no value.
pub(super) fn read(file: &Path) -> Result<BTreeMap<String, String>, Error> {
    let path = file.to_owned();
    let text = fs::read_to_string(file).map_err(|cause| Error::Read {
        path: path.clone(),
        why: cause.to_string(),
    })?;
    // An editor may have written a byte order mark, which JSON does not allow.
    let text = text.trim_start_matches('\u{feff}');
    let (place, error) = match parse(text) {
        Ok(fields) => return Ok(fields),
        Err(error) => error,
    };
    if error.is_data() {
        let why = error.to_string();
        return Err(Error::Shape { path, why });
    }
    let why = match place {
        Some(place) => format!("{error}, in `{}`", place.escape_debug()),
        None => error.to_string(),
    };
    Err(Error::Syntax { path, why })
}

/// Parses the file's text. An error has the path of the field that contains it, if it is in one.
fn parse(text: &str) -> Result<BTreeMap<String, String>, (Option<String>, serde_json::Error)> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let Fields(fields) = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let place = field_of(error.path());
        (place, error.into_inner())
    })?;
    reader.end().map_err(|error| (None, error))?;
    Ok(fields)
}

/// Returns the path of a field such as `filter.flow_runs.tags[0]`, or `None` outside of the fields.
fn field_of(path: &serde_path_to_error::Path) -> Option<String> {
    let mut field = String::new();
    for segment in path {
        match segment {
            // A syntax error between fields.
            Segment::Unknown => break,
            Segment::Seq { .. } => field.push_str(&segment.to_string()),
            Segment::Map { .. } | Segment::Enum { .. } => {
                if !field.is_empty() {
                    field.push('.');
                }
                field.push_str(&segment.to_string());
            }
        }
    }
    (!field.is_empty()).then_some(field)
}

/// The fields with a value.
struct Fields(BTreeMap<String, String>);

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(FieldsVisitor)
    }
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Fields;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object with the fields of the setup form")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
        let mut fields = BTreeMap::new();
        while let Some((name, value)) = map.next_entry::<String, Value>()? {
            check_type(&name, &value).map_err(A::Error::custom)?;
            let text = match value {
                Value::Null => continue,
                Value::String(text) => text,
                other => other.to_string(),
            };
            if fields.insert(name.clone(), text).is_some() {
                let why = format!("the field `{}` occurs twice", name.escape_debug());
                return Err(A::Error::custom(why));
            }
        }
        Ok(Fields(fields))
    }

    // The usual texts of these errors contain the value.
    fn visit_str<E: serde::de::Error>(self, _: &str) -> Result<Fields, E> {
        Err(E::custom(
            "a text is not a JSON object with the fields of the setup form",
        ))
    }
}

/// Checks that a field has a value of its type. Every value may also be a text.
fn check_type(name: &str, value: &Value) -> Result<(), String> {
    let wanted = match (config::value_type(name), value) {
        (_, Value::Null | Value::String(_))
        | (None, _)
        | (Some(ValueType::Text), Value::Bool(_) | Value::Number(_))
        | (Some(ValueType::Number), Value::Number(_))
        | (Some(ValueType::Boolean), Value::Bool(_))
        | (Some(ValueType::Object), Value::Object(_)) => return Ok(()),
        (Some(ValueType::Text), _) => "a text",
        (Some(ValueType::Number), _) => "a number",
        (Some(ValueType::Boolean), _) => "`true` or `false`",
        (Some(ValueType::Object), _) => "a JSON object",
    };
    let kind = config::json_kind(value);
    Err(format!("the field `{name}` must be {wanted}, not {kind}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<BTreeMap<String, String>, String> {
        let dir = tempfile::tempdir().expect("a folder");
        let file = dir.path().join("c.json");
        fs::write(&file, text).expect("written");
        let prefix = format!("{}", file.display());
        read(&file).map_err(|error| error.to_string().replace(&prefix, "c.json"))
    }

    #[test]
    fn values_need_no_quotes() {
        let fields = of(
            "\u{feff}{\"a\": true, \"b\": 500, \"c\": \" x\", \"d\": null, \"e\": {\"f\": [1]}}",
        );
        let fields = fields.expect("valid");
        let pairs: Vec<_> = fields
            .iter()
            .map(|(name, value)| (&**name, &**value))
            .collect();
        assert_eq!(
            pairs,
            [
                ("a", "true"),
                ("b", "500"),
                ("c", " x"),
                ("e", "{\"f\":[1]}")
            ]
        );
    }

    #[test]
    fn a_value_of_the_wrong_type_is_reported_with_its_field_and_place() {
        for (field, value, says) in [
            ("api_url", "[\"hunter2\"]", "a text, not a list"),
            ("api_key", "{\"a\": \"hunter2\"}", "a text, not an object"),
            ("ca_certificate", "[]", "a text, not a list"),
            ("hosting", "{}", "a text, not an object"),
            ("start_date", "[2026]", "a text, not a list"),
            ("batch_size", "true", "a number, not `true` or `false`"),
            ("retention_days", "[7]", "a number, not a list"),
            ("advanced", "1", "`true` or `false`, not a number"),
            ("sync_logs", "[true]", "`true` or `false`, not a list"),
            ("filter", "[\"prod\"]", "a JSON object, not a list"),
            ("extra_headers", "4711", "a JSON object, not a number"),
        ] {
            let error = of(&format!("{{\n\"{field}\": {value}\n}}")).expect_err(field);
            let start = format!("c.json: the field `{field}` must be {says} at line ");
            assert!(error.starts_with(&start), "{error}");
            assert!(
                !error.contains("hunter2") && !error.contains("4711"),
                "{error}"
            );
        }
        for good in [
            "{\"batch_size\": 50, \"sync_logs\": true, \"advanced\": \"true\", \"filter\": {}}",
            "{\"batch_size\": \"50\", \"filter\": \"{}\", \"api_key\": 500, \"colour\": [1]}",
        ] {
            assert!(of(good).is_ok(), "{good}");
        }
    }

    #[test]
    fn errors_name_the_place_and_the_kind_but_no_value() {
        for (text, want) in [
            (
                "{\"a\": \"x\",}",
                "c.json is not valid JSON: trailing comma at line 1 column 11",
            ),
            (
                "{\"a\":\n\"hunter2",
                "c.json is not valid JSON: EOF while parsing a string at line 2 column 8, in `a`",
            ),
            (
                "{\"a\": hunter2}",
                "c.json is not valid JSON: expected value at line 1 column 7, in `a`",
            ),
            (
                "",
                "c.json is not valid JSON: EOF while parsing a value at line 1 column 0",
            ),
            (
                "[1]",
                "c.json: invalid type: sequence, expected a JSON object with the fields of the setup form at line 1 column 1",
            ),
            (
                "\"hunter2\"",
                "c.json: a text is not a JSON object with the fields of the setup form at line 1 column 9",
            ),
            (
                "{\"filter\": {\"flow_runs\": {\"tags\":\n[hunter2]}}}",
                "c.json is not valid JSON: expected value at line 2 column 2, in `filter.flow_runs.tags[0]`",
            ),
            (
                "{\"filter\": {\"flow_runs\": {},}}",
                "c.json is not valid JSON: trailing comma at line 1 column 29, in `filter`",
            ),
            (
                "{\"a\": 1} 2",
                "c.json is not valid JSON: trailing characters at line 1 column 10",
            ),
            (
                "{\"a\": 1, \"a\": 2}",
                "c.json: the field `a` occurs twice at line 1 column 16",
            ),
        ] {
            assert_eq!(of(text).expect_err(text), want);
        }
        let missing = read(Path::new("/nowhere/c.json"))
            .expect_err("missing")
            .to_string();
        assert!(
            missing.starts_with("cannot read /nowhere/c.json: No such file"),
            "{missing}"
        );
        assert!(missing.contains("fivetran_source init"), "{missing}");
    }
}
