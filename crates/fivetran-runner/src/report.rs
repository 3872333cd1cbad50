//! The text report at the end of a local run.

use std::{
    fmt::Write as _,
    io::{self, Write},
    time::Duration,
};

use comfy_table::{
    CellAlignment, ContentArrangement, Table,
    presets::{UTF8_BORDERS_ONLY, UTF8_FULL_CONDENSED},
};

use super::{Operations, SyncOutcome, TableOutcome, one_line::one_line, timeline::Tally};

pub use super::report_json::json;

/// The appearance of the report.
#[derive(Debug, Clone, Copy, Default)]
pub struct Style {
    /// True to show the last line in green or red.
    pub colours: bool,
}

/// Writes the report: operations, tables, warnings, files. The last line shows how the sync ended.
pub fn write(outcome: &SyncOutcome, style: Style, out: &mut impl Write) -> io::Result<()> {
    // The last line names the failed test and the reason.
    let passed = outcome.tests.iter().filter(|test| test.failure.is_none());
    for test in passed {
        writeln!(out, "Test passed: {}", test.label)?;
    }
    if outcome.tests.iter().any(|test| test.failure.is_some()) {
        notes(outcome, out)?;
        return write_end(outcome, style, out);
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
    notes(outcome, out)?;
    writeln!(out, "Took:      {}\n", took(outcome))?;
    write_end(outcome, style, out)
}

/// A sync in one line: its changes, its cost, and the reason if it failed.
pub fn line(outcome: &SyncOutcome) -> String {
    let changed = outcome.tables.iter().filter_map(|table| {
        let words = changes(&table.operations);
        let name = table.table.rsplit('.').next().unwrap_or_default();
        (!words.is_empty()).then(|| format!("{name} {words}"))
    });
    let changed: Vec<String> = changed.collect();
    let mut text = if changed.is_empty() {
        "nothing changed".to_owned()
    } else {
        changed.join(", ")
    };
    let _ = write!(text, " · {}", took(outcome));
    if let Some(why) = &outcome.failure {
        let _ = write!(text, " · FAILED: {}", one_line(why));
    }
    text
}

/// The changes of a table, such as `+3 ~1 −2`: rows upserted, updated and deleted.
fn changes(operations: &Operations) -> String {
    let parts = [
        ('+', operations.upserts),
        ('~', operations.updates),
        ('−', operations.deletes),
    ];
    let parts = parts.into_iter().filter(|(_, count)| *count > 0);
    let words: Vec<String> = parts
        .map(|(sign, count)| format!("{sign}{count}"))
        .collect();
    words.join(" ")
}

fn took(outcome: &SyncOutcome) -> String {
    let seconds = outcome.took.as_secs_f64();
    let requests: u64 = outcome.asked.iter().map(|asked| asked.requests).sum();
    let waited: Duration = outcome.asked.iter().map(|asked| asked.waited).sum();
    let mut text = format!("{seconds:.1} s");
    if !outcome.asked.is_empty() {
        let _ = write!(text, ", {requests} requests");
    }
    if !waited.is_zero() {
        // Several requests wait at the same time, so the sum may be longer than the sync.
        let _ = write!(text, " that waited {:.1} s", waited.as_secs_f64());
    }
    text
}

fn notes(outcome: &SyncOutcome, out: &mut impl Write) -> io::Result<()> {
    for line in &outcome.notes {
        writeln!(out, "{line}")?;
    }
    Ok(())
}

/// Writes the report of a sync that an error prevented or ended: the notes and the last line.
pub fn write_failure(outcome: &SyncOutcome, style: Style, out: &mut impl Write) -> io::Result<()> {
    notes(outcome, out)?;
    write_end(outcome, style, out)
}

/// Writes the end of the report: the last lines of a connector that exited, and the line that shows how the sync ended.
fn write_end(outcome: &SyncOutcome, style: Style, out: &mut impl Write) -> io::Result<()> {
    if !outcome.last_lines.is_empty() {
        writeln!(out, "Last lines of the connector's output:")?;
        for line in &outcome.last_lines {
            writeln!(out, "  {}", one_line(line))?;
        }
        writeln!(out)?;
    }
    let (text, colour) = match &outcome.failure {
        None => ("Sync SUCCEEDED".to_owned(), 32),
        // The text of the connector is reduced to one line.
        Some(why) => (format!("Sync FAILED: {}", one_line(why)), 31),
    };
    if style.colours {
        writeln!(out, "\u{1b}[1;{colour}m{text}\u{1b}[0m")
    } else {
        writeln!(out, "{text}")
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

/// A column of numbers: its heading, true if it is shown, and its value.
type Counted = (&'static str, bool, fn(&TableOutcome) -> u64);

fn tables(outcome: &SyncOutcome) -> String {
    let schema = common_schema(&outcome.tables);
    let (rows_now, gone) = if outcome.history {
        ("Versions", "closed")
    } else {
        ("Rows now", "deleted")
    };
    let is_heard = !outcome.asked.is_empty();
    let any = |count: fn(&TableOutcome) -> u64| outcome.tables.iter().any(|it| count(it) > 0);
    let columns: [Counted; 6] = [
        ("Upserts", true, |table| table.operations.upserts),
        ("Updates", any(|it| it.operations.updates), |table| {
            table.operations.updates
        }),
        ("Deletes", true, |table| table.operations.deletes),
        ("unchanged", any(|it| it.unchanged), |table| table.unchanged),
        (rows_now, true, |table| table.rows),
        (gone, true, |table| table.deleted),
    ];
    let shown = columns.iter().filter(|(_, is_worth, _)| *is_worth);
    let mut header = vec!["Table"];
    header.extend(shown.clone().map(|(name, _, _)| *name));
    if is_heard {
        header.extend(["Requests", "MB", "s"]);
    }
    let rows = outcome.tables.iter().map(|table| {
        let name = table.table.strip_prefix(&schema).unwrap_or(&table.table);
        let mut row = vec![Some(name.to_owned())];
        row.extend(
            shown
                .clone()
                .map(|(_, _, count)| Some(count(table).to_string())),
        );
        if is_heard {
            row.extend(asked_for(table, &outcome.asked).map(Some));
        }
        row
    });
    let rows = rows.collect();
    let mut table = draw(header.into_iter().map(str::to_owned).collect(), rows);
    // Numbers are not broken over lines, however narrow the terminal.
    table
        .load_preset(UTF8_BORDERS_ONLY)
        .set_content_arrangement(ContentArrangement::Disabled);
    for column in table.column_iter_mut() {
        column.set_padding((0, 1));
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.to_string()
}

/// The schema of all tables, with its point; empty if they are in several schemas.
fn common_schema(tables: &[TableOutcome]) -> String {
    let schema_of = |table: &TableOutcome| Some(table.table.split_once('.')?.0.to_owned() + ".");
    let mut schemas = tables.iter().map(schema_of);
    let schema = schemas.next().flatten().unwrap_or_default();
    if schemas.all(|other| other.as_ref() == Some(&schema)) {
        schema
    } else {
        String::new()
    }
}

/// The requests, megabytes and seconds of a table. If tables share a listing, the first of them shows its numbers.
fn asked_for(table: &TableOutcome, asked: &[Tally]) -> [String; 3] {
    let name = table.table.rsplit('.').next().unwrap_or_default();
    let Some(tally) = asked
        .iter()
        .find(|tally| tally.tables.iter().any(|it| it == name))
    else {
        return ["", "", ""].map(str::to_owned);
    };
    if tally.tables.first().is_some_and(|first| first != name) {
        return ["shared", "", ""].map(str::to_owned);
    }
    #[expect(clippy::cast_precision_loss, reason = "only displayed")]
    let megabytes = tally.bytes as f64 / 1e6;
    [
        tally.requests.to_string(),
        format!("{megabytes:.1}"),
        format!("{:.1}", tally.took.as_secs_f64()),
    ]
}

/// Draws rows of text as a table, with `NULL` for missing values. At most as wide as the terminal.
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
    use crate::TestOutcome;

    fn outcome() -> SyncOutcome {
        let sent = Operations {
            upserts: 44,
            deletes: 2,
            schema_changes: 1,
            checkpoints: 1,
            ..Operations::default()
        };
        let table = |name: &str, operations| TableOutcome {
            table: format!("tester.{name}"),
            operations,
            unchanged: 3,
            rows: 40,
            deleted: 2,
        };
        SyncOutcome {
            operations: sent,
            tables: vec![table("flows", sent), table("parts", Operations::default())],
            asked: vec![Tally {
                tables: vec!["flows".into(), "parts".into()],
                requests: 7,
                bytes: 2_500_000,
                took: Duration::from_millis(1_500),
                ..Tally::default()
            }],
            ..SyncOutcome::default()
        }
    }

    fn written(outcome: &SyncOutcome) -> String {
        let mut out = Vec::new();
        write(outcome, Style::default(), &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_operations_table_has_fivetrans_layout() {
        let expected = "\
Operation       | Calls
----------------+------------
Upserts         | 44
Updates         | 0
Deletes         | 2
Truncates       | 0
SchemaChanges   | 1
Checkpoints     | 1

";
        let text = written(&outcome());
        assert!(text.starts_with(expected), "{text}");
        assert!(text.ends_with("\nSync SUCCEEDED\n"), "{text}");
        let cells = |name: &str| {
            let line = text.lines().find(|line| line.contains(name)).unwrap();
            line.replace(['│', '┆'], " ")
                .split_whitespace()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        assert_eq!(
            cells("flows"),
            ["flows", "44", "2", "3", "40", "2", "7", "2.5", "1.5"]
        );
        assert_eq!(cells("parts")[6..], ["shared"]);
    }

    #[test]
    fn a_sync_in_one_line_says_what_changed() {
        let mut outcome = outcome();
        assert_eq!(line(&outcome), "flows +44 −2 · 0.0 s, 7 requests");
        outcome.failure = Some("no\nway".into());
        outcome.tables.clear();
        assert_eq!(
            line(&outcome),
            "nothing changed · 0.0 s, 7 requests · FAILED: no way"
        );
    }

    #[test]
    fn a_failed_test_is_one_line() {
        let mut outcome = outcome();
        outcome.failure = Some("Reach it: connection refused".into());
        outcome.tests = vec![TestOutcome {
            label: "Reach it".into(),
            failure: Some("connection refused".into()),
        }];
        assert_eq!(
            written(&outcome),
            "Sync FAILED: Reach it: connection refused\n"
        );
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

    #[test]
    fn only_the_last_line_is_coloured() {
        let mut out = Vec::new();
        write(&outcome(), Style { colours: true }, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text.matches('\u{1b}').count(), 2);
        assert!(text.ends_with("\u{1b}[1;32mSync SUCCEEDED\u{1b}[0m\n"));
    }
}
