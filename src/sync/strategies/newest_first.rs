//! Newest first: read by `updated`, descending, down to the last cursor.
//!
//! ```text
//!  newest                                                        oldest
//!  |-- this walk ... reached --|-- an interrupted walk read this --|-- cursor - margin
//! ```
//!
//! The cursor moves only when the walk has arrived. A row that changes meanwhile moves to the front
//! with an `updated` after the walk's start: the next sync finds it.
//!
//! The ids are kept to find deletes. After the walk the server is asked how many objects there are;
//! only when that is not the number of known ids everything is listed, and what is missing looked up.
//! A server that has no counts is listed once a day.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::{
    Answer, Ask, Change, ReaderState, Rows, Serial, States, Step, collection, look_up::LookUp,
    position, sorted,
};
use crate::{
    prefect::{CountRequest, Filter, ListRequest},
    rows::{Row, fingerprint},
    sync::{
        NoProgress, pack,
        paging::OffsetWalk,
        recent::{MARGIN, Recent, changed_since},
        words::{Facts, time},
    },
    tables::Table,
};

/// How often everything is listed where the server has no counts.
const LISTING_WITHOUT_COUNT: TimeDelta = TimeDelta::days(1);

/// The state of a table read newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewestFirstState {
    /// Everything that was visible before this time was sent; `None` before the first walk ended.
    pub(crate) cursor: Option<DateTime<Utc>>,
    #[serde(default, skip_serializing_if = "Recent::is_empty")]
    pub(crate) recent: Recent,
    /// What an interrupted walk has read; its rows need not be sent again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) walk: Option<Walk>,
    /// Packed ids of what was sent and is not known to be gone.
    pub(crate) ids: BTreeSet<String>,
    /// There were too many ids: deletes are not seen any more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) without_ids: bool,
    /// When everything was last listed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) listed: Option<DateTime<Utc>>,
}

impl NewestFirstState {
    /// What [`Self::shed`] would take out of the state, in bytes.
    pub(super) fn weight(&self) -> usize {
        pack::weight(&self.ids).max(self.recent.weight())
    }

    pub(super) fn shed(&mut self) {
        if pack::weight(&self.ids) >= self.recent.weight() {
            self.ids.clear();
            self.without_ids = true;
        } else {
            self.recent.halve();
        }
    }

    pub(super) fn untracked(&self) -> Option<&'static str> {
        self.without_ids
            .then_some("there are too many objects for the state; their deletes are not seen")
    }

    /// What the state says.
    pub(super) fn describe(&self) -> Facts {
        let mut facts = Facts::default();
        match self.cursor {
            Some(cursor) => facts.read_up_to(cursor),
            None => facts.say("read up to", "the first reading is not over"),
        }
        if let Some(walk) = self.walk {
            let (started, reached) = (time(walk.started), time(walk.reached));
            let text = format!("interrupted: {started} down to {reached} is read");
            facts.say("walk", text);
        }
        facts.say_count("known ids", self.ids.len());
        if let Some(untracked) = self.untracked() {
            facts.say("not tracked", untracked);
        }
        facts.say_time("listed in full", self.listed);
        facts.say_count("remembered fingerprints", self.recent.len());
        facts
    }

    /// Everything is sent once more; ids stay, so that deletes are still found.
    pub(super) fn rewind(&mut self) {
        self.cursor = None;
        self.walk = None;
        self.recent = Recent::default();
    }
}

/// A walk under way: every row with an `updated` between `reached` and `started` less the margin was
/// sent (or was no news).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Walk {
    pub(crate) started: DateTime<Utc>,
    pub(crate) reached: DateTime<Utc>,
}

impl Walk {
    /// Strictly inside: rows that share `reached` may be on the next page.
    fn covers(&self, updated: DateTime<Utc>) -> bool {
        updated > self.reached && updated < self.started - MARGIN
    }
}

pub(super) struct NewestFirst {
    table: &'static Table,
    sort: &'static str,
    updated: usize,
    created: usize,
    state: NewestFirstState,
    /// What an earlier sync's walk has read.
    earlier: Option<Walk>,
    this: Option<Walk>,
    /// What is gone at the source stays here.
    keeps_history: bool,
    truncate: bool,
    phase: Phase,
    now: Option<DateTime<Utc>>,
}

enum Phase {
    Walk(OffsetWalk),
    Count,
    /// Everything, to find what is gone; ids met so far.
    Listing(OffsetWalk, BTreeSet<String>),
    LookUp(LookUp),
    Done,
}

impl NewestFirst {
    /// Goes on from `saved`, with `refill` everything is sent once more. At the first reading rows of an
    /// earlier life of the connection are marked as deleted first, unless they are history.
    pub(super) fn new(
        table: &'static Table,
        sort: &'static str,
        keeps_history: bool,
        saved: Option<(&NewestFirstState, bool)>,
    ) -> Self {
        let mut state = saved.map_or_else(NewestFirstState::default, |(state, _)| state.clone());
        if saved.is_some_and(|(_, refill)| refill) {
            state.rewind();
        }
        Self {
            table,
            sort,
            updated: position(table, "updated"),
            created: position(table, "created"),
            earlier: state.walk,
            state,
            this: None,
            keeps_history,
            truncate: saved.is_none() && !keeps_history,
            phase: Phase::Walk(OffsetWalk::default()),
            now: None,
        }
    }

    /// Whether ids are kept, to find deletes.
    fn keeps_ids(&self) -> bool {
        !self.state.without_ids && !self.keeps_history
    }

    /// Both walks as one, as far as they meet; else the earlier one, whose rows are many.
    fn covered(&self) -> Option<Walk> {
        match (self.earlier, self.this) {
            (Some(earlier), Some(this)) if this.reached < earlier.started - MARGIN => Some(Walk {
                started: this.started,
                reached: this.reached.min(earlier.reached),
            }),
            (Some(earlier), _) => Some(earlier),
            (None, this) => this,
        }
    }

    /// Whether nothing at or after `updated` can be news: the walk may end there.
    fn is_old(&self, updated: Option<DateTime<Utc>>) -> bool {
        self.state
            .cursor
            .is_some_and(|cursor| !changed_since(cursor, updated))
    }

    fn walk(
        &mut self,
        mut walk: OffsetWalk,
        page: Rows,
        step: &mut Step,
    ) -> Result<(), NoProgress> {
        let started = self
            .this
            .get_or_insert(Walk {
                started: page.now,
                reached: page.now,
            })
            .started;
        let place = walk.accept(&sorted(&page.list, self.updated), page.objects, page.limit)?;
        let mut arrived = place.ended;
        if !place.stepped_back {
            for (at, row) in page.list.into_iter().enumerate() {
                let updated = row.instant(self.updated);
                if self.is_old(updated) {
                    arrived = !place.incomplete;
                    break;
                }
                if place.fresh.contains(&at) {
                    self.take(row, updated, started, step);
                }
            }
        }
        self.phase = if arrived {
            self.state.cursor = Some(started);
            self.earlier = None;
            self.this = None;
            if self.keeps_ids() {
                Phase::Count
            } else {
                Phase::Done
            }
        } else {
            Phase::Walk(walk)
        };
        Ok(())
    }

    /// Sends a row if it is news.
    fn take(
        &mut self,
        row: Row,
        updated: Option<DateTime<Utc>>,
        started: DateTime<Utc>,
        step: &mut Step,
    ) {
        let was_sent = updated
            .is_some_and(|updated| self.earlier.is_some_and(|earlier| earlier.covers(updated)));
        if let (Some(this), Some(updated)) = (&mut self.this, updated) {
            this.reached = this.reached.min(updated);
        }
        if self.keeps_ids() {
            self.state.ids.insert(pack::id(row.id()));
        }
        if !was_sent {
            self.send(row, updated, started, step);
        }
    }

    fn send(
        &mut self,
        row: Row,
        updated: Option<DateTime<Utc>>,
        began: DateTime<Utc>,
        step: &mut Step,
    ) {
        let hash = fingerprint(&row);
        if !self.state.recent.contains(hash) {
            self.state.recent.remember(began, updated, hash);
            step.changes.push(Change::Upsert(row));
        }
    }

    /// Whether something is gone, by the number of objects.
    fn counted(&mut self, count: Option<u64>) {
        let now = self.now;
        let is_due = match (count, self.state.listed, now) {
            (Some(count), _, _) => count != self.state.ids.len() as u64,
            (None, Some(listed), Some(now)) => now - listed >= LISTING_WITHOUT_COUNT,
            (None, None, _) => {
                // The walk of a first sync was a listing.
                self.state.listed = now;
                false
            }
            (None, Some(_), None) => false,
        };
        self.phase = if is_due {
            Phase::Listing(OffsetWalk::default(), BTreeSet::new())
        } else {
            Phase::Done
        };
    }

    fn list(
        &mut self,
        mut walk: OffsetWalk,
        mut met: BTreeSet<String>,
        page: Rows,
        step: &mut Step,
    ) -> Result<(), NoProgress> {
        let place = walk.accept(&sorted(&page.list, self.created), page.objects, page.limit)?;
        for row in page.list {
            let id = pack::id(row.id());
            met.insert(id.clone());
            // One that the walk did not meet came after it, with an `updated` that the next one meets.
            if self.state.ids.insert(id) {
                let updated = row.instant(self.updated);
                self.send(row, updated, page.now, step);
            }
        }
        self.phase = if place.ended {
            self.state.listed = Some(page.now);
            let missing = self.state.ids.difference(&met);
            Phase::then(LookUp::of(missing.map(|id| pack::parse_id(id)).collect()))
        } else {
            Phase::Listing(walk, met)
        };
        Ok(())
    }

    fn accept_page(&mut self, phase: Phase, page: Rows, step: &mut Step) -> Result<(), NoProgress> {
        match phase {
            Phase::Walk(walk) => self.walk(walk, page, step),
            Phase::Listing(walk, met) => self.list(walk, met, page, step),
            Phase::LookUp(look_up) => {
                self.looked_up(look_up, &page, step);
                Ok(())
            }
            Phase::Count | Phase::Done => Ok(()),
        }
    }

    fn looked_up(&mut self, look_up: LookUp, page: &Rows, step: &mut Step) {
        let (gone, rest) = look_up.accept(page);
        for id in gone {
            self.state.ids.remove(&pack::id(&id));
            step.changes.push(Change::Delete(self.table, id));
        }
        self.phase = Phase::then(rest);
    }
}

impl Phase {
    fn then(look_up: Option<LookUp>) -> Self {
        look_up.map_or(Self::Done, Self::LookUp)
    }
}

impl Serial for NewestFirst {
    fn next(&mut self, limit: u32) -> Option<Ask> {
        let collection = collection(self.table);
        let page = |sort, offset| {
            Some(Ask::List(ListRequest {
                collection,
                sort: Some(sort),
                limit,
                offset,
                ..ListRequest::default()
            }))
        };
        match &mut self.phase {
            Phase::Walk(walk) => page(self.sort, walk.offset()),
            Phase::Count => Some(Ask::Count(CountRequest {
                collection,
                filter: Filter::default(),
                scope: None,
            })),
            // By what does not change while it is listed.
            Phase::Listing(walk, _) => page("CREATED_DESC", walk.offset()),
            Phase::LookUp(look_up) => look_up.next(self.table, limit),
            Phase::Done => None,
        }
    }

    fn accept(&mut self, answer: Answer) -> Step {
        let mut step = Step::default();
        if std::mem::take(&mut self.truncate) {
            step.changes.push(Change::Truncate(self.table));
        }
        let phase = std::mem::replace(&mut self.phase, Phase::Done);
        match (phase, answer) {
            (Phase::Count, Answer::Count(count)) => self.counted(count),
            (phase, Answer::Page(page)) => {
                self.now = Some(page.now);
                step.stuck = self.accept_page(phase, page, &mut step).err();
            }
            (phase, Answer::Count(_) | Answer::Failed) => self.phase = phase,
        }
        step
    }

    fn states(&self) -> States {
        let state = ReaderState::NewestFirst(NewestFirstState {
            walk: self.covered(),
            ..self.state.clone()
        });
        vec![(self.table.name, state)]
    }
}
