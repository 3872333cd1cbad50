//! Two selections to try a connector with. Each table with rows is deselected by one of them.

use std::collections::{HashMap, HashSet};

use super::{
    model::TableId,
    rules::{self, Rule},
    schema::Tables,
};
use fivetran_proto::{
    SchemaSelection, Selection, TableSelection, TablesWithNoSchema, TablesWithSchema, selection,
};

/// The tables and columns that a sync must leave out, and the rules that sending them breaks.
#[derive(Debug, Clone)]
pub(super) struct ExpectedSelection {
    tables: HashSet<TableId>,
    columns: HashSet<(TableId, String)>,
    /// The rules for tables and for columns; `None` if the connector promised nothing.
    pub(super) rules: Option<(&'static Rule, &'static Rule)>,
}

impl ExpectedSelection {
    /// The selection that leaves nothing out.
    pub(super) fn everything() -> Self {
        Self {
            tables: HashSet::new(),
            columns: HashSet::new(),
            rules: Some((
                &rules::SELECTION_IGNORED_TABLE,
                &rules::SELECTION_IGNORED_COLUMN,
            )),
        }
    }

    /// Returns true if a column of this table is left out.
    pub(super) fn cuts(&self, table: &TableId) -> bool {
        self.columns.iter().any(|(of, _)| of == table)
    }

    pub(super) fn has_table(&self, table: &TableId) -> bool {
        !self.tables.contains(table)
    }

    pub(super) fn has_column(&self, table: &TableId, column: &str) -> bool {
        self.columns.is_empty() || !self.columns.contains(&(table.clone(), column.to_owned()))
    }
}

/// A table that had rows, with its columns outside the key that were not all null.
pub(super) type Filled = (TableId, Vec<String>);

/// Deselects every second table, and one column of each other table, by name.
pub(super) fn by_name(tables: &Tables, filled: &[Filled]) -> (Selection, ExpectedSelection) {
    let mut expected = ExpectedSelection::everything();
    for (at, (table, columns)) in filled.iter().enumerate() {
        // A single table stays, because an empty selection shows nothing.
        if at % 2 == 0 && filled.len() > 1 {
            expected.tables.insert(table.clone());
        } else if let Some(column) = columns.first() {
            expected.columns.insert((table.clone(), column.clone()));
        }
    }
    let selected = tables.tables.iter().map(|(id, declared)| {
        let columns = declared.columns.keys();
        TableSelectionOf {
            id,
            selection: TableSelection {
                included: expected.has_table(id),
                table_name: id.table.clone(),
                columns: columns
                    .map(|column| (column.clone(), expected.has_column(id, column)))
                    .collect(),
                include_new_columns: true,
            },
        }
    });
    (selection(selected.collect(), true), expected)
}

/// Deselects the other tables, and another column of each remaining table, by not listing them.
pub(super) fn by_silence(tables: &Tables, filled: &[Filled]) -> (Selection, ExpectedSelection) {
    let mut expected = ExpectedSelection {
        rules: Some((&rules::SELECTION_NEW_TABLE, &rules::SELECTION_NEW_COLUMN)),
        ..ExpectedSelection::everything()
    };
    for (at, (table, columns)) in filled.iter().enumerate() {
        if at % 2 == 1 {
            expected.tables.insert(table.clone());
        } else if let Some(column) = columns.last() {
            expected.columns.insert((table.clone(), column.clone()));
        }
    }
    let listed = tables
        .tables
        .iter()
        .filter(|(id, _)| expected.has_table(id));
    let selected = listed.map(|(id, declared)| {
        let columns = declared.columns.keys();
        let columns: HashMap<String, bool> = columns
            .filter(|column| expected.has_column(id, column))
            .map(|column| (column.clone(), true))
            .collect();
        TableSelectionOf {
            id,
            selection: TableSelection {
                included: true,
                table_name: id.table.clone(),
                // Undeclared columns may be sent, too, if no column is left out.
                include_new_columns: columns.len() == declared.columns.len(),
                columns,
            },
        }
    });
    (selection(selected.collect(), false), expected)
}

struct TableSelectionOf<'a> {
    id: &'a TableId,
    selection: TableSelection,
}

fn selection(tables: Vec<TableSelectionOf<'_>>, include_new: bool) -> Selection {
    let has_schemas = tables.iter().any(|table| table.id.schema.is_some());
    let selection = if has_schemas {
        let mut schemas: Vec<SchemaSelection> = Vec::new();
        for table in tables {
            let name = table.id.schema.clone().unwrap_or_default();
            if schemas.last().is_none_or(|last| last.schema_name != name) {
                schemas.push(SchemaSelection {
                    included: true,
                    schema_name: name,
                    tables: Vec::new(),
                    include_new_tables: include_new,
                });
            }
            if let Some(last) = schemas.last_mut() {
                last.tables.push(table.selection);
            }
        }
        selection::Selection::WithSchema(TablesWithSchema {
            schemas,
            include_new_schemas: include_new,
        })
    } else {
        selection::Selection::WithoutSchema(TablesWithNoSchema {
            tables: tables.into_iter().map(|table| table.selection).collect(),
            include_new_tables: include_new,
        })
    };
    Selection {
        selection: Some(selection),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::finding_log::{FindingLocation, FindingLog};
    use fivetran_proto::{Column, Table};

    fn tables(schema: Option<&str>) -> (Tables, Vec<Filled>) {
        let columns = ["id", "a", "b"].map(|name| Column {
            name: name.into(),
            primary_key: name == "id",
            ..Column::default()
        });
        let mut known = Tables::default();
        let list = ["x", "y", "z"].map(|name| {
            let table = Table {
                name: name.into(),
                columns: columns.to_vec(),
            };
            (schema.map(str::to_owned), table)
        });
        known.declare(
            list.to_vec(),
            &FindingLocation::default(),
            &mut FindingLog::default(),
        );
        let filled = known.tables.keys();
        let filled = filled.map(|id| (id.clone(), vec!["a".to_owned(), "b".to_owned()]));
        let filled = filled.collect();
        (known, filled)
    }

    #[test]
    fn each_table_is_left_out_once_and_each_other_loses_a_column() {
        let (tables, filled) = tables(None);
        let (said, by_name) = by_name(&tables, &filled);
        let (unsaid, by_silence) = by_silence(&tables, &filled);
        for (table, _) in &filled {
            assert_ne!(by_name.has_table(table), by_silence.has_table(table));
        }
        let y = &filled[1].0;
        assert!(!by_name.has_column(y, "a") && by_name.has_column(y, "b"));
        let x = &filled[0].0;
        assert!(by_silence.has_column(x, "a") && !by_silence.has_column(x, "b"));
        let Some(selection::Selection::WithoutSchema(said)) = said.selection else {
            panic!("{said:?}");
        };
        assert_eq!(said.tables.len(), 3);
        assert!(!said.tables[0].included && !said.tables[1].columns["a"]);
        let Some(selection::Selection::WithoutSchema(unsaid)) = unsaid.selection else {
            panic!("{unsaid:?}");
        };
        assert_eq!(unsaid.tables.len(), 2);
        assert!(!unsaid.include_new_tables && !unsaid.tables[0].include_new_columns);
        assert!(!unsaid.tables[0].columns.contains_key("b"));
    }

    #[test]
    fn tables_of_a_schema_are_selected_in_it() {
        let (tables, filled) = tables(Some("s"));
        let (said, _) = by_name(&tables, &filled);
        let Some(selection::Selection::WithSchema(said)) = said.selection else {
            panic!("{said:?}");
        };
        assert_eq!(said.schemas.len(), 1);
        assert_eq!(said.schemas[0].tables.len(), 3);
    }

    #[test]
    fn a_single_table_stays() {
        let (mut tables, filled) = tables(None);
        tables.tables.retain(|id, _| id.table == "x");
        for (_, expected) in [
            by_name(&tables, &filled[..1]),
            by_silence(&tables, &filled[..1]),
        ] {
            assert!(expected.has_table(&filled[0].0));
        }
    }
}
