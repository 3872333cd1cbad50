//! Gaps of a table that is read by `updated`: recorded by the pass, and searched for after it.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use super::{NewestFirst, Phase};
use crate::{
    rows::Row,
    sync::{
        compact_ids,
        sent_fingerprints::changed_since,
        strategies::{
            emission::Emission,
            gaps::{self, Gap, ProbeResult, Search, SearchResult, Side},
            request::FetchedPage,
        },
    },
};

impl NewestFirst {
    /// Records the gaps of a page. Returns the ids of objects that were in a gap, can be read now and must be sent.
    pub(super) fn settle_gaps(
        &mut self,
        page: &FetchedPage,
        offset: u64,
        reached: DateTime<Utc>,
    ) -> BTreeSet<String> {
        let time = |row: &Row| row.instant(self.updated);
        let mut found = gaps::of_page_by_time(page, time, reached);
        let is_last = page.objects < page.limit as usize;
        let (first, last) = (page.list.first().map(time), page.list.last().map(time));
        let is_covered = |gap: &Gap| {
            gap.between.as_ref().is_some_and(|between| {
                (offset == 0 || first.is_some_and(|first| first >= between.newest))
                    && (is_last
                        || between.oldest.is_some()
                            && last.is_some_and(|last| last <= between.oldest))
            })
        };
        let all = std::mem::take(&mut self.state.unreadable);
        let before: Vec<Gap> = all.iter().chain(&self.found_gaps).cloned().collect();
        let (read, keeps_ids) = ((self.state.cursor, self.earlier), self.keeps_ids());
        for gap in &mut found {
            gaps::note_readings(gap, &before, read, keeps_ids);
        }
        let (covered, rest): (Vec<Gap>, Vec<Gap>) = all.into_iter().partition(is_covered);
        self.state.unreadable = rest;
        let mut readable = BTreeSet::new();
        for gap in &covered {
            let Some(between) = &gap.between else {
                continue;
            };
            let inside = page.list.iter().filter(|row| {
                between.side(row.id(), time(row)) == Side::Inside && !self.was_sent(row, gap)
            });
            readable.extend(inside.map(|row| row.id().to_owned()));
        }
        let on_page: Vec<Gap> = found
            .iter()
            .filter(|gap| is_covered(gap))
            .cloned()
            .collect();
        self.gaps_changed |= !gaps::are_same(&covered, &on_page);
        // Objects with exactly the times of a gap may be on other pages.
        let here = page
            .list
            .iter()
            .map(|row| (compact_ids::id(row.id()), time(row)));
        let here: Vec<_> = here.collect();
        for between in found.iter_mut().filter_map(|gap| gap.between.as_mut()) {
            between.note_known(&self.page_before);
            let before = covered.iter().filter_map(|gap| gap.between.as_ref());
            before.for_each(|other| between.note_known_of(other));
        }
        for between in self
            .found_gaps
            .iter_mut()
            .filter_map(|gap| gap.between.as_mut())
        {
            between.note_known(&here);
        }
        for gap in found {
            gaps::add(&mut self.found_gaps, gap);
        }
        self.page_before = here;
        readable
    }

    /// Returns the search for the next gap that the pass did not find, or the phase that follows.
    pub(super) fn next_gap(&mut self) -> Phase {
        if let Some(gap) = self.state.unreadable.pop() {
            return Phase::Unreadable(Box::new(Search::new(gap, self.moved)));
        }
        if self.keeps_ids() {
            Phase::Count
        } else {
            Phase::Done
        }
    }

    /// Takes the response for an offset of a search; `None` if the server returned an error again.
    pub(super) fn probe(
        &mut self,
        mut search: Box<Search>,
        page: Option<FetchedPage>,
        emission: &mut Emission,
    ) {
        let (probe, next) = match page {
            None => (self.failed_probe(&search), None),
            Some(page) => {
                let is_whole = page.list.len() == page.objects;
                let mut rows = page.list.into_iter();
                let mut probed = |search: &mut Search| match rows.next() {
                    Some(row) => self.probed(search, row, page.now, emission),
                    None if is_whole => ProbeResult::End,
                    // An object without a usable id.
                    None => ProbeResult::Failed,
                };
                let first = probed(&mut search);
                let next = (search.limit() > 1).then(|| probed(&mut search));
                (first, next)
            }
        };
        self.phase = match search.accept(probe, next) {
            SearchResult::Unfinished => Phase::Unreadable(search),
            SearchResult::StillUnreadable { at, count } => {
                self.gaps_changed |= count != search.gap.count;
                gaps::add(
                    &mut self.found_gaps,
                    Gap {
                        at,
                        count,
                        ..search.gap
                    },
                );
                self.next_gap()
            }
            SearchResult::Gone => {
                self.gaps_changed = true;
                self.next_gap()
            }
        };
    }

    /// Takes a row that a search has requested; it is sent if it was in the gap.
    pub(super) fn probed(
        &mut self,
        search: &mut Search,
        row: Row,
        now: DateTime<Utc>,
        emission: &mut Emission,
    ) -> ProbeResult {
        let updated = row.instant(self.updated);
        let between = search.gap.between.as_ref();
        let side = between.map_or(Side::Older, |it| it.side(row.id(), updated));
        if side == Side::Inside {
            search.pass(row.id(), updated);
        }
        if side == Side::Inside && !self.was_sent(&row, &search.gap) {
            search.gap.note_sent(row.id(), updated);
            self.take_readable(row, updated, now, emission);
        }
        ProbeResult::Row(side)
    }

    /// Interprets an error at an offset of a search, which may be due to another gap.
    pub(super) fn failed_probe(&self, search: &Search) -> ProbeResult {
        let remaining = self.state.unreadable.iter().map(|gap| (gap, self.moved));
        let others = self.found_gaps.iter().map(|gap| (gap, 0)).chain(remaining);
        let side = gaps::side_of_others(&search.gap, others, search.at());
        match side {
            Some(side) if !search.is_confirming() => ProbeResult::Row(side),
            _ => ProbeResult::Failed,
        }
    }

    /// Returns true if a row was sent and has not changed since. A row counts as sent if it was sent while `gap` was
    /// known; or if the table was read before the gap appeared and, where ids are kept, the id is known.
    pub(super) fn was_sent(&self, row: &Row, gap: &Gap) -> bool {
        let is_known = !self.keeps_ids() || self.state.ids.contains(&compact_ids::id(row.id()));
        let updated = row.instant(self.updated);
        let since = gap.since_of(row.id(), updated);
        let is_known_as_it_is = gap.has_sent(row.id(), updated);
        is_known_as_it_is || is_known && since.is_some_and(|since| !changed_since(since, updated))
    }

    /// Sends a row that could not be read before.
    pub(super) fn take_readable(
        &mut self,
        row: Row,
        updated: Option<DateTime<Utc>>,
        began: DateTime<Utc>,
        emission: &mut Emission,
    ) {
        let is_new = self.is_new(&row);
        if is_new {
            self.state.uncounted = self.state.uncounted.saturating_sub(1);
        }
        self.send(row, is_new, (updated, began), emission);
    }
}
