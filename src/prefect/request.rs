//! Typed requests. Prefect ignores an unknown top-level key in a request body and then returns everything, so no
//! body is written by hand.

use std::sync::Arc;

use chrono::{DateTime, SecondsFormat, Utc};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::{Map, Value};

/// A collection of objects: its path below the API's root, such as `/flow_runs`. `{}` is the placeholder for the
/// name of an object of another collection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Collection(pub &'static str);

impl Collection {
    /// The path of the collection's count.
    pub fn count_path(self) -> String {
        format!("{}/count", self.0)
    }

    /// The path of the collection's listing.
    pub fn filter_path(self) -> String {
        format!("{}/filter", self.0)
    }

    /// The path of one object of the collection.
    pub fn object_path(self, id: &str) -> String {
        format!("{}/{}", self.0, segment(id))
    }

    /// The key of the collection's own filter in a request body: the last part of the path.
    pub(super) fn filter_key(self) -> &'static str {
        self.0.rsplit('/').next().unwrap_or_default()
    }
}

/// Encodes a text as one segment of a path.
fn segment(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

/// A request for one page of a listing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListRequest {
    /// The collection to list.
    pub collection: Collection,
    /// The name that replaces `{}` in the collection's path.
    pub parent: Option<String>,
    /// One of the collection's sorts, if the collection has any; any other value is a 422.
    pub sort: Option<&'static str>,
    /// The maximum number of objects. A value above the server's limit (200 unless its operator changed it) is a
    /// 422.
    pub limit: u32,
    /// The number of objects to skip.
    pub offset: u64,
    /// The connector's own filter.
    pub filter: Filter,
    /// The user's filter.
    pub scope: Option<Arc<UserFilter>>,
}

impl ListRequest {
    /// The path of the request.
    pub fn path(&self) -> String {
        let path = self.collection.filter_path();
        match &self.parent {
            Some(parent) => path.replace("{}", &segment(parent)),
            None => path,
        }
    }
}

/// A request for the number of objects of a collection (`POST /<collection>/count`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CountRequest {
    /// The collection to count.
    pub collection: Collection,
    /// The connector's own filter.
    pub filter: Filter,
    /// The user's filter.
    pub scope: Option<Arc<UserFilter>>,
}

/// A request for one object of a collection (`GET /<collection>/<id>`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GetRequest {
    /// The collection.
    pub collection: Collection,
    /// The object's id.
    pub id: String,
}

/// The user's own filter as part of a request, in Prefect's syntax: JSON objects by key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UserFilter {
    /// The filter under the collection's own key.
    pub own: Map<String, Value>,
    /// The filters under the keys of related collections.
    pub related: Map<String, Value>,
}

/// The connector's filter of a collection; the default matches all objects.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Filter {
    /// The ids of the objects.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<AnyOf<Vec<String>>>,
    /// The state of the runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<StateFilter>,
    /// The presence of `start_time`: null for runs that never started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_time: Option<IsNull>,
    /// The range of `expected_start_time` of the runs. A range never matches null.
    #[serde(skip_serializing_if = "TimeRange::is_unbounded")]
    pub expected_start_time: TimeRange,
    /// The range of `end_time` of the runs; flow runs since Prefect 3.1, task runs since 3.7, a 422 before.
    #[serde(skip_serializing_if = "TimeRange::is_unbounded")]
    pub end_time: TimeRange,
    /// The presence of `end_time`. Needs the same releases, and excludes a range of `end_time`.
    #[serde(rename = "end_time", skip_serializing_if = "Option::is_none")]
    pub end_time_is: Option<IsNull>,
    /// The state of the flow run of a task run; task runs without a flow run never match.
    #[serde(skip)]
    pub flow_run_state: Option<StateFilter>,
    /// The range of `timestamp` of log lines.
    #[serde(skip_serializing_if = "TimeRange::is_unbounded")]
    pub timestamp: TimeRange,
}

/// A filter for any of a list of values; an empty list matches nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct AnyOf<T> {
    /// The values.
    #[serde(rename = "any_")]
    pub any: T,
}

/// A filter of runs by their state.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct StateFilter {
    /// The types of the state.
    #[serde(rename = "type")]
    pub kind: AnyOf<&'static [&'static str]>,
}

impl StateFilter {
    /// Matches runs whose state has one of these types.
    pub fn any(types: &'static [&'static str]) -> Self {
        Self {
            kind: AnyOf { any: types },
        }
    }
}

/// A filter of objects by whether a field is null.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct IsNull {
    /// True if the field must be null, false if it must not be null.
    #[serde(rename = "is_null_")]
    pub is_null: bool,
}

/// A closed range of time: Prefect treats both bounds as inclusive, to the microsecond.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct TimeRange {
    /// The lower bound.
    #[serde(
        rename = "after_",
        skip_serializing_if = "Option::is_none",
        serialize_with = "instant"
    )]
    pub after: Option<DateTime<Utc>>,
    /// The upper bound.
    #[serde(
        rename = "before_",
        skip_serializing_if = "Option::is_none",
        serialize_with = "instant"
    )]
    pub before: Option<DateTime<Utc>>,
}

impl TimeRange {
    /// Returns true if the range has no bound.
    pub fn is_unbounded(&self) -> bool {
        self.after.is_none() && self.before.is_none()
    }
}

impl Filter {
    /// Returns true if the filter matches everything.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

#[expect(clippy::ref_option, reason = "serde passes a reference")]
fn instant<S: Serializer>(at: &Option<DateTime<Utc>>, serializer: S) -> Result<S::Ok, S::Error> {
    at.map(|at| at.to_rfc3339_opts(SecondsFormat::Micros, true))
        .serialize(serializer)
}

impl Serialize for ListRequest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut body = serializer.serialize_map(None)?;
        if let Some(sort) = self.sort {
            body.serialize_entry("sort", sort)?;
        }
        body.serialize_entry("limit", &self.limit)?;
        body.serialize_entry("offset", &self.offset)?;
        let own = self.collection.filter_key();
        serialize_filter(&mut body, own, &self.filter, self.scope.as_deref())?;
        body.end()
    }
}

impl Serialize for CountRequest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut body = serializer.serialize_map(None)?;
        let own = self.collection.filter_key();
        serialize_filter(&mut body, own, &self.filter, self.scope.as_deref())?;
        body.end()
    }
}

/// The connector's filter merged with the user's filter; they have no field in common.
#[derive(Serialize)]
struct Scoped<'a> {
    #[serde(flatten)]
    filter: &'a Filter,
    #[serde(flatten)]
    scope: &'a Map<String, Value>,
}

fn serialize_filter<M: SerializeMap>(
    body: &mut M,
    own: &str,
    filter: &Filter,
    scope: Option<&UserFilter>,
) -> Result<(), M::Error> {
    match scope {
        Some(scope) if !scope.own.is_empty() => {
            let scope = &scope.own;
            body.serialize_entry(own, &Scoped { filter, scope })?;
        }
        _ if filter.is_empty() => {}
        _ => body.serialize_entry(own, filter)?,
    }
    let related = scope.map(|scope| &scope.related);
    if let Some(state) = &filter.flow_run_state {
        let scope = related.and_then(|related| related.get(FLOW_RUNS)?.as_object());
        body.serialize_entry(FLOW_RUNS, &ScopedFlowRuns { state, scope })?;
    }
    for (key, value) in related.into_iter().flatten() {
        if key != FLOW_RUNS || filter.flow_run_state.is_none() {
            body.serialize_entry(key, value)?;
        }
    }
    Ok(())
}

/// The key of the filter of the flow runs to which task runs belong.
const FLOW_RUNS: &str = "flow_runs";

/// The filter of flow runs by state, merged with the user's filter, which cannot name the state.
#[derive(Serialize)]
struct ScopedFlowRuns<'a> {
    state: &'a StateFilter,
    #[serde(flatten)]
    scope: Option<&'a Map<String, Value>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listing_has_exactly_this_body() {
        let mut request = ListRequest {
            collection: Collection("/flow_runs"),
            sort: Some("EXPECTED_START_TIME_DESC"),
            limit: 200,
            offset: 400,
            ..ListRequest::default()
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
        assert_eq!(request.path(), "/flow_runs/filter");
    }

    #[test]
    fn a_count_has_exactly_this_body() {
        let at = DateTime::from_timestamp_micros(1_795_237_200_000_000);
        let mut request = CountRequest {
            collection: Collection("/flow_runs"),
            filter: Filter::default(),
            scope: None,
        };
        let body = |request: &CountRequest| serde_json::to_string(request).expect("serialises");
        assert_eq!(body(&request), "{}");
        request.filter = Filter {
            id: Some(AnyOf {
                any: vec!["a".to_owned()],
            }),
            state: Some(StateFilter::any(&["RUNNING", "PENDING"])),
            start_time: Some(IsNull { is_null: true }),
            end_time: TimeRange {
                after: at,
                before: at,
            },
            ..Filter::default()
        };
        assert_eq!(
            body(&request),
            r#"{"flow_runs":{"id":{"any_":["a"]},"state":{"type":{"any_":["RUNNING","PENDING"]}},"start_time":{"is_null_":true},"end_time":{"after_":"2026-11-21T05:00:00.000000Z","before_":"2026-11-21T05:00:00.000000Z"}}}"#
        );
    }

    #[test]
    fn a_listing_without_a_sort_below_another_object() {
        let request = ListRequest {
            collection: Collection("/work_pools/{}/workers"),
            parent: Some("pool ü/1".to_owned()),
            limit: 200,
            ..ListRequest::default()
        };
        assert_eq!(
            serde_json::to_string(&request).expect("serialises"),
            r#"{"limit":200,"offset":0}"#
        );
        assert_eq!(
            request.path(),
            "/work_pools/pool%20%C3%BC%2F1/workers/filter"
        );
    }

    #[test]
    fn task_runs_are_filtered_by_their_flow_run_and_by_a_missing_end() {
        let json = |text| serde_json::from_str::<Map<String, Value>>(text).expect("an object");
        let mut request = CountRequest {
            collection: Collection("/task_runs"),
            filter: Filter {
                end_time_is: Some(IsNull { is_null: true }),
                flow_run_state: Some(StateFilter::any(&["RUNNING"])),
                ..Filter::default()
            },
            scope: None,
        };
        let body = |request: &CountRequest| serde_json::to_string(request).expect("serialises");
        assert_eq!(
            body(&request),
            r#"{"task_runs":{"end_time":{"is_null_":true}},"flow_runs":{"state":{"type":{"any_":["RUNNING"]}}}}"#
        );
        request.scope = Some(Arc::new(UserFilter {
            own: Map::new(),
            related: json(r#"{"flow_runs":{"tags":{"all_":["prod"]}},"flows":{}}"#),
        }));
        assert_eq!(
            body(&request),
            r#"{"task_runs":{"end_time":{"is_null_":true}},"flow_runs":{"state":{"type":{"any_":["RUNNING"]}},"tags":{"all_":["prod"]}},"flows":{}}"#
        );
    }

    #[test]
    fn a_scope_stands_beside_the_filter() {
        let json = |text| serde_json::from_str::<Map<String, Value>>(text).expect("an object");
        let request = CountRequest {
            collection: Collection("/flow_runs"),
            filter: Filter {
                start_time: Some(IsNull { is_null: true }),
                ..Filter::default()
            },
            scope: Some(Arc::new(UserFilter {
                own: json(r#"{"tags":{"all_":["prod"]}}"#),
                related: json(r#"{"flows":{"name":{"any_":["etl"]}}}"#),
            })),
        };
        assert_eq!(
            serde_json::to_string(&request).expect("serialises"),
            r#"{"flow_runs":{"start_time":{"is_null_":true},"tags":{"all_":["prod"]}},"flows":{"name":{"any_":["etl"]}}}"#
        );
    }
}
