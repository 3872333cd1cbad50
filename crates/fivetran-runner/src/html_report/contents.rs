//! The contents of the HTML report.

use chrono::{DateTime, Utc};

use super::chart::Chart;
use crate::{sync_outcome::SyncOutcome, timeline::RunTrace};

/// The contents of the HTML report.
#[derive(Debug, Clone, Copy)]
pub struct ReportContents<'a> {
    /// The text that names what was synced: an address.
    pub subject: &'a str,
    /// The start of the run.
    pub began: DateTime<Utc>,
    /// The outcome of the run.
    pub outcome: &'a SyncOutcome,
    /// The events recorded during the run.
    pub heard: TelemetrySource<'a>,
    /// The schema in which tables are landed.
    pub schema: &'a str,
    /// The charts to draw from the warehouse.
    pub charts: &'a [Chart],
}

/// The recorded events of the connector.
#[derive(Debug, Clone, Copy)]
pub enum TelemetrySource<'a> {
    /// The connector ran in this process, so all events were recorded.
    Everything(&'a RunTrace),
    /// Only the operations are known. The sentence gives the reason.
    Nothing(&'a str),
}
