//! The routes of everything except flows, deployments and flow runs.

use serde_json::{Value, json};

use super::{
    error_response::ErrorResponse,
    events::feed,
    generic_collections::{GenericCollection, Get, query},
    id::Id,
    message::{ApiRequest, ApiResponse, body, decoded, id_in_path, parameter},
    service::{self, RunKind},
    store::Store,
    tasks,
};

const AUTOMATIONS_OFF: &str = "Automations are not enabled. Please enable the PREFECT_EXPERIMENTAL_EVENTS \
                               and PREFECT_API_SERVICES_TRIGGERS_ENABLED settings.";

/// Returns the response to a request for the path `segments`.
pub(super) fn respond(
    store: &mut Store,
    request: &ApiRequest,
    segments: &[&str],
    query: &str,
) -> Result<ApiResponse, ErrorResponse> {
    let method = request.method.as_str();
    switched_off(store, method, segments)?;
    match segments {
        ["admin", "settings"] => Ok(only(request, "GET", || {
            ApiResponse::json(200, &service::settings(store))
        })),
        ["flow_run_states" | "task_run_states"] => Ok(ApiResponse::redirect(format!(
            "/{}/?{query}",
            segments.concat()
        ))),
        ["events", "filter", "next"] | ["flow_run_states" | "task_run_states", ""]
            if method != "GET" =>
        {
            Ok(ApiResponse::not_allowed("GET"))
        }
        ["flow_run_states", ""] => service::states(store, RunKind::FlowRun, query),
        ["task_run_states", ""] => service::states(store, RunKind::TaskRun, query),
        ["events", "filter", "next"] => {
            feed::next(store, request, parameter(query, "page-token").as_deref())
        }
        ["events", "filter"] if method == "POST" => feed::first(store, request, &body(request)?),
        ["events", "filter"] => Ok(ApiResponse::not_allowed("POST")),
        [path @ .., ""] if path.len() > 1 && known(path) => {
            Ok(ApiResponse::redirect(format!("/{}", path.join("/"))))
        }
        ["task_runs", rest @ ..] => task_runs(store, request, rest),
        ["work_pools", pool, "workers", "filter"] => workers(store, request, &decoded(pool)),
        _ => match GenericCollection::routed(segments) {
            Some((collection, rest)) => generic(store, request, collection, rest),
            None => Ok(ApiResponse::unknown()),
        },
    }
}

/// Returns true if a path is known once its trailing slash is removed.
fn known(path: &[&str]) -> bool {
    let first = path.first().copied().unwrap_or_default();
    ["task_runs", "v2", "events"].contains(&first) || GenericCollection::routed(path).is_some()
}

fn only(
    request: &ApiRequest,
    method: &'static str,
    then: impl FnOnce() -> ApiResponse,
) -> ApiResponse {
    if request.method == method {
        then()
    } else {
        ApiResponse::not_allowed(method)
    }
}

/// Rejects automations and events in 2.x, which has them only if they were switched on, with the message of 2.x.
fn switched_off(store: &Store, method: &str, segments: &[&str]) -> Result<(), ErrorResponse> {
    if store.settings().capabilities.events {
        return Ok(());
    }
    let text = match (method, segments) {
        ("POST", ["events", "filter"]) | ("GET", ["events", "filter", "next"]) => {
            "Events are not enabled. Please enable the PREFECT_EXPERIMENTAL_EVENTS setting."
        }
        ("POST", ["automations", "filter" | "count"]) => AUTOMATIONS_OFF,
        ("GET", ["automations", id]) if Id::parse(id).is_some() => AUTOMATIONS_OFF,
        _ => return Ok(()),
    };
    Err(ErrorResponse::Detail(404, text.to_owned()))
}

fn task_runs(
    store: &mut Store,
    request: &ApiRequest,
    rest: &[&str],
) -> Result<ApiResponse, ErrorResponse> {
    match (request.method.as_str(), rest) {
        ("POST", ["filter"]) => listed(tasks::query::list(store, &body(request)?)),
        ("POST", ["count"]) => counted(tasks::query::count(store, &body(request)?)),
        ("POST", [""]) => tasks::writes::create(store, &body(request)?),
        ("POST", [id, "set_state"]) => {
            let id = id_in_path(store, id)?;
            tasks::writes::set_state(store, id, &body(request)?)
        }
        (method, ["filter" | "count"]) if method != "GET" => Ok(ApiResponse::not_allowed("POST")),
        (_, ["filter" | "count"]) if store.settings().capabilities.typed_paths => {
            Ok(ApiResponse::not_allowed("POST"))
        }
        ("GET", [id]) => listed(tasks::query::get(store, id_in_path(store, id)?)),
        _ => Ok(ApiResponse::unknown()),
    }
}

fn workers(
    store: &mut Store,
    request: &ApiRequest,
    pool: &str,
) -> Result<ApiResponse, ErrorResponse> {
    if request.method != "POST" {
        return Ok(ApiResponse::not_allowed("POST"));
    }
    let body: Value = body(request)?;
    let found = query::named(store, GenericCollection::WorkPools, pool).map(|pool| pool.id);
    let id = found.ok_or_else(|| query::missing(GenericCollection::WorkPools, pool))?;
    listed(query::list(
        store,
        GenericCollection::Workers,
        Some(id),
        &body,
    ))
}

fn generic(
    store: &mut Store,
    request: &ApiRequest,
    collection: GenericCollection,
    rest: &[&str],
) -> Result<ApiResponse, ErrorResponse> {
    let spec = collection.spec();
    let typed = spec.typed || store.settings().capabilities.typed_paths;
    match (request.method.as_str(), rest) {
        ("POST", ["filter"]) => listed(query::list(store, collection, None, &body(request)?)),
        ("POST", ["count"]) if spec.count => {
            counted(query::count(store, collection, &body(request)?))
        }
        ("GET", ["filter" | "count"]) if spec.get == Get::Id && typed => {
            Ok(ApiResponse::not_allowed("POST"))
        }
        ("GET", [name]) if spec.get != Get::No => {
            let name = decoded(name);
            if spec.get == Get::Id && Id::parse(&name).is_none() {
                if typed {
                    return Ok(ApiResponse::unknown());
                }
                id_in_path(store, &name)?;
            }
            listed(query::get(store, collection, &name))
        }
        (_, ["filter"]) => Ok(ApiResponse::not_allowed("POST")),
        _ => Ok(ApiResponse::unknown()),
    }
}

fn listed(text: Result<String, ErrorResponse>) -> Result<ApiResponse, ErrorResponse> {
    text.map(|text| ApiResponse::text(200, text))
}

fn counted(count: Result<usize, ErrorResponse>) -> Result<ApiResponse, ErrorResponse> {
    count.map(|count| ApiResponse::json(200, &json!(count)))
}
