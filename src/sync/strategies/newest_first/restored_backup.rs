//! Restored backups, found by the objects that were updated last.

use super::{NewestFirst, Phase};
use crate::sync::{
    compact_ids,
    offset::OffsetPager,
    strategies::{request::FetchedPage, request_by_ids},
};

impl NewestFirst {
    /// Compares the first page with the objects that were updated last at the previous sync.
    pub(super) fn compare_latest(&mut self, page: &FetchedPage) {
        let times = page.list.iter().filter_map(|row| {
            let updated = row.instant(self.updated)?;
            Some((compact_ids::id(row.id()), updated))
        });
        let is_whole = page.objects < page.limit as usize;
        if self.latest_objects.compare(times.collect(), is_whole) {
            self.send_again();
        }
    }

    /// Sends everything again, because a backup was restored. A row with an old time may differ from the one that was
    /// sent.
    pub(super) fn send_again(&mut self) {
        self.state.rewind();
        for gap in &mut self.found_gaps {
            gap.forget_readings();
        }
        self.earlier = None;
    }

    /// Returns the look-up of last updated objects that the first page did not have, or the phase that follows.
    pub(super) fn look_for_latest(&mut self) -> Phase {
        let missed = self.latest_objects.take_missed();
        let ids = missed.iter().map(|id| compact_ids::parse_id(id)).collect();
        match request_by_ids(self.table, ids) {
            Some(request) => Phase::Latest(Box::new(request), missed.len()),
            None => self.next_gap(),
        }
    }

    pub(super) fn latest_found(&mut self, requested: usize, page: &FetchedPage) {
        let ids: Vec<String> = page
            .list
            .iter()
            .map(|row| compact_ids::id(row.id()))
            .collect();
        let updated = page
            .list
            .iter()
            .map(|row| row.instant(self.updated).unwrap_or_default());
        let found = ids.iter().map(String::as_str).zip(updated);
        self.phase = if self.latest_objects.looked_up(requested, found) {
            self.send_again();
            self.state.unreadable.append(&mut self.found_gaps);
            Phase::Pass(OffsetPager::default())
        } else {
            self.next_gap()
        };
    }
}
