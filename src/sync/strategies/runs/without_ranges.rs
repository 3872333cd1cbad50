//! The readers for servers that cannot filter runs by any time: task runs on Prefect 2.
//!
//! Everything is read by offset, from the latest expected start to the earliest. Ended runs are found by
//! [`ended_by_offset`](super::ended_by_offset). Edits of ended runs are not looked for, because no window
//! of time can be requested.
//!
//! Once such servers are not supported any more, this file can be deleted, with the field
//! [`RunsState::without_ranges`](super::state::RunsState::without_ranges) and what reads it.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use super::{
    backfill,
    backfill_state::UnreadRange,
    change_filter::{ChangeFilter, SendIf},
    context::RunsContext,
    gap_retry,
    listed_open_runs::ListedOpenRuns,
    live_state::LiveState,
    missing_runs,
    open_set::AgeClass,
    outside_filter,
    reader::{Next, Reader},
    task::{Task, TaskProgress},
    unreadable_range::ListingByOffset,
    without_end_time,
};
use crate::{
    prefect::Filter,
    rows::Row,
    sync::{
        NoProgress, compact_ids,
        keyset::TimeField,
        offset::{OffsetPager, by_time},
        strategies::{
            emission::Emission,
            request::{FetchedPage, Request},
        },
        window_kind,
    },
    telemetry::WindowKind,
};

/// A listing by expected start, latest first. The next sync begins an interrupted one again.
struct FullScan {
    purpose: Purpose,
    pager: OffsetPager,
    /// The time of the first response.
    began: Option<DateTime<Utc>>,
    /// The packed ids of the open runs that were listed.
    listed: BTreeSet<String>,
}

/// The runs that are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    /// All runs, for a backfill.
    Backfill,
    /// Open runs of both age classes.
    Open,
    /// Runs of which some may have no end time.
    WithoutEnd,
}

/// Switches all readers to listings by offset: the server rejected a range of expected starts.
pub(super) fn begin(runs: &mut RunsContext) {
    runs.state.without_ranges = true;
    runs.state.time_field = TimeField::ExpectedStartTime;
    runs.state.refused = Some(runs.now.unwrap_or(DateTime::UNIX_EPOCH));
    runs.paused_backfill = None;
    runs.tasks = TaskProgress::new(&runs.state);
}

/// Plans a task; returns `None` if there is nothing to read.
pub(super) fn plan(task: Task, runs: &mut RunsContext) -> Option<Box<dyn Reader>> {
    let (purpose, pager) = match task {
        Task::OpenRuns => {
            runs.listed.overflows = false;
            let live = runs.state.live.as_ref();
            let is_inhabited = live.is_some_and(LiveState::knows_open);
            (Purpose::Open, OffsetPager::of_states(is_inhabited))
        }
        Task::WithoutEndTime => (Purpose::WithoutEnd, OffsetPager::inhabited(false)),
        Task::Backfill if runs.is_catching_up => return None,
        Task::Backfill => {
            if runs.next_backfill()?.ranges().is_empty() {
                runs.end_backfill();
                return None;
            }
            (Purpose::Backfill, OffsetPager::inhabited(true))
        }
        Task::OutsideFilter => return outside_filter::plan(runs),
        Task::Unreadable => return gap_retry::plan(runs),
        Task::EndedRuns | Task::OldOpenRuns | Task::LookBack | Task::Recheck(_) => return None,
    };
    Some(Box::new(FullScan {
        purpose,
        pager,
        began: None,
        listed: BTreeSet::new(),
    }))
}

impl FullScan {
    /// Notes the gaps of a page.
    fn note_gaps(&self, runs: &mut RunsContext, page: &FetchedPage) {
        let read = match self.purpose {
            Purpose::Backfill => None,
            Purpose::WithoutEnd => {
                let live = runs.state.live.as_ref();
                live.map(|live| live.without_end.since())
            }
            // Each sync lists an unreadable open run again anyway, and looks it up once it is not open any more.
            Purpose::Open => return,
        };
        runs.note_offset_gaps(ListingByOffset::All, page, read);
    }

    fn finish(
        &mut self,
        runs: &mut RunsContext,
        (began, is_empty): (DateTime<Utc>, bool),
        emission: &mut Emission,
    ) -> Next {
        match self.purpose {
            Purpose::Backfill => runs.end_backfill(),
            Purpose::Open => {
                runs.end_listing(AgeClass::Recent, emission);
                let listed = std::mem::take(&mut self.listed);
                if !runs.changes.are_task_runs() {
                    return missing_runs::look_up_missing(runs, AgeClass::Recent, &listed, began);
                }
                // This listing has the runs of both sets.
                runs.listed = ListedOpenRuns::default();
                runs.listed.add(AgeClass::Old, listed.clone(), None);
                runs.listed.add(AgeClass::Recent, listed, None);
            }
            Purpose::WithoutEnd if is_empty => {
                return missing_runs::look_up_next_set(runs, began);
            }
            Purpose::WithoutEnd => return without_end_time::end_listing(runs, began, false),
        }
        Next::Finished
    }
}

impl Reader for FullScan {
    fn accept(
        &mut self,
        runs: &mut RunsContext,
        _: usize,
        page: FetchedPage,
        emission: &mut Emission,
    ) -> Result<Next, NoProgress> {
        let began = *self.began.get_or_insert(page.now);
        let now = page.now;
        let value = |row: &Row| runs.changes.value(row, TimeField::ExpectedStartTime);
        let rows = page.list.iter();
        let sorted: Vec<_> = rows.map(|row| by_time(row.id(), value(row))).collect();
        let pager = self.pager.around(&page.gaps);
        let place = pager.accept(&sorted, page.objects, page.limit)?;
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
            self.note_gaps(runs, &page);
        }
        let rows = page.list.into_iter().enumerate();
        let rows = rows.filter(|(at, _)| place.fresh.contains(at));
        let rows: Vec<Row> = rows.map(|(_, row)| row).collect();
        let ended = match self.purpose {
            Purpose::Backfill => {
                take_all(runs, rows, (reached, now), emission);
                let backfill = runs.state.backfill.as_ref();
                place.ended || backfill.is_none_or(|backfill| backfill.ranges().is_empty())
            }
            Purpose::Open => {
                let ids = rows.iter().map(|row| compact_ids::id(row.id()));
                self.listed.extend(ids);
                take_open(runs, rows, began, emission);
                place.ended
            }
            Purpose::WithoutEnd => {
                let live = runs.state.live.as_ref();
                let from = live.and_then(|live| live.without_end.from());
                // The open runs were listed before this listing began.
                let listed = runs.turn.map_or(began, |turn| turn.began.min(began));
                runs.offer_without_end(rows, (listed, None), emission);
                let is_before = from.is_some_and(|from| last < Some(from));
                place.ended || (is_before && !place.incomplete && !place.stepped_back)
            }
        };
        if !ended {
            return Ok(Next::Same);
        }
        Ok(self.finish(runs, (began, is_empty), emission))
    }

    fn request(&mut self, runs: &RunsContext, limit: u32) -> Option<Request> {
        let filter = match self.purpose {
            Purpose::Backfill => Filter::default(),
            Purpose::Open => runs.open_filter(),
            Purpose::WithoutEnd => runs.without_end_filter(false),
        };
        let sort = TimeField::ExpectedStartTime.sort();
        let request = runs.page_at(sort, (self.pager.offset(), limit), filter);
        Some(runs.around_gaps(self.page_name(0).as_deref(), request))
    }

    fn page_name(&self, _: usize) -> Option<String> {
        match self.purpose {
            Purpose::Backfill => None,
            Purpose::Open => Some("open by offset".to_owned()),
            Purpose::WithoutEnd => Some("without end by offset".to_owned()),
        }
    }

    fn window_kind(&self) -> WindowKind {
        window_kind::BACKFILL
    }
}

/// Takes rows of a backfill. An interrupted one begins again at the first page, and sends nothing twice.
fn take_all(
    runs: &mut RunsContext,
    rows: Vec<Row>,
    (reached, now): (Option<DateTime<Utc>>, DateTime<Utc>),
    emission: &mut Emission,
) {
    let (mut backfill, began) = runs.take_backfill(now);
    let ranges = backfill.ranges();
    let passed = ranges.iter().map(|range| range.before).max();
    let lowest = backfill.lowest();
    let send_if = backfill::rule(runs, &backfill, began, &rows);
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
    runs.send_to_backfill_targets(rows, &backfill, (began, rule), emission);
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
    runs.state.backfill = Some(backfill);
}

/// Offers rows of the listing of open runs.
fn take_open(
    runs: &mut RunsContext,
    rows: Vec<Row>,
    began: DateTime<Utc>,
    emission: &mut Emission,
) {
    let Some(live) = &runs.state.live else { return };
    let knows_all = live.open.knows_all() && live.old_open.knows_all();
    // Before the server was replaced, the two sets may have been listed at different times.
    let since = |age| live.set(age).or_rewound(live.set(age).read_at);
    let since_unknown = since(AgeClass::Recent).min(since(AgeClass::Old));
    let send_if = |id: &String| {
        if live.open.ids.contains(id) {
            SendIf::ChangedSince(since(AgeClass::Recent))
        } else if live.old_open.ids.contains(id) {
            SendIf::ChangedSince(since(AgeClass::Old))
        } else if knows_all {
            SendIf::Always
        } else {
            SendIf::ChangedSince(since_unknown)
        }
    };
    let ids = rows.iter().map(|row| compact_ids::id(row.id()));
    let rules: BTreeMap<String, SendIf> = ids.map(|id| (id.clone(), send_if(&id))).collect();
    let rule = move |row: &Row, _: &ChangeFilter| {
        let known = rules.get(&compact_ids::id(row.id()));
        known.copied().unwrap_or(SendIf::Always)
    };
    let wanted = runs.wanted(&rows);
    runs.offer_all(rows, began, rule, emission);
    runs.note_unknown(&wanted);
}
