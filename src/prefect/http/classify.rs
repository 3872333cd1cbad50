//! Interprets responses and failures: as errors, as signals for the throttle, as short texts.

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::Value;

use super::response::{
    Response, UNKNOWN_FIELD, allowed_limit, detail, is_retryable, redirect_target,
};
use crate::{
    config::{self, ApiUrl},
    prefect::{Error, NoResponse, UserFilter, adaptive_concurrency::RequestOutcome},
};

/// Converts a response that is neither a 200 nor worth a retry into an error.
pub(super) fn classify(api_url: &ApiUrl, path: &str, response: &Response) -> Error {
    let host = api_url.host().to_owned();
    let url = api_url.join(path);
    match response.status {
        StatusCode::UNAUTHORIZED => Error::Unauthorized { host },
        StatusCode::FORBIDDEN => Error::Forbidden {
            host,
            path: path.to_owned(),
            detail: detail(&response.body),
        },
        StatusCode::NOT_FOUND => Error::NotFound { url },
        status if status.is_redirection() => Error::Redirected {
            host,
            target: redirect_target(&response.headers),
            status: status.as_u16(),
        },
        status => match allowed_limit(&response.body) {
            Some(max) if status == StatusCode::UNPROCESSABLE_ENTITY => Error::LimitTooLarge { max },
            _ => Error::Rejected {
                path: path.to_owned(),
                status: status.as_u16(),
                detail: detail(&response.body),
            },
        },
    }
}

/// Rates the outcome of a request as a signal of the server's load.
pub(super) fn outcome_of(
    read: &Result<Response, NoResponse>,
    duration: Duration,
) -> RequestOutcome {
    match read {
        Ok(response) if response.status == StatusCode::TOO_MANY_REQUESTS => {
            RequestOutcome::Overload
        }
        Ok(response) if is_retryable(response.status) => RequestOutcome::Overload,
        Ok(_) => RequestOutcome::Ok(duration),
        Err(_) => RequestOutcome::Overload,
    }
}

/// Returns the response of an optional endpoint, or `None` if the endpoint is missing. Prefect Cloud lacks some
/// endpoints, and a gateway may allow only listings.
pub(super) fn optional_endpoint<T>(result: Result<T, Error>) -> Result<Option<T>, Error> {
    match result {
        Ok(response) => Ok(Some(response)),
        Err(
            Error::NotFound { .. }
            | Error::Rejected {
                status: 405 | 422, ..
            },
        ) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Converts a rejection that the user's own filter caused into [`Error::Filter`]. The server does not know a field
/// of the filter, or does not accept the field's value. Other errors are returned unchanged.
pub(super) fn with_filter(error: Error, own: &str, scope: Option<&UserFilter>) -> Error {
    let Error::Rejected {
        status: 422,
        detail,
        ..
    } = &error
    else {
        return error;
    };
    let Some((scope, field)) = scope.zip(detail.strip_prefix(": field body.")) else {
        return error;
    };
    let (field, is_unknown) = match field.strip_suffix(UNKNOWN_FIELD) {
        Some(field) => (field, true),
        None => (field, false),
    };
    let mut steps = field.split('.');
    let object = match steps.next() {
        Some(name) if name == own => Some(&scope.own),
        Some(name) => scope.related.get(name).and_then(Value::as_object),
        None => None,
    };
    let is_the_users = steps
        .next()
        .is_some_and(|step| object.is_some_and(|object| object.contains_key(step)));
    if !is_the_users {
        return error;
    }
    Error::Filter {
        field: field.to_owned(),
        why: if is_unknown {
            config::unknown_field(field)
        } else {
            config::refused_value(field)
        },
    }
}

/// Returns a short reason for progress bars and logs.
pub(super) fn short_reason(error: &Error) -> String {
    match error {
        Error::RateLimited { .. } => "429".to_owned(),
        Error::Server { status, .. } => status.to_string(),
        Error::Unreachable { .. } => "no connection".to_owned(),
        _ => "unusable response".to_owned(),
    }
}
