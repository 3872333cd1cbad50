//! The report of a test run.

use serde::Serialize;

use super::{
    finding_log::{Finding, FindingLocation, FindingLog},
    logs,
    passive::Totals,
    rules::{self, Rule},
    waivers::{UnusedWaiver, Waivers},
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

/// One sync of the test run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SyncSummary {
    /// The purpose of the sync.
    pub name: String,
    /// The description of the sync's end.
    pub ended: String,
    /// True if the test run cut the sync on purpose.
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

/// The result of a test run.
#[derive(Serialize)]
pub struct Report {
    /// The connector's address.
    pub connector: String,
    /// The address of the old version, if there is one.
    pub against: Option<String>,
    /// The reason why the test run could not be completed, if so.
    pub incomplete: Option<String>,
    /// The rules that were broken, the most severe first.
    pub findings: Vec<Finding>,
    /// The waivers that match no finding, so that they can be deleted.
    pub unused_waivers: Vec<UnusedWaiver>,
    /// The rules that could not be checked.
    pub unchecked: Vec<SkippedRule>,
    /// The syncs, in order.
    pub syncs: Vec<SyncSummary>,
    /// Changes of the source during the test run, or at each read.
    pub changed: Vec<Changed>,
    /// The number of checkpoints of the full sync, and of those that were resumed from.
    pub checkpoints: (usize, usize),
    #[serde(skip)]
    pub(super) finding_log: FindingLog,
    #[serde(skip)]
    pub(super) redactor: Redactor,
}

/// The outcome of a test run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// No test case failed.
    Passed,
    /// Test cases failed.
    Failed,
    /// No test case failed before the run stopped early.
    Incomplete,
}

impl Report {
    /// The outcome of the run. Warnings count if `strict`; notes and waived findings never do.
    pub fn outcome(&self, strict: bool) -> Outcome {
        if self.findings.iter().any(|finding| finding.fails(strict)) {
            Outcome::Failed
        } else if self.incomplete.is_some() {
            Outcome::Incomplete
        } else {
            Outcome::Passed
        }
    }

    /// Marks the findings that are known, and lists the waivers that match none although their rule was checked.
    pub fn waive(&mut self, waivers: &Waivers) {
        let unused = waivers.apply(&mut self.findings);
        let is_checked =
            |id: &str| rules::find(id).is_some_and(|rule| self.unchecked(rule).is_none());
        let unused = unused.into_iter().filter(|(id, _)| is_checked(id));
        self.unused_waivers = unused.map(|(_, unused)| unused).collect();
    }

    /// Returns the reason why the rule was not checked; `None` if it was.
    pub(super) fn unchecked(&self, rule: &Rule) -> Option<&str> {
        if !self.finding_log.wants(rule) {
            return Some("left out with --rules or --skip");
        }
        if self.against.is_none() && rule.is_about_upgrades() {
            return Some("no old version was given with --against");
        }
        let mut unchecked = self.unchecked.iter();
        let unchecked = unchecked.find(|it| it.rule == rule.id);
        let early = self
            .incomplete
            .as_ref()
            .map(|_| "the test run stopped early");
        unchecked.map(|it| it.why.as_str()).or(early)
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
                self.finding_log.add(&rules::SECRET_EXPOSED, place(), text);
            }
        }
        self.findings = self.finding_log.list();
    }
}
