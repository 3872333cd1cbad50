//! The answers of the setup form become settings; form and parser stand side by side.

mod api_url;

use std::{collections::HashMap, hash::BuildHasher, num::NonZeroUsize, str::FromStr};

use secrecy::{ExposeSecret, SecretString};
use serde::{
    Deserialize, Deserializer,
    de::value::{Error as ValueError, MapDeserializer},
};
use serde_with::{DeserializeAs as _, DisplayFromStr, serde_as};

pub use api_url::ApiUrl;

/// One question of the setup form.
#[derive(Debug)]
pub struct Field {
    /// The key in the configuration.
    pub name: &'static str,
    /// What the user sees above the field.
    pub label: &'static str,
    /// One or two sentences below it.
    pub description: &'static str,
    /// An example, shown while the field is empty.
    pub placeholder: Option<&'static str>,
    /// The value when the user leaves it empty.
    pub default: Option<&'static str>,
    /// Whether it must be filled in.
    pub required: bool,
    /// Whether what is typed is hidden.
    pub secret: bool,
}

/// The setup form.
pub static FORM: &[Field] = &[
    Field {
        name: "api_url",
        label: "API URL",
        description: "Where the Prefect API answers. Prefect Cloud: \
            https://api.prefect.cloud/api/accounts/<account id>/workspaces/<workspace id> (both ids \
            stand in the address of your workspace's pages). Self-hosted: the server's address \
            followed by /api.",
        placeholder: Some("https://api.prefect.cloud/api/accounts/.../workspaces/..."),
        default: None,
        required: true,
        secret: false,
    },
    Field {
        name: "api_key",
        label: "API key",
        description: "For Prefect Cloud: the key of a user or a service account that may view the \
            workspace. Also for a self-hosted server behind a gateway that asks for a bearer token.",
        placeholder: Some("pnu_..."),
        default: None,
        required: false,
        secret: true,
    },
    Field {
        name: "auth_string",
        label: "Auth string",
        description: "For a self-hosted server with basic authentication: user:password, the value \
            of the server's PREFECT_SERVER_API_AUTH_STRING.",
        placeholder: Some("admin:password"),
        default: None,
        required: false,
        secret: true,
    },
    Field {
        name: "batch_size",
        label: "Batch size",
        description: "Objects asked for in one request, 1 to 200. The largest is the fastest; a \
            smaller one helps a server that is short of memory.",
        placeholder: None,
        default: Some("200"),
        required: false,
        secret: false,
    },
    Field {
        name: "concurrency",
        label: "Requests at once",
        description: "Requests under way at the same time, 1 to 32. Left empty: 8 on Prefect Cloud, 4 on a \
            self-hosted server, which is one process: more makes it slower for others, not faster.",
        placeholder: Some("8 or 4"),
        default: None,
        required: false,
        secret: false,
    },
];

/// A test that Fivetran runs on the answers of the form.
#[derive(Debug)]
pub struct SetupTest {
    /// The name it is called by.
    pub name: &'static str,
    /// What the user sees.
    pub label: &'static str,
}

/// The test that reaches the API.
pub const CONNECTION_TEST: SetupTest = SetupTest {
    name: "connection",
    label: "Reaching the Prefect API",
};

/// The test that reads from each table.
pub const ACCESS_TEST: SetupTest = SetupTest {
    name: "access",
    label: "Reading the workspace's tables",
};

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
    #[serde_as(as = "DisplayFromStr")]
    #[serde(default)]
    batch_size: BatchSize,
    #[serde(default, deserialize_with = "given_number")]
    concurrency: Option<Concurrency>,
}

/// An answer that is there is a string, which is no option to serde.
fn given_number<'de, D: Deserializer<'de>>(answer: D) -> Result<Option<Concurrency>, D::Error> {
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
        warnings.push(format!(
            "the API URL has no path: /api was added, so that it reads {}",
            answers.api_url
        ));
    }
    let mut unknown: Vec<&str> = configuration
        .keys()
        .map(String::as_str)
        .filter(|key| FORM.iter().all(|field| field.name != *key))
        .collect();
    unknown.sort_unstable();
    for key in unknown {
        warnings.push(format!(
            "configuration field `{}` is not known and has no effect",
            key.escape_debug()
        ));
    }
    Ok(Parsed {
        settings: Settings {
            credentials: credentials(given(answers.api_key), given(answers.auth_string))?,
            concurrency: answers
                .concurrency
                .unwrap_or_else(|| Concurrency::usual(answers.api_url.cloud_ids().is_some())),
            api_url: answers.api_url,
            batch_size: answers.batch_size,
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

/// Objects per request: 1 to 200, which is what Prefect allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchSize(u32);

impl BatchSize {
    /// The number.
    pub fn get(self) -> u32 {
        self.0
    }
}

impl Default for BatchSize {
    fn default() -> Self {
        Self(200)
    }
}

impl FromStr for BatchSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.parse() {
            Ok(number @ 1..=200) => Ok(Self(number)),
            _ => Err(format!(
                "must be a whole number from 1 to 200, not `{}`",
                text.chars().take(40).collect::<String>().escape_debug()
            )),
        }
    }
}

/// Requests under way at once: 1 to 32.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Concurrency(NonZeroUsize);

impl Concurrency {
    /// The number.
    pub fn get(self) -> NonZeroUsize {
        self.0
    }

    /// What is good for most: a self-hosted server is one process.
    fn usual(is_cloud: bool) -> Self {
        let number = if is_cloud { 8 } else { 4 };
        Self(NonZeroUsize::MIN.saturating_add(number - 1))
    }
}

impl FromStr for Concurrency {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.parse::<NonZeroUsize>() {
            Ok(number) if number.get() <= 32 => Ok(Self(number)),
            _ => Err(format!(
                "must be a whole number from 1 to 32, not `{}`",
                text.chars().take(40).collect::<String>().escape_debug()
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!(parsed.settings.concurrency.get().get(), 4);
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
        ];
        for field in FORM {
            let answer = good.iter().find(|(name, _)| *name == field.name);
            let answer = answer.expect("an answer to each question");
            let parsed = parse_pairs(&[good[0], *answer]).expect(field.name);
            assert_eq!(parsed.warnings, Vec::<String>::new());
        }
        let parsed = parse_pairs(&[good[0], good[3], good[4]]).expect("valid");
        assert_eq!(parsed.settings.batch_size.get(), 50);
        assert_eq!(parsed.settings.concurrency.get().get(), 2);
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
            ["the API URL has no path: /api was added, so that it reads http://h:4200/api"]
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
            ["configuration field `colour` is not known and has no effect"]
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
