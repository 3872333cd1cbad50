//! `conformance`: checks that a connector, ours or any other, follows the protocol's rules.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use clap::Args;
use fivetran_runner::conformance::{
    self, OldVersion, Outcome, Report, Waivers, document, junit, render,
};
use tracing_subscriber::EnvFilter;

use super::{
    connector::{self, ConnectorTarget},
    demo_workspace,
    process::for_people,
};
use crate::{clock::SystemClock, fivetran::SyncHooks, telemetry::Telemetry};

/// The exit code if the connector was not examined, or not completely.
const INCOMPLETE: u8 = 2;

/// Arguments of `conformance`.
#[derive(Debug, Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each field is a separate flag"
)]
pub(super) struct Conformance {
    #[command(flatten)]
    connector: ConnectorTarget,
    /// The file with the values of the setup form, a JSON object of strings [default: configuration.json].
    #[arg(long)]
    configuration: Option<PathBuf>,
    /// Examines our connector with a small generated workspace.
    #[arg(long)]
    demo: bool,
    /// Compares with an old version of the connector: the address of one that listens, or a command as in --spawn.
    #[arg(long, value_name = "OLD")]
    against: Option<String>,
    /// Checks only these rules.
    #[arg(long, value_name = "RULE", value_delimiter = ',')]
    rules: Vec<String>,
    /// Skips these rules.
    #[arg(long, value_name = "RULE", value_delimiter = ',')]
    skip: Vec<String>,
    /// The maximum number of checkpoints to resume from, spread evenly.
    #[arg(long, default_value_t = conformance::CUTS)]
    cuts: usize,
    /// The time that the connector may send nothing, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = conformance::PATIENCE.as_secs())]
    patience: u64,
    /// Fails on warnings, too.
    #[arg(long)]
    strict: bool,
    /// Prints the report as JSON.
    #[arg(long)]
    json: bool,
    /// Writes the report to this file as JUnit XML, for CI servers.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// The file with known findings, which do not fail the run: lines `RULE [TABLE[.COLUMN]]: REASON`.
    #[arg(long, value_name = "FILE")]
    waivers: Option<PathBuf>,
    /// Writes the connector's stdout to this file, without values that look secret.
    #[arg(long, value_name = "FILE", requires = "spawn")]
    log: Option<PathBuf>,
    /// Prints all rules, in Markdown.
    #[arg(long)]
    list_rules: bool,
}

/// Examines the connector and prints the report. Exit codes: 0 no rule broken, 1 rules broken, 2 not examined.
pub(super) async fn run(arguments: Conformance) -> ExitCode {
    match examine(arguments).await {
        Ok(code) => code,
        Err(error) => {
            let _ = writeln!(io::stderr(), "error: {error:#}");
            ExitCode::from(INCOMPLETE)
        }
    }
}

async fn examine(arguments: Conformance) -> anyhow::Result<ExitCode> {
    if arguments.list_rules {
        write!(io::stdout(), "{}", document::markdown())?;
        return Ok(ExitCode::SUCCESS);
    }
    log_to_stderr();
    let waivers = match &arguments.waivers {
        Some(file) => read_waivers(file)?,
        None => Waivers::default(),
    };
    let demo = if arguments.demo {
        Some(demo_workspace::small().await?)
    } else {
        None
    };
    let configuration = match &demo {
        Some(server) => demo_workspace::answers(server),
        None => arguments
            .connector
            .configuration(arguments.configuration.as_deref())?,
    };
    let (mut report, lines) = run_with_connectors(&arguments, configuration).await?;
    report.take_log(lines.as_deref());
    report.waive(&waivers);
    if let (Some(file), Some(lines)) = (&arguments.log, &lines) {
        let text: String = lines.iter().map(|line| report.clean(line) + "\n").collect();
        fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))?;
    }
    if let Some(file) = &arguments.junit {
        write_junit(&report, arguments.strict, file)?;
    }
    let mut out = io::stdout().lock();
    if arguments.json {
        render::json(&report, arguments.strict, &mut out)?;
    } else {
        let mut text = Vec::new();
        render::text(&report, arguments.strict, &mut text)?;
        let text = String::from_utf8_lossy(&text);
        write!(out, "{}", for_people(&text))?;
    }
    Ok(match report.outcome(arguments.strict) {
        Outcome::Passed => ExitCode::SUCCESS,
        Outcome::Failed => ExitCode::FAILURE,
        Outcome::Incomplete => ExitCode::from(INCOMPLETE),
    })
}

/// Starts the connector, and the old version if there is one. Returns the report and the lines of stdout.
async fn run_with_connectors(
    arguments: &Conformance,
    configuration: BTreeMap<String, String>,
) -> anyhow::Result<(Report, Option<Vec<String>>)> {
    let interrupted = connector::interruption();
    let start = async |target: &ConnectorTarget| {
        target
            .start(
                Telemetry::default(),
                SyncHooks::default(),
                &configuration,
                &interrupted,
            )
            .await
    };
    let connector = start(&arguments.connector).await?;
    let old = match arguments.against.as_deref().map(ConnectorTarget::other) {
        Some(target) => Some(
            start(&target)
                .await
                .context("cannot start the old version")?,
        ),
        None => None,
    };
    let old_version = match &old {
        Some(old) => Some(OldVersion {
            endpoint: old.endpoint().await,
            restart: old.restart(),
        }),
        None => None,
    };
    let options = conformance::Options {
        rules: arguments.rules.clone(),
        skip: arguments.skip.clone(),
        cuts: arguments.cuts,
        patience: Duration::from_secs(arguments.patience),
        ..conformance::Options::new(connector.endpoint().await, configuration.clone())
    };
    let clock = Arc::new(SystemClock);
    let (restart, old_version) = (connector.restart(), old_version.as_ref());
    let report = conformance::run(options, restart, old_version, clock, interrupted).await;
    if let Some(old) = old {
        old.end().await;
    }
    let lines = connector.end().await;
    Ok((report?, lines))
}

fn read_waivers(file: &Path) -> anyhow::Result<Waivers> {
    let name = file.display();
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {name}"))?;
    Waivers::parse(&text).with_context(|| name.to_string())
}

fn write_junit(report: &Report, strict: bool, file: &Path) -> anyhow::Result<()> {
    let mut xml = Vec::new();
    junit::write(report, strict, &mut xml)?;
    fs::write(file, xml).with_context(|| format!("cannot write {}", file.display()))
}

/// Logs the current sync and errors to stderr. `RUST_LOG` selects other lines.
fn log_to_stderr() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| {
        EnvFilter::new("error,connector=off,fivetran_runner::conformance=info")
    });
    // Fails only if logging was started before.
    let _ = tracing_subscriber::fmt()
        .compact()
        .without_time()
        .with_target(false)
        .with_level(false)
        .with_ansi(false)
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .try_init();
}
