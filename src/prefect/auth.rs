//! Credentials on a request: sent to the configured API only, and marked so that nothing prints them.

use base64::{Engine as _, engine::general_purpose::STANDARD};
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
        // As Prefect's own client does: the string as it was given, with or without a colon.
        Credentials::Basic(auth) => {
            match HeaderValue::try_from(format!("Basic {}", STANDARD.encode(auth.expose_secret())))
            {
                Ok(mut value) => {
                    value.set_sensitive(true);
                    request.header(AUTHORIZATION, value)
                }
                // Base64 is printable ASCII.
                Err(_) => request,
            }
        }
    }
}
