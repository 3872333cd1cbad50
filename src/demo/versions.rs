//! What a release of Prefect can do, as data.

/// How a release words what it refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// 2.x: `{"loc", "msg", "type"}`.
    Old,
    /// 3.x: `{"type", "loc", "msg", "input"}`.
    New,
}

/// One release.
#[derive(Debug, Clone)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is one thing that a release can do or not"
)]
pub struct Capabilities {
    /// What `/admin/version` answers.
    pub release: &'static str,
    /// How refusals are worded.
    pub dialect: Dialect,
    /// Times end in `Z` (else `+00:00`).
    pub zulu: bool,
    /// Flows, deployments and runs have labels.
    pub labels: bool,
    /// Deployments and state details in the shape of 3.x.
    pub third_generation: bool,
    /// A path with a malformed id is unknown (else a refused parameter).
    pub typed_paths: bool,
    /// Some ids grow with time.
    pub time_ordered_ids: bool,
    /// A run that ends without ever having run is given both times.
    pub never_started_gets_times: bool,
    /// A filter on `start_time` takes the expected start of a run that has not started.
    pub start_means_expected: bool,
    /// It has automations and a feed of events (else both are switched off).
    pub events: bool,
    /// Limits of tags are listed among the named limits too.
    pub tags_are_named_limits: bool,
    /// Filter keys and sorts that it does not know, as paths.
    pub without: &'static [&'static str],
}

/// 3.9.
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

/// 3.8.
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

/// 3.0: no filter on `end_time`, of task runs neither (that came with 3.7), no labels.
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

/// 2.20, the last of 2.x.
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

/// Every release that can be played, newest first.
pub const ALL: [&Capabilities; 4] = [&V3_9, &V3_8, &V3_0, &V2_20];

impl Capabilities {
    /// Whether this release knows the filter key at `path`.
    pub fn knows(&self, path: &str) -> bool {
        !self.without.contains(&path)
    }
}
