//! Rewinds the reading of runs to a time: what changed since then is sent again.
//!
//! The readers continue as if they had read nothing since that time, but earlier readings are not forgotten. So no
//! cursor moves forward, and for a run that a recheck has yet to compare, the read log keeps the time of its last
//! reading if that is earlier.

use chrono::{DateTime, TimeDelta, Utc};

use super::{
    live_state::LiveState,
    read_log::{ReadSpan, extend},
    state::RunsState,
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
        let read = self.last_readings(to);
        self.ended.reading = None;
        self.ended.cursor = self.ended.cursor.min(to);
        for recheck in &mut self.rechecks {
            recheck.reading = None;
            // A recheck waits until its window has grown to an eighth of its lag, so at that time it may have been
            // that far behind.
            let there = TimeDelta::try_seconds(recheck.lag + recheck.lag / 8)
                .and_then(|behind| to.checked_sub_signed(behind));
            let there = there.map_or(recheck.cursor, |there| recheck.cursor.min(there));
            let was = std::mem::replace(&mut recheck.cursor, there);
            if there < was {
                recheck.again = recheck.again.max(Some(was));
            }
        }
        // Each read log is for the recheck that follows; the last recheck has none.
        let mut upper = self.ended.cursor;
        let mut read_log = &mut self.ended.read_log;
        for recheck in &mut self.rechecks {
            *read_log = between(&read, recheck.cursor, upper);
            upper = recheck.cursor;
            read_log = &mut recheck.read_log;
        }
        // A run that was open then, and ended since without a start, may have no end time by which it would be read,
        // and any expected start.
        let without_end = &mut self.without_end;
        without_end.rewound = Some(without_end.rewound.map_or(to, |rewound| rewound.min(to)));
        for set in [&mut self.open, &mut self.old_open] {
            set.rewound = Some(set.or_rewound(to));
        }
    }

    /// Returns the time of the last reading of every run, or `to` if that is earlier, because changes before `to` were
    /// sent. Each recheck has come less far than the reader before it, so the read logs follow each other.
    fn last_readings(&self, to: DateTime<Utc>) -> Vec<ReadSpan> {
        let mut readings: Vec<ReadSpan> = Vec::new();
        let passed = self.rechecks.last().map(|last| ReadSpan {
            upper: last.cursor,
            read_at: to,
        });
        let rechecks = self.rechecks.iter().rev();
        let read_logs = rechecks.flat_map(|recheck| &recheck.read_log);
        for span in passed.iter().chain(read_logs).chain(&self.ended.read_log) {
            if readings.last().is_none_or(|last| last.upper < span.upper) {
                let read_at = span.read_at.min(to);
                extend(&mut readings, ReadSpan { read_at, ..*span });
            }
        }
        readings
    }
}

/// Returns the part of `readings` after `lower` and up to `upper`.
fn between(readings: &[ReadSpan], lower: DateTime<Utc>, upper: DateTime<Utc>) -> Vec<ReadSpan> {
    let first = readings.partition_point(|span| span.upper <= lower);
    let mut part: Vec<ReadSpan> = Vec::new();
    for span in &readings[first..] {
        if part.last().is_some_and(|last| last.upper >= upper) {
            break;
        }
        let upper = span.upper.min(upper);
        part.push(ReadSpan { upper, ..*span });
    }
    part
}

#[cfg(test)]
mod tests {
    use super::{
        super::{context::LiveTurn, recheck_windows::RecheckDecision},
        *,
    };

    fn at(minutes: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::days(100) + TimeDelta::minutes(minutes)
    }

    fn turn(minutes: i64) -> LiveTurn {
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

    /// Returns readers whose rechecks after the second have reached minute -200.
    fn readers() -> LiveState {
        let mut live = LiveState::from(at(-200), TimeDelta::days(30));
        live.ended.cursor = at(30);
        live.ended.read_log = vec![entry(20, 22), entry(30, 32)];
        live.rechecks[0].cursor = at(10);
        live.rechecks[0].read_log = vec![entry(-50, 12), entry(10, 26)];
        live.rechecks[1].cursor = at(-60);
        live.rechecks[1].read_log = vec![entry(-90, 2), entry(-60, 12)];
        for recheck in &mut live.rechecks[2..] {
            recheck.cursor = at(-200);
        }
        live
    }

    #[test]
    fn read_logs_keep_earlier_readings_and_follow_each_other() {
        let mut live = readers();
        live.rewind_to(at(24));
        // Everything before the reader's cursor; what was read later counts as read at minute 24.
        assert_eq!(
            live.ended.read_log,
            [entry(10, 24), entry(20, 22), entry(24, 24)]
        );
        // The hour's recheck lags by up to 68 minutes.
        assert_eq!(live.rechecks[1].cursor, at(-60));
        let quarter = at(24) - TimeDelta::seconds(15 * 60 * 9 / 8);
        let last = ReadSpan {
            upper: quarter,
            read_at: at(24),
        };
        assert_eq!(live.rechecks[0].cursor, quarter);
        assert_eq!(live.rechecks[0].read_log, [entry(-50, 12), last]);
        // The next recheck had passed minute -200, and reads earlier runs again.
        assert_eq!(
            live.rechecks[1].read_log,
            [entry(-200, 24), entry(-90, 2), entry(-60, 12)]
        );
    }

    /// The recheck after an hour has read these runs; the one before reads them again, and needs their time.
    #[test]
    fn a_read_log_has_the_readings_of_the_recheck_that_follows() {
        let mut live = readers();
        live.rewind_to(at(-35));
        let quarter = live.rechecks[0].cursor;
        assert_eq!(quarter, at(-35) - TimeDelta::seconds(15 * 60 * 9 / 8));
        let hour = live.rechecks[1].cursor;
        assert_eq!(hour, at(-35) - TimeDelta::seconds(60 * 60 * 9 / 8));
        let span = |upper| ReadSpan {
            upper,
            read_at: at(-35),
        };
        assert_eq!(live.ended.read_log, [span(at(-35))]);
        assert_eq!(live.rechecks[0].read_log, [span(quarter)]);
        assert_eq!(live.rechecks[1].read_log, [span(hour)]);
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
        let Some(RecheckDecision::Read { cursor, reading }) = live.window(2, turn(36), true) else {
            panic!("the recheck waits");
        };
        assert_eq!(cursor, at(25) - four_hours - four_hours / 8);
        assert_eq!(reading.upper, at(36) - four_hours);
    }
}
