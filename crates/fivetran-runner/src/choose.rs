//! Translates the user's choice of tables and columns into a selection of the protocol.

use std::collections::HashMap;

use super::{
    options::{Names, RequestedSelection},
    warehouse::Tables,
};
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

/// The tables of a connector.
#[derive(Debug, Default)]
pub(super) struct SyncTables {
    /// The selected tables with their selected columns: those that a destination creates before the first row.
    pub(super) selected: Tables,
    /// The other tables, which a connector should not send.
    pub(super) others: Tables,
}

/// Divides the tables by a selection. The columns of a key are always selected.
pub(super) fn divide(tables: Tables, selection: Option<&Selection>) -> SyncTables {
    let Some(selection) = selection.and_then(|it| it.selection.as_ref()) else {
        return SyncTables {
            selected: tables,
            others: Tables::new(),
        };
    };
    let mut divided = SyncTables::default();
    for (schema, table) in tables {
        let (list, include_new_tables) = selected_tables(selection, schema.as_deref());
        let choice = list.iter().find(|it| it.table_name == table.name);
        if !choice.map_or(include_new_tables, |it| it.included) {
            divided.others.push((schema, table));
            continue;
        }
        let table = match choice {
            Some(choice) => with_selected_columns(table, choice),
            None => table,
        };
        divided.selected.push((schema, table));
    }
    divided
}

/// Returns the selections of the tables in a schema, and whether other tables of it are included.
fn selected_tables<'a>(
    selection: &'a selection::Selection,
    schema: Option<&str>,
) -> (&'a [TableSelection], bool) {
    match selection {
        selection::Selection::WithoutSchema(list) => (&list.tables, list.include_new_tables),
        selection::Selection::WithSchema(list) => {
            let mut schemas = list.schemas.iter();
            match schemas.find(|it| Some(it.schema_name.as_str()) == schema) {
                Some(schema) if schema.included => (&schema.tables, schema.include_new_tables),
                Some(_) => (&[], false),
                None => (&[], list.include_new_schemas),
            }
        }
    }
}

fn with_selected_columns(mut table: Table, choice: &TableSelection) -> Table {
    table.columns.retain(|column| {
        let wanted = choice.columns.get(&column.name).copied();
        column.primary_key || wanted.unwrap_or(choice.include_new_columns)
    });
    table
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

    /// Returns the selected tables and columns.
    fn selected(schema_name: Option<&str>, selection: selection::Selection) -> Vec<String> {
        let Some(Response::WithoutSchema(list)) = schema().response else {
            panic!("no tables");
        };
        let tables = list.tables.into_iter();
        let tables: Tables = tables
            .map(|table| (schema_name.map(str::to_owned), table))
            .collect();
        let selection = Selection {
            selection: Some(selection),
        };
        let divided = divide(tables.clone(), Some(&selection));
        assert_eq!(divided.selected.len() + divided.others.len(), tables.len());
        let words = |(_, table): (_, Table)| {
            let columns = table.columns.iter().map(|it| it.name.as_str());
            let words = [table.name.as_str()].into_iter().chain(columns);
            words.collect::<Vec<_>>().join(" ")
        };
        divided.selected.into_iter().map(words).collect()
    }

    #[test]
    fn tables_and_columns_are_divided_by_a_selection() {
        let one = |included, include_new_columns| TableSelection {
            included,
            table_name: "one".into(),
            columns: HashMap::from([
                ("id".into(), false),
                ("a".into(), true),
                ("b".into(), false),
            ]),
            include_new_columns,
        };
        let without = |tables: Vec<TableSelection>, include_new_tables| {
            selection::Selection::WithoutSchema(TablesWithNoSchema {
                tables,
                include_new_tables,
            })
        };
        assert_eq!(
            selected(None, without(vec![one(true, true)], false)),
            ["one id a"]
        );
        assert_eq!(
            selected(None, without(vec![one(false, true)], true)),
            ["two id a b"]
        );
        assert_eq!(selected(None, without(Vec::new(), false)), [""; 0]);
        let with = |included| {
            selection::Selection::WithSchema(TablesWithSchema {
                schemas: vec![SchemaSelection {
                    included,
                    schema_name: "s".into(),
                    tables: vec![one(true, true)],
                    include_new_tables: false,
                }],
                include_new_schemas: false,
            })
        };
        assert_eq!(selected(Some("s"), with(true)), ["one id a"]);
        assert_eq!(selected(Some("s"), with(false)), [""; 0]);
        assert_eq!(selected(Some("other"), with(true)), [""; 0]);
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
