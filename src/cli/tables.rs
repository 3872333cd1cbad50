//! `tables`: prints the tables that the connector can sync.

use std::process::ExitCode;

use clap::Args;

use super::process::print;
use crate::tables;

/// Arguments of `tables`.
#[derive(Debug, Args)]
#[group(multiple = false)]
pub(super) struct Arguments {
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
    print(&match arguments {
        Arguments { markdown: true, .. } => tables::markdown(),
        Arguments { json: true, .. } => tables::json(),
        Arguments { diagram: true, .. } => tables::diagram(),
        _ => tables::summary(),
    })
}
