//! An estimate of the clock that sets the times of rows, from the rows themselves.
//!
//! ```text
//!   times of rows    newest row ......|            |<- the clock of the rows, somewhere from here on
//!   the Date header                                              |<- now
//! ```
//!
//! There are two clocks: one sets the dates of responses, the other one sets the times of rows. If the first is ahead
//! of the second, a row that changes after a reading has a time before the date of that reading. So a cursor is set to
//! a time that the rows' clock had certainly reached when they were read: that of the newest row. If no newer row
//! arrives for as long as rows may become visible late, everything up to that row was read, and the cursor is set to a
//! time after it.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

/// The largest assumed delay of the rows' clock. It limits the time that is read again in an idle workspace.
pub(super) const MOST_BEHIND: TimeDelta = TimeDelta::days(1);

/// The known times of the rows' clock.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RowClock {
    /// The latest time of a row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    newest: Option<DateTime<Utc>>,
    /// The date of the first response that contained the row with that time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    since: Option<DateTime<Utc>>,
    /// The latest time that `read` returned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reached: Option<DateTime<Utc>>,
}

impl From<DateTime<Utc>> for RowClock {
    /// Starts from the time of existing cursors, because the estimate never steps back.
    fn from(reached: DateTime<Utc>) -> Self {
        Self {
            reached: Some(reached),
            ..Self::default()
        }
    }
}

/// Returns the least time by which response dates are ahead of the rows' clock. The row has the time `updated` and was
/// not found by a reading dated `read`. `None` means that this shows nothing.
pub(super) fn ahead(
    read: Option<DateTime<Utc>>,
    updated: Option<DateTime<Utc>>,
    margin: TimeDelta,
) -> Option<TimeDelta> {
    let ahead = read? - updated?;
    (ahead > margin).then_some(ahead)
}

impl RowClock {
    /// Returns true if nothing is known yet.
    pub(super) fn is_unknown(&self) -> bool {
        *self == Self::default()
    }

    /// Takes the times of the rows of a response dated `now`. Returns a time that the rows' clock had reached then.
    /// Rows may become visible late, by up to `margin`.
    pub(super) fn read(
        &mut self,
        now: DateTime<Utc>,
        margin: TimeDelta,
        times: impl IntoIterator<Item = DateTime<Utc>>,
    ) -> DateTime<Utc> {
        // A row with a time in the future proves nothing about the present.
        let newest = times.into_iter().max().map(|newest| newest.min(now));
        if newest > self.newest {
            self.newest = newest;
            self.since = Some(now);
        }
        let at = match (self.newest, self.since) {
            (Some(newest), Some(since)) if now - since >= margin => {
                // From now on the row itself is outside the margin.
                newest + margin + TimeDelta::microseconds(1)
            }
            (Some(newest), _) => newest,
            (None, _) => now - MOST_BEHIND,
        };
        let at = at.max(now - MOST_BEHIND).min(now);
        let at = self.reached.map_or(at, |reached| reached.max(at));
        self.reached = Some(at);
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARGIN: TimeDelta = TimeDelta::minutes(2);

    fn at(minute: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::minutes(10_000 + minute)
    }

    #[test]
    fn the_estimate_is_the_newest_row_and_later_a_time_after_it() {
        let mut clock = RowClock::default();
        assert_eq!(clock.read(at(0), MARGIN, []), at(0) - MOST_BEHIND);
        // The date is ten minutes ahead of the rows.
        assert_eq!(clock.read(at(10), MARGIN, [at(-3), at(0)]), at(0));
        assert_eq!(clock.read(at(11), MARGIN, [at(0)]), at(0));
        let behind = at(2) + TimeDelta::microseconds(1);
        assert_eq!(clock.read(at(12), MARGIN, [at(0)]), behind);
        assert_eq!(clock.read(at(600), MARGIN, []), behind);
        // The estimate does not step back.
        assert_eq!(clock.read(at(601), MARGIN, [at(1)]), behind);
        assert_eq!(clock.read(at(602), MARGIN, [at(592)]), at(592));
    }

    #[test]
    fn rows_from_the_future_and_idle_months_do_not_change_the_estimate() {
        let mut clock = RowClock::default();
        assert_eq!(clock.read(at(0), MARGIN, [at(500)]), at(0));
        assert_eq!(
            clock.read(at(100_000), MARGIN, []),
            at(100_000) - MOST_BEHIND
        );
    }
}
