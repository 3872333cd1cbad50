//! Events: the only collection with a listing of another form (`POST /events/filter`, then
//! `GET /events/filter/next` with a token).

use std::borrow::Cow;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize, Serializer, ser::SerializeMap};
use serde_json::value::RawValue;
use url::Url;

/// The maximum number of events per page, whatever the server's limit for other collections is.
pub const MOST_EVENTS: u32 = 50;

/// The maximum length of a token. A token is a filter and a position in base 64; no server's token is longer.
const LONGEST_TOKEN: usize = 8_192;

/// A request for a page of events, the latest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventsRequest {
    /// The lower bound of `occurred`; without it the server looks back half a year.
    pub since: Option<DateTime<Utc>>,
    /// The upper bound of `occurred`; without it the server lists up to the present.
    pub until: Option<DateTime<Utc>>,
    /// Prefixes of event names; an empty list means all events.
    pub names: &'static [&'static str],
    /// Event names to exclude. Ignored if `names` is empty.
    pub exclude: &'static [&'static str],
    /// The maximum number of events.
    pub limit: u32,
    /// The token of the next page of a listing. With a token the other fields are not sent.
    pub token: Option<Token>,
}

/// The server's token for the next page of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// Extracts the token from `next_page`. Host and path are ignored: they are what the server believes to be its
    /// address.
    pub fn from_next_page(next_page: &str) -> Option<Self> {
        let url = Url::parse(next_page).ok()?;
        let (_, token) = url.query_pairs().find(|(name, _)| name == "page-token")?;
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "+/=-_.~".contains(c);
        let is_token = !token.is_empty() && token.len() <= LONGEST_TOKEN;
        // Decoding a query turns a plus into a space.
        let token = token.replace(' ', "+");
        (is_token && token.chars().all(is_plain)).then_some(Self(token))
    }
}

impl EventsRequest {
    /// The path of the request, including the token if there is one.
    pub fn path(&self) -> Cow<'static, str> {
        match &self.token {
            None => "/events/filter".into(),
            Some(Token(token)) => {
                let token = url::form_urlencoded::byte_serialize(token.as_bytes());
                format!(
                    "/events/filter/next?page-token={}",
                    token.collect::<String>()
                )
                .into()
            }
        }
    }
}

impl Serialize for EventsRequest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Micros, true);
        let mut occurred = serde_json::Map::new();
        if let Some(since) = self.since {
            occurred.insert("since".to_owned(), text(since).into());
        }
        if let Some(until) = self.until {
            occurred.insert("until".to_owned(), text(until).into());
        }
        let mut filter = serde_json::Map::new();
        filter.insert("occurred".to_owned(), occurred.into());
        if !self.names.is_empty() {
            let mut event = serde_json::json!({ "prefix": self.names });
            if !self.exclude.is_empty() {
                event["exclude_name"] = serde_json::json!(self.exclude);
            }
            filter.insert("event".to_owned(), event);
        }
        filter.insert("order".to_owned(), "DESC".into());
        let mut body = serializer.serialize_map(None)?;
        body.serialize_entry("limit", &self.limit.min(MOST_EVENTS))?;
        body.serialize_entry("filter", &filter)?;
        body.end()
    }
}

/// A page of events in a response.
#[derive(Debug, Deserialize)]
pub struct EventsPage<'a> {
    /// The JSON texts of the events.
    #[serde(borrow)]
    pub events: Vec<&'a RawValue>,
    /// The number of events on all pages.
    #[serde(default)]
    pub total: Option<u64>,
    /// The address of the next page, if there is one.
    #[serde(borrow, default)]
    next_page: Option<Cow<'a, str>>,
}

impl<'a> EventsPage<'a> {
    /// Reads the body of a response.
    pub fn read(body: &'a str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(body)
    }

    /// Returns the token of the next page. A `next_page` without a usable token is an error.
    pub fn next(&self) -> Result<Option<Token>, serde_json::Error> {
        match &self.next_page {
            None => Ok(None),
            Some(url) => Token::from_next_page(url)
                .map(Some)
                .ok_or_else(|| serde::de::Error::custom("next_page has no page-token")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_has_exactly_this_body() {
        let mut request = EventsRequest {
            since: None,
            until: DateTime::from_timestamp_micros(1_795_237_200_000_001),
            names: &[],
            exclude: &[],
            limit: 200,
            token: None,
        };
        let body = |request: &EventsRequest| serde_json::to_string(request).expect("serialises");
        assert_eq!(
            body(&request),
            r#"{"limit":50,"filter":{"occurred":{"until":"2026-11-21T05:00:00.000001Z"},"order":"DESC"}}"#
        );
        request.since = request.until;
        request.names = &["prefect.flow-run."];
        request.exclude = &["prefect.flow-run.heartbeat"];
        assert_eq!(
            body(&request),
            r#"{"limit":50,"filter":{"event":{"exclude_name":["prefect.flow-run.heartbeat"],"prefix":["prefect.flow-run."]},"occurred":{"since":"2026-11-21T05:00:00.000001Z","until":"2026-11-21T05:00:00.000001Z"},"order":"DESC"}}"#
        );
        assert_eq!(request.path(), "/events/filter");
    }

    #[test]
    fn only_the_token_of_a_next_page_is_used() {
        let token = Token::from_next_page(
            "http://elsewhere:4200/api/events/filter/next?page-token=ab%2Bc%3D%3D",
        );
        let request = EventsRequest {
            since: None,
            until: None,
            names: &[],
            exclude: &[],
            limit: 50,
            token,
        };
        assert_eq!(
            request.path(),
            "/events/filter/next?page-token=ab%2Bc%3D%3D"
        );
        for bad in [
            "",
            "nonsense",
            "http://h/api/events/filter/next",
            "http://h/?page-token=",
            "http://h/?page-token=a%0D%0Ab",
        ] {
            assert_eq!(Token::from_next_page(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_page_without_events_or_with_an_unusual_next_page_is_rejected() {
        assert!(EventsPage::read(r#"{"total":0,"next_page":null}"#).is_err());
        let page = EventsPage::read(r#"{"events":[],"total":1,"next_page":"x"}"#).expect("reads");
        assert!(page.next().is_err());
        let page = EventsPage::read(r#"{"events":[{"id":"a"}],"total":1}"#).expect("reads");
        assert_eq!(page.next().expect("none"), None);
    }
}
