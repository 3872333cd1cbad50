//! What an answer, or none, means: to the caller, to the pace of requests, in a few words.

use std::time::Duration;

use reqwest::StatusCode;

use super::{
    HttpApi,
    answer::{Answer, allowed_limit, detail, is_passing, redirect_target},
};
use crate::prefect::{Error, NoAnswer, throttle::Went};

impl HttpApi {
    /// What an answer that is neither 200 nor worth another try means.
    pub(super) fn classify(&self, path: &str, answer: &Answer) -> Error {
        let host = self.settings.api_url.host().to_owned();
        let url = self.settings.api_url.join(path);
        match answer.status {
            StatusCode::UNAUTHORIZED => Error::Unauthorized { host },
            StatusCode::FORBIDDEN => Error::Forbidden {
                host,
                path: path.to_owned(),
                detail: detail(&answer.body),
            },
            StatusCode::NOT_FOUND => Error::NotFound { url },
            status if status.is_redirection() => Error::Redirected {
                host,
                target: redirect_target(&answer.headers),
                status: status.as_u16(),
            },
            status => match allowed_limit(&answer.body) {
                Some(max) if status == StatusCode::UNPROCESSABLE_ENTITY => {
                    Error::LimitTooLarge { max }
                }
                _ => Error::Rejected {
                    path: path.to_owned(),
                    status: status.as_u16(),
                    detail: detail(&answer.body),
                },
            },
        }
    }
}

/// What an answer says about how much the server can bear.
pub(super) fn went(read: &Result<Answer, NoAnswer>, took: Duration) -> Went {
    match read {
        Ok(answer) if answer.status == StatusCode::TOO_MANY_REQUESTS => Went::Badly,
        Ok(answer) if is_passing(answer.status) => Went::Badly,
        Ok(_) => Went::Well(took),
        Err(_) => Went::Badly,
    }
}

/// The answer of an endpoint that not every server has: Prefect Cloud lacks some, and a gateway may let
/// only listings through.
pub(super) fn helper<T>(asked: Result<T, Error>) -> Result<Option<T>, Error> {
    match asked {
        Ok(answer) => Ok(Some(answer)),
        Err(
            Error::NotFound { .. }
            | Error::Rejected {
                status: 405 | 422, ..
            },
        ) => Ok(None),
        Err(error) => Err(error),
    }
}

/// A few words for progress bars and logs.
pub(super) fn short_reason(error: &Error) -> String {
    match error {
        Error::RateLimited { .. } => "429".to_owned(),
        Error::Server { status, .. } => status.to_string(),
        Error::Unreachable { .. } => "no connection".to_owned(),
        _ => "unusable answer".to_owned(),
    }
}
