//! The windows of the rechecks, and the read logs with which they compare.

use chrono::{DateTime, TimeDelta, Utc};

use super::{
    context::LiveTurn,
    live_state::{LiveState, WithoutEndState},
    read_log::{ReadSpan, extend},
    window_progress::WindowProgress,
};

/// The next step of a recheck.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum RecheckDecision {
    /// A part that this same sync has read was skipped; the caller must call again.
    AlreadyRead,
    /// A window must be read.
    Read {
        cursor: DateTime<Utc>,
        reading: WindowProgress,
    },
}

impl LiveState {
    /// Returns true if the live readers have read nothing since the backfill began.
    pub(super) fn is_new(&self) -> bool {
        let initial = Self::from(self.ended.cursor, self.look_back());
        *self
            == Self {
                open: self.open.clone(),
                old_open: self.old_open.clone(),
                outside: self.outside.clone(),
                without_end: WithoutEndState {
                    listed: self.without_end.listed,
                    ..initial.without_end
                },
                ..initial
            }
    }

    /// Returns the read log with which recheck `index` compares: that of the reader before. The read log of ended runs
    /// is by end time, and does not apply to expected starts.
    pub(super) fn read_log_for(&self, index: usize, by_end: bool) -> Option<&[ReadSpan]> {
        match index {
            0 => by_end.then_some(&self.ended.read_log),
            _ => Some(&self.rechecks[index - 1].read_log),
        }
    }

    /// Returns the next step of recheck `index` in the turn that began at `began`. The step is `None` until its window
    /// has grown to an eighth of its lag.
    pub(super) fn window(
        &mut self,
        index: usize,
        LiveTurn {
            began,
            date,
            is_later,
        }: LiveTurn,
        by_end: bool,
    ) -> Option<RecheckDecision> {
        let recheck = &self.rechecks[index];
        let cursor = recheck.cursor;
        if let Some(reading) = recheck.reading {
            return Some(RecheckDecision::Read { cursor, reading });
        }
        let lag = TimeDelta::seconds(recheck.lag);
        // Runs that end later than the rows' clock shows are read by the next window.
        let hi = (date - lag).min(began);
        let hi = recheck.until.map_or(hi, |until| hi.min(until));
        let is_again = recheck.again.is_some_and(|again| cursor < again);
        let is_due = hi > cursor && (is_again || hi - cursor >= lag / 8);
        // Judged before the limits below, which may shorten a window that is due.
        if !is_due {
            return None;
        }
        // The cursor of ended runs does not move while no run ends.
        let hi = if by_end {
            hi.min(self.ended.cursor)
        } else {
            hi
        };
        // While the rows' clock does not move, a shorter lag may not be due. A recheck does not read what the one
        // before has not read.
        let before = index
            .checked_sub(1)
            .map(|before| self.rechecks[before].cursor);
        let hi = before.map_or(hi, |before| hi.min(before));
        if hi <= cursor {
            return None;
        }
        let read_log = self.read_log_for(index, by_end).unwrap_or_default();
        let mut parts = read_log.iter().filter(|entry| entry.upper > cursor);
        let first = parts.next().copied();
        let is_own = |part: &ReadSpan| is_later && part.read_at >= began;
        if let Some(first) = first.filter(|first| is_own(first)) {
            self.finish(index, first.upper.min(hi), first.read_at);
            return Some(RecheckDecision::AlreadyRead);
        }
        // The window ends where the first part begins that this sync has read.
        let end = read_log
            .iter()
            .zip(read_log.iter().skip(1))
            .find(|(before, part)| before.upper > cursor && is_own(part))
            .map_or(hi, |(before, _)| before.upper.min(hi));
        Some(RecheckDecision::Read {
            cursor,
            reading: WindowProgress::new(end, began),
        })
    }

    /// Advances recheck `index`, which has found no run up to `upper`. If that was wrong, the next recheck compares with
    /// the earlier readings.
    pub(super) fn pass_over(&mut self, index: usize, upper: DateTime<Utc>, by_end: bool) {
        let read_log = self.read_log_for(index, by_end).unwrap_or_default();
        let until = read_log.partition_point(|entry| entry.upper < upper);
        let mut parts = read_log[..until].to_vec();
        let read_at = read_log.get(until).map(|entry| entry.read_at);
        parts.push(ReadSpan {
            upper,
            read_at: read_at.unwrap_or(DateTime::UNIX_EPOCH),
        });
        let is_last = index + 1 == self.rechecks.len();
        let began = parts.pop().map_or(upper, |last| last.read_at);
        let recheck = &mut self.rechecks[index];
        if !is_last {
            for entry in parts {
                extend(&mut recheck.read_log, entry);
            }
        }
        self.finish(index, upper, began);
    }

    /// Advances recheck `index` to `upper`, up to which it has read, beginning at `began`.
    pub(super) fn finish(&mut self, index: usize, upper: DateTime<Utc>, began: DateTime<Utc>) {
        let is_last = index + 1 == self.rechecks.len();
        let recheck = &mut self.rechecks[index];
        recheck.cursor = upper;
        recheck.reading = None;
        recheck.again = recheck.again.filter(|again| upper < *again);
        if is_last {
            recheck.read_log.clear();
        } else {
            extend(
                &mut recheck.read_log,
                ReadSpan {
                    upper,
                    read_at: began,
                },
            );
        }
        // No reader compares with the entries behind the cursor any more.
        let consumed = match index {
            0 => &mut self.ended.read_log,
            _ => &mut self.rechecks[index - 1].read_log,
        };
        consumed.retain(|entry| entry.upper > upper);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The read log of the recheck before has no entry for runs that it has not read.
    #[test]
    fn a_recheck_does_not_overtake_the_one_before() {
        let at =
            |minutes| DateTime::UNIX_EPOCH + TimeDelta::days(20_000) + TimeDelta::minutes(minutes);
        // The rows' clock stays at minute 0, while 20 hours pass.
        let mut live = LiveState::from(at(0), TimeDelta::days(30));
        live.rechecks[0].cursor = at(0);
        live.rechecks[1].cursor = at(0);
        live.rechecks[2].cursor = at(-16);
        let turn = LiveTurn {
            began: at(0),
            date: at(20 * 60),
            is_later: false,
        };
        // Sixteen minutes are less than an eighth of the lag, four hours.
        assert_eq!(live.window(2, turn, true), None);
        let cursor = live.rechecks[3].cursor;
        let reading = WindowProgress::new(at(-16), at(0));
        assert_eq!(
            live.window(3, turn, true),
            Some(RecheckDecision::Read { cursor, reading })
        );
    }
}
