//! Plays Fivetran for any connector to see whether it keeps the protocol's rules.
//!
//! [`run`] asks for the form, the tests and the schema, syncs, looks at every message, and then tries what
//! Fivetran may do: sync again, resume from any checkpoint, cut a sync, select, start over. Nothing is
//! landed; rows are kept as digests in memory.
//!
//! | file | what it does |
//! |---|---|
//! | [`rules`] | what is looked for, and `docs/CONFORMANCE.md` |
//! | `schema`, `names`, `values`, `logs` | single things, looked at by themselves |
//! | `passive` | the messages of a sync, one after another (pure) |
//! | `model` | a warehouse in memory |
//! | `select` | selections to try |
//! | `judge` | what the differences between syncs mean (pure) |
//! | `active`, `selecting` | the syncs that are tried, in order |
//! | `calls` | single calls and syncs |
//! | `book` | findings |
//! | [`render`] | the report for people |

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
use crate::clock::Clock;
pub use book::Finding;
use book::{Book, Place};
pub use passive::Totals;
pub use rules::{Rule, Severity};

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
/// How many checkpoints are resumed from when the caller has no wish.
pub const CUTS: usize = 10;
/// How long a connector may say nothing when the caller has no wish.
pub const PATIENCE: Duration = Duration::from_secs(300);

/// What is examined, and how thoroughly.
#[derive(Clone)]
pub struct Options {
    /// Where the connector listens, such as `http://127.0.0.1:50051`.
    pub endpoint: String,
    /// The answers to the setup form. Missing ones take the form's default. Never printed.
    pub configuration: BTreeMap<String, String>,
    /// Only these rules; all when there are none.
    pub rules: Vec<String>,
    /// Not these rules.
    pub skip: Vec<String>,
    /// How many checkpoints are resumed from at most; the first of them also after a real cut.
    pub cuts: usize,
    /// The largest message that is in order, in bytes; [`MESSAGE_LIMIT`] but in tests.
    pub message_limit: usize,
    /// How long the connector may say nothing.
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
    /// Of the connector at this endpoint, with nothing special.
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

    /// The rules that nobody asked about.
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

/// How a connector's process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// It is asked to.
    Asked,
    /// At once, as may happen to a container.
    Killed,
}

/// Ends a connector's process and starts a new one.
#[async_trait]
pub trait Restart: Send + Sync {
    /// Where it listens now; or why it does not, in words.
    async fn restart(&self, ending: Ending) -> Result<String, String>;
}

/// Why nothing could be examined; what broke off later is a [`Report`] instead.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no rule of this id.
    #[error("there is no rule `{id}`; see them all with --list-rules")]
    UnknownRule {
        /// As it was asked for.
        id: String,
    },
    /// The connector cannot be reached.
    #[error(transparent)]
    Connect(#[from] super::Error),
}

/// A rule that could not be looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unchecked {
    /// The rule's id.
    pub rule: &'static str,
    /// Why not.
    pub why: String,
}

/// One sync of the examination.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Played {
    /// What it was for.
    pub name: String,
    /// How it ended.
    pub ended: String,
    /// Whether it was ended on purpose.
    pub was_cut: bool,
    /// How much it sent.
    #[serde(flatten)]
    pub totals: Totals,
}

/// Rows of a table that two full syncs had differently, so that they are not compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Changed {
    /// The table.
    pub table: String,
    /// How many rows.
    pub rows: u64,
    /// The columns that were different; none where rows came or went.
    pub columns: Vec<String>,
}

/// What came out.
#[derive(Serialize)]
pub struct Report {
    /// Where the connector was.
    pub connector: String,
    /// Why the examination could not be carried through, if so.
    pub incomplete: Option<String>,
    /// The rules that were broken, the worst first.
    pub findings: Vec<Finding>,
    /// The rules that could not be looked at.
    pub unchecked: Vec<Unchecked>,
    /// The syncs, in order.
    pub syncs: Vec<Played>,
    /// What changed at the source meanwhile, or with each reading.
    pub changed: Vec<Changed>,
    /// Checkpoints of the full sync, and how many of them were resumed from.
    pub checkpoints: (usize, usize),
    #[serde(skip)]
    book: Book,
    #[serde(skip)]
    redactor: Redactor,
}

/// What a report amounts to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing that counts was found.
    Conforms,
    /// Rules were broken.
    Breaks,
    /// Nothing that counts was found as far as the examination came.
    Incomplete,
}

impl Report {
    /// The verdict; warnings count where the caller is strict, notes never do.
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

    /// A text without the secrets of the configuration.
    pub fn clean(&self, text: &str) -> String {
        self.redactor.clean(text)
    }

    /// Takes what the connector wrote to stdout; `None` where nobody saw it.
    pub fn take_log(&mut self, lines: Option<&[String]>) {
        let Some(lines) = lines else {
            if self.book.wants(&rules::LOG_LINE_MALFORMED) {
                self.unchecked.push(Unchecked {
                    rule: rules::LOG_LINE_MALFORMED.id,
                    why: "the connector's stdout is seen only with --spawn".to_owned(),
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
                let text = "a log line has a secret of the configuration in it";
                self.book.add(&rules::SECRET_TOLD, place(), text);
            }
        }
        self.findings = self.book.list();
    }
}

/// Examines the connector at the endpoint. With `restart`, each sync has a process of its own, as on the
/// platform, and one that is cut is one whose process was killed.
pub async fn run(
    options: Options,
    restart: Option<&dyn Restart>,
    clock: Arc<dyn Clock>,
    cancel: CancellationToken,
) -> Result<Report, Error> {
    let left_out = options.left_out()?;
    active::examine(options, left_out, restart, clock, cancel).await
}
