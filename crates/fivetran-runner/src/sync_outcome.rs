//! The outcome of a sync, and of the tests of a setup form.

use std::{path::PathBuf, time::Duration};

use chrono::{DateTime, Utc};

use super::timeline;

/// The number of operations of each kind that a sync sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Operations {
    /// Records that replace a row.
    pub upserts: u64,
    /// Records that patch a row.
    pub updates: u64,
    /// Records that delete a row.
    pub deletes: u64,
    /// Records that mark all rows of a table as deleted.
    pub truncates: u64,
    /// Tables that were created or changed.
    pub schema_changes: u64,
    /// Checkpoints.
    pub checkpoints: u64,
}

impl Operations {
    /// The number of operations on single rows. A truncate is not one of them.
    pub fn records(&self) -> u64 {
        self.upserts + self.updates + self.deletes
    }
}

/// The effect of a sync on one table. Of `operations`, only those on records count here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableOutcome {
    /// Schema and name, such as `tester.flows`.
    pub table: String,
    /// The operations on the table's records.
    pub operations: Operations,
    /// Upserts of exactly the values that were there: rows that were sent again though nothing had changed. Several
    /// upserts of a row with different values at about the same time do not count.
    pub unchanged: u64,
    /// The number of rows in the warehouse now, including those marked as deleted; with `history` all versions.
    pub rows: u64,
    /// The number of rows marked as deleted; with `history` the versions that are no longer active.
    pub deleted: u64,
}

/// The result of one test of the setup form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestOutcome {
    /// The name of the test that the user sees.
    pub label: String,
    /// The text for the user if the test failed.
    pub failure: Option<String>,
}

/// The end of a sync. Secrets in texts of the connector are replaced by `***`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SyncOutcome {
    /// The reason why the sync failed, or `None` if it succeeded.
    pub failure: Option<String>,
    /// The last lines of the connector's output, if its process exited during the sync.
    pub last_lines: Vec<String>,
    /// The setup tests that ran.
    pub tests: Vec<TestOutcome>,
    /// All operations.
    pub operations: Operations,
    /// The tables of this run, by name.
    pub tables: Vec<TableOutcome>,
    /// Each distinct warning and its count, in the order of first arrival.
    pub warnings: Vec<(String, u64)>,
    /// The connector's requests to its source, by listing; empty if the connector does not run here.
    pub asked: Vec<timeline::Tally>,
    /// The number of requests for the setup tests, which are not among `asked`.
    pub setup_requests: u64,
    /// True if every version of a row was kept.
    pub history: bool,
    /// The time from the first call to the last row.
    pub took: Duration,
    /// The end of that time.
    pub ended: DateTime<Utc>,
    /// The DuckDB file.
    pub warehouse: PathBuf,
    /// The state file.
    pub state: PathBuf,
    /// The HTML report, if one was written.
    pub page: Option<PathBuf>,
    /// Lines of the caller for the report, for example about other files that the run wrote.
    pub notes: Vec<String>,
}

impl SyncOutcome {
    /// Returns true if the sync ended well and everything the connector sent has landed.
    pub fn succeeded(&self) -> bool {
        self.failure.is_none()
    }
}
