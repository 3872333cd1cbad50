//! Runs that the server cannot answer for: where they lie is remembered, and looked at again in each
//! sync, with one question that is not repeated. Where they are on the pages of each listing is remembered, too, so that
//! these are cut around them at once.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::{
    super::gaps::{self, Between, Found, Gap, Probe, Search, Side},
    Ask, Phase, Rows, Runs, Step,
    desk::Rule,
    state::RunsState,
    tail::ended_after_a_start,
    without_ranges::What,
};
use crate::{
    messages,
    prefect::{Filter, ListRequest, TimeRange},
    rows::Row,
    sync::{
        pack,
        value_walk::{Tau, latest},
    },
};

/// So many places are remembered.
const MOST: usize = 100;

/// A place with a run that could not be read, between its neighbours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Unreadable {
    tau: Tau,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    after: Option<DateTime<Utc>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    before: Option<DateTime<Utc>>,
    /// The neighbours at its bounds, which were read: packed ids and times.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    known: BTreeMap<String, DateTime<Utc>>,
    /// How many runs it stands for.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    count: u32,
    /// This sync has asked for them already.
    #[serde(skip)]
    is_met: bool,
}

const fn one() -> u32 {
    1
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands over a reference"
)]
fn is_one(count: &u32) -> bool {
    *count == 1
}

/// A listing by offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ByOffsetOf {
    /// Runs that ended, by their end.
    Tail,
    /// All of them, by their expected start.
    All,
}

impl ByOffsetOf {
    fn of(gap: &Gap) -> Self {
        match gap.of.as_deref() {
            Some("all") => Self::All,
            _ => Self::Tail,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Tail => "tail",
            Self::All => "all",
        }
    }

    fn tau(self) -> Tau {
        match self {
            Self::Tail => Tau::EndTime,
            Self::All => Tau::ExpectedStartTime,
        }
    }

    fn filter(self) -> Filter {
        match self {
            Self::Tail => ended_after_a_start(),
            Self::All => Filter::default(),
        }
    }
}

impl Unreadable {
    /// The same in a listing by offset, for a server that no longer filters by time (one that was downgraded).
    fn into_gap(self) -> Gap {
        let listing = match self.tau {
            Tau::EndTime => ByOffsetOf::Tail,
            Tau::ExpectedStartTime | Tau::Timestamp => ByOffsetOf::All,
        };
        let between = Between {
            oldest: self.after,
            newest: self.before,
            known: self.known,
            count: 1,
        };
        Gap::never_read(listing.name(), between, self.count)
    }

    fn overlaps(&self, other: &Self) -> bool {
        // Two places may have the run between them in common; but a place may be as small as one time.
        let ends_before = |one: &Self, two: &Self| match (one.before, two.after) {
            (Some(before), Some(after)) if before == after => {
                one.after != one.before && two.after != two.before
            }
            (Some(before), Some(after)) => before < after,
            _ => false,
        };
        self.tau == other.tau && !ends_before(self, other) && !ends_before(other, self)
    }
}

impl RunsState {
    /// Remembers a place in a listing by offset whose objects were never read.
    fn note_never_read(&mut self, gap: Gap) {
        let has_room = self.offset_gaps.len() < MOST;
        let same = self.offset_gaps.iter_mut().find(|other| {
            let both = gap.between.as_ref().zip(other.between.as_ref());
            other.of == gap.of && both.is_some_and(|(one, other)| one.meets(other))
        });
        match same {
            Some(same) => same.since = None,
            None if has_room => self.offset_gaps.push(gap),
            None => {}
        }
    }

    /// The number of objects in the places of listings by offset; one is in a place of each listing.
    fn unreadable_by_offset(&self) -> u64 {
        let of = |listing: ByOffsetOf| {
            let gaps = self.offset_gaps.iter();
            let gaps = gaps.filter(|gap| gap.of.as_deref() == Some(listing.name()));
            gaps.map(|gap| u64::from(gap.count)).sum::<u64>()
        };
        of(ByOffsetOf::Tail).max(of(ByOffsetOf::All))
    }
}

impl Runs {
    /// Where objects are missing on a page that was asked for within `range`.
    fn places(&self, tau: Tau, range: TimeRange, page: &Rows) -> Vec<Unreadable> {
        let value = |row: &Row| self.desk.value(row, tau);
        let is_last = page.objects < page.limit as usize;
        let mut found: Vec<Unreadable> = Vec::new();
        let mut last_gap = None;
        for gap in &page.gaps {
            if let (Some(place), true) = (found.last_mut(), last_gap == Some(gap)) {
                place.count += 1;
                continue;
            }
            let before = match gap.checked_sub(1) {
                Some(at) => page.list.get(at).and_then(value),
                None => range.before,
            };
            let after = page.list.get(*gap).map(value);
            let after = match after {
                // The next page begins before it.
                None if !is_last => continue,
                Some(after) => after,
                None => range.after,
            };
            let at_a_bound = |row: &Row| {
                let time = value(row).filter(|time| [before, after].contains(&Some(*time)))?;
                Some((pack::id(row.id()), time))
            };
            let known = page.list.iter().filter_map(at_a_bound);
            last_gap = Some(gap);
            found.push(Unreadable {
                tau,
                after,
                before,
                known: known.collect(),
                count: 1,
                is_met: true,
            });
        }
        found
    }

    /// Remembers where objects are missing on a page of all runs within a range.
    pub(super) fn note_gaps(&mut self, tau: Tau, range: TimeRange, page: &Rows) {
        for place in self.places(tau, range, page) {
            let list = &mut self.state.unreadable;
            // A run with the very time of the last row of the page before.
            let same = list.iter_mut().find(|other| {
                other.tau == tau
                    && place.before == range.before
                    && other.after.is_some()
                    && other.after == place.before
            });
            if let Some(same) = same {
                same.after = place.after;
                same.known.extend(place.known);
                same.is_met = true;
            } else if self.note_met(&place) < place.count {
                let list = &mut self.state.unreadable;
                list.retain(|other| !other.overlaps(&place));
                if list.len() < MOST {
                    list.push(place);
                }
            }
        }
    }

    /// Notes which of the known places this sync has asked for already, because objects are missing on a page of open
    /// runs.
    pub(super) fn note_open_gaps(&mut self, tau: Tau, range: TimeRange, page: &Rows) {
        for place in self.places(tau, range, page) {
            self.note_met(&place);
        }
    }

    /// Counts the runs that are known at a place; if there are no more than were missing, these were asked for.
    fn note_met(&mut self, place: &Unreadable) -> u32 {
        let list = self.state.unreadable.iter_mut();
        let known: Vec<&mut Unreadable> = list.filter(|other| other.overlaps(place)).collect();
        let count = known.iter().map(|other| other.count).sum();
        if count <= place.count {
            for other in known {
                other.is_met = true;
            }
        }
        count
    }

    /// The next place from `at` on that this sync has not asked for.
    fn next_unmet(&self, at: usize) -> Option<Phase> {
        let places = self.state.unreadable.iter().enumerate().skip(at);
        let mut unmet = places.filter(|(_, place)| !place.is_met);
        unmet.next().map(|(at, _)| Phase::Unreadable { at })
    }

    pub(super) fn plan_unreadable(&mut self) -> Option<Phase> {
        // A server that was downgraded may no longer filter by the time of a place.
        let (without_ranges, refuses_ends) =
            (self.state.without_ranges, self.state.refused.is_some());
        let places = std::mem::take(&mut self.state.unreadable);
        for place in places {
            if without_ranges || (refuses_ends && place.tau == Tau::EndTime) {
                self.state.note_never_read(place.into_gap());
            } else {
                self.state.unreadable.push(place);
            }
        }
        self.next_unmet(0).or_else(|| self.next_search(0))
    }

    fn next_search(&self, at: usize) -> Option<Phase> {
        let gap = self.state.offset_gaps.get(at)?.clone();
        let search = Box::new(Search::new(gap, 0));
        Some(Phase::Search { at, search })
    }

    /// Remembers where objects are missing on a page of a listing by offset; what changed before `read` was sent.
    pub(super) fn note_offset_gaps(
        &mut self,
        listing: ByOffsetOf,
        page: &Rows,
        read: Option<DateTime<Utc>>,
    ) {
        let tau = listing.tau();
        let newest = match listing {
            ByOffsetOf::Tail => page.now,
            ByOffsetOf::All => latest(),
        };
        let met = gaps::of_page_by_time(page, |row| self.desk.value(row, tau), newest);
        for mut gap in met {
            gap.of = Some(listing.name().to_owned());
            let list = &mut self.state.offset_gaps;
            let is_same = |other: &Gap| {
                let both = gap.between.as_ref().zip(other.between.as_ref());
                other.of == gap.of && both.is_some_and(|(one, other)| one.meets(other))
            };
            let before: Vec<Gap> = list
                .iter()
                .filter(|other| is_same(other))
                .cloned()
                .collect();
            if gaps::objects(&before) > u64::from(gap.count) {
                continue;
            }
            list.retain(|other| !is_same(other));
            gaps::note_readings(&mut gap, &before, (read, None), false);
            if list.len() < MOST {
                list.push(gap);
            }
        }
    }

    /// The question for what is at `offset` of the listing in which the place `at` is.
    pub(super) fn ask_by_offset(&self, at: usize, offset: u64) -> Option<Ask> {
        let listing = ByOffsetOf::of(self.state.offset_gaps.get(at)?);
        Some(Ask::Try(ListRequest {
            collection: super::collection(self.table),
            sort: Some(listing.tau().sort()),
            limit: 1,
            offset,
            filter: listing.filter(),
            scope: self.choices.scope.clone(),
            ..ListRequest::default()
        }))
    }

    /// Takes what is there; `None`: the server still has no answer.
    pub(super) fn searched(
        &mut self,
        (at, mut search): (usize, Box<Search>),
        page: Option<Rows>,
        step: &mut Step,
    ) {
        let probe = match page.map(|page| (page.now, page.list.into_iter().next())) {
            None => Probe::Failed,
            Some((_, None)) => Probe::End,
            Some((now, Some(row))) => {
                let time = self.desk.value(&row, ByOffsetOf::of(&search.gap).tau());
                let between = search.gap.between.as_ref();
                let side = between.map_or(Side::Older, |it| it.side(row.id(), time));
                if side == Side::Inside {
                    search.pass(row.id(), time);
                    let since = search.gap.since_of(row.id(), time);
                    let rule = since.map_or(Rule::Always, Rule::Since);
                    self.offer_all(vec![row], now, |_, _| rule, step);
                }
                Probe::Row(side)
            }
        };
        let gaps = &mut self.state.offset_gaps;
        self.phase = match search.accept(probe) {
            Found::NotYet => Some(Phase::Search { at, search }),
            Found::Still { at: offset, count } => {
                if let Some(gap) = gaps.get_mut(at) {
                    *gap = Gap {
                        at: offset,
                        count,
                        ..search.gap
                    };
                }
                self.next_search(at + 1)
            }
            Found::Gone => {
                if at < gaps.len() {
                    gaps.remove(at);
                }
                self.next_search(at)
            }
        };
    }

    pub(super) fn ask_unreadable(&self, at: usize, limit: u32) -> Option<Ask> {
        let place = self.state.unreadable.get(at)?;
        let range = TimeRange {
            after: place.after,
            before: place.before,
        };
        let mut filter = Filter::default();
        place.tau.limit(&mut filter, range);
        Some(Ask::Try(ListRequest {
            collection: super::collection(self.table),
            sort: Some(place.tau.sort()),
            limit,
            filter,
            scope: self.choices.scope.clone(),
            ..ListRequest::default()
        }))
    }

    /// Takes the answer for the place `at`; `None`: the server still has none.
    pub(super) fn tried(&mut self, at: usize, page: Option<Rows>, step: &mut Step) {
        let mut next = at + 1;
        if let Some(mut page) = page {
            let place = self.state.unreadable.remove(at);
            let rest = self.rest_of(&place, &page);
            page.list
                .retain(|row| !place.known.contains_key(&pack::id(row.id())));
            next = at;
            if let Some(rest) = rest {
                self.state.unreadable.insert(at, rest);
            }
            self.offer_all(page.list, page.now, |_, _| Rule::Always, step);
        }
        let unmet = self.next_unmet(next);
        self.phase = unmet.or_else(|| self.next_search(0));
    }

    /// What a full page has left of a place: other runs may have come to lie there since.
    fn rest_of(&self, place: &Unreadable, page: &Rows) -> Option<Unreadable> {
        if page.objects < page.limit as usize {
            return None;
        }
        let value = |row: &Row| self.desk.value(row, place.tau);
        let last = page.list.last().and_then(value)?;
        let is_one_time = Some(last) == place.before;
        let at_the_end = page.list.iter().filter(|row| value(row) == Some(last));
        let met = at_the_end.map(|row| (pack::id(row.id()), last));
        Some(Unreadable {
            before: Some(if is_one_time {
                last - TimeDelta::microseconds(1)
            } else {
                last
            }),
            known: place.known.clone().into_iter().chain(met).collect(),
            ..place.clone()
        })
    }

    /// The page that is asked for next, by name: the listing, and how many of its pages came before.
    fn page_name(&self) -> Option<String> {
        let listing = match self.phase.as_ref()? {
            Phase::Tail { .. } => "tail",
            Phase::TailByOffset { .. } => return Some("tail by offset".to_owned()),
            Phase::WithoutEnd { .. } => "without end",
            Phase::Open { long: false, .. } => "open",
            Phase::Open { long: true, .. } => "long open",
            Phase::ByOffset(listing) => {
                return match listing.what {
                    What::Everything => None,
                    What::Open => Some("open by offset".to_owned()),
                    What::WithoutEnd => Some("without end by offset".to_owned()),
                };
            }
            Phase::Rung { index, .. } => return Some(format!("rung {index} {}", self.pages)),
            _ => return None,
        };
        Some(format!("{listing} {}", self.pages))
    }

    /// The question for a page: without waiting where runs are known that the server cannot answer for, and around them
    /// where their places on the page are known.
    pub(super) fn ask_around(&self, request: ListRequest) -> Ask {
        if self.state.unreadable.is_empty() && self.state.page_gaps.is_empty() {
            return Ask::List(request);
        }
        let name = self.page_name();
        let known = name.map(|name| {
            let gaps = &self.state.page_gaps;
            gaps::on_page(gaps, Some(&name), request.offset, request.limit)
        });
        let known = known.into_iter().flatten().map(Gap::into_known);
        Ask::ListAround(request, known.collect())
    }

    /// Remembers where objects are missing on a page.
    pub(super) fn note_page_gaps(&mut self, page: &Rows) {
        let Some(name) = self.page_name() else { return };
        let is_first = self.pages == 0;
        self.pages += 1;
        let gaps = &mut self.state.page_gaps;
        // All pages of a listing by offset have one name.
        if is_first || !name.ends_with("offset") {
            gaps.retain(|gap| gap.of.as_ref() != Some(&name));
        }
        for gap in gaps::of_page(page, Some(&name)) {
            gaps::add(gaps, gap);
        }
    }

    /// The sentence about runs that the server cannot answer for.
    pub(super) fn unreadable_remark(&self) -> Option<String> {
        let places = &self.state.unreadable;
        let by_offset = self.state.unreadable_by_offset();
        if places.is_empty() && by_offset > 0 {
            return Some(messages::UNREADABLE.say(format_args!(
                "table {}: the server cannot answer (500) for {by_offset} run(s); each sync tries again",
                self.table.name
            )));
        }
        let Some(last) = places.last() else {
            let open = self.state.page_gaps.iter();
            let open = open.filter(|gap| gap.of.as_ref().is_some_and(|of| of.contains("open")));
            let open: u32 = open.map(|gap| gap.count).sum();
            return (open > 0).then(|| {
                messages::UNREADABLE.say(format_args!(
                    "table {}: the server cannot answer (500) for {open} open run(s); each sync tries again",
                    self.table.name
                ))
            });
        };
        let time = |time: Option<DateTime<Utc>>, never: &str| {
            time.map_or_else(|| never.to_owned(), |time| time.to_string())
        };
        Some(messages::UNREADABLE.say(format_args!(
            "table {}: the server cannot answer (500) for {} run(s), the last of which {} between {} and {}; each sync tries again",
            self.table.name,
            places.iter().map(|place| place.count).sum::<u32>(),
            match last.tau {
                Tau::EndTime => "ended",
                Tau::ExpectedStartTime | Tau::Timestamp => "were to start",
            },
            time(last.after, "the beginning"),
            time(last.before, "now"),
        )))
    }
}
