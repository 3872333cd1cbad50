//! The setup form, as data.

/// One question of the setup form.
#[derive(Debug)]
pub struct Field {
    /// The key in the configuration.
    pub name: &'static str,
    /// What the user sees above the field.
    pub label: &'static str,
    /// One or two sentences below it.
    pub description: &'static str,
    /// An example, shown while the field is empty.
    pub placeholder: Option<&'static str>,
    /// The value when the user leaves it empty.
    pub default: Option<&'static str>,
    /// Whether it must be filled in.
    pub required: bool,
    /// How it is answered.
    pub kind: FieldKind,
}

/// How a field is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldKind {
    /// Typed, for all to see.
    Text,
    /// Typed, and hidden.
    Secret,
    /// Uploaded: a file with one of these extensions. Arrives as base64.
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
        default: None,
        required: true,
        kind: FieldKind::Text,
    },
    Field {
        name: "api_key",
        label: "API key",
        description: "For Prefect Cloud: the key of a user or a service account that may view the \
            workspace. Also for a self-hosted server behind a gateway that asks for a bearer token.",
        placeholder: Some("pnu_..."),
        default: None,
        required: false,
        kind: FieldKind::Secret,
    },
    Field {
        name: "auth_string",
        label: "Auth string",
        description: "For a self-hosted server with basic authentication: user:password, the value \
            of the server's PREFECT_SERVER_API_AUTH_STRING.",
        placeholder: Some("admin:password"),
        default: None,
        required: false,
        kind: FieldKind::Secret,
    },
    Field {
        name: "batch_size",
        label: "Batch size",
        description: "Objects asked for in one request, 1 to 200. The largest is the fastest; a \
            smaller one helps a server that is short of memory.",
        placeholder: None,
        default: Some("200"),
        required: false,
        kind: FieldKind::Text,
    },
    Field {
        name: "concurrency",
        label: "Requests at once",
        description: "Requests that all syncs of this account have under way at the same time, 1 to 32. Left empty: 8 on Prefect Cloud, 4 on a \
            self-hosted server, which is one process: more makes it slower for others, not faster.",
        placeholder: Some("8 or 4"),
        default: None,
        required: false,
        kind: FieldKind::Text,
    },
    Field {
        name: "requests_per_minute",
        label: "Requests per minute",
        description: "The most that all syncs of this account together ask for in a minute. Left empty: 300 on \
            Prefect Cloud, whose limit per account (625 and more) is shared with your flows; no limit on a \
            self-hosted server.",
        placeholder: Some("300"),
        default: None,
        required: false,
        kind: FieldKind::Text,
    },
    Field {
        name: "retention_days",
        label: "Retention in days",
        description: "After how many days your Prefect forgets runs; its API does not tell. When syncs come so \
            rarely that runs could be lost, you are warned. Left empty: 7 on Prefect Cloud, none on a self-hosted \
            server.",
        placeholder: Some("7"),
        default: None,
        required: false,
        kind: FieldKind::Text,
    },
    Field {
        name: "ca_certificate",
        label: "CA certificate",
        description: "For a self-hosted server whose certificate was signed by an authority of your own: that \
            authority's certificate, as a PEM file.",
        placeholder: None,
        default: None,
        required: false,
        kind: FieldKind::File(&[".pem", ".crt", ".cer"]),
    },
    Field {
        name: "extra_headers",
        label: "Extra headers",
        description: "For a server behind a gateway such as Cloudflare Access: headers to send with each request, \
            as a JSON object of strings.",
        placeholder: Some(r#"{"CF-Access-Client-Id": "...", "CF-Access-Client-Secret": "..."}"#),
        default: None,
        required: false,
        kind: FieldKind::Secret,
    },
];

/// A test that Fivetran runs on the answers of the form.
#[derive(Debug)]
pub struct SetupTest {
    /// The name it is called by.
    pub name: &'static str,
    /// What the user sees.
    pub label: &'static str,
}

/// The test that reaches the API.
pub const CONNECTION_TEST: SetupTest = SetupTest {
    name: "connection",
    label: "Reaching the Prefect API",
};

/// The test that reads from each table.
pub const ACCESS_TEST: SetupTest = SetupTest {
    name: "access",
    label: "Reading the workspace's tables",
};
