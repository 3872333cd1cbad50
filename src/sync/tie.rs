//! Reads a group of runs that share one time and fill more than a page: by id, highest first.
//!
//! Ids are unique, so the last id that was read is a position from which an interrupted sync resumes. The offset is
//! only a hint to where that position is: a page that begins behind it is discarded, and the pager steps back.

use serde::{Deserialize, Serialize};

use super::{
    compact_ids,
    offset::SMALLEST_PAGE,
    progress::{NoProgress, Progress},
};

/// A position in a group of runs that share one time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TiePosition {
    /// Runs with this id or a higher one were read.
    #[serde(with = "compact_ids::uuid")]
    id: u128,
    /// The approximate offset of that run in the listing.
    offset: u64,
}

impl TiePosition {
    /// Returns true if more was read than at `other`.
    pub(super) fn is_beyond(self, other: Self) -> bool {
        self.id < other.id
    }

    /// Returns true if the run with this id was read.
    pub(super) fn has_passed(self, id: &str) -> bool {
        compact_ids::uuid::number(id).is_some_and(|id| id >= self.id)
    }
}

/// The pager of a group of runs that share one time.
#[derive(Debug, Default)]
pub(super) struct TiePager {
    place: Option<TiePosition>,
    offset: u64,
    /// True if the last page was discarded.
    is_stepping_back: bool,
    /// True if nothing new was read since a page was last discarded.
    is_in_vain: bool,
    has_stepped_back: bool,
    progress: Progress,
}

impl TiePager {
    /// Resumes at the position of an interrupted sync.
    pub(super) fn from(place: TiePosition) -> Self {
        Self {
            place: Some(place),
            offset: place.offset,
            ..Self::default()
        }
    }

    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    pub(super) fn place(&self) -> Option<TiePosition> {
        self.place
    }

    /// Takes a page. Returns for each of its rows whether it is after the position, and whether the group ends.
    pub(super) fn accept(
        &mut self,
        ids: &[&str],
        objects: usize,
        limit: u32,
    ) -> Result<(Vec<bool>, bool), NoProgress> {
        let page = u64::from(limit.max(SMALLEST_PAGE));
        let numbers: Vec<Option<u128>> =
            ids.iter().map(|id| compact_ids::uuid::number(id)).collect();
        let first = numbers.first().copied().flatten();
        // Runs between the position and the page were skipped, because runs before them were deleted.
        let is_behind = self.offset > 0 && first < self.place.map(|place| place.id);
        // The pager steps back again only after it has read something new, because the server may sort in another way.
        if is_behind && (self.is_stepping_back || !self.is_in_vain) {
            if !std::mem::replace(&mut self.has_stepped_back, true) {
                // All runs before the offset may be gone.
                self.progress.grant(self.offset / (page - 1) + 1);
            }
            self.progress.idle(NoProgress::Gap, page)?;
            self.offset = self.offset.saturating_sub(page - 1);
            (self.is_stepping_back, self.is_in_vain) = (true, true);
            return Ok((vec![false; ids.len()], false));
        }
        self.is_stepping_back = false;
        let is_ahead = |number: &Option<u128>| match (number, self.place) {
            (Some(number), Some(place)) => *number < place.id,
            _ => true,
        };
        let ahead: Vec<bool> = numbers.iter().map(is_ahead).collect();
        let objects = u64::try_from(objects).unwrap_or(u64::MAX);
        let ended = objects < page;
        if ahead.contains(&true) {
            self.is_in_vain = false;
            self.progress.useful();
        } else if !ended {
            self.progress.idle(NoProgress::Repeats, page)?;
        }
        self.offset = self.offset.saturating_add(objects.saturating_sub(1));
        if let Some(id) = numbers.last().copied().flatten() {
            let id = self.place.map_or(id, |place| place.id.min(id));
            let offset = self.offset;
            self.place = Some(TiePosition { id, offset });
        }
        Ok((ahead, ended))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u32) -> String {
        format!("00000000-0000-0000-0000-{number:012x}")
    }

    /// Reads a listing from `place` on, three at a time. Returns the ids read and the position after `number` pages.
    fn read(
        listing: &[u32],
        place: Option<TiePosition>,
        number: usize,
    ) -> (Vec<String>, Option<TiePosition>) {
        let mut pager = place.map_or_else(TiePager::default, TiePager::from);
        let mut taken = Vec::new();
        for _ in 0..number {
            let ids: Vec<String> = listing.iter().map(|number| id(*number)).collect();
            let from = usize::try_from(pager.offset())
                .expect("small")
                .min(ids.len());
            let page: Vec<&str> = ids[from..].iter().take(3).map(String::as_str).collect();
            let accepted = pager.accept(&page, page.len(), 3);
            let (ahead, ended) = accepted.expect("progress");
            let fresh = page.iter().zip(ahead).filter(|(_, ahead)| *ahead);
            taken.extend(fresh.map(|(id, _)| (*id).to_owned()));
            if ended {
                return (taken, None);
            }
        }
        (taken, pager.place())
    }

    #[test]
    fn an_interrupted_listing_continues_after_its_position_despite_deletes_and_inserts() {
        let all: Vec<u32> = (0..40).map(|number| 800 - number * 10).collect();
        for pages in 1..20 {
            let (before, place) = read(&all, None, pages);
            let place = place.expect("not at the end");
            for (gone, new) in [(0, 0), (1, 0), (7, 0), (0, 1), (0, 9), (30, 2), (40, 0)] {
                let new = (0..new).map(|number| 900 + number).rev();
                let now: Vec<u32> = new.chain(all.iter().copied().skip(gone)).collect();
                let (after, left) = read(&now, Some(place), 200);
                assert_eq!(left, None, "the pass ends");
                let expected: Vec<String> = now
                    .iter()
                    .map(|number| id(*number))
                    .filter(|id| !place.has_passed(id))
                    .collect();
                assert_eq!(after, expected, "{pages} pages, {gone} gone");
                assert!(before.iter().all(|id| place.has_passed(id)));
            }
        }
    }

    #[test]
    fn a_listing_in_another_order_ends() {
        let (taken, left) = read(&[5, 90, 1, 70, 3, 60, 2, 80, 4], None, 200);
        assert_eq!(left, None, "{taken:?}");
    }
}
