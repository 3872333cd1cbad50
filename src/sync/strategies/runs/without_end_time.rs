//! The reader of runs without an end time, which no range of `end_time` finds.
//!
//! - Terminal runs: cancelled before their start, or timed out by an old client. Only this listing finds a run that was
//!   created and ended between two syncs.
//! - Open task runs that the listing of open runs leaves out, because it has only the task runs of open flow runs. A
//!   task run without a flow run counts as any open run. A task run whose flow run has ended counts as ended, whatever
//!   its own state: Prefect leaves a task run `NotReady` forever if a run that it waits for has failed.

use chrono::{DateTime, Utc};

use super::{
    change_filter::{ChangeFilter, SendIf},
    listed_open_runs::ListedOpenRuns,
    phase::Phase,
    reader::Runs,
    state::LiveState,
    timing::OLD_OPEN_RUNS_EVERY,
};
use crate::{
    prefect::{Filter, IsNull},
    rows::Row,
    sync::{
        NoProgress, compact_ids,
        keyset::{TimeField, latest},
        partitioned_scan::PartitionedScan,
        sent_fingerprints::CLOCK_SKEW_MARGIN,
        strategies::{
            emission::Emission,
            look_up::GetById,
            request::FetchedPage,
            run_states::{TERMINAL, in_states},
        },
    },
};

impl Runs {
    /// Returns the filter for runs without an end time; unless `by_null`, for runs of which some may have none.
    fn without_end_filter_of(&self, by_null: bool) -> Filter {
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

    /// Returns the filter for runs that may have no end time, without a filter for null end times.
    pub(super) fn perhaps_without_end(&self) -> Filter {
        self.without_end_filter_of(false)
    }

    /// Plans the listing that follows that of open runs. A run that ends without an end time between the two is found
    /// by this listing, whose cursor moves only with its own readings.
    pub(super) fn plan_without_end(&mut self) -> Option<Phase> {
        let live = self.state.live.as_ref()?;
        let began = self.turn_began()?;
        let by_null = self.state.time_field == TimeField::EndTime && !self.refuses_null_ends;
        let filter = self.without_end_filter_of(by_null);
        let time_field = TimeField::ExpectedStartTime;
        let scan = if by_null {
            // Usually one page holds all of them, at any expected start, and also those without one.
            let pager = self.pager(time_field, None, None, filter);
            PartitionedScan::window(pager.not_empty(live.without_end_listed.is_none()), None)
        } else {
            self.window(
                time_field,
                (live.never_started_from(), Some(latest())),
                None,
                filter,
            )
        };
        Some(Phase::WithoutEndTime {
            scan,
            began,
            is_first: by_null,
        })
    }

    pub(super) fn without_end(
        &mut self,
        (mut scan, ticket): (PartitionedScan, usize),
        (began, is_first): (DateTime<Utc>, bool),
        page: FetchedPage,
        emission: &mut Emission,
    ) -> Result<(), NoProgress> {
        let is_full = page.objects >= page.limit as usize;
        let first = (!is_first).then(latest);
        let is_empty = page.objects == 0 && scan.before() == first;
        let rows = self.accept_by_value(&mut scan, ticket, page)?;
        let Some(live) = &self.state.live else {
            return Ok(());
        };
        let by_null = self.state.time_field == TimeField::EndTime && !self.refuses_null_ends;
        let is_complete = live.never_started_from().is_none()
            || live.without_end_listed.is_none()
            || (by_null && live.lists_all_without_end(began));
        // The following pages end there; only the daily listing has the runs further back.
        let from = live.never_started_from();
        let from = from.filter(|_| is_first && is_full && !is_complete);
        self.offer_without_end(rows, (began, from), emission);
        let Some(live) = &self.state.live else {
            return Ok(());
        };
        if is_first && is_full {
            let before = scan.before().unwrap_or_else(latest);
            let lo = live.never_started_from().filter(|_| !is_complete);
            if lo.is_none_or(|lo| lo <= before) {
                let filter = self.without_end_filter_of(true);
                self.phase = Some(Phase::WithoutEndTime {
                    scan: self.window(
                        TimeField::ExpectedStartTime,
                        (lo, Some(before)),
                        None,
                        filter,
                    ),
                    began,
                    is_first: false,
                });
                return Ok(());
            }
        } else if !scan.is_done() {
            self.phase = Some(Phase::WithoutEndTime {
                scan,
                began,
                is_first,
            });
            return Ok(());
        }
        let is_complete = is_complete || (is_first && !is_full);
        if is_empty {
            self.find_none_without_end(began);
        } else {
            self.end_without_end(began, is_complete);
        }
        Ok(())
    }

    /// Ends an empty listing. The cursor stays: if the empty page was wrong, nothing is lost. (The first listing was
    /// requested twice.)
    fn find_none_without_end(&mut self, began: DateTime<Utc>) {
        if let Some(live) = &mut self.state.live {
            live.without_end_listed.get_or_insert(began);
        }
        self.look_up_missing(began);
    }

    /// Ends the listing, and plans the look-up of runs that were open and are in no listing.
    pub(super) fn end_without_end(&mut self, began: DateTime<Utc>, is_complete: bool) {
        if let Some(live) = &mut self.state.live {
            live.pass_never_started(began);
            if is_complete {
                live.without_end_listed = Some(began);
            }
        }
        self.look_up_missing(began);
    }

    /// Plans the look-up of open runs that this sync's listings did not have, one set at a time.
    pub(super) fn look_up_missing(&mut self, began: DateTime<Utc>) {
        while self.phase.is_none()
            && let Some(long) = self.listed.to_look_up.pop()
        {
            let listed = if long {
                &self.listed.long_open
            } else {
                &self.listed.open
            };
            let gone = listed.as_ref().map(|listed| self.gone(listed, long));
            self.look_up_or_end(GetById::of(gone.unwrap_or_default()), began, long);
        }
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
        let rules: Vec<SendIf> = rows
            .iter()
            .map(|row| rule(row, &self.changes, live, &self.listed, (date, from)))
            .collect();
        // These runs are open, and need not be looked up.
        let apart = rows.iter().filter(|row| {
            self.changes.is_open(row)
                && (!self.changes.belongs_to_flow_run(row) || is_new(row, &self.changes, date))
        });
        let apart: Vec<String> = apart.map(|row| compact_ids::id(row.id())).collect();
        self.listed.note(apart);
        for (row, rule) in rows.into_iter().zip(rules) {
            self.offer_all(vec![row], began, |_, _| rule, emission);
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
    let listed = live.without_end_listed;
    let listed = listed.filter(|_| due < live.never_started_from());
    let since = live.never_started_since();
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
    if is_left_out || listed_now.has_met(&id) {
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
        let is_long = !self.open.ids.contains(packed) && self.old_open.ids.contains(packed);
        if !self.is_open(packed) && self.open.knows_all() && self.old_open.knows_all() {
            SendIf::Always
        } else {
            SendIf::ChangedSince(self.times(is_long, are_parts).read_at(due, id))
        }
    }

    /// Returns true if all runs without an end time must be listed, not only the latest of them.
    fn lists_all_without_end(&self, now: DateTime<Utc>) -> bool {
        let listed = self.without_end_listed;
        listed.is_none_or(|listed| now - listed >= OLD_OPEN_RUNS_EVERY)
    }

    /// Returns the expected start from which each sync lists runs without an end time; `None` for all of them.
    pub(super) fn never_started_from(&self) -> Option<DateTime<Utc>> {
        match self.rewound {
            None => Some(self.never_started - CLOCK_SKEW_MARGIN),
            Some(_) => None,
        }
    }

    /// Returns the time since which a run without an end time must have changed to be sent.
    pub(super) fn never_started_since(&self) -> DateTime<Utc> {
        let since = self.never_started;
        self.rewound.map_or(since, |rewound| rewound.min(since))
    }

    /// Moves the cursor of runs without an end time to `began`, when the finished listing began.
    pub(super) fn pass_never_started(&mut self, began: DateTime<Utc>) {
        self.never_started = began;
        self.rewound = None;
    }
}

/// Returns true if a run was created so late after its expected start that the listings may have missed it.
pub(super) fn is_late(created: Option<DateTime<Utc>>, due: Option<DateTime<Utc>>) -> bool {
    matches!((created, due), (Some(created), Some(due)) if created > due + CLOCK_SKEW_MARGIN)
}
