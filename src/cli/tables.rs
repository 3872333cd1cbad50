//! `tables`: what the connector can sync.

use std::process::ExitCode;

use clap::Args;

use super::print;
use crate::tables;

/// Arguments of `tables`.
#[derive(Debug, Args)]
#[group(multiple = false)]
pub(super) struct Arguments {
    /// Tables and columns in full, as docs/TABLES.md has them.
    #[arg(long)]
    markdown: bool,
    /// The same for machines.
    #[arg(long)]
    json: bool,
    /// How the tables hang together, as a graph for Graphviz.
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
