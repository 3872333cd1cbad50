//! A request and a response, without sockets, and the parts of a request that handlers parse.

use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use super::{
    error_response::{ErrorResponse, PathSegment, Problem},
    id::Id,
    store::Store,
};

/// A request.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ApiRequest {
    /// The method: `GET`, `POST` …
    pub method: String,
    /// The path with the leading slash, without `/api`, the workspace's ids and the query.
    pub path: String,
    /// True if the path is not below the workspace's address; `path` is then complete.
    pub elsewhere: bool,
    /// The query, without the question mark.
    pub query: String,
    /// The workspace's address as the caller wrote it.
    pub base: String,
    /// The `Authorization` header.
    pub authorization: Option<String>,
    /// The `Content-Length` header.
    pub content_length: Option<u64>,
    /// The body as received.
    pub body: String,
}

/// A response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiResponse {
    /// The status.
    pub status: u16,
    /// Headers other than `content-type`, `content-length` and `date`.
    pub headers: Vec<(&'static str, String)>,
    /// The body, JSON or empty.
    pub body: String,
}

impl ApiResponse {
    /// Creates a response from a JSON value.
    pub fn json(status: u16, body: &Value) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: body.to_string(),
        }
    }

    /// Creates a response from JSON text.
    pub fn text(status: u16, body: String) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body,
        }
    }

    pub(super) fn empty(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: String::new(),
        }
    }

    pub(super) fn not_allowed(allow: &str) -> Self {
        let mut response = Self::json(405, &json!({ "detail": "Method Not Allowed" }));
        response.headers.push(("allow", allow.to_owned()));
        response
    }

    /// Creates a temporary redirect to a path.
    pub(super) fn redirect(to: String) -> Self {
        let mut response = Self::empty(307);
        response.headers.push(("location", to));
        response
    }

    pub(super) fn unknown() -> Self {
        Self::json(404, &json!({ "detail": "Not Found" }))
    }
}

/// Parses an id that is a segment of a path.
pub(super) fn id_in_path(store: &Store, text: &str) -> Result<Id, ErrorResponse> {
    Id::parse(text).ok_or_else(|| {
        if store.settings().capabilities.typed_paths {
            return ErrorResponse::Detail(404, "Not Found".to_owned());
        }
        let place = vec![
            PathSegment::Key("path".to_owned()),
            PathSegment::Key("id".to_owned()),
        ];
        ErrorResponse::one(Problem::NotId, place, Value::from(text), Value::Null)
    })
}

/// Parses the body of a request as JSON; an empty body is null.
pub(super) fn body(request: &ApiRequest) -> Result<Value, ErrorResponse> {
    if request.body.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_str(&request.body).map_err(|_| ErrorResponse::Malformed(request.body.clone()))
}

/// Returns a parameter of a query string.
pub(super) fn parameter(query: &str, name: &str) -> Option<String> {
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let found = pairs.find(|(key, _)| *key == name);
    found.map(|(_, value)| decoded(value))
}

/// Decodes the percent-encoding of a part of a URL.
pub(super) fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}
