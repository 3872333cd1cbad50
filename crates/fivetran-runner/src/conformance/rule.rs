//! A rule of the protocol, and the severity of breaking it.

use std::fmt;

use serde::Serialize;

/// The severity of breaking a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing; never a reason to fail.
    Note,
    /// Allowed, and likely to cause trouble later.
    Warning,
    /// The protocol is broken, or rows are lost.
    Error,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

/// One rule of the protocol, or of its guide.
#[derive(Debug, PartialEq, Eq)]
pub struct Rule {
    /// The stable name, to select, to skip and to search for.
    pub id: &'static str,
    /// The severity of breaking the rule.
    pub severity: Severity,
    /// The rule in one sentence.
    pub title: &'static str,
    /// The reason for the rule, and the way in which it is checked.
    pub text: &'static str,
    /// The source of the rule.
    pub source: &'static str,
}

impl Rule {
    /// Returns true if the rule compares an old version of the connector with the new one.
    pub fn is_about_upgrades(&self) -> bool {
        self.id.starts_with("upgrade-")
    }
}
