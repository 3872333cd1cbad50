//! `tables`: prints the tables that the connector can sync.

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use clap::Args;

use super::process::{for_people, print};
use crate::{config, tables};

/// Arguments of `tables`.
#[derive(Debug, Args)]
#[group(multiple = false)]
pub(super) struct Arguments {
    /// Shows this table with its columns, instead of all tables.
    table: Option<String>,
    /// Prints all tables and columns in Markdown, the content of docs/TABLES.md.
    #[arg(long)]
    markdown: bool,
    /// Prints all tables and columns as JSON.
    #[arg(long)]
    json: bool,
    /// Prints the references between the tables as a graph for Graphviz.
    #[arg(long)]
    diagram: bool,
}

/// Prints the catalogue.
pub(super) fn run(arguments: &Arguments) -> ExitCode {
    if let Some(name) = &arguments.table {
        return run_one(name);
    }
    print(&match arguments {
        Arguments { markdown: true, .. } => tables::markdown(),
        Arguments { json: true, .. } => tables::json(),
        Arguments { diagram: true, .. } => tables::diagram(),
        _ => for_people(&tables::summary()),
    })
}

/// Prints one table.
fn run_one(name: &str) -> ExitCode {
    match find(name) {
        Ok(table) => print(&for_people(&tables::details(table))),
        Err(why) => {
            let text = for_people(&format!("error: {why}"));
            let _ = writeln!(io::stderr(), "{text}");
            ExitCode::FAILURE
        }
    }
}

/// Returns the table called `name`. The error names the table with the most similar name.
pub(super) fn find(name: &str) -> Result<&'static tables::Table, String> {
    tables::find(name).ok_or_else(|| {
        let names = tables::ALL.iter().map(|table| table.name);
        let shown = name.escape_debug();
        match config::closest_name(name, names) {
            Some(closest) => {
                format!("table `{shown}` is not known; the closest table is `{closest}`")
            }
            None => format!("table `{shown}` is not known; `fivetran_source tables` lists all"),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closest_table_is_named() {
        for (name, says) in [
            ("flow_run", "the closest table is `flow_runs`"),
            ("Logs", "the closest table is `logs`"),
            ("zzz", "`fivetran_source tables` lists all"),
        ] {
            let error = find(name).expect_err(name);
            assert!(error.ends_with(says), "{error}");
        }
        assert_eq!(find("logs").map(|table| table.name), Ok("logs"));
    }
}
