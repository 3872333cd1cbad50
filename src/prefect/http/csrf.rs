//! Servers that protect themselves against forged requests want a token with each POST, listings too
//! (`PREFECT_SERVER_CSRF_PROTECTION_ENABLED`).

use std::sync::{Mutex, PoisonError};

use reqwest::{RequestBuilder, StatusCode};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use super::Answer;

/// The token of one client; good for an hour.
#[derive(Debug)]
pub(super) struct Csrf {
    /// Of its own: a token that is fetched makes the client's older ones invalid.
    client: String,
    token: Mutex<Option<SecretString>>,
}

impl Csrf {
    pub(super) fn new(random: f64) -> Self {
        Self {
            client: format!("fivetran-{:016x}", random.to_bits()),
            token: Mutex::default(),
        }
    }

    /// Where a token is to be had.
    pub(super) fn path(&self) -> String {
        format!("/csrf-token?client={}", self.client)
    }

    /// Whether the answer asks for a token, or for another one.
    pub(super) fn is_asked_for(answer: &Answer) -> bool {
        answer.status == StatusCode::FORBIDDEN
            && ["CSRF token", "client identifier"]
                .iter()
                .any(|words| answer.body.contains(words))
    }

    /// Takes the token out of its answer.
    pub(super) fn take(&self, body: &str) -> Result<(), serde_json::Error> {
        #[derive(Deserialize)]
        struct Given {
            token: SecretString,
        }
        let given: Given = serde_json::from_str(body)?;
        *self.token.lock().unwrap_or_else(PoisonError::into_inner) = Some(given.token);
        Ok(())
    }

    /// Adds the token, if there is one.
    pub(super) fn add(&self, request: RequestBuilder) -> RequestBuilder {
        let token = self.token.lock().unwrap_or_else(PoisonError::into_inner);
        match token.as_ref() {
            Some(token) => request
                .header("prefect-csrf-token", token.expose_secret())
                .header("prefect-csrf-client", &self.client),
            None => request,
        }
    }
}
