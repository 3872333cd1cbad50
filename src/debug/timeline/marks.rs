//! Bars on a lane of the timeline, as many as can be drawn.

use std::time::Duration;

/// Bars of a lane; beyond that neighbours become one.
const MOST: usize = 200;
/// The first width of what becomes one.
const SLOT: Duration = Duration::from_millis(5);

/// One or more requests, or waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::debug) struct Mark {
    /// When the first began.
    pub(in crate::debug) from: Duration,
    /// When the last ended.
    pub(in crate::debug) to: Duration,
    pub(in crate::debug) count: u64,
    /// Those that got an error for an answer, or none.
    pub(in crate::debug) failed: u64,
    pub(in crate::debug) bytes: u64,
    /// How long they took, added up.
    pub(in crate::debug) together: Duration,
}

/// What happened, in at most so many bars. When there are too many, those that began in the same slot of time
/// become one; the slots grow as long as they have to.
#[derive(Debug, Clone, Default)]
pub(in crate::debug) struct Marks {
    list: Vec<Mark>,
    slot: Option<Duration>,
}

impl Marks {
    pub(super) fn add(&mut self, mark: Mark) {
        self.list.push(mark);
        if self.list.len() > MOST {
            // To a half, or the next few would all do this again.
            self.thin(MOST / 2);
        }
    }

    /// Makes of them at most so many.
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

    /// Brings what came last into the slots, and everything into the order of time.
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

    pub(in crate::debug) fn iter(&self) -> impl Iterator<Item = &Mark> {
        self.list.iter()
    }

    /// How long the slots are, if a bar may stand for several requests.
    pub(in crate::debug) fn slot(&self) -> Option<Duration> {
        self.slot
    }

    /// All of them as one.
    pub(in crate::debug) fn sum(&self) -> Mark {
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
    fn few_stay_as_they_are_in_the_order_of_time() {
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
    fn many_become_few_and_every_sum_stays() {
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
