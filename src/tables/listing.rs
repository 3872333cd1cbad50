//! The catalogue of the tables as text for a terminal and as JSON.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::{ALL, Column, Table, markdown::type_name};

/// The length of a line of a usual terminal.
const LINE: usize = 80;
/// The indentation of a description.
const INDENT: &str = "    ";

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

/// Returns one table for a terminal: its description, releases and cost, and its columns.
pub fn details(table: &Table) -> String {
    let mut text = format!("{}\n", table.name);
    write_indented(&mut text, table.doc);
    if !table.releases.is_empty() {
        write_indented(&mut text, &format!("Releases: {}", table.releases));
    }
    if let Some(choice) = table.choice {
        let cost = format!(
            "Cost: off unless `{}` is switched on. {}",
            choice.field, choice.cost
        );
        write_indented(&mut text, &cost);
    }
    for (at, column) in table.columns.iter().enumerate() {
        let mut facts = vec![type_name(column.kind).to_owned()];
        if at == 0 {
            facts.push("key".to_owned());
        } else if column.required {
            facts.push("not null".to_owned());
        }
        if let Some(reference) = column.references {
            facts.push(format!("references {}", reference.table));
        }
        if !column.releases.is_empty() {
            facts.push(format!("releases: {}", column.releases));
        }
        // Writing to a String cannot fail.
        let _ = writeln!(text, "\n{}", column.name);
        write_indented(&mut text, &facts.join(", "));
        write_indented(&mut text, column.doc);
    }
    text
}

/// Appends a text in indented lines of at most [`LINE`] characters. A longer word has a line of its own.
fn write_indented(text: &mut String, words: &str) {
    let mut line = String::new();
    for word in words.split_whitespace() {
        let length = line.chars().count() + 1 + word.chars().count();
        if !line.is_empty() && INDENT.len() + length > LINE {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{INDENT}{line}");
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    if !line.is_empty() {
        let _ = writeln!(text, "{INDENT}{line}");
    }
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
    #[test]
    fn a_table_is_shown_with_all_columns_in_lines_that_fit_a_terminal() {
        for table in ALL {
            let text = details(table);
            for column in table.columns {
                assert!(text.contains(&format!("\n{}\n", column.name)), "{text}");
            }
            let too_long = text.lines().find(|line| line.chars().count() > LINE);
            assert_eq!(too_long, None, "{}", table.name);
            let words = |text: &str| {
                let words = text.split_whitespace().map(str::to_owned);
                words.collect::<Vec<_>>().join(" ")
            };
            assert!(words(&text).contains(&words(table.doc)), "{text}");
        }
        let logs = details(super::super::find("logs").unwrap());
        assert!(
            logs.contains("off unless `sync_logs` is switched on"),
            "{logs}"
        );
        assert!(logs.contains("\nid\n    STRING, key\n"), "{logs}");
        assert!(logs.contains("references flow_runs"), "{logs}");
    }
}
