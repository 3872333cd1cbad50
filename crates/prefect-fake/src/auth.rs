//! The authentication of callers.

use serde_json::json;

use super::message::ApiResponse;

/// The authentication that callers need.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Auth {
    /// No authentication.
    #[default]
    Open,
    /// A key, as for Prefect Cloud.
    Bearer(String),
    /// `user:password` in base 64, as for a self-hosted server from 3.2 on.
    Basic(String),
}

/// Returns the rejection of a request whose `Authorization` header is `given`, or `None` if it is accepted.
pub(super) fn unauthorized(auth: &Auth, given: Option<&str>) -> Option<ApiResponse> {
    let (expected, body) = match auth {
        Auth::Open => return None,
        Auth::Bearer(key) => (
            format!("Bearer {key}"),
            json!({ "detail": "Invalid authentication credentials" }),
        ),
        Auth::Basic(encoded) => (
            format!("Basic {encoded}"),
            json!({ "exception_message": "Unauthorized" }),
        ),
    };
    (given != Some(expected.as_str())).then(|| ApiResponse::json(401, &body))
}
