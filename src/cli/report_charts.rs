//! The charts of the HTML report: the states of runs by day, the last failed runs, and the durations of runs.

use fivetran_runner::html_report::{Chart, ColumnKind, Drawing, Series, TableColumn, Tone};

/// Prefect's state types, from the bottom of a bar to its top.
const STATES: &[Series] = &[
    state("COMPLETED", Tone::Good),
    state("RUNNING", Tone::Active),
    state("PENDING", Tone::Soon),
    state("SCHEDULED", Tone::Planned),
    state("CRASHED", Tone::Broken),
    state("FAILED", Tone::Bad),
    state("CANCELLED", Tone::Ended),
    state("CANCELLING", Tone::Ending),
    state("PAUSED", Tone::Held),
    state("other", Tone::Other),
];

const fn state(key: &'static str, tone: Tone) -> Series {
    Series { key, tone }
}

const fn column(name: &'static str, kind: ColumnKind) -> TableColumn {
    TableColumn { name, kind }
}

/// The text in place of a chart without runs.
const NO_RUN: &str = "The warehouse has none yet.";

/// The charts, in the order of the HTML report.
pub(super) const CHARTS: &[Chart] = &[
    Chart {
        id: "runs-per-day",
        title: "Flow runs per day, by state",
        about: "By the day (UTC) on which a run started or was scheduled to start: the 30 days up to the last day with \
                runs. Future and deleted runs are excluded.",
        empty: NO_RUN,
        drawing: Drawing::Stacked(STATES),
        tables: &["flow_runs"],
        sql: include_str!("report_charts/runs_per_day.sql"),
    },
    Chart {
        id: "failed-runs",
        title: "The last failed flow runs",
        about: "The 15 runs that failed or crashed last, and the message of their state. Times are in UTC.",
        empty: "No flow run has failed.",
        drawing: Drawing::Table(&[
            column("ended", ColumnKind::Time),
            column("flow", ColumnKind::Text),
            column("run", ColumnKind::Text),
            column("state", ColumnKind::Text),
            column("reason", ColumnKind::Text),
        ]),
        tables: &["flow_runs", "flows"],
        sql: include_str!("report_charts/failed_runs.sql"),
    },
    Chart {
        id: "durations",
        title: "Durations of completed flow runs",
        about: "Time spent running, for the ten flows with the most completed runs. Half of the runs took at most p50, \
                99 % at most p99.",
        empty: NO_RUN,
        drawing: Drawing::Table(&[
            column("flow", ColumnKind::Text),
            column("runs", ColumnKind::Count),
            column("p50", ColumnKind::Seconds),
            column("p90", ColumnKind::Seconds),
            column("p99", ColumnKind::Seconds),
        ]),
        tables: &["flow_runs", "flows"],
        sql: include_str!("report_charts/durations.sql"),
    },
];
