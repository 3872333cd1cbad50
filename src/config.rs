//! The answers of the setup form become settings; form and parser stand side by side.

mod api_url;
mod certificate;
mod form;
mod headers;
mod number;

use std::{collections::HashMap, hash::BuildHasher, str::FromStr};

use secrecy::{ExposeSecret, SecretString};
use serde::{
    Deserialize, Deserializer,
    de::value::{Error as ValueError, MapDeserializer},
};
use serde_with::{DeserializeAs as _, DisplayFromStr, serde_as};

use crate::messages;

pub use api_url::ApiUrl;
pub use certificate::CaCertificates;
pub use form::{ACCESS_TEST, CONNECTION_TEST, FORM, Field, FieldKind, SetupTest};
pub use headers::ExtraHeaders;
pub use number::Number;

/// Objects per request; Prefect allows no more.
pub type BatchSize = Number<1, 200>;
/// Requests under way at once.
pub type Concurrency = Number<1, 32>;
/// Requests that begin within a minute.
pub type RequestsPerMinute = Number<1, 100_000>;
/// Days.
pub type Days = Number<1, 36_500>;

/// What the user configured, checked.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The API.
    pub api_url: ApiUrl,
    /// How the connector shows who it is.
    pub credentials: Credentials,
    /// Objects per request.
    pub batch_size: BatchSize,
    /// Requests under way at once.
    pub concurrency: Concurrency,
    /// Requests of the account that may begin within a minute; `None`: any number.
    pub requests_per_minute: Option<RequestsPerMinute>,
    /// How long Prefect keeps runs; `None`: for ever.
    pub retention_days: Option<Days>,
    /// Whom to trust besides the usual authorities.
    pub ca_certificates: Option<CaCertificates>,
    /// What a gateway wants to see.
    pub extra_headers: ExtraHeaders,
}

impl Settings {
    /// What the API limits together: an account of Prefect Cloud, or a server.
    pub fn account(&self) -> String {
        let host = self.api_url.origin();
        match self.api_url.cloud_ids() {
            Some((account, _)) => format!("{host}/{account}"),
            None => host,
        }
    }
}

/// How requests are authenticated.
#[derive(Debug, Clone)]
pub enum Credentials {
    /// Not at all.
    None,
    /// `Authorization: Bearer <key>`.
    Bearer(SecretString),
    /// `Authorization: Basic <base64 of user:password>`.
    Basic(SecretString),
}

/// A configuration that cannot be used; the text names the field and what is allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A required field is empty.
    #[error("configuration field `{0}` is missing: fill it in")]
    Missing(&'static str),
    /// A field's value is not allowed.
    #[error("configuration field `{field}`: {why}")]
    Invalid {
        /// The field.
        field: String,
        /// What is allowed, without the value where it may be secret.
        why: String,
    },
}

/// Settings, and what the user should know about them.
#[derive(Debug, Clone)]
pub struct Parsed {
    /// The settings.
    pub settings: Settings,
    /// Sentences for the user.
    pub warnings: Vec<String>,
}

/// The form's answers as they come: strings, empty ones left out.
#[serde_as]
#[derive(Deserialize)]
struct Answers {
    #[serde_as(as = "DisplayFromStr")]
    api_url: ApiUrl,
    /// Empty when not given.
    #[serde(default)]
    api_key: SecretString,
    #[serde(default)]
    auth_string: SecretString,
    #[serde(default, deserialize_with = "some")]
    batch_size: Option<BatchSize>,
    #[serde(default, deserialize_with = "some")]
    concurrency: Option<Concurrency>,
    #[serde(default, deserialize_with = "some")]
    requests_per_minute: Option<RequestsPerMinute>,
    #[serde(default, deserialize_with = "some")]
    retention_days: Option<Days>,
    #[serde(default, deserialize_with = "some")]
    ca_certificate: Option<CaCertificates>,
    #[serde(default, deserialize_with = "some")]
    extra_headers: Option<ExtraHeaders>,
}

/// An answer that is there is a string, which is no option to serde.
fn some<'de, D, T>(answer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: std::fmt::Display>,
{
    DisplayFromStr::deserialize_as(answer).map(Some)
}

/// Reads the configuration that Fivetran sends.
///
/// An empty value counts as not given. Keys that the form does not have are a warning.
pub fn parse<S: BuildHasher>(
    configuration: &HashMap<String, String, S>,
) -> Result<Parsed, ConfigError> {
    let answer = |name: &str| {
        configuration
            .get(name)
            .map(|value| value.trim())
            .filter(|value| !value.is_empty())
    };
    if let Some(field) = FORM
        .iter()
        .find(|field| field.required && answer(field.name).is_none())
    {
        return Err(ConfigError::Missing(field.name));
    }
    let known = FORM
        .iter()
        .filter_map(|field| Some((field.name, answer(field.name)?)));
    let answers: Answers = serde_path_to_error::deserialize(MapDeserializer::<_, ValueError>::new(
        known,
    ))
    .map_err(|error| ConfigError::Invalid {
        field: error.path().to_string(),
        why: error.inner().to_string(),
    })?;

    let mut warnings = Vec::new();
    if answers.api_url.api_was_added() {
        warnings.push(messages::URL_COMPLETED.say(format_args!(
            "the API URL has no path: /api was added, so that it reads {}",
            answers.api_url
        )));
    }
    let mut unknown: Vec<&str> = configuration
        .keys()
        .map(String::as_str)
        .filter(|key| FORM.iter().all(|field| field.name != *key))
        .collect();
    unknown.sort_unstable();
    for key in unknown {
        warnings.push(messages::UNKNOWN_FIELD.say(format_args!(
            "configuration field `{}` is not known and has no effect",
            key.escape_debug()
        )));
    }
    let is_cloud = answers.api_url.cloud_ids().is_some();
    Ok(Parsed {
        settings: Settings {
            credentials: credentials(given(answers.api_key), given(answers.auth_string))?,
            batch_size: answers.batch_size.unwrap_or(Number::new(200)),
            // A self-hosted server is one process: more makes it slower for others, not faster.
            concurrency: answers
                .concurrency
                .unwrap_or(Number::new(if is_cloud { 8 } else { 4 })),
            requests_per_minute: answers
                .requests_per_minute
                .or(is_cloud.then_some(Number::new(300))),
            retention_days: answers
                .retention_days
                .or(is_cloud.then_some(Number::new(7))),
            ca_certificates: answers.ca_certificate,
            extra_headers: answers.extra_headers.unwrap_or_default(),
            api_url: answers.api_url,
        },
        warnings,
    })
}

fn given(secret: SecretString) -> Option<SecretString> {
    (!secret.expose_secret().is_empty()).then_some(secret)
}

fn credentials(
    api_key: Option<SecretString>,
    auth_string: Option<SecretString>,
) -> Result<Credentials, ConfigError> {
    let invalid = |field: &str, why: &str| {
        Err(ConfigError::Invalid {
            field: field.to_owned(),
            why: why.to_owned(),
        })
    };
    match (api_key, auth_string) {
        (None, None) => Ok(Credentials::None),
        (Some(_), Some(_)) => invalid(
            "auth_string",
            "give either an API key or an auth string, not both",
        ),
        (Some(key), None) => {
            if key.expose_secret().chars().all(|c| c.is_ascii_graphic()) {
                Ok(Credentials::Bearer(key))
            } else {
                invalid(
                    "api_key",
                    "a key has only letters, digits and punctuation; copy it again",
                )
            }
        }
        (None, Some(auth)) => {
            if auth.expose_secret().contains(':') {
                Ok(Credentials::Basic(auth))
            } else {
                invalid("auth_string", "must have the form user:password")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Self-signed, for nobody.
    const CERTIFICATE: &str = include_str!("../tests/fixtures/ca.pem");

    fn parse_pairs(pairs: &[(&str, &str)]) -> Result<Parsed, ConfigError> {
        let map: HashMap<String, String> = pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        parse(&map)
    }

    fn url(text: &str) -> Result<Parsed, ConfigError> {
        parse_pairs(&[("api_url", text)])
    }

    #[test]
    fn defaults_apply_to_what_is_empty() {
        let parsed = parse_pairs(&[
            ("api_url", " http://localhost:4200/api/ "),
            ("api_key", " "),
            ("batch_size", ""),
        ])
        .expect("valid");
        assert_eq!(
            parsed.settings.api_url.to_string(),
            "http://localhost:4200/api"
        );
        assert_eq!(parsed.settings.batch_size.get(), 200);
        assert_eq!(parsed.settings.concurrency.get(), 4);
        assert!(matches!(parsed.settings.credentials, Credentials::None));
        assert_eq!(parsed.warnings, Vec::<String>::new());
    }

    #[test]
    fn every_field_of_the_form_can_be_filled_in() {
        let good = [
            ("api_url", "http://x/api"),
            ("api_key", "pnu_key"),
            ("auth_string", "admin:pass"),
            ("batch_size", "50"),
            ("concurrency", "2"),
            ("requests_per_minute", "600"),
            ("retention_days", "30"),
            ("ca_certificate", CERTIFICATE),
            ("extra_headers", r#"{"X-Gateway": "a b"}"#),
        ];
        for field in FORM {
            let answer = good.iter().find(|(name, _)| *name == field.name);
            let answer = answer.expect("an answer to each question");
            let parsed = parse_pairs(&[good[0], *answer]).expect(field.name);
            assert_eq!(parsed.warnings, Vec::<String>::new());
        }
        let parsed = parse_pairs(&[good[0], good[3], good[4]]).expect("valid");
        assert_eq!(parsed.settings.batch_size.get(), 50);
        assert_eq!(parsed.settings.concurrency.get(), 2);
    }

    #[test]
    fn a_bad_value_is_named_with_its_field_and_what_is_allowed() {
        for size in ["0", "201", "abc", "1.5", "-1"] {
            let error = parse_pairs(&[("api_url", "http://x/api"), ("batch_size", size)])
                .expect_err("invalid");
            assert_eq!(
                error.to_string(),
                format!(
                    "configuration field `batch_size`: must be a whole number from 1 to 200, not `{size}`"
                )
            );
        }
        let error = parse_pairs(&[("api_url", "http://x/api"), ("concurrency", "33")]);
        assert_eq!(
            error.expect_err("invalid").to_string(),
            "configuration field `concurrency`: must be a whole number from 1 to 32, not `33`"
        );
        assert_eq!(
            url("").expect_err("missing").to_string(),
            "configuration field `api_url` is missing: fill it in"
        );
    }

    #[test]
    fn a_certificate_comes_as_pem_or_as_base64() {
        let packed = base64::Engine::encode(
            &base64::engine::general_purpose::STANDARD,
            CERTIFICATE.as_bytes(),
        );
        let given =
            |text: &str| parse_pairs(&[("api_url", "http://x/api"), ("ca_certificate", text)]);
        for text in [CERTIFICATE, &packed] {
            let parsed = given(text).expect("valid");
            let found = parsed.settings.ca_certificates.expect("certificates");
            assert_eq!(found.iter().count(), 1);
        }
        for text in [
            "hunter2!",
            "aHVudGVyMg==",
            "-----BEGIN CERTIFICATE-----\nhunter2",
        ] {
            let error = given(text).expect_err(text).to_string();
            assert!(
                error.starts_with("configuration field `ca_certificate`: "),
                "{error}"
            );
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn extra_headers_are_refused_without_repeating_them() {
        for (text, why) in [
            (
                "hunter2",
                "must be a JSON object of strings, such as {\"X-Gateway-Token\": \"...\"}",
            ),
            (
                r#"{"a": 1}"#,
                "must be a JSON object of strings, such as {\"X-Gateway-Token\": \"...\"}",
            ),
            (r#"{"a b": "hunter2"}"#, "`a b` is no name of a header"),
            (
                r#"{"Host": "hunter2"}"#,
                "Host is set by the connector itself; for a key or a password use the fields api_key and auth_string",
            ),
            (
                "{\"X-A\": \"hunter2\\n\"}",
                "the value of X-A has characters that a header cannot hold; copy it again",
            ),
        ] {
            let error = parse_pairs(&[("api_url", "http://x/api"), ("extra_headers", text)]);
            let error = error.expect_err(text).to_string();
            assert_eq!(error, format!("configuration field `extra_headers`: {why}"));
        }
    }

    #[test]
    fn what_is_limited_together_is_an_account_or_a_server() {
        let account = |text: &str| url(text).expect("valid").settings.account();
        let cloud = "https://api.prefect.cloud/api/accounts/a/workspaces/";
        assert_eq!(account(&format!("{cloud}v")), account(&format!("{cloud}w")));
        assert_ne!(
            account(&format!("{cloud}v")),
            account("https://api.prefect.cloud/api/accounts/b/workspaces/v")
        );
        assert_ne!(account("http://h:4200/api"), account("http://h:4201/api"));
    }

    #[test]
    fn a_host_is_this_machine_or_another_one() {
        for (host, here) in [
            ("localhost:4200", true),
            ("prefect.localhost", true),
            ("127.0.0.1:4200", true),
            ("[::1]", true),
            ("10.0.0.1", false),
            ("localhost.example.com", false),
        ] {
            let parsed = url(&format!("http://{host}/api")).expect("valid");
            assert_eq!(parsed.settings.api_url.is_on_this_machine(), here, "{host}");
        }
    }

    #[test]
    fn a_url_is_normalised_or_refused_without_repeating_it() {
        assert_eq!(
            url("http://h:4200").expect("valid").warnings,
            ["the API URL has no path: /api was added, so that it reads http://h:4200/api [W01]"]
        );
        assert_eq!(
            url("https://h/prefect/api//")
                .expect("valid")
                .settings
                .api_url
                .join("/flows/filter"),
            "https://h/prefect/api/flows/filter"
        );
        for bad in [
            "h:4200",
            "ftp://h/api",
            "https://u:hunter2@h/api",
            "https://h/api?token=hunter2",
            "https://api.prefect.cloud/api",
            "not a url",
        ] {
            let error = url(bad).expect_err(bad).to_string();
            assert!(
                error.starts_with("configuration field `api_url`: "),
                "{error}"
            );
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn prefect_cloud_is_recognised() {
        let parsed =
            url("https://api.prefect.cloud/api/accounts/a-1/workspaces/w-2/").expect("valid");
        assert_eq!(parsed.settings.api_url.cloud_ids(), Some(("a-1", "w-2")));
        assert_eq!(parsed.settings.api_url.identity(), "cloud:a-1/w-2");
        let error = url("https://app.prefect.cloud/account/a-1/workspace/w-2/dashboard")
            .expect_err("pages")
            .to_string();
        assert!(
            error.ends_with("https://api.prefect.cloud/api/accounts/a-1/workspaces/w-2"),
            "{error}"
        );
    }

    #[test]
    fn unknown_keys_warn_and_secrets_stay_secret() {
        let parsed = parse_pairs(&[
            ("api_url", "http://h/api"),
            ("auth_string", "admin:hunter2"),
            ("colour", "red"),
        ])
        .expect("valid");
        assert_eq!(
            parsed.warnings,
            ["configuration field `colour` is not known and has no effect [W02]"]
        );
        assert!(!format!("{parsed:?}").contains("hunter2"));
        for (field, value) in [("auth_string", "hunter2"), ("api_key", "hun ter2")] {
            let error = parse_pairs(&[("api_url", "http://h/api"), (field, value)])
                .expect_err("invalid")
                .to_string();
            assert!(error.contains(field) && !error.contains("ter2"), "{error}");
        }
    }

    #[test]
    fn every_field_of_the_form_is_read() {
        // A field that the parser does not know would be ignored silently.
        let source = include_str!("config.rs");
        let answers = source
            .split("struct Answers {")
            .nth(1)
            .and_then(|rest| rest.split("\n}").next());
        for field in FORM {
            assert!(
                answers.is_some_and(|answers| answers.contains(&format!("    {}:", field.name))),
                "{}",
                field.name
            );
        }
    }
}
