//! The listing of task runs.

use std::collections::HashSet;

use serde_json::Value;

use super::{TaskRun, schema::FORM};
use crate::{
    error_response::ErrorResponse,
    filter::Clause,
    form::{self, Request},
    id::Id,
    model::FlowRun,
    query::text,
    store::Store,
    view::RenderContext,
};

/// The filters of a request, reduced to task runs.
struct ResolvedFilters<'a> {
    own: Option<&'a Clause>,
    /// The flow runs whose task runs pass.
    runs: Option<HashSet<Id>>,
}

impl<'a> ResolvedFilters<'a> {
    fn new(store: &Store, request: &'a Request) -> Self {
        let (flows, runs) = (request.clause("flows"), request.clause("flow_runs"));
        let deployments = request.clause("deployments");
        let holds = |run: &FlowRun| {
            let flow = || store.flow(run.flow_id);
            let deployment = || run.deployment_id.and_then(|id| store.deployment(id));
            runs.is_none_or(|clause| clause.holds(run))
                && flows.is_none_or(|clause| flow().is_some_and(|flow| clause.holds(flow)))
                && deployments.is_none_or(|clause| deployment().is_some_and(|d| clause.holds(d)))
        };
        let any = flows.is_some() || runs.is_some() || deployments.is_some();
        let theirs = || {
            let wanted = store.runs().filter(|run| holds(run));
            wanted.map(|run| run.id).collect()
        };
        Self {
            own: request.clause(FORM.name).filter(|own| !own.is_open()),
            runs: any.then(theirs),
        }
    }

    fn keeps(&self, task: &TaskRun) -> bool {
        let of = |runs: &HashSet<Id>| task.flow_run_id.is_some_and(|id| runs.contains(&id));
        self.runs.as_ref().is_none_or(of) && self.own.is_none_or(|own| own.holds(task))
    }
}

/// Returns the task runs of a page, as a JSON array.
pub fn list(store: &mut Store, body: &Value) -> Result<String, ErrorResponse> {
    let request = form::read(store.settings(), &FORM, body, true)?;
    let page = request.page(FORM.name, store.tie_seed());
    let narrowed = ResolvedFilters::new(store, &request);
    let capabilities = store.settings().capabilities.clone();
    let lens = RenderContext {
        capabilities: &capabilities,
        now: store.now(),
    };
    let everything = narrowed.own.is_none() && narrowed.runs.is_none();
    let keep = |task: &TaskRun| narrowed.keeps(task);
    let rows = store
        .tasks
        .select(&page, if everything { None } else { Some(&keep) });
    let shown: Vec<_> = rows.into_iter().map(|task| lens.task_run(task)).collect();
    text(&shown)
}

/// Returns the number of task runs that pass the filters.
pub fn count(store: &Store, body: &Value) -> Result<usize, ErrorResponse> {
    let request = form::read(store.settings(), &FORM, body, false)?;
    let narrowed = ResolvedFilters::new(store, &request);
    let kept = store.task_runs().filter(|task| narrowed.keeps(task));
    Ok(kept.count())
}

/// Returns one task run as JSON.
pub fn get(store: &Store, id: Id) -> Result<String, ErrorResponse> {
    let lens = RenderContext {
        capabilities: &store.settings().capabilities,
        now: store.now(),
    };
    let task = store.task_run(id);
    // Prefect's message says `Task` here, not `Task run`.
    let task = task.ok_or_else(|| ErrorResponse::not_found("Task"))?;
    text(&lens.task_run(task))
}
