//! Rewinds the reading of runs to a time: what changed since then is sent again.
//!
//! The readers continue as if they had read nothing since that time, but earlier readings are not forgotten. So no
//! cursor moves forward, and for a run that a recheck has yet to compare, the read log keeps the time of its last
//! reading if that is earlier.

use chrono::{DateTime, Utc};

use super::{
    state::{Live, RunsState},
    trail::{Entry, extend},
};
use crate::sync::recent::Recent;

impl RunsState {
    /// Returns the time up to which ended runs are read; `None` before the first response.
    pub(in crate::sync::strategies) fn read_up_to(&self) -> Option<DateTime<Utc>> {
        self.live.as_ref().map(|live| live.tail.cursor)
    }

    /// Rewinds to `to`, which lies before [`Self::read_up_to`], so that later changes are sent again.
    pub(in crate::sync::strategies) fn rewind_to(&mut self, to: DateTime<Utc>) {
        self.recent = Recent::default();
        if let Some(live) = &mut self.live {
            live.rewind_to(to);
        }
    }
}

impl Live {
    fn rewind_to(&mut self, to: DateTime<Utc>) {
        let before: Vec<DateTime<Utc>> = self.rungs.iter().map(|rung| rung.cursor).collect();
        self.tail.reading = None;
        self.tail.cursor = self.tail.cursor.min(to);
        for rung in &mut self.rungs {
            rung.reading = None;
            let there =
                chrono::TimeDelta::try_seconds(rung.lag).and_then(|lag| to.checked_sub_signed(lag));
            let there = there.map_or(rung.cursor, |there| rung.cursor.min(there));
            let was = std::mem::replace(&mut rung.cursor, there);
            if there < was {
                rung.again = rung.again.max(Some(was));
            }
        }
        // Each read log is for the recheck that follows; the last recheck has none.
        for (index, was) in before.into_iter().enumerate() {
            let (end, trail) = match index.checked_sub(1) {
                None => (self.tail.cursor, &mut self.tail.trail),
                Some(at) => (self.rungs[at].cursor, &mut self.rungs[at].trail),
            };
            *trail = rewound(trail, to, was, end);
        }
        // A run that was open then, and ended since without a start, may have no end time by which it would be read,
        // and any expected start.
        self.rewound = Some(self.rewound.map_or(to, |rewound| rewound.min(to)));
        for set in [&mut self.open, &mut self.long_open] {
            set.rewound = Some(set.or_rewound(to));
        }
    }
}

/// Returns the read log of a reader that was rewound to `end`, for a recheck that had reached `was`. What the recheck
/// had passed counts as read at `to`, because changes before that were sent.
fn rewound(
    trail: &[Entry],
    to: DateTime<Utc>,
    was: DateTime<Utc>,
    end: DateTime<Utc>,
) -> Vec<Entry> {
    let mut parts = Vec::new();
    let passed = Entry {
        hi: was,
        read_at: to,
    };
    for part in std::iter::once(&passed).chain(trail) {
        let reached = parts.last().map(|last: &Entry| last.hi);
        if reached >= Some(end) {
            break;
        }
        let hi = part.hi.min(end);
        if Some(hi) > reached {
            let read_at = part.read_at.min(to);
            extend(&mut parts, Entry { hi, read_at });
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::{
        super::{Cycle, rungs::Window},
        *,
    };

    fn at(minutes: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::days(100) + TimeDelta::minutes(minutes)
    }

    fn cycle(minutes: i64) -> Cycle {
        Cycle {
            began: at(minutes),
            date: at(minutes),
            is_later: true,
        }
    }

    fn entry(hi: i64, read_at: i64) -> Entry {
        Entry {
            hi: at(hi),
            read_at: at(read_at),
        }
    }

    #[test]
    fn a_trail_keeps_what_was_read_before_and_is_cut_where_its_reader_is() {
        let trail = [entry(10, 12), entry(20, 22), entry(30, 32)];
        let back = |to, was, end| rewound(&trail, at(to), at(was), at(end));
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
    fn no_cursor_moves_forward_and_every_trail_ends_where_its_reader_is() {
        let look_back = TimeDelta::days(30);
        for behind in [0, 1, 100, 60 * 24 * 20] {
            // A recheck may lag by up to an eighth more.
            let mut live = Live::from(at(0), look_back);
            live.tail.cursor = at(3);
            live.tail.trail.push(entry(3, 3));
            live.rungs[2].cursor -= TimeDelta::minutes(20);
            let before = live.clone();
            live.rewind_to(at(3 - behind));
            assert_eq!(live.tail.cursor, at(3 - behind));
            assert_eq!(
                live.tail.trail.last().map(|part| part.hi),
                Some(live.tail.cursor)
            );
            for (rung, was) in live.rungs.iter().zip(&before.rungs) {
                assert!(rung.cursor <= was.cursor);
                assert!(
                    rung.cursor <= live.tail.cursor - TimeDelta::seconds(rung.lag)
                        || rung.cursor == was.cursor
                );
            }
            for rung in &live.rungs[..live.rungs.len() - 1] {
                assert_eq!(rung.trail.last().map(|part| part.hi), Some(rung.cursor));
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
    fn a_rung_that_was_taken_back_does_not_wait() {
        let four_hours = TimeDelta::hours(4);
        let mut live = Live::from(at(0), TimeDelta::days(30));
        assert_eq!(live.rungs[2].lag, four_hours.num_seconds());
        live.tail.cursor = at(35);
        live.rungs[2].cursor = at(35) - four_hours;
        live.rewind_to(at(25));
        let Some(Window::Read { cursor, reading }) = live.window(2, cycle(36), true) else {
            panic!("the recheck waits");
        };
        assert_eq!(cursor, at(25) - four_hours);
        assert_eq!(reading.hi, at(36) - four_hours);
        // A recheck that is not due yet goes on waiting.
        assert_eq!(live.rungs[6].cursor, at(0) - TimeDelta::days(30));
        assert_eq!(live.window(6, cycle(36), true), None);
    }
}
