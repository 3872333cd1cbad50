//! The reader of open runs: lists every run that has not ended, at any expected start.
//!
//! It sends changes of long runs up to their final state, and finds runs that Prefect deletes silently, as it does with
//! scheduled ones whenever a deployment changes.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use super::{
    change_filter::{ChangeFilter, SendIf},
    listed_open_runs::ListedOpenRuns,
    open_set::OpenSet,
    phase::Phase,
    reader::{MIN_PAGES_TO_SPLIT_WINDOW, Runs},
    state::LiveState,
    timing::{DELETE_WITHIN, OLD_OPEN_RUNS_EVERY, old_run_bound},
};
use crate::{
    messages,
    prefect::{Filter, StateFilter},
    rows::Row,
    sync::{
        NoProgress, compact_ids,
        keyset::{TimeField, latest},
        partitioned_scan::PartitionedScan,
        strategies::{
            emission::{Change, Emission},
            look_up::GetById,
            request::FetchedPage,
            run_states::{OPEN, in_states},
        },
    },
};

/// The number of open runs from which their listing is split into partitions.
const MANY_OPEN: usize = 2_000;

impl Runs {
    pub(super) fn plan_open(&mut self, long: bool) -> Option<Phase> {
        let live = self.state.live.as_ref()?;
        let began = self.turn_began()?;
        if !long {
            self.listed = ListedOpenRuns::default();
        }
        self.listed.overflows = false;
        self.listed.has_gaps = false;
        let date = self.turn.map_or(began, |turn| turn.date);
        let is_fresh = date - live.old_open.dated() < OLD_OPEN_RUNS_EVERY;
        // After a backfill it is unknown which of its open task runs have ended with their flow run.
        let is_sorted = !self.changes.are_task_runs() || live.without_end_listed.is_some();
        if long && is_fresh && is_sorted && live.old_open.rewound.is_none() {
            return None;
        }
        let bound = old_run_bound(began);
        let (lo, hi) = if long {
            (None, bound)
        } else {
            (Some(bound), latest())
        };
        let pager = self.pager(
            TimeField::ExpectedStartTime,
            lo,
            Some(hi),
            self.open_filter(),
        );
        let pager = pager.not_empty(!set(live, long).ids.is_empty());
        // Open runs are close together in time, so the pace of a page says little about the others.
        let is_long = set(live, long).ids.len() >= MANY_OPEN;
        Some(Phase::Open {
            scan: PartitionedScan::window(pager, is_long.then_some(MIN_PAGES_TO_SPLIT_WINDOW)),
            began,
            listed: BTreeSet::new(),
            long,
        })
    }

    pub(super) fn open(
        &mut self,
        (mut scan, ticket): (PartitionedScan, usize),
        (began, mut listed, long): (DateTime<Utc>, BTreeSet<String>, bool),
        mut page: FetchedPage,
        emission: &mut Emission,
    ) -> Result<(), NoProgress> {
        // Each sync lists an unreadable open run again anyway, and looks it up once it is not open any more.
        if let Some((time_field, Some(range))) = scan.asked(ticket) {
            self.note_open_gaps(time_field, range, &page);
        }
        let has_gaps = !page.gaps.is_empty();
        self.listed.has_gaps |= has_gaps;
        page.gaps.clear();
        let rows = self.accept_by_value(&mut scan, ticket, page)?;
        // A page that is doubted, and requested again, has no rows here.
        let ids: BTreeSet<String> = rows.iter().map(|row| compact_ids::id(row.id())).collect();
        let Some(live) = &self.state.live else {
            return Ok(());
        };
        let is_part = self.changes.are_task_runs();
        let own = live.times(long, is_part);
        let since_other = live.times(!long, is_part).read_at(None, "");
        let other = set(live, !long);
        // This sync has already looked up runs of the other set that were not listed; task runs are looked up later.
        let is_looked_up = long && !is_part;
        let knows_all = set(live, long).knows_all();
        let of = |set: &OpenSet| ids.intersection(&set.ids).cloned().collect::<BTreeSet<_>>();
        let (known, others) = (of(set(live, long)), of(other));
        listed.extend(ids);
        // A run that was not known to be open is sent, whatever its `updated`, if the set is complete.
        let rule = |row: &Row, changes: &ChangeFilter| {
            let id = compact_ids::id(row.id());
            let since = own.read_at(changes.value(row, TimeField::ExpectedStartTime), row.id());
            if known.contains(&id) {
                SendIf::ChangedSince(since)
            } else if others.contains(&id) {
                if is_looked_up {
                    SendIf::Never
                } else {
                    SendIf::ChangedSince(since_other)
                }
            } else if knows_all {
                SendIf::Always
            } else {
                SendIf::ChangedSince(since)
            }
        };
        let wanted = self.wanted(&rows);
        self.offer_all(rows, began, rule, emission);
        self.note_unknown(&wanted);
        if let Some(live) = &mut self.state.live {
            live.move_to(long, &others);
            // Only the listed runs count as read: the missing ones are not looked up yet.
            if let Some(before) = scan.before()
                && !self.listed.has_gaps
            {
                live.set_mut(long).pass(began, before, scan.place());
            }
        }
        if scan.is_done() {
            self.end_listing(long, emission);
            if self.changes.are_task_runs() {
                // The look-up follows the listing without an end time, which has the task runs without a flow run.
                self.listed.add(long, listed, Some(old_run_bound(began)));
            } else {
                let gone = self.gone(&listed, long);
                self.look_up_or_end(GetById::of(gone), began, long);
            }
        } else {
            self.phase = Some(Phase::Open {
                scan,
                began,
                listed,
                long,
            });
        }
        Ok(())
    }

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
    pub(super) fn end_listing(&mut self, long: bool, emission: &mut Emission) {
        let overflows = std::mem::take(&mut self.listed.overflows);
        let Some(live) = &mut self.state.live else {
            return;
        };
        let set = live.set_mut(long);
        set.is_cut = overflows;
        if !set.knows_all() {
            emission.warnings.push(messages::MANY_OPEN.format(format_args!(
                "table {}: more than {} runs are open; for the remaining ones, the end is detected, but a deletion is not",
                self.table.name, set.most
            )));
        }
    }

    /// Returns the runs that were open and are not listed as open any more.
    pub(super) fn gone(&self, listed: &BTreeSet<String>, long: bool) -> Vec<String> {
        self.state
            .live
            .iter()
            .flat_map(|live| set(live, long).ids.difference(listed))
            .map(|id| compact_ids::parse_id(id))
            .collect()
    }

    pub(super) fn look_up_or_end(
        &mut self,
        look_up: Option<GetById>,
        began: DateTime<Utc>,
        long: bool,
    ) {
        if let Some(look_up) = look_up {
            self.phase = Some(Phase::GetMissing {
                look_up,
                began,
                long,
            });
        } else if let Some(live) = &mut self.state.live {
            let set = live.set_mut(long);
            set.read_at = began;
            set.dated = self.turn.map(|turn| turn.date);
            set.partial = None;
            set.rewound = None;
            self.look_up_missing(began);
        }
    }

    pub(super) fn looked_up(
        &mut self,
        look_up: GetById,
        (began, long): (DateTime<Utc>, bool),
        page: FetchedPage,
        emission: &mut Emission,
    ) {
        let Some(live) = &self.state.live else {
            return;
        };
        let date = self.turn.map_or(began, |turn| turn.date);
        let is_soon = date - set(live, long).dated() <= DELETE_WITHIN;
        let changed_since = live.times(long, self.changes.are_task_runs());
        let changed_since = changed_since.or_rewound(changed_since.read_at);
        if let Some(id) = look_up.unreadable(&page) {
            let unread = self.state.unread.entry(compact_ids::id(id));
            unread.or_insert(changed_since);
        }
        let (gone, rest) = look_up.accept(&page);
        let rule = |row: &Row, changes: &ChangeFilter, listed: &ListedOpenRuns| {
            let due = changes.value(row, TimeField::ExpectedStartTime);
            // If the flow run were open, the task run would be listed.
            let is_left =
                changes.is_open(row) && changes.belongs_to_flow_run(row) && listed.covers(due);
            if is_left {
                SendIf::EndedWithFlowRun(changed_since)
            } else {
                SendIf::ChangedSince(changed_since)
            }
        };
        for row in page.list {
            let rule = rule(&row, &self.changes, &self.listed);
            self.offer_all(vec![row], began, |_, _| rule, emission);
        }
        let mut dropped = 0;
        for id in gone {
            self.state.unread.remove(&compact_ids::id(&id));
            if let Some(live) = &mut self.state.live {
                live.close(&compact_ids::id(&id));
            }
            if is_soon {
                emission.changes.push(Change::Delete(self.table, id));
            } else {
                dropped += 1;
            }
        }
        self.note_aged_out(dropped, emission);
        self.look_up_or_end(rest, began, long);
    }

    pub(super) fn note_aged_out(&self, number: usize, emission: &mut Emission) {
        if number > 0 {
            emission.warnings.push(messages::AGED_OUT.format(format_args!(
                "table {}: {number} run(s) that were open at the last sync, more than 3 days ago, are gone; they may have ended and aged out, so their rows stay unchanged",
                self.table.name
            )));
        }
    }
}

fn set(live: &LiveState, long: bool) -> &OpenSet {
    if long { &live.old_open } else { &live.open }
}

impl LiveState {
    /// Returns one of the two sets without its ids. Runs that are part of flow runs (`are_parts`) were also read by the
    /// last complete listing of runs without an end time.
    pub(super) fn times(&self, long: bool, are_parts: bool) -> OpenSet {
        let mut times = set(self, long).clone_times();
        if let Some(listed) = self.without_end_listed.filter(|_| are_parts) {
            times.read_at = times.read_at.max(listed);
            if let Some(partial) = &mut times.partial {
                partial.began = partial.began.max(listed);
            }
        }
        times
    }

    fn set_mut(&mut self, long: bool) -> &mut OpenSet {
        if long {
            &mut self.old_open
        } else {
            &mut self.open
        }
    }

    /// Moves runs to the set in whose listing they were found.
    fn move_to(&mut self, long: bool, ids: &BTreeSet<String>) {
        let (from, to) = if long {
            (&mut self.open, &mut self.old_open)
        } else {
            (&mut self.old_open, &mut self.open)
        };
        for id in ids {
            if from.ids.remove(id) {
                to.insert(id.clone());
            }
        }
    }
}
