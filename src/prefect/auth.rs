//! Credentials on a request: sent to the configured API only, and marked so that nothing prints them.

use reqwest::{
    RequestBuilder,
    header::{AUTHORIZATION, HeaderValue},
};
use secrecy::ExposeSecret;

use crate::config::Credentials;

/// Adds the `Authorization` header.
pub(super) fn authorize(request: RequestBuilder, credentials: &Credentials) -> RequestBuilder {
    match credentials {
        Credentials::None => request,
        Credentials::Bearer(key) => {
            match HeaderValue::try_from(format!("Bearer {}", key.expose_secret())) {
                Ok(mut value) => {
                    value.set_sensitive(true);
                    request.header(AUTHORIZATION, value)
                }
                // The configuration lets only printable ASCII through; without the header the server
                // answers 401, which says what to check.
                Err(_) => request,
            }
        }
        Credentials::Basic(auth) => {
            let (user, password) = auth
                .expose_secret()
                .split_once(':')
                .unwrap_or((auth.expose_secret(), ""));
            // Marked sensitive by reqwest.
            request.basic_auth(user, Some(password))
        }
    }
}
