//! `block_documents`: one row per block.
//!
//! `POST /block_documents/filter`. The content of a block (`data`) is usually credentials, so it is left out, and
//! secrets are never requested. Types and schemas of blocks have tables of their own.

use super::{
    CREATED, Column, ColumnType, ID, Listing, LookUp, Strategy, Table, UNMAPPED, UPDATED,
    WORKSPACE_ID,
};

pub(super) static TABLE: Table = Table {
    name: "block_documents",
    doc: "One row per block, without its contents.",
    endpoint: "/block_documents",
    strategy: Strategy::Snapshot(Listing {
        sort: Some("NAME_ASC"),
        order: "name",
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
            "name",
            ColumnType::String,
            &["name"],
            "The name, unique for the block type.",
        ),
        Column::new(
            "block_schema_id",
            ColumnType::String,
            &["block_schema_id"],
            "The schema of the block.",
        )
        .references("block_schemas"),
        Column::new(
            "block_type_id",
            ColumnType::String,
            &["block_type_id"],
            "The type of the block.",
        )
        .references("block_types"),
        Column::new(
            "block_type_name",
            ColumnType::String,
            &["block_type_name"],
            "The name of the block type.",
        ),
        Column::new(
            "block_document_references",
            ColumnType::Json,
            &["block_document_references"],
            "References to other blocks, an object.",
        ),
        Column::new(
            "is_anonymous",
            ColumnType::Boolean,
            &["is_anonymous"],
            "True if the block was created without a name, for internal use.",
        ),
        UNMAPPED,
    ],
    dropped_fields: &["block_schema", "block_type", "data"],
    samples: &[
        r#"{"id":"24fce483-c670-403f-aec2-4e97acbf9d1f","created":"2026-11-21T00:03:18.537752Z","updated":"2026-11-21T00:03:18.537789Z","name":"db-password","data":{"value":"********"},"block_schema_id":"a41d2a64-8df4-4560-a9ea-74c8a61aa618","block_schema":{"id":"a41d2a64-8df4-4560-a9ea-74c8a61aa618"},"block_type_id":"f0a2ba1e-695e-4141-af66-925d5e543228","block_type_name":"Secret","block_type":{"id":"f0a2ba1e-695e-4141-af66-925d5e543228"},"block_document_references":{},"is_anonymous":false}"#,
        r#"{"id":"8ccc1f2e-5bce-49fb-9586-ec6c9f10875c","created":"2026-11-21T00:03:26.009189+00:00","updated":"2026-11-21T00:03:26.009202+00:00","name":"db-password","data":{"value":"********"},"block_schema_id":"79bbcfec-5aa8-4a60-b4bc-cc935ab9e06f","block_schema":{"id":"79bbcfec-5aa8-4a60-b4bc-cc935ab9e06f"},"block_type_id":"25f4dce4-16c1-4647-8b1f-2ef560c0ee7e","block_type_name":"Secret","block_type":{"id":"25f4dce4-16c1-4647-8b1f-2ef560c0ee7e"},"block_document_references":{},"is_anonymous":false}"#,
    ],
    ..Table::DEFAULT
};
