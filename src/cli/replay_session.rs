//! A replay in this process: the connector with a recording in place of the server, and the local run as its caller.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, bail};
use fivetran_runner::{RequestedSelection, SyncOutcome, Transport};
use futures::StreamExt as _;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tokio_util::sync::CancellationToken;

use super::descriptions;
use crate::{
    clock::{Clock as _, SystemClock},
    fivetran::{Service, server},
    replay::{RecordedSync, Replay, ScriptedConnector},
    sync::ReplaySchedule,
    telemetry::Telemetry,
};

/// The time without a turn after which a sync is assumed not to follow the recording. A turn takes milliseconds, but
/// the machine may be busy; most differences are noticed at once.
const STALLED: Duration = Duration::from_secs(60);

/// The use of the rows of a replay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rows {
    /// The rows are landed in the warehouse of the folder.
    Landed,
    /// The rows are dropped; only the messages are compared.
    Dropped,
}

/// Replays in a folder: the recorded sync, or a sync from the state `start`.
pub(super) async fn replay(
    recorded: &Arc<RecordedSync>,
    start: Option<&str>,
    dir: &Path,
    rows: Rows,
) -> anyhow::Result<(SyncOutcome, Replay)> {
    let replay = Replay::new(recorded, start.is_some())?;
    fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
    let state = dir.join("start.json");
    let start = start.or(recorded.state()).unwrap_or("{}");
    fs::write(&state, start).with_context(|| format!("cannot write {}", state.display()))?;

    let stop = CancellationToken::new();
    let service =
        Service::new(replay.clock(), Telemetry::default(), stop.clone()).with_hooks(replay.hooks());
    let (wire, calls) = fivetran_runner::within();
    let callers = UnboundedReceiverStream::new(calls).map(Ok);
    let end = stop.clone().cancelled_owned();
    let serving = tokio::spawn(server::serve_to(callers, service, stop.clone(), end));
    let watching = replay
        .schedule()
        .map(|schedule| tokio::spawn(watch(schedule)));
    let options = options(recorded, wire, state, dir);
    let (clock, enough) = (Arc::new(SystemClock), replay.enough());
    let outcome = match rows {
        Rows::Landed => fivetran_runner::run(options, clock, enough).await,
        Rows::Dropped => fivetran_runner::receive(options, clock, enough).await,
    };
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
    recorded: &Arc<RecordedSync>,
    state: &str,
    dir: &Path,
) -> anyhow::Result<()> {
    let messages = recorded.until(state)?.unwrap_or_default();
    let replay = Replay::new(recorded, true)?;
    let service = Service::new(
        replay.clock(),
        Telemetry::default(),
        CancellationToken::new(),
    )
    .with_hooks(replay.hooks());
    let (wire, calls) = fivetran_runner::within();
    let callers = UnboundedReceiverStream::new(calls).map(Ok);
    let serving = tokio::spawn(server::serve_any(
        callers,
        ScriptedConnector::new(service, messages),
    ));
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
    recorded: &RecordedSync,
    endpoint: Transport,
    state: PathBuf,
    dir: &Path,
) -> fivetran_runner::Options {
    fivetran_runner::Options {
        state: Some(state),
        descriptions: descriptions::all(),
        selection: RequestedSelection::Exactly(recorded.selection().cloned()),
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
