//! The bars in one row of the timeline, limited to the number that can be drawn.

use std::time::Duration;

/// The most bars of a row. Beyond it neighbours are merged.
const MOST: usize = 200;
/// The initial length of the slots in which bars are merged.
const SLOT: Duration = Duration::from_millis(5);

/// One or more requests, or waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark {
    /// The start of the first request or wait.
    pub(crate) from: Duration,
    /// The end of the last request or wait.
    pub(crate) to: Duration,
    pub(crate) count: u64,
    /// The number of requests that got an error response, or no response.
    pub(crate) failed: u64,
    pub(crate) bytes: u64,
    /// The sum of the durations.
    pub(crate) together: Duration,
}

/// Events in a bounded number of bars. Too many bars are reduced by merging those that began in the same slot of
/// time. The slots grow as needed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Marks {
    list: Vec<Mark>,
    slot: Option<Duration>,
}

impl Marks {
    pub(super) fn add(&mut self, mark: Mark) {
        self.list.push(mark);
        if self.list.len() > MOST {
            // Thinned to a half, because otherwise each of the next additions would thin again.
            self.thin(MOST / 2);
        }
    }

    /// Merges bars until there are at most `most`.
    pub(super) fn thin(&mut self, most: usize) {
        if self.list.len() <= most {
            return;
        }
        let mut slot = self.slot.unwrap_or(SLOT);
        self.merge(slot);
        while self.list.len() > most.max(1) {
            slot *= 2;
            self.merge(slot);
        }
        self.slot = Some(slot);
    }

    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    /// Merges the last additions into the slots, and sorts all bars by time.
    pub(super) fn settle(&mut self) {
        match self.slot {
            Some(slot) => self.merge(slot),
            None => self.list.sort_by_key(|mark| (mark.from, mark.to)),
        }
    }

    fn merge(&mut self, slot: Duration) {
        let number = |mark: &Mark| mark.from.as_micros() / slot.as_micros().max(1);
        self.list.sort_by_key(|mark| (mark.from, mark.to));
        self.list.dedup_by(|mark, before| {
            let is_same = number(mark) == number(before);
            if is_same {
                before.to = before.to.max(mark.to);
                before.count += mark.count;
                before.failed += mark.failed;
                before.bytes += mark.bytes;
                before.together += mark.together;
            }
            is_same
        });
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Mark> {
        self.list.iter()
    }

    /// The length of the slots, if a bar may contain several requests.
    pub(crate) fn slot(&self) -> Option<Duration> {
        self.slot
    }

    /// The sum of all bars.
    pub(crate) fn sum(&self) -> Mark {
        let none = Mark {
            from: Duration::ZERO,
            to: Duration::ZERO,
            count: 0,
            failed: 0,
            bytes: 0,
            together: Duration::ZERO,
        };
        self.list.iter().fold(none, |sum, mark| Mark {
            from: Duration::ZERO,
            to: sum.to.max(mark.to),
            count: sum.count + mark.count,
            failed: sum.failed + mark.failed,
            bytes: sum.bytes + mark.bytes,
            together: sum.together + mark.together,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(at: u64) -> Mark {
        Mark {
            from: Duration::from_millis(at),
            to: Duration::from_millis(at + 7),
            count: 1,
            failed: at % 2,
            bytes: at,
            together: Duration::from_millis(7),
        }
    }

    #[test]
    fn few_marks_are_kept_in_time_order() {
        let mut marks = Marks::default();
        for at in [30, 10, 20] {
            marks.add(mark(at));
        }
        marks.settle();
        assert_eq!(marks.slot(), None);
        let list: Vec<_> = marks.iter().copied().collect();
        assert_eq!(list, [mark(10), mark(20), mark(30)]);
    }

    #[test]
    fn many_marks_are_merged_and_their_sums_are_kept() {
        let mut marks = Marks::default();
        for at in 0..100_000 {
            marks.add(mark(at * 3));
            assert!(marks.list.len() <= MOST);
        }
        marks.settle();
        assert!(marks.list.len() > MOST / 8, "{}", marks.list.len());
        let sum = marks.sum();
        assert_eq!(sum.count, 100_000);
        assert_eq!(sum.failed, 50_000);
        assert_eq!(sum.bytes, (0..100_000).map(|at| at * 3).sum::<u64>());
        assert_eq!(sum.together, Duration::from_millis(7) * 100_000);
        assert_eq!(sum.to, Duration::from_millis(99_999 * 3 + 7));
        let slot = marks.slot().unwrap();
        let longest = marks
            .iter()
            .map(|mark| mark.to.saturating_sub(mark.from))
            .max();
        assert!(longest.unwrap() <= slot + Duration::from_millis(7));
    }
}
