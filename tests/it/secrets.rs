//! Secrets do not leak: keys occur only in request headers, row contents only in rows.

use std::{fs, path::Path, process::Output};

use prefect_fake::{
    Auth, Options, Population, Server,
    changes::{NewRun, NewState},
    model::{Json, StateType},
    population::fixed_now,
};
use serde_json::json;
use tokio::task::spawn_blocking;

use crate::support::connector::Connector;

const KEY: &str = "pnu_canary_90e2";
const HEADER: &str = "hdr_canary_41b7";
/// A value in a run's parameters.
const CONTENT: &str = "row_canary_c3d8";

async fn prefect() -> Server {
    let options = Options {
        auth: Auth::Bearer(KEY.to_owned()),
        ..Options::new(Population::small(3, fixed_now()))
    };
    let prefect = Server::start(options).await.unwrap();
    prefect.with_store(|store| {
        let flow = store.flows().map(|flow| flow.id).min().unwrap();
        let mut run = NewRun::new(flow);
        run.parameters = Json::from_serialize(&json!({ "token": CONTENT, "huge": 1e308 }));
        run.state = Some(NewState::new(StateType::Pending));
        store.create_run(run).unwrap();
    });
    prefect
}

/// Runs `debug` with everything logged.
async fn debug(connector: &Connector) -> Output {
    let mut command = connector.debug();
    command.env("RUST_LOG", "trace").env("RUST_BACKTRACE", "1");
    spawn_blocking(move || command.output().unwrap())
        .await
        .unwrap()
}

fn holds(bytes: &[u8], canary: &str) -> bool {
    bytes
        .windows(canary.len())
        .any(|window| window == canary.as_bytes())
}

/// Returns every file of a local run with its contents.
fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file())
        .map(|path| (path.display().to_string(), fs::read(&path).unwrap()))
        .collect()
}

/// Checks that the report page shows the sync, but of the rows only sums by day and flow.
fn assert_no_canary_in_the_page(folder: &Path) {
    let page = fs::read(folder.join("report.html")).unwrap();
    assert!(holds(&page, "Sync report"));
    assert!(!holds(&page, "canary"), "in the page");
}

fn assert_silent(output: &Output, canaries: &[&str]) {
    for canary in canaries {
        assert!(!holds(&output.stdout, canary), "{canary} in the output");
        assert!(!holds(&output.stderr, canary), "{canary} in the log");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_and_contents_are_in_no_log_state_or_warehouse() {
    let prefect = prefect().await;
    let connector = Connector::new(&prefect.url(), 50);
    let headers = json!({ "CF-Access-Client-Secret": HEADER }).to_string();
    connector.answer(&[
        ("api_url", &prefect.url()),
        ("api_key", KEY),
        ("extra_headers", &headers),
    ]);
    let output = debug(&connector).await;
    assert!(output.status.success());
    assert!(output.stderr.len() > 10_000, "not much was logged");
    assert_silent(&output, &[KEY, HEADER, CONTENT]);
    let folder = connector.warehouse().parent().unwrap().to_owned();
    let files = files(&folder);
    assert!(files.len() >= 2, "{}", files.len());
    for (path, bytes) in &files {
        assert!(!holds(bytes, KEY) && !holds(bytes, HEADER), "{path}");
    }
    assert_no_canary_in_the_page(&folder);
    // The content is in the warehouse, where it belongs, but not in the state.
    let state = fs::read(connector.state()).unwrap();
    assert!(!holds(&state, CONTENT));
    let held = crate::support::warehouse::open(&connector.warehouse())
        .query_row(
            "SELECT count(*) FROM tester.flow_runs WHERE parameters::VARCHAR LIKE '%canary%'",
            [],
            |row| row.get::<_, u32>(0),
        )
        .unwrap();
    assert_eq!(held, 1);

    // Error messages do not repeat the values that the user typed.
    for answers in [
        [
            ("api_key", "pnu_canary_of_somebody"),
            ("extra_headers", &*headers),
        ],
        [
            ("api_key", KEY),
            ("extra_headers", "{\"X\": \"hdr_canary_41b7\nY\"}"),
        ],
        [("batch_size", KEY), ("extra_headers", HEADER)],
    ] {
        let url = prefect.url();
        connector.answer(&[&[("api_url", url.as_str())][..], &answers].concat());
        let output = debug(&connector).await;
        assert!(!output.status.success(), "{answers:?}");
        assert_silent(&output, &["canary"]);
        assert_no_canary_in_the_page(&folder);
    }
    // The same holds for a password in the URL.
    let with_password = prefect.url().replace("://", "://user:pnu_canary_90e2@");
    connector.answer(&[("api_url", &with_password), ("auth_string", "a:canary")]);
    assert_silent(&debug(&connector).await, &["canary"]);
    assert_no_canary_in_the_page(&folder);
}
