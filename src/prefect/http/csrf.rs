//! Servers that protect themselves against forged requests want a token with each POST, listings too
//! (`PREFECT_SERVER_CSRF_PROTECTION_ENABLED`).

use std::sync::{Mutex, PoisonError};

use reqwest::{RequestBuilder, StatusCode, header::HeaderValue};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, de::Error as _};

use super::Answer;

/// The token of one client; good for an hour.
#[derive(Debug)]
pub(super) struct Csrf {
    /// Of its own: a token that is fetched makes the client's older ones invalid.
    client: String,
    /// Marked so that nothing prints it.
    token: Mutex<Option<HeaderValue>>,
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

    /// Takes the token out of its answer. One that no header can hold is none.
    pub(super) fn take(&self, body: &str) -> Result<(), serde_json::Error> {
        #[derive(Deserialize)]
        struct Given {
            token: SecretString,
        }
        let given: Given = serde_json::from_str(body)?;
        let mut token = HeaderValue::try_from(given.token.expose_secret())
            .map_err(|_| serde_json::Error::custom("no token"))?;
        token.set_sensitive(true);
        *self.token.lock().unwrap_or_else(PoisonError::into_inner) = Some(token);
        Ok(())
    }

    /// Adds the token, if there is one.
    pub(super) fn add(&self, request: RequestBuilder) -> RequestBuilder {
        let token = self.token.lock().unwrap_or_else(PoisonError::into_inner);
        match token.as_ref() {
            Some(token) => request
                .header("prefect-csrf-token", token.clone())
                .header("prefect-csrf-client", &self.client),
            None => request,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_that_cannot_be_sent_is_none() {
        let csrf = Csrf::new(0.5);
        for body in [r#"{"token":"a\nb"}"#, r#"{"token":7}"#, "{}", "<html>"] {
            assert!(csrf.take(body).is_err(), "{body}");
        }
        assert!(csrf.take(r#"{"token":"hunter2"}"#).is_ok());
        assert!(!format!("{csrf:?}").contains("hunter2"));
    }
}
