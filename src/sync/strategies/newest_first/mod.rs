//! Newest first: tables read by `updated`, descending, down to the last cursor.
//!
//! ```text
//!  newest                                                        oldest
//!  |-- this pass ... reached --|-- an interrupted pass read this --|-- cursor - margin
//! ```
//!
//! The cursor moves only when the pass is complete. A row that changes in the meantime moves to the front with an
//! `updated` after the start of the pass: the next sync finds it. Start and cursor are times that the clock by which
//! rows are updated had certainly reached, not the dates of the responses, which may be ahead of that clock.
//!
//! The ids are kept to find deletes. After the pass the number of objects is requested; only if it differs from the
//! number of known ids, everything is listed and missing objects are looked up. If the server has no counts, everything
//! is listed once a day.
//!
//! The objects that were updated last are remembered with their times. If one of them is older now, or all are gone, a
//! backup was restored, and everything is sent again. If one is gone, everything is listed.
//!
//! Gaps are remembered. Each sync tries each of them once, and sends the objects that can be read, no matter how long
//! ago they were updated.

mod deletes;
mod gap_search;
mod interrupted_pass;
mod restored_backup;
mod state;

pub(crate) use self::{interrupted_pass::InterruptedPass, state::NewestFirstState};

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};

use super::{
    emission::{Change, Emission},
    gaps::{self, Gap, Search},
    get_by_id::GetById,
    latest_objects::LatestObjects,
    listing::{collection, position, sorted, unreadable_remark},
    reader_state::ReaderState,
    request::{FetchedPage, Request, Response},
    table_sync::{SequentialSync, States},
};
use crate::{
    messages,
    prefect::{CountRequest, Filter, ListRequest},
    rows::{Row, fingerprint},
    sync::{
        NoProgress, compact_ids,
        offset::OffsetPager,
        row_clock::ahead,
        sent_fingerprints::{CLOCK_SKEW_MARGIN, changed_since},
    },
    tables::Table,
};

/// The time between two full listings if the server has no counts.
const LISTING_WITHOUT_COUNT: TimeDelta = TimeDelta::days(1);

#[expect(
    clippy::struct_excessive_bools,
    reason = "each is an independent fact about the pass"
)]
pub(super) struct NewestFirst {
    table: &'static Table,
    sort: &'static str,
    updated: usize,
    created: usize,
    state: NewestFirstState,
    /// The range that an earlier sync's pass has read.
    earlier: Option<InterruptedPass>,
    this: Option<InterruptedPass>,
    /// True if rows stay when their objects are gone at the source.
    keeps_history: bool,
    truncate: bool,
    phase: Phase,
    now: Option<DateTime<Utc>>,
    /// The date of this sync's first response.
    began: Option<DateTime<Utc>>,
    /// The time by which the dates of the responses are ahead of the rows, as far as rows show.
    ahead: Option<TimeDelta>,
    /// The gaps that this sync has found; the other gaps of the state must still be searched for.
    found_gaps: Vec<Gap>,
    /// The objects of the previous page: packed ids and times.
    page_before: Vec<(String, Option<DateTime<Utc>>)>,
    /// True if the unreadable objects are not those of the previous sync.
    gaps_changed: bool,
    /// The number of rows that moved to the front: unchanged objects are that much further back.
    moved: u64,
    /// The last count.
    count: Option<u64>,
    /// The objects that were updated last.
    latest_objects: LatestObjects,
    /// True if the first page was requested again, because it should hold more.
    has_doubted: bool,
    /// The same for the look-up of the objects that were updated last.
    has_doubted_latest: bool,
}

enum Phase {
    Pass(OffsetPager),
    /// The look-up of objects that were updated last and were not on the first page; their number.
    Latest(Box<ListRequest>, usize),
    /// The search for a gap that was known before.
    Unreadable(Box<Search>),
    Count,
    /// The listing of everything, to find what is gone, and the packed ids seen so far.
    Listing(OffsetPager, BTreeSet<String>),
    LookUp(GetById),
    Done,
}

impl NewestFirst {
    /// Continues from `saved`; if its flag is set, everything is sent again. The first reading begins with a truncate,
    /// unless rows are history: rows from before a re-sync become soft-deleted.
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
        let latest = state.newest.clone();
        Self {
            table,
            sort,
            updated: position(table, "updated"),
            created: position(table, "created"),
            earlier: state.interrupted,
            state,
            this: None,
            keeps_history,
            truncate: saved.is_none() && !keeps_history,
            phase: Phase::Pass(OffsetPager::default()),
            now: None,
            began: None,
            ahead: None,
            found_gaps: Vec::new(),
            page_before: Vec::new(),
            gaps_changed: false,
            moved: 0,
            count: None,
            latest_objects: LatestObjects::new(latest),
            has_doubted: false,
            has_doubted_latest: false,
        }
    }

    /// Returns true, once, if a first page that ends the listing must be requested again. Such a page lacks known
    /// objects, or nothing is known yet.
    fn is_doubtful(&mut self, page: &FetchedPage, offset: u64) -> bool {
        let is_whole = offset == 0 && page.objects < page.limit as usize;
        if self.has_doubted || !is_whole {
            return false;
        }
        let is_unknown = self.state.newest.is_empty() && !self.state.was_empty;
        let ids: BTreeSet<String> = page
            .list
            .iter()
            .map(|row| compact_ids::id(row.id()))
            .collect();
        let mut newest = self.state.newest.keys();
        let is_short = newest.any(|id| !ids.contains(id))
            || (self.keeps_ids() && self.state.ids.len() > page.objects);
        self.has_doubted = is_short || is_unknown;
        self.has_doubted
    }

    /// Returns true if ids are kept, to find deletes.
    fn keeps_ids(&self) -> bool {
        !self.state.without_ids && !self.keeps_history
    }

    /// Returns both ranges as one if they overlap; else the earlier one, which has many rows.
    fn covered(&self) -> Option<InterruptedPass> {
        match (self.earlier, self.this) {
            (Some(earlier), Some(this)) if this.reached < earlier.started - CLOCK_SKEW_MARGIN => {
                Some(InterruptedPass {
                    started: this.started,
                    reached: this.reached.min(earlier.reached),
                })
            }
            (Some(earlier), _) => Some(earlier),
            (None, this) => this,
        }
    }

    /// Returns true if no row with this `updated` or an earlier one can have changed: the pass may end.
    fn is_old(&self, updated: Option<DateTime<Utc>>) -> bool {
        self.state
            .cursor
            .is_some_and(|cursor| !changed_since(cursor, updated))
    }

    fn take_page(
        &mut self,
        mut pager: OffsetPager,
        page: FetchedPage,
        emission: &mut Emission,
    ) -> Result<(), NoProgress> {
        // There are rows between the row clock and the date of the response, too.
        let InterruptedPass { started, reached } = *self.this.get_or_insert(InterruptedPass {
            started: page.now,
            reached: self.now.unwrap_or(page.now),
        });
        let offset = pager.offset();
        if self.is_doubtful(&page, offset) {
            self.phase = Phase::Pass(pager);
            return Ok(());
        }
        let place = pager.around(&page.gaps).accept(
            &sorted(&page.list, self.updated),
            page.objects,
            page.limit,
        )?;
        let mut arrived = place.ended;
        if !place.stepped_back {
            if offset == 0 {
                self.compare_latest(&page);
            }
            let readable = self.settle_gaps(&page, offset, reached);
            let mut is_past = false;
            for (at, row) in page.list.into_iter().enumerate() {
                let updated = row.instant(self.updated);
                if readable.contains(row.id()) {
                    self.take_readable(row, updated, started, emission);
                } else if is_past || self.is_old(updated) {
                    is_past = true;
                } else if place.fresh.contains(&at) {
                    self.send_if_changed(row, updated, started, emission);
                }
            }
            if is_past {
                arrived = !place.incomplete;
            }
        }
        self.phase = if arrived {
            // Without any object the cursor stays, so that nothing is lost if the response was wrong.
            self.state.was_empty = self.latest_objects.times().is_empty();
            if !self.state.was_empty {
                self.state.cursor = Some(started);
                self.state.read = self.began;
            }
            emission.warnings.extend(self.ahead_sentence());
            self.earlier = None;
            self.this = None;
            self.state.newest.clone_from(self.latest_objects.times());
            self.look_for_latest()
        } else {
            Phase::Pass(pager)
        };
        Ok(())
    }

    /// Returns the warning about a row that the last pass should have found, by the dates of the responses.
    fn ahead_sentence(&mut self) -> Option<String> {
        let minutes = self.ahead.take()?.num_minutes();
        Some(messages::DATES_AHEAD.format(format_args!(
            "table {}: a row was updated {minutes} minutes before the last sync, according to the dates of Prefect's responses, but was not listed then: the clock that dates the responses is ahead of the clock that dates the updates of rows; no row of this table is lost",
            self.table.name
        )))
    }

    /// Sends a row if it is new or changed.
    fn send_if_changed(
        &mut self,
        row: Row,
        updated: Option<DateTime<Utc>>,
        started: DateTime<Utc>,
        emission: &mut Emission,
    ) {
        let was_sent = updated
            .is_some_and(|updated| self.earlier.is_some_and(|earlier| earlier.covers(updated)));
        if let (Some(this), Some(updated)) = (&mut self.this, updated) {
            this.reached = this.reached.min(updated);
        }
        let is_new = self.is_new(&row);
        let sent = emission.changes.len();
        if is_new || !was_sent {
            self.send(row, is_new, (updated, started), emission);
        }
        let is_news = emission.changes.len() > sent;
        if is_news || was_sent {
            self.moved += 1;
        }
        if is_news {
            self.ahead = self
                .ahead
                .max(ahead(self.state.read, updated, CLOCK_SKEW_MARGIN));
        }
    }

    /// Records the id of a row, if ids are kept; returns true if the id was not known.
    fn is_new(&mut self, row: &Row) -> bool {
        self.keeps_ids() && self.state.ids.insert(compact_ids::id(row.id()))
    }

    /// Sends a row, unless the same row was sent recently. A row with a new id is always sent: the object may have been
    /// deleted since, and have returned unchanged.
    fn send(
        &mut self,
        row: Row,
        is_new: bool,
        (updated, began): (Option<DateTime<Utc>>, DateTime<Utc>),
        emission: &mut Emission,
    ) {
        for gap in &mut self.state.unreadable {
            gap.note_sent(row.id(), updated);
        }
        let hash = fingerprint(&row);
        if is_new || !self.state.recent.contains(hash) {
            self.state
                .recent
                .insert_if_within_margin(began, updated, hash);
            emission.changes.push(Change::Upsert(row));
        }
    }

    fn accept_page(
        &mut self,
        phase: Phase,
        page: FetchedPage,
        emission: &mut Emission,
    ) -> Result<(), NoProgress> {
        match phase {
            Phase::Pass(pager) => self.take_page(pager, page, emission),
            Phase::Latest(request, requested) => {
                if page.objects == 0 && !std::mem::replace(&mut self.has_doubted_latest, true) {
                    self.phase = Phase::Latest(request, requested);
                } else {
                    self.latest_found(requested, &page);
                }
                Ok(())
            }
            Phase::Unreadable(search) => {
                self.probe(search, Some(page), emission);
                Ok(())
            }
            Phase::Listing(pager, listed) => self.list(pager, listed, page, emission),
            Phase::LookUp(by_id) => {
                self.looked_up(by_id, &page, emission);
                Ok(())
            }
            Phase::Count | Phase::Done => Ok(()),
        }
    }

    /// Returns the request for a page by `updated`, to be read around the known gaps on that page.
    fn ask(&self, request: ListRequest) -> Request {
        let known = gaps::on_page(&self.state.unreadable, None, request.offset, request.limit);
        if known.is_empty() {
            return Request::List(request);
        }
        Request::ListAround(request, known.into_iter().map(Gap::into_known).collect())
    }
}

impl SequentialSync for NewestFirst {
    fn next(&mut self, limit: u32) -> Option<Request> {
        let collection = collection(self.table);
        let page = |sort, offset| ListRequest {
            collection,
            sort: Some(sort),
            limit,
            offset,
            ..ListRequest::default()
        };
        match &mut self.phase {
            Phase::Pass(pager) => {
                let request = page(self.sort, pager.offset());
                Some(self.ask(request))
            }
            Phase::Latest(request, _) => Some(Request::Try((**request).clone())),
            Phase::Unreadable(search) => Some(Request::Try(ListRequest {
                limit: search.limit(),
                ..page(self.sort, search.at())
            })),
            Phase::Count => Some(Request::Count(CountRequest {
                collection,
                filter: Filter::default(),
                scope: None,
            })),
            // The listing is sorted by a column that does not change in the meantime.
            Phase::Listing(pager, _) => Some(Request::List(page("CREATED_DESC", pager.offset()))),
            Phase::LookUp(by_id) => by_id.next(self.table, limit),
            Phase::Done => None,
        }
    }

    fn accept(&mut self, answer: Response) -> Emission {
        let mut emission = Emission::default();
        if std::mem::take(&mut self.truncate) {
            emission.changes.push(Change::Truncate(self.table));
        }
        let phase = std::mem::replace(&mut self.phase, Phase::Done);
        match (phase, answer) {
            (Phase::Count, Response::Count(count)) => self.counted(count, &mut emission),
            (phase, Response::Page(mut page)) => {
                self.now = Some(page.now);
                self.began.get_or_insert(page.now);
                page.now = page.mark;
                emission.stuck = self.accept_page(phase, page, &mut emission).err();
            }
            // One of the objects cannot be read: the count shows whether others are gone.
            (Phase::Latest(..), Response::Failed) => self.phase = self.next_gap(),
            (Phase::Unreadable(search), Response::Failed) => {
                self.probe(search, None, &mut emission);
            }
            (phase, Response::Count(_) | Response::Failed) => self.phase = phase,
        }
        emission
    }

    fn states(&self) -> States {
        let mut unreadable = self.found_gaps.clone();
        unreadable.extend(self.state.unreadable.iter().cloned());
        if let Phase::Unreadable(search) = &self.phase {
            unreadable.push(search.gap.clone());
        }
        let state = ReaderState::NewestFirst(NewestFirstState {
            interrupted: self.covered(),
            unreadable,
            ..self.state.clone()
        });
        vec![(self.table.name, state)]
    }

    fn remarks(&self) -> Vec<String> {
        let count = gaps::objects(&self.found_gaps);
        let restored = self.latest_objects.is_restored.then(|| {
            messages::RESTORED.format(format_args!(
                "table {}: the objects that were updated last are older than at the last sync, or gone, as after the restore of a backup: everything is sent again",
                self.table.name
            ))
        });
        let unreadable = unreadable_remark(self.table, count);
        unreadable.into_iter().chain(restored).collect()
    }
}
