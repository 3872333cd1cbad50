//! The test cases of a run: one for each rule, with its outcome. Pure.

use serde::Serialize;

use super::{
    finding_log::Finding,
    report::Report,
    rules::{self, Rule},
};

/// The outcome of a test case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CaseOutcome {
    /// The rule was checked. There may be findings that do not count, such as notes.
    Passed,
    /// All findings that count have a waiver.
    KnownFailing,
    /// The rule is broken.
    Failed,
    /// The rule was not checked.
    Skipped,
}

/// A rule and the outcome of its check.
#[derive(Debug, Clone, Serialize)]
pub struct TestCase<'a> {
    /// The rule.
    #[serde(serialize_with = "id")]
    pub rule: &'static Rule,
    /// The outcome.
    pub outcome: CaseOutcome,
    /// The reason why the rule was not checked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<&'a str>,
    /// The rule's findings.
    #[serde(skip)]
    pub findings: Vec<&'a Finding>,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference to the field"
)]
fn id<S: serde::Serializer>(rule: &&'static Rule, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(rule.id)
}

/// The number of test cases with each outcome.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CaseCounts {
    /// All test cases.
    pub all: usize,
    /// The test cases that passed.
    pub passed: usize,
    /// The test cases whose findings are waived.
    pub known_failing: usize,
    /// The test cases that failed.
    pub failed: usize,
    /// The test cases that were not run.
    pub skipped: usize,
}

/// Counts the outcomes.
pub fn count(cases: &[TestCase<'_>]) -> CaseCounts {
    let of = |outcome| cases.iter().filter(|case| case.outcome == outcome).count();
    CaseCounts {
        all: cases.len(),
        passed: of(CaseOutcome::Passed),
        known_failing: of(CaseOutcome::KnownFailing),
        failed: of(CaseOutcome::Failed),
        skipped: of(CaseOutcome::Skipped),
    }
}

/// Returns the test cases of the report, in the order of the rules. Warnings count if `strict`.
pub fn test_cases(report: &Report, strict: bool) -> Vec<TestCase<'_>> {
    let is_against = report.against.is_some();
    let rules = rules::ALL.iter();
    let rules = rules.filter(|rule| is_against || !rule.is_about_upgrades());
    rules.map(|rule| test_case(report, rule, strict)).collect()
}

fn test_case<'a>(report: &'a Report, rule: &'static Rule, strict: bool) -> TestCase<'a> {
    let findings = report.findings.iter().filter(|it| it.rule == rule.id);
    let findings: Vec<&Finding> = findings.collect();
    let why = report.unchecked(rule);
    let outcome = if findings.iter().any(|it| it.fails(strict)) {
        CaseOutcome::Failed
    } else if findings.iter().any(|it| it.waived.is_some()) {
        CaseOutcome::KnownFailing
    } else if why.is_some() {
        CaseOutcome::Skipped
    } else {
        CaseOutcome::Passed
    };
    TestCase {
        rule,
        outcome,
        why: why.filter(|_| outcome == CaseOutcome::Skipped),
        findings,
    }
}
