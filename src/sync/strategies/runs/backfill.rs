//! The backfill: reads all runs once, from the newest to the oldest, by `expected_start_time`.
//!
//! Its position is a value, so a crash, or a run that is created or deleted in the meantime, costs nothing. The live
//! readers cover what happens after the backfill began, and a long backfill is interrupted for them.

use chrono::{DateTime, TimeDelta, Utc};

use super::{
    Change, OffsetWalk, Phase, Rows, Runs, Stage, Step,
    desk::{Desk, Rule},
    state::{Backfill, Lane, Live},
};
use crate::{
    prefect::Filter,
    rows::Row,
    sync::{NoProgress, lanes::Lanes, paging::by_id, value_walk::Tau},
};

/// The time after which a backfill is interrupted for the live readers.
const PATIENCE: TimeDelta = TimeDelta::minutes(10);

/// The position of a backfill that has read everything: no run was due before Prefect existed. Without it a sync that
/// is cut between the last page and the counts would begin the backfill again.
pub(super) const ALL_READ: DateTime<Utc> = DateTime::<Utc>::UNIX_EPOCH;

impl Runs {
    pub(super) fn plan_backfill(&mut self) -> Option<Phase> {
        if let Some(lanes) = self.parked.take() {
            return Some(Phase::Backfill { lanes });
        }
        self.state.begin_next(self.choices.start);
        let backfill = self.state.backfill.as_ref()?;
        if backfill.before == Some(ALL_READ) {
            return Some(Phase::Counts { told: Vec::new() });
        }
        let ranges = backfill.ranges();
        let walks = ranges.iter().map(|range| {
            let before = Some(range.before);
            self.walk(
                Tau::ExpectedStartTime,
                range.after,
                before,
                Filter::default(),
            )
            .within(range.place)
            .inhabited()
        });
        let lanes = Lanes::new(walks);
        Some(Phase::Backfill { lanes })
    }

    pub(super) fn backfilled(
        &mut self,
        mut lanes: Lanes,
        ticket: usize,
        page: Rows,
        step: &mut Step,
    ) -> Result<(), NoProgress> {
        let now = page.now;
        let rows = self.accept_by_value(&mut lanes, ticket, page)?;
        let mut backfill = self.state.backfill.take().unwrap_or_default();
        let began = *backfill.began.get_or_insert(now);
        let look_back = self.choices.look_back;
        self.state
            .live
            .get_or_insert_with(|| Live::from(began, look_back));
        let news = self.rule_of_backfill(&backfill, began, &rows);
        let rule = |row: &Row, _: &Desk| news(row);
        self.offer_filled(rows, &backfill, (began, rule), step);
        backfill.take_place(&lanes);
        self.state.backfill = Some(backfill);
        // The newest data does not wait for the oldest.
        let last = self.cycle.map(|cycle| cycle.date).or(self.first_date);
        let passed = self.date.zip(last).map(|(date, last)| date - last);
        self.is_draining = passed.is_some_and(|passed| passed >= PATIENCE);
        self.phase = Some(Phase::Backfill { lanes });
        Ok(())
    }

    /// Returns the rule by which the backfill that began at `began` sends these rows.
    pub(super) fn rule_of_backfill(
        &self,
        backfill: &Backfill,
        began: DateTime<Utc>,
        rows: &[Row],
    ) -> impl Fn(&Row) -> Rule + use<> {
        let left = self.left_behind(rows);
        let (since, again) = (backfill.since, backfill.again);
        move |row| {
            let is_left = left.contains(row.id());
            match since {
                Some(since) if is_left => Rule::WithItsFlowRun(since),
                Some(since) => Rule::Since(since),
                None => Rule::First {
                    began,
                    again,
                    is_left,
                },
            }
        }
    }

    /// Leaves the partitions once they are read, or must be interrupted and have no request under way.
    pub(super) fn leave_lanes(&mut self) {
        match self.phase.take() {
            Some(Phase::Backfill { lanes }) if lanes.is_busy() => {
                self.phase = Some(Phase::Backfill { lanes });
            }
            Some(Phase::Backfill { lanes }) if lanes.is_done() => {
                self.is_draining = false;
                self.phase = Some(Phase::Counts { told: Vec::new() });
            }
            Some(Phase::Backfill { lanes }) if self.is_draining => {
                self.is_draining = false;
                self.parked = Some(lanes);
                self.stage = Stage::Tail;
            }
            phase => self.phase = phase,
        }
    }

    /// Takes one of the counts after the backfill, which show if there are runs that no range matches.
    pub(super) fn counted(&mut self, mut told: Vec<u64>, count: Option<u64>) {
        told.extend(count);
        self.phase = match (count, told.as_slice()) {
            // The server has no counts; no run without an expected start was ever seen.
            (None, _) => None,
            (_, [all, with_start, again]) if all.min(again) > with_start => {
                Some(Phase::WithoutStart {
                    walk: OffsetWalk::default(),
                })
            }
            (_, [_, _, _]) => None,
            _ => Some(Phase::Counts { told }),
        };
        if self.phase.is_none() {
            self.end_backfill();
        }
    }

    /// Offers rows to the tables that the backfill is for.
    pub(super) fn offer_filled(
        &mut self,
        rows: Vec<Row>,
        backfill: &Backfill,
        (began, rule): (DateTime<Utc>, impl Fn(&Row, &Desk) -> Rule),
        step: &mut Step,
    ) {
        if backfill.is_for_some() {
            let rows = rows.into_iter().filter(|row| {
                let rule = rule(row, &self.desk);
                self.desk.is_for_a_table_alone(row, rule, &self.state)
            });
            step.changes.extend(rows.map(Change::Again));
            return;
        }
        let from = step.changes.len();
        self.offer_all(rows, began, rule, step);
        if !backfill.except.is_empty() {
            let all = step.changes.split_off(from);
            let some = all.into_iter().map(|change| match change {
                Change::Upsert(row) => {
                    self.desk.was_sent_to_some(&row);
                    Change::Again(row)
                }
                change => change,
            });
            step.changes.extend(some);
        }
    }

    pub(super) fn without_start(
        &mut self,
        mut walk: OffsetWalk,
        page: Rows,
        step: &mut Step,
    ) -> Result<(), NoProgress> {
        let began = self.began_backfill(page.now);
        let ids: Vec<_> = page.list.iter().map(|row| by_id(row.id())).collect();
        let place = walk
            .around(&page.gaps)
            .accept(&ids, page.objects, page.limit)?;
        let rows: Vec<Row> = page
            .list
            .into_iter()
            .enumerate()
            .filter(|(at, _)| place.fresh.contains(at))
            .map(|(_, row)| row)
            .filter(|row| self.desk.value(row, Tau::ExpectedStartTime).is_none())
            .collect();
        if let Some(backfill) = self.state.backfill.take() {
            let rule = |_: &Row, _: &Desk| Rule::Always;
            self.offer_filled(rows, &backfill, (began, rule), step);
            self.state.backfill = Some(backfill);
        }
        if place.ended {
            self.end_backfill();
        } else {
            self.phase = Some(Phase::WithoutStart { walk });
        }
        Ok(())
    }

    /// Ends the backfill and begins the next queued one. After a backfill of task runs the next listings are complete
    /// ones, because it is unknown which open task runs have ended with their flow run.
    pub(super) fn end_backfill(&mut self) {
        self.state.backfill = None;
        if self.desk.are_of_flow_runs()
            && let Some(live) = &mut self.state.live
        {
            live.without_end_listed = None;
        }
        if self.state.begin_next(self.choices.start) {
            self.stage = Stage::Backfill;
        }
    }

    pub(super) fn began_backfill(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        self.state
            .backfill
            .as_ref()
            .and_then(|backfill| backfill.began)
            .unwrap_or(now)
    }
}

impl Backfill {
    /// Stores the ranges that are left to read.
    fn take_place(&mut self, lanes: &Lanes) {
        let left = lanes.left().into_iter().filter_map(|(range, place)| {
            Some(Lane {
                after: range.after,
                before: range.before?,
                place,
            })
        });
        self.set_ranges(left.collect());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        prefect::Collection,
        sync::{
            lanes::Tickets,
            value_walk::{ValueWalk, latest},
        },
    };

    #[test]
    fn what_is_read_to_its_end_is_not_taken_for_not_begun() {
        let walk = ValueWalk::new(
            Collection("/flow_runs"),
            Tau::ExpectedStartTime,
            None,
            Some(latest()),
            Filter::default(),
        );
        let mut lanes = Lanes::new([walk]);
        let mut backfill = Backfill::default();
        backfill.take_place(&lanes);
        assert_eq!(backfill.before, Some(latest()));
        let (ticket, _) = lanes.next(200, &mut Tickets::default()).expect("a request");
        lanes.accept(ticket, &[], 0, 200).expect("progress");
        assert!(lanes.is_done());
        backfill.take_place(&lanes);
        assert_eq!(backfill.before, Some(ALL_READ));
        assert_ne!(backfill, Backfill::default());
    }
}
