//! The endpoints outside of all collections: the server's settings, and the past states of a run.

use serde_json::{Value, json};

use super::{
    error_response::{ErrorResponse, PathSegment, Problem},
    id::Id,
    message::{ApiResponse, parameter},
    model::State,
    query::text,
    store::Store,
    view::{Owner, RenderContext},
};

/// `GET /admin/settings`, reduced to the settings that a client may need.
pub(super) fn settings(store: &Store) -> Value {
    let limit = store.settings().page_limit;
    let csrf = json!({ "csrf_protection_enabled": false, "csrf_token_expiration": "PT1H" });
    if !store.settings().capabilities.third_generation {
        return json!({
            "PREFECT_API_DEFAULT_LIMIT": limit,
            "PREFECT_API_URL": null,
            "PREFECT_API_DATABASE_CONNECTION_URL": "**********",
            "PREFECT_EXPERIMENTAL_EVENTS": store.settings().capabilities.events,
            "PREFECT_SERVER_CSRF_PROTECTION_ENABLED": false,
            "PREFECT_TEST_MODE": false,
        });
    }
    json!({
        "home": "/home/prefect/.prefect",
        "profiles_path": "/home/prefect/.prefect/profiles.toml",
        "debug_mode": false,
        "api": { "url": null, "auth_string": null, "key": null, "max_retries": 0, "request_timeout": 60.0 },
        "server": {
            "logging_level": "WARNING",
            "analytics_enabled": true,
            "api": {
                "auth_string": null,
                "host": "0.0.0.0",
                "port": 4200,
                "base_path": null,
                "default_limit": limit,
                "keepalive_timeout": 5,
                "csrf_protection_enabled": csrf["csrf_protection_enabled"],
                "csrf_token_expiration": csrf["csrf_token_expiration"],
            },
            "database": { "connection_url": "**********", "migrate_on_start": true },
            "events": { "retention_period": "P7D", "maximum_related_resources": 100 },
            "ephemeral": { "enabled": false },
        },
    })
}

/// The kind of run whose states are requested.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RunKind {
    /// `GET /flow_run_states/?flow_run_id=`
    FlowRun,
    /// `GET /task_run_states/?task_run_id=`
    TaskRun,
}

impl RunKind {
    const fn parameter(self) -> &'static str {
        match self {
            Self::FlowRun => "flow_run_id",
            Self::TaskRun => "task_run_id",
        }
    }
}

/// Returns the states of a run, oldest first; a run that does not exist has none.
pub(super) fn states(
    store: &Store,
    kind: RunKind,
    query: &str,
) -> Result<ApiResponse, ErrorResponse> {
    let refuse = |problem, input| {
        let place = ["query", kind.parameter()].map(|key| PathSegment::Key(key.to_owned()));
        ErrorResponse::one(problem, place.to_vec(), input, Value::Null)
    };
    let given = parameter(query, kind.parameter());
    let given = given.ok_or_else(|| refuse(Problem::Missing, Value::Null))?;
    let id = Id::parse(&given);
    let id = id.ok_or_else(|| refuse(Problem::NotId, Value::from(given.as_str())))?;
    let (owner, present): (_, Option<&State>) = match kind {
        RunKind::FlowRun => (Some(Owner::of_run(id)), store.run(id).map(|run| &run.state)),
        RunKind::TaskRun => {
            let task = store.task_run(id);
            (task.map(Owner::of_task), task.map(|task| &task.state))
        }
    };
    let left = store.left.get(&id).into_iter().flatten();
    let mut states: Vec<&State> = left.chain(present).collect();
    states.sort_by_key(|state| state.timestamp);
    let lens = RenderContext {
        capabilities: &store.settings().capabilities,
        now: store.now(),
    };
    let owner = owner.unwrap_or_default();
    let shown: Vec<_> = states
        .into_iter()
        .map(|state| lens.state_view(state, owner))
        .collect();
    Ok(ApiResponse::text(200, text(&shown)?))
}
