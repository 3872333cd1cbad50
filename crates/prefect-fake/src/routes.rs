//! The routes of everything except flows, deployments and flow runs.

use serde_json::{Value, json};

use super::{
    events::feed,
    id::Id,
    message::{Answer, Asked, body, decoded, id_in_path, parameter},
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
    asked: &Asked,
    segments: &[&str],
    query: &str,
) -> Result<Answer, Reject> {
    let method = asked.method.as_str();
    switched_off(store, method, segments)?;
    match segments {
        ["admin", "settings"] => Ok(only(asked, "GET", || {
            Answer::json(200, &service::settings(store))
        })),
        ["flow_run_states" | "task_run_states"] => {
            Ok(Answer::redirect(format!("/{}/?{query}", segments.concat())))
        }
        ["events", "filter", "next"] | ["flow_run_states" | "task_run_states", ""]
            if method != "GET" =>
        {
            Ok(Answer::not_allowed("GET"))
        }
        ["flow_run_states", ""] => service::states(store, RunKind::FlowRun, query),
        ["task_run_states", ""] => service::states(store, RunKind::TaskRun, query),
        ["events", "filter", "next"] => {
            feed::next(store, asked, parameter(query, "page-token").as_deref())
        }
        ["events", "filter"] if method == "POST" => feed::first(store, asked, &body(asked)?),
        ["events", "filter"] => Ok(Answer::not_allowed("POST")),
        [path @ .., ""] if path.len() > 1 && known(path) => {
            Ok(Answer::redirect(format!("/{}", path.join("/"))))
        }
        ["task_runs", rest @ ..] => task_runs(store, asked, rest),
        ["work_pools", pool, "workers", "filter"] => workers(store, asked, &decoded(pool)),
        _ => match PlainCollection::routed(segments) {
            Some((collection, rest)) => plain(store, asked, collection, rest),
            None => Ok(Answer::unknown()),
        },
    }
}

/// Returns true if a path is known once its trailing slash is removed.
fn known(path: &[&str]) -> bool {
    let first = path.first().copied().unwrap_or_default();
    ["task_runs", "v2", "events"].contains(&first) || PlainCollection::routed(path).is_some()
}

fn only(asked: &Asked, method: &'static str, then: impl FnOnce() -> Answer) -> Answer {
    if asked.method == method {
        then()
    } else {
        Answer::not_allowed(method)
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

fn task_runs(store: &mut Store, asked: &Asked, rest: &[&str]) -> Result<Answer, Reject> {
    match (asked.method.as_str(), rest) {
        ("POST", ["filter"]) => listed(tasks::query::list(store, &body(asked)?)),
        ("POST", ["count"]) => counted(tasks::query::count(store, &body(asked)?)),
        ("POST", [""]) => tasks::writes::create(store, &body(asked)?),
        ("POST", [id, "set_state"]) => {
            let id = id_in_path(store, id)?;
            tasks::writes::set_state(store, id, &body(asked)?)
        }
        (method, ["filter" | "count"]) if method != "GET" => Ok(Answer::not_allowed("POST")),
        (_, ["filter" | "count"]) if store.settings().capabilities.typed_paths => {
            Ok(Answer::not_allowed("POST"))
        }
        ("GET", [id]) => listed(tasks::query::get(store, id_in_path(store, id)?)),
        _ => Ok(Answer::unknown()),
    }
}

fn workers(store: &mut Store, asked: &Asked, pool: &str) -> Result<Answer, Reject> {
    if asked.method != "POST" {
        return Ok(Answer::not_allowed("POST"));
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
    asked: &Asked,
    collection: PlainCollection,
    rest: &[&str],
) -> Result<Answer, Reject> {
    let spec = collection.spec();
    let typed = spec.typed || store.settings().capabilities.typed_paths;
    match (asked.method.as_str(), rest) {
        ("POST", ["filter"]) => listed(query::list(store, collection, None, &body(asked)?)),
        ("POST", ["count"]) if spec.count => {
            counted(query::count(store, collection, &body(asked)?))
        }
        ("GET", ["filter" | "count"]) if spec.get == Get::Id && typed => {
            Ok(Answer::not_allowed("POST"))
        }
        ("GET", [name]) if spec.get != Get::No => {
            let name = decoded(name);
            if spec.get == Get::Id && Id::parse(&name).is_none() {
                if typed {
                    return Ok(Answer::unknown());
                }
                id_in_path(store, &name)?;
            }
            listed(query::get(store, collection, &name))
        }
        (_, ["filter"]) => Ok(Answer::not_allowed("POST")),
        _ => Ok(Answer::unknown()),
    }
}

fn listed(text: Result<String, Reject>) -> Result<Answer, Reject> {
    text.map(|text| Answer::text(200, text))
}

fn counted(count: Result<usize, Reject>) -> Result<Answer, Reject> {
    count.map(|count| Answer::json(200, &json!(count)))
}
