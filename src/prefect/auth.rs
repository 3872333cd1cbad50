//! Credentials of requests: sent to the configured API only, and marked as sensitive so that they are never
//! printed.

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
                // The configuration accepts only printable ASCII. Without the header the server returns 401, whose
                // message names what to check.
                Err(_) => request,
            }
        }
        // Like Prefect's own client: the string is encoded as given, with or without a colon.
        Credentials::Basic(auth) => {
            match HeaderValue::try_from(format!("Basic {}", STANDARD.encode(auth.expose_secret())))
            {
                Ok(mut value) => {
                    value.set_sensitive(true);
                    request.header(AUTHORIZATION, value)
                }
                // Cannot happen: base64 is printable ASCII.
                Err(_) => request,
            }
        }
    }
}
