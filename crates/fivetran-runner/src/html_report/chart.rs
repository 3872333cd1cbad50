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
    /// The text in place of an empty result.
    pub empty: &'static str,
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
    /// A table with these columns, which are the columns of the result.
    Table(&'static [TableColumn]),
}

/// A column of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TableColumn {
    /// The name in the header.
    pub name: &'static str,
    /// The form in which values are shown.
    pub kind: ColumnKind,
}

/// The form in which the values of a column are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnKind {
    /// A text, as it is.
    Text,
    /// A time, as it is.
    Time,
    /// A whole number.
    Count,
    /// A duration in seconds.
    Seconds,
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
