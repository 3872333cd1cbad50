//! Block types, their schemas, and documents with and without secrets.

use serde_json::{Value, json};

use super::builder::WorkspaceBuilder;
use crate::{
    generic_collections::{GenericCollection as C, render},
    id::Id,
    store::Store,
};

struct Kind {
    name: &'static str,
    slug: &'static str,
    description: &'static str,
    capabilities: &'static [&'static str],
    /// The properties; the flag is true for a secret.
    properties: &'static [(&'static str, bool)],
}

static KINDS: [Kind; 4] = [
    Kind {
        name: "Secret",
        slug: "secret",
        description: "A block that represents a secret value.",
        capabilities: &[],
        properties: &[("value", true)],
    },
    Kind {
        name: "Local File System",
        slug: "local-file-system",
        description: "Store data as a file on a local file system.",
        capabilities: &["get-directory", "write-path", "read-path", "put-directory"],
        properties: &[("basepath", false)],
    },
    Kind {
        name: "Slack Webhook",
        slug: "slack-webhook",
        description: "Enables sending notifications via a provided Slack webhook.",
        capabilities: &["notify"],
        properties: &[("url", true), ("notify_type", false)],
    },
    Kind {
        name: "Database Credentials",
        slug: "database-credentials",
        description: "Block used to manage authentication with a database.",
        capabilities: &[],
        properties: &[("host", false), ("username", false), ("password", true)],
    },
];

pub(super) fn add(builder: &mut WorkspaceBuilder, store: &mut Store) {
    for kind in &KINDS {
        let block_type = json!({
            "name": kind.name,
            "slug": kind.slug,
            "logo_url": format!("https://example.org/logos/{}.png", kind.slug),
            "documentation_url": "https://docs.prefect.io/latest/develop/blocks",
            "description": kind.description,
            "code_example": format!("```python\nblock = {}.load(\"BLOCK_NAME\")\n```", kind.name.replace(' ', "")),
            "is_protected": kind.slug == "secret",
        });
        let type_id = builder.put(store, C::BlockTypes, block_type);
        let block_type = whole(store, C::BlockTypes, type_id);
        let secrets: Vec<&str> = kind
            .properties
            .iter()
            .filter(|(_, secret)| *secret)
            .map(|(name, _)| *name)
            .collect();
        let schema = json!({
            "checksum": format!("sha256:{}", type_id.to_string().replace('-', "").repeat(2)),
            "fields": {
                "title": kind.name.replace(' ', ""),
                "description": kind.description,
                "type": "object",
                "properties": properties(kind),
                "required": secrets,
                "block_type_slug": kind.slug,
                "secret_fields": secrets,
                "block_schema_references": {},
            },
            "block_type_id": type_id,
            "block_type": block_type,
            "capabilities": kind.capabilities,
            "version": "3.9.1",
        });
        let schema_id = builder.put(store, C::BlockSchemas, schema);
        let schema = whole(store, C::BlockSchemas, schema_id);
        for number in 0..=builder.below(2) {
            let data: serde_json::Map<String, Value> = kind
                .properties
                .iter()
                .map(|(name, _)| ((*name).to_owned(), json!(format!("{name}-{number}"))))
                .collect();
            let document = json!({
                "name": format!("{}-{number}", kind.slug),
                "data": data,
                "block_schema_id": schema_id,
                "block_schema": schema,
                "block_type_id": type_id,
                "block_type_name": kind.name,
                "block_type": block_type,
                "block_document_references": {},
                "is_anonymous": false,
            });
            builder.put(store, C::BlockDocuments, document);
        }
    }
}

/// Returns an object with its id and times, as other objects embed it.
fn whole(store: &Store, collection: C, id: Id) -> Value {
    let capabilities = &store.settings().capabilities;
    store.object(collection, id).map_or(Value::Null, |row| {
        render::object(collection, row, capabilities)
    })
}

fn properties(kind: &Kind) -> serde_json::Map<String, Value> {
    let described = |(position, (name, secret)): (usize, &(&str, bool))| {
        let mut property = json!({ "title": name, "type": "string", "position": position });
        if *secret {
            property["format"] = json!("password");
            property["writeOnly"] = json!(true);
        }
        ((*name).to_owned(), property)
    };
    kind.properties.iter().enumerate().map(described).collect()
}
