//! The times by which runs are read, sent and compared.

use chrono::{DateTime, TimeDelta, Utc};

use crate::sync::sent_fingerprints::CLOCK_SKEW_MARGIN;

/// The time after which a backfill is interrupted for the live readers.
pub(super) const MAX_BACKFILL_SLICE: TimeDelta = TimeDelta::minutes(10);

/// The interval between listings of the open runs that were to start more than a week ago. Less than a day, so that a
/// daily sync lists them even if it begins a little earlier than the one before.
pub(super) const OLD_OPEN_RUNS_EVERY: TimeDelta = TimeDelta::hours(23);

/// The lag of the first recheck.
pub(super) const FIRST_RECHECK_LAG: TimeDelta = TimeDelta::minutes(15);

/// The interval after which a rejected filter by end time is tried again.
pub(super) const RETRY_END_FILTER_AFTER: TimeDelta = OLD_OPEN_RUNS_EVERY;

/// The range before the cursor that is read again. An edit right after the end that becomes visible late is found only
/// here, because the rechecks cannot distinguish it from the end.
pub(super) const ENDED_OVERLAP: TimeDelta =
    TimeDelta::seconds(CLOCK_SKEW_MARGIN.num_seconds() + END_SETTLING_TIME.num_seconds());

/// The time after the end of a run within which an edit counts as part of the end.
pub(super) const END_SETTLING_TIME: TimeDelta = TimeDelta::minutes(1);

/// The longest pause after which a missing open run counts as deleted. After a longer one the run may have ended and
/// aged out.
pub(super) const DELETE_WITHIN: TimeDelta = TimeDelta::days(3);

/// The age of the expected start from which open runs are listed only once a day. The shorter range of the other
/// listing limits the server's scan.
pub(super) const OLD_OPEN_RUN_AGE: TimeDelta = TimeDelta::days(7);

/// Returns the expected start that separates the two sets of open runs, in a sync that began at `began`.
pub(super) fn old_run_bound(began: DateTime<Utc>) -> DateTime<Utc> {
    began - OLD_OPEN_RUN_AGE
}
