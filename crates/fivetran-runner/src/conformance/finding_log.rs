//! The findings: one for each rule, table and column, with the first evidence and a count.

use std::collections::{BTreeSet, HashMap};

use serde::Serialize;

use super::rules::{Rule, Severity};

/// The longest key that is shown, in characters.
const KEY_LENGTH: usize = 120;

/// A rule that was broken, with the first evidence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The rule's id.
    pub rule: &'static str,
    /// The severity of the rule.
    pub severity: Severity,
    /// The table, with its schema if it has one.
    pub table: Option<String>,
    /// The column.
    pub column: Option<String>,
    /// The row's key. Nothing else of a row is ever shown.
    pub key: Option<String>,
    /// The call or sync in which the finding was first seen.
    pub seen_in: String,
    /// The number of the message in that sync, or of the line in the log, from 1.
    pub message: Option<u64>,
    /// A description of the evidence.
    pub text: String,
    /// The number of occurrences.
    pub times: u64,
    /// The address of the rule's explanation.
    pub link: String,
    /// The reason of the waiver that matches the finding.
    pub waived: Option<String>,
}

impl Finding {
    /// Returns the table, the column, or both, as the report prints them.
    pub fn subject(&self) -> Option<String> {
        match (&self.table, &self.column) {
            (Some(table), Some(column)) => Some(format!("{table}.{column}")),
            (Some(name), None) | (None, Some(name)) => Some(name.clone()),
            (None, None) => None,
        }
    }

    /// Returns true if the finding makes the run fail. Warnings do if `strict`; notes never do.
    pub fn fails(&self, strict: bool) -> bool {
        let least = if strict {
            Severity::Warning
        } else {
            Severity::Error
        };
        self.waived.is_none() && self.severity >= least
    }
}

/// The location of a finding.
#[derive(Debug, Clone, Default)]
pub(super) struct FindingLocation {
    pub(super) table: Option<String>,
    pub(super) column: Option<String>,
    pub(super) key: Option<String>,
    pub(super) seen_in: String,
    pub(super) message: Option<u64>,
}

impl FindingLocation {
    pub(super) fn call(name: &str) -> Self {
        Self {
            seen_in: name.to_owned(),
            ..Self::default()
        }
    }

    pub(super) fn table(mut self, table: &impl ToString) -> Self {
        self.table = Some(table.to_string());
        self
    }

    pub(super) fn column(mut self, column: &str) -> Self {
        self.column = Some(column.to_owned());
        self
    }

    pub(super) fn key(mut self, key: &str) -> Self {
        let mut short: String = key.chars().take(KEY_LENGTH).collect();
        if short.len() < key.len() {
            short.push('…');
        }
        self.key = Some(short);
        self
    }

    pub(super) fn message(mut self, number: u64) -> Self {
        self.message = Some(number);
        self
    }
}

/// All findings so far, of the rules that are wanted.
#[derive(Debug, Default)]
pub(super) struct FindingLog {
    findings: Vec<Finding>,
    places: HashMap<(&'static str, Option<String>, Option<String>), usize>,
    /// Rules that the user left out.
    left_out: BTreeSet<&'static str>,
}

impl FindingLog {
    pub(super) fn without(left_out: BTreeSet<&'static str>) -> Self {
        Self {
            left_out,
            ..Self::default()
        }
    }

    pub(super) fn wants(&self, rule: &Rule) -> bool {
        !self.left_out.contains(rule.id)
    }

    /// Adds one breach of the rule at this location.
    pub(super) fn add(
        &mut self,
        rule: &'static Rule,
        location: FindingLocation,
        text: impl Into<String>,
    ) {
        self.add_many(rule, location, text, 1);
    }

    /// Adds `times` breaches of the rule at this location.
    pub(super) fn add_many(
        &mut self,
        rule: &'static Rule,
        location: FindingLocation,
        text: impl Into<String>,
        times: u64,
    ) {
        if !self.wants(rule) {
            return;
        }
        let id = (rule.id, location.table.clone(), location.column.clone());
        if let Some(known) = self.places.get(&id) {
            self.findings[*known].times += times;
            return;
        }
        self.places.insert(id, self.findings.len());
        self.findings.push(Finding {
            rule: rule.id,
            severity: rule.severity,
            table: location.table,
            column: location.column,
            key: location.key,
            seen_in: location.seen_in,
            message: location.message,
            text: text.into(),
            times,
            link: format!("docs/CONFORMANCE.md#{}", rule.id),
            waived: None,
        });
    }

    /// Returns true if any of these rules was broken.
    pub(super) fn has(&self, rules: &[&Rule]) -> bool {
        let mut found = self.findings.iter();
        found.any(|finding| rules.iter().any(|rule| rule.id == finding.rule))
    }

    /// The findings, the most severe first.
    pub(super) fn list(&self) -> Vec<Finding> {
        let mut list = self.findings.clone();
        list.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
        list
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::rules;

    #[test]
    fn a_column_has_one_finding_with_its_first_evidence() {
        let mut finding_log = FindingLog::default();
        let location = |key: &str| {
            FindingLocation::call("sync")
                .table(&"t")
                .column("c")
                .key(key)
        };
        finding_log.add(
            &rules::NAME_SQL_WORD,
            FindingLocation::call("schema"),
            "a word",
        );
        finding_log.add(&rules::TYPE_MISMATCH, location("id=1"), "one");
        finding_log.add(&rules::TYPE_MISMATCH, location("id=2"), "two");
        let list = finding_log.list();
        assert_eq!(list.len(), 2);
        assert_eq!((list[0].text.as_str(), list[0].times), ("one", 2));
        assert_eq!(list[0].key.as_deref(), Some("id=1"));
        assert!(
            finding_log.has(&[&rules::TYPE_MISMATCH]) && !finding_log.has(&[&rules::KEY_MISSING])
        );
    }

    #[test]
    fn long_keys_are_cut_and_unwanted_rules_left_out() {
        let mut finding_log = FindingLog::default();
        finding_log.left_out.insert(rules::KEY_MISSING.id);
        finding_log.add(&rules::KEY_MISSING, FindingLocation::default(), "");
        assert_eq!(finding_log.list(), []);
        let key = FindingLocation::default()
            .key(&"é".repeat(500))
            .key
            .unwrap();
        assert_eq!(key.chars().count(), KEY_LENGTH + 1);
    }
}
