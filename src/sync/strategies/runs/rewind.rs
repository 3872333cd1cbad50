//! Rewinds the reading of runs to a time: what changed since then is sent again.
//!
//! The readers continue as if they had read nothing since that time, but earlier readings are not forgotten. So no
//! cursor moves forward, and for a run that a recheck has yet to compare, the read log keeps the time of its last
//! reading if that is earlier.

use chrono::{DateTime, Utc};

use super::{
    read_log::{ReadSpan, extend},
    state::{LiveState, RunsState},
};
use crate::sync::sent_fingerprints::SentFingerprints;

impl RunsState {
    /// Returns the time up to which ended runs are read; `None` before the first response.
    pub(in crate::sync::strategies) fn read_up_to(&self) -> Option<DateTime<Utc>> {
        self.live.as_ref().map(|live| live.ended.cursor)
    }

    /// Rewinds to `to`, which lies before [`Self::read_up_to`], so that later changes are sent again.
    pub(in crate::sync::strategies) fn rewind_to(&mut self, to: DateTime<Utc>) {
        self.sent = SentFingerprints::default();
        if let Some(live) = &mut self.live {
            live.rewind_to(to);
        }
    }
}

impl LiveState {
    fn rewind_to(&mut self, to: DateTime<Utc>) {
        let before: Vec<DateTime<Utc>> =
            self.rechecks.iter().map(|recheck| recheck.cursor).collect();
        self.ended.reading = None;
        self.ended.cursor = self.ended.cursor.min(to);
        for recheck in &mut self.rechecks {
            recheck.reading = None;
            let there = chrono::TimeDelta::try_seconds(recheck.lag)
                .and_then(|lag| to.checked_sub_signed(lag));
            let there = there.map_or(recheck.cursor, |there| recheck.cursor.min(there));
            let was = std::mem::replace(&mut recheck.cursor, there);
            if there < was {
                recheck.again = recheck.again.max(Some(was));
            }
        }
        // Each read log is for the recheck that follows; the last recheck has none.
        for (index, was) in before.into_iter().enumerate() {
            let (end, read_log) = match index.checked_sub(1) {
                None => (self.ended.cursor, &mut self.ended.read_log),
                Some(at) => (self.rechecks[at].cursor, &mut self.rechecks[at].read_log),
            };
            *read_log = rewound(read_log, to, was, end);
        }
        // A run that was open then, and ended since without a start, may have no end time by which it would be read,
        // and any expected start.
        self.rewound = Some(self.rewound.map_or(to, |rewound| rewound.min(to)));
        for set in [&mut self.open, &mut self.old_open] {
            set.rewound = Some(set.or_rewound(to));
        }
    }
}

/// Returns the read log of a reader that was rewound to `end`, for a recheck that had reached `was`. What the recheck
/// had passed counts as read at `to`, because changes before that were sent.
fn rewound(
    read_log: &[ReadSpan],
    to: DateTime<Utc>,
    was: DateTime<Utc>,
    end: DateTime<Utc>,
) -> Vec<ReadSpan> {
    let mut parts = Vec::new();
    let passed = ReadSpan {
        upper: was,
        read_at: to,
    };
    for part in std::iter::once(&passed).chain(read_log) {
        let reached = parts.last().map(|last: &ReadSpan| last.upper);
        if reached >= Some(end) {
            break;
        }
        let hi = part.upper.min(end);
        if Some(hi) > reached {
            let read_at = part.read_at.min(to);
            extend(&mut parts, ReadSpan { upper: hi, read_at });
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::{
        super::{LiveTurn, recheck::RecheckDecision},
        *,
    };

    fn at(minutes: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::days(100) + TimeDelta::minutes(minutes)
    }

    fn cycle(minutes: i64) -> LiveTurn {
        LiveTurn {
            began: at(minutes),
            date: at(minutes),
            is_later: true,
        }
    }

    fn entry(hi: i64, read_at: i64) -> ReadSpan {
        ReadSpan {
            upper: at(hi),
            read_at: at(read_at),
        }
    }

    #[test]
    fn a_read_log_keeps_earlier_readings_and_ends_at_the_cursor() {
        let read_log = [entry(10, 12), entry(20, 22), entry(30, 32)];
        let back = |to, was, end| rewound(&read_log, at(to), at(was), at(end));
        // The recheck had reached 5; everything that it has not compared was read before 40.
        let kept = [entry(5, 40), entry(10, 12), entry(20, 22), entry(30, 32)];
        assert_eq!(back(40, 5, 30), kept);
        // Runs that were read later than 22 count as read at 22.
        assert_eq!(
            back(22, 5, 20),
            [entry(5, 22), entry(10, 12), entry(20, 22)]
        );
        // The recheck had passed everything that is left of the read log.
        assert_eq!(back(4, 5, 3), [entry(3, 4)]);
    }

    #[test]
    fn no_cursor_moves_forward_and_every_read_log_ends_at_its_cursor() {
        let look_back = TimeDelta::days(30);
        for behind in [0, 1, 100, 60 * 24 * 20] {
            // A recheck may lag by up to an eighth more.
            let mut live = LiveState::from(at(0), look_back);
            live.ended.cursor = at(3);
            live.ended.read_log.push(entry(3, 3));
            live.rechecks[2].cursor -= TimeDelta::minutes(20);
            let before = live.clone();
            live.rewind_to(at(3 - behind));
            assert_eq!(live.ended.cursor, at(3 - behind));
            assert_eq!(
                live.ended.read_log.last().map(|part| part.upper),
                Some(live.ended.cursor)
            );
            for (recheck, was) in live.rechecks.iter().zip(&before.rechecks) {
                assert!(recheck.cursor <= was.cursor);
                assert!(
                    recheck.cursor <= live.ended.cursor - TimeDelta::seconds(recheck.lag)
                        || recheck.cursor == was.cursor
                );
            }
            for recheck in &live.rechecks[..live.rechecks.len() - 1] {
                assert_eq!(
                    recheck.read_log.last().map(|part| part.upper),
                    Some(recheck.cursor)
                );
            }
            assert_eq!(
                live.open.read_at, before.open.read_at,
                "the time by which deletes are decided"
            );
            assert_eq!(live.open.read_at(None, ""), at(0).min(at(3 - behind)));
        }
    }

    /// A recheck waits until its window has grown. After a rewind the part that it had read is due at once.
    #[test]
    fn a_recheck_that_was_rewound_does_not_wait() {
        let four_hours = TimeDelta::hours(4);
        let mut live = LiveState::from(at(0), TimeDelta::days(30));
        assert_eq!(live.rechecks[2].lag, four_hours.num_seconds());
        live.ended.cursor = at(35);
        live.rechecks[2].cursor = at(35) - four_hours;
        live.rewind_to(at(25));
        let Some(RecheckDecision::Read { cursor, reading }) = live.window(2, cycle(36), true)
        else {
            panic!("the recheck waits");
        };
        assert_eq!(cursor, at(25) - four_hours);
        assert_eq!(reading.upper, at(36) - four_hours);
        // A recheck that is not due yet goes on waiting.
        assert_eq!(live.rechecks[6].cursor, at(0) - TimeDelta::days(30));
        assert_eq!(live.window(6, cycle(36), true), None);
    }
}
