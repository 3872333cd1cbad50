//! The commands of the local run: it plays Fivetran on this machine, over real gRPC.

use std::{
    io::{self, Write as _},
    path::PathBuf,
    process::ExitCode,
};

use clap::{Args, Subcommand};

use super::{conformance::Conformance, debug::Debug, demo_world, views};
use crate::debug::{self, reset};

/// Playing Fivetran means decoding every value of every row; see Cargo.toml.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Commands of the local run.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Asks where Prefect is, tries it, and writes configuration.json.
    Init(super::init::Arguments),
    /// Runs the setup tests with configuration.json.
    Check(super::check::Arguments),
    /// Syncs into a DuckDB file on this machine, playing Fivetran over gRPC.
    Debug(Debug),
    /// Plays Fivetran for any connector, to see whether it keeps the protocol's rules.
    Conformance(Conformance),
    /// Runs a recorded sync again, without a network.
    Replay(super::replay::Arguments),
    /// Deletes the state and the rows of the local run, after asking.
    Reset(Reset),
    /// Asks the local run's warehouse a question in SQL.
    Query(Query),
    /// Makes the views of docs/queries and docs/migrating in the local run's warehouse anew.
    Views(views::Views),
}

/// Arguments of `reset`.
#[derive(Debug, Args)]
pub(super) struct Reset {
    /// The folder of the local run.
    #[arg(long, default_value = "files")]
    dir: PathBuf,
    /// Does not ask.
    #[arg(long)]
    yes: bool,
}

/// Arguments of `query`.
#[derive(Debug, Args)]
pub(super) struct Query {
    /// The question, such as `select count(*) from tester.flow_runs`.
    sql: String,
    /// The folder of the local run.
    #[arg(long, default_value = "files")]
    dir: PathBuf,
}

/// Runs a command; what goes wrong is one line on stderr.
pub(super) async fn run(command: Command) -> ExitCode {
    let ended = match command {
        Command::Debug(arguments) => super::debug::run(arguments).await,
        Command::Init(arguments) => super::init::run(arguments).await,
        Command::Check(arguments) => super::check::run(arguments).await,
        Command::Conformance(arguments) => return super::conformance::run(arguments).await,
        Command::Replay(arguments) => super::replay::run(arguments).await,
        Command::Reset(arguments) => reset(&arguments),
        Command::Query(arguments) => query(&arguments),
        Command::Views(arguments) => views::run(&arguments),
    };
    ended.unwrap_or_else(|error| {
        // Who reads only the first lines, as `head` does, has what they wanted.
        let is_enough = |error: &io::Error| error.kind() == io::ErrorKind::BrokenPipe;
        if error.downcast_ref().is_some_and(is_enough) {
            return ExitCode::SUCCESS;
        }
        let _ = writeln!(io::stderr(), "error: {error:#}");
        ExitCode::FAILURE
    })
}

fn reset(arguments: &Reset) -> anyhow::Result<ExitCode> {
    let gone = reset::reset(&arguments.dir, arguments.yes, reset::ask)?;
    if !gone.is_empty() {
        demo_world::forget(&arguments.dir)?;
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

fn query(arguments: &Query) -> anyhow::Result<ExitCode> {
    let file = arguments.dir.join(debug::WAREHOUSE_FILE);
    let text = debug::query(&file, &arguments.sql)?;
    writeln!(io::stdout(), "{text}")?;
    Ok(ExitCode::SUCCESS)
}
