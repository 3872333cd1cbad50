//! The rechecks: lagged cursors that find edits of ended runs.
//!
//! Recheck j reads every run again when the age of the run passes the lag: 15 minutes, an hour, four hours and so on up
//! to the look-back. A row counts as changed if it was updated since that very row was last read, a time that the
//! reader before has left in its read log. (One time for all rows, "the last sync", would be wrong: an edit made
//! between two readings of a row but before the last sync would be dropped.)

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};

use super::{
    change_filter::{ChangeFilter, SendIf},
    phase::Phase,
    read_log::{ReadSpan, extend, read_at},
    reader::{LiveTurn, MIN_PAGES_TO_SPLIT_WINDOW, Runs},
    state::{LiveState, WindowProgress},
    task::Task,
    timing::old_run_bound,
    without_end_time::is_late,
};
use crate::{
    prefect::Filter,
    rows::Row,
    sync::{
        NoProgress, compact_ids,
        keyset::TimeField,
        partitioned_scan::PartitionedScan,
        sent_fingerprints::changed_since,
        strategies::{emission::Emission, request::FetchedPage},
    },
};

/// The rule for a run that has ended with its flow run and was last read at an unknown time. The version that was sent
/// is remembered, so it is not sent twice.
const READ_AT_AN_UNKNOWN_TIME: SendIf = SendIf::EndedWithFlowRun(DateTime::UNIX_EPOCH);

impl Runs {
    pub(super) fn plan_look_back(&mut self) -> Option<Phase> {
        let live = self.state.live.as_ref()?;
        let reading = live.look_back?;
        let now = self.turn_began()?;
        // A look-back of which no page is read begins now.
        let reading = if reading.before == reading.upper {
            WindowProgress::new(now, now)
        } else {
            reading
        };
        let lo = reading.began - self.settings.look_back;
        let lo = live.look_back_from.map_or(lo, |from| lo.min(from));
        let before = Some(reading.before);
        let pager = self.pager(self.state.time_field, Some(lo), before, Filter::default());
        Some(Phase::InitialRecheck {
            scan: PartitionedScan::window(
                pager.within(reading.place).not_empty(true),
                Some(MIN_PAGES_TO_SPLIT_WINDOW),
            ),
            reading,
        })
    }

    pub(super) fn look_back(
        &mut self,
        (mut scan, ticket): (PartitionedScan, usize),
        mut reading: WindowProgress,
        page: FetchedPage,
        emission: &mut Emission,
    ) -> Result<(), NoProgress> {
        let rows = self.accept_by_value(&mut scan, ticket, page)?;
        let by_start = self.state.time_field == TimeField::ExpectedStartTime;
        let left = self.left_open(&rows);
        let rule = |row: &Row, changes: &ChangeFilter| {
            // If the server can filter by end time, runs without one are listed completely once a day.
            if !by_start || changes.value(row, TimeField::EndTime).is_some() {
                SendIf::UpdatedAfterEnd
            } else if left.contains(row.id()) {
                READ_AT_AN_UNKNOWN_TIME
            } else if changes.is_open(row) {
                SendIf::Never
            } else {
                SendIf::Always
            }
        };
        self.offer_all(rows, reading.began, rule, emission);
        let is_done = scan.is_done();
        reading.pass(&scan);
        if let Some(live) = &mut self.state.live {
            live.look_back = (!is_done).then_some(reading);
            live.look_back_from = live.look_back_from.filter(|_| !is_done);
        }
        if !is_done {
            self.phase = Some(Phase::InitialRecheck { scan, reading });
        }
        Ok(())
    }

    /// Plans the next window of a recheck, and skips parts that this same sync has just read.
    pub(super) fn plan_recheck(&mut self, index: usize) -> Option<Phase> {
        let turn = self.turn?;
        let live = self.state.live.as_mut()?;
        let by_end = self.state.time_field == TimeField::EndTime;
        let (cursor, reading) = loop {
            match live.window(index, turn, by_end)? {
                RecheckDecision::AlreadyRead => {}
                RecheckDecision::Read { cursor, reading } => break (cursor, reading),
            }
        };
        // There may be another part after this one.
        self.tasks.plan_again(Task::Recheck(index));
        // Runs at the cursor itself belong to the window before, because bounds are inclusive.
        let lo = cursor + TimeDelta::microseconds(1);
        let scan = self.window(
            self.state.time_field,
            (Some(lo), Some(reading.before)),
            reading.place,
            Filter::default(),
        );
        Some(Phase::Recheck {
            index,
            scan,
            reading,
        })
    }

    pub(super) fn recheck(
        &mut self,
        index: usize,
        (mut scan, ticket): (PartitionedScan, usize),
        mut reading: WindowProgress,
        page: FetchedPage,
        emission: &mut Emission,
    ) -> Result<(), NoProgress> {
        let Some(read_log) = self
            .state
            .live
            .as_ref()
            .map(|live| live.read_log(index).to_vec())
        else {
            return Ok(());
        };
        let time_field = self.state.time_field;
        let by_end = time_field == TimeField::EndTime;
        let is_empty = page.objects == 0 && reading.before == reading.upper;
        let rows = self.accept_by_value(&mut scan, ticket, page)?;
        let left = self.left_open(&rows);
        let rule = |row: &Row, changes: &ChangeFilter| {
            let read = changes
                .value(row, time_field)
                .and_then(|at| read_at(&read_log, at));
            let is_left = left.contains(row.id());
            // The read log of ended runs is by end time, and does not apply to expected starts.
            let comparable = read.filter(|_| by_end || index > 0);
            match comparable {
                Some(read) if is_left => SendIf::EndedWithFlowRun(read),
                None if is_left && !by_end => READ_AT_AN_UNKNOWN_TIME,
                _ => recheck_rule(row, changes, time_field, index, read),
            }
        };
        self.offer_all(rows, reading.began, rule, emission);
        let Some(live) = &mut self.state.live else {
            return Ok(());
        };
        if scan.is_done() && is_empty {
            live.pass_over(index, reading.upper, by_end);
        } else if scan.is_done() {
            live.finish(index, reading.upper, reading.began);
        } else {
            reading.pass(&scan);
            live.rechecks[index].reading = Some(reading);
            self.phase = Some(Phase::Recheck {
                index,
                scan,
                reading,
            });
        }
        Ok(())
    }
}

impl Runs {
    /// Returns the ids of open task runs that this sync's listings would hold if their flow run were open. Empty before
    /// this sync has listed the open runs.
    pub(super) fn left_behind(&self, rows: &[Row]) -> BTreeSet<String> {
        let (Some(live), Some(turn)) = (&self.state.live, self.turn) else {
            return BTreeSet::new();
        };
        if live.open.dated != Some(turn.date) {
            return BTreeSet::new();
        }
        let was_listed = |row: &Row| {
            let due = self.changes.value(row, TimeField::ExpectedStartTime);
            let set = if due >= Some(old_run_bound(turn.began)) {
                &live.open
            } else {
                &live.old_open
            };
            let is_listed = set.dated.is_some() && set.rewound.is_none();
            is_listed && !self.changes.may_have_changed_since(row, set.read_at)
        };
        let mut left = self.left_open(rows);
        for row in rows.iter().filter(|row| !was_listed(row)) {
            left.remove(row.id());
        }
        left
    }

    /// Returns the ids of open task runs whose flow run has ended, which are those missing from complete open sets.
    fn left_open(&self, rows: &[Row]) -> BTreeSet<String> {
        let Some(live) = &self.state.live else {
            return BTreeSet::new();
        };
        if !live.open.knows_all() || !live.old_open.knows_all() {
            return BTreeSet::new();
        }
        let is_left = |row: &&Row| {
            self.changes.is_open(row)
                && self.changes.belongs_to_flow_run(row)
                && !live.is_open(&compact_ids::id(row.id()))
        };
        let left = rows.iter().filter(is_left);
        left.map(|row| row.id().to_owned()).collect()
    }
}

/// Returns the condition under which a recheck sends a row, given the time at which that row was last read.
fn recheck_rule(
    row: &Row,
    changes: &ChangeFilter,
    time_field: TimeField,
    index: usize,
    read: Option<DateTime<Utc>>,
) -> SendIf {
    let ended = changes.value(row, TimeField::EndTime);
    let by_start = time_field == TimeField::ExpectedStartTime;
    let due = changes.value(row, TimeField::ExpectedStartTime);
    if by_start && ended.is_none() && !changes.is_open(row) {
        // No other reading of this window precedes the first recheck; the version that was sent of such a run is
        // remembered.
        if index == 0 {
            return SendIf::Always;
        }
        // The listing of runs without an end time had passed the expected start before the run was created.
        if is_late(changes.created(row), due) {
            return read.map_or(SendIf::Always, SendIf::ChangedSince);
        }
    }
    let Some(read) = read else {
        return match time_field {
            TimeField::ExpectedStartTime if changes.is_open(row) => SendIf::Never,
            _ => SendIf::UpdatedAfterEnd,
        };
    };
    // A window by expected start also holds runs that are open, or that ended after the recheck before had read them.
    // The reader of ended runs read those last, at a time that is not known.
    if by_start && changes.is_open(row) {
        SendIf::Never
    } else if ended.is_none() {
        // The run has no end time, but the version that was sent is remembered.
        SendIf::ChangedSince(read)
    } else if by_start && (index == 0 || changed_since(read, ended)) {
        SendIf::UpdatedAfterEnd
    } else {
        SendIf::ChangedSince(read)
    }
}

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
        *self
            == Self {
                open: self.open.clone(),
                old_open: self.old_open.clone(),
                outside: self.outside.clone(),
                without_end_listed: self.without_end_listed,
                ..Self::from(self.ended.cursor, self.look_back())
            }
    }

    /// Returns the read log with which recheck `index` compares: that of the reader before.
    fn read_log(&self, index: usize) -> &[ReadSpan] {
        match index {
            0 => &self.ended.read_log,
            _ => &self.rechecks[index - 1].read_log,
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
        let read_log = self.read_log(index);
        // The read log of ended runs is by end time, and does not apply to expected starts.
        let read_log = if by_end || index > 0 { read_log } else { &[] };
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
    fn pass_over(&mut self, index: usize, hi: DateTime<Utc>, by_end: bool) {
        let read_log = match index {
            // The read log of ended runs is by end time, and does not apply to expected starts.
            0 if !by_end => &[],
            _ => self.read_log(index),
        };
        let until = read_log.partition_point(|entry| entry.upper < hi);
        let mut parts = read_log[..until].to_vec();
        let read_at = read_log.get(until).map(|entry| entry.read_at);
        parts.push(ReadSpan {
            upper: hi,
            read_at: read_at.unwrap_or(DateTime::UNIX_EPOCH),
        });
        let is_last = index + 1 == self.rechecks.len();
        let began = parts.pop().map_or(hi, |last| last.read_at);
        let recheck = &mut self.rechecks[index];
        if !is_last {
            for entry in parts {
                extend(&mut recheck.read_log, entry);
            }
        }
        self.finish(index, hi, began);
    }

    /// Advances recheck `index` to `upper`, up to which it has read, beginning at `began`.
    fn finish(&mut self, index: usize, hi: DateTime<Utc>, began: DateTime<Utc>) {
        let is_last = index + 1 == self.rechecks.len();
        let recheck = &mut self.rechecks[index];
        recheck.cursor = hi;
        recheck.reading = None;
        recheck.again = recheck.again.filter(|again| hi < *again);
        if is_last {
            recheck.read_log.clear();
        } else {
            extend(
                &mut recheck.read_log,
                ReadSpan {
                    upper: hi,
                    read_at: began,
                },
            );
        }
        // No reader compares with the entries behind the cursor any more.
        let consumed = match index {
            0 => &mut self.ended.read_log,
            _ => &mut self.rechecks[index - 1].read_log,
        };
        consumed.retain(|entry| entry.upper > hi);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        rows::{Context, PageReader},
        tables,
    };

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

    /// The time of the run's previous reading is unknown, so a comparison of times would miss an edit.
    #[test]
    fn the_first_recheck_by_expected_start_takes_a_run_without_an_end_time_for_a_new_one() {
        let table = tables::find("flow_runs").expect("a table");
        let changes = ChangeFilter::new(table, true);
        let text = r#"[{"id":"00000000-0000-0000-0000-000000000001","created":"2026-11-19T03:56:01Z",
            "updated":"2026-11-19T04:10:17Z","expected_start_time":"2026-11-19T03:56:01Z",
            "state_type":"FAILED","end_time":null}]"#;
        let page = PageReader::new(table, &Context::default()).read(text.to_owned());
        let row = page.expect("an array").rows.remove(0);
        let read = DateTime::from_timestamp(1_795_000_000, 0);
        let rule =
            |index, read| recheck_rule(&row, &changes, TimeField::ExpectedStartTime, index, read);
        assert_eq!(rule(0, None), SendIf::Always);
        assert_eq!(rule(0, read), SendIf::Always);
        assert_eq!(rule(1, read), SendIf::ChangedSince(read.expect("a time")));
    }
}
