//! Which tables the user wants, as a selection of the protocol.

use std::collections::HashMap;

use crate::fivetran::proto::{
    SchemaResponse, SchemaSelection, Selection, Table, TableSelection, TablesWithNoSchema,
    TablesWithSchema, schema_response::Response, selection,
};

/// Selects the tables of these names (`schema.table` where the connector has schemas), all of them when
/// there are none. The error is the name that the connector does not have.
pub(super) fn choose(
    schema: &SchemaResponse,
    names: &[String],
) -> Result<Option<Selection>, String> {
    if names.is_empty() {
        return Ok(None);
    }
    let known: Vec<String> = match &schema.response {
        Some(Response::WithSchema(list)) => {
            let names = list.schemas.iter().flat_map(|schema| {
                let table = |table: &Table| format!("{}.{}", schema.name, table.name);
                schema.tables.iter().map(table)
            });
            names.collect()
        }
        Some(Response::WithoutSchema(list)) => {
            list.tables.iter().map(|table| table.name.clone()).collect()
        }
        Some(Response::SchemaResponseNotSupported(_)) | None => Vec::new(),
    };
    if let Some(unknown) = names.iter().find(|name| !known.contains(name)) {
        return Err(unknown.clone());
    }
    let select = |prefix: &str, tables: &[Table]| -> Vec<TableSelection> {
        let select = |table: &Table| TableSelection {
            included: names.contains(&format!("{prefix}{}", table.name)),
            table_name: table.name.clone(),
            columns: HashMap::new(),
            include_new_columns: true,
        };
        tables.iter().map(select).collect()
    };
    let selection = match &schema.response {
        Some(Response::WithSchema(list)) => {
            let schemas = list.schemas.iter().map(|schema| SchemaSelection {
                included: true,
                schema_name: schema.name.clone(),
                tables: select(&format!("{}.", schema.name), &schema.tables),
                include_new_tables: false,
            });
            selection::Selection::WithSchema(TablesWithSchema {
                schemas: schemas.collect(),
                include_new_schemas: false,
            })
        }
        Some(Response::WithoutSchema(list)) => {
            selection::Selection::WithoutSchema(TablesWithNoSchema {
                tables: select("", &list.tables),
                include_new_tables: false,
            })
        }
        Some(Response::SchemaResponseNotSupported(_)) | None => return Ok(None),
    };
    Ok(Some(Selection {
        selection: Some(selection),
    }))
}
