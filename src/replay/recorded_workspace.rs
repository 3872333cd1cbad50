//! The recorded objects of a workspace, each in its last version. Responses to requests that were not recorded are
//! made from these objects, for the kinds of requests that the connector sends.

use std::{cmp::Ordering, collections::BTreeMap};

use base64::{Engine as _, engine::general_purpose::URL_SAFE};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Map, Value, json, value::RawValue};

use super::entry_reader::EntryReader;
use crate::prefect::{MOST_EVENTS, RecordedRequest, RecordedResponse};

/// The maximum number of objects in a response: the default limit of Prefect's servers.
const MOST: usize = 200;

/// The objects of a recording.
#[derive(Debug, Default)]
pub(super) struct RecordedWorkspace {
    /// The objects by the path of their listing without `/filter`, then by id.
    collections: BTreeMap<String, BTreeMap<String, Object>>,
    /// The paths of listings for which the server returned 404.
    missing: Vec<String>,
    /// The last recorded `Date` header. All responses that are made here have it.
    date: Option<String>,
}

/// An object: its text, byte for byte, and its parsed fields.
#[derive(Debug)]
struct Object {
    id: String,
    text: Box<RawValue>,
    fields: Map<String, Value>,
}

impl RecordedWorkspace {
    /// Collects the objects of all responses. The last version of an object counts.
    pub(super) fn from_recording(mut recording: EntryReader) -> Self {
        let mut workspace = Self::default();
        while let Some((exchange, body)) = recording.next_exchange(true) {
            let path = exchange.target.split('?').next().unwrap_or_default();
            for (name, value) in &exchange.headers {
                if name == "date" {
                    workspace.date = Some(value.clone());
                }
            }
            match exchange.status {
                Some(200) => workspace.learn(path, &body),
                Some(404) if path.ends_with("/filter") => workspace.missing.push(path.to_owned()),
                _ => {}
            }
        }
        workspace
    }

    fn learn(&mut self, path: &str, body: &[u8]) {
        #[derive(Deserialize)]
        struct Page<'a> {
            #[serde(borrow)]
            events: Vec<&'a RawValue>,
        }
        let listing = path.strip_suffix("/next").unwrap_or(path);
        let (collection, objects): (_, Vec<&RawValue>) = match listing.strip_suffix("/filter") {
            Some("/events") => match serde_json::from_slice::<Page>(body) {
                Ok(page) => ("/events", page.events),
                Err(_) => return,
            },
            Some(collection) => match serde_json::from_slice(body) {
                Ok(objects) => (collection, objects),
                Err(_) => return,
            },
            None => match (path.rsplit_once('/'), serde_json::from_slice(body)) {
                (Some((collection, _)), Ok(object)) => (collection, vec![object]),
                _ => return,
            },
        };
        // A value without an id is not an object of a collection.
        let objects: Vec<Object> = objects.into_iter().filter_map(Object::read).collect();
        let is_listing = listing != path || listing.ends_with("/filter");
        if is_listing || !objects.is_empty() {
            let known = self.collections.entry(collection.to_owned()).or_default();
            known.extend(
                objects
                    .into_iter()
                    .map(|object| (object.id.clone(), object)),
            );
        }
    }

    /// Makes the response to a request; `None` if the recorded objects do not suffice.
    pub(super) fn response(&self, request: RecordedRequest<'_>) -> Option<RecordedResponse> {
        let (path, query) = request
            .target
            .split_once('?')
            .unwrap_or((request.target, ""));
        if self.missing.iter().any(|missing| missing == path) {
            return Some(self.answered(404, r#"{"detail":"Not Found"}"#.to_owned()));
        }
        let body: Value = match request.body {
            Some(body) => serde_json::from_slice(body).ok()?,
            None => Value::Null,
        };
        if path == "/events/filter" {
            return Some(self.events(&body, 0));
        }
        if path == "/events/filter/next" {
            let token = query.strip_prefix("page-token=")?;
            let token: String = url::form_urlencoded::parse(format!("t={token}").as_bytes())
                .next()
                .map(|(_, token)| token.into_owned())?;
            let token = URL_SAFE.decode(token).ok()?;
            let (body, offset): (Value, usize) = serde_json::from_slice(&token).ok()?;
            return Some(self.events(&body, offset));
        }
        if let Some(collection) = path.strip_suffix("/filter") {
            let all = self.listed(collection, &body);
            let number = |name: &str, default: usize| {
                let number = body.get(name).and_then(Value::as_u64);
                number.map_or(default, |number| {
                    usize::try_from(number).unwrap_or(usize::MAX)
                })
            };
            let page = all.iter().skip(number("offset", 0));
            let page: Vec<&RawValue> = page
                .take(number("limit", MOST).min(MOST))
                .map(|object| &*object.text)
                .collect();
            return Some(self.answered(200, serde_json::to_string(&page).ok()?));
        }
        if let Some(collection) = path.strip_suffix("/count") {
            return Some(self.answered(200, self.listed(collection, &body).len().to_string()));
        }
        let (collection, id) = path.rsplit_once('/')?;
        let objects = self.collections.get(collection)?;
        match objects.get(id) {
            Some(object) => Some(self.answered(200, object.text.get().to_owned())),
            None => Some(self.answered(404, r#"{"detail":"Object not found."}"#.to_owned())),
        }
    }

    fn answered(&self, status: u16, body: String) -> RecordedResponse {
        let date = self.date.iter();
        RecordedResponse {
            status,
            headers: date.map(|date| ("date".to_owned(), date.clone())).collect(),
            body,
        }
    }

    /// Returns the objects of a collection that pass a request's filter, in the order that the request names.
    fn listed(&self, collection: &str, body: &Value) -> Vec<&Object> {
        // The collection's own filter has the name of the last part of its path. The other filters are the user's, and
        // all recorded objects passed them.
        let key = collection.rsplit('/').next().unwrap_or_default();
        let filter = body.get(key).and_then(Value::as_object);
        let objects = self.collections.get(collection).into_iter();
        let mut listed: Vec<&Object> = objects
            .flat_map(BTreeMap::values)
            .filter(|object| filter.is_none_or(|filter| object.passes(filter)))
            .collect();
        if let Some(sort) = body.get("sort").and_then(Value::as_str) {
            let (field, descending) = match sort.rsplit_once('_') {
                Some((field, "DESC")) => (field, true),
                Some((field, _)) => (field, false),
                None => (sort, false),
            };
            let field = field.to_ascii_lowercase();
            listed.sort_by(|a, b| {
                let order = a.compared(b, &field);
                // Equal values need an order that is always the same.
                let order = if descending { order.reverse() } else { order };
                order.then_with(|| a.id.cmp(&b.id))
            });
        }
        listed
    }

    fn events(&self, body: &Value, offset: usize) -> RecordedResponse {
        let filter = &body["filter"];
        let within = |object: &&Object| {
            let time = object.time("occurred");
            let bound = |name: &str| parse_time(&filter["occurred"][name]);
            bound("since").is_none_or(|since| time >= Some(since))
                && bound("until").is_none_or(|until| time <= Some(until))
        };
        let named = |object: &&Object| {
            let name = object.fields.get("event").and_then(Value::as_str);
            let name = name.unwrap_or_default();
            let list = |key: &str| filter["event"][key].as_array().cloned().unwrap_or_default();
            let (prefixes, but) = (list("prefix"), list("exclude_name"));
            let mut prefixes_of = prefixes.iter().filter_map(Value::as_str);
            (prefixes.is_empty() || prefixes_of.any(|prefix| name.starts_with(prefix)))
                && !but.iter().any(|but| but.as_str() == Some(name))
        };
        let objects = self.collections.get("/events").into_iter();
        let objects = objects.flat_map(BTreeMap::values);
        let mut found: Vec<&Object> = objects.filter(within).filter(named).collect();
        found.sort_by(|a, b| b.compared(a, "occurred").then_with(|| a.id.cmp(&b.id)));
        let limit = body["limit"].as_u64().unwrap_or(MOST_EVENTS.into());
        let limit = usize::try_from(limit).unwrap_or(MOST);
        let next = (found.len() > offset + limit).then(|| {
            let token = URL_SAFE.encode(json!([body, offset + limit]).to_string());
            format!("http://recording/api/events/filter/next?page-token={token}")
        });
        let page = found
            .iter()
            .skip(offset)
            .take(limit)
            .map(|object| object.text.get());
        let page: Vec<&str> = page.collect();
        let text = format!(
            r#"{{"events":[{}],"total":{},"next_page":{}}}"#,
            page.join(","),
            found.len(),
            json!(next)
        );
        self.answered(200, text)
    }
}

impl Object {
    fn read(text: &RawValue) -> Option<Self> {
        let fields: Map<String, Value> = serde_json::from_str(text.get()).ok()?;
        let id = fields.get("id")?.as_str()?.to_owned();
        let text = text.to_owned();
        Some(Self { id, text, fields })
    }

    fn time(&self, field: &str) -> Option<DateTime<Utc>> {
        parse_time(self.fields.get(field)?)
    }

    /// Returns true if the object passes the parts of a filter that the connector sets itself.
    fn passes(&self, filter: &Map<String, Value>) -> bool {
        filter.iter().all(|(field, test)| match field.as_str() {
            "id" => is_any(&test["any_"], Some(&self.id)),
            "state" => {
                let state = self
                    .fields
                    .get("state")
                    .and_then(|state| state["type"].as_str());
                is_any(&test["type"]["any_"], state)
            }
            "start_time" | "end_time" | "expected_start_time" | "timestamp" => {
                self.passes_time(field, test)
            }
            _ => true,
        })
    }

    fn passes_time(&self, field: &str, test: &Value) -> bool {
        let time = self.time(field);
        let bound = |name: &str| parse_time(&test[name]);
        test["is_null_"].as_bool().is_none_or(|null| time.is_none() == null)
            // A range never matches null.
            && bound("after_").is_none_or(|after| time >= Some(after))
            && bound("before_").is_none_or(|before| time.is_some_and(|time| time <= before))
    }

    /// Compares two objects by a field. Null comes first, as in SQLite.
    fn compared(&self, other: &Self, field: &str) -> Ordering {
        let of = |object: &Self| object.fields.get(field).cloned().unwrap_or_default();
        let (a, b) = (of(self), of(other));
        match (parse_time(&a), parse_time(&b)) {
            (Some(a), Some(b)) => a.cmp(&b),
            _ => match (&a, &b) {
                (Value::String(a), Value::String(b)) => a.cmp(b),
                _ => a
                    .as_f64()
                    .partial_cmp(&b.as_f64())
                    .unwrap_or(Ordering::Equal),
            }
            .then_with(|| b.is_null().cmp(&a.is_null())),
        }
    }
}

/// Returns true if `value` is in a list, or if there is no list.
fn is_any(list: &Value, value: Option<&str>) -> bool {
    let Some(list) = list.as_array() else {
        return true;
    };
    list.iter()
        .any(|one| one.as_str() == value && value.is_some())
}

fn parse_time(value: &Value) -> Option<DateTime<Utc>> {
    let time = DateTime::parse_from_rfc3339(value.as_str()?).ok()?;
    Some(time.to_utc())
}
