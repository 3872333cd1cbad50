//! `replay`: runs a recorded sync again, without a network.

use std::{
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, bail};
use clap::Args;
use futures::StreamExt as _;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tokio_util::sync::CancellationToken;

use super::replay_states;
use crate::{
    clock::{Clock as _, SystemClock},
    fivetran::{Service, server},
    replay::{Answers, Playback, Recorded, Replay},
    sync::ReplaySchedule,
    telemetry::Telemetry,
};
use fivetran_runner::{Choice, Outcome, Wire, report};

/// The time without a turn after which a sync is assumed not to follow the recording. A turn takes milliseconds, but
/// the machine may be busy; most differences are noticed at once.
const STALLED: Duration = Duration::from_secs(60);

/// Arguments of `replay`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The recording, which was written by `debug --record`.
    file: PathBuf,
    /// Keeps the warehouse and the state in this folder, which must contain none. By default both are deleted.
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
}

/// Runs the command. The exit code is a failure if the sync differs from the recorded one.
pub(super) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let recorded = Arc::new(Recorded::read(&arguments.file)?);
    let mut out = io::stdout();
    writeln!(out, "{}: {}", arguments.file.display(), recorded.summary())?;
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
    let anew = match &arguments.state {
        None => None,
        Some(file) => Some(
            fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?,
        ),
    };
    let (outcome, replay) = replay(&recorded, anew.as_deref(), &dir).await?;
    tell(&outcome, &replay, &mut out)?;
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

/// Returns the folder in which rows are landed: the one that the user named, or a temporary one.
fn folder(asked: Option<&Path>) -> anyhow::Result<(PathBuf, Option<tempfile::TempDir>)> {
    let Some(dir) = asked else {
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

/// Replays into a folder: the recorded sync, or a sync from the state `anew`.
pub(super) async fn replay(
    recorded: &Arc<Recorded>,
    anew: Option<&str>,
    dir: &Path,
) -> anyhow::Result<(Outcome, Replay)> {
    let replay = Replay::of(recorded, anew.is_some());
    fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
    let state = dir.join("start.json");
    let start = anew.or(recorded.state()).unwrap_or("{}");
    fs::write(&state, start).with_context(|| format!("cannot write {}", state.display()))?;

    let stop = CancellationToken::new();
    let service = Service::new(replay.clock(), Telemetry::default(), stop.clone())
        .with_instruments(replay.instruments());
    let (wire, calls) = fivetran_runner::within();
    let callers = UnboundedReceiverStream::new(calls).map(Ok);
    let end = stop.clone().cancelled_owned();
    let serving = tokio::spawn(server::serve_to(callers, service, stop.clone(), end));
    let watching = replay
        .schedule()
        .map(|schedule| tokio::spawn(watch(schedule)));
    let options = options(recorded, wire, state, dir);
    let outcome = fivetran_runner::run(options, Arc::new(SystemClock), replay.enough()).await;
    if let Some(watching) = watching {
        watching.abort();
    }
    if let Some(schedule) = replay.schedule() {
        // Tables that still wait for their turn must end.
        schedule.give_up();
    }
    stop.cancel();
    let _ = serving.await;
    Ok((outcome?, replay))
}

/// Lands in a folder the rows recorded up to the checkpoint with this state, which must be in the recording.
pub(super) async fn land_until(
    recorded: &Arc<Recorded>,
    state: &str,
    dir: &Path,
) -> anyhow::Result<()> {
    let messages = recorded.until(state).unwrap_or_default();
    let replay = Replay::of(recorded, true);
    let service = Service::new(
        replay.clock(),
        Telemetry::default(),
        CancellationToken::new(),
    )
    .with_instruments(replay.instruments());
    let (wire, calls) = fivetran_runner::within();
    let callers = UnboundedReceiverStream::new(calls).map(Ok);
    let serving = tokio::spawn(server::serve_any(callers, Playback::new(service, messages)));
    let start = dir.join("start.json");
    fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
    fs::write(&start, "{}").with_context(|| format!("cannot write {}", start.display()))?;
    let options = options(recorded, wire, start, dir);
    let landed =
        fivetran_runner::run(options, Arc::new(SystemClock), CancellationToken::new()).await;
    serving.abort();
    if let Some(why) = landed?.failure {
        bail!("{why}");
    }
    Ok(())
}

fn options(
    recorded: &Recorded,
    endpoint: Wire,
    state: PathBuf,
    dir: &Path,
) -> fivetran_runner::Options {
    fivetran_runner::Options {
        state: Some(state),
        choice: Choice::Exactly(recorded.selection().cloned()),
        ..fivetran_runner::Options::new(endpoint, recorded.configuration(), dir)
    }
}

/// Gives up the recorded order when no table can follow it.
async fn watch(schedule: Arc<ReplaySchedule>) {
    let mut before = schedule.taken();
    let stalled = async {
        loop {
            SystemClock.sleep(STALLED).await;
            let now = schedule.taken();
            if now == before && !schedule.is_over() {
                return;
            }
            before = now;
        }
    };
    tokio::select! {
        () = schedule.broken() => {}
        () = stalled => {}
    }
    schedule.give_up();
}

fn tell(outcome: &Outcome, replay: &Replay, out: &mut impl io::Write) -> anyhow::Result<()> {
    let answers = replay.answers();
    writeln!(
        out,
        "Replayed without a network in {:.1} s: {}",
        outcome.took.as_secs_f64(),
        in_words(&answers)
    )?;
    if !answers.examples.is_empty() {
        writeln!(
            out,
            "The recording has no response to: {}",
            answers.examples.join(", ")
        )?;
    }
    let Some(compared) = replay.compared() else {
        writeln!(out)?;
        report::write(outcome, report::Style::default(), out)?;
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
            writeln!(out, "  recorded: {}", difference.recorded)?;
            writeln!(out, "  now:      {}", difference.now)?;
            writeln!(out, "Replay DIFFERS")?;
        }
    }
    Ok(())
}

fn in_words(answers: &Answers) -> String {
    let mut words = vec![format!(
        "{} requests got the recorded response",
        answers.recorded
    )];
    if answers.made_up > 0 {
        words.push(format!(
            "{} that were not recorded got a response built from the recorded objects",
            answers.made_up
        ));
    }
    if answers.unanswered > 0 {
        words.push(format!("{} got no response", answers.unanswered));
    }
    words.join(", ")
}
