//! Goals: measured values and their limits.

use crate::{scenarios::Ratio, table::Table};

/// A goal.
pub struct Goal {
    name: String,
    measured: f64,
    /// The least and the most of several measurements.
    spread: Option<(f64, f64)>,
    /// The limit of the measured value.
    wanted: Wanted,
    unit: &'static str,
}

/// The kind of limit.
#[derive(Debug, Clone, Copy)]
pub enum Wanted {
    /// The maximum.
    AtMost(f64),
    /// The minimum.
    AtLeast(f64),
    /// No limit; the value is printed for comparison only.
    Shown,
}

impl Goal {
    /// Creates a goal with its measured value.
    pub fn new(name: impl Into<String>, measured: f64, wanted: Wanted, unit: &'static str) -> Self {
        Self {
            name: name.into(),
            measured,
            spread: None,
            wanted,
            unit,
        }
    }

    /// Creates a goal for a ratio of measurements that were made in turns.
    pub fn ratio(name: impl Into<String>, ratio: Ratio, wanted: Wanted) -> Self {
        Self {
            spread: Some((ratio.least, ratio.most)),
            ..Self::new(name, ratio.median, wanted, "x")
        }
    }

    /// Returns true if the goal was missed.
    pub fn missed(&self) -> bool {
        match self.wanted {
            Wanted::AtMost(limit) => self.measured > limit,
            Wanted::AtLeast(limit) => self.measured < limit,
            Wanted::Shown => false,
        }
    }

    fn row(&self) -> Vec<String> {
        let unit = self.unit;
        let wanted = match self.wanted {
            Wanted::AtMost(limit) => format!("≤ {limit} {unit}"),
            Wanted::AtLeast(limit) => format!("≥ {limit} {unit}"),
            Wanted::Shown => String::new(),
        };
        let spread = self.spread.map_or_else(String::new, |(least, most)| {
            format!(" ({}–{})", short(least), short(most))
        });
        let verdict = match self.wanted {
            Wanted::Shown => "",
            _ if self.missed() => "MISSED",
            _ => "ok",
        };
        vec![
            self.name.clone(),
            format!("{} {unit}{spread}", short(self.measured)),
            wanted.trim_end().to_owned(),
            verdict.to_owned(),
        ]
    }
}

/// Formats a number with two digits after the point, or without them from 1,000 on.
fn short(number: f64) -> String {
    if number >= 1_000.0 {
        format!("{number:.0}")
    } else {
        format!("{number:.2}")
    }
}

/// Returns all goals as a table in Markdown.
pub fn markdown(goals: &[Goal]) -> String {
    let mut table = Table::new(&["goal", "measured", "wanted", ""]);
    for goal in goals {
        table.push(goal.row());
    }
    table.markdown()
}
