//! Acts as Fivetran for any connector and checks the protocol's rules.
//!
//! [`run`] requests the form, the tests and the schema, syncs, examines every message, and then tries what Fivetran
//! may do: sync again, resume from any checkpoint, cut a sync, select, start over. Nothing is landed; rows are kept
//! as digests in memory.
//!
//! | file | content |
//! |---|---|
//! | [`rules`] | the rules, and `docs/CONFORMANCE.md` |
//! | `schema`, `names`, `values`, `logs` | checks of single things |
//! | `passive` | the messages of a sync, one after another (pure) |
//! | `model` | a warehouse in memory |
//! | `select` | selections to try |
//! | `judge` | the meaning of differences between syncs (pure) |
//! | `active`, `selecting` | the syncs that are tried, in order |
//! | `calls` | single calls and syncs |
//! | `book` | findings |
//! | [`render`] | the report as text and as JSON |

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::form::Redactor;
pub use book::Finding;
use book::{Book, Place};
pub use passive::Totals;
pub use rules::{Rule, Severity};
use sync_clock::Clock;

mod active;
mod book;
mod calls;
mod judge;
mod logs;
mod model;
mod names;
mod passive;
pub mod render;
pub mod rules;
mod schema;
mod select;
mod selecting;
mod values;

/// The protocol's limit of a message, in bytes.
pub const MESSAGE_LIMIT: usize = 128 << 20;
/// The default number of checkpoints that are resumed from.
pub const CUTS: usize = 10;
/// The default time for which a connector may send nothing.
pub const PATIENCE: Duration = Duration::from_secs(300);

/// The connector to examine, and the extent of the examination.
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
    pub fn of(endpoint: String, configuration: BTreeMap<String, String>) -> Self {
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
    fn left_out(&self) -> Result<BTreeSet<&'static str>, Error> {
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

/// The way in which a connector's process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The process receives a request to end.
    Asked,
    /// The process is killed at once, as may happen to a container.
    Killed,
}

/// Ends a connector's process and starts a new one.
#[async_trait]
pub trait Restart: Send + Sync {
    /// Returns the new address of the connector, or why it did not start.
    async fn restart(&self, ending: Ending) -> Result<String, String>;
}

/// The reason why nothing could be examined. A later failure is part of the [`Report`].
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
    Connect(#[from] super::Error),
}

/// A rule that could not be checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unchecked {
    /// The rule's id.
    pub rule: &'static str,
    /// The reason.
    pub why: String,
}

/// One sync of the examination.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Played {
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
    pub unchecked: Vec<Unchecked>,
    /// The syncs, in order.
    pub syncs: Vec<Played>,
    /// Changes of the source during the examination, or at each read.
    pub changed: Vec<Changed>,
    /// The number of checkpoints of the full sync, and of those that were resumed from.
    pub checkpoints: (usize, usize),
    #[serde(skip)]
    book: Book,
    #[serde(skip)]
    redactor: Redactor,
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
        self.redactor.clean(text)
    }

    /// Checks the lines that the connector wrote to stdout; `None` if they were not captured.
    pub fn take_log(&mut self, lines: Option<&[String]>) {
        let Some(lines) = lines else {
            if self.book.wants(&rules::LOG_LINE_MALFORMED) {
                self.unchecked.push(Unchecked {
                    rule: rules::LOG_LINE_MALFORMED.id,
                    why: "the connector's stdout is read only with --spawn".to_owned(),
                });
            }
            return;
        };
        for (line, number) in lines.iter().zip(1..) {
            let place = || Place::call("the log").message(number);
            if let Some(fault) = logs::fault(line) {
                self.book.add(&rules::LOG_LINE_MALFORMED, place(), fault);
            }
            if self.redactor.clean(line) != *line {
                let text = "a log line contains a secret of the configuration";
                self.book.add(&rules::SECRET_TOLD, place(), text);
            }
        }
        self.findings = self.book.list();
    }
}

/// Examines the connector at the endpoint. With `restart`, each sync has a process of its own, as on the platform,
/// and a cut sync is one whose process was killed.
pub async fn run(
    options: Options,
    restart: Option<&dyn Restart>,
    clock: Arc<dyn Clock>,
    cancel: CancellationToken,
) -> Result<Report, Error> {
    let left_out = options.left_out()?;
    active::examine(options, left_out, restart, clock, cancel).await
}
