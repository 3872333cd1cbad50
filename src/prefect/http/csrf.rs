//! CSRF tokens: some servers (`PREFECT_SERVER_CSRF_PROTECTION_ENABLED`) require one on each POST, including
//! listings.

use std::sync::{Mutex, MutexGuard, PoisonError};

use reqwest::{RequestBuilder, StatusCode, header::HeaderValue};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, de::Error as _};

use super::Response;

/// The CSRF token of one client. A token is valid for an hour.
#[derive(Debug)]
pub(super) struct Csrf {
    /// The client id, unique to this instance: fetching a token invalidates the older ones of the same id.
    client: String,
    given: Mutex<Given>,
    /// Held while a token is fetched: of two tokens fetched concurrently, one would be invalid.
    fetching: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct Given {
    /// The token, marked as sensitive so that it is never printed.
    token: Option<HeaderValue>,
    /// The number of tokens received so far.
    tokens: u64,
}

impl Csrf {
    pub(super) fn new(random: f64) -> Self {
        Self {
            client: format!("fivetran-{:016x}", random.to_bits()),
            given: Mutex::default(),
            fetching: tokio::sync::Mutex::default(),
        }
    }

    /// Returns the number of the token that a request sent now carries.
    pub(super) fn current(&self) -> u64 {
        self.given().tokens
    }

    /// Waits until no other request is fetching a token. Returns `None` if the current token is no longer number
    /// `sent`.
    pub(super) async fn fetch_after(&self, sent: u64) -> Option<tokio::sync::MutexGuard<'_, ()>> {
        let fetching = self.fetching.lock().await;
        (self.current() == sent).then_some(fetching)
    }

    /// The path at which the server issues a token.
    pub(super) fn path(&self) -> String {
        format!("/csrf-token?client={}", self.client)
    }

    /// Returns true if the response demands a token, or a different one.
    pub(super) fn is_asked_for(response: &Response) -> bool {
        response.status == StatusCode::FORBIDDEN
            && ["CSRF token", "client identifier"]
                .iter()
                .any(|words| response.body.contains(words))
    }

    /// Stores the token from a response body. A token that a header cannot contain is an error.
    pub(super) fn store_token(&self, body: &str) -> Result<(), serde_json::Error> {
        #[derive(Deserialize)]
        struct Body {
            token: SecretString,
        }
        let given: Body = serde_json::from_str(body)?;
        let mut token = HeaderValue::try_from(given.token.expose_secret())
            .map_err(|_| serde_json::Error::custom("no token"))?;
        token.set_sensitive(true);
        let mut given = self.given();
        given.token = Some(token);
        given.tokens += 1;
        Ok(())
    }

    /// Adds the token to a request, if there is one.
    pub(super) fn add(&self, request: RequestBuilder) -> RequestBuilder {
        match self.given().token.as_ref() {
            Some(token) => request
                .header("prefect-csrf-token", token.clone())
                .header("prefect-csrf-client", &self.client),
            None => request,
        }
    }

    fn given(&self) -> MutexGuard<'_, Given> {
        // The value is consistent even if a thread panicked while holding the lock.
        self.given.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_that_a_header_cannot_contain_is_an_error() {
        let csrf = Csrf::new(0.5);
        for body in [r#"{"token":"a\nb"}"#, r#"{"token":7}"#, "{}", "<html>"] {
            assert!(csrf.store_token(body).is_err(), "{body}");
        }
        assert!(csrf.store_token(r#"{"token":"hunter2"}"#).is_ok());
        assert!(!format!("{csrf:?}").contains("hunter2"));
    }

    #[tokio::test]
    async fn requests_rejected_together_fetch_one_token() {
        let csrf = Csrf::new(0.5);
        let sent = csrf.current();
        let first = csrf.fetch_after(sent).await;
        let second = csrf.fetch_after(sent);
        tokio::pin!(second);
        assert!(futures::poll!(second.as_mut()).is_pending());
        csrf.store_token(r#"{"token":"hunter2"}"#).expect("a token");
        assert!(first.is_some());
        drop(first);
        assert!(second.await.is_none());
        // The current token has expired, so another one is fetched.
        assert!(csrf.fetch_after(csrf.current()).await.is_some());
    }
}
