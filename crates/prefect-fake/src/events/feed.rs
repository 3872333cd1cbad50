//! The listing of events: a first page, and the following ones by their token.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use chrono::{NaiveTime, TimeDelta};
use serde_json::{Map, Value, json};

use crate::{
    error_response::{ErrorResponse, PathSegment, Problem},
    filter::{Clause, Field},
    form::path,
    generic_collections::{GenericCollection, render},
    listing_spec::Column,
    message::{ApiRequest, ApiResponse},
    model::Time,
    reader::Reader,
    store::Store,
    table::{Page, SortKey},
    times,
};

/// The maximum and default number of events in a page.
const MOST: i64 = 50;
/// The default age of the lower bound of `occurred`.
const REACH: TimeDelta = TimeDelta::days(180);
const OCCURRED: Field = Field::Value("occurred");
/// The filters that are parsed but not implemented here, and therefore rejected.
const ELSEWHERE: [&str; 3] = ["related", "any_resource", "text"];

/// The request for one page, which a page token encodes.
struct PageRequest {
    /// The filter, with both bounds of `occurred`.
    filter: Map<String, Value>,
    /// The number of events that pass; `None` for the first page.
    count: Option<usize>,
    size: usize,
    offset: usize,
}

/// `POST /events/filter`.
pub(crate) fn first(
    store: &mut Store,
    request: &ApiRequest,
    body: &Value,
) -> Result<ApiResponse, ErrorResponse> {
    let mut reader = Reader::new(&store.settings().capabilities);
    let limit = body.get("limit").filter(|limit| !limit.is_null());
    let size = limit.map_or(Some(MOST), |limit| reader.number(limit, &path("limit")));
    let size = size.unwrap_or(0);
    if !(0..=MOST).contains(&size) {
        let problem = if size < 0 {
            Problem::Negative
        } else {
            Problem::Above(MOST)
        };
        reader.note(problem, &path("limit"), &body["limit"]);
    }
    let given = body.get("filter").unwrap_or(&Value::Null);
    clause(&mut reader, given);
    let there = |key: &&&str| !given[**key].is_null();
    if let Some(key) = ELSEWHERE.iter().find(there) {
        let text = format!("this server cannot filter events by {key}");
        return Err(ErrorResponse::Detail(501, text));
    }
    if !reader.issues.is_empty() {
        return Err(ErrorResponse::Invalid(reader.issues, body.clone()));
    }
    let page_request = PageRequest {
        filter: settled(given, store.now()),
        count: None,
        size: usize::try_from(size).unwrap_or(0),
        offset: 0,
    };
    Ok(page(store, request, &page_request))
}

/// `GET /events/filter/next?page-token=…`.
pub(crate) fn next(
    store: &mut Store,
    request: &ApiRequest,
    token: Option<&str>,
) -> Result<ApiResponse, ErrorResponse> {
    let Some(token) = token else {
        let place = ["query", "page-token"].map(|key| PathSegment::Key(key.to_owned()));
        return Err(ErrorResponse::one(
            Problem::Missing,
            place.to_vec(),
            Value::Null,
            Value::Null,
        ));
    };
    let page_request =
        read(token).ok_or_else(|| ErrorResponse::Detail(403, "Forbidden".to_owned()))?;
    Ok(page(store, request, &page_request))
}

fn clause(reader: &mut Reader<'_>, filter: &Value) -> Clause {
    let keys = GenericCollection::Events.spec().form.filters[0].keys;
    reader.group(keys, None, filter, &mut path("filter"))
}

/// Returns the filter with both bounds of `occurred` filled in, so that later pages cover the same range.
fn settled(given: &Value, now: Time) -> Map<String, Value> {
    let mut filter = given.as_object().cloned().unwrap_or_default();
    filter.retain(|_, value| !value.is_null());
    let long_ago = (now - REACH)
        .date_naive()
        .and_time(NaiveTime::MIN)
        .and_utc();
    let occurred = filter.entry("occurred").or_insert_with(|| json!({}));
    for (end, time) in [("since", long_ago), ("until", now)] {
        if occurred[end].is_null() {
            occurred[end] = json!(time);
        }
    }
    filter
}

fn page(store: &mut Store, request: &ApiRequest, page_request: &PageRequest) -> ApiResponse {
    let capabilities = store.settings().capabilities.clone();
    let filter = Value::Object(page_request.filter.clone());
    let clause = clause(&mut Reader::new(&capabilities), &filter);
    let (from, to) = clause.bounds(OCCURRED);
    let key = |time: Time| SortKey::Time(time.timestamp_micros());
    let slice = Page {
        column: Column::Moment("occurred"),
        descending: filter["order"].as_str() != Some("ASC"),
        from: from.map(key),
        to: to.map(key),
        offset: page_request.offset,
        limit: page_request.size,
        tie_seed: store.tie_seed(),
    };
    let all = store.objects(GenericCollection::Events);
    let total = page_request
        .count
        .unwrap_or_else(|| all.filter(|event| clause.holds(*event)).count());
    let events = store.objects.table_mut(GenericCollection::Events);
    let rows = events.select(&slice, Some(&|event| clause.holds(event)));
    let shown = rows
        .into_iter()
        .map(|event| render::object(GenericCollection::Events, event, &capabilities));
    let shown: Vec<Value> = shown.collect();
    let after = page_request.offset + page_request.size;
    let next_page = (after < total).then(|| {
        let token = token(&page_request.filter, total, page_request.size, after);
        format!("{}/events/filter/next?page-token={token}", request.base)
    });
    ApiResponse::json(
        200,
        &json!({ "events": shown, "total": total, "next_page": next_page }),
    )
}

/// Returns a page token: JSON in base 64 twice, as Prefect encodes it.
fn token(filter: &Map<String, Value>, count: usize, size: usize, offset: usize) -> String {
    let inner = json!({ "filter": filter, "count": count, "page_size": size, "offset": offset });
    STANDARD.encode(STANDARD.encode(inner.to_string()))
}

fn read(token: &str) -> Option<PageRequest> {
    let inner = STANDARD.decode(STANDARD.decode(token).ok()?).ok()?;
    let inner: Value = serde_json::from_slice(&inner).ok()?;
    let number = |key: &str| usize::try_from(inner[key].as_u64()?).ok();
    let filter = inner["filter"].as_object()?.clone();
    times::parse(filter.get("occurred")?.get("until")?, false)?;
    Some(PageRequest {
        filter,
        count: Some(number("count")?),
        size: number("page_size")?,
        offset: number("offset")?,
    })
}
