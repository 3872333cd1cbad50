//! What a local run says at the end.

use std::{
    fmt::Write as _,
    io::{self, Write},
};

use comfy_table::{CellAlignment, ContentArrangement, Table, presets::UTF8_FULL_CONDENSED};

use super::{Operations, Outcome};

/// Writes the report: operations, tables, warnings, files; the last line says how the sync ended.
pub fn write(outcome: &Outcome, out: &mut impl Write) -> io::Result<()> {
    // The last line says which test failed, and why.
    let passed = outcome.tests.iter().filter(|test| test.failure.is_none());
    for test in passed {
        writeln!(out, "Test passed: {}", test.label)?;
    }
    if outcome.tests.iter().any(|test| test.failure.is_some()) {
        return end(outcome, out);
    }
    if !outcome.tests.is_empty() {
        writeln!(out)?;
    }
    writeln!(out, "{}", operations(&outcome.operations))?;
    if !outcome.tables.is_empty() {
        writeln!(out, "{}\n", tables(outcome))?;
    }
    for (text, count) in &outcome.warnings {
        if *count == 1 {
            writeln!(out, "Warning: {text}")?;
        } else {
            writeln!(out, "Warning ({count} times): {text}")?;
        }
    }
    if !outcome.warnings.is_empty() {
        writeln!(out)?;
    }
    writeln!(out, "Warehouse: {}", outcome.warehouse.display())?;
    writeln!(out, "State:     {}", outcome.state.display())?;
    if let Some(page) = &outcome.page {
        writeln!(out, "Report:    {}", page.display())?;
    }
    writeln!(out, "Took:      {:.1} s\n", outcome.took.as_secs_f64())?;
    end(outcome, out)
}

/// The last line.
fn end(outcome: &Outcome, out: &mut impl Write) -> io::Result<()> {
    match &outcome.failure {
        None => writeln!(out, "Sync SUCCEEDED"),
        // One line, whatever the connector put into its text.
        Some(why) => {
            let why = why.split_whitespace().collect::<Vec<_>>().join(" ");
            writeln!(out, "Sync FAILED: {why}")
        }
    }
}

/// The operations table, in the layout of Fivetran's own local run.
fn operations(operations: &Operations) -> String {
    let rows = [
        ("Upserts", operations.upserts),
        ("Updates", operations.updates),
        ("Deletes", operations.deletes),
        ("Truncates", operations.truncates),
        ("SchemaChanges", operations.schema_changes),
        ("Checkpoints", operations.checkpoints),
    ];
    let mut text = "Operation       | Calls\n----------------+------------\n".to_owned();
    for (name, calls) in rows {
        let _ = writeln!(text, "{name:<15} | {calls}");
    }
    text
}

fn tables(outcome: &Outcome) -> String {
    let header = [
        "Table",
        "Upserts",
        "Updates",
        "Deletes",
        "Rows now",
        "of them deleted",
    ];
    let rows = outcome.tables.iter().map(|table| {
        let numbers = [
            table.operations.upserts,
            table.operations.updates,
            table.operations.deletes,
            table.rows,
            table.deleted,
        ];
        let mut row = vec![Some(table.table.clone())];
        row.extend(numbers.map(|number| Some(number.to_string())));
        row
    });
    let mut table = draw(header.map(str::to_owned).to_vec(), rows.collect());
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.to_string()
}

/// Rows of text as a table; `NULL` for what is missing. As wide as the terminal at most.
pub(super) fn grid(columns: Vec<String>, rows: Vec<Vec<Option<String>>>) -> String {
    draw(columns, rows).to_string()
}

fn draw(columns: Vec<String>, rows: Vec<Vec<Option<String>>>) -> Table {
    let mut table = Table::new();
    table
        .load_preset(UTF8_FULL_CONDENSED)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(columns);
    for row in rows {
        let cells = row.into_iter();
        table.add_row(cells.map(|cell| cell.unwrap_or_else(|| "NULL".to_owned())));
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::debug::{TableOutcome, TestOutcome};

    fn outcome() -> Outcome {
        let sent = Operations {
            upserts: 44,
            schema_changes: 1,
            checkpoints: 1,
            ..Operations::default()
        };
        Outcome {
            operations: sent,
            tables: vec![TableOutcome {
                table: "tester.flows".into(),
                operations: sent,
                unchanged: 3,
                rows: 40,
                deleted: 2,
            }],
            ..Outcome::default()
        }
    }

    fn written(outcome: &Outcome) -> String {
        let mut out = Vec::new();
        write(outcome, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_operations_table_has_fivetrans_layout() {
        let expected = "\
Operation       | Calls
----------------+------------
Upserts         | 44
Updates         | 0
Deletes         | 0
Truncates       | 0
SchemaChanges   | 1
Checkpoints     | 1

";
        let text = written(&outcome());
        assert!(text.starts_with(expected), "{text}");
        assert!(text.ends_with("\nSync SUCCEEDED\n"), "{text}");
        assert!(text.contains("tester.flows"), "{text}");
    }

    #[test]
    fn a_failed_test_is_one_line() {
        let mut outcome = outcome();
        outcome.failure = Some("Reach it: nobody there".into());
        outcome.tests = vec![TestOutcome {
            label: "Reach it".into(),
            failure: Some("nobody there".into()),
        }];
        assert_eq!(written(&outcome), "Sync FAILED: Reach it: nobody there\n");
    }

    #[test]
    fn a_failure_is_the_last_line_and_one_line() {
        let mut outcome = outcome();
        outcome.failure = Some("first\nsecond".into());
        outcome.warnings = vec![("slow".into(), 3), ("odd".into(), 1)];
        outcome.tests = vec![TestOutcome {
            label: "Reach it".into(),
            failure: None,
        }];
        let text = written(&outcome);
        assert_eq!(text.lines().last(), Some("Sync FAILED: first second"));
        assert!(
            text.contains("Warning (3 times): slow\nWarning: odd\n"),
            "{text}"
        );
        assert!(text.starts_with("Test passed: Reach it\n"), "{text}");
    }
}
