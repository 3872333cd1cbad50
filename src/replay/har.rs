//! Export of a recording's requests and responses as HTTP Archive 1.2 (HAR), which browsers and HTTP tools open.

use std::{
    io::{self, Write},
    str,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use chrono::{SecondsFormat, TimeDelta};
use http::StatusCode;
use serde_json::{Value, json, value::RawValue};

use super::{entry::Exchange, error::Error, recorded_sync::RecordedSync};

/// The version of HTTP, which a recording does not contain.
const HTTP_VERSION: &str = "unknown";
/// A size that a recording does not contain.
const UNKNOWN: i64 = -1;

impl RecordedSync {
    /// Writes the requests and responses as an HTTP archive, and returns their number. The archive contains what the
    /// recording contains: bodies without secrets and removed columns, and no request headers.
    pub fn write_har(&self, out: &mut impl Write) -> Result<u64, Error> {
        let mut recording = self.open()?;
        let mut entries = 0;
        let mut write = || {
            let creator = json!({ "name": "fivetran_source", "version": self.head.connector });
            write!(
                out,
                r#"{{"log":{{"version":"1.2","creator":{creator},"entries":["#
            )?;
            while let Some((exchange, body)) = recording.next_exchange(true) {
                let comma = if entries == 0 { "" } else { "," };
                write!(out, "{comma}\n{}", self.har_entry(&exchange, &body))?;
                entries += 1;
            }
            writeln!(out, "\n]}}}}")
        };
        write().map_err(|error: io::Error| Error::io("export", &self.path, error))?;
        Ok(entries)
    }

    fn har_entry(&self, exchange: &Exchange, body: &[u8]) -> Value {
        let milliseconds = |number| TimeDelta::try_milliseconds(i64::try_from(number).ok()?);
        let started = milliseconds(exchange.at.saturating_sub(exchange.duration))
            .and_then(|after| self.head.began.checked_add_signed(after))
            .unwrap_or(self.head.began);
        json!({
            "startedDateTime": started.to_rfc3339_opts(SecondsFormat::Millis, true),
            "time": exchange.duration,
            "request": self.har_request(exchange),
            "response": har_response(exchange, body),
            "cache": {},
            "timings": { "send": 0, "wait": exchange.duration, "receive": 0 },
        })
    }

    fn har_request(&self, exchange: &Exchange) -> Value {
        let api = self.head.configuration.get("api_url");
        let api = api.map_or("", |url| url.trim().trim_end_matches('/'));
        let query = exchange
            .target
            .split_once('?')
            .map_or("", |(_, query)| query);
        let query: Vec<Value> = url::form_urlencoded::parse(query.as_bytes())
            .map(|(name, value)| json!({ "name": name, "value": value }))
            .collect();
        let body = exchange.request_body.as_deref().map(RawValue::get);
        let mut request = json!({
            "method": exchange.method,
            "url": format!("{api}{}", exchange.target),
            "httpVersion": HTTP_VERSION,
            "cookies": [],
            "headers": [],
            "queryString": query,
            "headersSize": UNKNOWN,
            "bodySize": body.map_or(0, str::len),
        });
        if let Some(body) = body {
            request["postData"] =
                json!({ "mimeType": "application/json", "params": [], "text": body });
        }
        request
    }
}

fn har_response(exchange: &Exchange, body: &[u8]) -> Value {
    let header = |wanted: &str| {
        let mut headers = exchange.headers.iter();
        headers.find_map(|(name, value)| (name == wanted).then_some(value.as_str()))
    };
    let headers: Vec<Value> = exchange
        .headers
        .iter()
        .map(|(name, value)| json!({ "name": name, "value": value }))
        .collect();
    let mut content = json!({
        "size": body.len(),
        "mimeType": header("content-type").unwrap_or("application/octet-stream"),
    });
    if let Ok(text) = str::from_utf8(body) {
        content["text"] = text.into();
    } else {
        content["text"] = STANDARD.encode(body).into();
        content["encoding"] = "base64".into();
    }
    let reason = exchange.status.and_then(|status| {
        let status = StatusCode::from_u16(status).ok()?;
        status.canonical_reason()
    });
    let mut response = json!({
        "status": exchange.status.unwrap_or(0),
        "statusText": reason.unwrap_or(""),
        "httpVersion": HTTP_VERSION,
        "cookies": [],
        "headers": headers,
        "content": content,
        "redirectURL": header("location").unwrap_or(""),
        "headersSize": UNKNOWN,
        "bodySize": UNKNOWN,
    });
    if exchange.status.is_none() {
        response["comment"] = exchange.no_response.map_or_else(
            || "The sync ended before the response arrived.".into(),
            |reason| format!("There was no response: {}.", reason.in_words()).into(),
        );
    }
    response
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            entry::{Entry, NoResponseReason},
            test_file::{exchange, recording},
        },
        *,
    };

    /// Exports a recording, and returns the entries of the archive.
    fn exported(entries: &[(Entry, &[u8])]) -> Vec<Value> {
        let file = recording(entries);
        let recorded = RecordedSync::read(file.path()).unwrap();
        let mut out = Vec::new();
        assert_eq!(recorded.write_har(&mut out).unwrap(), entries.len() as u64);
        let mut archive: Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(archive["log"]["version"], "1.2");
        assert_eq!(archive["log"]["creator"]["name"], "fivetran_source");
        serde_json::from_value(archive["log"]["entries"].take()).unwrap()
    }

    /// Returns an exchange with changes.
    fn changed(body: &[u8], change: impl FnOnce(&mut Exchange)) -> (Entry, &[u8]) {
        let (Entry::Exchange(mut exchange), _) = exchange(None, "") else {
            panic!("not an exchange");
        };
        exchange.bytes = body.len();
        change(&mut exchange);
        (Entry::Exchange(exchange), body)
    }

    #[test]
    fn an_exchange_is_exported_with_its_time_request_and_response() {
        let of_page = changed(b"[1]", |it| {
            it.at = 1_500;
            it.duration = 250;
            it.target = "/events/filter/next?page-token=a%20b&limit=2".into();
        });
        let entry = &exported(&[of_page])[0];
        assert_eq!(entry["startedDateTime"], "1970-01-01T00:00:01.250Z");
        let timings = &entry["timings"];
        assert_eq!(
            (&entry["time"], &timings["wait"]),
            (&json!(250), &json!(250))
        );
        let request = &entry["request"];
        let url = "http://host/api/events/filter/next?page-token=a%20b&limit=2";
        assert_eq!(request["url"], url);
        assert_eq!(
            request["queryString"][0],
            json!({ "name": "page-token", "value": "a b" })
        );
        assert_eq!(request["postData"]["text"], r#"{"limit":2}"#);
        assert_eq!(request["bodySize"], 11);
        let response = &entry["response"];
        assert_eq!(
            (&response["status"], &response["statusText"]),
            (&json!(200), &json!("OK"))
        );
        let content = json!({ "size": 3, "mimeType": "application/json", "text": "[1]" });
        assert_eq!(response["content"], content);
    }

    #[test]
    fn bodies_that_are_not_text_and_missing_responses_are_exported() {
        let without = |reason| {
            changed(b"", move |it| {
                it.status = None;
                it.no_response = reason;
            })
        };
        let binary = changed(&[0xff, 0x00], |it| it.request_body = None);
        let entries = exported(&[
            binary,
            without(Some(NoResponseReason::Refused)),
            without(None),
        ]);
        let content = &entries[0]["response"]["content"];
        assert_eq!(
            (&content["text"], &content["encoding"]),
            (&json!("/wA="), &json!("base64"))
        );
        assert_eq!(entries[0]["request"].get("postData"), None);
        for (entry, comment) in [(&entries[1], "refused"), (&entries[2], "ended before")] {
            assert_eq!(entry["response"]["status"], 0);
            let text = entry["response"]["comment"].as_str().unwrap();
            assert!(text.contains(comment), "{text}");
        }
    }
}
