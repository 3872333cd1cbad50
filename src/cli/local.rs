//! The commands of the local run, which acts as Fivetran on this machine, over real gRPC.

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use clap::{Args, Subcommand};

use super::{
    conformance::Conformance,
    debug::Debug,
    demo_workspace, failed_recording,
    folder::Folder,
    folder_lock::{self, FolderInUse},
    query, views,
};
use fivetran_runner::{reset, terminal};

/// The allocator of the local run, which decodes every value of every row; see Cargo.toml.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Commands of the local run.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Asks for Prefect's address and credentials, tests them, and writes configuration.json.
    Init(super::init::Arguments),
    /// Runs the setup tests with configuration.json.
    Check(super::check::Arguments),
    /// Syncs into a DuckDB file on this machine, acting as Fivetran over gRPC.
    Debug(Debug),
    /// Checks that a connector follows the protocol's rules, acting as Fivetran.
    Conformance(Conformance),
    /// Runs a recorded sync again, without a network.
    Replay(super::replay::Arguments),
    /// Deletes the state and the rows of the local run, after a confirmation.
    Reset(Reset),
    /// Runs an SQL query on the local run's warehouse.
    Query(query::Arguments),
    /// Recreates the views of docs/queries and docs/migrating in the local run's warehouse.
    Views(views::Views),
}

/// Arguments of `reset`.
#[derive(Debug, Args)]
pub(super) struct Reset {
    #[command(flatten)]
    folder: Folder,
    /// Deletes without a confirmation.
    #[arg(long)]
    yes: bool,
}

/// Runs a command. An error is printed as one line on stderr.
pub(super) async fn run(command: Command) -> ExitCode {
    let ended = match command {
        Command::Debug(arguments) => super::debug::run(arguments).await,
        Command::Init(arguments) => super::init::run(arguments).await,
        Command::Check(arguments) => super::check::check(arguments).await,
        Command::Conformance(arguments) => return super::conformance::run(arguments).await,
        Command::Replay(arguments) => super::replay::run(arguments).await,
        Command::Reset(arguments) => reset(&arguments),
        Command::Query(arguments) => query::run(&arguments),
        Command::Views(arguments) => views::run(&arguments),
    };
    ended.unwrap_or_else(|error| {
        // A program that reads only the first lines, such as `head`, closes the pipe. This is not an error.
        let is_enough = |error: &io::Error| error.kind() == io::ErrorKind::BrokenPipe;
        if error.downcast_ref().is_some_and(is_enough) {
            return ExitCode::SUCCESS;
        }
        let text = format!("error: {error:#}");
        let text = terminal::wrapped(&text, terminal::error_width());
        let _ = writeln!(io::stderr(), "{text}");
        match error.downcast_ref() {
            Some(FolderInUse { .. }) => ExitCode::from(folder_lock::IN_USE),
            None => ExitCode::FAILURE,
        }
    })
}

fn reset(arguments: &Reset) -> anyhow::Result<ExitCode> {
    let dir = arguments.folder.path();
    let mut gone = reset::reset(&dir, arguments.yes, reset::ask)?;
    if !gone.is_empty() {
        gone.extend(failed_recording::forget(&dir)?);
        demo_workspace::forget(&dir)?;
    }
    let mut out = io::stdout().lock();
    for file in &gone {
        writeln!(out, "deleted {}", file.display())?;
    }
    if gone.is_empty() {
        writeln!(out, "nothing was deleted")?;
    }
    Ok(ExitCode::SUCCESS)
}
