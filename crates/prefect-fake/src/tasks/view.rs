//! Task runs in the JSON shape of a release.

use serde::Serialize;

use super::TaskRun;
use crate::{
    id::Id,
    model::Json,
    times::{ApiTime, seconds},
    view::{Owner, RenderContext, Since, StateView},
};

#[derive(Serialize)]
struct TaskRunView<'a> {
    id: Id,
    created: ApiTime,
    updated: ApiTime,
    name: &'a str,
    flow_run_id: Option<Id>,
    task_key: &'a str,
    dynamic_key: &'a str,
    cache_key: Option<&'a str>,
    cache_expiration: Option<ApiTime>,
    task_version: Option<&'a str>,
    empirical_policy: PolicyView,
    tags: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    labels: Since<&'a Json>,
    state_id: Id,
    task_inputs: &'a Json,
    state_type: &'static str,
    state_name: &'a str,
    run_count: u32,
    flow_run_run_count: u32,
    expected_start_time: ApiTime,
    next_scheduled_start_time: Option<ApiTime>,
    start_time: Option<ApiTime>,
    end_time: Option<ApiTime>,
    total_run_time: f64,
    estimated_run_time: f64,
    estimated_start_time_delta: f64,
    state: StateView<'a>,
}

#[derive(Serialize)]
struct PolicyView {
    max_retries: u32,
    retry_delay_seconds: f64,
    retries: u32,
    retry_delay: u32,
    retry_jitter_factor: (),
}

impl RenderContext<'_> {
    /// A task run.
    pub fn task_run<'a>(&self, task: &'a TaskRun) -> impl Serialize + use<'a> {
        let (retries, retry_delay) = task.retries.unwrap_or((0, 0));
        TaskRunView {
            id: task.id,
            created: self.show(task.created),
            updated: self.show(task.updated),
            name: &task.name,
            flow_run_id: task.flow_run_id,
            task_key: &task.task_key,
            dynamic_key: &task.dynamic_key,
            cache_key: task.cache_key.as_deref(),
            cache_expiration: task.cache_expiration.map(|at| self.show(at)),
            task_version: task.task_version.as_deref(),
            empirical_policy: PolicyView {
                max_retries: 0,
                retry_delay_seconds: 0.0,
                retries,
                retry_delay,
                retry_jitter_factor: (),
            },
            tags: &task.tags,
            labels: self.capabilities.labels.then_some(&task.labels),
            state_id: task.state.id,
            task_inputs: &task.task_inputs,
            state_type: task.state.kind.text(),
            state_name: &task.state.name,
            run_count: task.run_count,
            flow_run_run_count: task.flow_run_run_count,
            expected_start_time: self.show(task.expected_start_time),
            next_scheduled_start_time: task.next_scheduled_start_time.map(|at| self.show(at)),
            start_time: task.start_time.map(|at| self.show(at)),
            end_time: task.end_time.map(|at| self.show(at)),
            total_run_time: seconds(task.total_run_time),
            estimated_run_time: seconds(task.estimated_run_time(self.now)),
            estimated_start_time_delta: seconds(task.estimated_start_time_delta(self.now)),
            state: self.state_view(&task.state, Owner::of_task(task)),
        }
    }
}
