//! Scales: the position of a value in a chart, and the values written beside the chart.

use std::time::Duration;

use super::format::{count, duration, float};

/// The steps between marks of time, in seconds.
const STEPS: [f64; 18] = [
    1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1_800.0, 3_600.0, 7_200.0,
    10_800.0, 21_600.0, 43_200.0, 86_400.0,
];

/// The most marks of an axis of time.
const MOST: f64 = 9.0;

/// The marks of an axis of time, from zero to `seconds`.
pub(super) fn times(seconds: f64) -> Vec<(f64, String)> {
    let fine = |power: i32| [1.0, 2.0, 5.0].map(|digit| digit * 10_f64.powi(power));
    let steps = (-6..0).flat_map(fine).chain(STEPS);
    let days = (1..).map(|days| 86_400.0 * 2_f64.powi(days));
    let step = steps
        .chain(days.take(30))
        .find(|step| seconds / step <= MOST);
    let step = step.unwrap_or(seconds.max(1.0));
    up_to(seconds, step)
        .map(|at| (at, duration(Duration::from_secs_f64(at))))
        .collect()
}

/// The marks of an axis of counts, from zero to `most`: at most five.
pub(super) fn counts(most: u64) -> Vec<(f64, String)> {
    let steps = (0..18).flat_map(|power| [1, 2, 5].map(|digit| digit * 10_u64.pow(power)));
    let step = steps.into_iter().find(|step| most / step <= 4).unwrap_or(1);
    let marks = (0..)
        .map(|number| number * step)
        .take_while(|at| *at <= most);
    marks.map(|at| (float(at), count(at))).collect()
}

fn up_to(most: f64, step: f64) -> impl Iterator<Item = f64> {
    let marks = (0_i32..).map(move |number| f64::from(number) * step);
    marks.take_while(move |at| *at <= most * 1.000_001)
}

/// A range of values that is drawn from one position to another.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scale {
    values: (f64, f64),
    places: (f64, f64),
}

impl Scale {
    pub(super) fn new(values: (f64, f64), places: (f64, f64)) -> Self {
        Self { values, places }
    }

    /// The position of a value. Values outside the range are at its ends.
    pub(super) fn at(&self, value: f64) -> f64 {
        let (low, high) = self.values;
        let (from, to) = self.places;
        let part = (value - low) / (high - low);
        let part = if part.is_finite() {
            part.clamp(0.0, 1.0)
        } else {
            0.0
        };
        from + part * (to - from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(marks: Vec<(f64, String)>) -> Vec<String> {
        marks.into_iter().map(|(_, text)| text).collect()
    }

    #[test]
    fn marks_are_round_and_few() {
        assert_eq!(
            texts(times(0.21)),
            ["0 s", "50 ms", "100 ms", "150 ms", "200 ms"]
        );
        let of_minutes = texts(times(400.0));
        assert_eq!(of_minutes[..3], ["0 s", "1 min", "2 min"]);
        for seconds in [1e-5, 0.003, 1.0, 8.9, 59.0, 7_000.0, 200_000.0, 4e7] {
            let marks = times(seconds).len();
            assert!((2..=10).contains(&marks), "{seconds}: {marks}");
        }
        assert_eq!(texts(counts(0)), ["0"]);
        assert_eq!(texts(counts(7)), ["0", "2", "4", "6"]);
        assert_eq!(
            texts(counts(4_321)),
            ["0", "1,000", "2,000", "3,000", "4,000"]
        );
    }

    #[test]
    fn scales_keep_within_their_places() {
        let linear = Scale::new((0.0, 10.0), (100.0, 200.0));
        assert!((linear.at(5.0) - 150.0).abs() < 1e-9);
        assert!((linear.at(50.0) - 200.0).abs() < 1e-9);
        assert!(Scale::new((0.0, 0.0), (3.0, 9.0)).at(0.0) - 3.0 < 1e-9);
    }
}
