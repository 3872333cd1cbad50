//! The command line: parses the arguments and runs the command. Without a command the connector serves gRPC.

use std::{
    io::{self, Write as _},
    process::ExitCode,
    sync::Arc,
    thread,
};

use clap::{Parser, Subcommand};
use tokio_util::sync::CancellationToken;

use self::process::{end_signal, print};
use crate::{
    clock::SystemClock,
    fivetran::{Service, health, logging, server},
    messages,
    telemetry::Telemetry,
};

#[cfg(feature = "local")]
mod check;
#[cfg(feature = "local")]
mod configuration_file;
#[cfg(feature = "local")]
mod conformance;
#[cfg(feature = "local")]
mod connector;
#[cfg(feature = "local")]
mod debug;
#[cfg(feature = "local")]
mod debug_texts;
#[cfg(feature = "local")]
mod demo_workspace;
#[cfg(feature = "local")]
mod descriptions;
#[cfg(feature = "local")]
mod failed_recording;
#[cfg(feature = "local")]
mod folder;
#[cfg(feature = "local")]
mod folder_lock;
#[cfg(feature = "local")]
mod html_report;
#[cfg(feature = "local")]
mod init;
#[cfg(feature = "local")]
mod init_questions;
#[cfg(feature = "local")]
mod local;
#[cfg(feature = "local")]
mod prefect_address;
mod process;
#[cfg(feature = "local")]
mod prompter;
#[cfg(feature = "local")]
mod query;
#[cfg(feature = "local")]
mod recording;
#[cfg(feature = "local")]
mod replay;
#[cfg(feature = "local")]
mod replay_session;
#[cfg(feature = "local")]
mod replay_states;
#[cfg(feature = "local")]
mod report_charts;
#[cfg(feature = "local")]
mod reserved_port;
#[cfg(feature = "local")]
mod selected_names;
#[cfg(feature = "local")]
mod spawned;
mod state;
mod tables;
#[cfg(feature = "local")]
mod views;
#[cfg(feature = "local")]
mod watch;

/// Fivetran source connector for Prefect. Without a command it serves gRPC, which is how Fivetran runs it.
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(flatten)]
    serve: Serve,
    #[command(subcommand)]
    command: Option<Command>,
}

/// Serves gRPC until the process is asked to end.
#[derive(Debug, clap::Args)]
struct Serve {
    /// The port to listen on (IPv6 and IPv4).
    #[arg(long, default_value_t = 50051)]
    port: u16,
    /// Compresses responses with gzip for callers that accept it. Useful only if the caller is on another machine.
    #[arg(long, env = "FIVETRAN_SOURCE_COMPRESS_RESPONSES")]
    compress_responses: bool,
}

/// Checks the process that serves gRPC.
#[derive(Debug, clap::Args)]
struct Health {
    /// The port on which it listens.
    #[arg(long, default_value_t = 50051)]
    port: u16,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serves gRPC (the default).
    Serve(Serve),
    /// Checks the process that serves gRPC on a port of this machine: exit code 0 if it is healthy.
    Health(Health),
    /// Lists the tables that can be synced.
    Tables(tables::Arguments),
    /// Prints all messages with their causes and remedies, in Markdown.
    Messages,
    /// Shows, compares, upgrades and rewinds saved states.
    #[command(subcommand)]
    State(state::Command),
    #[cfg(feature = "local")]
    #[command(flatten)]
    Local(local::Command),
}

/// Runs the command that the command line names.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers())
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            logging::start();
            tracing::error!("cannot start the async runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    match cli.command {
        None => runtime.block_on(serve(&cli.serve)),
        Some(Command::Serve(arguments)) => runtime.block_on(serve(&arguments)),
        Some(Command::Health(arguments)) => runtime.block_on(check_health(&arguments)),
        Some(Command::Tables(arguments)) => tables::run(&arguments),
        Some(Command::Messages) => print(&messages::markdown()),
        Some(Command::State(command)) => state::run(&command),
        #[cfg(feature = "local")]
        Some(Command::Local(command)) => runtime.block_on(local::run(command)),
    }
}

/// Returns the number of worker threads: half of the cores, at least one. A sync is a chain of small steps. If each
/// step may run on another core, a sixth of the CPU time goes into waking cores up, and the sync ends no sooner.
fn workers() -> usize {
    thread::available_parallelism().map_or(1, |cores| cores.get().div_ceil(2))
}

async fn check_health(arguments: &Health) -> ExitCode {
    match health::check(arguments.port).await {
        Ok(()) => print("serving\n"),
        Err(error) => {
            let _ = writeln!(io::stderr(), "error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(arguments: &Serve) -> ExitCode {
    logging::start();
    match try_serve(arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn try_serve(arguments: &Serve) -> Result<(), server::Error> {
    let listener = server::listen(arguments.port)?;
    let port = listener
        .local_addr()
        .map_or(arguments.port, |address| address.port());
    tracing::info!(port, version = env!("CARGO_PKG_VERSION"), "listening");
    let stop = CancellationToken::new();
    let service = Service::new(Arc::new(SystemClock), Telemetry::default(), stop.clone())
        .with_compressed_responses(arguments.compress_responses);
    server::serve(listener, service, stop, end_signal()).await?;
    tracing::info!("stopped");
    Ok(())
}
