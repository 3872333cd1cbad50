//! The answers of the setup form become settings; form and parser stand side by side.

mod api_url;
mod certificate;
mod filter_fields;
mod form;
mod headers;
mod number;
mod scope;
mod start;

use std::{collections::HashMap, hash::BuildHasher, str::FromStr};

use secrecy::{ExposeSecret, SecretString};
use serde::{
    Deserialize, Deserializer,
    de::value::{Error as ValueError, MapDeserializer},
};
use serde_with::{DeserializeAs as _, DisplayFromStr, serde_as};

use crate::{
    messages,
    tables::{self, Choice, Table},
};

pub use api_url::ApiUrl;
pub use certificate::CaCertificates;
pub(crate) use filter_fields::closest_field;
pub use form::{
    ACCESS_TEST, CONNECTION_TEST, Condition, FILTER_TEST, FORM, Field, FieldKind, SetupTest,
};
pub use headers::ExtraHeaders;
pub use number::Number;
pub use scope::RunFilter;
pub use start::StartDate;

/// Objects per request; Prefect allows no more.
pub type BatchSize = Number<1, 200>;
/// Requests under way at once.
pub type Concurrency = Number<1, 32>;
/// Requests that begin within a minute.
pub type RequestsPerMinute = Number<1, 100_000>;
/// Days.
pub type Days = Number<1, 36_500>;
/// Days that edits of ended runs are looked for.
pub type LookBack = Number<1, 365>;
/// Seconds between checkpoints.
pub type Interval = Number<0, 3_600>;

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
    /// How far the first sync goes back; `None`: to the beginning.
    pub start_date: Option<StartDate>,
    /// Whether runs are wanted that wait for their time.
    pub include_scheduled_runs: bool,
    /// How long edits of ended runs are looked for.
    pub look_back_days: LookBack,
    /// How long a checkpoint may wait.
    pub checkpoint_interval_seconds: Interval,
    /// Which runs are wanted.
    pub filter: RunFilter,
    /// The tables to be had: those that are off unless chosen are here only if they were.
    pub tables: Vec<&'static Table>,
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
    /// `Authorization: Basic <base64 of the string>`, which is `user:password` as a rule.
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
    #[serde(default, deserialize_with = "some")]
    start_date: Option<StartDate>,
    #[serde(default, deserialize_with = "some")]
    include_scheduled_runs: Option<Toggle>,
    #[serde(default, deserialize_with = "some")]
    look_back_days: Option<LookBack>,
    #[serde(default, deserialize_with = "some")]
    checkpoint_interval_seconds: Option<Interval>,
    #[serde(default, deserialize_with = "some")]
    filter: Option<RunFilter>,
}

/// Yes or no.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Toggle(bool);

impl FromStr for Toggle {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.to_ascii_lowercase().as_str() {
            "true" => Ok(Self(true)),
            "false" => Ok(Self(false)),
            _ => Err("must be true or false"),
        }
    }
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
    let is_shown = |field: &Field| {
        let condition = field.shown;
        // Without an answer there all fields count: a file may leave it out.
        condition.is_none_or(|Condition { field, value, .. }| {
            answer(field).is_none_or(|answer| answer.eq_ignore_ascii_case(value))
        })
    };
    let known = FORM
        .iter()
        .filter(|field| is_shown(field))
        .filter_map(|field| Some((field.name, answer(field.name)?)));
    let tables = chosen_tables(&answer)?;
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
        .filter(|key| choices().all(|(_, choice)| choice.field != *key))
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
            start_date: answers.start_date,
            include_scheduled_runs: answers
                .include_scheduled_runs
                .is_none_or(|Toggle(included)| included),
            look_back_days: answers.look_back_days.unwrap_or(Number::new(30)),
            checkpoint_interval_seconds: answers
                .checkpoint_interval_seconds
                .unwrap_or(Number::new(0)),
            filter: answers.filter.unwrap_or_default(),
            tables,
            api_url: answers.api_url,
        },
        warnings,
    })
}

/// The tables that are off unless chosen.
pub fn choices() -> impl Iterator<Item = (&'static Table, Choice)> {
    tables::ALL
        .iter()
        .filter_map(|table| Some((*table, table.choice?)))
}

/// The tables to be had when none was chosen.
pub fn unchosen_tables() -> Vec<&'static Table> {
    let tables = tables::ALL.iter().copied();
    tables.filter(|table| table.choice.is_none()).collect()
}

/// All tables but those that would have to be chosen and were not.
fn chosen_tables<'a>(
    answer: &impl Fn(&str) -> Option<&'a str>,
) -> Result<Vec<&'static Table>, ConfigError> {
    let mut chosen = Vec::new();
    for table in tables::ALL {
        let is_chosen = match table
            .choice
            .and_then(|choice| Some((choice, answer(choice.field)?)))
        {
            Some((choice, text)) => match text.parse() {
                Ok(Toggle(is_chosen)) => is_chosen,
                Err(why) => {
                    return Err(ConfigError::Invalid {
                        field: choice.field.to_owned(),
                        why: why.to_owned(),
                    });
                }
            },
            None => table.choice.is_none(),
        };
        if is_chosen {
            chosen.push(*table);
        }
    }
    Ok(chosen)
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
        (None, Some(auth)) => Ok(Credentials::Basic(auth)),
    }
}

#[cfg(test)]
mod tests;
