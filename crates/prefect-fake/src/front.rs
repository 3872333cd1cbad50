//! The API without sockets: turns a request into a response.

use serde_json::{Value, json};

use super::{
    id::Id,
    query,
    reject::{Problem, Reject, Step},
    routes,
    schema::Collection,
    store::Store,
    writes,
};

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

/// A request.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Asked {
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
pub struct Answer {
    /// The status.
    pub status: u16,
    /// Headers other than `content-type`, `content-length` and `date`.
    pub headers: Vec<(&'static str, String)>,
    /// The body, JSON or empty.
    pub body: String,
}

impl Answer {
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
        let mut answer = Self::json(405, &json!({ "detail": "Method Not Allowed" }));
        answer.headers.push(("allow", allow.to_owned()));
        answer
    }

    pub(super) fn unknown() -> Self {
        Self::json(404, &json!({ "detail": "Not Found" }))
    }
}

/// Returns the response to `asked`.
pub fn answer(store: &mut Store, auth: &Auth, asked: &Asked) -> Answer {
    let public = matches!(asked.path.as_str(), "/health" | "/ready");
    let refused = unauthorized(auth, asked.authorization.as_deref()).filter(|_| !public);
    if let Some(refused) = refused {
        return refused;
    }
    let dialect = store.settings().capabilities.dialect;
    route(store, asked).unwrap_or_else(|reject| {
        let (status, body) = reject.answer(dialect);
        Answer::json(status, &body)
    })
}

pub(super) fn unauthorized(auth: &Auth, given: Option<&str>) -> Option<Answer> {
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
    (given != Some(expected.as_str())).then(|| Answer::json(401, &body))
}

fn route(store: &mut Store, asked: &Asked) -> Result<Answer, Reject> {
    let method = asked.method.as_str();
    // A direct caller may pass the path and the query in one string.
    let whole = asked.path.split_once('?');
    let (path, query) = whole.unwrap_or((&asked.path, &asked.query));
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    match segments.as_slice() {
        ["health" | "ready" | "version" | "hello" | "csrf-token"] | ["admin", "version"]
            if method != "GET" =>
        {
            Ok(Answer::not_allowed("GET"))
        }
        ["health"] => Ok(Answer::json(200, &json!(true))),
        ["ready"] => Ok(Answer::json(200, &json!({ "message": "OK" }))),
        ["version"] => Ok(Answer::json(200, &json!("0.8.4"))),
        ["hello"] => Ok(Answer::json(200, &json!("👋"))),
        ["admin", "version"] => Ok(Answer::json(
            200,
            &json!(store.settings().capabilities.release),
        )),
        ["csrf-token"] => csrf_token(query),
        [name, rest @ ..] => match Collection::named(name) {
            Some(collection) => in_collection(store, asked, collection, rest),
            None => routes::answer(store, asked, &segments, query),
        },
        [] => Ok(Answer::unknown()),
    }
}

fn csrf_token(query: &str) -> Result<Answer, Reject> {
    if query.split('&').any(|pair| pair.starts_with("client=")) {
        return Err(Reject::Detail(
            422,
            "CSRF protection is disabled.".to_owned(),
        ));
    }
    let place = vec![
        Step::Key("query".to_owned()),
        Step::Key("client".to_owned()),
    ];
    Err(Reject::one(
        Problem::Missing,
        place,
        Value::Null,
        Value::Null,
    ))
}

fn in_collection(
    store: &mut Store,
    asked: &Asked,
    collection: Collection,
    rest: &[&str],
) -> Result<Answer, Reject> {
    let redirect = |to: String| {
        let mut answer = Answer::empty(307);
        answer.headers.push(("location", to));
        answer
    };
    match (asked.method.as_str(), rest) {
        ("POST", ["filter"]) => Ok(Answer::text(
            200,
            query::list(store, collection, &body(asked)?)?,
        )),
        ("POST", ["count"]) => Ok(Answer::json(
            200,
            &json!(query::count(store, collection, &body(asked)?)?),
        )),
        ("POST", [""]) => writes::create(store, collection, &body(asked)?),
        (_, [""]) => Ok(Answer::not_allowed("POST")),
        (_, []) => Ok(redirect(format!("/{}/", collection.name()))),
        // A path with an extra trailing slash redirects to the path without it.
        (_, [path @ .., ""]) => Ok(redirect(format!(
            "/{}/{}",
            collection.name(),
            path.join("/")
        ))),
        ("POST", [id, "set_state"]) if collection == Collection::FlowRuns => {
            let id = id_in_path(store, id)?;
            writes::set_state(store, id, &body(asked)?)
        }
        (_, ["filter" | "count"]) if asked.method != "GET" => Ok(Answer::not_allowed("POST")),
        (_, ["filter" | "count"]) if store.settings().capabilities.typed_paths => {
            Ok(Answer::not_allowed("POST"))
        }
        ("GET", [id]) => Ok(Answer::text(
            200,
            query::get(store, collection, id_in_path(store, id)?)?,
        )),
        ("PATCH", [id]) if collection != Collection::Deployments => {
            let id = id_in_path(store, id)?;
            writes::edit(store, collection, id, &body(asked)?).map(|()| Answer::empty(204))
        }
        ("DELETE", [id]) => {
            let id = id_in_path(store, id)?;
            writes::delete(store, collection, id).map(|()| Answer::empty(204))
        }
        _ => Ok(Answer::unknown()),
    }
}

pub(super) fn id_in_path(store: &Store, text: &str) -> Result<Id, Reject> {
    Id::parse(text).ok_or_else(|| {
        if store.settings().capabilities.typed_paths {
            return Reject::Detail(404, "Not Found".to_owned());
        }
        let place = vec![Step::Key("path".to_owned()), Step::Key("id".to_owned())];
        Reject::one(Problem::NotId, place, Value::from(text), Value::Null)
    })
}

pub(super) fn body(asked: &Asked) -> Result<Value, Reject> {
    if asked.body.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_str(&asked.body).map_err(|_| Reject::Malformed(asked.body.clone()))
}
