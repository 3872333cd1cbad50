//! `report.html` in a real browser: the page renders without console messages and shows the sync correctly.

mod expected;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use fivetran_runner::{
    SyncOutcome,
    html_report::{self, ReportContents, TelemetrySource},
};
use fivetran_source::clock::{Clock as _, SystemClock};
use prefect_fake::{ApiRequest, ApiResponse, Interceptor, Options, Population, Server, Store};
use serde_json::{Value, json};
use tempfile::TempDir;
use test_support::{HttpProxy, Rule};
use tokio::task::spawn_blocking;

use crate::support::{
    browser::{Browser, Looked},
    connector::Connector,
    warehouse,
};

const LOOK: &str = include_str!("look.js");

/// The sections of a page: first the changes and the data, then the requests.
const SECTIONS: [&str; 3] = ["tables", "data", "requests"];

/// Opens a page, checks that it renders without faults, and returns the observed values.
fn look(browser: &Browser, page: &Path) -> Value {
    let looked = browser.look(page, LOOK);
    assert_quiet(&looked);
    let value = looked.value;
    assert_eq!(value["drawn"]["pictures"], true, "a picture has no size");
    assert_eq!(value["scripts"], 1);
    assert_eq!(value["overflow"], 0);
    value
}

/// Checks that the page wrote nothing to the console and fetched nothing.
fn assert_quiet(looked: &Looked) {
    assert_eq!(looked.trouble, [""; 0]);
    assert_eq!(looked.requests.len(), 1, "{:?}", looked.requests);
}

async fn output(mut command: Command) -> Output {
    spawn_blocking(move || command.output().unwrap())
        .await
        .unwrap()
}

fn demo(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fivetran_source"));
    command
        .args(["debug", "--demo", "--dir"])
        .arg(folder)
        .env("NO_PROXY", "127.0.0.1")
        .stdin(Stdio::null());
    command
}

/// Rejects some requests, and keeps the sizes of all responses.
#[derive(Default)]
struct Refusing {
    requests: u64,
    sizes: Arc<Mutex<Vec<u64>>>,
}

impl Interceptor for Refusing {
    fn before(&mut self, _: &mut Store, request: &ApiRequest) -> Option<ApiResponse> {
        if request.path != "/flow_runs/filter" {
            return None;
        }
        self.requests += 1;
        let detail = json!({ "detail": "later" });
        [3, 6, 7]
            .contains(&self.requests)
            .then(|| ApiResponse::json(503, &detail))
    }

    fn after(&mut self, _: &mut Store, _: &ApiRequest, response: &mut ApiResponse) {
        self.sizes.lock().unwrap().push(response.body.len() as u64);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_shows_what_the_server_was_asked_and_what_the_warehouse_holds() {
    let Some(browser) = Browser::find() else {
        return;
    };
    let population = Population::small(5, SystemClock.now());
    let server = Server::start(Options::new(population)).await.unwrap();
    let refusing = Refusing::default();
    let sizes = Arc::clone(&refusing.sizes);
    server.set_interceptor(refusing);
    let connector = Connector::new(&server.url(), 100);
    let report = connector.sync_everything().await;

    let path = connector.warehouse().with_file_name("report.html");
    let shown = look(&browser, &path);
    assert_eq!(shown["sections"], json!(SECTIONS));
    assert_eq!(shown["status"], "✓ Succeeded");
    assert_eq!(shown["subject"], server.url());

    // Requests: compared with the server's record.
    let record = server.take_request_log();
    let requests = record.len() as u64;
    let failed = record.iter().filter(|entry| entry.status >= 400).count() as u64;
    let refused = record.iter().filter(|entry| entry.status == 503).count();
    assert_eq!(refused, 3);
    assert_eq!(shown["requests"], requests);
    assert_eq!(shown["failed"], failed);
    assert_eq!(shown["retries"], refused);
    let sizes = sizes.lock().unwrap().clone();
    assert_eq!(shown["bytes"], sizes.iter().sum::<u64>());
    // The requests of the setup tests are the first. The totals of the sync do not contain them.
    let setup = shown["tracks"]["setup tests"].as_u64().unwrap();
    let setup = usize::try_from(setup).unwrap();
    assert!((1..record.len()).contains(&setup), "{setup}");
    let of_runs = record
        .iter()
        .skip(setup)
        .filter(|entry| entry.request.path.starts_with("/flow_runs/"));
    assert_eq!(shown["tracks"]["flow_runs"], of_runs.count());
    let tiles = &shown["tiles"];
    let shown_values = [&tiles["requests"], &tiles["bytes"], &tiles["retries"]];
    let in_sync = record.len() - setup;
    let bytes_in_sync: u64 = sizes.iter().skip(setup).sum();
    assert_eq!(
        shown_values,
        [&json!(in_sync), &json!(bytes_in_sync), &json!(refused)]
    );
    assert!(tiles["waited"].as_u64() > Some(0), "{tiles}");
    let reads = |table: &str, reading: &str| {
        let windows = shown["windows"].as_array().unwrap();
        windows
            .iter()
            .any(|it| it[0] == table && it[1] == reading && it[2].as_u64() > Some(0))
    };
    for table in ["flow_runs", "task_runs"] {
        assert!(
            reads(table, "backfill") && reads(table, "new rows"),
            "{}",
            shown["windows"]
        );
    }

    // Rows: compared with the warehouse and with the terminal output.
    let connection = warehouse::open(&connector.warehouse());
    expected::assert_tables(&shown, &connection);
    assert_eq!(
        tiles["rows"],
        report.count("Upserts") + report.count("Deletes")
    );
    assert_eq!(tiles["checkpoints"], report.count("Checkpoints"));
    assert_eq!(shown["days"], expected::runs_per_day(&connection));
    expected::assert_durations(&shown["durations"], &connection);
    assert_eq!(shown["failedRuns"], expected::failed_runs(&connection));
    let scale = &shown["drawn"]["days"];
    let (least, most) = (scale[0].as_f64().unwrap(), scale[1].as_f64().unwrap());
    assert!(
        most / least < 1.08,
        "heights are not those of the numbers: {scale}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_demo_sync_shows_its_rechecks_and_what_is_new() {
    let Some(browser) = Browser::find() else {
        return;
    };
    let folder = TempDir::new().unwrap();
    for _ in 0..2 {
        let output = output(demo(folder.path())).await;
        assert!(output.status.success(), "{output:?}");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(said.contains("report.html"), "{said}");
    }
    let path = folder.path().join("report.html");
    let shown = look(&browser, &path);
    let windows = shown["windows"].as_array().unwrap();
    let rungs = windows
        .iter()
        .filter(|it| it[1].as_str().unwrap().starts_with("recheck "));
    assert!(rungs.count() >= 2, "{windows:?}");
    assert!(!windows.iter().any(|it| it[1] == "backfill"), "{windows:?}");
    expected::assert_tables(
        &shown,
        &warehouse::open(&folder.path().join("warehouse.db")),
    );

    // The page is dark if the user prefers that.
    let url = format!("file://{}", path.display());
    let dark = browser.order(&json!({ "url": url, "evaluate": LOOK, "dark": true }));
    assert_quiet(&dark);
    assert_ne!(dark.value["background"], shown["background"]);
    assert_eq!(dark.value["tables"], shown["tables"]);
    // On a phone the timeline scrolls, not the page, and the charts of the data fit.
    let narrow = browser.order(&json!({ "url": url, "evaluate": LOOK, "width": 390 }));
    assert_eq!(narrow.value["overflow"], 0);
    assert_eq!(narrow.value["clipped"], json!([]));

    // The first page is still there.
    let reports = fs::read_dir(folder.path().join("reports")).unwrap();
    let reports: Vec<String> = reports
        .map(|report| fs::read_to_string(report.unwrap().path()).unwrap())
        .collect();
    assert_eq!(reports.len(), 2);
    assert!(reports.contains(&fs::read_to_string(&path).unwrap()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_failed_or_was_interrupted_has_a_page_too() {
    let Some(browser) = Browser::find() else {
        return;
    };
    let server = Server::start(Options::new(Population::small(6, SystemClock.now())))
        .await
        .unwrap();
    let proxy = HttpProxy::start(&server.url()).await;
    let connector = Connector::one_by_one(proxy.url(), 200);
    let path = connector.warehouse().with_file_name("report.html");

    // The sync is interrupted in the middle of the flow runs.
    proxy.set_rules([Rule::hold_from(30)]);
    let mut command = connector.debug();
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut running = command.spawn().unwrap();
    proxy.held().await;
    let id = running.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-INT", &id])
            .status()
            .unwrap()
            .success()
    );
    let ended = spawn_blocking(move || running.wait().unwrap())
        .await
        .unwrap();
    assert!(!ended.success());
    let shown = look(&browser, &path);
    assert_eq!(shown["sections"], json!(SECTIONS));
    assert_eq!(shown["status"], "✕ Failed");
    let failure = shown["failure"].as_str().unwrap();
    assert!(failure.starts_with("interrupted"), "{failure}");
    let setup = shown["tracks"]["setup tests"].as_u64().unwrap();
    assert_eq!(shown["tiles"]["requests"], 29 - setup);
    expected::assert_tables(&shown, &warehouse::open(&connector.warehouse()));

    // A failed setup test: no rows, but requests.
    let connector = Connector::new(&server.url().replace("/api", "/elsewhere"), 200);
    let output = output(connector.debug()).await;
    assert!(!output.status.success());
    let shown = look(
        &browser,
        &connector.warehouse().with_file_name("report.html"),
    );
    assert_eq!(shown["status"], "✕ Failed");
    assert!(shown["tracks"]["setup tests"].as_u64() > Some(0));
    assert_eq!(shown["tiles"]["requests"], 0);
    let text = shown["data"].as_str().unwrap();
    assert!(text.contains("does not have flow_runs"), "{text}");
}

/// Writes a page of hostile texts only, and returns its path.
fn hostile_page(folder: &Path) -> PathBuf {
    let hostile = "</span></script><script>window.pwned = 1; console.error('pwned')</script>\
                   <img src=x onerror='window.pwned = 1'>\" onmouseover=\"window.pwned = 1";
    let outcome = SyncOutcome {
        failure: Some(hostile.to_owned()),
        warnings: vec![(hostile.to_owned(), 3)],
        took: Duration::from_secs(1),
        warehouse: folder.join(hostile.replace('/', "_")),
        ..SyncOutcome::default()
    };
    let page = ReportContents {
        subject: hostile,
        began: SystemClock.now(),
        outcome: &outcome,
        heard: TelemetrySource::Nothing(hostile),
        schema: hostile,
        charts: &[],
    };
    html_report::write(folder, &page).unwrap()
}

#[test]
fn texts_of_the_connector_are_escaped() {
    let Some(browser) = Browser::find() else {
        return;
    };
    let folder = TempDir::new().unwrap();
    let path = hostile_page(folder.path());
    let shown = look(&browser, &path);
    let texts = [&shown["failure"], &shown["subject"], &shown["warnings"][0]];
    for text in texts {
        assert!(
            text.as_str()
                .unwrap()
                .starts_with("</span></script><script>"),
            "{text}"
        );
    }
    let sections = ["warnings", "tables", "data", "requests"];
    assert_eq!(shown["sections"], json!(sections));
    let looked = browser.look(&path, "typeof window.pwned + document.images.length");
    assert_eq!(looked.value, "undefined0");
}

/// Every fault in a page is detected; otherwise `assert_quiet` would prove nothing.
#[test]
fn a_fault_in_a_page_is_seen() {
    let Some(browser) = Browser::find() else {
        return;
    };
    let folder = TempDir::new().unwrap();
    let page = fs::read_to_string(hostile_page(folder.path())).unwrap();
    let faults = [
        (
            "<script>console.error('planted')</script>",
            "console.error: planted",
        ),
        (
            "<script>console.log('planted')</script>",
            "console.log: planted",
        ),
        (
            "<script>planted()</script>",
            "thrown: ReferenceError: planted",
        ),
        (
            "<script>fetch('http://127.0.0.1:9/').catch(() => {})</script>",
            "Content Security Policy",
        ),
        (
            "<img src=\"http://127.0.0.1:9/a.png\">",
            "Content Security Policy",
        ),
        (
            "<style>@import url(http://127.0.0.1:9/a.css);</style>",
            "Content Security Policy",
        ),
    ];
    for (fault, heard) in faults {
        let path = folder.path().join("planted.html");
        fs::write(&path, page.replace("</main>", &format!("</main>{fault}"))).unwrap();
        let trouble = browser.look(&path, "1").trouble;
        assert!(
            trouble.iter().any(|it| it.contains(heard)),
            "{fault}: {trouble:?}"
        );
    }
}
