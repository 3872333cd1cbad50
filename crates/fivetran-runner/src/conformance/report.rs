//! The report of an examination.

use serde::Serialize;

use super::{
    finding_log::{Finding, FindingLocation, FindingLog},
    logs,
    passive::Totals,
    rules::{self, Severity},
};
use secret_redactor::Redactor;

/// A rule that could not be checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SkippedRule {
    /// The rule's id.
    pub rule: &'static str,
    /// The reason.
    pub why: String,
}

/// One sync of the examination.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SyncSummary {
    /// The purpose of the sync.
    pub name: String,
    /// The description of the sync's end.
    pub ended: String,
    /// True if the examination cut the sync on purpose.
    pub was_cut: bool,
    /// The totals of what the sync sent.
    #[serde(flatten)]
    pub totals: Totals,
}

/// Rows of a table that differed between two full syncs, so that they are not compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Changed {
    /// The table.
    pub table: String,
    /// The number of rows.
    pub rows: u64,
    /// The columns that differed; empty where rows appeared or disappeared.
    pub columns: Vec<String>,
}

/// The result of an examination.
#[derive(Serialize)]
pub struct Report {
    /// The connector's address.
    pub connector: String,
    /// The reason why the examination could not be completed, if so.
    pub incomplete: Option<String>,
    /// The rules that were broken, the most severe first.
    pub findings: Vec<Finding>,
    /// The rules that could not be checked.
    pub unchecked: Vec<SkippedRule>,
    /// The syncs, in order.
    pub syncs: Vec<SyncSummary>,
    /// Changes of the source during the examination, or at each read.
    pub changed: Vec<Changed>,
    /// The number of checkpoints of the full sync, and of those that were resumed from.
    pub checkpoints: (usize, usize),
    #[serde(skip)]
    pub(super) finding_log: FindingLog,
    #[serde(skip)]
    pub(super) redactor: Redactor,
}

/// The overall result of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing that counts was found.
    Conforms,
    /// Rules were broken.
    Breaks,
    /// Nothing that counts was found before the examination broke off.
    Incomplete,
}

impl Report {
    /// The verdict. Warnings count if `strict`; notes never do.
    pub fn verdict(&self, strict: bool) -> Verdict {
        let least = if strict {
            Severity::Warning
        } else {
            Severity::Error
        };
        if self
            .findings
            .iter()
            .any(|finding| finding.severity >= least)
        {
            Verdict::Breaks
        } else if self.incomplete.is_some() {
            Verdict::Incomplete
        } else {
            Verdict::Conforms
        }
    }

    /// Returns the text without the secrets of the configuration.
    pub fn clean(&self, text: &str) -> String {
        self.redactor.clean(text).into_owned()
    }

    /// Checks the lines that the connector wrote to stdout; `None` if they were not captured.
    pub fn take_log(&mut self, lines: Option<&[String]>) {
        let Some(lines) = lines else {
            if self.finding_log.wants(&rules::LOG_LINE_MALFORMED) {
                self.unchecked.push(SkippedRule {
                    rule: rules::LOG_LINE_MALFORMED.id,
                    why: "the connector's stdout is read only with --spawn".to_owned(),
                });
            }
            return;
        };
        for (line, number) in lines.iter().zip(1..) {
            let place = || FindingLocation::call("the log").message(number);
            if let Some(fault) = logs::fault(line) {
                self.finding_log
                    .add(&rules::LOG_LINE_MALFORMED, place(), fault);
            }
            if self.redactor.clean(line) != *line {
                let text = "a log line contains a secret of the configuration";
                self.finding_log.add(&rules::SECRET_TOLD, place(), text);
            }
        }
        self.findings = self.finding_log.list();
    }
}
