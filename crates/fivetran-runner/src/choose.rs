//! Translates the user's choice of tables and columns into a selection of the protocol.

use std::collections::HashMap;

use super::options::{Names, RequestedSelection};
use fivetran_proto::{
    SchemaResponse, SchemaSelection, Selection, Table, TableSelection, TablesWithNoSchema,
    TablesWithSchema, schema_response::Response, selection,
};

/// Returns the selection for a choice, or `None` if the connector is sent no selection. The error is a name that the
/// connector does not have.
pub(super) fn choose(
    schema: &SchemaResponse,
    requested: &RequestedSelection,
) -> Result<Option<Selection>, String> {
    match requested {
        RequestedSelection::Exactly(selection) => Ok(selection.clone()),
        RequestedSelection::Names(names) if *names == Names::default() => Ok(None),
        RequestedSelection::Names(names) => named(schema, names),
    }
}

fn named(schema: &SchemaResponse, names: &Names) -> Result<Option<Selection>, String> {
    let (selection, known) = match &schema.response {
        Some(Response::WithSchema(list)) => {
            let mut known = Vec::new();
            let schemas = list.schemas.iter().map(|schema| SchemaSelection {
                included: true,
                schema_name: schema.name.clone(),
                tables: names.select(&format!("{}.", schema.name), &schema.tables, &mut known),
                include_new_tables: false,
            });
            let selected = TablesWithSchema {
                schemas: schemas.collect(),
                include_new_schemas: false,
            };
            (selection::Selection::WithSchema(selected), known)
        }
        Some(Response::WithoutSchema(list)) => {
            let mut known = Vec::new();
            let selected = TablesWithNoSchema {
                tables: names.select("", &list.tables, &mut known),
                include_new_tables: names.all_tables(),
            };
            (selection::Selection::WithoutSchema(selected), known)
        }
        Some(Response::SchemaResponseNotSupported(_)) | None => {
            return names
                .all()
                .next()
                .map_or(Ok(None), |name| Err(name.clone()));
        }
    };
    match names.all().find(|name| !known.contains(name)) {
        Some(unknown) => Err(unknown.clone()),
        None => Ok(Some(Selection {
            selection: Some(selection),
        })),
    }
}

impl Names {
    fn all(&self) -> impl Iterator<Item = &String> {
        self.tables.iter().chain(&self.columns).chain(&self.but)
    }

    fn all_tables(&self) -> bool {
        self.tables.is_empty() && self.columns.is_empty()
    }

    /// Returns the selections of the tables, and adds the names that exist to `known`.
    fn select(
        &self,
        prefix: &str,
        tables: &[Table],
        known: &mut Vec<String>,
    ) -> Vec<TableSelection> {
        let select = |table: &Table| {
            let name = format!("{prefix}{}", table.name);
            let column = |column: &str| format!("{name}.{column}");
            let is_of = |column: &String| {
                let of = column.rsplit_once('.').map(|(table, _)| table);
                of == Some(name.as_str())
            };
            known.push(name.clone());
            known.extend(table.columns.iter().map(|it| column(&it.name)));
            let some_columns = self.columns.iter().any(is_of);
            let all_but = self.but.iter().any(is_of);
            let mut columns = HashMap::new();
            for it in table.columns.iter().filter(|_| some_columns || all_but) {
                let full = column(&it.name);
                let wanted = !some_columns || self.columns.contains(&full);
                let wanted = (wanted && !self.but.contains(&full)) || it.primary_key;
                columns.insert(it.name.clone(), wanted);
            }
            TableSelection {
                included: self.all_tables() || self.tables.contains(&name) || some_columns,
                table_name: table.name.clone(),
                columns,
                include_new_columns: !some_columns,
            }
        };
        tables.iter().map(select).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fivetran_proto::{Column, TableList};

    fn schema() -> SchemaResponse {
        let column = |name: &str| Column {
            name: name.into(),
            primary_key: name == "id",
            ..Column::default()
        };
        let table = |name: &str| Table {
            name: name.into(),
            columns: ["id", "a", "b"].map(column).to_vec(),
        };
        SchemaResponse {
            response: Some(Response::WithoutSchema(TableList {
                tables: ["one", "two"].map(table).to_vec(),
            })),
            ..SchemaResponse::default()
        }
    }

    fn chosen(tables: &[&str], columns: &[&str], but: &[&str]) -> Result<Vec<String>, String> {
        let owned = |names: &[&str]| names.iter().map(|&it| it.to_owned()).collect();
        let names = Names {
            tables: owned(tables),
            columns: owned(columns),
            but: owned(but),
        };
        let selection = choose(&schema(), &RequestedSelection::Names(names))?;
        let Some(selection::Selection::WithoutSchema(list)) =
            selection.and_then(|selection| selection.selection)
        else {
            return Ok(vec!["everything".into()]);
        };
        let words = list
            .tables
            .iter()
            .filter(|table| table.included)
            .map(|table| {
                let mut columns: Vec<_> = table.columns.iter().filter(|(_, on)| **on).collect();
                columns.sort();
                let columns = columns.into_iter().map(|(name, _)| name.as_str());
                let words = [table.table_name.as_str()].into_iter().chain(columns);
                words.collect::<Vec<_>>().join(" ")
            });
        Ok(words.collect())
    }

    #[test]
    fn names_become_a_selection() {
        assert_eq!(chosen(&[], &[], &[]).unwrap(), ["everything"]);
        assert_eq!(chosen(&["two"], &[], &[]).unwrap(), ["two"]);
        assert_eq!(chosen(&[], &["one.a"], &[]).unwrap(), ["one a id"]);
        assert_eq!(
            chosen(&["two"], &["one.a"], &[]).unwrap(),
            ["one a id", "two"]
        );
        assert_eq!(chosen(&[], &[], &["one.a"]).unwrap(), ["one b id", "two"]);
        for unknown in ["three", "one.c", "a"] {
            assert_eq!(chosen(&[unknown], &[], &[]), Err(unknown.into()));
            assert_eq!(chosen(&[], &[unknown], &[]), Err(unknown.into()));
            assert_eq!(chosen(&[], &[], &[unknown]), Err(unknown.into()));
        }
    }
}
