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

    /// A logarithmic scale. All values are greater than zero.
    pub(super) fn log(values: (f64, f64), places: (f64, f64)) -> Self {
        let is_log = true;
        Self {
            values,
            places,
            is_log,
        }
    }

    /// The position of a value. Values outside the range are at its ends.
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

/// Round durations of a second and more, in seconds: to a minute, an hour, a day, and years.
const ROUND: [f64; 18] = [
    1.0,
    2.0,
    5.0,
    10.0,
    30.0,
    60.0,
    120.0,
    300.0,
    600.0,
    1_800.0,
    3_600.0,
    7_200.0,
    18_000.0,
    43_200.0,
    86_400.0,
    604_800.0,
    2_592_000.0,
    31_536_000.0,
];

/// A logarithmic range of durations, from the round one before `least` to the one after `most`, and its marks.
pub(super) fn log_times(least: Duration, most: Duration) -> ((f64, f64), Vec<(f64, String)>) {
    let fine = |power: i32| [1.0, 2.0, 5.0].map(|digit| digit * 10_f64.powi(power));
    let round: Vec<f64> = (-6..0).flat_map(fine).chain(ROUND).collect();
    let end = round.len() - 1;
    let (least, most) = (least.as_secs_f64(), most.as_secs_f64());
    let from = round
        .iter()
        .rposition(|at| *at <= least)
        .unwrap_or(0)
        .min(end - 1);
    let to = round
        .iter()
        .position(|at| *at >= most)
        .unwrap_or(end)
        .max(from + 1);
    // Every n-th mark, so that the texts do not overlap.
    let every = (to - from).div_ceil(12);
    let marks = round[from..=to].iter().step_by(every);
    let marks = marks.map(|at| (*at, duration(Duration::from_secs_f64(*at))));
    ((round[from], round[to]), marks.collect())
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
    fn durations_lie_between_round_ones() {
        let millis = Duration::from_millis;
        let (values, marks) = log_times(millis(3), millis(40));
        assert!((values.0 - 0.002).abs() < 1e-9 && (values.1 - 0.05).abs() < 1e-9);
        assert_eq!(texts(marks), ["2 ms", "5 ms", "10 ms", "20 ms", "50 ms"]);
        let (_, marks) = log_times(Duration::from_secs(100), Duration::from_secs(5_000));
        let want = ["1 min", "2 min", "5 min", "10 min", "30 min", "1 h", "2 h"];
        assert_eq!(texts(marks), want);
        for (least, most) in [(0, 0), (0, u64::MAX), (u64::MAX, u64::MAX)] {
            let of = Duration::from_secs;
            let (values, marks) = log_times(of(least), of(most));
            assert!(values.0 > 0.0 && values.1 > values.0);
            assert!((2..=13).contains(&marks.len()), "{}", marks.len());
        }
    }
}
