//! 2,000 runs on a real server: no row is sent twice, and a killed sync loses nothing.

use std::{
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use fivetran_source::clock::{Clock as _, SystemClock};
use test_support::{HttpProxy, Rule};

use crate::support::{
    connector::Connector,
    crowd::Crowd,
    oracle,
    prefect_server::Generation,
    warehouse,
    workspace::{NewRun, State},
};

const RUNS: usize = 2_000;

/// A small page size, so that a sync can be killed between many requests.
const PAGE: u32 = 100;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_changes_among_2000_runs_are_ten_rows() {
    let crowd = Crowd::gather(Generation::Three, RUNS).await;
    let workspace = crowd.server.workspace();
    let connector = Connector::new(crowd.server.url(), 200);

    connector.sync().await;
    oracle::compare(&connector.warehouse(), &workspace).await;
    let quiet = connector.sync().await;
    assert_eq!(quiet.count("Upserts"), 0, "{quiet:?}");

    change_ten(&crowd).await;
    let busy = connector.sync().await;
    assert_eq!(busy.count("Upserts"), 10, "{busy:?}");
    oracle::compare(&connector.warehouse(), &workspace).await;
}

/// Kills the first sync at five points between requests, and runs it again from its saved state. The warehouse must
/// equal that of an undisturbed sync.
///
/// At two points the sync is killed at once. At three it is killed after a checkpoint in the middle of the runs was
/// saved, and the rest is read from there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_sync_loses_and_invents_nothing() {
    let crowd = Crowd::gather(Generation::Three, RUNS).await;
    let workspace = crowd.server.workspace();
    let proxy = HttpProxy::start(crowd.server.url()).await;

    let undisturbed = Connector::new(proxy.url(), PAGE);
    let rows = undisturbed.sync().await.count("Upserts");
    oracle::compare(&undisturbed.warehouse(), &workspace).await;
    let requests = proxy.requests();
    assert!(requests > 20, "too few requests to cut between: {requests}");
    let want = dump(&undisturbed.warehouse());

    for fifth in 1..=5 {
        // The number of requests varies by a few: the point at which the backfill is split depends on the order of
        // the responses. So the last cut is a little before the end.
        let cut = requests * 9 / 10 * fifth / 5;
        let is_saved = (2..=4).contains(&fifth);
        proxy.set_rules([Rule::hold_from(cut)]);
        let connector = Connector::new(proxy.url(), PAGE);
        let mut running = Running::start(&mut connector.debug());
        proxy.held().await;
        if is_saved {
            exists(&connector.state()).await;
        }
        running.kill();

        proxy.set_rules([]);
        let resumed = connector.sync().await;
        let resent = resumed.count("Upserts");
        assert!(
            !is_saved || resent < rows,
            "cut before request {cut} of {requests}: {resumed:?}"
        );
        let have = dump(&connector.warehouse());
        assert!(have == want, "cut before request {cut} of {requests}");
        oracle::compare(&connector.warehouse(), &workspace).await;
    }
}

/// Waits for a file. The local run saves the state, together with the rows, a few seconds after a checkpoint when no
/// message follows.
async fn exists(file: &Path) {
    for _ in 0..600 {
        if file.exists() {
            return;
        }
        SystemClock.sleep(Duration::from_millis(100)).await;
    }
    panic!("{} does not come", file.display());
}

async fn change_ten(crowd: &Crowd) {
    let workspace = crowd.server.workspace();
    for (from, to) in [
        (State::Scheduled, State::Running),
        (State::Pending, State::Running),
        (State::Running, State::Completed),
        (State::Paused, State::Failed),
        (State::Cancelling, State::Cancelled),
        (State::Failed, State::AwaitingRetry),
        (State::Retrying, State::Crashed),
    ] {
        workspace.set_state(crowd.original(from), to).await;
    }
    for state in [State::Completed, State::Running, State::Scheduled] {
        let new = NewRun::new(&crowd.flow, "new");
        workspace.run_in(&new, state).await;
    }
}

/// Returns all tables as text, without volatile columns and the time of the sync.
fn dump(path: &Path) -> Vec<String> {
    let connection = warehouse::open(path);
    let mut lines = Vec::new();
    for table in crate::support::core_tables() {
        let contents = warehouse::contents(&connection, table);
        for (id, cells) in contents.rows {
            let steady = table.columns.iter().zip(cells);
            let steady = steady.filter(|(column, _)| !column.volatile);
            let steady: Vec<_> = steady.map(|(_, cell)| cell).collect();
            lines.push(format!("{} {id} {steady:?}", table.name));
        }
        for id in contents.deleted {
            lines.push(format!("{} {id} deleted", table.name));
        }
    }
    lines
}

/// A running sync, killed when this value is dropped.
struct Running(Child);

impl Running {
    fn start(command: &mut Command) -> Self {
        command.stdout(Stdio::null()).stderr(Stdio::null());
        Self(command.spawn().unwrap())
    }

    /// Sends SIGKILL: no handler runs, nothing is flushed.
    fn kill(&mut self) {
        let before = self.0.try_wait().unwrap();
        assert!(
            before.is_none(),
            "it ended before it was killed: {before:?}"
        );
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
