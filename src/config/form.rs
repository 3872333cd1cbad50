//! The setup form, as data.

/// One field of the setup form.
#[derive(Debug)]
pub struct Field {
    /// The key in the configuration.
    pub name: &'static str,
    /// The label above the field.
    pub label: &'static str,
    /// One or two sentences below the field.
    pub description: &'static str,
    /// An example, shown while the field is empty.
    pub placeholder: Option<&'static str>,
    /// The value when the user leaves it empty.
    pub default: Option<&'static str>,
    /// True if the field must be filled in.
    pub required: bool,
    /// The kind of input.
    pub kind: FieldKind,
    /// The type of the value in a configuration file.
    pub value_type: ValueType,
    /// The condition under which the field is shown and counts; `None` means always.
    pub shown: Option<Condition>,
}

/// A condition on the value of another field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Condition {
    /// The other field, which comes before this one.
    pub field: &'static str,
    /// The required value of the other field; `true` for a toggle.
    pub value: &'static str,
    /// The label of the group of fields that are shown under this condition.
    pub label: &'static str,
}

impl Field {
    /// The values that most fields have in common.
    const DEFAULT: Self = Self {
        name: "",
        label: "",
        description: "",
        placeholder: None,
        default: None,
        required: false,
        kind: FieldKind::Text,
        value_type: ValueType::Text,
        shown: None,
    };
}

/// The field that distinguishes the two kinds of Prefect; its values follow.
const HOSTING: &str = "hosting";
const CLOUD: &str = "Prefect Cloud";
const SELF_HOSTED: &str = "Self-hosted";

/// The condition of a field for a self-hosted server.
const WHEN_SELF_HOSTED: Option<Condition> = Some(Condition {
    field: HOSTING,
    value: SELF_HOSTED,
    label: "Self-hosted server",
});

/// The condition of an advanced field, which is hidden unless the user wants to see it.
const WHEN_ADVANCED: Option<Condition> = Some(Condition {
    field: "advanced",
    value: "true",
    label: "Advanced settings",
});

/// The kind of input of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldKind {
    /// Text that is shown.
    Text,
    /// Text that is hidden.
    Secret,
    /// A switch: `true` or `false`.
    Toggle,
    /// One of these values.
    Dropdown(&'static [&'static str]),
    /// An uploaded file with one of these extensions; the value arrives as base64.
    File(&'static [&'static str]),
}

/// The type of a field's value in a configuration file. Every value may also be a text, as it is in Fivetran.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValueType {
    /// A text.
    Text,
    /// A number.
    Number,
    /// `true` or `false`.
    Boolean,
    /// A JSON object.
    Object,
}

/// The setup form.
pub static FORM: &[Field] = &[
    Field {
        name: "api_url",
        label: "API URL",
        description: "The address of the Prefect API. Prefect Cloud: https://api.prefect.cloud/api/accounts/<account \
            id>/workspaces/<workspace id> (both ids are in the address of your workspace in the browser). Self-hosted: \
            the server's address followed by /api.",
        placeholder: Some("https://api.prefect.cloud/api/accounts/.../workspaces/..."),
        required: true,
        ..Field::DEFAULT
    },
    Field {
        name: HOSTING,
        label: "Type of installation",
        description: "Shows only the fields that apply to this type of installation. If empty, all fields apply.",
        kind: FieldKind::Dropdown(&[CLOUD, SELF_HOSTED]),
        ..Field::DEFAULT
    },
    Field {
        name: "api_key",
        label: "API key",
        description: "For Prefect Cloud: the key of a user or a service account with read access to the workspace. \
            Also for a self-hosted server behind a gateway that requires a bearer token.",
        placeholder: Some("pnu_..."),
        kind: FieldKind::Secret,
        ..Field::DEFAULT
    },
    Field {
        name: "auth_string",
        label: "Auth string",
        description: "For a self-hosted server with basic authentication: the value of the server's \
            PREFECT_SERVER_API_AUTH_STRING, usually user:password.",
        placeholder: Some("admin:password"),
        kind: FieldKind::Secret,
        shown: WHEN_SELF_HOSTED,
        ..Field::DEFAULT
    },
    Field {
        name: "ca_certificate",
        label: "CA certificate",
        description: "For a self-hosted server whose certificate was signed by a private certificate authority: the \
            certificate of that authority, as a PEM file.",
        kind: FieldKind::File(&[".pem", ".crt", ".cer"]),
        shown: WHEN_SELF_HOSTED,
        ..Field::DEFAULT
    },
    Field {
        name: "extra_headers",
        label: "Extra headers",
        description: "For a server behind a gateway such as Cloudflare Access: headers to send with each request, \
            as a JSON object of strings.",
        placeholder: Some(r#"{"CF-Access-Client-Id": "...", "CF-Access-Client-Secret": "..."}"#),
        kind: FieldKind::Secret,
        value_type: ValueType::Object,
        shown: WHEN_SELF_HOSTED,
        ..Field::DEFAULT
    },
    Field {
        name: "start_date",
        label: "Start date",
        description: "How far back the first sync goes: runs with an earlier expected start time, and earlier events \
            and log lines, are not read. A date, or a time with a time zone. If empty: everything that Prefect still \
            has. If you later set an earlier date, the time in between is read, too.",
        placeholder: Some("2026-01-01"),
        ..Field::DEFAULT
    },
    Field {
        name: "include_scheduled_runs",
        label: "Include scheduled runs",
        description: "Also syncs runs that wait for their scheduled time. Prefect creates them up to 100 days ahead, \
            and deletes and recreates them whenever a deployment changes, which costs rows. If switched off, a run \
            appears as soon as it is handed out to a worker.",
        default: Some("true"),
        kind: FieldKind::Toggle,
        value_type: ValueType::Boolean,
        ..Field::DEFAULT
    },
    // The optional tables are shown at this position: see `tables::OptIn`.
    Field {
        name: "advanced",
        label: "Show advanced settings",
        description: "Speed, history and filters. If switched off, the fields below have no effect.",
        kind: FieldKind::Toggle,
        value_type: ValueType::Boolean,
        ..Field::DEFAULT
    },
    Field {
        name: "batch_size",
        label: "Batch size",
        description: "Objects per request, 1 to 200. The largest value is the fastest; a smaller one helps a server \
            that is short of memory.",
        default: Some("200"),
        value_type: ValueType::Number,
        shown: WHEN_ADVANCED,
        ..Field::DEFAULT
    },
    Field {
        name: "concurrency",
        label: "Concurrent requests",
        description: "Requests that all syncs of this account send at the same time, 1 to 32. If empty: 8 on Prefect \
            Cloud, 4 on a self-hosted server, which is a single process: more requests make it slower for others, not \
            faster.",
        placeholder: Some("8 or 4"),
        value_type: ValueType::Number,
        shown: WHEN_ADVANCED,
        ..Field::DEFAULT
    },
    Field {
        name: "requests_per_minute",
        label: "Requests per minute",
        description: "The maximum for all syncs of this account together. If empty: 300 on Prefect Cloud, whose limit \
            per account (625 and more) is shared with your flows; no limit on a self-hosted server.",
        placeholder: Some("300"),
        value_type: ValueType::Number,
        shown: WHEN_ADVANCED,
        ..Field::DEFAULT
    },
    Field {
        name: "retention_days",
        label: "Retention in days",
        description: "The number of days after which your Prefect deletes runs; its API does not report it. You are \
            warned if syncs are so rare that runs could be lost. If empty: 7 on Prefect Cloud, none on a self-hosted \
            server.",
        placeholder: Some("7"),
        value_type: ValueType::Number,
        shown: WHEN_ADVANCED,
        ..Field::DEFAULT
    },
    Field {
        name: "look_back_days",
        label: "Look-back in days",
        description: "The number of days after its end for which a run is checked for edits (a new name or tag, a \
            state set by hand), 1 to 365. Costs few requests: a run is read again five to seven times in total.",
        default: Some("30"),
        value_type: ValueType::Number,
        shown: WHEN_ADVANCED,
        ..Field::DEFAULT
    },
    Field {
        name: "checkpoint_interval_seconds",
        label: "Seconds between checkpoints",
        description: "0 to 3600. At 0, each page is committed as soon as it is sent. For very long syncs, Fivetran \
            recommends about ten minutes (600).",
        default: Some("0"),
        value_type: ValueType::Number,
        shown: WHEN_ADVANCED,
        ..Field::DEFAULT
    },
    Field {
        name: "filter",
        label: "Run filter",
        description: "Prefect's own filter, a JSON object that selects the flow runs and task runs to sync. Under \
            `flow_runs` and `task_runs`: all of Prefect's fields except `id`, `state`, `operator` and the times; under \
            `flows`, `deployments` and `work_pools` (flow runs only): all fields. Other tables are always read \
            completely. After a change of the filter, the runs are read again.",
        placeholder: Some(r#"{"flow_runs": {"tags": {"all_": ["prod"]}}}"#),
        value_type: ValueType::Object,
        shown: WHEN_ADVANCED,
        ..Field::DEFAULT
    },
];

/// A test that Fivetran runs on the values of the form.
#[derive(Debug)]
pub struct SetupTest {
    /// The name by which Fivetran calls the test.
    pub name: &'static str,
    /// The label that the user sees.
    pub label: &'static str,
}

/// The test that reaches the API.
pub const CONNECTION_TEST: SetupTest = SetupTest {
    name: "connection",
    label: "Connecting to the Prefect API",
};

/// The test that runs the user's filter.
pub const FILTER_TEST: SetupTest = SetupTest {
    name: "filter",
    label: "Applying the run filter",
};

/// The test that reads from each table.
pub const ACCESS_TEST: SetupTest = SetupTest {
    name: "access",
    label: "Reading the workspace's tables",
};
