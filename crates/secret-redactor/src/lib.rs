//! Removes secrets from texts: from messages of others before they are shown, and from responses before they are
//! recorded.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use serde_json::Value;

/// The text in place of a secret.
const REDACTED: &str = "***";
/// The minimum length of a secret in bytes. Replacing shorter ones, such as every `1`, would only garble the text.
const SHORTEST_SECRET: usize = 4;

/// The secrets to remove from texts.
#[derive(Clone, Default)]
pub struct Redactor {
    /// The longest come first, so that no part of a secret remains that contains another one.
    secrets: Vec<String>,
}

impl Redactor {
    /// Creates a redactor of secret values of a configuration. The password in `user:password`, and the values of a
    /// JSON object of headers, are secrets of their own. Each secret is also removed where it is escaped as in JSON.
    pub fn new<'a>(values: impl IntoIterator<Item = &'a str>) -> Self {
        let mut secrets = BTreeSet::new();
        for value in values.into_iter().map(str::trim) {
            secrets.insert(value.to_owned());
            if let Ok(headers) = serde_json::from_str::<BTreeMap<String, String>>(value) {
                secrets.extend(headers.into_values());
            } else {
                let password = value.split_once(':').map(|(_, password)| password);
                secrets.extend(password.map(str::to_owned));
            }
        }
        let escaped: Vec<String> = secrets.iter().map(|secret| escaped(secret)).collect();
        secrets.extend(escaped);
        secrets.retain(|secret| secret.len() >= SHORTEST_SECRET);
        let mut secrets: Vec<String> = secrets.into_iter().collect();
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        Self { secrets }
    }

    /// Returns the text with each secret replaced by `***`.
    pub fn clean<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut text = Cow::Borrowed(text);
        for secret in &self.secrets {
            if text.contains(secret.as_str()) {
                text = Cow::Owned(text.replace(secret.as_str(), REDACTED));
            }
        }
        text
    }
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redactor").finish_non_exhaustive()
    }
}

/// Returns the text as it is inside a JSON string.
fn escaped(text: &str) -> String {
    let json = Value::from(text).to_string();
    json[1..json.len() - 1].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_secrets_are_removed_first() {
        let redactor = Redactor::new(["abcd", " abcdefgh\n"]);
        assert_eq!(redactor.clean("abcdefgh and abcd"), "*** and ***");
    }

    #[test]
    fn passwords_and_headers_are_secrets_of_their_own() {
        let redactor = Redactor::new(["admin:swordfish", r#"{"X":"a\\b\"cd"}"#]);
        assert_eq!(redactor.clean("swordfish"), "***");
        assert_eq!(redactor.clean(r#"a\b"cd"#), "***");
        assert_eq!(
            redactor.clean(r#"["a\\b\"cd"]"#),
            r#"["***"]"#,
            "as in JSON"
        );
    }

    #[test]
    fn short_values_remain_and_nothing_shows_the_secrets() {
        let redactor = Redactor::new(["1", "abc", "hunter22"]);
        assert_eq!(redactor.clean("1 abc"), "1 abc");
        assert!(!format!("{redactor:?}").contains("hunter22"));
    }
}
