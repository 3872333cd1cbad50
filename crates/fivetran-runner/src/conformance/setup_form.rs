//! Checks of the setup form.

use std::collections::BTreeSet;

use super::{
    finding_log::{FindingLocation, FindingLog},
    names, rules,
};
use fivetran_proto::{ConfigurationFormResponse, FormField, TextField, form_field::Type};

/// Words that make a field one for a secret.
const SECRETS: &[&str] = &[
    "password",
    "passwd",
    "passphrase",
    "passcode",
    "pwd",
    "secret",
    "secrets",
    "token",
    "tokens",
    "credential",
    "credentials",
    "apikey",
];
/// Words that make a following `key` a secret.
const SECRET_KEYS: &[&str] = &[
    "api",
    "access",
    "private",
    "secret",
    "encryption",
    "auth",
    "account",
];
/// Last words of fields that are not for the secret itself.
const NOT_SECRETS: &[&str] = &[
    "url", "uri", "endpoint", "host", "id", "name", "type", "path", "file", "header", "format",
    "column", "columns", "expiry", "lifetime", "seconds", "minutes", "hours", "days", "limit",
];

/// Checks the setup form.
pub(super) fn examine_form(form: &ConfigurationFormResponse, finding_log: &mut FindingLog) {
    let at = |name: &str| FindingLocation::call("ConfigurationForm").column(name);
    let mut seen = BTreeSet::new();
    let mut conditions = BTreeSet::new();
    let mut fields: Vec<&FormField> = form.fields.iter().rev().collect();
    while let Some(field) = fields.pop() {
        let name = field.name.as_str();
        let mut note = |text: &str| finding_log.add(&rules::FORM_MALFORMED, at(name), text);
        let is_group = matches!(field.r#type, Some(Type::ConditionalFields(_)));
        // A group has no value, so it needs no name.
        if name.is_empty() && !is_group {
            note("a field has no name");
        } else if !name.is_empty() && !seen.insert(name) {
            note("two fields have this name");
        }
        match &field.r#type {
            None => note("a field has no type"),
            Some(Type::TextField(kind)) if *kind == i32::from(TextField::PlainText) => {
                if is_for_secret(name) || is_for_secret(&field.label) {
                    let text = "the field seems to be for a secret, but shows its value";
                    finding_log.add(&rules::SECRET_NOT_HIDDEN, at(name), text);
                }
            }
            Some(Type::ConditionalFields(group)) => {
                if let Some(condition) = &group.condition {
                    conditions.insert(condition.condition_field.as_str());
                }
                fields.extend(group.fields.iter().rev());
            }
            Some(Type::UploadField(file))
                if file.allowed_file_type.iter().any(|it| !it.starts_with('.')) =>
            {
                note("an extension does not start with a dot");
            }
            Some(_) => {}
        }
    }
    for condition in conditions.difference(&seen) {
        let text = "a condition names a field that the form does not have";
        finding_log.add(&rules::FORM_MALFORMED, at(condition), text);
    }
    let mut tests = BTreeSet::new();
    for test in &form.tests {
        if test.name.is_empty() || !tests.insert(&test.name) {
            let text = "a test has no unique name";
            finding_log.add(&rules::FORM_MALFORMED, at(&test.name), text);
        }
    }
}

/// Returns true if a field with this name or label seems to be for a secret.
fn is_for_secret(name: &str) -> bool {
    let name = names::landed(name, false);
    let words: Vec<&str> = name.split('_').filter(|word| !word.is_empty()).collect();
    if words.last().is_none_or(|last| NOT_SECRETS.contains(last)) {
        return false;
    }
    let is_secret_key = |pair: &[&str]| SECRET_KEYS.contains(&pair[0]) && pair[1] == "key";
    words.iter().any(|word| SECRETS.contains(word)) || words.windows(2).any(is_secret_key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_for_secrets_are_recognised_by_their_words() {
        let secret = [
            "password",
            "apiKey",
            "API key",
            "api_token",
            "Client secret",
            "private-key",
            "DB_PASSWORD",
        ];
        for name in secret {
            assert!(is_for_secret(name), "{name}");
        }
        let not = [
            "",
            "token_url",
            "access_key_id",
            "Token lifetime",
            "author",
            "primary_key",
            "key_column",
            "secretary",
            "private_key_path",
            "workspace",
        ];
        for name in not {
            assert!(!is_for_secret(name), "{name}");
        }
    }
}
