//! The two write endpoints that tests need to prepare task runs. Unknown keys are not rejected here.

use serde_json::{Value, json};

use super::{NewTaskRun, query};
use crate::{
    changes::NewState,
    error_response::ErrorResponse,
    id::Id,
    message::ApiResponse,
    model::{Json, StateType},
    store::Store,
    view::{Owner, RenderContext},
};

fn state(given: &Value) -> Option<NewState> {
    let mut state = NewState::new(StateType::parse(given["type"].as_str()?)?);
    let text = |key: &str| given[key].as_str().map(str::to_owned);
    (state.name, state.message) = (text("name"), text("message"));
    Some(state)
}

/// `POST /task_runs/`: 201 with the new task run, or 200 with the existing one.
pub(crate) fn create(store: &mut Store, body: &Value) -> Result<ApiResponse, ErrorResponse> {
    let text = |key: &str| body[key].as_str().unwrap_or_default().to_owned();
    let tags = body["tags"].as_array().into_iter().flatten();
    let new = NewTaskRun {
        flow_run_id: body["flow_run_id"].as_str().and_then(Id::parse),
        name: text("name"),
        task_key: text("task_key"),
        dynamic_key: text("dynamic_key"),
        task_inputs: body
            .get("task_inputs")
            .map_or_else(Json::object, Json::from_serialize),
        tags: tags
            .filter_map(|tag| tag.as_str().map(str::to_owned))
            .collect(),
        state: state(&body["state"]),
    };
    let (id, new) = store
        .create_task_run(new)
        .map_err(|_| ErrorResponse::conflict())?;
    let policy = |key: &str| u32::try_from(body["empirical_policy"][key].as_u64()?).ok();
    let retries = policy("retries").zip(policy("retry_delay"));
    // The retries belong to the creation, so `updated` does not change.
    store.tasks.update(id, |task| task.retries = retries);
    Ok(ApiResponse::text(
        if new { 201 } else { 200 },
        query::get(store, id)?,
    ))
}

/// `POST /task_runs/{id}/set_state`; every state is accepted.
pub(crate) fn set_state(
    store: &mut Store,
    id: Id,
    body: &Value,
) -> Result<ApiResponse, ErrorResponse> {
    let missing = || ErrorResponse::Exception(404, format!("Task run with id {id} not found"));
    let new = state(&body["state"]).unwrap_or_else(|| NewState::new(StateType::Pending));
    store.set_task_state(id, new).map_err(|_| missing())?;
    let lens = RenderContext {
        capabilities: &store.settings().capabilities,
        now: store.now(),
    };
    let task = store.task_run(id).ok_or_else(missing)?;
    let shown = serde_json::to_value(lens.state_view(&task.state, Owner::of_task(task)));
    let details = json!({ "type": "accept_details" });
    Ok(ApiResponse::json(
        201,
        &json!({ "state": shown.unwrap_or_default(), "status": "ACCEPT", "details": details }),
    ))
}
