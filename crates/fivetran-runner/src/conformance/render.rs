//! The report as text, and as JSON.

use std::io::{self, Write};

use serde::Serialize;
use sync_telemetry::counted;

use super::{
    Finding, Outcome, Report, Severity,
    test_cases::{TestCase, count, test_cases},
};

/// The most columns that are named of a table whose rows changed at the source.
const COLUMNS: usize = 5;

/// Writes the report as text. The last lines count the test cases and the findings.
pub fn text(report: &Report, strict: bool, out: &mut impl Write) -> io::Result<()> {
    for played in &report.syncs {
        let totals = &played.totals;
        writeln!(
            out,
            "{:<28} {:>17} {:>18}  {}",
            played.name,
            counted(totals.records, "record ", "records"),
            counted(totals.checkpoints, "checkpoint ", "checkpoints"),
            played.ended
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
        let rows = counted(rows, "row", "rows");
        write!(
            out,
            "\nNot compared: {rows} of {table}, different in two full syncs"
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
        write!(out, "\n{}", finding_text(finding))?;
    }
    if !report.unused_waivers.is_empty() {
        writeln!(out)?;
    }
    for unused in &report.unused_waivers {
        writeln!(
            out,
            "Unused waiver: line {}, `{}`, matches no finding; delete it",
            unused.line, unused.waiver
        )?;
    }
    if let Some(why) = &report.incomplete {
        writeln!(out, "\nThe test run stopped early: {why}")?;
    }
    let counts = count(&test_cases(report, strict));
    writeln!(
        out,
        "\n{} test cases: {} passed, {} failed, {} known failing, {} skipped",
        counts.all, counts.passed, counts.failed, counts.known_failing, counts.skipped
    )?;
    writeln!(out, "{}", last_line(report))
}

/// Returns the lines of a finding.
pub(super) fn finding_text(finding: &Finding) -> String {
    let known = if finding.waived.is_some() {
        "known failing, "
    } else {
        ""
    };
    let mut text = format!("{known}{}: {}", finding.severity, finding.rule);
    if let Some(subject) = finding.subject() {
        text = format!("{text} {subject}");
    }
    text = format!("{text}: {}\n  {}", finding.text, finding.seen_in);
    if let Some(message) = finding.message {
        let what = if finding.seen_in == "the log" {
            "line"
        } else {
            "message"
        };
        text = format!("{text}, {what} {message}");
    }
    if let Some(key) = &finding.key {
        text = format!("{text}, row {key}");
    }
    if finding.times > 1 {
        text = format!("{text}; {} times", finding.times);
    }
    if let Some(reason) = &finding.waived {
        text = format!("{text}\n  reason of the waiver: {reason}");
    }
    format!("{text}\n  {}\n", finding.link)
}

fn last_line(report: &Report) -> String {
    let unwaived = || report.findings.iter().filter(|it| it.waived.is_none());
    let count = |severity| unwaived().filter(|it| it.severity == severity).count();
    let waived = report.findings.len() - unwaived().count();
    let (errors, warnings, notes) = (
        count(Severity::Error),
        count(Severity::Warning),
        count(Severity::Note),
    );
    if report.findings.is_empty() && report.incomplete.is_none() {
        return "0 findings".to_owned();
    }
    let known = if waived > 0 {
        format!(", {waived} known failing")
    } else {
        String::new()
    };
    format!(
        "{}, {}, {}{known}",
        counted(errors as u64, "error", "errors"),
        counted(warnings as u64, "warning", "warnings"),
        counted(notes as u64, "note", "notes")
    )
}

/// The report in JSON.
#[derive(Serialize)]
struct Json<'a> {
    outcome: Outcome,
    test_cases: Vec<TestCase<'a>>,
    #[serde(flatten)]
    report: &'a Report,
}

/// Writes the report as one JSON object.
pub fn json(report: &Report, strict: bool, out: &mut impl Write) -> io::Result<()> {
    let json = Json {
        outcome: report.outcome(strict),
        test_cases: test_cases(report, strict),
        report,
    };
    serde_json::to_writer_pretty(&mut *out, &json)?;
    writeln!(out)
}
