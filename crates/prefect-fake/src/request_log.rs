//! A record of the requests that a server received and of their results.

use chrono::TimeDelta;

use super::{
    message::{ApiRequest, ApiResponse},
    model::Time,
};

/// A request and its result, by the server's clock.
#[derive(Debug, Clone, PartialEq)]
pub struct RequestLogEntry {
    /// The time of the response.
    pub at: Time,
    /// The request.
    pub request: ApiRequest,
    /// The response's status.
    pub status: u16,
    /// The time at which the caller may retry, if the response contains one.
    pub not_before: Option<Time>,
}

impl RequestLogEntry {
    pub(super) fn new(request: &ApiRequest, response: &ApiResponse, at: Time) -> Self {
        let named = |(name, _): &&(&str, String)| *name == "retry-after";
        let header = response.headers.iter().find(named).map(|(_, value)| value);
        let not_before = header.and_then(|value| match value.parse() {
            Ok(seconds) => Some(at + TimeDelta::seconds(seconds)),
            Err(_) => httpdate::parse_http_date(value).ok().map(Time::from),
        });
        Self {
            at,
            request: request.clone(),
            status: response.status,
            not_before,
        }
    }
}
