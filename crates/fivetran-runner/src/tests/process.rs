//! Tests that need a second process: the lock, and a kill.

use std::process::{Child, Command, Stdio};

use super::fake::*;
use crate::{Error, Options, QueryFormat, execute_views, make_latest, query, reset};

const ENDPOINT: &str = "LOCAL_RUN_TEST_ENDPOINT";
const DIR: &str = "LOCAL_RUN_TEST_DIR";

/// Runs [`child`] in a process of its own.
fn spawn(fake: &Fake, dir: &std::path::Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "tests::process::child", "--ignored"])
        .env(ENDPOINT, &fake.endpoint)
        .env(DIR, dir)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

#[tokio::test]
#[ignore = "runs as the other process of this module's tests"]
async fn child() {
    let endpoint = of_parent(ENDPOINT);
    let dir = of_parent(DIR);
    let options = Options {
        endpoint: endpoint.into(),
        ..options_in(std::path::Path::new(&dir))
    };
    let _ = run_with(options).await;
}

/// Sends rows with a checkpoint per thousand, then hangs. The state is the number of rows.
fn endless() -> Script {
    let mut update = Vec::new();
    for id in 1..=30_000 {
        update.push(row(id, id, "x"));
        if id % 1_000 == 0 {
            update.push(checkpoint(&id.to_string()));
        }
    }
    update.push(Step::Hang);
    Script {
        schema: one_table(),
        update,
        ..Script::default()
    }
}

/// Waits until the child's state has reached `target`. The child has the warehouse open then.
async fn reaches(child: &mut Child, dir: &std::path::Path, target: u64) {
    loop {
        let state = kept(dir).map(|state| state.parse::<u64>().unwrap());
        if state.is_some_and(|state| state >= target) {
            return;
        }
        assert!(
            child.try_wait().unwrap().is_none(),
            "the child process ended"
        );
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_process_on_the_same_warehouse_gets_an_error_that_names_the_first() {
    let dir = tempfile::tempdir().unwrap();
    let fake = Fake::start(endless()).await;
    let mut child = spawn(&fake, dir.path());
    reaches(&mut child, dir.path(), 1).await;
    let second = run_with(options(&fake, dir.path())).await.unwrap_err();
    let file = dir.path().join("warehouse.db");
    let query = query(&file, "SELECT 1", QueryFormat::Table, false).unwrap_err();
    let views = execute_views(&file, &[]).unwrap_err();
    let latest = make_latest(&file).unwrap_err();
    let reset = reset::reset(dir.path(), true, |_| Ok(true)).unwrap_err();
    child.kill().unwrap();
    child.wait().unwrap();
    for error in [second, query, views, latest, reset] {
        assert!(matches!(error, Error::Locked { .. }), "{error}");
        assert!(
            error.to_string().contains(&child.id().to_string()),
            "{error}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_process_leaves_no_state_ahead_of_its_rows() {
    for target in [1, 12_000, 22_000] {
        let dir = tempfile::tempdir().unwrap();
        let fake = Fake::start(endless()).await;
        let mut child = spawn(&fake, dir.path());
        reaches(&mut child, dir.path(), target).await;
        child.kill().unwrap();
        child.wait().unwrap();
        let state: u64 = kept(dir.path()).unwrap().parse().unwrap();
        let count = "SELECT count(*) FROM tester.t";
        let landed = rows(dir.path(), count);
        let number: u64 = landed[0].parse().unwrap();
        assert!(number >= state, "{number} rows, state {state}");
        // The next sync continues from there.
        let script = Script {
            schema: one_table(),
            ..Script::default()
        };
        let next = Fake::start(script).await;
        let outcome = run_with(options(&next, dir.path())).await.unwrap();
        assert_eq!(outcome.failure, None);
        assert_eq!(next.start_states(), [state.to_string()]);
        assert_eq!(rows(dir.path(), count), landed);
        let log = "SELECT outcome, state_after, upserts FROM _local_run.sync_log ORDER BY sync";
        let killed = format!("killed|{state}|{number}");
        assert_eq!(rows(dir.path(), log)[0], killed);
    }
}
