//! The row of `server_info`: the server's description of itself, and its detected abilities.

use serde_json::{Map, Value, json};

use super::session::SyncSession;
use crate::{
    prefect::ServerInfo,
    rows::{Context, Row},
    tables::Table,
};

/// Settings that are not secret and that an analyst may want. Each has its Prefect 3 name and its Prefect 2 name, which
/// may be empty.
const SETTINGS: &[(&str, &str)] = &[
    ("server.api.default_limit", "PREFECT_API_DEFAULT_LIMIT"),
    (
        "server.api.csrf_protection_enabled",
        "PREFECT_SERVER_CSRF_PROTECTION_ENABLED",
    ),
    (
        "server.events.retention_period",
        "PREFECT_EVENTS_RETENTION_PERIOD",
    ),
    (
        "server.services.scheduler.enabled",
        "PREFECT_API_SERVICES_SCHEDULER_ENABLED",
    ),
    (
        "server.services.scheduler.max_runs",
        "PREFECT_API_SERVICES_SCHEDULER_MAX_RUNS",
    ),
    (
        "server.services.scheduler.max_scheduled_time",
        "PREFECT_API_SERVICES_SCHEDULER_MAX_SCHEDULED_TIME",
    ),
    (
        "server.services.late_runs.enabled",
        "PREFECT_API_SERVICES_LATE_RUNS_ENABLED",
    ),
    (
        "server.services.late_runs.after_seconds",
        "PREFECT_API_SERVICES_LATE_RUNS_AFTER_SECONDS",
    ),
    ("server.services.db_vacuum.enabled", ""),
    ("server.services.db_vacuum.retention_period", ""),
    (
        "server.tasks.tag_concurrency_slot_wait_seconds",
        "PREFECT_TASK_RUN_TAG_CONCURRENCY_SLOT_WAIT_SECONDS",
    ),
];

/// Creates the row from what is known; `None` only if it cannot be parsed.
pub(super) fn server_row(
    table: &'static Table,
    version: Option<&str>,
    about: &ServerInfo,
    session: &mut SyncSession,
    context: &Context,
) -> Option<Row> {
    session.collect();
    let state = &session.state;
    let mut capabilities: Map<String, Value> = state
        .abilities()
        .map(|(table, time)| (table.to_owned(), time.into()))
        .collect();
    capabilities.insert("absent_tables".to_owned(), json!(state.absent));
    let settings = about.settings.as_ref().map(selected);
    let object = json!({
        "id": context.workspace_id.as_deref().unwrap_or("server"),
        "version": version,
        "api_version": about.api_version,
        "capabilities": capabilities,
        "settings": settings,
    });
    tracing::info!(
        version,
        capabilities = %object["capabilities"],
        "the server was found to be"
    );
    Row::parse(table, &object.to_string(), context)
}

fn selected(settings: &Value) -> Map<String, Value> {
    let found = SETTINGS.iter().filter_map(|(name, old)| {
        let nested = name.split('.').try_fold(settings, |at, step| at.get(step));
        let value = nested.or_else(|| settings.get(old))?;
        is_plain(value).then(|| ((*name).to_owned(), value.clone()))
    });
    found.collect()
}

fn is_plain(value: &Value) -> bool {
    value.is_boolean() || value.is_number() || value.is_string()
}

/// Returns the server's settings that the connector shows, each at its own path. The others may be secret.
pub fn public_settings(settings: &Value) -> Value {
    let mut harmless = json!({});
    for (name, old) in SETTINGS {
        if let Some(value) = settings.get(old).filter(|value| is_plain(value)) {
            harmless[*old] = value.clone();
        }
        let steps = name.split('.');
        let value = steps.clone().try_fold(settings, |at, step| at.get(step));
        if let Some(value) = value.filter(|value| is_plain(value)) {
            // Creates the objects along the path. No setting's name begins with another's.
            *steps.fold(&mut harmless, |at, step| &mut at[step]) = value.clone();
        }
    }
    harmless
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_listed_settings_are_taken() {
        let settings = json!({
            "server": {
                "api": {"default_limit": 200, "auth_string": "admin:pass"},
                "database": {"connection_url": "postgresql://user:secret@h/db"},
                "services": {"scheduler": {"enabled": true}},
            },
            "PREFECT_API_SERVICES_LATE_RUNS_AFTER_SECONDS": 15.0,
        });
        let taken = Value::Object(selected(&settings));
        assert_eq!(
            taken,
            json!({
                "server.api.default_limit": 200,
                "server.services.scheduler.enabled": true,
                "server.services.late_runs.after_seconds": 15.0,
            })
        );
    }
}
