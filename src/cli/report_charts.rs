//! The charts of the HTML report: the states of runs by day, and the durations of runs.

use fivetran_runner::html_report::{Chart, Drawing, Series, Tone};

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

/// The charts, in the order of the HTML report.
pub(super) const CHARTS: &[Chart] = &[
    Chart {
        id: "runs-per-day",
        title: "Flow runs per day, by state",
        about: "By the day (UTC) on which a run started or was scheduled to start: the 30 days up to the last day with \
                runs. Future and deleted runs are excluded.",
        drawing: Drawing::Stacked(STATES),
        tables: &["flow_runs"],
        sql: include_str!("report_charts/runs_per_day.sql"),
    },
    Chart {
        id: "durations",
        title: "Durations of completed flow runs, by flow",
        about: "Time spent running, for the ten flows with the most completed runs. Half of the runs took at most p50, \
                99 % at most p99.",
        drawing: Drawing::Spread,
        tables: &["flow_runs", "flows"],
        sql: include_str!("report_charts/durations.sql"),
    },
];
