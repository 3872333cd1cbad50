//! Entry points for the fuzz targets; see `src/fuzz_api.rs`.

use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::{
    Client,
    header::{DATE, HeaderMap, HeaderValue, LOCATION},
};

use super::{csrf::Csrf, response};
use crate::prefect::{
    RetryPolicy,
    retry::{self, Failure, Retry},
    retry_after_gate::RetryAfterGate,
};

/// Reads `Retry-After` and returns the requested wait and the wait that the retry logic chooses.
pub fn retry_after(
    value: &str,
    now: DateTime<Utc>,
    random: f64,
) -> (Option<Duration>, Option<Duration>) {
    let requested = retry::retry_after(value, now);
    let failure = Failure::RateLimited {
        retry_after: requested,
    };
    let wait = Retry::new(RetryPolicy::SYNC).next(failure, random);
    if let Some(requested) = requested {
        let gate = RetryAfterGate::default();
        gate.start(now, requested);
        let _ = gate.remaining(now, None);
    }
    (requested, wait)
}

/// Reads a `Date` header.
pub fn server_time(value: &[u8]) -> Option<DateTime<Utc>> {
    let value = HeaderValue::from_bytes(value).ok()?;
    response::server_time(&HeaderMap::from_iter([(DATE, value)]))
}

/// Returns the description, page limit and redirect target that are read from an error response.
pub fn read_error(body: &str, location: &[u8]) -> (String, Option<u32>, String) {
    let location = HeaderValue::from_bytes(location).ok();
    let headers = HeaderMap::from_iter(location.map(|value| (LOCATION, value)));
    let _ = response::describe_body(body);
    (
        response::detail(body),
        response::allowed_limit(body),
        response::redirect_target(&headers),
    )
}

/// Reads CSRF tokens and builds requests with them.
#[derive(Debug)]
pub struct Tokens(Client);

impl Default for Tokens {
    fn default() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self(Client::default())
    }
}

impl Tokens {
    /// Reads a token from a response body. Returns whether the body has one, and whether a request can be built
    /// afterwards.
    pub fn read_token(&self, body: &str) -> (bool, bool) {
        let csrf = Csrf::new(0.5);
        let is_stored = csrf.store_token(body).is_ok();
        let request = csrf.add(self.0.post("http://localhost/api"));
        (is_stored, request.build().is_ok())
    }
}
