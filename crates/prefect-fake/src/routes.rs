//! The routes of everything except flows, deployments and flow runs.

use serde_json::{Value, json};

use super::{
    events::feed,
    id::Id,
    message::{ApiRequest, ApiResponse, body, decoded, id_in_path, parameter},
    plain::{Get, PlainCollection, query},
    reject::Reject,
    service::{self, RunKind},
    store::Store,
    tasks,
};

const AUTOMATIONS_OFF: &str = "Automations are not enabled. Please enable the PREFECT_EXPERIMENTAL_EVENTS \
                               and PREFECT_API_SERVICES_TRIGGERS_ENABLED settings.";

/// Returns the response to a request for the path `segments`.
pub(super) fn answer(
    store: &mut Store,
    asked: &ApiRequest,
    segments: &[&str],
    query: &str,
) -> Result<ApiResponse, Reject> {
    let method = asked.method.as_str();
    switched_off(store, method, segments)?;
    match segments {
        ["admin", "settings"] => Ok(only(asked, "GET", || {
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
            feed::next(store, asked, parameter(query, "page-token").as_deref())
        }
        ["events", "filter"] if method == "POST" => feed::first(store, asked, &body(asked)?),
        ["events", "filter"] => Ok(ApiResponse::not_allowed("POST")),
        [path @ .., ""] if path.len() > 1 && known(path) => {
            Ok(ApiResponse::redirect(format!("/{}", path.join("/"))))
        }
        ["task_runs", rest @ ..] => task_runs(store, asked, rest),
        ["work_pools", pool, "workers", "filter"] => workers(store, asked, &decoded(pool)),
        _ => match PlainCollection::routed(segments) {
            Some((collection, rest)) => plain(store, asked, collection, rest),
            None => Ok(ApiResponse::unknown()),
        },
    }
}

/// Returns true if a path is known once its trailing slash is removed.
fn known(path: &[&str]) -> bool {
    let first = path.first().copied().unwrap_or_default();
    ["task_runs", "v2", "events"].contains(&first) || PlainCollection::routed(path).is_some()
}

fn only(
    asked: &ApiRequest,
    method: &'static str,
    then: impl FnOnce() -> ApiResponse,
) -> ApiResponse {
    if asked.method == method {
        then()
    } else {
        ApiResponse::not_allowed(method)
    }
}

/// Rejects automations and events in 2.x, which has them only if they were switched on, with the message of 2.x.
fn switched_off(store: &Store, method: &str, segments: &[&str]) -> Result<(), Reject> {
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
    Err(Reject::Detail(404, text.to_owned()))
}

fn task_runs(store: &mut Store, asked: &ApiRequest, rest: &[&str]) -> Result<ApiResponse, Reject> {
    match (asked.method.as_str(), rest) {
        ("POST", ["filter"]) => listed(tasks::query::list(store, &body(asked)?)),
        ("POST", ["count"]) => counted(tasks::query::count(store, &body(asked)?)),
        ("POST", [""]) => tasks::writes::create(store, &body(asked)?),
        ("POST", [id, "set_state"]) => {
            let id = id_in_path(store, id)?;
            tasks::writes::set_state(store, id, &body(asked)?)
        }
        (method, ["filter" | "count"]) if method != "GET" => Ok(ApiResponse::not_allowed("POST")),
        (_, ["filter" | "count"]) if store.settings().capabilities.typed_paths => {
            Ok(ApiResponse::not_allowed("POST"))
        }
        ("GET", [id]) => listed(tasks::query::get(store, id_in_path(store, id)?)),
        _ => Ok(ApiResponse::unknown()),
    }
}

fn workers(store: &mut Store, asked: &ApiRequest, pool: &str) -> Result<ApiResponse, Reject> {
    if asked.method != "POST" {
        return Ok(ApiResponse::not_allowed("POST"));
    }
    let body: Value = body(asked)?;
    let found = query::named(store, PlainCollection::WorkPools, pool).map(|pool| pool.id);
    let id = found.ok_or_else(|| query::missing(PlainCollection::WorkPools, pool))?;
    listed(query::list(
        store,
        PlainCollection::Workers,
        Some(id),
        &body,
    ))
}

fn plain(
    store: &mut Store,
    asked: &ApiRequest,
    collection: PlainCollection,
    rest: &[&str],
) -> Result<ApiResponse, Reject> {
    let spec = collection.spec();
    let typed = spec.typed || store.settings().capabilities.typed_paths;
    match (asked.method.as_str(), rest) {
        ("POST", ["filter"]) => listed(query::list(store, collection, None, &body(asked)?)),
        ("POST", ["count"]) if spec.count => {
            counted(query::count(store, collection, &body(asked)?))
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

fn listed(text: Result<String, Reject>) -> Result<ApiResponse, Reject> {
    text.map(|text| ApiResponse::text(200, text))
}

fn counted(count: Result<usize, Reject>) -> Result<ApiResponse, Reject> {
    count.map(|count| ApiResponse::json(200, &json!(count)))
}
