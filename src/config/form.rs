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

/// The setup form.
pub static FORM: &[Field] = &[
    Field {
        name: "api_url",
        label: "API URL",
        description: "Where the Prefect API answers. Prefect Cloud: \
            https://api.prefect.cloud/api/accounts/<account id>/workspaces/<workspace id> (both ids \
            stand in the address of your workspace's pages). Self-hosted: the server's address \
            followed by /api.",
        placeholder: Some("https://api.prefect.cloud/api/accounts/.../workspaces/..."),
        required: true,
        ..Field::DEFAULT
    },
    Field {
        name: HOSTING,
        label: "Where Prefect runs",
        description: "Shows the fields that this kind of Prefect needs; left empty, all fields count.",
        kind: FieldKind::Dropdown(&[CLOUD, SELF_HOSTED]),
        ..Field::DEFAULT
    },
    Field {
        name: "api_key",
        label: "API key",
        description: "For Prefect Cloud: the key of a user or a service account that may view the \
            workspace. Also for a self-hosted server behind a gateway that asks for a bearer token.",
        placeholder: Some("pnu_..."),
        kind: FieldKind::Secret,
        ..Field::DEFAULT
    },
    Field {
        name: "auth_string",
        label: "Auth string",
        description: "For a self-hosted server with basic authentication: the value of the server's \
            PREFECT_SERVER_API_AUTH_STRING, as a rule user:password.",
        placeholder: Some("admin:password"),
        kind: FieldKind::Secret,
        shown: WHEN_SELF_HOSTED,
        ..Field::DEFAULT
    },
    Field {
        name: "ca_certificate",
        label: "CA certificate",
        description: "For a self-hosted server whose certificate was signed by an authority of your own: that \
            authority's certificate, as a PEM file.",
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
        shown: WHEN_SELF_HOSTED,
        ..Field::DEFAULT
    },
    Field {
        name: "start_date",
        label: "Start date",
        description: "How far back the first sync goes: runs that were to start before, and events and log lines \
            from before, are not read. A date, or a time with a zone. Left empty: everything that Prefect still has. An \
            earlier date later on reads what lies between.",
        placeholder: Some("2026-01-01"),
        ..Field::DEFAULT
    },
    Field {
        name: "include_scheduled_runs",
        label: "Include scheduled runs",
        description: "Whether runs that wait for their time are synced, too. Prefect makes them up to 100 days ahead, and \
            removes and remakes them whenever a deployment changes, which costs rows. Without them a run appears as \
            soon as it is handed out.",
        default: Some("true"),
        kind: FieldKind::Toggle,
        ..Field::DEFAULT
    },
    // The optional tables are shown at this position: see `tables::Choice`.
    Field {
        name: "advanced",
        label: "Show advanced settings",
        description: "Pace, depth and filters. Switched off, the fields below have no effect.",
        kind: FieldKind::Toggle,
        ..Field::DEFAULT
    },
    Field {
        name: "batch_size",
        label: "Batch size",
        description: "Objects asked for in one request, 1 to 200. The largest is the fastest; a \
            smaller one helps a server that is short of memory.",
        default: Some("200"),
        shown: WHEN_ADVANCED,
        ..Field::DEFAULT
    },
    Field {
        name: "concurrency",
        label: "Requests at once",
        description: "Requests that all syncs of this account have under way at the same time, 1 to 32. Left empty: 8 on Prefect Cloud, 4 on a \
            self-hosted server, which is one process: more makes it slower for others, not faster.",
        placeholder: Some("8 or 4"),
        shown: WHEN_ADVANCED,
        ..Field::DEFAULT
    },
    Field {
        name: "requests_per_minute",
        label: "Requests per minute",
        description: "The most that all syncs of this account together ask for in a minute. Left empty: 300 on \
            Prefect Cloud, whose limit per account (625 and more) is shared with your flows; no limit on a \
            self-hosted server.",
        placeholder: Some("300"),
        shown: WHEN_ADVANCED,
        ..Field::DEFAULT
    },
    Field {
        name: "retention_days",
        label: "Retention in days",
        description: "After how many days your Prefect forgets runs; its API does not tell. When syncs come so \
            rarely that runs could be lost, you are warned. Left empty: 7 on Prefect Cloud, none on a self-hosted \
            server.",
        placeholder: Some("7"),
        shown: WHEN_ADVANCED,
        ..Field::DEFAULT
    },
    Field {
        name: "look_back_days",
        label: "Look-back in days",
        description: "How long after its end an edit of a run (a new name or tag, a state set by hand) is still looked for, 1 \
            to 365. Costs requests, and few: a run is read again five to seven times in all.",
        default: Some("30"),
        shown: WHEN_ADVANCED,
        ..Field::DEFAULT
    },
    Field {
        name: "checkpoint_interval_seconds",
        label: "Seconds between checkpoints",
        description: "0 to 3600. At 0 each page is committed as soon as it is sent. For very long syncs Fivetran advises about ten \
            minutes (600).",
        default: Some("0"),
        shown: WHEN_ADVANCED,
        ..Field::DEFAULT
    },
    Field {
        name: "filter",
        label: "Filter of runs",
        description: "Prefect's own filter, a JSON object: which flow runs and task runs are synced. Under `flow_runs` and \
            `task_runs` all of Prefect's fields but `id`, `state`, `operator` and the times; under `flows`, `deployments` \
            and `work_pools` (flow runs only) all of them. Other tables are always read whole. Another filter reads the \
            runs once more.",
        placeholder: Some(r#"{"flow_runs": {"tags": {"all_": ["prod"]}}}"#),
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
    label: "Reaching the Prefect API",
};

/// The test that runs the user's filter.
pub const FILTER_TEST: SetupTest = SetupTest {
    name: "filter",
    label: "Running the filter of runs",
};

/// The test that reads from each table.
pub const ACCESS_TEST: SetupTest = SetupTest {
    name: "access",
    label: "Reading the workspace's tables",
};
