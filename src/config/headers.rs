//! Headers that a gateway in front of the server requires.

use std::{collections::BTreeMap, str::FromStr};

use secrecy::SecretString;
use serde_json::Value;

use super::json_kind::json_kind;

/// Headers that the connector sets itself.
const OWN: [&str; 7] = [
    "authorization",
    "connection",
    "content-length",
    "content-type",
    "host",
    "prefect-csrf-token",
    "transfer-encoding",
];

/// The names and values of headers. Values are never printed.
#[derive(Debug, Clone, Default)]
pub struct ExtraHeaders(Vec<(String, SecretString)>);

impl ExtraHeaders {
    /// The headers.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &SecretString)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }
}

impl FromStr for ExtraHeaders {
    type Err = String;

    /// Parses a JSON object of strings. The error messages never repeat a value.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let example = r#"{"X-Gateway-Token": "..."}"#;
        let headers: Value = serde_json::from_str(text).map_err(|error| {
            format!("is not valid JSON: {error}; write a JSON object of strings such as {example}")
        })?;
        let Value::Object(headers) = headers else {
            let kind = json_kind(&headers);
            return Err(format!(
                "must be a JSON object of strings such as {example}, not {kind}"
            ));
        };
        let headers: BTreeMap<_, _> = headers.into_iter().collect();
        let mut list = Vec::new();
        for (name, value) in headers {
            let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
            if name.is_empty() || !name.chars().all(is_token) {
                return Err(format!(
                    "`{}` is not a valid header name",
                    name.escape_debug()
                ));
            }
            let Value::String(value) = value else {
                let kind = json_kind(&value);
                return Err(format!("the value of {name} must be a text, not {kind}"));
            };
            if OWN.contains(&name.to_ascii_lowercase().as_str()) {
                return Err(format!(
                    "{name} is set by the connector itself; for a key or a password use the fields api_key and auth_string"
                ));
            }
            if !value.chars().all(|c| c == ' ' || c.is_ascii_graphic()) {
                return Err(format!(
                    "the value of {name} contains characters that are not allowed in a header; copy it again"
                ));
            }
            list.push((name, SecretString::from(value)));
        }
        Ok(Self(list))
    }
}
