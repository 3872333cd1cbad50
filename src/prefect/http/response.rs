//! Responses of a server, and the information in them besides the data.

use chrono::{DateTime, Utc};
use reqwest::{
    StatusCode,
    header::{DATE, HeaderMap, HeaderName, HeaderValue, LOCATION},
};
use serde::Deserialize;

use crate::prefect::{KEPT_HEADERS, NoResponse, RecordedResponse, Unreachable};

/// The largest response body that is read, in bytes. A page of 200 runs is about half a megabyte.
const LARGEST_BODY: usize = 64 << 20;

/// The largest announced length for which memory is reserved before any data arrives, in bytes.
const LARGEST_BELIEVED: usize = 4 << 20;

/// A response with its complete body.
pub(super) struct Response {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: String,
}

/// Returns true if a response with this status is worth a retry.
pub(super) fn is_retryable(status: StatusCode) -> bool {
    // 425: the server does not want to process the request yet (RFC 8470, section 5.2).
    [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_EARLY].contains(&status)
        || status.is_server_error()
}

/// Describes a response body that is not the expected one.
pub(super) fn describe_body(body: &str) -> &'static str {
    let start = body.trim_start();
    if start.starts_with('<') {
        "it sent a web page"
    } else if start.is_empty() {
        "it sent nothing"
    } else {
        "it sent an unexpected response"
    }
}

/// Converts the error of a request that received no response.
pub(super) fn no_response(error: &reqwest::Error) -> NoResponse {
    NoResponse::Unreachable(Unreachable::from_reqwest(error))
}

impl Response {
    /// Converts the response into plain data.
    pub(super) fn into_recorded(self) -> RecordedResponse {
        let headers = KEPT_HEADERS.iter().filter_map(|name| {
            let value = self.headers.get(*name)?.to_str().ok()?;
            let value = match *name {
                // The rest of the address may contain a token and is dropped.
                "location" => redirect_target(&self.headers),
                _ => value.to_owned(),
            };
            Some(((*name).to_owned(), value))
        });
        RecordedResponse {
            status: self.status.as_u16(),
            headers: headers.collect(),
            body: self.body,
        }
    }

    /// Converts plain data into a response. Invalid headers are left out, and an invalid status becomes 500.
    pub(super) fn from_recorded(recorded: RecordedResponse) -> Self {
        let headers = recorded.headers.iter().filter_map(|(name, value)| {
            let name = HeaderName::try_from(name).ok()?;
            Some((name, HeaderValue::try_from(value).ok()?))
        });
        Self {
            status: StatusCode::from_u16(recorded.status)
                .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            headers: headers.collect(),
            body: recorded.body,
        }
    }
}

/// Reads a response completely, up to [`LARGEST_BODY`].
pub(super) async fn read_response(mut received: reqwest::Response) -> Result<Response, NoResponse> {
    let status = received.status();
    let headers = received.headers().clone();
    // The announced length is reserved in advance, within limits, so that the buffer is not reallocated.
    let length = received.content_length().unwrap_or_default();
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    if length > LARGEST_BODY {
        return Err(NoResponse::TooLarge);
    }
    let mut body = Vec::with_capacity(length.min(LARGEST_BELIEVED));
    while let Some(chunk) = received
        .chunk()
        .await
        .map_err(|error| no_response(&error))?
    {
        if body.len() + chunk.len() > LARGEST_BODY {
            return Err(NoResponse::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    // A body that is not UTF-8 is not JSON, and no part of it is used. Its replacement is not JSON either.
    let body = String::from_utf8(body).unwrap_or_else(|_| char::REPLACEMENT_CHARACTER.into());
    Ok(Response {
        status,
        headers,
        body,
    })
}

pub(super) fn server_time(headers: &HeaderMap) -> Option<DateTime<Utc>> {
    let date = headers.get(DATE)?.to_str().ok()?;
    httpdate::parse_http_date(date).ok().map(DateTime::from)
}

/// Returns the scheme and host of a redirect. The rest of the address may contain a token.
pub(super) fn redirect_target(headers: &HeaderMap) -> String {
    headers
        .get(LOCATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|text| url::Url::parse(text).ok())
        .map_or_else(
            || "another path".to_owned(),
            |url| url.origin().ascii_serialization(),
        )
}

/// The suffix in [`detail`] for a field that the server does not know.
pub(super) const UNKNOWN_FIELD: &str = " is not known";

/// Extracts the server's short description of an error, never the request that the server echoes.
pub(super) fn detail(body: &str) -> String {
    #[derive(Deserialize)]
    struct Words {
        detail: Option<serde_json::Value>,
        exception_message: Option<String>,
        #[serde(default)]
        exception_detail: serde_json::Value,
    }
    let Ok(words) = serde_json::from_str::<Words>(body) else {
        return String::new();
    };
    let problem = &words.exception_detail[0];
    let field = problem["loc"].as_array().map(|path| {
        let steps: Vec<&str> = path.iter().filter_map(serde_json::Value::as_str).collect();
        // The first type is Prefect 3's, the second Prefect 2's.
        let is_unknown = matches!(
            problem["type"].as_str(),
            Some("extra_forbidden" | "value_error.extra")
        );
        let unknown = if is_unknown { UNKNOWN_FIELD } else { "" };
        format!("field {}{unknown}", steps.join("."))
    });
    let text = field
        .or_else(|| words.detail?.as_str().map(str::to_owned))
        .or(words.exception_message)
        .unwrap_or_default();
    if text.is_empty() {
        text
    } else {
        format!(": {}", text.chars().take(200).collect::<String>())
    }
}

/// Returns true if the body of a 403 is Prefect's, which is a JSON object.
pub(super) fn is_prefects_refusal(body: &str) -> bool {
    serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(body).is_ok()
}

/// Reads the limit that a 422 names: "Invalid limit: must be less than or equal to 200."
pub(super) fn allowed_limit(body: &str) -> Option<u32> {
    #[derive(Deserialize)]
    struct Words {
        detail: String,
    }
    let words: Words = serde_json::from_str(body).ok()?;
    let number = words
        .detail
        .strip_prefix("Invalid limit: must be less than or equal to ")?;
    number
        .trim_end_matches('.')
        .parse()
        .ok()
        .filter(|max| *max > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_read_from_the_servers_words() {
        let body = r#"{"detail":"Invalid limit: must be less than or equal to 50."}"#;
        assert_eq!(allowed_limit(body), Some(50));
        for body in [
            "",
            "[]",
            r#"{"detail":"Invalid limit"}"#,
            r#"{"detail":[1]}"#,
        ] {
            assert_eq!(allowed_limit(body), None, "{body}");
        }
    }

    #[test]
    fn an_error_body_is_summed_up_and_never_echoed() {
        let body = r#"{"exception_message":"Invalid request received.","exception_detail":[{"type":"extra_forbidden","loc":["body","flow_runs","updated"],"msg":"m"}],"request_body":{"secret":1}}"#;
        assert_eq!(detail(body), ": field body.flow_runs.updated is not known");
        assert_eq!(detail(r#"{"detail":"Not Found"}"#), ": Not Found");
        assert_eq!(
            detail(r#"{"exception_message":"Unauthorized"}"#),
            ": Unauthorized"
        );
        assert_eq!(detail("<html>"), "");
    }
}
