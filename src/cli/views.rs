//! The views of the local run's warehouse.
//!
//! They are the queries of `docs/queries`, and the tables of the Python example connector, derived from ours, for
//! users who migrate. The views are recreated after each sync, because a sync may have created missing tables. The
//! queries of `docs/queries/local` read the log of syncs.

use std::{fmt::Write as _, path::Path, process::ExitCode};

use clap::Args;

use super::{
    folder::Folder,
    process::{for_people, print},
};
use fivetran_runner::{LeftOut, View, execute_views, make_latest, tables_lie_in};

/// The schema of the queries.
const QUESTIONS: &str = "views";
/// The schema of the Python example connector's tables.
const PYTHON: &str = "python_connector";

/// The columns for the name of a view.
const NAME: usize = 34;

/// The schema in the SQL files, with its dot.
const WRITTEN_FOR: &str = "tester.";

/// A query of `docs/queries`.
macro_rules! question {
    ($name:literal) => {
        View {
            schema: QUESTIONS,
            name: $name,
            description: "",
            sql: include_str!(concat!("../../docs/queries/", $name, ".sql")),
        }
    };
}

/// A query that reads the log of syncs, in place of the one of the same name for other warehouses.
macro_rules! local_question {
    ($name:literal) => {
        View {
            schema: QUESTIONS,
            name: $name,
            description: "",
            sql: include_str!(concat!("../../docs/queries/local/", $name, ".sql")),
        }
    };
}

/// A table of `docs/migrating`.
macro_rules! python {
    ($name:literal) => {
        View {
            schema: PYTHON,
            name: $name,
            description: "",
            sql: include_str!(concat!("../../docs/migrating/", $name, ".sql")),
        }
    };
}

/// All views, still without the descriptions, which are in the SQL.
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
    local_question!("rows_by_sync"),
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
    #[command(flatten)]
    folder: Folder,
}

/// Creates the views in a warehouse. Returns those that could not be created, usually because a table is missing.
pub(super) fn make(warehouse: &Path) -> Result<Vec<LeftOut>, fivetran_runner::Error> {
    make_latest(warehouse)?;
    let schema = format!("{}.", tables_lie_in(warehouse)?);
    let texts = VIEWS
        .iter()
        .map(|view| view.sql.replace(WRITTEN_FOR, &schema));
    let texts: Vec<_> = texts.collect();
    let views = VIEWS.iter().zip(&texts);
    let views = views.map(|(view, sql)| View {
        sql,
        description: question(view.sql),
        ..*view
    });
    let views: Vec<_> = views.collect();
    execute_views(warehouse, &views)
}

/// The view of a query that everyone can try. Its rows are few and fit a narrow terminal.
const PROPOSED: &str = "views.active_rows_by_month";

/// Returns the view to try, unless it was left out.
pub(super) fn proposed(left_out: &[LeftOut]) -> Option<&'static str> {
    let is_missing = left_out.iter().any(|left_out| left_out.view == PROPOSED);
    (!is_missing).then_some(PROPOSED)
}

/// Creates the views and lists them.
pub(super) fn run(arguments: &Views) -> anyhow::Result<ExitCode> {
    let left_out = make(
        &arguments
            .folder
            .path()
            .join(fivetran_runner::WAREHOUSE_FILE),
    )?;
    let mut text = String::new();
    for view in VIEWS {
        let name = format!("{}.{}", view.schema, view.name);
        let about = match left_out.iter().find(|left_out| left_out.view == name) {
            None => question(view.sql).to_owned(),
            Some(left_out) => format!("skipped: {}", left_out.reason),
        };
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{name:<NAME$}  {about}");
    }
    Ok(print(&for_people(&text)))
}

/// Returns the question in the header of an SQL file.
fn question(sql: &str) -> &str {
    let mut lines = sql.lines();
    lines
        .find_map(|line| line.strip_prefix("-- question: "))
        .unwrap_or_default()
}
