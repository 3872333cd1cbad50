//! The backfill: reads all runs once, from the newest to the oldest, by `expected_start_time`.
//!
//! Its position is a value, so a crash, or a run that is created or deleted in the meantime, costs nothing. The live
//! readers cover what happens after the backfill began, and a long backfill is interrupted for them.

use chrono::{DateTime, Utc};

use super::{
    backfill_state::{Backfill, BackfillProgress, UnreadRange},
    change_filter::{ChangeFilter, SendIf},
    phase::Phase,
    reader::Runs,
    state::LiveState,
    task::Task,
    timing::MAX_BACKFILL_SLICE,
};
use crate::{
    prefect::Filter,
    rows::Row,
    sync::{
        NoProgress,
        keyset::TimeField,
        offset::{OffsetPager, by_id},
        partitioned_scan::PartitionedScan,
        strategies::{
            emission::{Change, Emission},
            request::FetchedPage,
        },
    },
};

impl Runs {
    pub(super) fn plan_backfill(&mut self) -> Option<Phase> {
        if let Some(scan) = self.paused_backfill.take() {
            return Some(Phase::Backfill { scan });
        }
        self.state.begin_next(self.settings.start);
        let backfill = self.state.backfill.as_ref()?;
        if backfill.progress == BackfillProgress::Counting {
            return Some(Phase::Counts { counts: Vec::new() });
        }
        let ranges = backfill.ranges();
        let pagers = ranges.iter().map(|range| {
            let before = Some(range.before);
            self.pager(
                TimeField::ExpectedStartTime,
                range.after,
                before,
                Filter::default(),
            )
            .within(range.place)
            .inhabited()
        });
        let scan = PartitionedScan::new(pagers);
        Some(Phase::Backfill { scan })
    }

    pub(super) fn backfilled(
        &mut self,
        mut scan: PartitionedScan,
        ticket: usize,
        page: FetchedPage,
        emission: &mut Emission,
    ) -> Result<(), NoProgress> {
        let now = page.now;
        let rows = self.accept_by_value(&mut scan, ticket, page)?;
        let mut backfill = self.state.backfill.take().unwrap_or_default();
        let began = *backfill.began.get_or_insert(now);
        let look_back = self.settings.look_back;
        self.state
            .live
            .get_or_insert_with(|| LiveState::from(began, look_back));
        let send_if = self.rule_of_backfill(&backfill, began, &rows);
        let rule = |row: &Row, _: &ChangeFilter| send_if(row);
        self.send_to_backfill_targets(rows, &backfill, (began, rule), emission);
        backfill.take_place(&scan);
        self.state.backfill = Some(backfill);
        // The newest data does not wait for the oldest.
        let last = self.turn.map(|turn| turn.date).or(self.first_date);
        let passed = self.date.zip(last).map(|(date, last)| date - last);
        self.is_pausing = passed.is_some_and(|passed| passed >= MAX_BACKFILL_SLICE);
        self.phase = Some(Phase::Backfill { scan });
        Ok(())
    }

    /// Returns the rule by which the backfill that began at `began` sends these rows.
    pub(super) fn rule_of_backfill(
        &self,
        backfill: &Backfill,
        began: DateTime<Utc>,
        rows: &[Row],
    ) -> impl Fn(&Row) -> SendIf + use<> {
        let left = self.left_behind(rows);
        let (since, again) = (backfill.since, backfill.again);
        move |row| {
            let is_left = left.contains(row.id());
            match since {
                Some(since) if is_left => SendIf::EndedWithFlowRun(since),
                Some(since) => SendIf::ChangedSince(since),
                None => SendIf::FirstSightInBackfill {
                    began,
                    again,
                    is_left,
                },
            }
        }
    }

    /// Leaves the partitions once they are read, or must be interrupted and have no request under way.
    pub(super) fn leave_scan(&mut self) {
        match self.phase.take() {
            Some(Phase::Backfill { scan }) if scan.is_busy() => {
                self.phase = Some(Phase::Backfill { scan });
            }
            Some(Phase::Backfill { scan }) if scan.is_done() => {
                self.is_pausing = false;
                self.phase = Some(Phase::Counts { counts: Vec::new() });
            }
            Some(Phase::Backfill { scan }) if self.is_pausing => {
                self.is_pausing = false;
                self.paused_backfill = Some(scan);
                self.tasks.begin_live_turn();
            }
            phase => self.phase = phase,
        }
    }

    /// Takes one of the counts after the backfill, which show if there are runs that no range matches.
    pub(super) fn counted(&mut self, mut counts: Vec<u64>, count: Option<u64>) {
        counts.extend(count);
        self.phase = match (count, counts.as_slice()) {
            // The server has no counts; no run without an expected start was ever seen.
            (None, _) => None,
            (_, [all, with_start, again]) if all.min(again) > with_start => {
                Some(Phase::NoExpectedStart {
                    pager: OffsetPager::default(),
                })
            }
            (_, [_, _, _]) => None,
            _ => Some(Phase::Counts { counts }),
        };
        if self.phase.is_none() {
            self.end_backfill();
        }
    }

    /// Offers rows to the tables that the backfill is for.
    pub(super) fn send_to_backfill_targets(
        &mut self,
        rows: Vec<Row>,
        backfill: &Backfill,
        (began, rule): (DateTime<Utc>, impl Fn(&Row, &ChangeFilter) -> SendIf),
        emission: &mut Emission,
    ) {
        if backfill.is_for_some() {
            let rows = rows.into_iter().filter(|row| {
                let rule = rule(row, &self.changes);
                self.changes
                    .is_wanted_by_backfill_target(row, rule, &self.state)
            });
            emission.changes.extend(rows.map(Change::BackfillOnly));
            return;
        }
        let from = emission.changes.len();
        self.offer_all(rows, began, rule, emission);
        if !backfill.except.is_empty() {
            let all = emission.changes.split_off(from);
            let some = all.into_iter().map(|change| match change {
                Change::Upsert(row) => {
                    self.changes.forget_sent(&row);
                    Change::BackfillOnly(row)
                }
                change => change,
            });
            emission.changes.extend(some);
        }
    }

    pub(super) fn without_start(
        &mut self,
        mut pager: OffsetPager,
        page: FetchedPage,
        emission: &mut Emission,
    ) -> Result<(), NoProgress> {
        let began = self.began_backfill(page.now);
        let ids: Vec<_> = page.list.iter().map(|row| by_id(row.id())).collect();
        let place = pager
            .around(&page.gaps)
            .accept(&ids, page.objects, page.limit)?;
        let rows: Vec<Row> = page
            .list
            .into_iter()
            .enumerate()
            .filter(|(at, _)| place.fresh.contains(at))
            .map(|(_, row)| row)
            .filter(|row| {
                self.changes
                    .value(row, TimeField::ExpectedStartTime)
                    .is_none()
            })
            .collect();
        if let Some(backfill) = self.state.backfill.take() {
            let rule = |_: &Row, _: &ChangeFilter| SendIf::Always;
            self.send_to_backfill_targets(rows, &backfill, (began, rule), emission);
            self.state.backfill = Some(backfill);
        }
        if place.ended {
            self.end_backfill();
        } else {
            self.phase = Some(Phase::NoExpectedStart { pager });
        }
        Ok(())
    }

    /// Ends the backfill and begins the next queued one. After a backfill of task runs the next listings are complete
    /// ones, because it is unknown which open task runs have ended with their flow run.
    pub(super) fn end_backfill(&mut self) {
        self.state.backfill = None;
        if self.changes.are_task_runs()
            && let Some(live) = &mut self.state.live
        {
            live.without_end_listed = None;
        }
        if self.state.begin_next(self.settings.start) {
            self.tasks.plan_again(Task::Backfill);
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
    fn take_place(&mut self, scan: &PartitionedScan) {
        let left = scan.left().into_iter().filter_map(|(range, place)| {
            Some(UnreadRange {
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
            keyset::{KeysetPager, latest},
            partitioned_scan::RequestIds,
        },
    };

    #[test]
    fn what_is_read_to_its_end_is_not_taken_for_not_begun() {
        let pager = KeysetPager::new(
            Collection("/flow_runs"),
            TimeField::ExpectedStartTime,
            None,
            Some(latest()),
            Filter::default(),
        );
        let mut scan = PartitionedScan::new([pager]);
        let mut backfill = Backfill::default();
        backfill.take_place(&scan);
        assert_eq!(backfill.progress, BackfillProgress::ReadDownTo(latest()));
        let (ticket, _) = scan
            .next(200, &mut RequestIds::default())
            .expect("a request");
        scan.accept(ticket, &[], 0, 200).expect("progress");
        assert!(scan.is_done());
        backfill.take_place(&scan);
        assert_eq!(backfill.progress, BackfillProgress::Counting);
        assert_ne!(backfill, Backfill::default());
    }
}
