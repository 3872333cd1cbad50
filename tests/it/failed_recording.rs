//! The recording of the last failed sync, which `debug` writes without being asked.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use prefect_fake::{ApiRequest, ApiResponse, Interceptor, Options, Population, Server, Store};
use serde_json::{Value, json};
use test_support::{HttpProxy, Rule};
use tokio::task::spawn_blocking;

use crate::support::connector::Connector;

/// The number of the first listing of flow runs that is rejected, after those of the setup tests.
const REJECTED: u64 = 5;

/// Rejects the credentials in the middle of the flow runs, which ends the sync.
struct Rejecting {
    listings: u64,
}

impl Interceptor for Rejecting {
    fn before(&mut self, _: &mut Store, request: &ApiRequest) -> Option<ApiResponse> {
        self.listings += u64::from(request.path == "/flow_runs/filter");
        let detail = json!({ "detail": "Unauthorized" });
        (self.listings >= REJECTED).then(|| ApiResponse::json(401, &detail))
    }
}

async fn output(mut command: Command) -> Output {
    spawn_blocking(move || command.output().unwrap())
        .await
        .unwrap()
}

async fn server() -> Server {
    let population = Population::small(5, prefect_fake::population::fixed_now());
    Server::start(Options::new(population)).await.unwrap()
}

/// Returns the recordings of a folder.
fn recordings(connector: &Connector) -> Vec<String> {
    let folder = folder(connector);
    let files = fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().path());
    let recordings = files.filter(|file| file.extension().is_some_and(|it| it == "rec"));
    let names = recordings.map(|file| file.file_name().unwrap().to_string_lossy().into_owned());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

fn folder(connector: &Connector) -> PathBuf {
    connector.warehouse().parent().unwrap().to_owned()
}

async fn replay(recording: &Path) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fivetran_source"));
    command.arg("replay").arg(recording);
    let replayed = output(command).await;
    let text = String::from_utf8_lossy(&replayed.stdout).into_owned();
    assert!(replayed.status.success(), "{text}");
    assert!(text.ends_with("Replay IDENTICAL\n"), "{text}");
    text
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_sync_is_kept_and_replayed_and_a_successful_one_leaves_nothing() {
    let server = server().await;
    let connector = Connector::new(&server.url(), 20);
    connector.sync().await;
    assert_eq!(recordings(&connector), [""; 0]);

    server.set_interceptor(Rejecting { listings: 0 });
    let mut command = connector.debug();
    command.arg("--full-refresh");
    let failed = output(command).await;
    assert!(!failed.status.success());
    let said = String::from_utf8_lossy(&failed.stdout).into_owned();
    let last = said.lines().last().unwrap();
    assert!(last.starts_with("Sync FAILED: "), "{said}");
    assert_eq!(recordings(&connector), ["failed.rec"]);
    let recording = folder(&connector).join("failed.rec");
    let command = format!(
        "replay it with: fivetran_source replay {}\n",
        recording.display()
    );
    assert!(said.contains(&command), "{said}");
    let text = replay(&recording).await;
    assert!(!text.contains("not recorded"), "{text}");

    // The last failure stays there when a later sync succeeds; `reset` deletes it.
    server.set_interceptor(prefect_fake::NoInterception);
    connector.sync().await;
    assert_eq!(recordings(&connector), ["failed.rec"]);
    let mut reset = Command::new(env!("CARGO_BIN_EXE_fivetran_source"));
    reset
        .args(["reset", "--yes", "--dir"])
        .arg(folder(&connector));
    assert!(output(reset).await.status.success());
    assert_eq!(recordings(&connector), [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_setup_test_is_not_kept_and_json_names_the_recording_of_a_failed_sync() {
    let server = server().await;
    let connector = Connector::new(&server.url().replace("/api", "/elsewhere"), 20);
    assert!(!output(connector.debug()).await.status.success());
    assert_eq!(recordings(&connector), [""; 0]);

    connector.point_at(&server.url(), 20);
    server.set_interceptor(Rejecting { listings: 0 });
    let mut command = connector.debug();
    command.arg("--json");
    let failed = output(command).await;
    let result: Value = serde_json::from_slice(&failed.stdout).unwrap();
    assert_eq!(result["succeeded"], false);
    let note = result["notes"][0].as_str().unwrap();
    assert!(note.starts_with("Recording: "), "{note}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_recording_of_a_killed_sync_is_kept_by_the_next_one() {
    let server = server().await;
    let proxy = HttpProxy::start(&server.url()).await;
    let connector = Connector::one_by_one(proxy.url(), 20);
    proxy.set_rules([Rule::hold_from(40)]);
    let mut command = connector.debug();
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut running = command.spawn().unwrap();
    proxy.held().await;
    let unfinished = format!("unfinished-{}.rec", running.id());
    assert_eq!(recordings(&connector), [unfinished.as_str()]);
    // Another sync does not touch the recording of a sync that runs.
    connector.point_at(&server.url(), 20);
    assert!(!output(connector.debug()).await.status.success());
    assert_eq!(recordings(&connector), [unfinished.as_str()]);
    running.kill().unwrap();
    spawn_blocking(move || running.wait().unwrap())
        .await
        .unwrap();
    connector.sync().await;
    assert_eq!(recordings(&connector), ["failed.rec"]);
}
