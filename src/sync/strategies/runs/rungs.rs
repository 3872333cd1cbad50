//! The rechecks: lagged cursors that find edits of ended runs.
//!
//! Recheck j reads every run again when the age of the run passes the lag: 15 minutes, an hour, four hours and so on up
//! to the look-back. A row counts as changed if it was updated since that very row was last read, a time that the
//! reader before has left in its read log. (One time for all rows, "the last sync", would be wrong: an edit made
//! between two readings of a row but before the last sync would be dropped.)

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};

use super::{
    Cycle, LONG_WINDOW, Phase, Rows, Runs, Stage, Step,
    desk::{Desk, Rule, bound},
    state::{Live, Reading},
    trail::{Entry, extend, read_at},
    without_end::is_late,
};
use crate::{
    prefect::Filter,
    rows::Row,
    sync::{NoProgress, lanes::Lanes, pack, recent::changed_since, value_walk::Tau},
};

/// The rule for a run that has ended with its flow run and was last read at an unknown time. The version that was sent
/// is remembered, so it is not sent twice.
const READ_AT_AN_UNKNOWN_TIME: Rule = Rule::WithItsFlowRun(DateTime::UNIX_EPOCH);

impl Runs {
    pub(super) fn plan_look_back(&mut self) -> Option<Phase> {
        let live = self.state.live.as_ref()?;
        let reading = live.look_back?;
        let now = self.cycle_began()?;
        // A look-back of which no page is read begins now.
        let reading = if reading.before == reading.hi {
            Reading::new(now, now)
        } else {
            reading
        };
        let lo = reading.began - self.choices.look_back;
        let lo = live.look_back_from.map_or(lo, |from| lo.min(from));
        let before = Some(reading.before);
        let walk = self.walk(self.state.tau, Some(lo), before, Filter::default());
        Some(Phase::LookBack {
            lanes: Lanes::window(
                walk.within(reading.place).not_empty(true),
                Some(LONG_WINDOW),
            ),
            reading,
        })
    }

    pub(super) fn look_back(
        &mut self,
        (mut lanes, ticket): (Lanes, usize),
        mut reading: Reading,
        page: Rows,
        step: &mut Step,
    ) -> Result<(), NoProgress> {
        let rows = self.accept_by_value(&mut lanes, ticket, page)?;
        let by_start = self.state.tau == Tau::ExpectedStartTime;
        let left = self.left_open(&rows);
        let rule = |row: &Row, desk: &Desk| {
            // If the server can filter by end time, runs without one are listed completely once a day.
            if !by_start || desk.value(row, Tau::EndTime).is_some() {
                Rule::EditedAfterItsEnd
            } else if left.contains(row.id()) {
                READ_AT_AN_UNKNOWN_TIME
            } else if desk.is_open(row) {
                Rule::Never
            } else {
                Rule::Always
            }
        };
        self.offer_all(rows, reading.began, rule, step);
        let is_done = lanes.is_done();
        reading.pass(&lanes);
        if let Some(live) = &mut self.state.live {
            live.look_back = (!is_done).then_some(reading);
            live.look_back_from = live.look_back_from.filter(|_| !is_done);
        }
        if !is_done {
            self.phase = Some(Phase::LookBack { lanes, reading });
        }
        Ok(())
    }

    /// Plans the next window of a recheck, and skips parts that this same sync has just read.
    pub(super) fn plan_rung(&mut self, index: usize) -> Option<Phase> {
        self.stage = Stage::Rung(index + 1);
        let (Some(live), Some(cycle)) = (&mut self.state.live, self.cycle) else {
            self.stage = Stage::Unreadable;
            return None;
        };
        if index >= live.rungs.len() {
            self.stage = Stage::Unreadable;
            return None;
        }
        let by_end = self.state.tau == Tau::EndTime;
        let (cursor, reading) = match live.window(index, cycle, by_end)? {
            Window::Passed => {
                self.stage = Stage::Rung(index);
                return None;
            }
            Window::Read { cursor, reading } => (cursor, reading),
        };
        // There may be another part after this one.
        self.stage = Stage::Rung(index);
        // Runs at the cursor itself belong to the window before, because bounds are inclusive.
        let lo = cursor + TimeDelta::microseconds(1);
        let lanes = self.window(
            self.state.tau,
            (Some(lo), Some(reading.before)),
            reading.place,
            Filter::default(),
        );
        Some(Phase::Rung {
            index,
            lanes,
            reading,
        })
    }

    pub(super) fn rung(
        &mut self,
        index: usize,
        (mut lanes, ticket): (Lanes, usize),
        mut reading: Reading,
        page: Rows,
        step: &mut Step,
    ) -> Result<(), NoProgress> {
        let Some(trail) = self
            .state
            .live
            .as_ref()
            .map(|live| live.trail(index).to_vec())
        else {
            return Ok(());
        };
        let tau = self.state.tau;
        let by_end = tau == Tau::EndTime;
        let is_empty = page.objects == 0 && reading.before == reading.hi;
        let rows = self.accept_by_value(&mut lanes, ticket, page)?;
        let left = self.left_open(&rows);
        let rule = |row: &Row, desk: &Desk| {
            let read = desk.value(row, tau).and_then(|at| read_at(&trail, at));
            let is_left = left.contains(row.id());
            // The read log of ended runs is by end time, and does not apply to expected starts.
            let comparable = read.filter(|_| by_end || index > 0);
            match comparable {
                Some(read) if is_left => Rule::WithItsFlowRun(read),
                None if is_left && !by_end => READ_AT_AN_UNKNOWN_TIME,
                _ => rung_rule(row, desk, tau, index, read),
            }
        };
        self.offer_all(rows, reading.began, rule, step);
        let Some(live) = &mut self.state.live else {
            return Ok(());
        };
        if lanes.is_done() && is_empty {
            live.pass_over(index, reading.hi, by_end);
        } else if lanes.is_done() {
            live.finish(index, reading.hi, reading.began);
        } else {
            reading.pass(&lanes);
            live.rungs[index].reading = Some(reading);
            self.phase = Some(Phase::Rung {
                index,
                lanes,
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
        let (Some(live), Some(cycle)) = (&self.state.live, self.cycle) else {
            return BTreeSet::new();
        };
        if live.open.dated != Some(cycle.date) {
            return BTreeSet::new();
        }
        let was_listed = |row: &Row| {
            let due = self.desk.value(row, Tau::ExpectedStartTime);
            let set = if due >= Some(bound(cycle.began)) {
                &live.open
            } else {
                &live.long_open
            };
            let is_listed = set.dated.is_some() && set.rewound.is_none();
            is_listed && !self.desk.may_have_changed_since(row, set.read_at)
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
        if !live.open.knows_all() || !live.long_open.knows_all() {
            return BTreeSet::new();
        }
        let is_left = |row: &&Row| {
            self.desk.is_open(row)
                && self.desk.is_of_flow_run(row)
                && !live.is_open(&pack::id(row.id()))
        };
        let left = rows.iter().filter(is_left);
        left.map(|row| row.id().to_owned()).collect()
    }
}

/// Returns the condition under which a recheck sends a row, given the time at which that row was last read.
fn rung_rule(row: &Row, desk: &Desk, tau: Tau, index: usize, read: Option<DateTime<Utc>>) -> Rule {
    let ended = desk.value(row, Tau::EndTime);
    let by_start = tau == Tau::ExpectedStartTime;
    let due = desk.value(row, Tau::ExpectedStartTime);
    if by_start && ended.is_none() && !desk.is_open(row) {
        // No other reading of this window precedes the first recheck; the version that was sent of such a run is
        // remembered.
        if index == 0 {
            return Rule::Always;
        }
        // The listing of runs without an end time had passed the expected start before the run was created.
        if is_late(desk.created(row), due) {
            return read.map_or(Rule::Always, Rule::Since);
        }
    }
    let Some(read) = read else {
        return match tau {
            Tau::ExpectedStartTime if desk.is_open(row) => Rule::Never,
            _ => Rule::EditedAfterItsEnd,
        };
    };
    // A window by expected start also holds runs that are open, or that ended after the recheck before had read them.
    // The reader of ended runs read those last, at a time that is not known.
    if by_start && desk.is_open(row) {
        Rule::Never
    } else if ended.is_none() {
        // The run has no end time, but the version that was sent is remembered.
        Rule::Since(read)
    } else if by_start && (index == 0 || changed_since(read, ended)) {
        Rule::EditedAfterItsEnd
    } else {
        Rule::Since(read)
    }
}

/// The next step of a recheck.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Window {
    /// A part that this same sync has read was skipped; the caller must request the next step.
    Passed,
    /// A window must be read.
    Read {
        cursor: DateTime<Utc>,
        reading: Reading,
    },
}

impl Live {
    /// Returns true if the live readers have read nothing since the backfill began.
    pub(super) fn is_new(&self) -> bool {
        *self
            == Self {
                open: self.open.clone(),
                long_open: self.long_open.clone(),
                outside: self.outside.clone(),
                without_end_listed: self.without_end_listed,
                ..Self::from(self.tail.cursor, self.look_back())
            }
    }

    /// Returns the read log with which recheck `index` compares: that of the reader before.
    fn trail(&self, index: usize) -> &[Entry] {
        match index {
            0 => &self.tail.trail,
            _ => &self.rungs[index - 1].trail,
        }
    }

    /// Returns the next step of recheck `index` in the turn that began at `began`. The step is `None` until its window
    /// has grown to an eighth of its lag.
    pub(super) fn window(
        &mut self,
        index: usize,
        Cycle {
            began,
            date,
            is_later,
        }: Cycle,
        by_end: bool,
    ) -> Option<Window> {
        let rung = &self.rungs[index];
        let cursor = rung.cursor;
        if let Some(reading) = rung.reading {
            return Some(Window::Read { cursor, reading });
        }
        let lag = TimeDelta::seconds(rung.lag);
        // Runs that end later than the rows' clock shows are read by the next window.
        let hi = (date - lag).min(began);
        let hi = rung.until.map_or(hi, |until| hi.min(until));
        let is_again = rung.again.is_some_and(|again| cursor < again);
        let is_due = hi > cursor && (is_again || hi - cursor >= lag / 8);
        // Judged before the limits below, which may shorten a window that is due.
        if !is_due {
            return None;
        }
        // The cursor of ended runs does not move while no run ends.
        let hi = if by_end { hi.min(self.tail.cursor) } else { hi };
        // While the rows' clock does not move, a shorter lag may not be due. A recheck does not read what the one
        // before has not read.
        let before = index.checked_sub(1).map(|before| self.rungs[before].cursor);
        let hi = before.map_or(hi, |before| hi.min(before));
        if hi <= cursor {
            return None;
        }
        let trail = self.trail(index);
        // The read log of ended runs is by end time, and does not apply to expected starts.
        let trail = if by_end || index > 0 { trail } else { &[] };
        let mut parts = trail.iter().filter(|entry| entry.hi > cursor);
        let first = parts.next().copied();
        let is_own = |part: &Entry| is_later && part.read_at >= began;
        if let Some(first) = first.filter(|first| is_own(first)) {
            self.finish(index, first.hi.min(hi), first.read_at);
            return Some(Window::Passed);
        }
        // The window ends where the first part begins that this sync has read.
        let end = trail
            .iter()
            .zip(trail.iter().skip(1))
            .find(|(before, part)| before.hi > cursor && is_own(part))
            .map_or(hi, |(before, _)| before.hi.min(hi));
        Some(Window::Read {
            cursor,
            reading: Reading::new(end, began),
        })
    }

    /// Advances recheck `index`, which has found no run up to `hi`. If that was wrong, the next recheck compares with
    /// the earlier readings.
    fn pass_over(&mut self, index: usize, hi: DateTime<Utc>, by_end: bool) {
        let trail = match index {
            // The read log of ended runs is by end time, and does not apply to expected starts.
            0 if !by_end => &[],
            _ => self.trail(index),
        };
        let until = trail.partition_point(|entry| entry.hi < hi);
        let mut parts = trail[..until].to_vec();
        let read_at = trail.get(until).map(|entry| entry.read_at);
        parts.push(Entry {
            hi,
            read_at: read_at.unwrap_or(DateTime::UNIX_EPOCH),
        });
        let is_last = index + 1 == self.rungs.len();
        let began = parts.pop().map_or(hi, |last| last.read_at);
        let rung = &mut self.rungs[index];
        if !is_last {
            for entry in parts {
                extend(&mut rung.trail, entry);
            }
        }
        self.finish(index, hi, began);
    }

    /// Advances recheck `index` to `hi`, up to which it has read, beginning at `began`.
    fn finish(&mut self, index: usize, hi: DateTime<Utc>, began: DateTime<Utc>) {
        let is_last = index + 1 == self.rungs.len();
        let rung = &mut self.rungs[index];
        rung.cursor = hi;
        rung.reading = None;
        rung.again = rung.again.filter(|again| hi < *again);
        if is_last {
            rung.trail.clear();
        } else {
            extend(&mut rung.trail, Entry { hi, read_at: began });
        }
        // No reader compares with the entries behind the cursor any more.
        let consumed = match index {
            0 => &mut self.tail.trail,
            _ => &mut self.rungs[index - 1].trail,
        };
        consumed.retain(|entry| entry.hi > hi);
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
    fn a_rung_does_not_overtake_the_one_before() {
        let at =
            |minutes| DateTime::UNIX_EPOCH + TimeDelta::days(20_000) + TimeDelta::minutes(minutes);
        // The rows' clock stays at minute 0, while 20 hours pass.
        let mut live = Live::from(at(0), TimeDelta::days(30));
        live.rungs[0].cursor = at(0);
        live.rungs[1].cursor = at(0);
        live.rungs[2].cursor = at(-16);
        let cycle = Cycle {
            began: at(0),
            date: at(20 * 60),
            is_later: false,
        };
        // Sixteen minutes are less than an eighth of the lag, four hours.
        assert_eq!(live.window(2, cycle, true), None);
        let cursor = live.rungs[3].cursor;
        let reading = Reading::new(at(-16), at(0));
        assert_eq!(
            live.window(3, cycle, true),
            Some(Window::Read { cursor, reading })
        );
    }

    /// The time of the run's previous reading is unknown, so a comparison of times would miss an edit.
    #[test]
    fn the_first_rung_by_expected_start_takes_a_run_without_an_end_time_for_news() {
        let table = tables::find("flow_runs").expect("a table");
        let desk = Desk::new(table, true);
        let text = r#"[{"id":"00000000-0000-0000-0000-000000000001","created":"2026-11-19T03:56:01Z",
            "updated":"2026-11-19T04:10:17Z","expected_start_time":"2026-11-19T03:56:01Z",
            "state_type":"FAILED","end_time":null}]"#;
        let page = PageReader::new(table, &Context::default()).read(text.to_owned());
        let row = page.expect("an array").rows.remove(0);
        let read = DateTime::from_timestamp(1_795_000_000, 0);
        let rule = |index, read| rung_rule(&row, &desk, Tau::ExpectedStartTime, index, read);
        assert_eq!(rule(0, None), Rule::Always);
        assert_eq!(rule(0, read), Rule::Always);
        assert_eq!(rule(1, read), Rule::Since(read.expect("a time")));
    }
}
