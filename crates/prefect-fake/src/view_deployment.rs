//! Deployments in the JSON shape of a release.

use serde::Serialize;

use super::{
    id::Id,
    model::{Creator, Deployment, Json, Queue, Rule, Schedule},
    times::ApiTime,
    view::{Empty, RenderContext, Since},
};

#[derive(Serialize)]
struct DeploymentView<'a> {
    id: Id,
    created: ApiTime,
    updated: ApiTime,
    #[serde(skip_serializing_if = "Option::is_none")]
    infra_overrides: Since<&'a Json>,
    name: &'a str,
    version: Option<&'a str>,
    description: Option<&'a str>,
    flow_id: Id,
    #[serde(skip_serializing_if = "Option::is_none")]
    schedule: Since<Option<RuleView<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    is_schedule_active: Since<bool>,
    paused: bool,
    schedules: Vec<ScheduleView<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    concurrency_limit: Since<()>,
    #[serde(skip_serializing_if = "Option::is_none")]
    global_concurrency_limit: Since<()>,
    #[serde(skip_serializing_if = "Option::is_none")]
    concurrency_options: Since<()>,
    #[serde(skip_serializing_if = "Option::is_none")]
    job_variables: Since<&'a Json>,
    parameters: &'a Json,
    tags: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    labels: Since<&'a Json>,
    work_queue_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    work_queue_id: Since<Option<Id>>,
    last_polled: Option<ApiTime>,
    parameter_openapi_schema: Option<Empty>,
    path: Option<&'a str>,
    pull_steps: Option<[(); 0]>,
    entrypoint: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    manifest_path: Since<()>,
    storage_document_id: (),
    infrastructure_document_id: (),
    created_by: Option<&'a Creator>,
    updated_by: Option<&'a Creator>,
    work_pool_name: Option<&'a str>,
    status: &'static str,
    enforce_parameter_schema: bool,
}

#[derive(Serialize)]
struct ScheduleView<'a> {
    id: Id,
    created: ApiTime,
    updated: ApiTime,
    deployment_id: Id,
    schedule: RuleView<'a>,
    active: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_active_runs: Since<()>,
    max_scheduled_runs: (),
    #[serde(skip_serializing_if = "Option::is_none")]
    catchup: Since<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters: Since<&'a Json>,
    #[serde(skip_serializing_if = "Option::is_none")]
    slug: Since<Option<&'a str>>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum RuleView<'a> {
    Cron {
        cron: &'a str,
        timezone: &'a str,
        day_or: bool,
    },
    Interval {
        interval: f64,
        anchor_date: ApiTime,
        timezone: &'static str,
    },
    RRule {
        rrule: &'a str,
        timezone: &'a str,
    },
}

impl RenderContext<'_> {
    /// A deployment.
    pub fn deployment<'a>(&self, deployment: &'a Deployment) -> impl Serialize + use<'a> {
        let queue: Option<&'a Queue> = deployment.queue.as_ref();
        DeploymentView {
            id: deployment.id,
            created: self.show(deployment.created),
            updated: self.show(deployment.updated),
            infra_overrides: self.old_only(&deployment.job_variables),
            name: &deployment.name,
            version: deployment.version.as_deref(),
            description: deployment.description.as_deref(),
            flow_id: deployment.flow_id,
            schedule: self.old_only(
                deployment
                    .schedules
                    .first()
                    .map(|first| self.rule(&first.rule)),
            ),
            is_schedule_active: self.old_only(!deployment.paused),
            paused: deployment.paused,
            schedules: deployment
                .schedules
                .iter()
                .map(|schedule| self.schedule(schedule, deployment.id))
                .collect(),
            concurrency_limit: self.new_only(()),
            global_concurrency_limit: self.new_only(()),
            concurrency_options: self.new_only(()),
            job_variables: self.new_only(&deployment.job_variables),
            parameters: &deployment.parameters,
            tags: &deployment.tags,
            labels: self.capabilities.labels.then_some(&deployment.labels),
            work_queue_name: queue.map(|queue| queue.name.as_str()),
            work_queue_id: self.new_only(queue.map(|queue| queue.id)),
            last_polled: deployment.last_polled.map(|at| self.show(at)),
            parameter_openapi_schema: self.new_only(Empty {}),
            path: deployment.path.as_deref(),
            pull_steps: self.new_only([]),
            entrypoint: deployment.entrypoint.as_deref(),
            manifest_path: self.old_only(()),
            storage_document_id: (),
            infrastructure_document_id: (),
            created_by: deployment.created_by.as_ref(),
            updated_by: deployment.created_by.as_ref(),
            work_pool_name: queue.map(|queue| queue.pool_name.as_str()),
            status: if deployment.ready {
                "READY"
            } else {
                "NOT_READY"
            },
            enforce_parameter_schema: deployment.enforce_parameter_schema,
        }
    }

    fn schedule<'a>(&self, schedule: &'a Schedule, deployment_id: Id) -> ScheduleView<'a> {
        ScheduleView {
            id: schedule.id,
            created: self.show(schedule.created),
            updated: self.show(schedule.updated),
            deployment_id,
            schedule: self.rule(&schedule.rule),
            active: schedule.active,
            max_active_runs: self.old_only(()),
            max_scheduled_runs: (),
            catchup: self.old_only(false),
            parameters: self.new_only(&schedule.parameters),
            slug: self.new_only(schedule.slug.as_deref()),
        }
    }

    fn rule<'a>(&self, rule: &'a Rule) -> RuleView<'a> {
        match rule {
            Rule::Cron { cron, timezone } => RuleView::Cron {
                cron,
                timezone,
                day_or: true,
            },
            Rule::Interval { seconds, anchor } => RuleView::Interval {
                interval: f64::from(*seconds),
                anchor_date: self.show(*anchor),
                timezone: "UTC",
            },
            Rule::RRule { rrule, timezone } => RuleView::RRule { rrule, timezone },
        }
    }
}
