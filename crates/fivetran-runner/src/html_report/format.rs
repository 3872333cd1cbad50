//! Numbers, sizes, times and durations in readable form.

use std::{fmt, time::Duration};

use chrono::{DateTime, Utc};
use maud::Render;

pub(super) use sync_telemetry::{counted, format_count as count};

/// A size in bytes.
pub(super) fn bytes(number: u64) -> String {
    const UNITS: [&str; 4] = ["kB", "MB", "GB", "TB"];
    if number < 1_000 {
        return format!("{number} B");
    }
    let mut value = float(number);
    let mut unit = "B";
    for larger in UNITS {
        if value < 999.5 {
            break;
        }
        value /= 1_000.0;
        unit = larger;
    }
    format!("{} {unit}", three_digits(value))
}

/// A duration.
pub(super) fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    if duration.is_zero() {
        "0 s".to_owned()
    } else if seconds < 0.000_999_5 {
        format!("{} µs", three_digits(seconds * 1e6))
    } else if seconds < 0.999_5 {
        format!("{} ms", three_digits(seconds * 1e3))
    } else if seconds < 59.95 {
        format!("{} s", three_digits(seconds))
    } else {
        let seconds = (seconds + 0.5).floor();
        let whole = Duration::from_secs_f64(seconds).as_secs();
        match (whole / 3_600, whole / 60 % 60, whole % 60) {
            (0, minutes, 0) => format!("{minutes} min"),
            (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
            (hours, ..) if hours >= 24 => match hours % 24 {
                0 => format!("{} d", hours / 24),
                more => format!("{} d {more} h", hours / 24),
            },
            (hours, 0, _) => format!("{hours} h"),
            (hours, minutes, _) => format!("{hours} h {minutes} min"),
        }
    }
}

/// A time, to the second.
pub(super) fn time(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M:%S UTC").to_string()
}

fn three_digits(value: f64) -> String {
    let text = if value < 9.995 {
        format!("{value:.2}")
    } else if value < 99.95 {
        format!("{value:.1}")
    } else {
        return format!("{value:.0}");
    };
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A count as a length that can be drawn.
#[expect(clippy::cast_precision_loss, reason = "a chart needs less precision")]
pub(super) fn float(number: u64) -> f64 {
    number as f64
}

/// A position in a chart, to a tenth.
#[derive(Debug, Clone, Copy)]
pub(super) struct Px(pub(super) f64);

impl fmt::Display for Px {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tenths = (self.0 * 10.0).round() / 10.0;
        // Adding zero removes a negative zero.
        write!(f, "{}", tenths + 0.0)
    }
}

impl Render for Px {
    fn render_to(&self, buffer: &mut String) {
        maud::display(self).render_to(buffer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_well() {
        let text = |seconds: f64| duration(Duration::from_secs_f64(seconds));
        assert_eq!(text(0.0), "0 s");
        assert_eq!(text(0.000_012), "12 µs");
        assert_eq!(text(0.012_3), "12.3 ms");
        assert_eq!(text(0.999_9), "1 s");
        assert_eq!(text(12.34), "12.3 s");
        assert_eq!(text(99.99), "1 min 40 s");
        assert_eq!(text(119.8), "2 min");
        assert_eq!(text(3_600.0), "1 h");
        assert_eq!(text(9_000.0), "2 h 30 min");
        assert_eq!(text(86_400.0 * 7.0), "7 d");
        assert_eq!(text(90_000.0), "1 d 1 h");
    }
}
