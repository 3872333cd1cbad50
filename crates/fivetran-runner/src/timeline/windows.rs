//! The ranges of time that were read.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};

use sync_telemetry::WindowKind;

/// The most ranges of one table and kind. Beyond it the nearest ones are merged.
const MOST: usize = 8;

/// The ranges by table, in the order in which tables began, and by kind.
#[derive(Debug, Clone, Default)]
pub(crate) struct Windows {
    pub(crate) tables: Vec<(&'static str, BTreeMap<WindowKind, RequestedRanges>)>,
}

/// The ranges and the number of pages that were requested.
#[derive(Debug, Clone, Default)]
pub(crate) struct RequestedRanges {
    /// The number of pages.
    pub(crate) pages: u64,
    /// Disjoint ranges, the earliest first. The minimum and maximum times mean no bound.
    pub(crate) ranges: Vec<(DateTime<Utc>, DateTime<Utc>)>,
}

impl Windows {
    pub(super) fn add(
        &mut self,
        table: &'static str,
        kind: WindowKind,
        (from, to): (Option<DateTime<Utc>>, Option<DateTime<Utc>>),
    ) {
        let known = self.tables.iter().position(|(name, _)| *name == table);
        let at = known.unwrap_or_else(|| {
            self.tables.push((table, BTreeMap::new()));
            self.tables.len() - 1
        });
        let requested = self.tables[at].1.entry(kind).or_default();
        requested.pages += 1;
        let from = from.unwrap_or(DateTime::<Utc>::MIN_UTC);
        requested.add((from, to.unwrap_or(DateTime::<Utc>::MAX_UTC).max(from)));
    }
}

impl RequestedRanges {
    /// Adds a range and merges it with ranges that it touches. (Bounds are inclusive, to the microsecond.)
    fn add(&mut self, (mut from, mut to): (DateTime<Utc>, DateTime<Utc>)) {
        let near = TimeDelta::microseconds(1);
        self.ranges.retain(|(lo, hi)| {
            let is_apart = gap((*lo, *hi), (from, to)) > near;
            if !is_apart {
                from = from.min(*lo);
                to = to.max(*hi);
            }
            is_apart
        });
        let at = self.ranges.partition_point(|(lo, _)| *lo < from);
        self.ranges.insert(at, (from, to));
        if self.ranges.len() > MOST {
            let pairs = self.ranges.windows(2).enumerate();
            let nearest = pairs.min_by_key(|(_, pair)| gap(pair[0], pair[1]));
            if let Some((at, _)) = nearest {
                let (_, hi) = self.ranges.remove(at + 1);
                self.ranges[at].1 = hi;
            }
        }
    }
}

/// The time between two ranges; zero if they overlap.
fn gap(a: (DateTime<Utc>, DateTime<Utc>), b: (DateTime<Utc>, DateTime<Utc>)) -> TimeDelta {
    (b.0 - a.1).max(a.0 - b.1).max(TimeDelta::zero())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEW_ROWS: WindowKind = WindowKind::new(0, "new rows");
    const OPEN_RUNS: WindowKind = WindowKind::new(1, "open runs");

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(second, 0).unwrap()
    }

    #[test]
    fn pages_of_a_range_are_one_range_and_parts_that_touch_too() {
        let mut windows = Windows::default();
        // The first partition page by page, the latest page first, then a second partition.
        for before in [100, 90, 80, 60] {
            let range = (Some(at(50)), Some(at(before)));
            windows.add("runs", NEW_ROWS, range);
        }
        windows.add("runs", NEW_ROWS, (Some(at(10)), Some(at(50))));
        windows.add("runs", NEW_ROWS, (Some(at(200)), None));
        windows.add("runs", OPEN_RUNS, (None, Some(at(5))));
        let (_, kinds) = &windows.tables[0];
        let new_rows = &kinds[&NEW_ROWS];
        assert_eq!(new_rows.pages, 6);
        let latest = DateTime::<Utc>::MAX_UTC;
        assert_eq!(new_rows.ranges, [(at(10), at(100)), (at(200), latest)]);
        let earliest = DateTime::<Utc>::MIN_UTC;
        assert_eq!(kinds[&OPEN_RUNS].ranges, [(earliest, at(5))]);
    }

    #[test]
    fn too_many_ranges_become_fewer_and_cover_no_less() {
        let mut requested = RequestedRanges::default();
        for number in 0..1_000 {
            requested.add((at(number * 10), at(number * 10 + 3)));
        }
        assert!(requested.ranges.len() <= MOST);
        assert_eq!(requested.ranges[0].0, at(0));
        assert_eq!(requested.ranges.last().unwrap().1, at(9_993));
    }
}
