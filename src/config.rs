//! Parsing of the setup form's values into settings. The form and its parser are in one module.

mod api_url;
mod bounded_number;
mod certificate;
mod choices;
mod closest;
mod error;
mod filter_fields;
mod form;
mod headers;
mod json_kind;
mod names;
mod run_filter;
mod start_date;
mod toggle;

use std::{collections::HashMap, hash::BuildHasher, str::FromStr};

use secrecy::{ExposeSecret, SecretString};
use serde::{
    Deserialize, Deserializer,
    de::value::{Error as ValueError, MapDeserializer},
};
use serde_with::{DeserializeAs as _, DisplayFromStr, serde_as};

use self::{
    choices::{check_listed_values, chosen_tables},
    toggle::Toggle,
};
use crate::{messages, tables::Table};

pub use api_url::ApiUrl;
pub use bounded_number::BoundedU32;
pub use certificate::CaCertificates;
pub use choices::{choices, default_tables};
pub(crate) use closest::closest_name;
pub use error::ConfigError;
pub(crate) use filter_fields::{refused_value, unknown_field};
pub use form::{
    ACCESS_TEST, CONNECTION_TEST, Condition, FILTER_TEST, FORM, Field, FieldKind, SetupTest,
    ValueType,
};
pub use headers::ExtraHeaders;
pub use json_kind::json_kind;
pub use names::{UnknownField, unknown_fields, value_type};
pub use run_filter::RunFilter;
pub use start_date::StartDate;

/// The number of objects per request. The maximum is Prefect's default limit.
pub type BatchSize = BoundedU32<1, 200>;
/// The number of concurrent requests.
pub type Concurrency = BoundedU32<1, 32>;
/// The number of requests that begin within a minute.
pub type RequestsPerMinute = BoundedU32<1, 100_000>;
/// A number of days.
pub type Days = BoundedU32<1, 36_500>;
/// The look-back in days: the age up to which ended runs are rechecked.
pub type LookBack = BoundedU32<1, 365>;
/// The number of seconds between checkpoints.
pub type Interval = BoundedU32<0, 3_600>;

/// The validated configuration.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The address of the API.
    pub api_url: ApiUrl,
    /// The credentials of the connector.
    pub credentials: Credentials,
    /// The number of objects per request.
    pub batch_size: BatchSize,
    /// The number of concurrent requests.
    pub concurrency: Concurrency,
    /// The number of requests of the account that may begin within a minute; `None` means no limit.
    pub requests_per_minute: Option<RequestsPerMinute>,
    /// The number of days that Prefect keeps runs; `None` means forever.
    pub retention_days: Option<Days>,
    /// The certificates to trust besides those of the usual authorities.
    pub ca_certificates: Option<CaCertificates>,
    /// The headers that a gateway requires.
    pub extra_headers: ExtraHeaders,
    /// The earliest time that the first sync reads; `None` means everything.
    pub start_date: Option<StartDate>,
    /// True if runs that wait for their scheduled time are synced.
    pub include_scheduled_runs: bool,
    /// The look-back, in days.
    pub look_back_days: LookBack,
    /// The maximum delay of a checkpoint, in seconds.
    pub checkpoint_interval_seconds: Interval,
    /// The user's filter of runs.
    pub filter: RunFilter,
    /// The available tables. Optional tables are included only if they were chosen.
    pub tables: Vec<&'static Table>,
}

impl Settings {
    /// Returns the unit to which rate limits apply: an account of Prefect Cloud, or a server.
    pub fn account(&self) -> String {
        let host = self.api_url.origin();
        match self.api_url.cloud_ids() {
            Some((account, _)) => format!("{host}/{account}"),
            None => host,
        }
    }
}

/// The authentication of requests.
#[derive(Debug, Clone)]
pub enum Credentials {
    /// No authentication.
    None,
    /// `Authorization: Bearer <key>`.
    Bearer(SecretString),
    /// `Authorization: Basic <base64 of the string>`; the string is usually `user:password`.
    Basic(SecretString),
}

/// The settings, and warnings about them.
#[derive(Debug, Clone)]
pub struct Parsed {
    /// The settings.
    pub settings: Settings,
    /// Warnings for the user, one sentence each.
    pub warnings: Vec<String>,
}

/// The form's values as received: strings, with empty ones left out.
#[serde_as]
#[derive(Deserialize)]
struct FormValues {
    #[serde_as(as = "DisplayFromStr")]
    api_url: ApiUrl,
    /// The API key; empty if not given.
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

/// Deserializes a given value as `Some`, because serde does not read a string as an option.
fn some<'de, D, T>(answer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: std::fmt::Display>,
{
    DisplayFromStr::deserialize_as(answer).map(Some)
}

/// Reads the configuration that Fivetran sends.
///
/// An empty value counts as not given. A key that the form does not have causes a warning.
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
    check_listed_values(&answer)?;
    let is_shown = |field: &Field| {
        let condition = field.shown;
        // If the other field has no value, all fields count: a configuration file may leave it out.
        condition.is_none_or(|Condition { field, value, .. }| {
            answer(field).is_none_or(|answer| answer.eq_ignore_ascii_case(value))
        })
    };
    let known = FORM
        .iter()
        .filter(|field| is_shown(field))
        .filter_map(|field| Some((field.name, answer(field.name)?)));
    let tables = chosen_tables(&answer)?;
    let answers: FormValues = serde_path_to_error::deserialize(
        MapDeserializer::<_, ValueError>::new(known),
    )
    .map_err(|error| ConfigError::Invalid {
        field: error.path().to_string(),
        why: error.inner().to_string(),
    })?;

    let mut warnings = Vec::new();
    if let Some(why) = answers.api_url.correction() {
        warnings.push(messages::URL_COMPLETED.format(format_args!(
            "the API URL {why}, and the URL is now {}",
            answers.api_url
        )));
    }
    let unknown = unknown_fields(configuration.keys());
    warnings.extend(
        unknown
            .iter()
            .map(|field| messages::UNKNOWN_FIELD.format(field)),
    );
    let is_cloud = answers.api_url.cloud_ids().is_some();
    Ok(Parsed {
        settings: Settings {
            credentials: credentials(given(answers.api_key), given(answers.auth_string))?,
            batch_size: answers.batch_size.unwrap_or(BoundedU32::new(200)),
            // A self-hosted server is one process: more requests slow it down for others and do not speed up the
            // sync.
            concurrency: answers.concurrency.unwrap_or(BoundedU32::new(if is_cloud {
                8
            } else {
                4
            })),
            requests_per_minute: answers
                .requests_per_minute
                .or(is_cloud.then_some(BoundedU32::new(300))),
            retention_days: answers
                .retention_days
                .or(is_cloud.then_some(BoundedU32::new(7))),
            ca_certificates: answers.ca_certificate,
            extra_headers: answers.extra_headers.unwrap_or_default(),
            start_date: answers.start_date,
            include_scheduled_runs: answers
                .include_scheduled_runs
                .is_none_or(|Toggle(included)| included),
            look_back_days: answers.look_back_days.unwrap_or(BoundedU32::new(30)),
            checkpoint_interval_seconds: answers
                .checkpoint_interval_seconds
                .unwrap_or(BoundedU32::new(0)),
            filter: answers.filter.unwrap_or_default(),
            tables,
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
    let invalid = |field: &str, why: &str| Err(ConfigError::invalid(field, why));
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
                    "a key contains only letters, digits and punctuation; copy it again",
                )
            }
        }
        (None, Some(auth)) => Ok(Credentials::Basic(auth)),
    }
}

#[cfg(test)]
mod tests;
