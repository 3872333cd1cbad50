//! Snapshot: each sync lists the whole table. A row is sent when its fingerprint is new. An object is deleted when a
//! complete listing does not have it and a look-up by its id does not find it either.
//!
//! One listing may supply several tables: the objects themselves, and tables whose rows are parts of the objects. A
//! part is deleted when no object of a complete listing has it.
//!
//! A listing that may leave objects out is followed by a second listing; objects that are new or changed there are
//! looked up by id.
//!
//! The state keeps what was sent as long as there is room: ids with fingerprints; else hashes alone (deletes are not
//! seen); else only the hashes of rows updated just before they were sent (a row is sent when its `updated` moves).

mod output;
mod state;

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use self::output::Output;
use super::{
    emission::Emission,
    gaps::{self, Gap},
    get_by_id::{GetById, way},
    listing::{collection, full_listing, position, unreadable_remark},
    reader_state::ReaderState,
    request::{FetchedPage, Request, Response},
    table_sync::{SequentialSync, StartContext, States},
};
use crate::{
    messages,
    prefect::ListRequest,
    rows::{Row, SecondRows},
    sync::{
        NoProgress, compact_ids,
        offset::{OffsetPager, Sorted, by_text, by_time},
    },
    tables::{self, ColumnType, PerParent, Strategy, Table},
};

pub(crate) use state::{SnapshotState, Unreadable};

pub(super) struct Snapshot {
    source: &'static Table,
    outputs: Vec<Output>,
    /// The second listing, if the table has one.
    second: Option<SecondRows>,
    /// Ids of objects that only the second listing has, and that are new or changed.
    left_out: BTreeSet<String>,
    /// The time at which this sync's listing began.
    began: Option<DateTime<Utc>>,
    /// True if some objects could not be read: missing rows may be among or inside them.
    has_gaps: bool,
    /// The unreadable objects of the last listing.
    before: Unreadable,
    /// The unreadable objects of this listing.
    found: Unreadable,
    /// Names of objects for whose own listing there is no URL.
    without_address: BTreeSet<String>,
    /// True while everything is listed for the second time.
    is_second: bool,
    /// True if an object exists that the listing did not have.
    was_incomplete: bool,
    phase: Phase,
}

enum Phase {
    /// The listing of the objects that have a listing each, and their names so far.
    Parents(OffsetPager, Vec<String>),
    Listing(Listing),
    /// The second listing, for objects that the first one left out.
    Second(OffsetPager),
    /// The look-up of objects that the listing did not have.
    LookUp(GetById),
    Done,
}

/// A listing, or one of several.
#[derive(Default)]
struct Listing {
    pager: OffsetPager,
    /// The name of the object to which the listing belongs.
    of: Option<String>,
    /// The names of the objects whose listings follow.
    rest: Vec<String>,
}

impl Snapshot {
    pub(super) fn new(start: &StartContext<'_>) -> Self {
        let source = start.group.source;
        let tables = start.group.tables.iter().zip(&start.saved);
        let outputs = tables.map(|(selected, saved)| {
            let saved = match saved {
                Some((ReaderState::Snapshot(state), refill)) => Some((state, *refill)),
                _ => None,
            };
            Output::new(selected.table, start.context, saved)
        });
        let outputs: Vec<Output> = outputs.collect();
        let known = outputs.iter().map(|output| &output.state.unreadable);
        let before = known.max_by_key(|known| known.gaps.len());
        let mut snapshot = Self {
            source,
            before: before.cloned().unwrap_or_default(),
            found: Unreadable::default(),
            without_address: BTreeSet::new(),
            outputs,
            second: SecondRows::new(source, start.context),
            left_out: BTreeSet::new(),
            began: None,
            has_gaps: false,
            is_second: false,
            was_incomplete: false,
            phase: Phase::Done,
        };
        snapshot.phase = snapshot.begin();
        snapshot
    }

    /// Returns true if nothing was listed before. In that case each of several listings is requested again if it is
    /// empty.
    fn is_first(&self) -> bool {
        let mut outputs = self.outputs.iter();
        outputs.any(|output| output.state.listed.is_none())
    }

    fn begin(&self) -> Phase {
        let mut states = self.outputs.iter().map(|output| &output.state);
        let is_inhabited = states.any(SnapshotState::is_inhabited);
        let is_listed = !matches!(self.source.strategy, Strategy::Server);
        let pager = OffsetPager::inhabited(is_listed && is_inhabited);
        match each(self.source) {
            Some(_) => Phase::Parents(pager, Vec::new()),
            None => Phase::Listing(Listing {
                pager,
                ..Listing::default()
            }),
        }
    }

    /// Lists everything again; returns false if that was done already.
    fn begin_again(&mut self) -> bool {
        let is_due = !self.is_second;
        if is_due {
            self.is_second = true;
            self.found = Unreadable::default();
            self.left_out.clear();
            self.phase = self.begin();
        }
        is_due
    }

    fn take_rows(&mut self, rows: &[Row], began: DateTime<Utc>, emission: &mut Emission) {
        for output in &mut self.outputs {
            for row in rows {
                output.take_object(row, began, emission);
            }
        }
    }

    fn parents(
        &mut self,
        each: PerParent,
        (mut pager, mut names): (OffsetPager, Vec<String>),
        page: &FetchedPage,
    ) -> Result<(), NoProgress> {
        let place = pager.around(&page.gaps).accept(
            &sorted(each.table, &page.list),
            page.objects,
            page.limit,
        )?;
        let by = position(each.table, each.key_column);
        let fresh = page.list.iter().enumerate();
        let fresh = fresh.filter(|(at, _)| place.fresh.contains(at));
        for (_, row) in fresh {
            let Some(name) = row.text(by) else { continue };
            if is_dots(&name) {
                self.has_gaps = true;
                self.without_address.insert(name.into_owned());
            } else {
                names.push(name.into_owned());
            }
        }
        self.has_gaps |= !page.gaps.is_empty();
        self.phase = if place.ended {
            Phase::next_of(names, self.is_first())
        } else {
            Phase::Parents(pager, names)
        };
        Ok(())
    }

    fn listed(
        &mut self,
        mut listing: Listing,
        page: FetchedPage,
        emission: &mut Emission,
    ) -> Result<(), NoProgress> {
        let began = *self.began.get_or_insert(page.now);
        let sorted = sorted(self.source, &page.list);
        let place = listing
            .pager
            .around(&page.gaps)
            .accept(&sorted, page.objects, page.limit)?;
        if !place.stepped_back {
            for gap in gaps::of_page(&page, listing.of.as_deref()) {
                gaps::add(&mut self.found.gaps, gap.clone());
                // The state keeps the gaps of an interrupted listing, too.
                for output in &mut self.outputs {
                    gaps::add(&mut output.state.unreadable.gaps, gap.clone());
                }
            }
        }
        let fresh = page.list.into_iter().enumerate();
        let fresh = fresh.filter(|(at, _)| place.fresh.contains(at));
        let fresh: Vec<Row> = fresh.map(|(_, row)| row).collect();
        self.take_rows(&fresh, began, emission);
        self.has_gaps |= !page.gaps.is_empty();
        self.phase = if !place.ended {
            Phase::Listing(listing)
        } else if !listing.rest.is_empty() {
            Phase::next_of(listing.rest, self.is_first())
        } else if self.second.is_some() {
            Phase::Second(OffsetPager::inhabited(self.is_first()))
        } else {
            Phase::Done
        };
        if matches!(self.phase, Phase::Done) {
            self.all_listed(emission);
        }
        Ok(())
    }

    /// Takes a page of the second listing; objects that are new or changed there will be looked up.
    fn second_listed(
        &mut self,
        mut pager: OffsetPager,
        page: &FetchedPage,
        emission: &mut Emission,
    ) -> Result<(), NoProgress> {
        // This server does not have the second listing, or does not show it: the first one must suffice.
        if page.objects == 0 && !page.gaps.is_empty() {
            self.second = None;
        }
        let Some(second) = &self.second else {
            self.all_listed(emission);
            return Ok(());
        };
        let sorted = sorted(second.source(), &page.list);
        let place = pager
            .around(&page.gaps)
            .accept(&sorted, page.objects, page.limit)?;
        let fresh = place.fresh.iter().filter_map(|at| page.list.get(*at));
        for row in fresh.filter_map(|row| second.convert(row)) {
            let mut outputs = self.outputs.iter_mut();
            if outputs.any(|output| output.is_whole() && !output.meets(&row)) {
                self.left_out.insert(row.id().to_owned());
            }
        }
        self.has_gaps |= !page.gaps.is_empty();
        if place.ended {
            self.all_listed(emission);
        } else {
            self.phase = Phase::Second(pager);
        }
        Ok(())
    }

    fn accept_page(
        &mut self,
        page: FetchedPage,
        emission: &mut Emission,
    ) -> Result<(), NoProgress> {
        match std::mem::replace(&mut self.phase, Phase::Done) {
            Phase::Parents(pager, names) => {
                self.began.get_or_insert(page.now);
                if let Some(each) = each(self.source) {
                    self.parents(each, (pager, names), &page)?;
                }
                if matches!(self.phase, Phase::Done) {
                    self.all_listed(emission);
                }
            }
            Phase::Listing(listing) => self.listed(listing, page, emission)?,
            Phase::Second(pager) => self.second_listed(pager, &page, emission)?,
            Phase::LookUp(by_id) => self.looked_up(by_id, &page, emission),
            Phase::Done => {}
        }
        Ok(())
    }

    /// Looks up the missing objects after a complete listing, if the table has look-ups.
    fn all_listed(&mut self, emission: &mut Emission) {
        let whole = self.outputs.iter().find(|output| output.is_whole());
        let mut missing = whole.map(Output::missing).unwrap_or_default();
        missing.retain(|id| !self.left_out.contains(id));
        missing.extend(self.left_out.iter().cloned());
        let is_enough = gaps::objects(&self.found.gaps) >= self.before.ids.len() as u64;
        if is_enough && gaps::are_same(&self.before.gaps, &self.found.gaps) {
            // As the same objects cannot be read, the known ones among them are the same, too.
            self.found.ids.clone_from(&self.before.ids);
            missing.retain(|id| !self.before.ids.contains(&compact_ids::id(id)));
        }
        if way(self.source) == tables::LookUp::None || whole.is_none() {
            // Only a second listing can confirm that the first one was complete.
            let mut outputs = self.outputs.iter();
            let is_doubtful = !self.has_gaps && outputs.any(|output| !output.missing().is_empty());
            if !(is_doubtful && self.begin_again()) {
                self.finish(emission);
            }
            return;
        }
        match GetById::new(missing) {
            Some(by_id) => self.phase = Phase::LookUp(by_id),
            None => self.finish(emission),
        }
    }

    fn looked_up(&mut self, by_id: GetById, page: &FetchedPage, emission: &mut Emission) {
        let alone = by_id.unreadable(page).map(compact_ids::id);
        self.found.ids.extend(alone);
        let (gone, rest) = by_id.accept(page);
        let mut found = page.list.iter();
        self.was_incomplete |= found.any(|row| !self.left_out.contains(row.id()));
        let began = self.began.unwrap_or(page.now);
        self.take_rows(&page.list, began, emission);
        self.has_gaps |= !page.gaps.is_empty();
        for output in self.outputs.iter_mut().filter(|output| output.is_whole()) {
            output.delete(gone.clone(), emission);
        }
        match rest {
            Some(rest) => self.phase = Phase::LookUp(rest),
            // The listing may lack further objects that are not known.
            None if self.was_incomplete && !self.has_gaps && self.begin_again() => {}
            None => self.finish(emission),
        }
    }

    /// Completes the tables after all objects were read; deletes missing rows that are not looked up.
    fn finish(&mut self, emission: &mut Emission) {
        let Some(began) = self.began else { return };
        let can_look_up = way(self.source) != tables::LookUp::None;
        for output in &mut self.outputs {
            let is_told = output.is_whole() && can_look_up;
            if !is_told && !self.has_gaps {
                output.delete(output.missing(), emission);
            }
            output.complete(began, &self.found);
        }
    }

    /// Returns the request for a page of a listing, to be read around the known gaps on that page.
    fn ask(&self, request: ListRequest) -> Request {
        let (of, offset) = (request.parent.as_deref(), request.offset);
        let known = gaps::on_page(&self.before.gaps, of, offset, request.limit);
        if known.is_empty() {
            return Request::List(request);
        }
        let known = known.into_iter().map(Gap::into_known).collect();
        Request::ListAround(request, known)
    }
}

impl Phase {
    /// Returns the phase that lists the next of these objects.
    fn next_of(mut rest: Vec<String>, is_first: bool) -> Self {
        match rest.pop() {
            Some(of) => Self::Listing(Listing {
                pager: OffsetPager::inhabited(is_first),
                of: Some(of),
                rest,
            }),
            None => Self::Done,
        }
    }
}

/// Returns true for a name that URLs resolve away, even percent-encoded (WHATWG URL, "double-dot path segment").
fn is_dots(name: &str) -> bool {
    matches!(name, "." | "..")
}

fn each(table: &Table) -> Option<PerParent> {
    match table.strategy {
        Strategy::Snapshot(listing) => listing.each,
        _ => None,
    }
}

/// Returns the sort keys of the rows of a full listing of `table`.
fn sorted<'a>(table: &'static Table, rows: &'a [Row]) -> Vec<Sorted<'a>> {
    let (_, order) = full_listing(table);
    let at = position(table, order);
    let is_time = table.columns.get(at).map(|column| column.kind) == Some(ColumnType::UtcDatetime);
    let key = |row: &'a Row| {
        if is_time {
            by_time(row.id(), row.instant(at))
        } else {
            by_text(row.id(), &row.text(at).unwrap_or_default())
        }
    };
    rows.iter().map(key).collect()
}

impl SequentialSync for Snapshot {
    fn next(&mut self, limit: u32) -> Option<Request> {
        let list = |table, pager: &OffsetPager, parent: Option<String>| ListRequest {
            collection: collection(table),
            parent,
            sort: full_listing(table).0,
            limit,
            offset: pager.offset(),
            ..ListRequest::default()
        };
        match &mut self.phase {
            Phase::Parents(pager, _) => Some(Request::Parents(list(
                each(self.source)?.table,
                pager,
                None,
            ))),
            Phase::Listing(_) if matches!(self.source.strategy, Strategy::Server) => {
                Some(Request::Server)
            }
            Phase::Listing(listing) => {
                let request = list(self.source, &listing.pager, listing.of.clone());
                Some(self.ask(request))
            }
            Phase::Second(pager) => {
                let of = self.second.as_ref()?.source();
                Some(Request::Second(list(of, pager, None)))
            }
            Phase::LookUp(by_id) => by_id.next(self.source, limit),
            Phase::Done => None,
        }
    }

    fn accept(&mut self, answer: Response) -> Emission {
        let mut emission = Emission::default();
        let Response::Page(page) = answer else {
            return emission;
        };
        for output in &mut self.outputs {
            output.begin(&mut emission);
        }
        emission.stuck = self.accept_page(page, &mut emission).err();
        emission
    }

    fn states(&self) -> States {
        let outputs = self.outputs.iter();
        outputs
            .map(|output| {
                let state = ReaderState::Snapshot(output.state.clone());
                (output.table.name, state)
            })
            .collect()
    }

    fn remarks(&self) -> Vec<String> {
        let count = gaps::objects(&self.found.gaps);
        let unreadable = unreadable_remark(self.source, count);
        let table = self.source.name;
        let without_address = self.without_address.iter().map(|name| {
            messages::NO_ADDRESS.format(format_args!(
                "table {table}: the objects that belong to `{name}` cannot be read: no URL can contain that name as a part of its path; rename it in Prefect"
            ))
        });
        unreadable.into_iter().chain(without_address).collect()
    }
}
