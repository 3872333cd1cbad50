//! Servers that protect themselves against forged requests want a token with each POST, listings too
//! (`PREFECT_SERVER_CSRF_PROTECTION_ENABLED`).

use std::sync::{Mutex, MutexGuard, PoisonError};

use reqwest::{RequestBuilder, StatusCode, header::HeaderValue};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, de::Error as _};

use super::Answer;

/// The token of one client; good for an hour.
#[derive(Debug)]
pub(super) struct Csrf {
    /// Of its own: a token that is fetched makes the client's older ones invalid.
    client: String,
    given: Mutex<Given>,
    /// Held while a token is fetched: of two fetched at the same time one would be invalid.
    fetching: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct Given {
    /// Marked so that nothing prints it.
    token: Option<HeaderValue>,
    /// How many there were.
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

    /// Which token a request carries that is sent now.
    pub(super) fn current(&self) -> u64 {
        self.given().tokens
    }

    /// Waits until nobody else fetches a token; `None` when there is another one than `sent` by then.
    pub(super) async fn fetch_after(&self, sent: u64) -> Option<tokio::sync::MutexGuard<'_, ()>> {
        let fetching = self.fetching.lock().await;
        (self.current() == sent).then_some(fetching)
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

    /// Adds the token, if there is one.
    pub(super) fn add(&self, request: RequestBuilder) -> RequestBuilder {
        match self.given().token.as_ref() {
            Some(token) => request
                .header("prefect-csrf-token", token.clone())
                .header("prefect-csrf-client", &self.client),
            None => request,
        }
    }

    fn given(&self) -> MutexGuard<'_, Given> {
        // Whole whatever became of who wrote it.
        self.given.lock().unwrap_or_else(PoisonError::into_inner)
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

    #[tokio::test]
    async fn who_was_refused_together_fetches_one_token() {
        let csrf = Csrf::new(0.5);
        let sent = csrf.current();
        let first = csrf.fetch_after(sent).await;
        let second = csrf.fetch_after(sent);
        tokio::pin!(second);
        assert!(futures::poll!(second.as_mut()).is_pending());
        csrf.take(r#"{"token":"hunter2"}"#).expect("a token");
        assert!(first.is_some());
        drop(first);
        assert!(second.await.is_none());
        // It has expired.
        assert!(csrf.fetch_after(csrf.current()).await.is_some());
    }
}
