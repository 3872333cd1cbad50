//! The local run at a terminal.

mod narrow;
mod screen;
mod session;

use std::{fs, path::Path, process::Command};

use prefect_fake::{
    Interceptor, NoInterception,
    handler::{ApiRequest, ApiResponse},
    store::Store,
};
use serde_json::{Value, json};
use tokio::task::spawn_blocking;

use self::session::{KEY, Terminal};
use crate::support::warehouse;

fn mode(file: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt as _;
    fs::metadata(file).unwrap().permissions().mode() & 0o777
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn init_asks_tries_writes_and_never_replaces_silently() {
    let terminal = Terminal::new().await;
    let url = format!("{}\r", terminal.prefect.url());
    let down = "\u{1b}[B\r";
    let steps = [
        ("Where does Prefect run?", down),
        // A port on which no server listens; then the right one.
        ("API URL of the server", "http://127.0.0.1:1/api\r"),
        ("What do you want to do?", "\r"),
        ("API URL of the server", &url),
        ("User and password", "admin:wrong\r"),
        ("What do you want to do?", "\r"),
        ("User and password", "admin:sw0rdfish\r"),
        // `n` and Enter are one answer.
        ("Sync the history", "n\r"),
        ("Sync events?", "n\r"),
        ("Sync logs?", "y\r"),
    ];
    let session = terminal.at_terminal(100, &steps, &["init"]).await;
    assert_eq!(session.exit, 0, "{}", session.shown);
    assert!(
        session.shown.contains("the connection is refused"),
        "{}",
        session.shown
    );
    assert!(
        session
            .shown
            .contains("Test passed: Connecting to the Prefect API"),
        "{}",
        session.shown
    );
    assert!(!session.shown.contains("sw0rdfish"), "{}", session.shown);
    let file = terminal.file("configuration.json");
    let written: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    assert_eq!(written["auth_string"], KEY);
    assert_eq!(written["api_url"], terminal.prefect.url());
    assert_eq!(written["sync_logs"], "true");
    assert_eq!(mode(&file), 0o600);
    let ignored = fs::read_to_string(terminal.file(".gitignore")).unwrap();
    assert_eq!(ignored, "/configuration.json\n");

    let before = fs::read(&file).unwrap();
    let session = terminal
        .at_terminal(100, &[("Replace it?", "\r")], &["init"])
        .await;
    assert_eq!(session.exit, 1, "{}", session.shown);
    assert_eq!(fs::read(&file).unwrap(), before);

    // A second run proposes the answers and keeps fields without a question.
    let mut fields = written.clone();
    fields["batch_size"] = json!("50");
    fs::write(&file, fields.to_string()).unwrap();
    let steps = [
        ("Replace it?", "y\r"),
        ("Where does Prefect run?", "\r"),
        ("API URL of the server", "\r"),
        ("User and password", "\r"),
        ("Sync the history", "\r"),
        ("Sync events?", "y\r"),
        ("Sync logs?", "\r"),
    ];
    let session = terminal.at_terminal(100, &steps, &["init"]).await;
    assert_eq!(session.exit, 0, "{}", session.shown);
    assert!(!session.shown.contains("sw0rdfish"), "{}", session.shown);
    let replaced: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    fields["sync_events"] = json!("true");
    assert_eq!(replaced, fields);

    let checked = terminal.at_terminal(100, &[], &["check"]).await;
    assert_eq!(checked.exit, 0, "{}", checked.shown);
    assert_eq!(
        checked.shown.matches("Test passed").count(),
        3,
        "{}",
        checked.shown
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_field_and_a_corrected_address_are_reported_once() {
    let terminal = Terminal::new().await;
    let url = terminal.prefect.url();
    let mut fields =
        json!({"api_url": url, "auth_string": KEY, "batchsize": 50, "sync_logs": true});
    let file = terminal.file("configuration.json");
    fs::write(&file, fields.to_string()).unwrap();
    let once = |shown: &str, text: &str| assert_eq!(shown.matches(text).count(), 1, "{shown}");

    // A key that is not a field of the form has no effect, so the check fails.
    let checked = terminal.at_terminal(200, &[], &["check"]).await;
    assert_eq!(checked.exit, 1, "{}", checked.shown);
    once(&checked.shown, "`batchsize`");
    once(&checked.shown, "the closest field is `batch_size`");
    assert!(!checked.shown.contains("Warning"), "{}", checked.shown);
    let synced = terminal.at_terminal(200, &[], &["debug"]).await;
    assert_eq!(synced.exit, 0, "{}", synced.shown);
    once(&synced.shown, "batchsize");

    // The address of a page of the UI is corrected with a warning.
    fields = json!({"api_url": url.replace("/api", "/dashboard"), "auth_string": KEY});
    fs::write(&file, fields.to_string()).unwrap();
    let checked = terminal.at_terminal(200, &[], &["check"]).await;
    assert_eq!(checked.exit, 0, "{}", checked.shown);
    once(
        &checked.shown,
        "Warning: the API URL was the address of a web page",
    );

    // A value that is not in the list.
    fields["hosting"] = json!("selfhosted");
    fs::write(&file, fields.to_string()).unwrap();
    let checked = terminal.at_terminal(200, &[], &["check"]).await;
    assert_eq!(checked.exit, 1, "{}", checked.shown);
    once(&checked.shown, "the closest value is `Self-hosted`");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn init_fails_without_a_terminal() {
    let terminal = Terminal::new().await;
    let output = Command::new(env!("CARGO_BIN_EXE_fivetran_source"))
        .arg("init")
        .current_dir(terminal.folder.path())
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(error.contains("copy configuration.example.json"), "{error}");
    assert!(!terminal.file("configuration.json").exists());
}

/// Fails requests for flow runs with 503 after the first six, so that the sync waits and retries.
struct Slow(u32);

impl Interceptor for Slow {
    fn before(&mut self, _store: &mut Store, request: &ApiRequest) -> Option<ApiResponse> {
        if !request.path.ends_with("/flow_runs/filter") {
            return None;
        }
        self.0 += 1;
        // The connector retries with increasing waits.
        (self.0 > 6).then(|| ApiResponse::text(503, "{}".to_owned()))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_interrupted_sync_explains_how_to_continue_and_continues() {
    let terminal = Terminal::new().await;
    let configuration =
        json!({ "api_url": terminal.prefect.url(), "auth_string": KEY, "batch_size": "50" });
    fs::write(
        terminal.file("configuration.json"),
        configuration.to_string(),
    )
    .unwrap();
    terminal.prefect.set_interceptor(Slow(0));
    let steps = [("retries", "^C")];
    let session = terminal
        .at_terminal(120, &steps, &["debug", "--table", "flow_runs"])
        .await;
    assert_eq!(session.exit, 1, "{}", session.shown);
    let shown = &session.shown;
    for part in [
        "since  the beginning: a historical sync",
        "flow_runs",
        "Sync FAILED: interrupted; the next sync continues from the last checkpoint",
        "Continue where it stopped",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    assert!(shown.contains("\u{1b}[1;31mSync FAILED"), "in red: {shown}");

    terminal.prefect.set_interceptor(NoInterception);
    let session = terminal
        .at_terminal(120, &[], &["debug", "--table", "flow_runs"])
        .await;
    assert!(
        session.shown.contains("since  the checkpoint of"),
        "{}",
        session.shown
    );
    assert!(
        session.shown.contains("Sync new changes"),
        "{}",
        session.shown
    );
    assert_eq!(session.exit, 0, "{}", session.shown);
    let runs = terminal.prefect.with_store(|store| store.runs().count());
    let db = terminal.file("files/warehouse.db");
    let sql = "SELECT count(*) FROM tester.flow_runs WHERE NOT _fivetran_deleted";
    let rows: usize = warehouse::open(&db)
        .query_row(sql, [], |row| row.get(0))
        .unwrap();
    assert_eq!(rows, runs);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pipe_gets_the_report_and_machines_get_json() {
    let terminal = Terminal::new().await;
    let configuration = json!({ "api_url": terminal.prefect.url(), "auth_string": KEY });
    fs::write(
        terminal.file("configuration.json"),
        configuration.to_string(),
    )
    .unwrap();
    let run = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fivetran_source"));
        command
            .args(arguments)
            .current_dir(terminal.folder.path())
            .env("NO_PROXY", "127.0.0.1");
        spawn_blocking(move || command.output().unwrap())
    };
    let output = run(&["debug"]).await.unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.ends_with("\nSync SUCCEEDED\n"), "{text}");
    let url = terminal.prefect.url();
    for line in [
        &*format!("from   {url}"),
        "into   files/warehouse.db, schema tester",
        "since  the beginning: a historical sync",
        "start  20",
        "Ended:     20",
    ] {
        assert!(
            text.lines().any(|it| it.starts_with(line)),
            "{line}: {text}"
        );
    }
    assert!(!text.contains('\u{1b}'), "{text}");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    let output = run(&["debug", "--json"]).await.unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    let lines: Vec<Value> = serde_json::Deserializer::from_slice(&output.stdout)
        .into_iter()
        .map(Result::unwrap)
        .collect();
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0]["succeeded"], true);
    assert_eq!(lines[0]["operations"]["upserts"], 0);
    assert!(lines[0]["requests"][0]["requests"].as_u64().unwrap() > 0);
    assert!(lines[0]["ended"].as_str().unwrap().starts_with("20"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_demo_and_a_real_workspace_have_their_own_folders_and_cannot_share_one() {
    let terminal = Terminal::new().await;
    let configuration = json!({ "api_url": terminal.prefect.url(), "auth_string": KEY });
    fs::write(
        terminal.file("configuration.json"),
        configuration.to_string(),
    )
    .unwrap();
    let (demo, real) = (
        ["debug", "--demo", "--table", "flows"],
        ["debug", "--table", "flows"],
    );
    for command in [&demo[..], &real, &demo] {
        let ran = terminal.at_terminal(100, &[], command).await;
        assert_eq!(ran.exit, 0, "{command:?}: {}", ran.shown);
    }
    assert!(terminal.file("files/demo/warehouse.db").exists());
    assert!(terminal.file("files/warehouse.db").exists());

    // A reset of one folder leaves the other one.
    let reset = terminal.at_terminal(100, &[], &["reset", "--yes"]).await;
    assert_eq!(reset.exit, 0, "{}", reset.shown);
    let query = [
        "query",
        "--demo",
        "select count(*) > 0 as has_flows from tester.flows",
    ];
    let query = terminal.at_terminal(100, &[], &query).await;
    assert!(query.shown.contains("true"), "{}", query.shown);

    let within = |command: &[&'static str]| [command, &["--dir", "one"]].concat();
    let ran = terminal.at_terminal(100, &[], &within(&demo)).await;
    assert_eq!(ran.exit, 0, "{}", ran.shown);
    let refused = terminal.at_terminal(100, &[], &within(&real)).await;
    assert_eq!(refused.exit, 1);
    assert!(
        refused
            .shown
            .contains("the rows of the demo workspace: run `fivetran_source reset --dir one`"),
        "{}",
        refused.shown
    );
    let reset = within(&["reset", "--yes"]);
    let reset = terminal.at_terminal(100, &[], &reset).await;
    assert_eq!(reset.exit, 0, "{}", reset.shown);
    let ran = terminal.at_terminal(100, &[], &within(&real)).await;
    assert_eq!(ran.exit, 0, "{}", ran.shown);
    let refused = terminal.at_terminal(100, &[], &within(&demo)).await;
    assert!(
        refused.shown.contains("the rows of a real workspace"),
        "{}",
        refused.shown
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counts_agree_and_setup_tests_are_counted_separately() {
    let terminal = Terminal::new().await;
    terminal.configure(&[]);
    let debug = terminal.at_terminal(80, &[], &["debug", "--json"]).await;
    let report: Value = serde_json::from_str(&debug.shown).unwrap();
    let sum = |list: &str, field: &str| -> u64 {
        let list = report[list].as_array().unwrap().iter();
        list.map(|entry| entry[field].as_u64().unwrap()).sum()
    };
    let requests = sum("requests", "requests");
    let setup = report["setup_requests"].as_u64().unwrap();
    assert!(setup > 0, "{report}");
    assert_eq!(requests + setup, terminal.prefect.requests());
    let upserts = sum("tables", "upserts");
    assert!(report["operations"]["truncates"].as_u64() > Some(0));
    assert_eq!(report["operations"]["upserts"], upserts);

    let log = "select requests, upserts from _local_run.sync_log";
    let log = terminal
        .at_terminal(80, &[], &["query", "--csv", log])
        .await;
    let expected = format!("requests,upserts\r\n{requests},{upserts}\r\n");
    assert_eq!(log.shown, expected);

    // The next sync prints the same kinds of counts as text.
    let before = terminal.prefect.requests();
    let debug = terminal.at_terminal(80, &[], &["debug"]).await;
    let number = |start: &str, end: &str| -> u64 {
        let (_, rest) = debug.shown.split_once(start).unwrap();
        let (number, _) = rest.split_once(end).unwrap();
        number.rsplit(' ').next().unwrap().parse().unwrap()
    };
    let requests = number("Took:", " requests") + number("requests\r\n", " requests before it");
    assert_eq!(
        requests,
        terminal.prefect.requests() - before,
        "{}",
        debug.shown
    );
}
