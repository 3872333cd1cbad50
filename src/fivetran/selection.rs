//! Reading of Fivetran's selection, which is compared with the catalogue of tables.

use std::collections::HashMap;

use super::proto;
use crate::{
    messages,
    sync::{SelectedTable, Selection},
    tables::{self, Table},
};

/// A selection that does not fit this connector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the selection has schemas, but this connector's tables have none; refresh the connection's schema in Fivetran"
)]
pub(super) struct UnknownSchema;

/// Returns the selected tables with their columns, and warnings for the user.
///
/// An absent selection means all of `tables`. The key is always sent. Names that the catalogue does not have cause a
/// warning only, because they may come from another version of the connector.
pub(super) fn read(
    selection: Option<&proto::Selection>,
    tables: &[&'static Table],
) -> Result<(Selection, Vec<String>), UnknownSchema> {
    let everything = || Selection {
        tables: tables
            .iter()
            .map(|table| SelectedTable::all(table))
            .collect(),
    };
    match selection.and_then(|selection| selection.selection.as_ref()) {
        None => Ok((everything(), Vec::new())),
        Some(proto::selection::Selection::WithSchema(_)) => Err(UnknownSchema),
        Some(proto::selection::Selection::WithoutSchema(selected)) => {
            Ok(read_tables(selected, tables))
        }
    }
}

fn read_tables(
    selection: &proto::TablesWithNoSchema,
    catalogue: &[&'static Table],
) -> (Selection, Vec<String>) {
    let by_name: HashMap<&str, &proto::TableSelection> = selection
        .tables
        .iter()
        .map(|table| (table.table_name.as_str(), table))
        .collect();
    let tables = catalogue
        .iter()
        .copied()
        .filter_map(|table| match by_name.get(table.name) {
            Some(choice) if choice.included => Some(SelectedTable {
                table,
                columns: read_columns(table, choice),
            }),
            Some(_) => None,
            None => selection
                .include_new_tables
                .then(|| SelectedTable::all(table)),
        })
        .collect();
    let mut warnings: Vec<String> = Vec::new();
    for choice in selection.tables.iter().filter(|choice| choice.included) {
        let mut known = catalogue.iter();
        match known.find(|table| table.name == choice.table_name) {
            None if tables::find(&choice.table_name).is_some() => {
                warnings.push(messages::UNKNOWN_TABLE.format(format_args!(
                    "the selected table {} is switched off in the setup form and is skipped",
                    choice.table_name
                )));
            }
            None => warnings.push(messages::UNKNOWN_TABLE.format(format_args!(
                "the selected table {} is not known and is skipped",
                choice.table_name.escape_debug()
            ))),
            Some(table) => warnings.extend(unknown_columns(table, choice)),
        }
    }
    warnings.sort_unstable();
    (Selection { tables }, warnings)
}

fn read_columns(table: &Table, choice: &proto::TableSelection) -> Vec<bool> {
    table
        .columns
        .iter()
        .enumerate()
        .map(|(at, column)| {
            let chosen = choice.columns.get(column.name).copied();
            at == 0 || chosen.unwrap_or(choice.include_new_columns)
        })
        .collect()
}

fn unknown_columns(table: &Table, choice: &proto::TableSelection) -> Vec<String> {
    choice
        .columns
        .iter()
        .filter(|(name, chosen)| **chosen && table.position(name).is_none())
        .map(|(name, _)| {
            messages::UNKNOWN_COLUMN.format(format_args!(
                "the selected column {}.{} is not known and is skipped",
                table.name,
                name.escape_debug()
            ))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn core() -> Vec<&'static Table> {
        let names = ["flows", "deployments", "flow_runs"];
        names.into_iter().filter_map(tables::find).collect()
    }

    fn table(
        name: &str,
        included: bool,
        columns: &[(&str, bool)],
        new: bool,
    ) -> proto::TableSelection {
        proto::TableSelection {
            included,
            table_name: name.to_owned(),
            columns: columns
                .iter()
                .map(|(name, chosen)| ((*name).to_owned(), *chosen))
                .collect(),
            include_new_columns: new,
        }
    }

    fn read_without_schema(
        tables: Vec<proto::TableSelection>,
        include_new_tables: bool,
    ) -> (Selection, Vec<String>) {
        let selection = proto::Selection {
            selection: Some(proto::selection::Selection::WithoutSchema(
                proto::TablesWithNoSchema {
                    tables,
                    include_new_tables,
                },
            )),
        };
        read(Some(&selection), &core()).expect("valid")
    }

    fn names(selection: &Selection) -> Vec<&str> {
        selection
            .tables
            .iter()
            .map(|selected| selected.table.name)
            .collect()
    }

    #[test]
    fn absent_means_everything() {
        let (selection, warnings) = read(None, &core()).expect("valid");
        assert_eq!(names(&selection), ["flows", "deployments", "flow_runs"]);
        assert!(
            selection
                .tables
                .iter()
                .all(|selected| selected.columns.iter().all(|sent| *sent))
        );
        assert!(warnings.is_empty());
    }

    #[test]
    fn tables_and_columns_are_chosen_and_the_key_stays() {
        let (selection, _) = read_without_schema(
            vec![
                table("flows", true, &[("id", false), ("name", true)], false),
                table("deployments", false, &[], true),
            ],
            false,
        );
        assert_eq!(names(&selection), ["flows"]);
        assert_eq!(
            selection.tables[0].names().collect::<Vec<_>>(),
            ["id", "name"]
        );
        let (selection, _) =
            read_without_schema(vec![table("flows", true, &[("tags", false)], true)], true);
        assert_eq!(names(&selection), ["flows", "deployments", "flow_runs"]);
        assert!(!selection.tables[0].names().any(|name| name == "tags"));
    }

    #[test]
    fn unknown_names_are_reported_and_schemas_are_rejected() {
        let (_, warnings) = read_without_schema(
            vec![
                table("flow", true, &[], true),
                table("flows", true, &[("nom", true)], true),
                table("logs", true, &[], true),
            ],
            false,
        );
        assert_eq!(
            warnings,
            [
                "the selected column flows.nom is not known and is skipped [W04]",
                "the selected table flow is not known and is skipped [W03]",
                "the selected table logs is switched off in the setup form and is skipped [W03]",
            ]
        );
        let selection = proto::Selection {
            selection: Some(proto::selection::Selection::WithSchema(
                proto::TablesWithSchema::default(),
            )),
        };
        assert_eq!(
            read(Some(&selection), &core()).expect_err("refused"),
            UnknownSchema
        );
    }
}
