//! Durations of requests: counts by duration, fine enough for percentiles, and of bounded size.

use std::time::Duration;

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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_duration_is_counted_once() {
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
            let found = one.percentile(50).unwrap();
            assert!(found.abs_diff(took) <= took / 100, "{micros}: {found:?}");
        }
        let counts = all.counts.unwrap();
        assert_eq!(counts.len(), lengths.len() as u64);
        // The size is bounded.
        assert!(counts.distinct_values() * 8 <= 60_000);
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
    }
}
