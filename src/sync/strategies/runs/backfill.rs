//! The backfill: reads all runs once, from the newest to the oldest, by `expected_start_time`.
//!
//! Its position is a value, so a crash, or a run that is created or deleted in the meantime, costs nothing. The other
//! readers cover what happens after the backfill began, and a long backfill is interrupted for them. Its state is a
//! [`BackfillState`].

use chrono::{DateTime, Utc};

use super::{
    backfill_state::{BackfillProgress, BackfillState, UnreadRange},
    change_filter::{ChangeFilter, SendIf},
    context::RunsContext,
    count_check::CountCheck,
    reader::{Next, Reader},
    task::Task,
    timing::MAX_BACKFILL_SLICE,
};
use crate::{
    prefect::Filter,
    rows::Row,
    sync::{
        NoProgress,
        keyset::TimeField,
        partitioned_scan::PartitionedScan,
        strategies::{
            emission::{Change, Emission},
            request::FetchedPage,
        },
        window_kind,
    },
    telemetry::WindowKind,
};

/// The reader of all runs, in the partitions that the state keeps.
struct Backfill {
    scan: PartitionedScan,
    /// Set once the other readers are due: the backfill then only waits for its last responses.
    is_pausing: bool,
}

/// Plans the backfill that was interrupted, is under way in the state, or is the next in the queue.
pub(super) fn plan(runs: &mut RunsContext) -> Option<Box<dyn Reader>> {
    if let Some(scan) = runs.paused_backfill.take() {
        return Some(Backfill::boxed(scan));
    }
    let backfill = runs.next_backfill()?;
    if backfill.progress == BackfillProgress::Counting {
        return Some(Box::new(CountCheck::default()));
    }
    let ranges = backfill.ranges();
    let pagers = ranges.iter().map(|range| {
        let (time_field, before) = (TimeField::ExpectedStartTime, Some(range.before));
        runs.pager(time_field, range.after, before, Filter::default())
            .within(range.place)
            .inhabited()
    });
    Some(Backfill::boxed(PartitionedScan::new(pagers)))
}

impl Backfill {
    fn boxed(scan: PartitionedScan) -> Box<dyn Reader> {
        Box::new(Self {
            scan,
            is_pausing: false,
        })
    }
}

impl Reader for Backfill {
    fn accept(
        &mut self,
        runs: &mut RunsContext,
        ticket: usize,
        page: FetchedPage,
        emission: &mut Emission,
    ) -> Result<Next, NoProgress> {
        let now = page.now;
        let rows = runs.accept_by_value(&mut self.scan, ticket, page)?;
        let (mut backfill, began) = runs.take_backfill(now);
        let send_if = rule(runs, &backfill, began, &rows);
        let rule = |row: &Row, _: &ChangeFilter| send_if(row);
        runs.send_to_backfill_targets(rows, &backfill, (began, rule), emission);
        backfill.take_place(&self.scan);
        runs.state.backfill = Some(backfill);
        // The newest data does not wait for the oldest.
        let last = runs.turn.map(|turn| turn.date).or(runs.first_date);
        let passed = runs.date.zip(last).map(|(date, last)| date - last);
        self.is_pausing = passed.is_some_and(|passed| passed >= MAX_BACKFILL_SLICE);
        Ok(Next::Same)
    }

    fn before_request(&mut self, runs: &mut RunsContext) -> Next {
        if self.scan.is_busy() {
            return Next::Same;
        }
        if self.scan.is_done() {
            return Next::Reader(Box::new(CountCheck::default()));
        }
        if self.is_pausing {
            let rest = std::mem::replace(&mut self.scan, PartitionedScan::new([]));
            runs.paused_backfill = Some(rest);
            runs.tasks.begin_live_turn();
        }
        Next::unless(self.is_pausing)
    }

    fn is_pausing(&self) -> bool {
        self.is_pausing
    }

    fn window_kind(&self) -> WindowKind {
        window_kind::BACKFILL
    }

    fn scan_mut(&mut self) -> Option<&mut PartitionedScan> {
        Some(&mut self.scan)
    }
}

/// Returns the rule by which the backfill that began at `began` sends these rows.
pub(super) fn rule(
    runs: &RunsContext,
    backfill: &BackfillState,
    began: DateTime<Utc>,
    rows: &[Row],
) -> impl Fn(&Row) -> SendIf + use<> {
    let left = runs.left_behind(rows);
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

impl RunsContext {
    /// Returns the backfill to read: the one under way, or the first of the queue that the start date includes.
    pub(super) fn next_backfill(&mut self) -> Option<&BackfillState> {
        self.state.begin_next(self.settings.start);
        self.state.backfill.as_ref()
    }

    /// Takes the backfill out of the state, with the time at which it began: `now` if this is its first page.
    pub(super) fn take_backfill(&mut self, now: DateTime<Utc>) -> (BackfillState, DateTime<Utc>) {
        let mut backfill = self.state.backfill.take().unwrap_or_default();
        let began = *backfill.began.get_or_insert(now);
        self.begin_live(began);
        (backfill, began)
    }

    /// Offers rows to the tables that the backfill is for.
    pub(super) fn send_to_backfill_targets(
        &mut self,
        rows: Vec<Row>,
        backfill: &BackfillState,
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

    /// Ends the backfill and begins the next queued one. After a backfill of task runs the next listings are complete
    /// ones, because it is unknown which open task runs have ended with their flow run.
    pub(super) fn end_backfill(&mut self) {
        self.state.backfill = None;
        if self.changes.are_task_runs()
            && let Some(live) = &mut self.state.live
        {
            live.without_end.listed = None;
        }
        if self.state.begin_next(self.settings.start) {
            self.tasks.plan_again(Task::Backfill);
        }
    }
}

impl BackfillState {
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
            keyset::{KeysetPager, latest_possible_time},
            partitioned_scan::RequestIds,
        },
    };

    #[test]
    fn a_finished_backfill_is_not_treated_as_not_begun() {
        let pager = KeysetPager::new(
            Collection("/flow_runs"),
            TimeField::ExpectedStartTime,
            None,
            Some(latest_possible_time()),
            Filter::default(),
        );
        let mut scan = PartitionedScan::new([pager]);
        let mut backfill = BackfillState::default();
        backfill.take_place(&scan);
        assert_eq!(
            backfill.progress,
            BackfillProgress::ReadDownTo(latest_possible_time())
        );
        let (ticket, _) = scan
            .next(200, &mut RequestIds::default())
            .expect("a request");
        scan.accept(ticket, &[], 0, 200).expect("progress");
        assert!(scan.is_done());
        backfill.take_place(&scan);
        assert_eq!(backfill.progress, BackfillProgress::Counting);
        assert_ne!(backfill, BackfillState::default());
    }
}
