//! `replay`: runs a recorded sync again, without a network.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use anyhow::{Context as _, bail};
use clap::Args;
use fivetran_runner::{SyncOutcome, report, terminal};

use super::{
    process::for_people,
    replay_session::{Rows, replay},
    replay_states,
};
use crate::{
    replay::{RecordedSync, Replay, ResponseCounts},
    telemetry::counted,
};

/// Arguments of `replay`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The recording, which was written by `debug --record`.
    file: PathBuf,
    /// Writes the rows into a warehouse in this folder, which must contain none. By default only the operations are
    /// compared.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Starts from the state in this file instead. Responses to requests that were not recorded are made from the
    /// recorded objects.
    #[arg(long, conflicts_with = "states")]
    state: Option<PathBuf>,
    /// Starts from each state file in this folder, and checks that all warehouses end the same. The files are synced in
    /// the order of their names into one warehouse, and single ones into warehouses of their own.
    #[arg(long, value_name = "DIR")]
    states: Option<PathBuf>,
    /// Writes the states of the recording's checkpoints into this folder instead, for --states.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["state", "states"])]
    write_states: Option<PathBuf>,
    /// Writes the requests and responses into this file instead, as an HTTP archive (HAR 1.2) for browsers and HTTP
    /// tools.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["state", "states", "write_states"])]
    write_har: Option<PathBuf>,
}

/// Runs the command. The exit code is a failure if the sync differs from the recorded one.
pub(super) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let recorded = Arc::new(RecordedSync::read(&arguments.file)?);
    let mut out = io::stdout();
    let about = format!("{}: {}", arguments.file.display(), recorded.summary());
    writeln!(out, "{}", for_people(&about))?;
    if let Some(file) = &arguments.write_har {
        return write_har(&recorded, file);
    }
    if recorded.state().is_none() {
        bail!("no sync started during this recording: there is nothing to replay");
    }
    if let Some(folder) = &arguments.write_states {
        return replay_states::write(&recorded, folder);
    }
    if let Some(states) = &arguments.states {
        return replay_states::run(&recorded, states).await;
    }
    let (dir, _temporary) = folder(arguments.dir.as_deref())?;
    let start = match &arguments.state {
        None => None,
        Some(file) => Some(
            fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?,
        ),
    };
    // The comparison of messages needs no warehouse, which would take most of the time and the memory.
    let rows = if arguments.dir.is_some() || start.is_some() {
        Rows::Landed
    } else {
        Rows::Dropped
    };
    let (outcome, replay) = replay(&recorded, start.as_deref(), &dir, rows).await?;
    print_result(&outcome, &replay, &mut out)?;
    if arguments.dir.is_some() {
        writeln!(out, "Warehouse: {}", outcome.warehouse.display())?;
        writeln!(out, "State:     {}", outcome.state.display())?;
    }
    let is_good = match replay.compared() {
        Some(compared) => compared.is_identical(),
        None => outcome.succeeded(),
    };
    Ok(if is_good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Writes the requests and responses as an HTTP archive, which must be a new file.
fn write_har(recorded: &RecordedSync, file: &Path) -> anyhow::Result<ExitCode> {
    let cannot = || format!("cannot write {}", file.display());
    let mut out = BufWriter::new(File::create_new(file).with_context(cannot)?);
    let entries = recorded.write_har(&mut out)?;
    out.flush().with_context(cannot)?;
    let requests = counted(entries, "request", "requests");
    writeln!(io::stdout(), "{requests} in {}", file.display())?;
    Ok(ExitCode::SUCCESS)
}

/// Returns the folder in which rows are landed: the one that the user named, or a temporary one.
fn folder(named: Option<&Path>) -> anyhow::Result<(PathBuf, Option<tempfile::TempDir>)> {
    let Some(dir) = named else {
        let temporary = tempfile::tempdir().context("cannot create a temporary folder")?;
        return Ok((temporary.path().to_owned(), Some(temporary)));
    };
    for file in [fivetran_runner::WAREHOUSE_FILE, fivetran_runner::STATE_FILE] {
        if dir.join(file).exists() {
            bail!(
                "{} already contains a {file}: choose another folder",
                dir.display()
            );
        }
    }
    Ok((dir.to_owned(), None))
}

fn print_result(
    outcome: &SyncOutcome,
    replay: &Replay,
    out: &mut impl io::Write,
) -> anyhow::Result<()> {
    let counts = replay.response_counts();
    let ended = format!(
        "Replayed without a network in {:.1} s: {}",
        outcome.took.as_secs_f64(),
        describe_answers(&counts)
    );
    writeln!(out, "{}", for_people(&ended))?;
    if !counts.examples.is_empty() {
        let missing = counts.examples.join(", ");
        let missing = format!("The recording has no response to: {missing}");
        writeln!(out, "{}", for_people(&missing))?;
    }
    let Some(compared) = replay.compared() else {
        writeln!(out)?;
        let style = report::Style {
            width: terminal::width(),
            ..report::Style::default()
        };
        report::write(outcome, style, out)?;
        return Ok(());
    };
    writeln!(
        out,
        "{} of {} messages are identical",
        compared.same, compared.recorded
    )?;
    match &compared.difference {
        None if compared.is_identical() => writeln!(out, "Replay IDENTICAL")?,
        None => writeln!(out, "Replay DIFFERS: it ends early")?,
        Some(difference) => {
            writeln!(out, "Message {}:", difference.message)?;
            let recorded = format!("  recorded: {}", difference.recorded);
            let now = format!("  now:      {}", difference.now);
            writeln!(out, "{}\n{}", for_people(&recorded), for_people(&now))?;
            writeln!(out, "Replay DIFFERS")?;
        }
    }
    Ok(())
}

fn describe_answers(counts: &ResponseCounts) -> String {
    let mut words = vec![format!(
        "{} got the recorded response",
        counted(counts.recorded, "request", "requests")
    )];
    if counts.synthesized > 0 {
        words.push(format!(
            "{} that were not recorded got a response built from the recorded objects",
            counts.synthesized
        ));
    }
    if counts.unanswered > 0 {
        words.push(format!("{} got no response", counts.unanswered));
    }
    words.join(", ")
}
