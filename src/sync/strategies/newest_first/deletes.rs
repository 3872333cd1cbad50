//! Deletes of a table that is read by `updated`: the count, the listing of everything, and look-ups by id.

use std::collections::BTreeSet;

use super::{LISTING_WITHOUT_COUNT, NewestFirst, Phase};
use crate::sync::{
    NoProgress, compact_ids,
    offset::OffsetPager,
    strategies::{
        emission::{Change, Emission},
        gaps,
        get_by_id::GetById,
        listing::sorted,
        request::FetchedPage,
    },
};

impl NewestFirst {
    /// Decides by the number of objects whether some are gone, so that everything must be listed.
    pub(super) fn counted(&mut self, count: Option<u64>, emission: &mut Emission) {
        let now = self.now;
        self.count = count;
        let known = self.state.ids.len() as u64;
        let unreadable = gaps::objects(&self.found_gaps);
        if self.gaps_changed && count == Some(known + unreadable) {
            self.state.uncounted = unreadable;
        }
        let is_due = match (count, self.state.listed, now) {
            _ if self.latest_objects.some_gone || self.state.is_listing_due => true,
            (Some(count), _, _) => count != known + self.state.uncounted,
            (None, Some(listed), Some(now)) => now - listed >= LISTING_WITHOUT_COUNT,
            (None, None, _) => {
                // The pass of the first sync was a full listing.
                self.state.listed = now;
                false
            }
            (None, Some(_), None) => false,
        };
        // An interrupted listing must be repeated: its reason may not be seen a second time.
        emission.has_learnt = is_due && !self.state.is_listing_due;
        self.state.is_listing_due = is_due;
        self.phase = if is_due {
            Phase::Listing(OffsetPager::inhabited(true), BTreeSet::new())
        } else {
            Phase::Done
        };
    }

    pub(super) fn list(
        &mut self,
        mut pager: OffsetPager,
        mut listed: BTreeSet<String>,
        page: FetchedPage,
        emission: &mut Emission,
    ) -> Result<(), NoProgress> {
        let place = pager.around(&page.gaps).accept(
            &sorted(&page.list, self.created),
            page.objects,
            page.limit,
        )?;
        for row in page.list {
            listed.insert(compact_ids::id(row.id()));
            // A row that the pass did not read came after it, with an `updated` that the next pass reads; or it
            // appeared with an old `updated`, as from a backup.
            if self.is_new(&row) {
                let updated = row.instant(self.updated);
                self.send(row, true, (updated, page.now), emission);
            }
        }
        self.phase = if place.ended {
            self.state.listed = self.now;
            let missing = self.state.ids.difference(&listed);
            let missing = missing.map(|id| compact_ids::parse_id(id)).collect();
            self.then(GetById::new(missing))
        } else {
            Phase::Listing(pager, listed)
        };
        Ok(())
    }

    pub(super) fn looked_up(
        &mut self,
        by_id: GetById,
        page: &FetchedPage,
        emission: &mut Emission,
    ) {
        let (gone, rest) = by_id.accept(page);
        for id in gone {
            self.state.ids.remove(&compact_ids::id(&id));
            emission.changes.push(Change::Delete(self.table, id));
        }
        self.phase = self.then(rest);
    }

    /// Returns the phase that follows a listing, or a page of look-ups.
    pub(super) fn then(&mut self, by_id: Option<GetById>) -> Phase {
        if let Some(by_id) = by_id {
            return Phase::LookUp(by_id);
        }
        self.state.is_listing_due = false;
        // Every object that can be read is known: the remaining ones cannot be read.
        let unreadable = gaps::objects(&self.found_gaps);
        let known = self.state.ids.len() as u64;
        let rest = self.count.map_or(0, |count| count.saturating_sub(known));
        self.state.uncounted = rest.min(unreadable);
        Phase::Done
    }
}
