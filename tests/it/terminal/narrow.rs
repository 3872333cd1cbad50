//! Sessions at a terminal of 80 × 24: no line is too wide, and nothing of the progress remains.
//!
//! With the environment variable `TERMINAL_RECORDINGS`, the name of a folder, each session is written there twice: as
//! the text that remains, and as a recording in asciinema's format. `make terminal-recordings` does that.

use std::{fmt::Write as _, fs, path::PathBuf};

use prefect_fake::{
    Interceptor,
    handler::{ApiRequest, ApiResponse},
    store::Store,
};
use serde_json::json;

use super::{
    screen::lines,
    session::{Session, Terminal},
};

const ROWS: u16 = 24;
const COLUMNS: u16 = 80;
/// The key that moves a selection to the next entry, and Enter.
const NEXT: &str = "\u{1b}[B\r";

/// Parts of the progress, which must not remain: the heading of its lines, its last wait, and a pause.
const PROGRESS: [&str; 4] = ["Rows/s", "waiting for", "; the last: ", "next sync at"];

/// Runs a command, checks its lines, and returns the text that remains.
async fn session(
    terminal: &Terminal,
    name: &str,
    steps: &[(&str, &str)],
    arguments: &[&str],
    exit: i64,
) -> String {
    let session = terminal.at_terminal(COLUMNS, steps, arguments).await;
    let mut text = String::new();
    let mut wide = Vec::new();
    for line in lines(&session.shown, (ROWS, COLUMNS)) {
        if line.is_wrapped {
            wide.push(line.text.clone());
        }
        writeln!(text, "{}", line.text).unwrap();
    }
    record(name, arguments, &session, &text);
    assert!(wide.is_empty(), "{name} is too wide: {wide:?}\n{text}");
    let is_spinner = |char: char| ('\u{2800}'..='\u{28ff}').contains(&char);
    assert!(!text.contains(is_spinner), "{name}: {text}");
    for part in PROGRESS {
        assert!(!text.contains(part), "{name}, {part}: {text}");
    }
    assert_eq!(session.exit, exit, "{name}: {text}");
    text
}

/// Writes a session to the folder for recordings, if there is one.
fn record(name: &str, arguments: &[&str], session: &Session, text: &str) {
    let Some(folder) = std::env::var_os("TERMINAL_RECORDINGS") else {
        return;
    };
    let folder = PathBuf::from(folder);
    fs::create_dir_all(&folder).unwrap();
    let command = shell_words::join(std::iter::once(&"fivetran_source").chain(arguments));
    let header = json!({ "version": 2, "width": COLUMNS, "height": ROWS, "title": command });
    let mut cast = format!("{header}\n");
    for part in session.parts.as_array().unwrap() {
        writeln!(cast, "{}", json!([part[0], "o", part[1]])).unwrap();
    }
    fs::write(folder.join(format!("{name}.cast")), cast).unwrap();
    let text = format!("$ {command}\n{text}(exit code {})\n", session.exit);
    fs::write(folder.join(format!("{name}.txt")), text).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_demo_and_the_commands_after_it() {
    let terminal = Terminal::new().await;
    let run = async |name, arguments: &[&str]| session(&terminal, name, &[], arguments, 0).await;
    let first = run("demo-first-sync", &["debug", "--demo"]).await;
    for part in [
        "from   the demo workspace (generated)\n",
        "since  the beginning: a historical sync\n",
        "Test passed: Applying the run filter\n",
        "for the setup tests\n",
        "Sync SUCCEEDED\n",
        "  fivetran_source query --demo \"select * from views.active_rows_by_month\"\n",
    ] {
        assert!(first.contains(part), "{part}: {first}");
    }
    run("demo-second-sync", &["debug", "--demo"]).await;
    let query = "select * from views.active_rows_by_month";
    let shown = run("demo-query", &["query", "--demo", query]).await;
    assert!(shown.contains("┆ active_rows ┆"), "{shown}");
    // A row that is too wide for a table is shown as lines.
    let query = "select * from views.flow_success_by_day limit 2";
    let shown = run("demo-query-wide", &["query", "--demo", query]).await;
    assert!(shown.contains("-- row 2\n"), "{shown}");
    run(
        "demo-tables-of-warehouse",
        &["query", "--demo", "show tables"],
    )
    .await;
    run("demo-views", &["views", "--demo"]).await;
    let state = terminal.file("files/demo/state.json");
    run(
        "demo-state-show",
        &["state", "show", state.to_str().unwrap()],
    )
    .await;
    run("demo-reset", &["reset", "--demo", "--yes"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_selection_lists_and_creates_only_what_was_selected() {
    let terminal = Terminal::new().await;
    let arguments = [
        "debug",
        "--demo",
        "--table",
        "flows",
        "--column",
        "variables.name",
    ];
    let shown = session(&terminal, "demo-selection", &[], &arguments, 0).await;
    assert!(shown.contains("SchemaChanges   | 2\n"), "{shown}");
    let tables: Vec<&str> = shown
        .lines()
        .skip_while(|line| !line.starts_with("-----------------------"))
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert_eq!(tables, ["flows", "variables"], "{shown}");
    // The proposed query reads a table that exists.
    let query = "select * from tester.flows limit 3";
    assert!(shown.contains(query), "{shown}");
    let select = "select table_schema || '.' || table_name as name, string_agg(column_name, ' ' order by column_name) \
                  as columns from information_schema.columns where table_schema = 'tester' and column_name not like \
                  '\\_fivetran%' escape '\\' and table_name <> 'flows' group by all";
    let arguments = ["query", "--demo", "--csv", select];
    let created = session(&terminal, "demo-selection-tables", &[], &arguments, 0).await;
    assert_eq!(created, "name,columns\ntester.variables,id name\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn init_with_each_kind_of_mistake() {
    let terminal = Terminal::new().await;
    let url = format!("{}\r", terminal.prefect.url());
    let page = format!(
        "{}/dashboard\r",
        terminal.prefect.url().trim_end_matches("/api")
    );
    let long = format!("http://127.0.0.1:1/{}\r", "a-long-path/".repeat(9));
    let steps = [
        ("Where does Prefect run?", NEXT),
        ("API URL of the server", "ftp://127.0.0.1\r"),
        // A port on which no server listens; then an address that is wider than a line.
        ("API URL of the server", "http://127.0.0.1:1/api\r"),
        ("What do you want to do?", "\r"),
        ("API URL of the server", &long),
        ("What do you want to do?", "\r"),
        // The address of a page of the server.
        ("API URL of the server", &page),
        // No credentials, and wrong ones.
        ("User and password", "\r"),
        ("What do you want to do?", "\r"),
        ("User and password", "admin:wrong\r"),
        ("What do you want to do?", NEXT),
        ("API URL of the server", &url),
        ("User and password", "admin:sw0rdfish\r"),
        ("Sync the history", "y\r"),
        ("Sync events?", "n\r"),
        ("Sync logs?", "y\r"),
    ];
    let shown = session(&terminal, "init-mistakes", &steps, &["init"], 0).await;
    assert_eq!(shown.matches("Test FAILED").count(), 4, "{shown}");
    assert!(shown.contains("Wrote configuration.json"), "{shown}");

    // A field without a question may be wrong, too.
    terminal.configure(&[("batch_size", "1000"), ("hosting", "Self-hosted")]);
    let steps = [
        ("Replace it?", "y\r"),
        ("Where does Prefect run?", "\r"),
        ("API URL of the server", "\r"),
        ("User and password", "\r"),
        ("Sync the history", "\r"),
        ("Sync events?", "\r"),
        ("Sync logs?", "\r"),
        ("What do you want to do?", "\u{1b}[B\u{1b}[B\r"),
    ];
    let shown = session(&terminal, "init-number-out-of-range", &steps, &["init"], 1).await;
    assert!(shown.contains("Nothing was written"), "{shown}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn init_for_prefect_cloud_asks_again_for_a_wrong_workspace() {
    let terminal = Terminal::new().await;
    let steps = [
        ("Where does Prefect run?", "\r"),
        // No answer, and the address of a page without a workspace.
        ("Workspace", "\r"),
        ("Workspace", "https://app.prefect.cloud/account/\r"),
        ("Open the workspace in the browser", ""),
        ("Workspace", "^C"),
    ];
    session(&terminal, "init-cloud-mistakes", &steps, &["init"], -2).await;
}

/// A server whose responses are pages of a web site.
struct WebSite;

impl Interceptor for WebSite {
    fn before(&mut self, _store: &mut Store, _request: &ApiRequest) -> Option<ApiResponse> {
        Some(ApiResponse::text(200, "<html></html>".to_owned()))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_and_debug_explain_mistakes() {
    let terminal = Terminal::new().await;
    let fails = async |name, arguments: &[&str]| session(&terminal, name, &[], arguments, 1).await;
    fails("check-no-file", &["check"]).await;
    fails("query-no-warehouse", &["query", "select 1"]).await;
    terminal.configure(&[("batchsize", "50"), ("start_date", "2999-01-01")]);
    fails("check-unknown-field", &["check"]).await;
    terminal.configure(&[("batch_size", "1000")]);
    fails("check-number-out-of-range", &["check"]).await;
    fails("debug-number-out-of-range", &["debug"]).await;
    terminal.configure(&[("auth_string", "admin:wrong")]);
    fails("check-wrong-key", &["check"]).await;
    fails("debug-wrong-key", &["debug"]).await;
    let unknown = ["debug", "--demo", "--table", "nonsense"];
    let shown = fails("demo-unknown-table", &unknown).await;
    assert!(!shown.contains("configuration"), "{shown}");
    terminal.configure(&[]);
    fails(
        "debug-unknown-table",
        &["debug", "--table", "flow_run", "--table", "logs"],
    )
    .await;
    fails("tables-unknown-table", &["tables", "flow_run"]).await;
    terminal.prefect.set_interceptor(WebSite);
    fails("check-web-site", &["check"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watching_prints_one_line_per_sync() {
    let terminal = Terminal::new().await;
    terminal.configure(&[]);
    let steps = [
        ("next sync at", ""),
        ("nothing changed", ""),
        ("next sync at", ""),
        ("nothing changed", ""),
        ("next sync at", "^C"),
    ];
    let shown = session(&terminal, "watch", &steps, &["debug", "--watch", "1s"], 0).await;
    let after = shown.lines().skip_while(|line| !line.is_empty()).skip(1);
    let lines: Vec<&str> = after.collect();
    assert_eq!(lines.len(), 3, "{shown}");
    for line in lines {
        assert!(
            line.contains(" s, ") && line.contains(" requests"),
            "{shown}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn help_and_lists_fit() {
    let terminal = Terminal::new().await;
    let run = async |name: &str, arguments: &[&str]| {
        session(&terminal, name, &[], arguments, 0).await;
    };
    run("help", &["--help"]).await;
    for command in [
        "serve",
        "tables",
        "messages",
        "state",
        "init",
        "check",
        "debug",
        "conformance",
        "replay",
        "reset",
        "query",
        "views",
    ] {
        run(&format!("help-{command}"), &[command, "--help"]).await;
    }
    run("tables", &["tables"]).await;
    run("tables-flow-runs", &["tables", "flow_runs"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recording_and_its_replay_fit() {
    let terminal = Terminal::new().await;
    terminal.configure(&[]);
    let arguments = ["debug", "--record", "runs.rec"];
    session(&terminal, "debug-record", &[], &arguments, 0).await;
    session(&terminal, "replay", &[], &["replay", "runs.rec"], 0).await;
    session(&terminal, "debug-second-sync", &[], &["debug"], 0).await;
    session(&terminal, "conformance", &[], &["conformance", "--demo"], 0).await;
}
