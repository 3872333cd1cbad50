//! Scales: where a value is drawn, and which values are written beside the picture.

use std::time::Duration;

use super::words::{count, duration, float};

/// Steps between marks of time, in seconds.
const STEPS: [f64; 18] = [
    1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1_800.0, 3_600.0, 7_200.0,
    10_800.0, 21_600.0, 43_200.0, 86_400.0,
];

/// Marks at most.
const MOST: f64 = 9.0;

/// Times from zero to `seconds` that are written below a picture.
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

/// Counts from zero to `most`, at most five.
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

/// A range of values that is drawn from one place to another.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scale {
    values: (f64, f64),
    places: (f64, f64),
    is_log: bool,
}

impl Scale {
    pub(super) fn linear(values: (f64, f64), places: (f64, f64)) -> Self {
        let is_log = false;
        Self {
            values,
            places,
            is_log,
        }
    }

    /// By orders of magnitude; all values are greater than zero.
    pub(super) fn log(values: (f64, f64), places: (f64, f64)) -> Self {
        let is_log = true;
        Self {
            values,
            places,
            is_log,
        }
    }

    /// Where a value is; what is outside is at the end.
    pub(super) fn at(&self, value: f64) -> f64 {
        let (low, high) = self.values;
        let (from, to) = self.places;
        let part = if self.is_log {
            let of = |value: f64| value.max(low).log10() - low.log10();
            of(value) / of(high)
        } else {
            (value - low) / (high - low)
        };
        let part = if part.is_finite() {
            part.clamp(0.0, 1.0)
        } else {
            0.0
        };
        from + part * (to - from)
    }
}

/// Durations by orders of magnitude, from one that is less than all of these to one that is more, and the marks.
pub(super) fn log_times(least: Duration, most: Duration) -> ((f64, f64), Vec<(f64, String)>) {
    let low = least.as_secs_f64().max(1e-6).log10().floor();
    let high = most.as_secs_f64().max(1e-6).log10().ceil().max(low + 1.0);
    let values = (10_f64.powf(low), 10_f64.powf(high));
    let mut marks = Vec::new();
    let mut power = low;
    while power <= high {
        let digits: &[f64] = if high - low <= 3.0 {
            &[1.0, 2.0, 5.0]
        } else {
            &[1.0]
        };
        for digit in digits {
            let at = digit * 10_f64.powf(power);
            if at <= values.1 * 1.000_001 {
                marks.push((at, duration(Duration::from_secs_f64(at))));
            }
        }
        power += 1.0;
    }
    (values, marks)
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
        let linear = Scale::linear((0.0, 10.0), (100.0, 200.0));
        assert!((linear.at(5.0) - 150.0).abs() < 1e-9);
        assert!((linear.at(50.0) - 200.0).abs() < 1e-9);
        let log = Scale::log((0.001, 10.0), (0.0, 400.0));
        assert!((log.at(0.1) - 200.0).abs() < 1e-9);
        assert!(log.at(0.0).abs() < 1e-9);
        assert!(Scale::linear((0.0, 0.0), (3.0, 9.0)).at(0.0) - 3.0 < 1e-9);
    }

    #[test]
    fn durations_lie_between_orders_of_magnitude() {
        let (values, marks) = log_times(Duration::from_millis(3), Duration::from_millis(40));
        assert!((values.0 - 0.001).abs() < 1e-9 && (values.1 - 0.1).abs() < 1e-9);
        let want = ["1 ms", "2 ms", "5 ms", "10 ms", "20 ms", "50 ms", "100 ms"];
        assert_eq!(texts(marks), want);
        let (values, _) = log_times(Duration::ZERO, Duration::ZERO);
        assert!(values.0 > 0.0 && values.1 > values.0);
    }
}
