//! The catalogue of the tables as text for a terminal and as JSON.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::{ALL, Column, Table, markdown::type_name};

/// Returns all tables, one line each: name, number of columns, description of a row.
pub fn summary() -> String {
    let width = ALL.iter().map(|table| table.name.len()).max().unwrap_or(0);
    let mut text = String::new();
    for table in ALL {
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "{:width$}  {:>2} columns  {}",
            table.name,
            table.columns.len(),
            table.doc
        );
        if let Some(choice) = table.choice {
            let _ = write!(text, " (only with {})", choice.field);
        }
        text.push('\n');
    }
    text
}

/// Returns all tables and columns as JSON.
pub fn json() -> String {
    let tables: Vec<Value> = ALL.iter().map(|table| table_json(table)).collect();
    format!("{:#}\n", json!({ "tables": tables }))
}

fn table_json(table: &Table) -> Value {
    json!({
        "name": table.name,
        "doc": table.doc,
        "releases": none_if_empty(table.releases),
        "chosen_by": table.choice.map(|choice| choice.field),
        "primary_key": [table.columns[0].name],
        "columns": table.columns.iter().map(column_json).collect::<Vec<Value>>(),
    })
}

fn column_json(column: &Column) -> Value {
    json!({
        "name": column.name,
        "type": type_name(column.kind),
        "nullable": !column.required,
        "references": column.references.map(|reference| reference.table),
        "changes_by_itself": column.volatile,
        "as_sent": column.as_sent,
        "releases": none_if_empty(column.releases),
        "doc": column.doc,
    })
}

fn none_if_empty(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_tables_are_listed() {
        let catalogue: Value = serde_json::from_str(&json()).unwrap();
        let tables = catalogue["tables"].as_array().unwrap();
        assert_eq!(tables.len(), ALL.len());
        assert_eq!(summary().lines().count(), ALL.len());
        for (table, listed) in ALL.iter().zip(tables) {
            assert_eq!(listed["name"], table.name);
            assert_eq!(
                listed["columns"].as_array().unwrap().len(),
                table.columns.len()
            );
            assert_eq!(listed["primary_key"], json!(["id"]));
        }
        let logs = tables.iter().find(|table| table["name"] == "logs").unwrap();
        assert_eq!(logs["chosen_by"], "sync_logs");
    }
}
