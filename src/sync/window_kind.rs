//! The purposes for which windows are read, as telemetry shows them.

use crate::telemetry::WindowKind;

/// Rows that are new since the last sync.
pub(super) const NEW_ROWS: WindowKind = WindowKind::new(0, "new rows");
/// Open runs.
pub(super) const OPEN_RUNS: WindowKind = WindowKind::new(1, "open runs");
/// Runs that ended without having started.
pub(super) const WITHOUT_START: WindowKind = WindowKind::new(2, "ended without starting");
/// The first pass over the whole look-back, which finds edits.
pub(super) const LOOK_BACK: WindowKind = WindowKind::new(3, "look-back");
/// A recheck; its age is the time since the end of a run.
pub(super) const RECHECK: WindowKind = WindowKind::new(4, "recheck");
/// The backfill.
pub(super) const BACKFILL: WindowKind = WindowKind::new(5, "backfill");
