//! The report as text, and as JSON.

use std::io::{self, Write};

use super::{Finding, Report, Severity};

/// The most columns that are named of a table whose rows changed at the source.
const COLUMNS: usize = 5;

/// Writes the report as text. The last line counts the findings.
pub fn text(report: &Report, out: &mut impl Write) -> io::Result<()> {
    for played in &report.syncs {
        let totals = &played.totals;
        writeln!(
            out,
            "{:<34} {:>9} records {:>6} checkpoints  {}",
            played.name, totals.records, totals.checkpoints, played.ended
        )?;
    }
    let (all, resumed) = report.checkpoints;
    if all > resumed + 1 {
        writeln!(
            out,
            "\nSyncs resumed from {resumed} of {all} checkpoints; --cuts {all} resumes from all of them"
        )?;
    }
    for changed in &report.changed {
        let (table, rows) = (&changed.table, changed.rows);
        write!(
            out,
            "\nNot compared: {rows} rows of {table} that differ between two full syncs"
        )?;
        let named = changed.columns.iter().take(COLUMNS);
        let named = named.map(String::as_str).collect::<Vec<_>>().join(", ");
        let more = if changed.columns.len() > COLUMNS {
            " …"
        } else {
            ""
        };
        if named.is_empty() {
            writeln!(out)?;
        } else {
            writeln!(out, " ({named}{more})")?;
        }
    }
    if !report.unchecked.is_empty() {
        writeln!(out)?;
    }
    for unchecked in &report.unchecked {
        writeln!(out, "Not checked: {}: {}", unchecked.rule, unchecked.why)?;
    }
    for finding in &report.findings {
        writeln!(out)?;
        self::finding(finding, out)?;
    }
    if let Some(why) = &report.incomplete {
        writeln!(out, "\nThe examination stopped early: {why}")?;
    }
    writeln!(out, "\n{}", last_line(report))
}

fn finding(finding: &Finding, out: &mut impl Write) -> io::Result<()> {
    write!(out, "{}: {}", finding.severity, finding.rule)?;
    match (&finding.table, &finding.column) {
        (Some(table), Some(column)) => write!(out, " {table}.{column}")?,
        (Some(name), None) | (None, Some(name)) => write!(out, " {name}")?,
        (None, None) => {}
    }
    writeln!(out, ": {}", finding.text)?;
    write!(out, "  {}", finding.seen_in)?;
    if let Some(message) = finding.message {
        let what = if finding.seen_in == "the log" {
            "line"
        } else {
            "message"
        };
        write!(out, ", {what} {message}")?;
    }
    if let Some(key) = &finding.key {
        write!(out, ", row {key}")?;
    }
    if finding.times > 1 {
        write!(out, "; {} times", finding.times)?;
    }
    writeln!(out, "\n  {}", finding.link)
}

fn last_line(report: &Report) -> String {
    let count = |severity| {
        let of = report.findings.iter().filter(|it| it.severity == severity);
        of.count()
    };
    let (errors, warnings, notes) = (
        count(Severity::Error),
        count(Severity::Warning),
        count(Severity::Note),
    );
    if errors + warnings + notes == 0 && report.incomplete.is_none() {
        return "0 findings".to_owned();
    }
    let s = |number: usize| if number == 1 { "" } else { "s" };
    format!(
        "{errors} error{}, {warnings} warning{}, {notes} note{}",
        s(errors),
        s(warnings),
        s(notes)
    )
}

/// Writes the report as one JSON object.
pub fn json(report: &Report, out: &mut impl Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, report)?;
    writeln!(out)
}
