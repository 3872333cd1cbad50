//! Durations of requests: counts by duration, fine enough for percentiles, and of bounded size.

use std::time::Duration;

/// The parts of an octave. A duration is known to within a thirty-second.
const PARTS: u64 = 32;
const PART_BITS: u32 = PARTS.ilog2();

/// Counts of durations.
#[derive(Debug, Clone, Default)]
pub(crate) struct Latency {
    counts: Vec<u64>,
    count: u64,
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
        let at = place(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
        if self.counts.len() <= at {
            self.counts.resize(at + 1, 0);
        }
        self.counts[at] += 1;
        self.count += 1;
        self.max = self.max.max(took);
    }

    /// The duration that `percent` % of the requests do not exceed, exact to 2 %.
    pub(crate) fn percentile(&self, percent: u64) -> Option<Duration> {
        let rank = (self.count * percent).div_ceil(100).max(1);
        let mut before = 0;
        let at = self.counts.iter().position(|count| {
            before += count;
            before >= rank
        })?;
        let middle = u64::midpoint(lower(at), lower(at + 1));
        Some(Duration::from_micros(middle).min(self.max))
    }

    pub(crate) fn max(&self) -> Duration {
        self.max
    }

    /// The counts by half octaves, from the shortest to the longest duration. Buckets in between may be empty.
    pub(crate) fn buckets(&self) -> Vec<Bucket> {
        let mut buckets: Vec<(usize, Bucket)> = Vec::new();
        for (at, count) in self.counts.iter().enumerate() {
            match buckets.last_mut() {
                Some((half, bucket)) if *half == half_of(at) => bucket.count += count,
                _ => {
                    // A half octave never has that many places.
                    let mut places = (at..).take(64);
                    let next = places.find(|next| half_of(*next) != half_of(at));
                    let bucket = Bucket {
                        from: Duration::from_micros(lower(at)),
                        to: Duration::from_micros(lower(next.unwrap_or(at))),
                        count: *count,
                    };
                    buckets.push((half_of(at), bucket));
                }
            }
        }
        let buckets = buckets.into_iter().map(|(_, bucket)| bucket);
        buckets.skip_while(|bucket| bucket.count == 0).collect()
    }
}

/// The number of the half octave that contains a place; below 32 µs, of the octave.
fn half_of(place: usize) -> usize {
    /// The square root of two, in parts.
    const MIDDLE: u64 = 13;
    let place = place as u64;
    let half = if place < PARTS {
        u64::from(place.max(1).ilog2())
    } else {
        let is_upper = u64::from(place % PARTS >= MIDDLE);
        u64::from(PART_BITS) + 2 * (place / PARTS) + is_upper
    };
    usize::try_from(half).unwrap_or(usize::MAX)
}

/// The place where a number of microseconds is counted: small numbers separately, then 32 to an octave.
fn place(micros: u64) -> usize {
    let octave = micros.max(1).ilog2().saturating_sub(PART_BITS);
    let place = u64::from(octave) * PARTS + (micros >> octave);
    usize::try_from(place).unwrap_or(usize::MAX)
}

/// The smallest number of microseconds that is counted at this place.
fn lower(place: usize) -> u64 {
    let place = place as u64;
    let octave = (place / PARTS).saturating_sub(1);
    let part = place - octave * PARTS;
    u32::try_from(octave)
        .ok()
        .and_then(|octave| part.checked_shl(octave))
        .unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_is_counted_between_its_bounds() {
        let mut last = 0;
        for shift in 0..40 {
            for more in [0, 1, 3] {
                let micros = (1_u64 << shift) + more * (1_u64 << shift) / 4;
                let at = place(micros);
                assert!(lower(at) <= micros && micros < lower(at + 1), "{micros}");
                assert!(
                    lower(at + 1) - lower(at) <= (micros / 32).max(1),
                    "{micros}"
                );
                assert!(at >= last, "{micros}");
                last = at;
            }
        }
    }

    #[test]
    fn percentiles_are_near_the_exact_ones() {
        let mut latency = Latency::default();
        assert_eq!(latency.percentile(50), None);
        for millis in (1..=1_000).rev() {
            latency.add(Duration::from_millis(millis));
        }
        for (percent, exact) in [(50, 500.0), (95, 950.0), (99, 990.0), (100, 1_000.0)] {
            let told = latency.percentile(percent).unwrap().as_secs_f64() * 1_000.0;
            assert!((told / exact - 1.0_f64).abs() < 0.02, "p{percent}: {told}");
        }
        assert_eq!(latency.max(), Duration::from_secs(1));
        let buckets = latency.buckets();
        assert_eq!(buckets.iter().map(|it| it.count).sum::<u64>(), 1_000);
        assert!(buckets[0].from <= Duration::from_millis(1) && buckets[0].count > 0);
        assert!(buckets.windows(2).all(|pair| pair[0].to == pair[1].from));
    }
}
