//! Durations of requests: counts by duration, fine enough for percentiles, and of bounded size.

use std::{iter, time::Duration};

use hdrhistogram::Histogram;

/// The exact digits of a counted duration in microseconds: an error of less than 1 %, in at most 60 kB.
const DIGITS: u8 = 2;

/// Counts of durations.
#[derive(Debug, Clone, Default)]
pub(crate) struct Latency {
    /// The counts by microseconds. `None` before the first request.
    counts: Option<Histogram<u64>>,
    max: Duration,
}

/// The number of durations between two bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bucket {
    pub(crate) from: Duration,
    pub(crate) to: Duration,
    pub(crate) count: u64,
}

impl Latency {
    pub(super) fn add(&mut self, took: Duration) {
        if self.counts.is_none() {
            self.counts = Histogram::new(DIGITS).ok();
        }
        if let Some(counts) = &mut self.counts {
            let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
            // The histogram grows as needed, so that every duration is counted.
            let _ = counts.record(micros);
        }
        self.max = self.max.max(took);
    }

    /// The duration that `percent` % of the requests do not exceed, exact to 1 %.
    pub(crate) fn percentile(&self, percent: u8) -> Option<Duration> {
        let counts = self.counts.as_ref()?;
        let last = counts.value_at_percentile(f64::from(percent));
        let middle = counts.median_equivalent(last);
        Some(Duration::from_micros(middle).min(self.max))
    }

    pub(crate) fn max(&self) -> Duration {
        self.max
    }

    /// The counts by half octaves, from the shortest to the longest duration. Buckets in between may be empty.
    pub(crate) fn buckets(&self) -> Vec<Bucket> {
        let Some(counts) = &self.counts else {
            return Vec::new();
        };
        let longest = counts.max();
        let bounds = bounds().zip(bounds().skip(1).chain(iter::once(u64::MAX)));
        let buckets = bounds.take_while(|(from, _)| *from <= longest);
        let buckets = buckets.map(|(from, to)| Bucket {
            from: Duration::from_micros(from),
            to: Duration::from_micros(to),
            count: counts.count_between(from, to - 1),
        });
        buckets.skip_while(|bucket| bucket.count == 0).collect()
    }
}

/// The lower bounds of the buckets in microseconds: octaves below 32 µs, then half octaves.
fn bounds() -> impl Iterator<Item = u64> {
    /// The square root of two, in parts of 32.
    const MIDDLE: u64 = 45;
    let halves = (0..=58).flat_map(|octave| [32 << octave, MIDDLE << octave]);
    [0, 2, 4, 8, 16].into_iter().chain(halves)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_duration_is_counted_once_and_between_its_bounds() {
        let mut all = Latency::default();
        let lengths = (0..=63).flat_map(|shift| {
            [0, 1, 3].map(|more| (1_u64 << shift).saturating_add(more * ((1_u64 << shift) / 4)))
        });
        let lengths: Vec<u64> = lengths.chain([0, u64::MAX]).collect();
        for micros in &lengths {
            let took = Duration::from_micros(*micros);
            let mut one = Latency::default();
            one.add(took);
            all.add(took);
            let buckets = one.buckets();
            assert_eq!(buckets.len(), 1, "{micros}");
            assert_eq!(buckets[0].count, 1, "{micros}");
            assert!(buckets[0].from <= took, "{micros}");
            assert!(took < buckets[0].to || *micros == u64::MAX, "{micros}");
            let found = one.percentile(50).unwrap();
            assert!(found.abs_diff(took) <= took / 100, "{micros}: {found:?}");
        }
        let counted: u64 = all.buckets().iter().map(|bucket| bucket.count).sum();
        assert_eq!(counted, lengths.len() as u64);
        // The size is bounded.
        assert!(all.counts.unwrap().distinct_values() * 8 <= 60_000);
    }

    #[test]
    fn percentiles_are_near_the_exact_ones() {
        let mut latency = Latency::default();
        assert_eq!(latency.percentile(50), None);
        for millis in (1..=1_000).rev() {
            latency.add(Duration::from_millis(millis));
        }
        for (percent, exact) in [(50, 500.0), (95, 950.0), (99, 990.0), (100, 1_000.0)] {
            let measured = latency.percentile(percent).unwrap().as_secs_f64() * 1_000.0;
            assert!(
                (measured / exact - 1.0_f64).abs() < 0.01,
                "p{percent}: {measured}"
            );
        }
        assert_eq!(latency.max(), Duration::from_secs(1));
        let buckets = latency.buckets();
        assert_eq!(buckets.iter().map(|it| it.count).sum::<u64>(), 1_000);
        assert!(buckets[0].from <= Duration::from_millis(1) && buckets[0].count > 0);
        assert!(buckets.windows(2).all(|pair| pair[0].to == pair[1].from));
    }
}
