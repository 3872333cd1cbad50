//! `debug`: syncs into a DuckDB file on this machine, acting as Fivetran over real gRPC.

use std::{
    collections::BTreeMap,
    io::{self, IsTerminal as _, Write as _},
    path::PathBuf,
    process::ExitCode,
    sync::Arc,
};

use chrono::{DateTime, Utc};
use clap::Args;
use fivetran_runner::{
    Counters, Names, Options, RequestedSelection, SyncOutcome, Transport, UnknownFields,
    progress::Progress, report, terminal,
};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use super::{
    connector::{self, ConnectorTarget},
    debug_texts::{Beginning, next_commands},
    demo_workspace::{self, DemoWorkspace},
    descriptions,
    folder::Folder,
    folder_lock::FolderLock,
    html_report, recording, selected_names,
    spawned::StartError,
    views,
    watch::{self, WatchInterval},
};
use crate::{
    clock::{Clock as _, SystemClock},
    telemetry::Telemetry,
};

/// Arguments of `debug`.
#[derive(Debug, Clone, Args)]
pub(super) struct Debug {
    #[command(flatten)]
    connector: ConnectorTarget,
    /// The file with the values of the setup form, a JSON object of strings [default: configuration.json].
    #[arg(long)]
    configuration: Option<PathBuf>,
    /// Starts from the state in this file instead of the one of the last run.
    #[arg(long, conflicts_with = "full_refresh")]
    state: Option<PathBuf>,
    #[command(flatten)]
    folder: Folder,
    /// Starts without a state, as Fivetran does for a re-sync.
    #[arg(long)]
    full_refresh: bool,
    /// Selects only this table; may be repeated.
    #[arg(long = "table", value_name = "TABLE")]
    tables: Vec<String>,
    /// Selects only this column of its table, and the key: TABLE.COLUMN; may be repeated.
    #[arg(long = "column", value_name = "TABLE.COLUMN")]
    columns: Vec<String>,
    /// Excludes this column: TABLE.COLUMN; may be repeated.
    #[arg(long = "no-column", value_name = "TABLE.COLUMN")]
    no_columns: Vec<String>,
    #[command(flatten)]
    recording: recording::Arguments,
    /// The schema in which tables are landed.
    #[arg(long, default_value = fivetran_runner::DEFAULT_SCHEMA)]
    schema: String,
    /// Keeps every version of a row, as Fivetran's history mode does.
    #[arg(long)]
    history: bool,
    /// Syncs repeatedly, with this pause after each sync (30s, 5m, 1h), and shows the changes.
    #[arg(long, value_name = "PAUSE", conflicts_with_all = ["record", "state", "full_refresh"])]
    watch: Option<WatchInterval>,
    /// Prints the outcome as JSON, one object on a line for each sync.
    #[arg(long)]
    json: bool,
}

/// Syncs once or repeatedly, and prints the outcome.
pub(super) async fn run(arguments: Debug) -> anyhow::Result<ExitCode> {
    let _lock = FolderLock::acquire(&arguments.folder.path())?;
    let interrupted = connector::interruption();
    let progress = Arc::new(if arguments.json {
        Progress::hidden()
    } else {
        Progress::new(html_report::routes())
    });
    if let Some(every) = arguments.watch {
        return watch(&arguments, every, &progress, &interrupted).await;
    }
    let ended = sync_to_end(&arguments, true, &progress, &interrupted).await;
    arguments.print_report(&ended)?;
    Ok(if ended.outcome.succeeded() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Syncs repeatedly, until the process is asked to end. Returns early if the first sync fails before it begins.
async fn watch(
    arguments: &Debug,
    every: WatchInterval,
    progress: &Arc<Progress>,
    interrupted: &CancellationToken,
) -> anyhow::Result<ExitCode> {
    let mut is_first = true;
    while !interrupted.is_cancelled() {
        // The setup tests are run only before the first sync.
        let ended = sync_to_end(arguments, is_first, progress, interrupted).await;
        if !is_first && interrupted.is_cancelled() && !ended.outcome.succeeded() {
            break;
        }
        let mut tests = ended.outcome.tests.iter();
        let is_useless = !ended.has_ended || tests.any(|test| test.failure.is_some());
        if arguments.json || (is_first && is_useless) {
            arguments.print_report(&ended)?;
        } else {
            watch::print_line(&ended.outcome, SystemClock.now())?;
        }
        if is_first && is_useless {
            return Ok(ExitCode::FAILURE);
        }
        is_first = false;
        watch::pause(every, arguments.json, interrupted).await?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The end of a sync.
struct SyncResult {
    outcome: SyncOutcome,
    /// The view that the report proposes for a query, if it could be created.
    view: Option<&'static str>,
    /// False if an error prevented the sync, or ended it.
    has_ended: bool,
}

/// Syncs once. An error before the sync, such as an invalid configuration, is its failure.
async fn sync_to_end(
    arguments: &Debug,
    is_first: bool,
    progress: &Arc<Progress>,
    interrupted: &CancellationToken,
) -> SyncResult {
    let error = match sync(arguments, is_first, progress, interrupted).await {
        Ok(ended) => return ended,
        Err(error) => error,
    };
    let (failure, last_lines) = match error.downcast_ref::<StartError>() {
        Some(start) => (start.reason.clone(), start.last_lines.clone()),
        None => (format!("{error:#}"), Vec::new()),
    };
    arguments.failed(failure, last_lines)
}

/// Starts the connector, if necessary, and syncs once.
async fn sync(
    arguments: &Debug,
    is_first: bool,
    progress: &Arc<Progress>,
    interrupted: &CancellationToken,
) -> anyhow::Result<SyncResult> {
    fivetran_runner::check_schema(&arguments.schema)?;
    let (dir, is_demo) = (arguments.folder.path(), arguments.folder.is_demo());
    if arguments.connector.name().is_none() {
        demo_workspace::keep_apart(&arguments.folder)?;
    }
    let demo = if is_demo {
        Some(DemoWorkspace::open(&dir).await?)
    } else {
        None
    };
    let configuration = match &demo {
        Some(world) => world.configuration(),
        None => arguments
            .connector
            .configuration(arguments.configuration.as_deref())?,
    };
    let names = arguments.names();
    if arguments.connector.name().is_none() {
        selected_names::check(&names, &configuration)?;
    }
    log_for_people(progress);
    let report = match arguments.connector.name() {
        None => html_report::Report::new(&configuration, demo.is_some()),
        Some(name) => html_report::Report::of_another(name),
    };
    if is_first && !arguments.json {
        let beginning = arguments.beginning(report.subject(), SystemClock.now());
        write!(io::stdout(), "{beginning}")?;
    }
    let is_ours = arguments.connector.name().is_none();
    let recording = arguments.recording.begin(&configuration, &dir, is_ours)?;

    let counters = Arc::new(Counters::default());
    let telemetry = Telemetry::new(vec![
        progress.clone(),
        counters.clone(),
        report.timeline.clone(),
    ]);
    let connector = arguments
        .connector
        .start(telemetry, recording.hooks(), &configuration, interrupted)
        .await?;

    let options = Options {
        skip_tests: !is_first,
        counters: is_ours.then_some(counters),
        process: connector.process(),
        start_within: connector.start_within(),
        ..arguments.options(connector.endpoint().await, configuration)
    };
    let clock = Arc::new(SystemClock);
    let shown = Arc::clone(progress);
    let observer = Arc::new(move |table: &str, records| shown.came(table, records));
    progress.start();
    let outcome =
        fivetran_runner::run_observed(options.clone(), clock, interrupted.clone(), observer).await;
    progress.finish();
    connector.end().await;
    let has_succeeded = outcome.as_ref().is_ok_and(SyncOutcome::succeeded);
    let lines = recording.finish(!has_succeeded && !interrupted.is_cancelled())?;
    let mut outcome = match outcome {
        Ok(outcome) => outcome,
        Err(error) => {
            report.broken_off(&options, &error);
            let mut failed = arguments.failed(error.to_string(), Vec::new());
            failed.outcome.notes = lines;
            return Ok(failed);
        }
    };
    outcome.notes = lines;
    report.write(&options, &mut outcome);
    let mut view = None;
    if outcome.succeeded() {
        if is_ours {
            match views::make(&outcome.warehouse) {
                Ok(left_out) => view = views::proposed(&left_out),
                // The rows have landed, so missing views are only a warning.
                Err(error) => tracing::warn!("cannot create the views: {error}"),
            }
        }
        if let Some(world) = demo {
            world.synced()?;
        }
    }
    Ok(SyncResult {
        outcome,
        view,
        has_ended: true,
    })
}

impl Debug {
    /// Returns the end of a sync that an error prevented or ended.
    fn failed(&self, failure: String, last_lines: Vec<String>) -> SyncResult {
        let dir = self.folder.path();
        SyncResult {
            outcome: SyncOutcome {
                failure: Some(failure),
                last_lines,
                history: self.history,
                ended: SystemClock.now(),
                warehouse: dir.join(fivetran_runner::WAREHOUSE_FILE),
                state: dir.join(fivetran_runner::STATE_FILE),
                ..SyncOutcome::default()
            },
            view: None,
            has_ended: false,
        }
    }

    /// Returns the options that follow from the arguments.
    fn options(
        &self,
        endpoint: impl Into<Transport>,
        configuration: BTreeMap<String, String>,
    ) -> Options {
        let options = Options {
            state: self.state.clone(),
            full_refresh: self.full_refresh,
            schema: self.schema.clone(),
            selection: RequestedSelection::Names(self.names()),
            history: self.history,
            ..Options::new(endpoint, configuration, self.folder.path())
        };
        if self.connector.name().is_some() {
            return options;
        }
        Options {
            descriptions: descriptions::all(),
            unknown_fields: UnknownFields::LeaveToConnector,
            ..options
        }
    }

    /// Returns the names of the selected tables and columns.
    fn names(&self) -> Names {
        Names {
            tables: self.tables.clone(),
            columns: self.columns.clone(),
            but: self.no_columns.clone(),
        }
    }

    /// Returns the texts before a sync.
    fn beginning(&self, subject: &str, now: DateTime<Utc>) -> Beginning {
        let dir = self.folder.path();
        let default = dir.join(fivetran_runner::STATE_FILE);
        Beginning {
            subject: subject.to_owned(),
            warehouse: dir.join(fivetran_runner::WAREHOUSE_FILE),
            schema: self.schema.clone(),
            state: (!self.full_refresh).then(|| self.state.clone().unwrap_or(default)),
            now,
        }
    }

    /// Prints the report, and on a terminal also the next commands to try.
    fn print_report(&self, result: &SyncResult) -> io::Result<()> {
        let mut out = io::stdout().lock();
        if self.json {
            return writeln!(out, "{}", report::json(&result.outcome));
        }
        let is_terminal = out.is_terminal();
        let style = report::Style {
            colours: is_terminal && std::env::var_os("NO_COLOR").is_none(),
            width: terminal::width(),
        };
        if result.has_ended {
            report::write(&result.outcome, style, &mut out)?;
        } else {
            report::write_failure(&result.outcome, style, &mut out)?;
        }
        // A program that reads a pipe looks for the last line of the report.
        if is_terminal && result.has_ended && self.connector.name().is_none() {
            let next = next_commands(&result.outcome, result.view, &self.folder.typed());
            write!(out, "\n{}", next.text(style.width))?;
        }
        Ok(())
    }
}

/// Starts logging to stderr in a readable format, without disturbing the progress. `RUST_LOG` selects the lines.
/// By default, lines that the report repeats are omitted. Without a terminal, the lines begin with the time.
fn log_for_people(progress: &Progress) {
    let is_terminal = io::stderr().is_terminal();
    let filter = EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| EnvFilter::new("warn,fivetran_source::fivetran::service=off"));
    let lines = tracing_subscriber::fmt()
        .compact()
        .with_target(false)
        .with_ansi(is_terminal && std::env::var_os("NO_COLOR").is_none())
        .with_env_filter(filter)
        .with_writer(progress.log_writer());
    // Fails only if logging was started before.
    let _ = if is_terminal {
        lines.without_time().try_init()
    } else {
        lines.try_init()
    };
}
