//! The readers for servers that cannot filter runs by any time (task runs on Prefect 2).
//!
//! Everything is read by offset, from the latest expected start to the earliest. Ended runs are found by their reader
//! as on other servers. Edits of ended runs are not looked for, because no window of time can be requested.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use super::{
    backfill_state::UnreadRange,
    change_filter::{ChangeFilter, SendIf},
    listed_open_runs::ListedOpenRuns,
    phase::{FullScan, Phase, ScanPurpose},
    reader::Runs,
    state::LiveState,
    task::{Task, TaskProgress},
    unreadable_range::ByOffsetOf,
};
use crate::{
    rows::Row,
    sync::{
        NoProgress, compact_ids,
        keyset::TimeField,
        offset::by_time,
        partitioned_scan::PartitionedScan,
        strategies::{emission::Emission, look_up::GetById, request::FetchedPage},
    },
};

impl Runs {
    /// Switches to offset pagination if the server rejected a range of expected starts. Returns false if something else
    /// was rejected.
    pub(super) fn without_ranges(&mut self) -> bool {
        let uses_ranges = match &self.phase {
            Some(Phase::Counts { counts }) => counts.len() == 1,
            Some(phase) => {
                phase.scan().and_then(PartitionedScan::time_field)
                    == Some(TimeField::ExpectedStartTime)
            }
            None => false,
        };
        if !uses_ranges || self.state.without_ranges {
            return false;
        }
        self.state.without_ranges = true;
        self.state.time_field = TimeField::ExpectedStartTime;
        self.state.refused = Some(self.now.unwrap_or(DateTime::UNIX_EPOCH));
        self.phase = None;
        self.paused_backfill = None;
        self.is_pausing = false;
        self.tasks = TaskProgress::new(&self.state);
        true
    }

    /// Returns the phase of a task if the server supports no ranges; `None` if there is nothing to read.
    pub(super) fn plan_without_ranges(&mut self, task: Task) -> Option<Phase> {
        let what = match task {
            Task::OpenRuns => {
                self.listed.overflows = false;
                ScanPurpose::Open
            }
            Task::OutsideFilter => return self.plan_outside(),
            Task::WithoutEndTime => ScanPurpose::WithoutEnd,
            Task::Backfill => {
                if self.is_catching_up {
                    return None;
                }
                self.state.begin_next(self.settings.start);
                let backfill = self.state.backfill.as_ref()?;
                if backfill.ranges().is_empty() {
                    self.end_backfill();
                    return None;
                }
                ScanPurpose::Everything
            }
            Task::Unreadable => return self.plan_unreadable(),
            Task::EndedRuns | Task::OldOpenRuns | Task::LookBack | Task::Recheck(_) => return None,
        };
        let live = self.state.live.as_ref();
        let is_inhabited = match what {
            ScanPurpose::Everything => true,
            ScanPurpose::Open => live.is_some_and(super::state::LiveState::knows_open),
            ScanPurpose::WithoutEnd => false,
        };
        Some(Phase::FullScanByOffset(FullScan::new(what, is_inhabited)))
    }

    pub(super) fn read_by_offset(
        &mut self,
        mut listing: FullScan,
        page: FetchedPage,
        emission: &mut Emission,
    ) -> Result<(), NoProgress> {
        let began = *listing.began.get_or_insert(page.now);
        let now = page.now;
        let value = |row: &Row| self.changes.value(row, TimeField::ExpectedStartTime);
        let sorted: Vec<_> = page
            .list
            .iter()
            .map(|row| by_time(row.id(), value(row)))
            .collect();
        let place = listing
            .pager
            .around(&page.gaps)
            .accept(&sorted, page.objects, page.limit)?;
        drop(sorted);
        let is_empty = page.objects == 0;
        let last = page.list.last().and_then(value);
        // After stepping back, or behind a group of equal times that is not complete, nothing counts as read.
        let reached = match (place.stepped_back, place.incomplete) {
            (true, _) => None,
            (_, true) => page.list.first().and_then(value),
            _ => last,
        };
        if !place.stepped_back {
            let since = self.state.live.as_ref().map(LiveState::never_started_since);
            match listing.what {
                ScanPurpose::Everything => self.note_offset_gaps(ByOffsetOf::All, &page, None),
                ScanPurpose::WithoutEnd => self.note_offset_gaps(ByOffsetOf::All, &page, since),
                // Each sync lists an unreadable open run again anyway, and looks it up once it is not open any more.
                ScanPurpose::Open => {}
            }
        }
        let rows = page.list.into_iter().enumerate();
        let rows: Vec<Row> = rows
            .filter(|(at, _)| place.fresh.contains(at))
            .map(|(_, row)| row)
            .collect();
        let ended = match listing.what {
            ScanPurpose::Everything => {
                self.take_everything(rows, reached, now, emission);
                let backfill = self.state.backfill.as_ref();
                place.ended || backfill.is_none_or(|backfill| backfill.ranges().is_empty())
            }
            ScanPurpose::Open => {
                listing
                    .listed
                    .extend(rows.iter().map(|row| compact_ids::id(row.id())));
                self.take_open(rows, began, emission);
                place.ended
            }
            ScanPurpose::WithoutEnd => {
                let live = self.state.live.as_ref();
                let from = live.and_then(LiveState::never_started_from);
                // The open runs were listed before this listing began.
                let listed = self.turn.map_or(began, |turn| turn.began.min(began));
                self.offer_without_end(rows, (listed, None), emission);
                let is_before = from.is_some_and(|from| last < Some(from));
                place.ended || (is_before && !place.incomplete && !place.stepped_back)
            }
        };
        if ended {
            self.end_by_offset(listing, (began, is_empty), emission);
        } else {
            self.phase = Some(Phase::FullScanByOffset(listing));
        }
        Ok(())
    }

    fn end_by_offset(
        &mut self,
        listing: FullScan,
        (began, is_empty): (DateTime<Utc>, bool),
        emission: &mut Emission,
    ) {
        match listing.what {
            ScanPurpose::Everything => self.end_backfill(),
            ScanPurpose::Open => {
                self.end_listing(false, emission);
                if self.changes.are_task_runs() {
                    // This listing has the runs of both sets.
                    self.listed = ListedOpenRuns::default();
                    self.listed.add(true, listing.listed.clone(), None);
                    self.listed.add(false, listing.listed, None);
                } else {
                    let gone = self.gone(&listing.listed, false);
                    self.look_up_or_end(GetById::of(gone), began, false);
                }
            }
            ScanPurpose::WithoutEnd if is_empty => self.look_up_missing(began),
            ScanPurpose::WithoutEnd => self.end_without_end(began, false),
        }
    }

    /// Takes rows of the backfill. An interrupted one begins again at the first page, and sends nothing twice.
    fn take_everything(
        &mut self,
        rows: Vec<Row>,
        reached: Option<DateTime<Utc>>,
        now: DateTime<Utc>,
        emission: &mut Emission,
    ) {
        let mut backfill = self.state.backfill.take().unwrap_or_default();
        let began = *backfill.began.get_or_insert(now);
        let look_back = self.settings.look_back;
        self.state
            .live
            .get_or_insert_with(|| LiveState::from(began, look_back));
        let ranges = backfill.ranges();
        let passed = ranges.iter().map(|range| range.before).max();
        let lowest = backfill.lowest();
        let send_if = self.rule_of_backfill(&backfill, began, &rows);
        let rule = move |row: &Row, changes: &ChangeFilter| {
            let value = changes.value(row, TimeField::ExpectedStartTime);
            if value.is_some() && value < lowest {
                SendIf::Never
            } else if passed.is_some() && value > passed {
                SendIf::ChangedSince(began)
            } else {
                send_if(row)
            }
        };
        self.send_to_backfill_targets(rows, &backfill, (began, rule), emission);
        if let Some(reached) = reached {
            let left = ranges.into_iter().filter_map(|range| {
                let before = range.before.min(reached);
                let is_left = range.after.is_none_or(|after| after <= before);
                is_left.then_some(UnreadRange {
                    before,
                    place: None,
                    ..range
                })
            });
            backfill.set_ranges(left.collect());
        }
        self.state.backfill = Some(backfill);
    }

    fn take_open(&mut self, rows: Vec<Row>, began: DateTime<Utc>, emission: &mut Emission) {
        let Some(live) = &self.state.live else { return };
        let ids = rows.iter().map(|row| compact_ids::id(row.id()));
        let known: BTreeSet<String> = ids.filter(|id| live.is_open(id)).collect();
        let knows_all = live.open.knows_all() && live.old_open.knows_all();
        let since = live.open.or_rewound(live.open.read_at);
        let rule = move |row: &Row, _: &ChangeFilter| {
            if knows_all && !known.contains(&compact_ids::id(row.id())) {
                SendIf::Always
            } else {
                SendIf::ChangedSince(since)
            }
        };
        let wanted = self.wanted(&rows);
        self.offer_all(rows, began, rule, emission);
        self.note_unknown(&wanted);
    }
}
