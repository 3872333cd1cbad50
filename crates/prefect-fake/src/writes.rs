//! The few write endpoints that tests need to prepare a server. They turn request bodies into mutations.

use serde_json::{Map, Value, json};

use super::{
    changes::{NewDeployment, NewRun, NewState, RunEdit},
    error_response::{ErrorResponse, PathSegment, Problem},
    id::Id,
    message::ApiResponse,
    model::{Json, Rule, Schedule, StateType, Time},
    orchestration::{self, Verdict},
    query,
    schema::Collection,
    store::{Store, StoreError},
    times,
    versions::Dialect,
    view::RenderContext,
};

/// A body or a nested object that is being parsed, with its place for error messages.
struct Body<'a> {
    whole: &'a Value,
    object: &'a Map<String, Value>,
    place: Vec<&'static str>,
}

fn refuse(whole: &Value, place: &[&str], problem: Problem, input: Value) -> ErrorResponse {
    let steps = ["body"]
        .iter()
        .chain(place)
        .map(|key| PathSegment::Key((*key).to_owned()))
        .collect();
    ErrorResponse::one(problem, steps, input, whole.clone())
}

impl<'a> Body<'a> {
    fn from_value(whole: &'a Value, known: &[&str]) -> Result<Self, ErrorResponse> {
        Self::inside(whole, whole, Vec::new(), known)
    }

    fn inside(
        whole: &'a Value,
        value: &'a Value,
        place: Vec<&'static str>,
        known: &[&str],
    ) -> Result<Self, ErrorResponse> {
        let Some(object) = value.as_object() else {
            return Err(refuse(whole, &place, Problem::NotObject, value.clone()));
        };
        if let Some((key, value)) = object
            .iter()
            .find(|(key, _)| !known.contains(&key.as_str()))
        {
            let mut at = place.clone();
            at.push(key.as_str());
            return Err(refuse(whole, &at, Problem::Extra, value.clone()));
        }
        Ok(Self {
            whole,
            object,
            place,
        })
    }

    fn get(&self, key: &str) -> Option<&'a Value> {
        self.object.get(key).filter(|value| !value.is_null())
    }

    fn refuse(&self, key: &'static str, problem: Problem, input: Value) -> ErrorResponse {
        let mut place = self.place.clone();
        place.push(key);
        refuse(self.whole, &place, problem, input)
    }

    fn text(&self, key: &'static str) -> Result<Option<String>, ErrorResponse> {
        let Some(value) = self.get(key) else {
            return Ok(None);
        };
        let text = value
            .as_str()
            .ok_or_else(|| self.refuse(key, Problem::NotText, value.clone()))?;
        Ok(Some(text.to_owned()))
    }

    fn id(&self, key: &'static str) -> Result<Option<Id>, ErrorResponse> {
        let Some(value) = self.get(key) else {
            return Ok(None);
        };
        let id = value.as_str().and_then(Id::parse);
        id.map(Some)
            .ok_or_else(|| self.refuse(key, Problem::NotId, value.clone()))
    }

    fn tags(&self, key: &'static str) -> Result<Option<Vec<String>>, ErrorResponse> {
        let Some(value) = self.get(key) else {
            return Ok(None);
        };
        let items = value
            .as_array()
            .ok_or_else(|| self.refuse(key, Problem::NotList, value.clone()))?;
        Ok(Some(
            items
                .iter()
                .filter_map(|item| item.as_str().map(str::to_owned))
                .collect(),
        ))
    }

    fn json(&self, key: &str) -> Option<Json> {
        self.get(key).map(Json::from_serialize)
    }

    fn flag(&self, key: &str) -> Option<bool> {
        self.get(key).and_then(Value::as_bool)
    }

    fn needed<T>(&self, key: &'static str, found: Option<T>) -> Result<T, ErrorResponse> {
        found.ok_or_else(|| self.refuse(key, Problem::Missing, Value::Object(self.object.clone())))
    }
}

fn refused(error: StoreError) -> ErrorResponse {
    match error {
        StoreError::NotFound { collection, .. } => ErrorResponse::not_found(collection.noun()),
        StoreError::UnknownFlow(_) => ErrorResponse::conflict(),
        StoreError::Nothing { noun, .. } => ErrorResponse::not_found(noun),
    }
}

/// `POST /<collection>/`: 201 with the new row, or 200 with the existing one.
pub(super) fn create(
    store: &mut Store,
    collection: Collection,
    body: &Value,
) -> Result<ApiResponse, ErrorResponse> {
    let (id, new) = match collection {
        Collection::Flows => create_flow(store, body)?,
        Collection::FlowRuns => create_run(store, body)?,
        Collection::Deployments => create_deployment(store, body)?,
    };
    Ok(ApiResponse::text(
        if new { 201 } else { 200 },
        query::get(store, collection, id)?,
    ))
}

fn create_flow(store: &mut Store, whole: &Value) -> Result<(Id, bool), ErrorResponse> {
    let mut known = vec!["name", "tags"];
    known.extend(store.settings().capabilities.labels.then_some("labels"));
    let body = Body::from_value(whole, &known)?;
    let name = body.needed("name", body.text("name")?)?;
    let tags = body.tags("tags")?.unwrap_or_default();
    Ok(store.create_flow(
        &name,
        &tags,
        body.json("labels").unwrap_or_else(Json::object),
    ))
}

fn create_run(store: &mut Store, whole: &Value) -> Result<(Id, bool), ErrorResponse> {
    let known = [
        "name",
        "flow_id",
        "deployment_id",
        "parameters",
        "tags",
        "idempotency_key",
        "state",
        "parent_task_run_id",
    ];
    let body = Body::from_value(whole, &known)?;
    let mut new = NewRun::new(body.needed("flow_id", body.id("flow_id")?)?);
    new.name = body.text("name")?;
    new.deployment_id = body.id("deployment_id")?;
    new.parameters = body.json("parameters").unwrap_or_else(Json::object);
    new.tags = body.tags("tags")?.unwrap_or_default();
    new.idempotency_key = body.text("idempotency_key")?;
    new.parent_task_run_id = body.id("parent_task_run_id")?;
    new.state = body
        .get("state")
        .map(|value| state(store, whole, value))
        .transpose()?;
    store.create_run(new).map_err(refused)
}

fn create_deployment(store: &mut Store, whole: &Value) -> Result<(Id, bool), ErrorResponse> {
    let known = [
        "name",
        "flow_id",
        "tags",
        "parameters",
        "paused",
        "schedules",
        "version",
        "description",
        if store.settings().capabilities.third_generation {
            "job_variables"
        } else {
            "infra_overrides"
        },
    ];
    let body = Body::from_value(whole, &known)?;
    let name = body.needed("name", body.text("name")?)?;
    let mut new = NewDeployment::new(body.needed("flow_id", body.id("flow_id")?)?, &name);
    new.tags = body.tags("tags")?;
    new.parameters = body.json("parameters").unwrap_or_else(Json::object);
    new.job_variables = body
        .json("job_variables")
        .or_else(|| body.json("infra_overrides"))
        .unwrap_or_else(Json::object);
    new.paused = body.flag("paused");
    new.version = body.text("version")?;
    new.description = body.text("description")?;
    for value in body
        .get("schedules")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        let made = schedule(store, value);
        new.schedules.push(body.needed("schedules", made)?);
    }
    store.create_deployment(new).map_err(refused)
}

fn schedule(store: &mut Store, value: &Value) -> Option<Schedule> {
    let given = value.get("schedule")?;
    let text = |key: &str| given.get(key).and_then(Value::as_str).map(str::to_owned);
    let timezone = text("timezone").unwrap_or_else(|| "UTC".to_owned());
    let rule = if let Some(cron) = text("cron") {
        Rule::Cron { cron, timezone }
    } else if let Some(rrule) = text("rrule") {
        // 3.x writes the assumed start into the rule.
        let third = store.settings().capabilities.third_generation && !rrule.contains("DTSTART");
        Rule::RRule {
            rrule: if third {
                format!("DTSTART:20200101T000000\n{rrule}")
            } else {
                rrule
            },
            timezone,
        }
    } else {
        let seconds = u32::try_from(given.get("interval")?.as_i64()?).ok()?;
        let anchor = given
            .get("anchor_date")
            .and_then(|value| times::parse(value, false));
        Rule::Interval {
            seconds,
            anchor: anchor.unwrap_or(store.now()),
        }
    };
    let now = store.now();
    Some(Schedule {
        id: store.new_id(),
        created: now,
        updated: now,
        rule,
        active: value.get("active").and_then(Value::as_bool).unwrap_or(true),
        parameters: value
            .get("parameters")
            .map_or_else(Json::object, Json::from_serialize),
        slug: value.get("slug").and_then(Value::as_str).map(str::to_owned),
    })
}

fn state(store: &Store, whole: &Value, value: &Value) -> Result<NewState, ErrorResponse> {
    let new_dialect = store.settings().capabilities.dialect == Dialect::New;
    let mut known = vec!["type", "name", "message", "data", "state_details"];
    if !new_dialect {
        // Accepted and ignored.
        known.extend(["timestamp", "id"]);
    }
    let body = Body::inside(whole, value, vec!["state"], &known)?;
    let text = body.needed("type", body.text("type")?)?;
    let kind = StateType::parse(&text).ok_or_else(|| {
        body.refuse(
            "type",
            Problem::NotOneOf(StateType::ALL.map(StateType::text).to_vec()),
            Value::from(text.as_str()),
        )
    })?;
    let due = body
        .get("state_details")
        .and_then(|details| details.get("scheduled_time"));
    let scheduled_time: Option<Time> = due.and_then(|value| times::parse(value, new_dialect));
    Ok(NewState {
        kind,
        name: body.text("name")?,
        message: body.text("message")?,
        scheduled_time,
    })
}

/// `POST /flow_runs/{id}/set_state`.
pub(super) fn set_state(
    store: &mut Store,
    id: Id,
    whole: &Value,
) -> Result<ApiResponse, ErrorResponse> {
    let state_given = whole.get("state").filter(|value| !value.is_null());
    let Some(value) = state_given else {
        return Err(refuse(whole, &["state"], Problem::Missing, Value::Null));
    };
    let new = state(store, whole, value)?;
    let force = whole.get("force").and_then(Value::as_bool).unwrap_or(false);
    let Some(run) = store.run(id) else {
        return Err(ErrorResponse::Exception(
            404,
            format!("Flow run with id {id} not found"),
        ));
    };
    let verdict = if force {
        Verdict::Accept
    } else {
        orchestration::judge(
            run.state.kind,
            new.kind,
            run.deployment_id.is_some(),
            &store.settings().capabilities,
        )
    };
    let (next, status, details) = match verdict {
        Verdict::Accept => (Some(new), "ACCEPT", json!({ "type": "accept_details" })),
        Verdict::Abort(reason) => (
            None,
            "ABORT",
            json!({ "type": "abort_details", "reason": reason }),
        ),
        Verdict::Reject(reason) => (
            None,
            "REJECT",
            json!({ "type": "reject_details", "reason": reason }),
        ),
        Verdict::Instead(kind, reason) => (
            Some(NewState::new(kind)),
            "REJECT",
            json!({ "type": "reject_details", "reason": reason }),
        ),
    };
    let code = if next.is_some() { 201 } else { 200 };
    if let Some(next) = next {
        store.set_state(id, next).map_err(refused)?;
    }
    let lens = RenderContext {
        capabilities: &store.settings().capabilities,
        now: store.now(),
    };
    let shown = store
        .run(id)
        .map(|run| serde_json::to_value(lens.state(&run.state, id)).unwrap_or_default());
    Ok(ApiResponse::json(
        code,
        &json!({ "state": shown, "status": status, "details": details }),
    ))
}

/// `PATCH /<collection>/{id}`.
pub(super) fn edit(
    store: &mut Store,
    collection: Collection,
    id: Id,
    whole: &Value,
) -> Result<(), ErrorResponse> {
    if collection == Collection::Flows {
        let body = Body::from_value(whole, &["tags"])?;
        return store
            .set_flow_tags(id, body.tags("tags")?.unwrap_or_default())
            .map_err(refused);
    }
    let body = Body::from_value(whole, &["name", "tags", "parameters", "infrastructure_pid"])?;
    let edit = RunEdit {
        name: body.text("name")?,
        tags: body.tags("tags")?,
        parameters: body.json("parameters"),
        labels: None,
        infrastructure_pid: body.text("infrastructure_pid")?,
    };
    store.edit_run(id, edit).map_err(refused)
}

/// `DELETE /<collection>/{id}`.
pub(super) fn delete(
    store: &mut Store,
    collection: Collection,
    id: Id,
) -> Result<(), ErrorResponse> {
    match collection {
        Collection::Flows => store.delete_flow(id),
        Collection::FlowRuns => store.delete_run(id),
        Collection::Deployments => store.delete_deployment(id),
    }
    .map_err(refused)
}
