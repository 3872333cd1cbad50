//! The clock that rows are written by, as far as rows tell of it.
//!
//! ```text
//!   what rows say    newest row ......|            |<- the clock of the rows, somewhere from here on
//!   the Date header                                              |<- now
//! ```
//!
//! Two clocks are at work: the one that answers are dated by, and the one that rows are written by. Where the first is
//! ahead of the second, a row that changes after a reading carries a time before that reading's date. So a cursor
//! stands at a time that the rows' clock had certainly reached when they were read: that of the newest row. When
//! nothing newer came for as long as rows may become visible late, everything up to that row was read, and the
//! cursor stands behind it.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

/// How far the rows' clock is taken to be behind at most: an idle workspace is not read again for longer.
pub(super) const MOST_BEHIND: TimeDelta = TimeDelta::days(1);

/// What is known of the rows' clock.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RowClock {
    /// The latest time that a row carried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    newest: Option<DateTime<Utc>>,
    /// The date of the answer in which it was seen first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    since: Option<DateTime<Utc>>,
    /// The latest time that was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reached: Option<DateTime<Utc>>,
}

impl From<DateTime<Utc>> for RowClock {
    /// Cursors stand at a time already: it does not step back.
    fn from(reached: DateTime<Utc>) -> Self {
        Self {
            reached: Some(reached),
            ..Self::default()
        }
    }
}

/// How far the dates of answers are ahead of the rows' clock at the least, by a row that was updated at `updated` and
/// was not found at `read`, by date; `None` where it tells nothing.
pub(super) fn ahead(
    read: Option<DateTime<Utc>>,
    updated: Option<DateTime<Utc>>,
    margin: TimeDelta,
) -> Option<TimeDelta> {
    let ahead = read? - updated?;
    (ahead > margin).then_some(ahead)
}

impl RowClock {
    /// Whether nothing is known yet.
    pub(super) fn is_unknown(&self) -> bool {
        *self == Self::default()
    }

    /// Takes the times of the rows of an answer dated `now`; gives a time that the rows' clock had reached then.
    /// Rows may become visible by `margin` late.
    pub(super) fn read(
        &mut self,
        now: DateTime<Utc>,
        margin: TimeDelta,
        times: impl IntoIterator<Item = DateTime<Utc>>,
    ) -> DateTime<Utc> {
        // A row from the future says nothing of the present.
        let newest = times.into_iter().max().map(|newest| newest.min(now));
        if newest > self.newest {
            self.newest = newest;
            self.since = Some(now);
        }
        let at = match (self.newest, self.since) {
            (Some(newest), Some(since)) if now - since >= margin => {
                // The row itself lies outside of the margin from now on.
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
    fn it_stands_at_the_newest_row_and_then_behind_it() {
        let mut clock = RowClock::default();
        assert_eq!(clock.read(at(0), MARGIN, []), at(0) - MOST_BEHIND);
        // The date is ten minutes ahead of the rows.
        assert_eq!(clock.read(at(10), MARGIN, [at(-3), at(0)]), at(0));
        assert_eq!(clock.read(at(11), MARGIN, [at(0)]), at(0));
        let behind = at(2) + TimeDelta::microseconds(1);
        assert_eq!(clock.read(at(12), MARGIN, [at(0)]), behind);
        assert_eq!(clock.read(at(600), MARGIN, []), behind);
        // It does not step back.
        assert_eq!(clock.read(at(601), MARGIN, [at(1)]), behind);
        assert_eq!(clock.read(at(602), MARGIN, [at(592)]), at(592));
    }

    #[test]
    fn rows_from_the_future_and_idle_months_do_not_move_it() {
        let mut clock = RowClock::default();
        assert_eq!(clock.read(at(0), MARGIN, [at(500)]), at(0));
        assert_eq!(
            clock.read(at(100_000), MARGIN, []),
            at(100_000) - MOST_BEHIND
        );
    }
}
