//! What was measured beside what is wanted.

use crate::table::Table;

/// One goal.
pub struct Goal {
    name: String,
    measured: f64,
    /// At most this, or at least.
    wanted: Wanted,
    unit: &'static str,
}

/// Where the limit is.
#[derive(Debug, Clone, Copy)]
pub enum Wanted {
    /// Not more.
    AtMost(f64),
    /// Not less.
    AtLeast(f64),
    /// For comparison only.
    Told,
}

impl Goal {
    /// A goal and its measure.
    pub fn new(name: impl Into<String>, measured: f64, wanted: Wanted, unit: &'static str) -> Self {
        Self {
            name: name.into(),
            measured,
            wanted,
            unit,
        }
    }

    /// Whether it was missed.
    pub fn missed(&self) -> bool {
        match self.wanted {
            Wanted::AtMost(limit) => self.measured > limit,
            Wanted::AtLeast(limit) => self.measured < limit,
            Wanted::Told => false,
        }
    }

    fn row(&self) -> Vec<String> {
        let unit = self.unit;
        let wanted = match self.wanted {
            Wanted::AtMost(limit) => format!("≤ {limit} {unit}"),
            Wanted::AtLeast(limit) => format!("≥ {limit} {unit}"),
            Wanted::Told => String::new(),
        };
        let verdict = match self.wanted {
            Wanted::Told => "",
            _ if self.missed() => "MISSED",
            _ => "ok",
        };
        vec![
            self.name.clone(),
            format!("{} {unit}", short(self.measured)),
            wanted.trim_end().to_owned(),
            verdict.to_owned(),
        ]
    }
}

/// Two digits after the point where they say something.
fn short(number: f64) -> String {
    if number >= 1_000.0 {
        format!("{number:.0}")
    } else {
        format!("{number:.2}")
    }
}

/// All goals as a table.
pub fn markdown(goals: &[Goal]) -> String {
    let mut table = Table::new(&["goal", "measured", "wanted", ""]);
    for goal in goals {
        table.push(goal.row());
    }
    table.markdown()
}
