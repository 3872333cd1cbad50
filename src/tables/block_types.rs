//! `block_types`: one row per block type.
//!
//! `POST /block_types/filter`, sorted by name. There are few types, and they rarely change, so all are read at
//! every sync.

use super::{
    CREATED, Column, ColumnType, ID, Listing, LookUp, Strategy, Table, UNMAPPED, UPDATED,
    WORKSPACE_ID,
};

pub(super) static TABLE: Table = Table {
    name: "block_types",
    doc: "One row per block type.",
    endpoint: "/block_types",
    strategy: Strategy::Snapshot(Listing {
        sort: None,
        order: "name",
        look_up: LookUp::Get,
        each: None,
        second: None,
    }),
    columns: &[
        ID,
        WORKSPACE_ID,
        CREATED,
        UPDATED,
        Column::new("name", ColumnType::String, &["name"], "The name.").required(),
        Column::new(
            "slug",
            ColumnType::String,
            &["slug"],
            "The name as used in URLs.",
        )
        .required(),
        Column::new(
            "logo_url",
            ColumnType::String,
            &["logo_url"],
            "The URL of the logo.",
        ),
        Column::new(
            "documentation_url",
            ColumnType::String,
            &["documentation_url"],
            "The URL of the documentation.",
        ),
        Column::new(
            "description",
            ColumnType::String,
            &["description"],
            "The description, in Markdown.",
        ),
        Column::new(
            "code_example",
            ColumnType::String,
            &["code_example"],
            "An example of its use, in Markdown.",
        ),
        Column::new(
            "is_protected",
            ColumnType::Boolean,
            &["is_protected"],
            "True if the type belongs to Prefect and cannot be changed.",
        ),
        UNMAPPED,
    ],
    samples: &[
        r#"{"id":"a943e567-107a-4646-b905-2ec6c89f2edf","created":"2026-11-21T00:00:48.874497Z","updated":"2026-11-21T00:00:48.874523Z","name":"AWS Credentials","slug":"aws-credentials","logo_url":"https://raw.githubusercontent.com/PrefectHQ/prefect/420d0d6a78bb6df1fc18bcf188fdad43c1d22ea9/assets/block-logos/aws.png","documentation_url":"https://prefecthq.github.io/prefect-aws/credentials/#prefect_aws.credentials.AwsCredentials","description":"Manages a secret.","code_example":"```python\nSecret.load(\"BLOCK_NAME\")\n```","is_protected":false}"#,
        r#"{"id":"1949226b-0bfb-41a2-8100-904a8d1c7fe5","created":"2026-11-21T00:01:01.838443+00:00","updated":"2026-11-21T00:01:01.838463+00:00","name":"AWS Credentials","slug":"aws-credentials","logo_url":"https://cdn.sanity.io/images/3ugk85nk/production/d74b16fe84ce626345adf235a47008fea2869a60-225x225.png","documentation_url":"https://prefecthq.github.io/prefect-aws/credentials/#prefect_aws.credentials.AwsCredentials","description":"Manages a secret.","code_example":"```python\nSecret.load(\"BLOCK_NAME\")\n```","is_protected":false}"#,
    ],
    ..Table::DEFAULT
};
