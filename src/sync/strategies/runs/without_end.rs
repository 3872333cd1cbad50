//! Runs without an end time, which no range of `end_time` finds.
//!
//! - Terminal ones: cancelled before their start, or timed out by an old client. Nothing but this listing finds
//!   one that was created and ended between two syncs.
//! - Open task runs, as far as the listing of open runs has left them out: that one lists the task runs of open
//!   flow runs. A task run without a flow run counts as any open run. One whose flow run has ended ends with it,
//!   whatever its own state: Prefect leaves a task run `NotReady` forever when what it waits for has failed.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use super::{
    Phase, Rows, Runs, Step,
    desk::{Desk, Rule, TERMINAL, in_states},
    state::{LONG_OPEN_EVERY, Live},
};
use crate::{
    prefect::{Filter, IsNull},
    rows::Row,
    sync::{
        NoProgress,
        lanes::Lanes,
        pack,
        recent::MARGIN,
        value_walk::{Tau, latest},
    },
};

/// The open runs that this sync has listed, of each of the two sets that it has listed completely.
#[derive(Debug, Default)]
pub(super) struct Listed {
    open: Option<BTreeSet<String>>,
    long_open: Option<BTreeSet<String>>,
    /// The sets whose missing members are still to be looked up.
    to_look_up: Vec<bool>,
    /// The listing of open runs under way holds some that are not remembered.
    pub(super) overflows: bool,
    /// The server could not answer for some.
    pub(super) has_gaps: bool,
    /// Runs with an earlier expected start are in the second set.
    bound: Option<DateTime<Utc>>,
}

impl Listed {
    /// Takes a complete listing; `bound` is where the two sets meet, if both were not listed at once.
    pub(super) fn add(&mut self, long: bool, met: BTreeSet<String>, bound: Option<DateTime<Utc>>) {
        if long {
            self.long_open = Some(met);
        } else {
            self.open = Some(met);
        }
        self.to_look_up.push(long);
        self.bound = bound;
    }

    fn has_met(&self, id: &str) -> bool {
        let sets = [&self.open, &self.long_open];
        sets.into_iter().flatten().any(|met| met.contains(id))
    }

    /// Whether a task run with this expected start would have been listed, were its flow run open.
    pub(super) fn covers(&self, due: Option<DateTime<Utc>>) -> bool {
        match (due, self.bound) {
            (None, _) => false,
            (Some(due), Some(bound)) if due < bound => self.long_open.is_some(),
            _ => self.open.is_some(),
        }
    }

    /// Notes open runs that the listing of open runs does not hold.
    fn note(&mut self, ids: impl IntoIterator<Item = String>) {
        for id in ids {
            for met in [&mut self.open, &mut self.long_open].into_iter().flatten() {
                met.insert(id.clone());
            }
        }
    }
}

impl Runs {
    /// Runs without an end time where the server can filter by that; else everything of which some may have none.
    fn without_end_filter_of(&self, by_null: bool) -> Filter {
        let states = if self.desk.are_of_flow_runs() {
            Filter::default()
        } else {
            in_states(TERMINAL)
        };
        Filter {
            end_time_is: by_null.then_some(IsNull { is_null: true }),
            ..states
        }
    }

    /// The same, where no range of time can be asked for.
    pub(super) fn perhaps_without_end(&self) -> Filter {
        self.without_end_filter_of(false)
    }

    /// What comes after the listing of open runs. One that ends without an end time just then is met by this
    /// listing, whose cursor moves with its own reading alone.
    pub(super) fn plan_without_end(&mut self) -> Option<Phase> {
        let live = self.state.live.as_ref()?;
        let began = self.cycle_began()?;
        let by_null = self.state.tau == Tau::EndTime && !self.refuses_null_ends;
        let filter = self.without_end_filter_of(by_null);
        let tau = Tau::ExpectedStartTime;
        let lanes = if by_null {
            // As a rule one page holds all of them, wherever they lie, also those without an expected start.
            let walk = self.walk(tau, None, None, filter);
            Lanes::window(walk.not_empty(live.without_end_listed.is_none()), None)
        } else {
            self.window(
                tau,
                (live.never_started_from(), Some(latest())),
                None,
                filter,
            )
        };
        Some(Phase::WithoutEnd {
            lanes,
            began,
            is_first: by_null,
        })
    }

    pub(super) fn without_end(
        &mut self,
        (mut lanes, ticket): (Lanes, usize),
        (began, is_first): (DateTime<Utc>, bool),
        page: Rows,
        step: &mut Step,
    ) -> Result<(), NoProgress> {
        let is_full = page.objects >= page.limit as usize;
        let first = (!is_first).then(latest);
        let is_empty = page.objects == 0 && lanes.before() == first;
        let rows = self.accept_by_value(&mut lanes, ticket, page)?;
        let Some(live) = &self.state.live else {
            return Ok(());
        };
        let by_null = self.state.tau == Tau::EndTime && !self.refuses_null_ends;
        let is_complete = live.never_started_from().is_none()
            || live.without_end_listed.is_none()
            || (by_null && live.lists_all_without_end(began));
        // What the listing goes on with ends there; a run further back is seen by the daily listing, and only by it.
        let from = live.never_started_from();
        let from = from.filter(|_| is_first && is_full && !is_complete);
        self.offer_without_end(rows, (began, from), step);
        let Some(live) = &self.state.live else {
            return Ok(());
        };
        if is_first && is_full {
            let before = lanes.before().unwrap_or_else(latest);
            let lo = live.never_started_from().filter(|_| !is_complete);
            if lo.is_none_or(|lo| lo <= before) {
                let filter = self.without_end_filter_of(true);
                self.phase = Some(Phase::WithoutEnd {
                    lanes: self.window(Tau::ExpectedStartTime, (lo, Some(before)), None, filter),
                    began,
                    is_first: false,
                });
                return Ok(());
            }
        } else if !lanes.is_done() {
            self.phase = Some(Phase::WithoutEnd {
                lanes,
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

    /// The listing is empty. Its cursor stays: if that was wrong, nothing is lost. (The first one was requested twice.)
    fn find_none_without_end(&mut self, began: DateTime<Utc>) {
        if let Some(live) = &mut self.state.live {
            live.without_end_listed.get_or_insert(began);
        }
        self.look_up_missing(began);
    }

    /// The listing has ended; what was open and is in no listing is looked up.
    pub(super) fn end_without_end(&mut self, began: DateTime<Utc>, is_complete: bool) {
        if let Some(live) = &mut self.state.live {
            live.pass_never_started(began);
            if is_complete {
                live.without_end_listed = Some(began);
            }
        }
        self.look_up_missing(began);
    }

    /// Looks up what the listings of this sync have missed, a set at a time.
    pub(super) fn look_up_missing(&mut self, began: DateTime<Utc>) {
        while self.phase.is_none()
            && let Some(long) = self.listed.to_look_up.pop()
        {
            let met = if long {
                &self.listed.long_open
            } else {
                &self.listed.open
            };
            let gone = met.as_ref().map(|met| self.gone(met, long));
            self.look_up_or_end(super::LookUp::of(gone.unwrap_or_default()), began, long);
        }
    }

    /// Offers rows of which some may have an end time. Of those with an expected start before `from` the open ones that
    /// are known are left out.
    pub(super) fn offer_without_end(
        &mut self,
        rows: Vec<Row>,
        (began, from): (DateTime<Utc>, Option<DateTime<Utc>>),
        step: &mut Step,
    ) {
        let Some(live) = &self.state.live else { return };
        let date = self.cycle.map_or(began, |cycle| cycle.date);
        let rules: Vec<Rule> = rows
            .iter()
            .map(|row| rule(row, &self.desk, live, &self.listed, (date, from)))
            .collect();
        // They are open, and need not be looked up.
        let apart = rows.iter().filter(|row| {
            self.desk.is_open(row)
                && (!self.desk.is_of_flow_run(row) || is_new(row, &self.desk, date))
        });
        let apart: Vec<String> = apart.map(|row| pack::id(row.id())).collect();
        self.listed.note(apart);
        for (row, rule) in rows.into_iter().zip(rules) {
            self.offer_all(vec![row], began, |_, _| rule, step);
        }
    }
}

/// When a row of the listing is news.
fn rule(
    row: &Row,
    desk: &Desk,
    live: &Live,
    listed_now: &Listed,
    (date, from): (DateTime<Utc>, Option<DateTime<Utc>>),
) -> Rule {
    let due = desk.value(row, Tau::ExpectedStartTime);
    // Only a complete listing has read those further back.
    let listed = live.without_end_listed;
    let listed = listed.filter(|_| due < live.never_started_from());
    let since = live.never_started_since();
    let since = listed.map_or(since, |listed| listed.min(since));
    if !desk.is_open(row) {
        // Whatever has an end time is found by that.
        let has_end = desk.value(row, Tau::EndTime).is_some();
        return if has_end {
            Rule::Never
        } else {
            Rule::Since(since)
        };
    }
    let id = pack::id(row.id());
    let is_part = desk.is_of_flow_run(row) && !is_new(row, desk, date);
    let is_left_out = due < from && (is_part || live.is_open(&id));
    if is_left_out || listed_now.has_met(&id) {
        return Rule::Never;
    }
    if is_part && (listed_now.covers(due) || !live.is_open(&id)) {
        return Rule::WithItsFlowRun(since);
    }
    live.rule_of_open(&id, (row.id(), due), desk.are_of_flow_runs())
}

/// True for a run that may have been created after the open runs were listed, at `date`: that it was not listed then does
/// not mean that its flow run has ended.
fn is_new(row: &Row, desk: &Desk, date: DateTime<Utc>) -> bool {
    desk.created(row).is_some_and(|created| created >= date)
}

impl Live {
    /// When a run that is listed as open is news.
    fn rule_of_open(
        &self,
        packed: &str,
        (id, due): (&str, Option<DateTime<Utc>>),
        are_parts: bool,
    ) -> Rule {
        let is_long = !self.open.ids.contains(packed) && self.long_open.ids.contains(packed);
        if !self.is_open(packed) && self.open.knows_all() && self.long_open.knows_all() {
            Rule::Always
        } else {
            Rule::Since(self.times(is_long, are_parts).read_at(due, id))
        }
    }

    /// Whether all runs without an end time are to be listed, and not the latest of them alone.
    fn lists_all_without_end(&self, now: DateTime<Utc>) -> bool {
        let listed = self.without_end_listed;
        listed.is_none_or(|listed| now - listed >= LONG_OPEN_EVERY)
    }

    /// The expected start from which on runs without an end time are listed at each sync; `None`: all of them.
    pub(super) fn never_started_from(&self) -> Option<DateTime<Utc>> {
        match self.rewound {
            None => Some(self.never_started - MARGIN),
            Some(_) => None,
        }
    }

    /// Since when such a run must have changed to be sent.
    pub(super) fn never_started_since(&self) -> DateTime<Utc> {
        let since = self.never_started;
        self.rewound.map_or(since, |rewound| rewound.min(since))
    }

    /// A reading of them that began at `began` is complete.
    pub(super) fn pass_never_started(&mut self, began: DateTime<Utc>) {
        self.never_started = began;
        self.rewound = None;
    }
}

/// Whether a run was created so long after its expected start that no listing from there on may have held it.
pub(super) fn is_late(created: Option<DateTime<Utc>>, due: Option<DateTime<Utc>>) -> bool {
    matches!((created, due), (Some(created), Some(due)) if created > due + MARGIN)
}
