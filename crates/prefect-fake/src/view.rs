//! Rows in the JSON shape of a release.

use serde::Serialize;

use super::{
    id::Id,
    model::{Creator, Flow, FlowRun, Json, State, Time},
    tasks::TaskRun,
    times::{ApiTime, seconds},
    versions::Capabilities,
};

/// The release and the time for which rows are serialized.
#[derive(Debug, Clone, Copy)]
pub struct RenderContext<'a> {
    /// The release.
    pub capabilities: &'a Capabilities,
    /// The time of the response; volatile fields depend on it.
    pub now: Time,
}

/// A key of some releases only: `None` omits it, and a missing value inside `Some` is null.
pub(super) type Since<T> = Option<T>;

#[derive(Serialize)]
struct FlowView<'a> {
    id: Id,
    created: ApiTime,
    updated: ApiTime,
    name: &'a str,
    tags: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    labels: Since<&'a Json>,
}

#[derive(Serialize)]
struct RunView<'a> {
    id: Id,
    created: ApiTime,
    updated: ApiTime,
    name: &'a str,
    flow_id: Id,
    state_id: Id,
    deployment_id: Option<Id>,
    deployment_version: Option<&'a str>,
    work_queue_id: Option<Id>,
    work_queue_name: Option<&'a str>,
    flow_version: Option<&'a str>,
    parameters: &'a Json,
    idempotency_key: Option<&'a str>,
    context: Empty,
    empirical_policy: PolicyView,
    tags: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    labels: Since<&'a Json>,
    parent_task_run_id: Option<Id>,
    state_type: &'static str,
    state_name: &'a str,
    run_count: u32,
    expected_start_time: ApiTime,
    next_scheduled_start_time: Option<ApiTime>,
    start_time: Option<ApiTime>,
    end_time: Option<ApiTime>,
    total_run_time: f64,
    estimated_run_time: f64,
    estimated_start_time_delta: f64,
    auto_scheduled: bool,
    infrastructure_document_id: (),
    infrastructure_pid: Option<&'a str>,
    created_by: Option<&'a Creator>,
    work_pool_id: Option<Id>,
    work_pool_name: Option<&'a str>,
    state: StateView<'a>,
    job_variables: Option<&'a Json>,
}

/// An object without keys.
#[derive(Serialize)]
pub(super) struct Empty {}

#[derive(Serialize)]
struct PolicyView {
    max_retries: u32,
    retry_delay_seconds: f64,
    retries: Option<u32>,
    retry_delay: Option<u32>,
    pause_keys: [(); 0],
    resuming: bool,
    retry_type: (),
}

/// The run that a state belongs to.
#[derive(Clone, Copy, Default)]
pub(super) struct Owner {
    flow_run: Option<Id>,
    task_run: Option<Id>,
    child: Option<Id>,
}

impl Owner {
    pub(super) fn of_run(id: Id) -> Self {
        Self {
            flow_run: Some(id),
            ..Self::default()
        }
    }

    pub(super) fn of_task(task: &TaskRun) -> Self {
        Self {
            flow_run: task.flow_run_id,
            task_run: Some(task.id),
            child: task.child_flow_run_id,
        }
    }
}

#[derive(Serialize)]
pub(super) struct StateView<'a> {
    id: Id,
    #[serde(rename = "type")]
    kind: &'static str,
    name: &'a str,
    timestamp: ApiTime,
    message: Option<&'a str>,
    data: (),
    state_details: DetailsView,
}

#[derive(Serialize)]
struct DetailsView {
    flow_run_id: Option<Id>,
    task_run_id: Option<Id>,
    child_flow_run_id: Option<Id>,
    scheduled_time: Option<ApiTime>,
    cache_key: (),
    cache_expiration: (),
    #[serde(skip_serializing_if = "Option::is_none")]
    deferred: Since<bool>,
    untrackable_result: bool,
    pause_timeout: Option<ApiTime>,
    pause_reschedule: bool,
    pause_key: (),
    run_input_keyset: (),
    refresh_cache: (),
    retriable: (),
    transition_id: (),
    task_parameters_id: (),
    #[serde(skip_serializing_if = "Option::is_none")]
    traceparent: Since<()>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deployment_concurrency_lease_id: Since<()>,
}

impl RenderContext<'_> {
    pub(super) fn show(&self, at: Time) -> ApiTime {
        ApiTime {
            at,
            zulu: self.capabilities.zulu,
        }
    }

    /// Includes a key that exists only in 3.x.
    pub(super) fn new_only<T>(&self, value: T) -> Since<T> {
        self.capabilities.third_generation.then_some(value)
    }

    /// Includes a key that exists only in 2.x.
    pub(super) fn old_only<T>(&self, value: T) -> Since<T> {
        (!self.capabilities.third_generation).then_some(value)
    }

    /// A flow.
    pub fn flow<'a>(&self, flow: &'a Flow) -> impl Serialize + use<'a> {
        FlowView {
            id: flow.id,
            created: self.show(flow.created),
            updated: self.show(flow.updated),
            name: &flow.name,
            tags: &flow.tags,
            labels: self.capabilities.labels.then_some(&flow.labels),
        }
    }

    /// A flow run.
    pub fn run<'a>(&self, run: &'a FlowRun) -> impl Serialize + use<'a> {
        let queue = run.queue.as_ref();
        RunView {
            id: run.id,
            created: self.show(run.created),
            updated: self.show(run.updated),
            name: &run.name,
            flow_id: run.flow_id,
            state_id: run.state.id,
            deployment_id: run.deployment_id,
            deployment_version: run.deployment_version.as_deref(),
            work_queue_id: queue.map(|queue| queue.id),
            work_queue_name: queue.map(|queue| queue.name.as_str()),
            flow_version: run.flow_version.as_deref(),
            parameters: &run.parameters,
            idempotency_key: run.idempotency_key.as_deref(),
            context: Empty {},
            empirical_policy: policy(run.retries),
            tags: &run.tags,
            labels: self.capabilities.labels.then_some(&run.labels),
            parent_task_run_id: run.parent_task_run_id,
            state_type: run.state.kind.text(),
            state_name: &run.state.name,
            run_count: run.run_count,
            expected_start_time: self.show(run.expected_start_time),
            next_scheduled_start_time: run.next_scheduled_start_time.map(|at| self.show(at)),
            start_time: run.start_time.map(|at| self.show(at)),
            end_time: run.end_time.map(|at| self.show(at)),
            total_run_time: seconds(run.total_run_time),
            estimated_run_time: seconds(run.estimated_run_time(self.now)),
            estimated_start_time_delta: seconds(run.estimated_start_time_delta(self.now)),
            auto_scheduled: run.auto_scheduled,
            infrastructure_document_id: (),
            infrastructure_pid: run.infrastructure_pid.as_deref(),
            created_by: run.created_by.as_ref(),
            work_pool_id: queue.map(|queue| queue.pool_id),
            work_pool_name: queue.map(|queue| queue.pool_name.as_str()),
            state: self.state_view(&run.state, Owner::of_run(run.id)),
            job_variables: run.job_variables.as_ref(),
        }
    }

    /// A state of the run `run_id`.
    pub fn state<'a>(&self, state: &'a State, run_id: Id) -> impl Serialize + use<'a> {
        self.state_view(state, Owner::of_run(run_id))
    }

    pub(super) fn state_view<'a>(&self, state: &'a State, owner: Owner) -> StateView<'a> {
        StateView {
            id: state.id,
            kind: state.kind.text(),
            name: &state.name,
            timestamp: self.show(state.timestamp),
            message: state.message.as_deref(),
            data: (),
            state_details: DetailsView {
                flow_run_id: owner.flow_run,
                task_run_id: owner.task_run,
                child_flow_run_id: owner.child,
                scheduled_time: state.scheduled_time.map(|at| self.show(at)),
                cache_key: (),
                cache_expiration: (),
                deferred: self.new_only(false),
                untrackable_result: false,
                pause_timeout: state.pause_timeout.map(|at| self.show(at)),
                pause_reschedule: false,
                pause_key: (),
                run_input_keyset: (),
                refresh_cache: (),
                retriable: (),
                transition_id: (),
                task_parameters_id: (),
                traceparent: self.new_only(()),
                deployment_concurrency_lease_id: self.new_only(()),
            },
        }
    }
}

fn policy(retries: Option<(u32, u32)>) -> PolicyView {
    PolicyView {
        max_retries: 0,
        retry_delay_seconds: 0.0,
        retries: retries.map(|(count, _)| count),
        retry_delay: retries.map(|(_, delay)| delay),
        pause_keys: [],
        resuming: false,
        retry_type: (),
    }
}
