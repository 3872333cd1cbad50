//! The charts that the caller of a local run adds to the report.

/// A query with the chart of its result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chart {
    /// The id of the chart in the HTML report, such as `runs-per-day`.
    pub id: &'static str,
    /// The title of the chart.
    pub title: &'static str,
    /// The explanation of the chart.
    pub about: &'static str,
    /// The form in which the result is drawn.
    pub drawing: Drawing,
    /// The tables that the query reads.
    pub tables: &'static [&'static str],
    /// The query, one `select`. It names its tables without their schema.
    pub sql: &'static str,
}

/// The form in which a query's result is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drawing {
    /// A bar for each day, divided into series. The result: day, series, number; by day.
    Stacked(&'static [Series]),
    /// Three points for each name, on a logarithmic scale. The result: name, number of measurements, then the seconds
    /// at the 50th, 90th and 99th percentile.
    Spread,
}

/// A part of stacked bars.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Series {
    /// The name of the series in the result. Rows with an unknown name count as the last series.
    pub key: &'static str,
    /// The meaning of the series, which decides its colour.
    pub tone: Tone,
}

/// A colour by its meaning. All can be distinguished without seeing red or green.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// A good end.
    Good,
    /// A bad end.
    Bad,
    /// Aborted from outside.
    Broken,
    /// Running.
    Active,
    /// About to run.
    Soon,
    /// Planned.
    Planned,
    /// Waiting for a person.
    Held,
    /// Being cancelled on purpose.
    Ending,
    /// Cancelled on purpose.
    Ended,
    /// Anything else.
    Other,
}

impl Tone {
    /// Returns the class of the colour in the style sheet.
    pub(super) fn class(self) -> &'static str {
        match self {
            Self::Good => "green",
            Self::Bad => "red",
            Self::Broken => "pink",
            Self::Active => "blue",
            Self::Soon => "sky",
            Self::Planned => "amber",
            Self::Held => "yellow",
            Self::Ending => "slate",
            Self::Ended => "grey",
            Self::Other => "plain",
        }
    }
}
