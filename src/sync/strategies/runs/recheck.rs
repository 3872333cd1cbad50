//! The rechecks: lagged cursors that find edits of ended runs.
//!
//! Recheck j reads every run again when the age of the run passes the lag: 15 minutes, an hour, four hours and so on up
//! to the look-back. A row counts as changed if it was updated since that very row was last read, a time that the
//! reader before has left in its read log. (One time for all rows, "the last sync", would be wrong: an edit made
//! between two readings of a row but before the last sync would be dropped.)
//!
//! The look-back is a recheck without a read log: it reads everything younger than the look-back once, after the
//! rechecks restarted. The state of a recheck is a [`RecheckState`](super::live_state::RecheckState), that of the look-back
//! a [`LookBackState`].

use chrono::{DateTime, TimeDelta};

use super::{
    change_filter::{ChangeFilter, SendIf},
    context::{MIN_PAGES_TO_SPLIT_WINDOW, RunsContext},
    live_state::{LiveState, LookBackState},
    read_log::{ReadSpan, read_at},
    reader::{Next, Reader},
    recheck_windows::RecheckDecision,
    task::Task,
    window_progress::WindowProgress,
    without_end_time::is_late,
};
use crate::{
    prefect::Filter,
    rows::Row,
    sync::{
        NoProgress,
        keyset::TimeField,
        partitioned_scan::PartitionedScan,
        sent_fingerprints::changed_since,
        strategies::{emission::Emission, request::FetchedPage},
        window_kind,
    },
    telemetry::WindowKind,
};

/// The rule for a run that has ended with its flow run and was last read at an unknown time. The version that was sent
/// is remembered, so it is not sent twice.
const READ_AT_AN_UNKNOWN_TIME: SendIf = SendIf::EndedWithFlowRun(DateTime::UNIX_EPOCH);

/// The reader of one window in which ended runs may have been edited.
struct Recheck {
    source: Source,
    scan: PartitionedScan,
    /// The window, whose position the state keeps after each page.
    reading: WindowProgress,
    /// The earlier readings of the window; `None` if their times are unknown.
    read_log: Option<Vec<ReadSpan>>,
}

/// The part of the state that a window belongs to.
#[derive(Debug, Clone, Copy)]
enum Source {
    LookBack,
    /// The recheck of this index and lag.
    Recheck(usize, TimeDelta),
}

/// Plans the reading of the look-back, if the state plans it.
pub(super) fn plan_look_back(runs: &mut RunsContext) -> Option<Box<dyn Reader>> {
    let live = runs.state.live.as_ref()?;
    let reading = live.look_back.reading?;
    let now = runs.turn_began()?;
    // A look-back of which no page is read begins now.
    let reading = if reading.before == reading.upper {
        WindowProgress::new(now, now)
    } else {
        reading
    };
    let lo = reading.began - runs.settings.look_back;
    let lo = live.look_back.from.map_or(lo, |from| lo.min(from));
    let before = Some(reading.before);
    let pager = runs.pager(runs.state.time_field, Some(lo), before, Filter::default());
    let pager = pager.within(reading.place).not_empty(true);
    Some(Box::new(Recheck {
        source: Source::LookBack,
        scan: PartitionedScan::window(pager, Some(MIN_PAGES_TO_SPLIT_WINDOW)),
        reading,
        read_log: None,
    }))
}

/// Plans the next window of a recheck, and skips parts that this same sync has just read.
pub(super) fn plan(index: usize, runs: &mut RunsContext) -> Option<Box<dyn Reader>> {
    let turn = runs.turn?;
    let live = runs.state.live.as_mut()?;
    let time_field = runs.state.time_field;
    let by_end = time_field == TimeField::EndTime;
    let (cursor, reading) = loop {
        match live.window(index, turn, by_end)? {
            RecheckDecision::AlreadyRead => {}
            RecheckDecision::Read { cursor, reading } => break (cursor, reading),
        }
    };
    let lag = TimeDelta::seconds(live.rechecks[index].lag);
    let read_log = live.read_log_for(index, by_end).map(<[ReadSpan]>::to_vec);
    // There may be another part after this one.
    runs.tasks.plan_again(Task::Recheck(index));
    // Runs at the cursor itself belong to the window before, because bounds are inclusive.
    let lo = cursor + TimeDelta::microseconds(1);
    let range = (Some(lo), Some(reading.before));
    let position = (reading.place, reading.before < reading.upper);
    Some(Box::new(Recheck {
        source: Source::Recheck(index, lag),
        scan: runs.window(time_field, range, position, Filter::default()),
        reading,
        read_log,
    }))
}

impl Reader for Recheck {
    fn accept(
        &mut self,
        runs: &mut RunsContext,
        ticket: usize,
        page: FetchedPage,
        emission: &mut Emission,
    ) -> Result<Next, NoProgress> {
        let is_empty = page.objects == 0 && self.reading.before == self.reading.upper;
        let rows = runs.accept_by_value(&mut self.scan, ticket, page)?;
        let time_field = runs.state.time_field;
        let left = runs.left_open(&rows);
        let missed = runs.missed_open(&rows);
        let read_log = self.read_log.as_deref();
        let rule = |row: &Row, changes: &ChangeFilter| {
            // The next sync no longer finds the run if it is cancelled without an end time before that.
            if time_field == TimeField::ExpectedStartTime && missed.contains(row.id()) {
                return SendIf::Always;
            }
            recheck_rule(row, changes, time_field, read_log, left.contains(row.id()))
        };
        runs.offer_all(rows, self.reading.began, rule, emission);
        let Some(live) = &mut runs.state.live else {
            return Ok(Next::Finished);
        };
        if self.scan.is_done() {
            let by_end = time_field == TimeField::EndTime;
            self.source.finish(live, self.reading, (is_empty, by_end));
            return Ok(Next::Finished);
        }
        self.reading.pass(&self.scan);
        match self.source {
            Source::LookBack => live.look_back.reading = Some(self.reading),
            Source::Recheck(index, _) => live.rechecks[index].reading = Some(self.reading),
        }
        Ok(Next::Same)
    }

    fn window_kind(&self) -> WindowKind {
        match self.source {
            Source::LookBack => window_kind::LOOK_BACK,
            Source::Recheck(_, lag) => window_kind::RECHECK.after(lag.to_std().unwrap_or_default()),
        }
    }

    fn scan_mut(&mut self) -> Option<&mut PartitionedScan> {
        Some(&mut self.scan)
    }

    fn page_name(&self, number: usize) -> Option<String> {
        match self.source {
            Source::LookBack => None,
            Source::Recheck(index, _) => Some(format!("rung {index} {number}")),
        }
    }
}

impl Source {
    /// Stores that the window is read; `is_empty` is true if it had no run.
    fn finish(self, live: &mut LiveState, read: WindowProgress, (is_empty, by_end): (bool, bool)) {
        match self {
            Self::LookBack => {
                live.look_back = LookBackState::default();
            }
            Self::Recheck(index, _) if is_empty => live.pass_over(index, read.upper, by_end),
            Self::Recheck(index, _) => live.finish(index, read.upper, read.began),
        }
    }
}

/// Returns the condition under which a recheck sends a row. `is_left` is true for a task run that has ended with its
/// flow run, although its state is open.
fn recheck_rule(
    row: &Row,
    changes: &ChangeFilter,
    time_field: TimeField,
    read_log: Option<&[ReadSpan]>,
    is_left: bool,
) -> SendIf {
    let by_start = time_field == TimeField::ExpectedStartTime;
    let at = changes.value(row, time_field);
    let read = read_log.zip(at).and_then(|(log, at)| read_at(log, at));
    match read {
        Some(read) if is_left => return SendIf::EndedWithFlowRun(read),
        None if is_left && by_start => return READ_AT_AN_UNKNOWN_TIME,
        _ => {}
    }
    // A window by expected start also holds runs that are open, or that ended after the recheck before had read them.
    // The reader of ended runs read those last, at a time that is not known.
    if by_start && changes.is_open(row) {
        return SendIf::Never;
    }
    let ended = changes.value(row, TimeField::EndTime);
    if by_start && ended.is_none() {
        // No other reading of this window has a known time; the version that was sent of such a run is remembered.
        if read_log.is_none() {
            return SendIf::Always;
        }
        // The listing of runs without an end time had passed the expected start before the run was created.
        if is_late(changes.created(row), at) {
            return read.map_or(SendIf::Always, SendIf::ChangedSince);
        }
    }
    match read {
        None => SendIf::UpdatedAfterEnd,
        // The run has no end time, but the version that was sent is remembered.
        Some(read) if ended.is_none() => SendIf::ChangedSince(read),
        Some(read) if by_start && changed_since(read, ended) => SendIf::UpdatedAfterEnd,
        Some(read) => SendIf::ChangedSince(read),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        rows::{Context, PageReader},
        tables,
    };

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
        let read_at = DateTime::from_timestamp(1_795_000_000, 0).expect("a time");
        let rule = |log| recheck_rule(&row, &changes, TimeField::ExpectedStartTime, log, false);
        assert_eq!(rule(None), SendIf::Always);
        let upper = read_at + TimeDelta::days(30);
        let span = ReadSpan { upper, read_at };
        assert_eq!(rule(Some(&[span])), SendIf::ChangedSince(read_at));
    }
}
