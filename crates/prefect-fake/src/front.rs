//! The API without sockets: turns a request into a response.

use serde_json::{Value, json};

pub use super::{
    auth::Auth,
    message::{ApiRequest, ApiResponse},
};
use super::{
    auth::unauthorized,
    message::{body, id_in_path},
    query,
    reject::{Problem, Reject, Step},
    routes,
    schema::Collection,
    store::Store,
    writes,
};

/// Returns the response to `asked`.
pub fn answer(store: &mut Store, auth: &Auth, asked: &ApiRequest) -> ApiResponse {
    let public = matches!(asked.path.as_str(), "/health" | "/ready");
    let refused = unauthorized(auth, asked.authorization.as_deref()).filter(|_| !public);
    if let Some(refused) = refused {
        return refused;
    }
    let dialect = store.settings().capabilities.dialect;
    route(store, asked).unwrap_or_else(|reject| {
        let (status, body) = reject.answer(dialect);
        ApiResponse::json(status, &body)
    })
}

fn route(store: &mut Store, asked: &ApiRequest) -> Result<ApiResponse, Reject> {
    let method = asked.method.as_str();
    // A direct caller may pass the path and the query in one string.
    let whole = asked.path.split_once('?');
    let (path, query) = whole.unwrap_or((&asked.path, &asked.query));
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    match segments.as_slice() {
        ["health" | "ready" | "version" | "hello" | "csrf-token"] | ["admin", "version"]
            if method != "GET" =>
        {
            Ok(ApiResponse::not_allowed("GET"))
        }
        ["health"] => Ok(ApiResponse::json(200, &json!(true))),
        ["ready"] => Ok(ApiResponse::json(200, &json!({ "message": "OK" }))),
        ["version"] => Ok(ApiResponse::json(200, &json!("0.8.4"))),
        ["hello"] => Ok(ApiResponse::json(200, &json!("👋"))),
        ["admin", "version"] => Ok(ApiResponse::json(
            200,
            &json!(store.settings().capabilities.release),
        )),
        ["csrf-token"] => csrf_token(query),
        [name, rest @ ..] => match Collection::named(name) {
            Some(collection) => in_collection(store, asked, collection, rest),
            None => routes::answer(store, asked, &segments, query),
        },
        [] => Ok(ApiResponse::unknown()),
    }
}

fn csrf_token(query: &str) -> Result<ApiResponse, Reject> {
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
    asked: &ApiRequest,
    collection: Collection,
    rest: &[&str],
) -> Result<ApiResponse, Reject> {
    match (asked.method.as_str(), rest) {
        ("POST", ["filter"]) => Ok(ApiResponse::text(
            200,
            query::list(store, collection, &body(asked)?)?,
        )),
        ("POST", ["count"]) => Ok(ApiResponse::json(
            200,
            &json!(query::count(store, collection, &body(asked)?)?),
        )),
        ("POST", [""]) => writes::create(store, collection, &body(asked)?),
        (_, [""]) => Ok(ApiResponse::not_allowed("POST")),
        (_, []) => Ok(ApiResponse::redirect(format!("/{}/", collection.name()))),
        // A path with an extra trailing slash redirects to the path without it.
        (_, [path @ .., ""]) => Ok(ApiResponse::redirect(format!(
            "/{}/{}",
            collection.name(),
            path.join("/")
        ))),
        ("POST", [id, "set_state"]) if collection == Collection::FlowRuns => {
            let id = id_in_path(store, id)?;
            writes::set_state(store, id, &body(asked)?)
        }
        (_, ["filter" | "count"]) if asked.method != "GET" => Ok(ApiResponse::not_allowed("POST")),
        (_, ["filter" | "count"]) if store.settings().capabilities.typed_paths => {
            Ok(ApiResponse::not_allowed("POST"))
        }
        ("GET", [id]) => Ok(ApiResponse::text(
            200,
            query::get(store, collection, id_in_path(store, id)?)?,
        )),
        ("PATCH", [id]) if collection != Collection::Deployments => {
            let id = id_in_path(store, id)?;
            writes::edit(store, collection, id, &body(asked)?).map(|()| ApiResponse::empty(204))
        }
        ("DELETE", [id]) => {
            let id = id_in_path(store, id)?;
            writes::delete(store, collection, id).map(|()| ApiResponse::empty(204))
        }
        _ => Ok(ApiResponse::unknown()),
    }
}
