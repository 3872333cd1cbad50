//! `block_schemas`: one row per version of the fields of a block type.
//!
//! `POST /block_schemas/filter`, newest first. Each schema contains its whole type, which is left out because
//! `block_types` has it.

use super::{
    CREATED, Column, ColumnType, ID, Listing, LookUp, Strategy, Table, UNMAPPED, UPDATED,
    WORKSPACE_ID,
};

pub(super) static TABLE: Table = Table {
    name: "block_schemas",
    doc: "One row per version of the fields of a block type.",
    endpoint: "/block_schemas",
    strategy: Strategy::Snapshot(Listing {
        sort: None,
        order: "created",
        look_up: LookUp::Filter,
        each: None,
        second: None,
    }),
    columns: &[
        ID,
        WORKSPACE_ID,
        CREATED,
        UPDATED,
        Column::new(
            "checksum",
            ColumnType::String,
            &["checksum"],
            "The checksum of the fields.",
        )
        .required(),
        Column::new(
            "fields",
            ColumnType::Json,
            &["fields"],
            "The fields, a JSON schema.",
        ),
        Column::new(
            "block_type_id",
            ColumnType::String,
            &["block_type_id"],
            "The block type.",
        )
        .references("block_types"),
        Column::new(
            "capabilities",
            ColumnType::Json,
            &["capabilities"],
            "The capabilities of the blocks, a list of strings.",
        ),
        Column::new(
            "version",
            ColumnType::String,
            &["version"],
            "The version of the package that contains the schema.",
        ),
        UNMAPPED,
    ],
    dropped_fields: &["block_type"],
    samples: &[
        r#"{"id":"24890c5c-e91d-4e17-9b20-538b16c8dc4f","created":"2026-11-21T00:00:49.367658Z","updated":"2026-11-21T00:00:49.367683Z","checksum":"sha256:01e6c0bdaac125860811b201f5a5e98ffefd5f8a49f1398b6996aec362643acc","fields":{"title":"Secret","type":"object","properties":{"value":{"type":"string"}},"block_type_slug":"secret"},"block_type_id":"f6315575-6b57-4711-ad66-3988505304b2","block_type":{"id":"f6315575-6b57-4711-ad66-3988505304b2","name":"Secret"},"capabilities":[],"version":"0.4.0"}"#,
        r#"{"id":"3b5405a4-6833-4f08-a9ca-4132adeacfad","created":"2026-11-21T00:01:02.501169+00:00","updated":"2026-11-21T00:01:02.501181+00:00","checksum":"sha256:01e6c0bdaac125860811b201f5a5e98ffefd5f8a49f1398b6996aec362643acc","fields":{"title":"Secret","type":"object","properties":{"value":{"type":"string"}},"block_type_slug":"secret"},"block_type_id":"deb4bd52-8732-48d8-a2b4-4e5d36e9eb6e","block_type":{"id":"deb4bd52-8732-48d8-a2b4-4e5d36e9eb6e","name":"Secret"},"capabilities":[],"version":"0.4.0"}"#,
    ],
    ..Table::DEFAULT
};
