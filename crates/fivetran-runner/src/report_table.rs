//! The table of the text report: a line for each table, as wide as the terminal at most.

use super::{SyncOutcome, TableOutcome, terminal::shortened, timeline::Tally};

/// The gaps between columns, the widest first.
const GAPS: [usize; 2] = [2, 1];
/// The narrowest column of names.
const NARROWEST: usize = 10;

/// A column: its heading and its cells.
struct Column {
    heading: &'static str,
    cells: Vec<String>,
    /// True if the column is left out of a narrow terminal. The HTML report has its numbers, too.
    is_optional: bool,
}

/// Draws the tables of an outcome. The last columns are left out if the width requires it.
pub(super) fn table(outcome: &SyncOutcome, width: Option<usize>) -> String {
    let mut columns = columns(outcome);
    let most = width.unwrap_or(usize::MAX);
    let gap = loop {
        let fits = |gap: &&usize| total(&columns, **gap) <= most;
        if let Some(gap) = GAPS.iter().find(fits) {
            break *gap;
        }
        let Some(last) = columns.iter().rposition(|column| column.is_optional) else {
            let over = total(&columns, 1) - most;
            shorten_names(&mut columns, over);
            break 1;
        };
        columns.remove(last);
    };
    draw(&columns, gap, outcome.tables.len())
}

impl Column {
    fn width(&self) -> usize {
        let cells = self.cells.iter().map(|cell| cell.chars().count());
        cells.chain([self.heading.len()]).max().unwrap_or_default()
    }
}

fn total(columns: &[Column], gap: usize) -> usize {
    let widths: usize = columns.iter().map(Column::width).sum();
    widths + gap * columns.len().saturating_sub(1)
}

/// Shortens the cells of the first column by `over` characters.
fn shorten_names(columns: &mut [Column], over: usize) {
    if let Some(names) = columns.first_mut() {
        let width = names.width().saturating_sub(over).max(NARROWEST);
        for name in &mut names.cells {
            *name = shortened(name, Some(width));
        }
    }
}

/// Draws names on the left and numbers on the right of their columns.
fn draw(columns: &[Column], gap: usize, rows: usize) -> String {
    let line = |cell: &dyn Fn(&Column) -> String| {
        let mut line = String::new();
        for (at, column) in columns.iter().enumerate() {
            let (text, width) = (cell(column), column.width());
            let space = " ".repeat(width - text.chars().count());
            if at == 0 {
                line += &(text + &space);
            } else {
                line += &(" ".repeat(gap) + &space + &text);
            }
        }
        line.trim_end().to_owned() + "\n"
    };
    let mut text = line(&|column| column.heading.to_owned());
    text += &"-".repeat(total(columns, gap));
    text.push('\n');
    for row in 0..rows {
        text += &line(&|column| column.cells.get(row).cloned().unwrap_or_default());
    }
    text
}

fn columns(outcome: &SyncOutcome) -> Vec<Column> {
    let tables = &outcome.tables;
    let schema = common_schema(tables);
    let names = tables.iter().map(|table| {
        let name = table.table.strip_prefix(&schema);
        name.unwrap_or(&table.table).to_owned()
    });
    let counts = |heading, is_optional, count: fn(&TableOutcome) -> u64| Column {
        heading,
        cells: tables.iter().map(|it| count(it).to_string()).collect(),
        is_optional,
    };
    let any = |count: fn(&TableOutcome) -> u64| tables.iter().any(|it| count(it) > 0);
    let mut columns = vec![
        Column {
            heading: "Table",
            cells: names.collect(),
            is_optional: false,
        },
        counts("Upserts", false, |it| it.operations.upserts),
    ];
    if any(|it| it.operations.updates) {
        columns.push(counts("Updates", false, |it| it.operations.updates));
    }
    columns.push(counts("Deletes", false, |it| it.operations.deletes));
    if any(|it| it.unchanged) {
        columns.push(counts("unchanged", true, |it| it.unchanged));
    }
    let (rows, gone) = if outcome.history {
        ("Versions", "closed")
    } else {
        ("Rows", "deleted")
    };
    columns.push(counts(rows, false, |it| it.rows));
    columns.push(counts(gone, false, |it| it.deleted));
    if !outcome.asked.is_empty() {
        columns.extend(request_columns(outcome));
    }
    columns
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

/// The columns of requests, megabytes and seconds.
fn request_columns(outcome: &SyncOutcome) -> [Column; 3] {
    let tables = &outcome.tables;
    let rows: Vec<[String; 3]> = tables
        .iter()
        .map(|table| asked_for(table, &outcome.asked))
        .collect();
    let column = |heading, at: usize| Column {
        heading,
        cells: rows.iter().map(|row| row[at].clone()).collect(),
        is_optional: true,
    };
    [column("Requests", 0), column("MB", 1), column("s", 2)]
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::Operations;

    fn outcome(unchanged: u64) -> SyncOutcome {
        let table = |name: &str, upserts| TableOutcome {
            table: format!("tester.{name}"),
            operations: Operations {
                upserts,
                deletes: 2,
                ..Operations::default()
            },
            unchanged,
            rows: 1_234_567,
            deleted: 2,
        };
        SyncOutcome {
            tables: vec![
                table("global_concurrency_limits", 1_234_567),
                table("parts", 0),
            ],
            asked: vec![Tally {
                tables: vec!["global_concurrency_limits".into(), "parts".into()],
                requests: 7,
                bytes: 2_500_000,
                took: Duration::from_millis(1_500),
                ..Tally::default()
            }],
            ..SyncOutcome::default()
        }
    }

    #[test]
    fn a_line_shows_the_numbers_of_a_table() {
        let expected = "\
Table                      Upserts  Deletes     Rows  deleted  Requests   MB    s
--------------------------------------------------------------------------------
global_concurrency_limits  1234567        2  1234567        2         7  2.5  1.5
parts                            0        2  1234567        2    shared
";
        // The rule is as wide as the table.
        let rule = "-".repeat(81);
        let expected = expected.replace(&"-".repeat(80), &rule);
        assert_eq!(table(&outcome(0), None), expected);
    }

    #[test]
    fn a_narrow_terminal_lacks_the_last_columns() {
        for (width, unchanged, headings) in [
            (81, 0, "Table Upserts Deletes Rows deleted Requests MB s"),
            (80, 0, "Table Upserts Deletes Rows deleted Requests MB s"),
            (
                80,
                3,
                "Table Upserts Deletes unchanged Rows deleted Requests MB",
            ),
            (60, 3, "Table Upserts Deletes Rows deleted"),
            (40, 3, "Table Upserts Deletes Rows deleted"),
        ] {
            let text = table(&outcome(unchanged), Some(width));
            let first = text.lines().next().unwrap();
            let shown: Vec<_> = first.split_whitespace().collect();
            assert_eq!(shown.join(" "), headings, "{width}");
            let widest = text.lines().map(|line| line.chars().count()).max();
            assert!(widest.unwrap() <= width.max(NARROWEST + 32), "{text}");
        }
    }
}
