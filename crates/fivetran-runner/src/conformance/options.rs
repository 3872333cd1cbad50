//! The options of a test run, and the reasons why nothing could be examined.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::Duration,
};

use super::rules;

/// The protocol's limit of a message, in bytes.
pub const MESSAGE_LIMIT: usize = fivetran_proto::MAX_MESSAGE_BYTES;
/// The default number of checkpoints that are resumed from.
pub const CUTS: usize = 10;
/// The default time for which a connector may send nothing.
pub const PATIENCE: Duration = Duration::from_secs(300);

/// The connector to examine, and the extent of the test run.
#[derive(Clone)]
pub struct Options {
    /// The connector's address, such as `http://127.0.0.1:50051`.
    pub endpoint: String,
    /// The values of the setup form. Missing ones take the form's default. Never printed.
    pub configuration: BTreeMap<String, String>,
    /// The only rules to check; all if empty.
    pub rules: Vec<String>,
    /// The rules to leave out.
    pub skip: Vec<String>,
    /// The most checkpoints that are resumed from. The first of them are also resumed after a real cut.
    pub cuts: usize,
    /// The largest message that is allowed, in bytes: [`MESSAGE_LIMIT`] except in tests.
    pub message_limit: usize,
    /// The time for which the connector may send nothing.
    pub patience: Duration,
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("endpoint", &self.endpoint)
            .field("configuration", &self.configuration.keys())
            .field("rules", &self.rules)
            .field("skip", &self.skip)
            .field("cuts", &self.cuts)
            .field("message_limit", &self.message_limit)
            .field("patience", &self.patience)
            .finish()
    }
}

impl Options {
    /// The default options for the connector at this endpoint.
    pub fn new(endpoint: String, configuration: BTreeMap<String, String>) -> Self {
        Self {
            endpoint,
            configuration,
            rules: Vec::new(),
            skip: Vec::new(),
            cuts: CUTS,
            message_limit: MESSAGE_LIMIT,
            patience: PATIENCE,
        }
    }

    /// The rules that the user left out.
    pub(super) fn left_out(&self) -> Result<BTreeSet<&'static str>, Error> {
        for id in self.rules.iter().chain(&self.skip) {
            if rules::find(id).is_none() {
                return Err(Error::UnknownRule { id: id.clone() });
            }
        }
        let is_wanted = |id: &str| {
            let is = |other: &String| other == id;
            (self.rules.is_empty() || self.rules.iter().any(is)) && !self.skip.iter().any(is)
        };
        let ids = rules::ALL.iter().map(|rule| rule.id);
        Ok(ids.filter(|id| !is_wanted(id)).collect())
    }
}

/// The reason why nothing could be examined. A later failure is part of the [`Report`](super::Report).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no rule with this id.
    #[error("rule `{id}` does not exist; list all rules with --list-rules")]
    UnknownRule {
        /// The id as the user gave it.
        id: String,
    },
    /// The connector cannot be reached.
    #[error(transparent)]
    Connect(#[from] crate::error::Error),
}
