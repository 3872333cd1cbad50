//! A waiver file: findings that are known, each with a reason. Pure.

use serde::Serialize;

use super::{finding_log::Finding, rules};

/// The form of a line.
const FORM: &str = "RULE [TABLE[.COLUMN]]: REASON";

/// The waivers of a file, in order.
#[derive(Debug, Clone, Default)]
pub struct Waivers(Vec<Waiver>);

/// One line of a waiver file.
#[derive(Debug, Clone)]
struct Waiver {
    line: usize,
    rule: &'static str,
    /// The subject as the report prints it; all subjects if `None`.
    subject: Option<String>,
    reason: String,
}

/// A waiver that matches no finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UnusedWaiver {
    /// The line in the file, from 1.
    pub line: usize,
    /// The rule and, if given, its table or column.
    pub waiver: String,
}

/// The fault of a line in a waiver file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WaiverError {
    /// The line has no reason.
    #[error("line {line}: the waiver `{waiver}` has no reason; write {FORM}")]
    WithoutReason {
        /// The line, from 1.
        line: usize,
        /// The text of the line.
        waiver: String,
    },
    /// The rule does not exist.
    #[error("line {line}: rule `{id}` does not exist; list all rules with --list-rules")]
    UnknownRule {
        /// The line, from 1.
        line: usize,
        /// The id in the file.
        id: String,
    },
}

impl Waivers {
    /// Reads the text of a waiver file. Empty lines and lines that begin with `#` are ignored.
    pub fn parse(text: &str) -> Result<Self, WaiverError> {
        let lines = (1..).zip(text.lines().map(str::trim));
        let lines = lines.filter(|(_, text)| !text.is_empty() && !text.starts_with('#'));
        let waivers = lines.map(|(line, text)| Waiver::parse(line, text));
        Ok(Self(waivers.collect::<Result<_, _>>()?))
    }

    /// Adds the reasons to the findings that are known. Returns the waivers that match none.
    pub(super) fn apply(&self, findings: &mut [Finding]) -> Vec<(&'static str, UnusedWaiver)> {
        let mut unused = Vec::new();
        for waiver in &self.0 {
            let mut is_used = false;
            for finding in findings.iter_mut().filter(|it| waiver.matches(it)) {
                is_used = true;
                finding.waived.get_or_insert_with(|| waiver.reason.clone());
            }
            if !is_used {
                unused.push((waiver.rule, waiver.unused()));
            }
        }
        unused
    }
}

impl Waiver {
    fn parse(line: usize, text: &str) -> Result<Self, WaiverError> {
        // A name may contain a colon, but none that precedes a space.
        let (what, reason) = text.split_once(": ").unwrap_or((text, ""));
        let what = if reason.is_empty() {
            what.trim_end_matches(':')
        } else {
            what
        };
        let (id, subject) = what.split_once(' ').unwrap_or((what, ""));
        let id = id.trim_end_matches(':');
        let Some(rule) = rules::find(id) else {
            let id = id.to_owned();
            return Err(WaiverError::UnknownRule { line, id });
        };
        if reason.trim().is_empty() {
            let waiver = what.to_owned();
            return Err(WaiverError::WithoutReason { line, waiver });
        }
        Ok(Self {
            line,
            rule: rule.id,
            subject: Some(subject.trim().to_owned()).filter(|it| !it.is_empty()),
            reason: reason.trim().to_owned(),
        })
    }

    fn matches(&self, finding: &Finding) -> bool {
        let is_subject = |subject: &String| finding.subject().as_ref() == Some(subject);
        self.rule == finding.rule && self.subject.as_ref().is_none_or(is_subject)
    }

    fn unused(&self) -> UnusedWaiver {
        UnusedWaiver {
            line: self.line,
            waiver: match &self.subject {
                Some(subject) => format!("{} {subject}", self.rule),
                None => self.rule.to_owned(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::finding_log::{FindingLocation, FindingLog};

    fn findings() -> Vec<Finding> {
        let mut finding_log = FindingLog::default();
        let place = FindingLocation::call("sync").table(&"payments");
        finding_log.add(&rules::TYPE_MISMATCH, place.clone().column("amount"), "");
        finding_log.add(&rules::TYPE_MISMATCH, place.clone().column("name"), "");
        finding_log.add(&rules::FULL_REFRESH, place, "");
        finding_log.list()
    }

    fn reasons(text: &str) -> (Vec<Option<String>>, Vec<usize>) {
        let mut findings = findings();
        let unused = Waivers::parse(text).unwrap().apply(&mut findings);
        let reasons = findings.into_iter().map(|it| it.waived).collect();
        (reasons, unused.iter().map(|(_, it)| it.line).collect())
    }

    #[test]
    fn a_waiver_applies_to_its_rule_and_subject() {
        let some = |text: &str| Some(text.to_owned());
        let one = "# known\n\ntype-mismatch payments.amount: ticket 5: next release";
        let reason = some("ticket 5: next release");
        assert_eq!(reasons(one), (vec![reason, None, None], vec![]));
        let all = "type-mismatch: a\nfull-refresh payments: b";
        assert_eq!(
            reasons(all),
            (vec![some("a"), some("a"), some("b")], vec![])
        );
        let none = "type-mismatch payments: a\nkey-missing: b";
        assert_eq!(reasons(none), (vec![None, None, None], vec![1, 2]));
    }

    #[test]
    fn an_error_names_the_line() {
        let error = |text: &str| Waivers::parse(text).unwrap_err().to_string();
        for text in [
            "#\nfull-refresh",
            "#\nfull-refresh:",
            "#\nfull-refresh payments",
            "#\nfull-refresh payments: ",
        ] {
            let said = error(text);
            assert!(
                said.starts_with("line 2: the waiver `full-refresh"),
                "{said}"
            );
            assert!(said.contains("has no reason"), "{said}");
        }
        assert!(error("\n\nfull-refrech: why").starts_with("line 3: rule `full-refrech`"));
    }
}
