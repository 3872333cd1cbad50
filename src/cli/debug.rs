//! `debug`: a sync into a DuckDB file on this machine, playing Fivetran over real gRPC.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, IsTerminal as _},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use anyhow::{Context as _, bail};
use clap::Args;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use super::{demo_world::DemoWorld, page, recording, views};
use crate::{
    clock::SystemClock,
    debug::{self, Choice, Counters, Names, progress::Progress, report},
    fivetran::{Service, server},
    telemetry::Telemetry,
};

/// Arguments of `debug`.
#[derive(Debug, Args)]
pub(super) struct Debug {
    /// The answers to the setup form, a JSON object of strings.
    #[arg(long, default_value = "configuration.json")]
    configuration: PathBuf,
    /// Starts from the state in this file instead of the one of the last run.
    #[arg(long, conflicts_with = "full_refresh")]
    state: Option<PathBuf>,
    /// Where `warehouse.db` and `state.json` are kept.
    #[arg(long, default_value = "files")]
    dir: PathBuf,
    /// Starts without a state, as Fivetran does for a historical re-sync.
    #[arg(long)]
    full_refresh: bool,
    /// Selects only this table; may be repeated.
    #[arg(long = "table", value_name = "TABLE")]
    tables: Vec<String>,
    /// Selects of its table only this column, and the key: TABLE.COLUMN; may be repeated.
    #[arg(long = "column", value_name = "TABLE.COLUMN")]
    columns: Vec<String>,
    /// Leaves this column out: TABLE.COLUMN; may be repeated.
    #[arg(long = "no-column", value_name = "TABLE.COLUMN")]
    no_columns: Vec<String>,
    #[command(flatten)]
    recording: recording::Arguments,
    /// The schema that tables are landed in.
    #[arg(long, default_value = debug::DEFAULT_SCHEMA)]
    schema: String,
    /// Keeps every version of a row, as Fivetran's history mode does.
    #[arg(long)]
    history: bool,
    /// Syncs a made-up workspace instead: needs no account and no server.
    #[arg(long)]
    demo: bool,
}

/// Starts the service in this process, syncs once, and tells how it went.
pub(super) async fn run(arguments: Debug) -> anyhow::Result<ExitCode> {
    debug::check_schema(&arguments.schema)?;
    let demo = if arguments.demo {
        Some(DemoWorld::open(&arguments.dir).await?)
    } else {
        None
    };
    let configuration = match &demo {
        Some(world) => world.configuration(),
        None => read_configuration(&arguments.configuration)?,
    };
    let progress = Arc::new(Progress::new());
    log_for_people(&progress);
    let page = page::Report::new(&configuration, demo.is_some());

    let recording = arguments.recording.begin(&configuration, &arguments.dir)?;

    let counters = Arc::new(Counters::default());
    let stop = CancellationToken::new();
    let listener = server::listen_locally()?;
    let endpoint = format!("http://{}", listener.local_addr()?);
    let mut service = Service::new(
        Arc::new(SystemClock),
        Telemetry::new(vec![progress.clone(), counters.clone(), page.timeline.clone()]),
        stop.clone(),
    );
    if let Some(recording) = &recording {
        service = service.with_instruments(recording.instruments());
    }
    let serving = tokio::spawn(server::serve(
        listener,
        service,
        stop.clone(),
        stop.clone().cancelled_owned(),
    ));
    let interrupted = CancellationToken::new();
    let interrupt = interrupted.clone();
    tokio::spawn(async move {
        super::end_signal().await;
        interrupt.cancel();
    });

    let options = debug::Options {
        endpoint: endpoint.into(),
        configuration,
        state: arguments.state,
        dir: arguments.dir,
        full_refresh: arguments.full_refresh,
        choice: Choice::Names(Names {
            tables: arguments.tables,
            columns: arguments.columns,
            but: arguments.no_columns,
        }),
        schema: arguments.schema,
        skip_tests: false,
        history: arguments.history,
        counters: Some(counters),
    };
    let outcome = debug::run(options.clone(), Arc::new(SystemClock), interrupted).await;
    progress.finish();
    stop.cancel();
    let _ = serving.await;
    let mut outcome = outcome.inspect_err(|error| page.broken_off(&options, error))?;
    page.write(&options, &mut outcome);
    report::write(&outcome, &mut io::stdout().lock())?;
    arguments.recording.finish(recording)?;
    if !outcome.succeeded() {
        return Ok(ExitCode::FAILURE);
    }
    // What has landed is no worse without them.
    if let Err(error) = views::make(&outcome.warehouse) {
        tracing::warn!("the views could not be made: {error}");
    }
    if let Some(world) = demo {
        world.synced()?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Reads the configuration file; an error tells its place, never a value.
pub(super) fn read_configuration(file: &Path) -> anyhow::Result<BTreeMap<String, String>> {
    let text = fs::read_to_string(file).with_context(|| {
        format!(
            "cannot read {} (make one with `fivetran_source init`, or try --demo)",
            file.display()
        )
    })?;
    match serde_json::from_str(&text) {
        Ok(configuration) => Ok(configuration),
        Err(error) => bail!(
            "{} must be a JSON object whose values are all strings (line {}, column {})",
            file.display(),
            error.line(),
            error.column()
        ),
    }
}

/// Log lines for people, on stderr and clear of the progress bars. `RUST_LOG` chooses which; without it
/// there are none of those that the report says, too.
fn log_for_people(progress: &Progress) {
    let filter = EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| EnvFilter::new("warn,fivetran_source::fivetran::service=off"));
    // Fails only when logging was started already.
    let _ = tracing_subscriber::fmt()
        .compact()
        .without_time()
        .with_target(false)
        .with_ansi(io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none())
        .with_env_filter(filter)
        .with_writer(progress.log_writer())
        .try_init();
}
