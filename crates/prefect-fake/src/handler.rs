//! The API without sockets: turns a request into a response.

use serde_json::{Value, json};

pub use super::{
    auth::Auth,
    message::{ApiRequest, ApiResponse},
};
use super::{
    auth::unauthorized,
    error_response::{ErrorResponse, PathSegment, Problem},
    message::{body, id_in_path},
    query, router,
    schema::Collection,
    store::Store,
    writes,
};

/// Returns the response to `request`.
pub fn respond(store: &mut Store, auth: &Auth, request: &ApiRequest) -> ApiResponse {
    let public = matches!(request.path.as_str(), "/health" | "/ready");
    let refused = unauthorized(auth, request.authorization.as_deref()).filter(|_| !public);
    if let Some(refused) = refused {
        return refused;
    }
    let dialect = store.settings().capabilities.dialect;
    route(store, request).unwrap_or_else(|error| {
        let (status, body) = error.status_and_body(dialect);
        ApiResponse::json(status, &body)
    })
}

fn route(store: &mut Store, request: &ApiRequest) -> Result<ApiResponse, ErrorResponse> {
    let method = request.method.as_str();
    // A direct caller may pass the path and the query in one string.
    let whole = request.path.split_once('?');
    let (path, query) = whole.unwrap_or((&request.path, &request.query));
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
            Some(collection) => in_collection(store, request, collection, rest),
            None => router::respond(store, request, &segments, query),
        },
        [] => Ok(ApiResponse::unknown()),
    }
}

fn csrf_token(query: &str) -> Result<ApiResponse, ErrorResponse> {
    if query.split('&').any(|pair| pair.starts_with("client=")) {
        return Err(ErrorResponse::Detail(
            422,
            "CSRF protection is disabled.".to_owned(),
        ));
    }
    let place = vec![
        PathSegment::Key("query".to_owned()),
        PathSegment::Key("client".to_owned()),
    ];
    Err(ErrorResponse::one(
        Problem::Missing,
        place,
        Value::Null,
        Value::Null,
    ))
}

fn in_collection(
    store: &mut Store,
    request: &ApiRequest,
    collection: Collection,
    rest: &[&str],
) -> Result<ApiResponse, ErrorResponse> {
    match (request.method.as_str(), rest) {
        ("POST", ["filter"]) => Ok(ApiResponse::text(
            200,
            query::list(store, collection, &body(request)?)?,
        )),
        ("POST", ["count"]) => Ok(ApiResponse::json(
            200,
            &json!(query::count(store, collection, &body(request)?)?),
        )),
        ("POST", [""]) => writes::create(store, collection, &body(request)?),
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
            writes::set_state(store, id, &body(request)?)
        }
        (_, ["filter" | "count"]) if request.method != "GET" => {
            Ok(ApiResponse::not_allowed("POST"))
        }
        (_, ["filter" | "count"]) if store.settings().capabilities.typed_paths => {
            Ok(ApiResponse::not_allowed("POST"))
        }
        ("GET", [id]) => Ok(ApiResponse::text(
            200,
            query::get(store, collection, id_in_path(store, id)?)?,
        )),
        ("PATCH", [id]) if collection != Collection::Deployments => {
            let id = id_in_path(store, id)?;
            writes::edit(store, collection, id, &body(request)?).map(|()| ApiResponse::empty(204))
        }
        ("DELETE", [id]) => {
            let id = id_in_path(store, id)?;
            writes::delete(store, collection, id).map(|()| ApiResponse::empty(204))
        }
        _ => Ok(ApiResponse::unknown()),
    }
}
