//! The reader of open runs: lists the runs that have not ended, at any expected start.
//!
//! It sends changes of long runs up to their final state, and finds runs that Prefect deletes silently, as it does with
//! scheduled ones whenever a deployment changes. There are two of these readers, one for each [`AgeClass`]; the state
//! of each is an [`OpenSet`]. Runs that were open and are not listed are looked up by
//! [`missing_runs`].

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use super::{
    change_filter::{ChangeFilter, SendIf},
    context::{MIN_PAGES_TO_SPLIT_WINDOW, RunsContext},
    listed_open_runs::ListedOpenRuns,
    live_state::LiveState,
    missing_runs,
    open_set::{AgeClass, OpenSet},
    reader::{Next, Reader},
    timing::{OLD_OPEN_RUNS_EVERY, old_run_bound},
};
use crate::{
    messages,
    prefect::{Filter, StateFilter},
    rows::Row,
    sync::{
        NoProgress, compact_ids,
        keyset::{TimeField, latest_possible_time},
        partitioned_scan::PartitionedScan,
        strategies::{
            emission::Emission,
            request::FetchedPage,
            run_states::{OPEN, in_states},
        },
        window_kind,
    },
    telemetry::WindowKind,
};

/// The number of open runs from which their listing is split into partitions.
const MANY_OPEN: usize = 2_000;

/// The reader of the open runs of one age class. The next sync begins an interrupted listing again, and compares runs
/// that were listed with the interrupted one.
struct OpenRuns {
    age: AgeClass,
    scan: PartitionedScan,
    began: DateTime<Utc>,
    /// The packed ids of the runs that are listed.
    listed: BTreeSet<String>,
}

/// Plans the listing of the open runs of an age class, if it is due.
pub(super) fn plan(age: AgeClass, runs: &mut RunsContext) -> Option<Box<dyn Reader>> {
    let live = runs.state.live.as_ref()?;
    let turn = runs.turn?;
    if age == AgeClass::Recent {
        runs.listed = ListedOpenRuns::default();
    }
    runs.listed.begin();
    // After a backfill it is unknown which of its open task runs have ended with their flow run.
    let is_sorted = !runs.changes.are_task_runs() || live.without_end.listed.is_some();
    if age == AgeClass::Old && is_sorted && !live.old_open.is_due(turn.date) {
        return None;
    }
    let bound = old_run_bound(turn.began);
    let (lo, hi) = match age {
        AgeClass::Recent => (Some(bound), latest_possible_time()),
        AgeClass::Old => (None, bound),
    };
    let known = live.set(age).ids.len();
    let pager = runs.pager(
        TimeField::ExpectedStartTime,
        lo,
        Some(hi),
        runs.open_filter(),
    );
    // Open runs are close together in time, so the pace of a page says little about the others.
    let min_pages = (known >= MANY_OPEN).then_some(MIN_PAGES_TO_SPLIT_WINDOW);
    Some(Box::new(OpenRuns {
        age,
        scan: PartitionedScan::window(pager.not_empty(known > 0), min_pages),
        began: turn.began,
        listed: BTreeSet::new(),
    }))
}

impl OpenSet {
    /// Returns true if the old open runs must be listed.
    fn is_due(&self, date: DateTime<Utc>) -> bool {
        self.rewound.is_some() || date - self.dated() >= OLD_OPEN_RUNS_EVERY
    }
}

impl Reader for OpenRuns {
    fn accept(
        &mut self,
        runs: &mut RunsContext,
        ticket: usize,
        mut page: FetchedPage,
        emission: &mut Emission,
    ) -> Result<Next, NoProgress> {
        // Each sync lists an unreadable open run again anyway, and looks it up once it is not open any more.
        if let Some((time_field, Some(range))) = self.scan.range_of_request(ticket) {
            runs.note_open_gaps(time_field, range, &page);
        }
        runs.listed.has_gaps |= !page.gaps.is_empty();
        page.gaps.clear();
        let rows = runs.accept_by_value(&mut self.scan, ticket, page)?;
        let Some(live) = &runs.state.live else {
            return Ok(Next::Finished);
        };
        // A page that is doubted, and requested again, has no rows here.
        let ids: BTreeSet<String> = rows.iter().map(|row| compact_ids::id(row.id())).collect();
        let rule = OpenRule::new(self.age, &ids, live, runs.changes.are_task_runs());
        self.listed.extend(ids);
        let wanted = runs.wanted(&rows);
        let rules = |row: &Row, changes: &ChangeFilter| rule.condition_for(row, changes);
        runs.offer_all(rows, self.began, rules, emission);
        runs.note_unknown(&wanted);
        if let Some(live) = &mut runs.state.live {
            live.move_to(self.age, &rule.others);
            // Only the listed runs count as read: the missing ones are not looked up yet.
            if let Some(before) = self.scan.before()
                && !runs.listed.has_gaps
            {
                let place = self.scan.place();
                live.set_mut(self.age).pass(self.began, before, place);
            }
        }
        if !self.scan.is_done() {
            return Ok(Next::Same);
        }
        runs.end_listing(self.age, emission);
        let listed = std::mem::take(&mut self.listed);
        if runs.changes.are_task_runs() {
            // The look-up follows the listing without an end time, which has the task runs without a flow run.
            let bound = old_run_bound(self.began);
            runs.listed.add(self.age, listed, Some(bound));
            return Ok(Next::Finished);
        }
        Ok(missing_runs::look_up_missing(
            runs, self.age, &listed, self.began,
        ))
    }

    fn window_kind(&self) -> WindowKind {
        window_kind::OPEN_RUNS
    }

    fn scan_mut(&mut self) -> Option<&mut PartitionedScan> {
        Some(&mut self.scan)
    }

    fn page_name(&self, number: usize) -> Option<String> {
        Some(match self.age {
            AgeClass::Recent => format!("open {number}"),
            AgeClass::Old => format!("long open {number}"),
        })
    }
}

/// The rule for the rows of one page. A run that was not known to be open is sent, whatever its `updated`, if the set is
/// complete.
struct OpenRule {
    /// The runs of the page that the set has.
    known: BTreeSet<String>,
    /// The runs of the page that the other set has.
    others: BTreeSet<String>,
    /// The times of the set.
    own: OpenSet,
    since_other: DateTime<Utc>,
    knows_all: bool,
    /// Set if this sync has already looked up runs of the other set that were not listed. (Task runs are looked up
    /// later.)
    is_looked_up: bool,
}

impl OpenRule {
    fn new(age: AgeClass, ids: &BTreeSet<String>, live: &LiveState, are_parts: bool) -> Self {
        let of = |age| ids.intersection(&live.set(age).ids).cloned().collect();
        Self {
            known: of(age),
            others: of(age.other()),
            own: live.times(age, are_parts),
            since_other: live.times(age.other(), are_parts).read_at(None, ""),
            knows_all: live.set(age).knows_all(),
            is_looked_up: age == AgeClass::Old && !are_parts,
        }
    }

    fn condition_for(&self, row: &Row, changes: &ChangeFilter) -> SendIf {
        let id = compact_ids::id(row.id());
        let due = changes.value(row, TimeField::ExpectedStartTime);
        let since = self.own.read_at(due, row.id());
        if self.known.contains(&id) {
            SendIf::ChangedSince(since)
        } else if self.others.contains(&id) {
            if self.is_looked_up {
                SendIf::Never
            } else {
                SendIf::ChangedSince(self.since_other)
            }
        } else if self.knows_all {
            SendIf::Always
        } else {
            SendIf::ChangedSince(since)
        }
    }
}

impl RunsContext {
    /// Returns the filter for open runs; of task runs, those of open flow runs.
    pub(super) fn open_filter(&self) -> Filter {
        let is_part = self.changes.are_task_runs();
        Filter {
            flow_run_state: is_part.then(|| StateFilter::any(OPEN)),
            ..in_states(OPEN)
        }
    }

    /// Returns the packed ids of the rows that the user's settings include.
    pub(super) fn wanted(&self, rows: &[Row]) -> Vec<String> {
        let wanted = rows.iter().filter(|row| self.changes.is_wanted(row));
        wanted.map(|row| compact_ids::id(row.id())).collect()
    }

    /// Notes if some of these open runs are not remembered.
    pub(super) fn note_unknown(&mut self, ids: &[String]) {
        if let Some(live) = &self.state.live {
            self.listed.overflows |= ids.iter().any(|id| !live.is_open(id));
        }
    }

    /// Stores, after a complete listing, if more runs are open than are remembered, and warns then.
    pub(super) fn end_listing(&mut self, age: AgeClass, emission: &mut Emission) {
        let overflows = std::mem::take(&mut self.listed.overflows);
        let Some(live) = &mut self.state.live else {
            return;
        };
        let set = live.set_mut(age);
        set.is_cut = overflows;
        if !set.knows_all() {
            emission.warnings.push(messages::MANY_OPEN.format(format_args!(
                "table {}: more than {} runs are open; for the remaining ones, the end is detected, but a deletion is not",
                self.table.name, set.most
            )));
        }
    }
}

impl LiveState {
    /// Returns one of the two sets without its ids. Runs that are part of flow runs (`are_parts`) were also read by the
    /// last complete listing of runs without an end time.
    pub(super) fn times(&self, age: AgeClass, are_parts: bool) -> OpenSet {
        let mut times = self.set(age).clone_times();
        if let Some(listed) = self.without_end.listed.filter(|_| are_parts) {
            times.read_at = times.read_at.max(listed);
            if let Some(partial) = &mut times.partial {
                partial.began = partial.began.max(listed);
            }
        }
        times
    }

    /// Moves runs to the set in whose listing they were found.
    fn move_to(&mut self, age: AgeClass, ids: &BTreeSet<String>) {
        for id in ids {
            if self.set_mut(age.other()).ids.remove(id) {
                self.set_mut(age).insert(id.clone());
            }
        }
    }
}
