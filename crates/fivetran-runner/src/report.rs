//! The text report at the end of a local run.

use std::{
    fmt::Write as _,
    io::{self, Write},
    time::Duration,
};

use comfy_table::{ContentArrangement, Table, presets::UTF8_FULL_CONDENSED};

use super::{Operations, SyncOutcome, one_line::one_line, report_table::table, terminal::wrapped};
use sync_telemetry::counted;

pub use super::report_json::json;

/// The appearance of the report.
#[derive(Debug, Clone, Copy, Default)]
pub struct Style {
    /// True to show the last line in green or red.
    pub colours: bool,
    /// The number of columns of the terminal; `None` without a terminal, and no line is broken then.
    pub width: Option<usize>,
}

/// Writes the report: operations, tables, warnings, files. The last line shows how the sync ended.
pub fn write(outcome: &SyncOutcome, style: Style, out: &mut impl Write) -> io::Result<()> {
    // The last line names the failed test and the reason.
    let passed = outcome.tests.iter().filter(|test| test.failure.is_none());
    for test in passed {
        let line = format!("Test passed: {}", test.label);
        writeln!(out, "{}", wrapped(&line, style.width))?;
    }
    if outcome.tests.iter().any(|test| test.failure.is_some()) {
        notes(outcome, style, out)?;
        return write_end(outcome, style, out);
    }
    if !outcome.tests.is_empty() {
        writeln!(out)?;
    }
    writeln!(out, "{}", operations(&outcome.operations))?;
    if !outcome.tables.is_empty() {
        writeln!(out, "{}", table(outcome, style.width))?;
    }
    for (text, count) in &outcome.warnings {
        let line = if *count == 1 {
            format!("Warning: {text}")
        } else {
            format!("Warning ({count} times): {text}")
        };
        writeln!(out, "{}", wrapped(&line, style.width))?;
    }
    if !outcome.warnings.is_empty() {
        writeln!(out)?;
    }
    writeln!(out, "Warehouse: {}", outcome.warehouse.display())?;
    writeln!(out, "State:     {}", outcome.state.display())?;
    if let Some(page) = &outcome.page {
        writeln!(out, "Report:    {}", page.display())?;
    }
    notes(outcome, style, out)?;
    writeln!(out, "Took:      {}", took(outcome))?;
    if outcome.setup_requests > 0 {
        let requests = counted(outcome.setup_requests, "request", "requests");
        writeln!(out, "           {requests} before it, for the setup tests")?;
    }
    writeln!(
        out,
        "Ended:     {}\n",
        outcome.ended.format("%Y-%m-%d %H:%M:%S UTC")
    )?;
    write_end(outcome, style, out)
}

/// A sync in one line: its changes, its cost, and the reason if it failed. The changes fit a line of `width` columns;
/// only the reason of a failure may make it longer.
pub fn line(outcome: &SyncOutcome, width: Option<usize>) -> String {
    let mut end = format!(" · {}", took(outcome));
    let warnings = outcome.warnings.iter().map(|(_, count)| count).sum();
    if warnings > 0 {
        let _ = write!(end, " · {}", counted(warnings, "warning", "warnings"));
    }
    let room = width.map(|width| width.saturating_sub(end.chars().count()));
    let mut text = changed_tables(outcome, room) + &end;
    if let Some(why) = &outcome.failure {
        let _ = write!(text, " · FAILED: {}", one_line(why));
    }
    text
}

/// The changes of the tables, the most changed first. Those that do not fit the room are counted.
fn changed_tables(outcome: &SyncOutcome, room: Option<usize>) -> String {
    let mut changed: Vec<(u64, String)> = Vec::new();
    for table in &outcome.tables {
        let words = changes(&table.operations);
        let name = table.table.rsplit('.').next().unwrap_or_default();
        if !words.is_empty() {
            let records = table.operations.records();
            changed.push((records, format!("{name} {words}")));
        }
    }
    if changed.is_empty() {
        return "nothing changed".to_owned();
    }
    changed.sort_by_key(|(records, _)| std::cmp::Reverse(*records));
    let names: Vec<String> = changed.into_iter().map(|(_, text)| text).collect();
    let all = counted(names.len() as u64, "table changed", "tables changed");
    let texts = (1..=names.len()).rev().map(|shown| {
        let mut text = names[..shown].join(", ");
        if shown < names.len() {
            let hidden = (names.len() - shown) as u64;
            let _ = write!(text, ", {}", counted(hidden, "more table", "more tables"));
        }
        text
    });
    let fits = |text: &String| room.is_none_or(|room| text.chars().count() <= room);
    texts.chain([all.clone()]).find(fits).unwrap_or(all)
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
        let _ = write!(text, ", {}", counted(requests, "request", "requests"));
    }
    if !waited.is_zero() {
        // Several requests wait at the same time, so the sum may be longer than the sync.
        let _ = write!(text, " that waited {:.1} s", waited.as_secs_f64());
    }
    text
}

fn notes(outcome: &SyncOutcome, style: Style, out: &mut impl Write) -> io::Result<()> {
    for line in &outcome.notes {
        writeln!(out, "{}", wrapped(line, style.width))?;
    }
    Ok(())
}

/// Writes the report of a sync that an error prevented or ended: the notes and the last line.
pub fn write_failure(outcome: &SyncOutcome, style: Style, out: &mut impl Write) -> io::Result<()> {
    notes(outcome, style, out)?;
    write_end(outcome, style, out)
}

/// Writes the end of the report: the last lines of a connector that exited, and the line that shows how the sync ended.
fn write_end(outcome: &SyncOutcome, style: Style, out: &mut impl Write) -> io::Result<()> {
    if !outcome.last_lines.is_empty() {
        writeln!(out, "Last lines of the connector's output:")?;
        for line in &outcome.last_lines {
            let line = format!("  {}", one_line(line));
            writeln!(out, "{}", wrapped(&line, style.width))?;
        }
        writeln!(out)?;
    }
    let (text, colour) = match &outcome.failure {
        None => ("Sync SUCCEEDED".to_owned(), 32),
        // The text of the connector is reduced to one line.
        Some(why) => (format!("Sync FAILED: {}", one_line(why)), 31),
    };
    let text = wrapped(&text, style.width);
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

/// Draws rows of text as a table, with `NULL` for missing values. At most as wide as the terminal.
pub(super) fn grid(columns: Vec<String>, rows: Vec<Vec<Option<String>>>) -> String {
    let mut table = Table::new();
    table
        .load_preset(UTF8_FULL_CONDENSED)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(columns);
    for row in rows {
        let cells = row.into_iter();
        table.add_row(cells.map(|cell| cell.unwrap_or_else(|| "NULL".to_owned())));
    }
    table.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{TableOutcome, TestOutcome, timeline::Tally};

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
            setup_requests: 1,
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
        for part in [
            "\nflows ",
            "\nTook:      0.0 s, 7 requests\n           1 request before it, for the setup tests\n",
            "\nEnded:     1970-01-01 00:00:00 UTC\n",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }

    #[test]
    fn long_texts_are_broken_between_words_on_a_terminal_only() {
        let mut outcome = outcome();
        let long = "a word ".repeat(30);
        outcome.failure = Some(long.clone());
        outcome.warnings = vec![(long.clone(), 1)];
        outcome.notes = vec![format!("Recording: {long}")];
        outcome.last_lines = vec![long];
        let mut out = Vec::new();
        let style = Style {
            width: Some(80),
            ..Style::default()
        };
        write(&outcome, style, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(
            text.lines().all(|line| line.chars().count() <= 80),
            "{text}"
        );
        let text = written(&outcome);
        assert_eq!(text.lines().filter(|line| line.len() > 200).count(), 4);
    }

    #[test]
    fn a_sync_in_one_line_says_what_changed() {
        let mut outcome = outcome();
        assert_eq!(line(&outcome, None), "flows +44 −2 · 0.0 s, 7 requests");
        outcome.failure = Some("no\nway".into());
        outcome.tables.clear();
        assert_eq!(
            line(&outcome, None),
            "nothing changed · 0.0 s, 7 requests · FAILED: no way"
        );
    }

    #[test]
    fn changes_that_do_not_fit_the_line_are_counted() {
        let mut outcome = outcome();
        let first = outcome.tables.remove(0);
        let tables = (1..=4).map(|upserts| {
            let mut table = first.clone();
            table.table = format!("tester.table_{upserts}");
            table.operations.upserts = upserts;
            table.operations.deletes = 0;
            // A truncate is not a row.
            table.operations.truncates = 9;
            table
        });
        outcome.tables = tables.collect();
        outcome.warnings = vec![("slow".into(), 1)];
        let end = " · 0.0 s, 7 requests · 1 warning";
        for (width, changes) in [
            (None, "table_4 +4, table_3 +3, table_2 +2, table_1 +1"),
            (Some(80), "table_4 +4, table_3 +3, table_2 +2, table_1 +1"),
            (Some(77), "table_4 +4, table_3 +3, 2 more tables"),
            (Some(57), "table_4 +4, 3 more tables"),
            (Some(49), "4 tables changed"),
        ] {
            assert_eq!(
                line(&outcome, width),
                format!("{changes}{end}"),
                "{width:?}"
            );
        }
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
        write(
            &outcome(),
            Style {
                colours: true,
                width: None,
            },
            &mut out,
        )
        .unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text.matches('\u{1b}').count(), 2);
        assert!(text.ends_with("\u{1b}[1;32mSync SUCCEEDED\u{1b}[0m\n"));
    }
}
