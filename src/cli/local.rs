//! The commands of the local run.
use std::process::ExitCode;

use clap::Subcommand;

/// Commands of the local run.
#[derive(Debug, Subcommand)]
pub(super) enum Command {}

pub(super) async fn run(command: Command) -> ExitCode {
    match command {}
}
