//! Requests as types: an unknown top-level key in a request body is ignored by Prefect, which then
//! answers with everything, so no body is put together by hand.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Serialize, Serializer, ser::SerializeMap};

/// A collection of objects: its path below the API's root, such as `/flow_runs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Collection(pub &'static str);

impl Collection {
    /// The path of its listing.
    pub fn filter_path(self) -> String {
        format!("{}/filter", self.0)
    }

    /// The key of its own filter in a request body: the last part of the path.
    fn filter_key(self) -> &'static str {
        self.0.rsplit('/').next().unwrap_or_default()
    }
}

/// One page of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListRequest {
    /// What is listed.
    pub collection: Collection,
    /// One of the sorts of this collection; another one is a 422.
    pub sort: &'static str,
    /// Objects at most; more than the server's limit (200 unless its operator changed it) is a 422.
    pub limit: u32,
    /// Objects to skip.
    pub offset: u64,
    /// Which objects.
    pub filter: Filter,
}

/// Which objects of a collection; the default is all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Filter {
    /// Runs by `expected_start_time`. A range never matches null.
    #[serde(skip_serializing_if = "TimeRange::is_unbounded")]
    pub expected_start_time: TimeRange,
}

/// A closed range of time: Prefect takes both bounds as inclusive, to the microsecond.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct TimeRange {
    /// Not before.
    #[serde(
        rename = "after_",
        skip_serializing_if = "Option::is_none",
        serialize_with = "instant"
    )]
    pub after: Option<DateTime<Utc>>,
    /// Not after.
    #[serde(
        rename = "before_",
        skip_serializing_if = "Option::is_none",
        serialize_with = "instant"
    )]
    pub before: Option<DateTime<Utc>>,
}

impl TimeRange {
    /// Whether it has no bound.
    pub fn is_unbounded(&self) -> bool {
        self.after.is_none() && self.before.is_none()
    }
}

impl Filter {
    /// Whether it matches everything.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

#[expect(clippy::ref_option, reason = "serde hands over a reference")]
fn instant<S: Serializer>(at: &Option<DateTime<Utc>>, serializer: S) -> Result<S::Ok, S::Error> {
    at.map(|at| at.to_rfc3339_opts(SecondsFormat::Micros, true))
        .serialize(serializer)
}

impl Serialize for ListRequest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut body = serializer.serialize_map(None)?;
        body.serialize_entry("sort", self.sort)?;
        body.serialize_entry("limit", &self.limit)?;
        body.serialize_entry("offset", &self.offset)?;
        if !self.filter.is_empty() {
            body.serialize_entry(self.collection.filter_key(), &self.filter)?;
        }
        body.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listing_has_exactly_this_body() {
        let mut request = ListRequest {
            collection: Collection("/flow_runs"),
            sort: "EXPECTED_START_TIME_DESC",
            limit: 200,
            offset: 400,
            filter: Filter::default(),
        };
        let body = |request: &ListRequest| serde_json::to_string(request).expect("serialises");
        assert_eq!(
            body(&request),
            r#"{"sort":"EXPECTED_START_TIME_DESC","limit":200,"offset":400}"#
        );
        request.filter.expected_start_time = TimeRange {
            after: None,
            before: DateTime::from_timestamp_micros(1_795_237_200_000_001),
        };
        assert_eq!(
            body(&request),
            r#"{"sort":"EXPECTED_START_TIME_DESC","limit":200,"offset":400,"flow_runs":{"expected_start_time":{"before_":"2026-11-21T05:00:00.000001Z"}}}"#
        );
        assert_eq!(request.collection.filter_path(), "/flow_runs/filter");
    }
}
