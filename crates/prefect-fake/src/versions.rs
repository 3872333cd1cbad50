//! The abilities of Prefect's releases, as data.

/// The format of a release's validation errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// 2.x: `{"loc", "msg", "type"}`.
    Old,
    /// 3.x: `{"type", "loc", "msg", "input"}`.
    New,
}

/// A release and its abilities.
#[derive(Debug, Clone)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is one thing that a release can do or not"
)]
pub struct Capabilities {
    /// The response of `/admin/version`.
    pub release: &'static str,
    /// The format of validation errors.
    pub dialect: Dialect,
    /// True if times end in `Z`, false for `+00:00`.
    pub zulu: bool,
    /// True if flows, deployments and runs have labels.
    pub labels: bool,
    /// True if deployments and state details have the shape of 3.x.
    pub third_generation: bool,
    /// True if a path with a malformed id is unknown, false if it is rejected as an invalid parameter.
    pub typed_paths: bool,
    /// True if some ids grow with time.
    pub time_ordered_ids: bool,
    /// True if a run that ends without a start gets both times.
    pub never_started_gets_times: bool,
    /// True if a filter on `start_time` uses the expected start of a run that has not started.
    pub start_means_expected: bool,
    /// True if the release has automations and events; otherwise both are switched off.
    pub events: bool,
    /// True if limits of tags are also listed among the named limits.
    pub tags_are_named_limits: bool,
    /// The paths of filter keys and sorts that the release does not know.
    pub without: &'static [&'static str],
}

/// Release 3.9.
pub const V3_9: Capabilities = Capabilities {
    release: "3.9.1",
    dialect: Dialect::New,
    zulu: true,
    labels: true,
    third_generation: true,
    typed_paths: true,
    time_ordered_ids: true,
    never_started_gets_times: true,
    start_means_expected: true,
    events: true,
    tags_are_named_limits: true,
    without: &["deployments.is_schedule_active", "variables.value"],
};

/// Release 3.8.
pub const V3_8: Capabilities = Capabilities {
    release: "3.8.8",
    without: &[
        "deployments.is_schedule_active",
        "variables.value",
        "task_runs.sort.DURATION_DESC",
        "task_runs.sort.DURATION_ASC",
    ],
    ..V3_9
};

/// Release 3.0: no labels, and no filter on `end_time`, not even for task runs, where 3.7 added it.
pub const V3_0: Capabilities = Capabilities {
    release: "3.0.0",
    labels: false,
    time_ordered_ids: false,
    never_started_gets_times: false,
    tags_are_named_limits: false,
    without: &[
        "flow_runs.end_time",
        "flow_runs.created_by",
        "deployments.is_schedule_active",
        "variables.value",
        "task_runs.end_time",
        "task_runs.sort.DURATION_DESC",
        "task_runs.sort.DURATION_ASC",
        "logs.text",
        "logs.task_run_id.is_null_",
    ],
    ..V3_9
};

/// Release 2.20, the last of 2.x.
pub const V2_20: Capabilities = Capabilities {
    release: "2.20.27",
    dialect: Dialect::Old,
    zulu: false,
    labels: false,
    third_generation: false,
    typed_paths: false,
    time_ordered_ids: false,
    never_started_gets_times: false,
    start_means_expected: false,
    events: false,
    tags_are_named_limits: false,
    without: &[
        "task_runs.end_time",
        "task_runs.expected_start_time",
        "task_runs.sort.DURATION_DESC",
        "task_runs.sort.DURATION_ASC",
        "logs.text",
        "logs.task_run_id.is_null_",
        "flow_runs.end_time",
        "flow_runs.created_by",
        "flow_runs.state.type.not_any_",
        "flow_runs.state.name.not_any_",
        "flow_runs.tags.any_",
        "flows.id.not_any_",
        "deployments.id.not_any_",
        "deployments.tags.any_",
        "deployments.concurrency_limit",
        "deployments.flow_or_deployment_name",
    ],
};

/// The releases that can be imitated, newest first.
pub const ALL: [&Capabilities; 4] = [&V3_9, &V3_8, &V3_0, &V2_20];

impl Capabilities {
    /// Returns true if this release knows the filter key at `path`.
    pub fn knows(&self, path: &str) -> bool {
        !self.without.contains(&path)
    }
}
