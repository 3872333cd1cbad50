//! Acts as Fivetran for any connector and checks the protocol's rules.
//!
//! [`run`] requests the form, the tests and the schema, syncs, examines every message, and then tries what Fivetran
//! may do: sync again, resume from any checkpoint, cut a sync, select, start over. Nothing is landed; rows are kept
//! as digests in memory.
//!
//! | file | content |
//! |---|---|
//! | [`rules`], `rule` | the rules |
//! | [`document`] | `docs/CONFORMANCE.md` |
//! | `setup_form`, `schema`, `names`, `values`, `logs` | checks of single things |
//! | `sent_columns`, `repeats` | checks of the records of several syncs (pure) |
//! | `passive` | the messages of a sync, one after another (pure) |
//! | `model` | a warehouse in memory |
//! | `select` | selections to try |
//! | `judge` | the meaning of differences between syncs (pure) |
//! | `active`, `selecting`, `against` | the syncs that are tried, in order |
//! | `compatibility` | the form and the schema of two versions (pure) |
//! | `sdk_operation` | the messages of a sync as read, with the Python SDK's own fields (pure) |
//! | `session`, `restart` | single calls and syncs, and restarts of the connector |
//! | `options` | the options of a test run |
//! | `finding_log`, `report` | findings, and the report that contains them |
//! | `test_cases`, `waivers` | the outcome of each rule, and findings that are known (pure) |
//! | [`render`], [`junit`] | the report as text, as JSON, and as JUnit XML |

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

pub use against::OldVersion;
pub use finding_log::Finding;
pub use options::{CUTS, Error, MESSAGE_LIMIT, Options, PATIENCE};
pub use passive::Totals;
pub use report::{Changed, Outcome, Report, SkippedRule, SyncSummary};
pub use restart::{Ending, Restart};
pub use rules::{Rule, Severity};
use sync_clock::Clock;
pub use test_cases::{CaseCounts, CaseOutcome, TestCase, count, test_cases};
pub use waivers::{UnusedWaiver, WaiverError, Waivers};

mod active;
mod against;
mod compatibility;
pub mod document;
mod finding_log;
mod judge;
pub mod junit;
mod logs;
mod model;
mod names;
mod options;
mod passive;
pub mod render;
mod repeats;
mod report;
mod restart;
mod rule;
pub mod rules;
mod schema;
mod sdk_operation;
mod select;
mod selecting;
mod sent_columns;
mod session;
mod setup_form;
mod test_cases;
mod values;
mod waivers;

/// Examines the connector at the endpoint. With `restart`, each sync has a process of its own, as on the platform,
/// and a cut sync is one whose process was killed. With `old`, the connector also continues that version's syncs.
pub async fn run(
    options: Options,
    restart: Option<&dyn Restart>,
    old: Option<&OldVersion<'_>>,
    clock: Arc<dyn Clock>,
    cancel: CancellationToken,
) -> Result<Report, Error> {
    let left_out = options.left_out()?;
    active::examine(options, left_out, restart, old, clock, cancel).await
}
