//! The views of the local run's warehouse: the questions of `docs/queries`, and the tables of the Python example
//! connector out of ours, for people who switch.
//!
//! They are made anew after each sync, since a sync may have made the tables that they lacked.

use std::{
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Args;

use crate::debug::{self, LeftOut, View, execute_views, make_latest, tables_lie_in};

/// The schema of the questions.
const QUESTIONS: &str = "views";
/// The schema of the tables as the Python example connector names them.
const PYTHON: &str = "python_connector";

/// The schema that the files name, with its dot.
const WRITTEN_FOR: &str = "tester.";

/// A question of `docs/queries`.
macro_rules! question {
    ($name:literal) => {
        View {
            schema: QUESTIONS,
            name: $name,
            sql: include_str!(concat!("../../docs/queries/", $name, ".sql")),
        }
    };
}

/// A table of `docs/migrating`.
macro_rules! python {
    ($name:literal) => {
        View {
            schema: PYTHON,
            name: $name,
            sql: include_str!(concat!("../../docs/migrating/", $name, ".sql")),
        }
    };
}

/// All views.
const VIEWS: &[View<'static>] = &[
    question!("active_rows_by_month"),
    question!("events_by_day"),
    question!("failed_task_critical_path"),
    question!("failed_task_upstream"),
    question!("failed_tasks"),
    question!("flaky_flows"),
    question!("flow_success_by_day"),
    question!("late_runs"),
    question!("lateness_by_deployment"),
    question!("log_errors"),
    question!("longest_running"),
    question!("optional_rows"),
    question!("paused_deployments"),
    question!("queue_time_by_day"),
    question!("queue_time_by_state"),
    question!("retries_by_flow"),
    question!("rows_by_sync"),
    question!("schedule_changes"),
    question!("table_freshness"),
    python!("artifact"),
    python!("deployment"),
    python!("flow"),
    python!("flow_run"),
    python!("task_run"),
    python!("variable"),
    python!("work_pool"),
    python!("work_queue"),
];

/// Arguments of `views`.
#[derive(Debug, Args)]
pub(super) struct Views {
    /// The folder of the local run.
    #[arg(long, default_value = "files")]
    dir: PathBuf,
}

/// Makes the views in a warehouse; answers those that could not be made, as their tables are not there.
pub(super) fn make(warehouse: &Path) -> Result<Vec<LeftOut>, debug::Error> {
    make_latest(warehouse)?;
    let schema = format!("{}.", tables_lie_in(warehouse)?);
    let texts = VIEWS
        .iter()
        .map(|view| view.sql.replace(WRITTEN_FOR, &schema));
    let texts: Vec<_> = texts.collect();
    let views = VIEWS.iter().zip(&texts);
    let views: Vec<_> = views.map(|(view, sql)| View { sql, ..*view }).collect();
    execute_views(warehouse, &views)
}

/// Makes the views and lists them.
pub(super) fn run(arguments: &Views) -> anyhow::Result<ExitCode> {
    let left_out = make(&arguments.dir.join(debug::WAREHOUSE_FILE))?;
    let mut out = io::stdout().lock();
    for view in VIEWS {
        let name = format!("{}.{}", view.schema, view.name);
        match left_out.iter().find(|left_out| left_out.view == name) {
            None => writeln!(out, "{name:<40} {}", question(view.sql))?,
            Some(left_out) => writeln!(out, "{name:<40} left out: {}", left_out.reason)?,
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The question that a file's header asks.
fn question(sql: &str) -> &str {
    let mut lines = sql.lines();
    lines
        .find_map(|line| line.strip_prefix("-- question: "))
        .unwrap_or_default()
}
