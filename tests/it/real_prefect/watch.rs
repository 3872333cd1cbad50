//! `debug --watch` and recordings against a real server, while real flows run.

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
};

use serde_json::Value;
use tokio::{sync::mpsc, task::spawn_blocking};

use super::whole::compare;
use crate::support::{
    connector::Connector,
    prefect_server::{Generation, PrefectServer},
};

/// The table whose rows are sent with their task run whenever that changes (docs/SYNC.md).
const WITH_ITS_RUN: &str = "tester.task_run_dependencies";

/// The watching process, killed at the end of the test.
struct Watching(Child);

impl Drop for Watching {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Returns the executable's report of each sync, in the order of their ends.
fn accounts(child: &mut Child) -> mpsc::UnboundedReceiver<Value> {
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let (sender, receiver) = mpsc::unbounded_channel();
    spawn_blocking(move || {
        for line in lines.map_while(Result::ok) {
            let account = serde_json::from_str(&line).expect("JSON on each line");
            let _ = sender.send(account);
        }
    });
    receiver
}

fn changes(account: &Value) -> u64 {
    let of = |kind: &str| account["operations"][kind].as_u64().unwrap();
    of("upserts") + of("deletes") + of("updates")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_change_appears_once_while_flows_run() {
    let server = PrefectServer::start(Generation::Three).await;
    server.run_flows(None).await;
    let connector = Connector::new(server.url(), 50);
    connector.answer(&[
        ("api_url", server.url()),
        ("sync_logs", "true"),
        ("sync_events", "true"),
        ("sync_flow_run_state_history", "true"),
    ]);
    first_sync_is_replayed(&connector).await;

    let mut command = connector.debug_everything();
    command
        .args(["--watch", "1s", "--json"])
        .stdout(Stdio::piped());
    let mut watching = Watching(command.spawn().unwrap());
    let mut accounts = accounts(&mut watching.0);
    let flows = server.run_flows(Some("change"));
    tokio::pin!(flows);
    let mut seen = Vec::new();
    let mut is_running = true;
    let mut quiet = 0;
    // Waits for three quiet syncs in a row whose reports arrive after the end of the flows.
    while quiet < 3 {
        tokio::select! {
            _ = &mut flows, if is_running => is_running = false,
            account = accounts.recv() => {
                let account = account.expect("another sync");
                quiet = if is_running || changes(&account) > 0 { 0 } else { quiet + 1 };
                seen.push(account);
            }
        }
    }
    let process = watching.0.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-INT", &process])
            .status()
            .unwrap()
            .success()
    );
    let ended = spawn_blocking(move || watching.0.wait().unwrap())
        .await
        .unwrap();
    assert!(ended.success(), "{ended}");

    let busy = seen.iter().filter(|account| changes(account) > 0).count();
    // The number of syncs while the flows run depends on the machine.
    assert!(busy > 0, "nothing changed: {seen:?}");
    for account in &seen {
        assert_eq!(account["succeeded"], true, "{account}");
        let tables = account["tables"].as_array().unwrap().iter();
        for table in tables.filter(|table| table["table"] != WITH_ITS_RUN) {
            assert_eq!(table["unchanged"], 0, "sent twice: {table}");
        }
    }
    compare(&server, &connector.warehouse(), &[]).await;
}

/// Records the first sync, and replays it without the server.
async fn first_sync_is_replayed(connector: &Connector) {
    let recording = connector.warehouse().with_file_name("first.rec");
    let mut command = connector.debug_everything();
    command.arg("--record").arg(&recording);
    std::fs::create_dir_all(recording.parent().unwrap()).unwrap();
    let output = spawn_blocking(move || command.output().unwrap())
        .await
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let mut command = Command::new(env!("CARGO_BIN_EXE_fivetran_source"));
    command
        .arg("replay")
        .arg(&recording)
        .env("HTTP_PROXY", "http://127.0.0.1:1");
    let output = spawn_blocking(move || command.output().unwrap())
        .await
        .unwrap();
    let reported = String::from_utf8_lossy(&output.stdout);
    assert!(reported.ends_with("Replay IDENTICAL\n"), "{reported}");
}
