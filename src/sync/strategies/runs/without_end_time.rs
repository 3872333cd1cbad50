//! The reader of runs without an end time, which no range of `end_time` finds.
//!
//! - Terminal runs: cancelled before their start, or timed out by an old client. Only this listing finds a run that was
//!   created and ended between two syncs.
//! - Open task runs that the listing of open runs leaves out, because it has only the task runs of open flow runs. A
//!   task run without a flow run counts as any open run. A task run whose flow run has ended counts as ended, whatever
//!   its own state: Prefect leaves a task run `NotReady` forever if a run that it waits for has failed.
//!
//! The state of the reader is a [`WithoutEndState`].

use chrono::{DateTime, Utc};

use super::{
    change_filter::{ChangeFilter, SendIf},
    context::RunsContext,
    listed_open_runs::ListedOpenRuns,
    live_state::{LiveState, WithoutEndState},
    missing_runs,
    open_set::AgeClass,
    reader::{Next, Reader, UsedFilter},
    task::Task,
    timing::OLD_OPEN_RUNS_EVERY,
};
use crate::{
    prefect::{Filter, IsNull},
    rows::Row,
    sync::{
        NoProgress, compact_ids,
        keyset::{TimeField, latest_possible_time},
        partitioned_scan::PartitionedScan,
        sent_fingerprints::CLOCK_SKEW_MARGIN,
        strategies::{
            emission::Emission,
            request::FetchedPage,
            run_states::{TERMINAL, in_states},
        },
        window_kind,
    },
    telemetry::WindowKind,
};

/// The reader of runs without an end time. The next sync begins an interrupted listing again.
struct WithoutEndTime {
    scan: PartitionedScan,
    began: DateTime<Utc>,
    /// Set while the first page is read, which has no bounds.
    is_first: bool,
}

/// Plans the listing that follows that of open runs. A run that ends without an end time between the two is found by
/// this listing, whose cursor moves only with its own readings.
pub(super) fn plan(runs: &mut RunsContext) -> Option<Box<dyn Reader>> {
    let live = runs.state.live.as_ref()?;
    let began = runs.turn_began()?;
    let by_null = runs.finds_null_ends();
    let filter = runs.without_end_filter(by_null);
    let scan = if by_null {
        // Usually one page holds all of them, at any expected start, and also those without one.
        let pager = runs.pager(TimeField::ExpectedStartTime, None, None, filter);
        PartitionedScan::window(pager.not_empty(live.without_end.listed.is_none()), None)
    } else {
        let range = (live.without_end.from(), Some(latest_possible_time()));
        runs.window(TimeField::ExpectedStartTime, range, (None, false), filter)
    };
    Some(Box::new(WithoutEndTime {
        scan,
        began,
        is_first: by_null,
    }))
}

impl Reader for WithoutEndTime {
    fn accept(
        &mut self,
        runs: &mut RunsContext,
        ticket: usize,
        page: FetchedPage,
        emission: &mut Emission,
    ) -> Result<Next, NoProgress> {
        let (began, is_first) = (self.began, self.is_first);
        let is_full = page.objects >= page.limit as usize;
        let first = (!is_first).then(latest_possible_time);
        let is_empty = page.objects == 0 && self.scan.before() == first;
        let rows = runs.accept_by_value(&mut self.scan, ticket, page)?;
        let Some(live) = &runs.state.live else {
            return Ok(Next::Finished);
        };
        let from = live.without_end.from();
        let is_complete = from.is_none()
            || live.without_end.listed.is_none()
            || (runs.finds_null_ends() && live.without_end.is_full_listing_due(began));
        // The following pages end there; only the daily listing has the runs further back.
        let end = from.filter(|_| is_first && is_full && !is_complete);
        runs.offer_without_end(rows, (began, end), emission);
        if is_first && is_full {
            let before = self.scan.before().unwrap_or_else(latest_possible_time);
            let lo = from.filter(|_| !is_complete);
            if lo.is_none_or(|lo| lo <= before) {
                let filter = runs.without_end_filter(true);
                let range = (lo, Some(before));
                self.scan = runs.window(TimeField::ExpectedStartTime, range, (None, false), filter);
                self.is_first = false;
                return Ok(Next::Same);
            }
        } else if !self.scan.is_done() {
            return Ok(Next::Same);
        }
        if is_empty {
            return Ok(find_none(runs, began));
        }
        let is_complete = is_complete || (is_first && !is_full);
        Ok(end_listing(runs, began, is_complete))
    }

    fn window_kind(&self) -> WindowKind {
        window_kind::WITHOUT_START
    }

    fn scan_mut(&mut self) -> Option<&mut PartitionedScan> {
        Some(&mut self.scan)
    }

    fn filter(&mut self) -> Option<UsedFilter> {
        Some(if self.is_first {
            UsedFilter::NullEndTime
        } else {
            UsedFilter::Range(TimeField::ExpectedStartTime)
        })
    }

    fn page_name(&self, number: usize) -> Option<String> {
        Some(format!("without end {number}"))
    }
}

/// Ends an empty listing. The cursor stays: if the empty page was wrong, nothing is lost. (The first listing was
/// requested twice.)
fn find_none(runs: &mut RunsContext, began: DateTime<Utc>) -> Next {
    if let Some(live) = &mut runs.state.live {
        live.without_end.listed.get_or_insert(began);
    }
    missing_runs::look_up_next_set(runs, began)
}

/// Ends the listing, and plans the look-up of runs that were open and are in no listing.
pub(super) fn end_listing(runs: &mut RunsContext, began: DateTime<Utc>, is_complete: bool) -> Next {
    if let Some(live) = &mut runs.state.live {
        live.without_end.pass(began);
        if is_complete {
            live.without_end.listed = Some(began);
        }
    }
    missing_runs::look_up_next_set(runs, began)
}

impl RunsContext {
    /// Returns true if the server can filter runs by a null end time.
    fn finds_null_ends(&self) -> bool {
        self.state.time_field == TimeField::EndTime && !self.refuses_null_ends
    }

    /// Returns the filter for runs without an end time; unless `by_null`, for runs of which some may have none.
    pub(super) fn without_end_filter(&self, by_null: bool) -> Filter {
        let states = if self.changes.are_task_runs() {
            Filter::default()
        } else {
            in_states(TERMINAL)
        };
        Filter {
            end_time_is: by_null.then_some(IsNull { is_null: true }),
            ..states
        }
    }

    /// Switches to listing everything: the server rejected the filter for null end times.
    pub(super) fn read_without_null_ends(&mut self) {
        self.refuses_null_ends = true;
        self.tasks.plan_again(Task::WithoutEndTime);
    }

    /// Offers rows of which some may have an end time. Open runs with an expected start before `from` are left out if
    /// they are known, or task runs of a flow run that are not new.
    pub(super) fn offer_without_end(
        &mut self,
        rows: Vec<Row>,
        (began, from): (DateTime<Utc>, Option<DateTime<Utc>>),
        emission: &mut Emission,
    ) {
        let Some(live) = &self.state.live else { return };
        let date = self.turn.map_or(began, |turn| turn.date);
        let rules = rows
            .iter()
            .map(|row| rule(row, &self.changes, live, &self.listed, (date, from)));
        let rules: Vec<SendIf> = rules.collect();
        // These runs are open, and need not be looked up.
        let apart = rows.iter().filter(|row| {
            self.changes.is_open(row)
                && (!self.changes.belongs_to_flow_run(row) || is_new(row, &self.changes, date))
        });
        let apart: Vec<String> = apart.map(|row| compact_ids::id(row.id())).collect();
        self.listed.note(apart);
        for (row, rule) in rows.into_iter().zip(rules) {
            self.offer(row, began, rule, emission);
        }
    }
}

/// Returns the condition under which a row of the listing is sent.
fn rule(
    row: &Row,
    changes: &ChangeFilter,
    live: &LiveState,
    listed_now: &ListedOpenRuns,
    (date, from): (DateTime<Utc>, Option<DateTime<Utc>>),
) -> SendIf {
    let due = changes.value(row, TimeField::ExpectedStartTime);
    // Only a complete listing has read the runs further back.
    let listed = live.without_end.listed;
    let listed = listed.filter(|_| due < live.without_end.from());
    let since = live.without_end.since();
    let since = listed.map_or(since, |listed| listed.min(since));
    if !changes.is_open(row) {
        // A run with an end time is found by that time.
        let has_end = changes.value(row, TimeField::EndTime).is_some();
        return if has_end {
            SendIf::Never
        } else {
            SendIf::ChangedSince(since)
        };
    }
    let id = compact_ids::id(row.id());
    let is_part = changes.belongs_to_flow_run(row) && !is_new(row, changes, date);
    let is_left_out = due < from && (is_part || live.is_open(&id));
    if is_left_out || listed_now.has(&id) {
        return SendIf::Never;
    }
    if is_part && (listed_now.covers(due) || !live.is_open(&id)) {
        return SendIf::EndedWithFlowRun(since);
    }
    live.rule_of_open(&id, (row.id(), due), changes.are_task_runs())
}

/// Returns true for a run that may have been created after the open runs were listed, at `date`. If it was not listed
/// then, its flow run need not have ended.
fn is_new(row: &Row, changes: &ChangeFilter, date: DateTime<Utc>) -> bool {
    changes.created(row).is_some_and(|created| created >= date)
}

impl LiveState {
    /// Returns the condition under which a run that is listed as open is sent.
    fn rule_of_open(
        &self,
        packed: &str,
        (id, due): (&str, Option<DateTime<Utc>>),
        are_parts: bool,
    ) -> SendIf {
        let is_old = !self.open.ids.contains(packed) && self.old_open.ids.contains(packed);
        let age = if is_old {
            AgeClass::Old
        } else {
            AgeClass::Recent
        };
        if !self.is_open(packed) && self.open.knows_all() && self.old_open.knows_all() {
            SendIf::Always
        } else {
            SendIf::ChangedSince(self.times(age, are_parts).read_at(due, id))
        }
    }
}

impl WithoutEndState {
    /// Returns true if all runs without an end time must be listed, not only the latest of them.
    fn is_full_listing_due(&self, now: DateTime<Utc>) -> bool {
        let listed = self.listed;
        listed.is_none_or(|listed| now - listed >= OLD_OPEN_RUNS_EVERY)
    }

    /// Returns the expected start from which each sync lists runs without an end time; `None` for all of them.
    pub(super) fn from(&self) -> Option<DateTime<Utc>> {
        match self.rewound {
            None => Some(self.cursor - CLOCK_SKEW_MARGIN),
            Some(_) => None,
        }
    }

    /// Returns the time since which a run without an end time must have changed to be sent.
    pub(super) fn since(&self) -> DateTime<Utc> {
        let rewound = self.rewound;
        rewound.map_or(self.cursor, |rewound| rewound.min(self.cursor))
    }

    /// Moves the cursor to `began`, when the finished listing began.
    fn pass(&mut self, began: DateTime<Utc>) {
        self.cursor = began;
        self.rewound = None;
    }
}

/// Returns true if a run was created so late after its expected start that the listings may have missed it.
pub(super) fn is_late(created: Option<DateTime<Utc>>, due: Option<DateTime<Utc>>) -> bool {
    matches!((created, due), (Some(created), Some(due)) if created > due + CLOCK_SKEW_MARGIN)
}
