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
    match serde_json::from_str(text) {
        Ok(Fields(fields)) => Ok(fields),
        Err(error) if error.is_data() => Err(Error::Shape {
            path,
            why: error.to_string(),
        }),
        Err(error) => Err(Error::Syntax {
            path,
            why: error.to_string(),
        }),
    }
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
    fn errors_name_the_place_and_the_kind_but_no_value() {
        for (text, want) in [
            (
                "{\"a\": \"x\",}",
                "c.json is not valid JSON: trailing comma at line 1 column 11",
            ),
            (
                "{\"a\":\n\"hunter2",
                "c.json is not valid JSON: EOF while parsing a string at line 2 column 8",
            ),
            (
                "{\"a\": hunter2}",
                "c.json is not valid JSON: expected value at line 1 column 7",
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
