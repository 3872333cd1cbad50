//! Tests of the log: one row for each sync, whatever its outcome.

use tokio_util::sync::CancellationToken;

use super::fake::*;
use crate::{Counters, Error, Names, Options, RequestedSelection, run};
use sync_telemetry::{Event, Observer as _};

/// The given columns of all rows.
fn log(dir: &std::path::Path, columns: &str) -> Vec<String> {
    rows(
        dir,
        &format!("SELECT {columns} FROM _local_run.sync_log ORDER BY sync"),
    )
}

fn script(update: Vec<Step>) -> Script {
    Script {
        schema: one_table(),
        update,
        ..Script::default()
    }
}

#[tokio::test]
async fn each_sync_has_a_row_with_its_states_and_counts() {
    let dir = tempfile::tempdir().unwrap();
    let first = vec![row(1, 10, "x"), row(2, 20, "y"), checkpoint("{\"n\":1}")];
    sync(dir.path(), one_table(), first).await;
    let second = vec![
        row(1, 10, "x"),
        row(2, 21, "y"),
        update(&[("id", long(1)), ("a", long(10))]),
        delete(2),
        checkpoint("{\"n\":2}"),
        Step::Fail(tonic::Status::unavailable("gone")),
    ];
    sync(dir.path(), one_table(), second).await;
    assert_eq!(
        log(
            dir.path(),
            "sync, outcome, failure IS NULL, state_before, state_after"
        ),
        [
            "1|succeeded|true|{}|{\"n\":1}",
            "2|failed|false|{\"n\":1}|{\"n\":2}"
        ]
    );
    assert_eq!(
        log(
            dir.path(),
            "upserts, unchanged, updates, deletes, checkpoints, schema_changes"
        ),
        ["2|0|0|0|1|1", "2|0|1|1|1|0"]
    );
    let table = "tables->'$.\"tester.t\"'->>'upserts', tables->'$.\"tester.t\"'->>'deleted'";
    assert_eq!(log(dir.path(), table), ["2|0", "2|1"]);
    let times = "ended >= began, seconds >= 0, last_landed BETWEEN began AND ended, requests";
    assert_eq!(
        log(dir.path(), times),
        ["true|true|true|-", "true|true|true|-"]
    );
}

#[tokio::test]
async fn a_sync_that_never_came_to_its_rows_has_one_too() {
    let dir = tempfile::tempdir().unwrap();
    let fake = Fake::start(script(vec![Step::Hang])).await;
    let cancel = CancellationToken::new();
    let clock = std::sync::Arc::new(sync_clock::SystemClock);
    let running = tokio::spawn(run(options(&fake, dir.path()), clock, cancel.clone()));
    while fake.asked.lock().unwrap().updates.is_empty() {
        tokio::task::yield_now().await;
    }
    cancel.cancel();
    assert!(!running.await.unwrap().unwrap().succeeded());
    let unknown = Options {
        selection: RequestedSelection::Names(Names {
            tables: vec!["nope".into()],
            ..Names::default()
        }),
        ..options(&fake, dir.path())
    };
    assert!(matches!(
        run_with(unknown).await,
        Err(Error::UnknownTable { .. })
    ));
    assert_eq!(
        log(dir.path(), "sync, outcome, upserts"),
        ["1|interrupted|0", "2|failed|0"]
    );
    // Without a connector at the endpoint there is no sync.
    let nobody = Options {
        endpoint: "http://127.0.0.1:1".into(),
        ..options(&fake, dir.path())
    };
    assert!(matches!(run_with(nobody).await, Err(Error::Connect { .. })));
    assert_eq!(log(dir.path(), "sync").len(), 2);
}

#[tokio::test]
async fn requests_are_those_of_the_counters() {
    let dir = tempfile::tempdir().unwrap();
    let fake = Fake::start(script(Vec::new())).await;
    let counters = std::sync::Arc::new(Counters::default());
    counters.observe(&Event::Request {
        path: "/flows/filter".into(),
        status: Some(200),
        bytes: 12,
        took: std::time::Duration::ZERO,
    });
    let options = Options {
        counters: Some(counters),
        ..options(&fake, dir.path())
    };
    run_with(options).await.unwrap();
    let asked = "requests, response_bytes, waits, waited_seconds";
    assert_eq!(log(dir.path(), asked), ["1|12|0|0.0"]);
}

#[tokio::test]
async fn a_state_is_rejected_in_another_schema() {
    let dir = tempfile::tempdir().unwrap();
    let fake = Fake::start(script(vec![row(1, 10, "x"), checkpoint("{\"n\":1}")])).await;
    let into = |schema: &str| Options {
        schema: schema.into(),
        ..options(&fake, dir.path())
    };
    assert!(run_with(into("mine")).await.unwrap().succeeded());
    let error = run_with(into("other")).await.unwrap_err();
    assert!(matches!(error, Error::OtherSchema { .. }), "{error}");
    let text = error.to_string();
    assert!(
        text.contains("--schema mine") && text.contains("--full-refresh"),
        "{text}"
    );
    let error = run_with(into("no-name")).await.unwrap_err();
    assert!(matches!(error, Error::SchemaName { .. }), "{error}");
    let full = Options {
        full_refresh: true,
        ..into("other")
    };
    assert!(run_with(full).await.unwrap().succeeded());
    assert!(run_with(into("other")).await.unwrap().succeeded());
    let count = "SELECT (SELECT count(*) FROM mine.t), (SELECT count(*) FROM other.t)";
    assert_eq!(rows(dir.path(), count), ["1|1"]);
    let logged = ["mine|1", "other|1", "other|1"];
    assert_eq!(log(dir.path(), "schema_name, upserts"), logged);
}
