//! Paging by offset without losing a row when the listing moves meanwhile.

use std::collections::{BTreeSet, HashSet};

/// The smallest page: pages of one row could not overlap.
pub(super) const SMALLEST_PAGE: u32 = 2;

/// A walk through a sorted listing by offset.
///
/// Rows inserted before the place shift the rest back (rows come twice: dropped by id), rows deleted
/// before it shift the rest forward (rows would be skipped). So neighbouring pages overlap by one
/// row, and a page whose first row was not seen before may hide a gap: the walk steps back until it
/// meets a row that it knows.
#[derive(Debug, Default)]
pub(super) struct OffsetWalk {
    offset: u64,
    seen: HashSet<String>,
}

/// What a page brought.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Step {
    /// Positions of the rows that were not seen before.
    pub(super) fresh: BTreeSet<usize>,
    /// Whether the listing ended with this page.
    pub(super) ended: bool,
    /// Whether there may be a gap before this page: it counts for nothing, and will come again.
    pub(super) stepped_back: bool,
}

impl OffsetWalk {
    /// Where the next page begins.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// Takes the ids of the page that began at [`Self::offset`] and was asked for with `limit`.
    /// `objects` is the page's length with those elements that have no id.
    pub(super) fn accept(&mut self, ids: &[&str], objects: usize, limit: u32) -> Step {
        let objects = u64::try_from(objects).unwrap_or(u64::MAX);
        let limit = u64::from(limit.max(SMALLEST_PAGE));
        let first_is_known = ids.first().is_some_and(|id| self.seen.contains(*id));
        // An empty page after the beginning: rows went away, and the seam with them.
        if self.offset > 0 && !first_is_known {
            self.offset = self.offset.saturating_sub(limit - 1);
            return Step {
                fresh: BTreeSet::new(),
                ended: false,
                stepped_back: true,
            };
        }
        let fresh = ids
            .iter()
            .enumerate()
            .filter(|(_, id)| self.seen.insert((**id).to_owned()))
            .map(|(at, _)| at)
            .collect();
        let ended = objects < limit;
        self.offset += objects.saturating_sub(1);
        Step {
            fresh,
            ended,
            stepped_back: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Walks `listing`, which `change` may alter between two pages; gives the ids found.
    fn walk(
        mut listing: Vec<String>,
        limit: usize,
        mut change: impl FnMut(usize, &mut Vec<String>),
    ) -> Vec<String> {
        let mut walk = OffsetWalk::default();
        let mut found = Vec::new();
        for page in 0..1_000 {
            let from = usize::try_from(walk.offset())
                .expect("small")
                .min(listing.len());
            let rows = listing[from..(from + limit).min(listing.len())].to_vec();
            let ids: Vec<&str> = rows.iter().map(String::as_str).collect();
            let step = walk.accept(&ids, ids.len(), u32::try_from(limit).expect("small"));
            found.extend(step.fresh.iter().map(|at| rows[*at].clone()));
            if step.ended {
                return found;
            }
            change(page, &mut listing);
        }
        panic!("the walk does not end");
    }

    fn ids(n: usize) -> Vec<String> {
        (0..n).map(|n| format!("{n:04}")).collect()
    }

    #[test]
    fn a_listing_at_rest_is_read_once() {
        for n in [0, 1, 2, 9, 10, 11, 19, 100] {
            for limit in [2, 3, 10] {
                assert_eq!(
                    walk(ids(n), limit, |_, _| ()),
                    ids(n),
                    "{n} rows by {limit}"
                );
            }
        }
    }

    proptest! {
        #[test]
        fn every_row_that_stays_is_found(
            n in 0..60_usize,
            limit in 2..12_usize,
            deletes in prop::collection::vec((0..20_usize, 0..60_usize), 0..20),
            inserts in prop::collection::vec((0..20_usize, 0..10_usize), 0..20),
        ) {
            let all = ids(n);
            let gone: Vec<&String> = deletes.iter().filter_map(|(_, at)| all.get(*at)).collect();
            let found = walk(all.clone(), limit, |page, listing| {
                for (when, at) in &deletes {
                    if *when == page && let Some(id) = all.get(*at) {
                        listing.retain(|other| other != id);
                    }
                }
                for (when, n) in &inserts {
                    if *when == page {
                        listing.insert(0, format!("new-{page}-{n}-{}", listing.len()));
                    }
                }
            });
            for id in &all {
                prop_assert!(gone.contains(&id) || found.contains(id), "lost {id}");
            }
            let distinct: HashSet<&String> = found.iter().collect();
            prop_assert_eq!(distinct.len(), found.len());
        }
    }
}
