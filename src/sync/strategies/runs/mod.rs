//! The strategy for runs: several readers share one table, because no server can filter or sort runs by `updated`.
//!
//! ```text
//!  past                                                                       now
//!   |<---------------- backfill: newest to oldest, once ---------------------|T0
//!                                             |<--- ended in (cursor, now] -->|
//!        |<- recheck 3 ->| |<- recheck 2 ->|  |<recheck 1>|  each recheck follows the one before at a lag
//!   open set:  every run that has not ended, at any expected start
//! ```
//!
//! `docs/SYNC.md` explains the readers. Here they are phases of one state machine, taken one after another: each sync
//! runs the live readers, which are all but the backfill, and then continues the backfill. A long backfill is
//! interrupted for the live readers every ten minutes.

mod adapt;
mod backfill;
mod desk;
mod open_ids;
mod open_set;
mod outside;
mod phase;
mod ranges;
mod rewind;
mod rungs;
mod state;
mod tail;
mod together;
mod trail;
mod unreadable;
mod without_end;
mod without_ranges;
mod words;

use chrono::{DateTime, Utc};

use self::{
    adapt::RunChoices,
    desk::{Desk, Rule},
    phase::{Phase, Stage},
    without_end::Listed,
    without_ranges::{ByOffset, What},
};
use super::{Answer, Ask, Change, Next, Rows, Step, collection, look_up::LookUp};
use crate::{
    prefect::{CountRequest, Filter, ListRequest, TimeRange},
    rows::Row,
    sync::{
        NoProgress,
        lanes::{Lanes, Tickets},
        paging::OffsetWalk,
        tie::TiePlace,
        value_walk::{Tau, ValueWalk, latest},
    },
    tables::Table,
    telemetry::Reading,
};

pub(crate) use self::state::RunsState;
pub(super) use self::together::Together;

/// The number of pages left, estimated by its pace, from which a window is split into partitions. (Splitting a shorter
/// one costs more requests than it saves time, because the last page of each partition is not full.)
const LONG_WINDOW: i32 = 8;

pub(super) struct Runs {
    table: &'static Table,
    desk: Desk,
    choices: RunChoices,
    state: RunsState,
    stage: Stage,
    phase: Option<Phase>,
    /// A time that the rows' clock had reached at the last response, with which rows are compared.
    now: Option<DateTime<Utc>>,
    /// The `Date` of the last response, by which readings are due.
    date: Option<DateTime<Utc>>,
    /// The `Date` of the first response.
    first_date: Option<DateTime<Utc>>,
    /// The last turn of the live readers in this sync.
    cycle: Option<Cycle>,
    /// The interrupted backfill, during a turn of the live readers.
    parked: Option<Lanes>,
    /// Set while the backfill only waits for its last responses, because the live readers are due.
    is_draining: bool,
    /// Set if a returning table is read up to where the others are, without a backfill. Such a table was not selected
    /// for a while.
    is_catching_up: bool,
    tickets: Tickets,
    /// The ticket of the request under way, in a phase that sends one at a time.
    asked: Option<usize>,
    /// The open runs that this sync has listed.
    listed: Listed,
    /// Set if the server supports ranges of `end_time`, but no filter for a null.
    refuses_null_ends: bool,
    /// The number of pages of the listing under way that are read.
    pages: usize,
}

/// The beginning of a turn of the live readers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cycle {
    /// The time by the rows' clock.
    began: DateTime<Utc>,
    /// The `Date` of the response.
    date: DateTime<Utc>,
    /// Set if the rows' clock has moved since runs were last read. Then new readings differ in time from earlier ones.
    is_later: bool,
}

impl Runs {
    /// Creates a reader that continues from `state`, which is adapted to the choices.
    fn new(
        table: &'static Table,
        mut state: RunsState,
        choices: RunChoices,
        include_scheduled: bool,
    ) -> Self {
        state.read_from(choices.start);
        let first = match state.live {
            Some(_) => Stage::Tail,
            None => Stage::Backfill,
        };
        Self {
            table,
            desk: Desk::new(table, include_scheduled),
            is_catching_up: false,
            choices,
            state,
            stage: first,
            phase: None,
            now: None,
            date: None,
            first_date: None,
            cycle: None,
            parked: None,
            is_draining: false,
            tickets: Tickets::default(),
            asked: None,
            listed: Listed::default(),
            refuses_null_ends: false,
            pages: 0,
        }
    }

    fn walk(
        &self,
        tau: Tau,
        lo: Option<DateTime<Utc>>,
        before: Option<DateTime<Utc>>,
        filter: Filter,
    ) -> ValueWalk {
        ValueWalk::new(collection(self.table), tau, lo, before, filter)
            .scoped(self.choices.scope.clone())
    }

    /// Creates the pass over a window that usually fits on one page. An earlier sync may have read the runs at its
    /// upper bound up to `place`.
    fn window(
        &self,
        tau: Tau,
        (lo, before): (Option<DateTime<Utc>>, Option<DateTime<Utc>>),
        place: Option<TiePlace>,
        filter: Filter,
    ) -> Lanes {
        let walk = self.walk(tau, lo, before, filter).within(place);
        Lanes::window(walk, Some(LONG_WINDOW))
    }

    /// Stores the time at which a turn of the live readers begins, unless one is under way.
    fn begin_cycle(&mut self, began: DateTime<Utc>) {
        let date = self.date.unwrap_or(began);
        let read = self.state.live.as_ref().map(state::Live::last_read);
        self.cycle.get_or_insert(Cycle {
            began,
            date,
            is_later: read.is_none_or(|read| read < began),
        });
    }

    /// Returns the time at which the live readers of this sync began, by the rows' clock.
    fn cycle_began(&self) -> Option<DateTime<Utc>> {
        self.cycle.map(|cycle| cycle.began)
    }

    /// Plans one stage after another until there is a phase to read, or nothing is left.
    fn plan(&mut self) {
        while self.phase.is_none() && (self.stage != Stage::Done || self.begins_to_live()) {
            let stage = self.stage;
            self.stage = match stage {
                Stage::Tail => Stage::Open,
                Stage::Open => Stage::LongOpen,
                // After the open set, so that a run that had just ended, and was not listed there, is found.
                Stage::LongOpen => Stage::WithoutEnd,
                Stage::WithoutEnd => Stage::Outside,
                Stage::Outside => Stage::LookBack,
                Stage::LookBack => Stage::Rung(0),
                // Planning a recheck sets the next stage, because a recheck may have several windows.
                Stage::Rung(index) => Stage::Rung(index),
                Stage::Unreadable => Stage::Backfill,
                Stage::Backfill | Stage::Done => Stage::Done,
            };
            self.pages = 0;
            self.phase = match stage {
                Stage::Done => None,
                stage if self.state.without_ranges && stage != Stage::Tail => {
                    self.plan_without_ranges(stage)
                }
                Stage::Backfill if self.is_catching_up => None,
                Stage::Backfill => self.plan_backfill(),
                stage => self.plan_live(stage),
            };
        }
    }

    /// Begins a turn of the live readers if a first sync has read everything; returns true then. What changed during
    /// the backfill is read at once, and the server's abilities are known after the first sync.
    fn begins_to_live(&mut self) -> bool {
        let is_due =
            self.cycle.is_none() && self.state.live.is_some() && self.state.backfill.is_none();
        if is_due {
            self.stage = Stage::Tail;
        }
        is_due
    }

    /// Takes a page of a keyset pagination and returns the rows that were not read before.
    fn accept_by_value(
        &mut self,
        lanes: &mut Lanes,
        ticket: usize,
        page: Rows,
    ) -> Result<Vec<Row>, NoProgress> {
        let Some((tau, range)) = lanes.asked(ticket) else {
            return Ok(Vec::new());
        };
        if let Some(range) = range {
            self.note_gaps(tau, range, &page);
        }
        let values: Vec<_> = page
            .list
            .iter()
            .map(|row| (row.id(), self.desk.value(row, tau)))
            .collect();
        let fresh = lanes.accept(ticket, &values, page.objects, page.limit)?;
        drop(values);
        Ok(only(page.list, fresh))
    }

    /// Adds the rows that must be sent to the step, for a reader that began at `began`.
    fn offer_all(
        &mut self,
        rows: Vec<Row>,
        began: DateTime<Utc>,
        rule: impl Fn(&Row, &Desk) -> Rule,
        step: &mut Step,
    ) {
        // The stage is the next one; none follows the backfill.
        let is_live = self.stage != Stage::Done;
        for row in rows {
            let rule = rule(&row, &self.desk);
            // The two sets of open runs are separated at the same time as the listings of this sync, although its clock
            // goes on.
            let met_at = self.cycle_began().or(self.now);
            let times = (began, met_at.unwrap_or(began));
            let state = &mut self.state;
            if self.desk.offer(&row, rule, times, is_live, state) {
                step.changes.push(Change::Upsert(row));
            }
        }
    }

    /// Returns the phase of a live stage, if there is anything to read. A recheck also sets the stage that follows.
    fn plan_live(&mut self, stage: Stage) -> Option<Phase> {
        match stage {
            Stage::Tail => self.plan_tail(),
            Stage::WithoutEnd => self.plan_without_end(),
            Stage::Outside => self.plan_outside(),
            Stage::Open => self.plan_open(false),
            Stage::LongOpen => self.plan_open(true),
            Stage::LookBack => self.plan_look_back(),
            Stage::Rung(index) => self.plan_rung(index),
            Stage::Unreadable => self.plan_unreadable(),
            Stage::Backfill | Stage::Done => None,
        }
    }

    fn accept_live(
        &mut self,
        phase: Phase,
        ticket: usize,
        page: Rows,
        step: &mut Step,
    ) -> Result<(), NoProgress> {
        match phase {
            Phase::Tail {
                lanes,
                reading,
                is_resumed,
            } => self.tail((lanes, ticket), (reading, is_resumed), page, step)?,
            Phase::TailByOffset { walk, began } => self.tail_by_offset(walk, began, page, step)?,
            Phase::WithoutEnd {
                lanes,
                began,
                is_first,
            } => self.without_end((lanes, ticket), (began, is_first), page, step)?,
            Phase::Outside { look_up, began } => self.looked_outside(look_up, began, &page, step),
            Phase::Open {
                lanes,
                began,
                met,
                long,
            } => self.open((lanes, ticket), (began, met, long), page, step)?,
            Phase::LookUp {
                look_up,
                began,
                long,
            } => self.looked_up(look_up, (began, long), page, step),
            Phase::LookBack { lanes, reading } => {
                self.look_back((lanes, ticket), reading, page, step)?;
            }
            Phase::Rung {
                index,
                lanes,
                reading,
            } => self.rung(index, (lanes, ticket), reading, page, step)?,
            Phase::Unreadable { at } => self.tried(at, Some(page), step),
            Phase::Search { at, search } => self.searched((at, search), Some(page), step),
            Phase::ByOffset(walk) => self.read_by_offset(walk, page, step)?,
            Phase::Backfill { .. } | Phase::Counts { .. } | Phase::WithoutStart { .. } => {}
        }
        Ok(())
    }

    fn accept_page(
        &mut self,
        ticket: usize,
        page: Rows,
        step: &mut Step,
    ) -> Result<(), NoProgress> {
        self.note_page_gaps(&page);
        match self.phase.take() {
            Some(Phase::Backfill { lanes }) => self.backfilled(lanes, ticket, page, step),
            Some(Phase::WithoutStart { walk }) => self.without_start(walk, page, step),
            Some(phase) => self.accept_live(phase, ticket, page, step),
            None => Ok(()),
        }
    }

    /// Returns true if the request `ticket` belongs to the phase under way. Any other request was abandoned.
    fn has_asked(&mut self, ticket: usize) -> bool {
        match self.phase.as_mut().and_then(Phase::lanes_mut) {
            Some(lanes) => lanes.has_asked(ticket),
            None => self.asked == Some(ticket),
        }
    }
}

/// Returns the rows that are fresh.
fn only(rows: Vec<Row>, fresh: Vec<bool>) -> Vec<Row> {
    rows.into_iter()
        .zip(fresh)
        .filter_map(|(row, fresh)| fresh.then_some(row))
        .collect()
}

impl Runs {
    /// Returns the next request of a phase that sends one at a time.
    fn ask(&mut self, limit: u32) -> Option<Ask> {
        let collection = collection(self.table);
        let scope = self.choices.scope.clone();
        let (open_filter, perhaps_without_end) = (self.open_filter(), self.perhaps_without_end());
        let offset = |walk: &OffsetWalk, sort, filter| {
            Ask::List(ListRequest {
                collection,
                sort: Some(sort),
                limit,
                offset: walk.offset(),
                filter,
                scope: scope.clone(),
                ..ListRequest::default()
            })
        };
        match self.phase.as_mut()? {
            Phase::TailByOffset { walk, .. } => {
                Some(offset(walk, "END_TIME_DESC", tail::ended_after_a_start()))
            }
            Phase::WithoutStart { walk } => Some(offset(walk, "ID_DESC", Filter::default())),
            Phase::ByOffset(ByOffset { walk, what, .. }) => {
                let filter = match what {
                    What::Everything => Filter::default(),
                    What::Open => open_filter,
                    What::WithoutEnd => perhaps_without_end,
                };
                Some(offset(walk, "EXPECTED_START_TIME_DESC", filter))
            }
            Phase::LookUp { look_up, .. } | Phase::Outside { look_up, .. } => {
                look_up.next(self.table, limit)
            }
            Phase::Unreadable { at } => {
                let at = *at;
                self.ask_unreadable(at, limit)
            }
            Phase::Search { at, search } => {
                let (at, offset) = (*at, search.at());
                self.ask_by_offset(at, offset)
            }
            Phase::Counts { told } => {
                let mut filter = Filter::default();
                if told.len() == 1 {
                    filter.expected_start_time = TimeRange {
                        after: None,
                        before: Some(latest()),
                    };
                }
                Some(Ask::Count(CountRequest {
                    collection,
                    filter,
                    scope,
                }))
            }
            // The partitions of a window create their own requests.
            _ => None,
        }
    }
}

impl Runs {
    /// Returns the next request; see [`super::Reader`] for this and the other methods.
    pub(super) fn next(&mut self, limit: u32) -> Next {
        if self.asked.is_some() {
            return Next::Busy;
        }
        self.leave_lanes();
        self.plan();
        if let Some(lanes) = self.phase.as_mut().and_then(Phase::lanes_mut) {
            let next = (!self.is_draining).then(|| lanes.next(limit, &mut self.tickets));
            return next.flatten().map_or(Next::Busy, |(ticket, request)| {
                Next::Ask(ticket, Box::new(self.ask_around(request)))
            });
        }
        let is_by_offset = matches!(
            self.phase,
            Some(Phase::TailByOffset { .. } | Phase::ByOffset(_))
        );
        match self.ask(limit) {
            Some(ask) => {
                let ask = match ask {
                    Ask::List(request) if is_by_offset => self.ask_around(request),
                    ask => ask,
                };
                let ticket = self.tickets.take();
                self.asked = Some(ticket);
                Next::Ask(ticket, Box::new(ask))
            }
            None => Next::Done,
        }
    }

    pub(super) fn accept(&mut self, ticket: usize, answer: Answer) -> Step {
        let mut step = Step::default();
        if !self.has_asked(ticket) {
            return step;
        }
        self.asked = None;
        match answer {
            Answer::Page(mut page) => {
                self.date = Some(page.now);
                self.first_date.get_or_insert(page.now);
                page.now = page.mark;
                self.now = Some(page.now);
                step.stuck = self.accept_page(ticket, page, &mut step).err();
            }
            Answer::Failed => match self.phase.take() {
                Some(Phase::Unreadable { at }) => self.tried(at, None, &mut step),
                Some(Phase::Search { at, search }) => {
                    self.searched((at, search), None, &mut step);
                }
                _ => {}
            },
            Answer::Count(count) => {
                if let Some(Phase::Counts { told }) = self.phase.take() {
                    self.counted(told, count);
                }
            }
        }
        step
    }

    pub(super) fn again(&mut self, ticket: usize) {
        self.asked = self.asked.filter(|asked| *asked != ticket);
        if let Some(lanes) = self.phase.as_mut().and_then(Phase::lanes_mut) {
            lanes.again(ticket);
        }
    }

    pub(super) fn refused(&mut self, ticket: usize, detail: &str) -> bool {
        if !self.has_asked(ticket) {
            return true;
        }
        let has_another_way = self.without_null_filter(detail)
            || self.without_end_filter()
            || (detail.contains("expected_start_time") && self.without_ranges());
        if has_another_way {
            self.asked = None;
        }
        has_another_way
    }

    pub(super) fn state(&self) -> &RunsState {
        &self.state
    }

    /// Takes over the table `name`, which `other` has read up to the same position. Returns the next tickets.
    pub(super) fn take_over(&mut self, name: &str, other: Self) -> Tickets {
        self.state.take_backfills(name, other.state);
        other.tickets
    }

    pub(super) fn reading(&self) -> Reading {
        let phase = self.phase.as_ref();
        phase.map_or(Reading::Tail, |phase| {
            phase.reading(self.state.live.as_ref())
        })
    }
}
