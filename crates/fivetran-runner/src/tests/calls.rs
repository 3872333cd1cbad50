//! Tests of the form, its tests, warnings, tasks, and of secrets that are never printed.

use std::{path::Path, sync::Arc};

use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::fake::*;
use crate::{Error, LeftOut, QueryFormat, View, execute_views, report, run};
use fivetran_proto::{
    ConfigurationFormResponse, ConfigurationTest, FormField, Task, TextField, Warning,
    form_field::Type, update_response::Operation,
};

/// Runs a query whose result is a table.
fn query(db: &Path, sql: &str) -> Result<String, Error> {
    crate::query(db, sql, QueryFormat::Table, false)
}

fn warning(text: &str) -> Step {
    let message = text.into();
    Step::Send(Operation::Warning(Warning { message }))
}

fn task(text: &str) -> Step {
    let message = text.into();
    Step::Send(Operation::Task(Task { message }))
}

fn form() -> ConfigurationFormResponse {
    let field = |name: &str, default: Option<&str>, kind: TextField| FormField {
        name: name.into(),
        default_value: default.map(Into::into),
        r#type: Some(Type::TextField(kind.into())),
        ..FormField::default()
    };
    let test = |name: &str| ConfigurationTest {
        name: name.into(),
        label: format!("Test {name}"),
    };
    ConfigurationFormResponse {
        fields: vec![
            field("pin", None, TextField::Password),
            field("page_size", Some("200"), TextField::PlainText),
        ],
        tests: vec![test("reach"), test("access")],
        ..ConfigurationFormResponse::default()
    }
}

#[tokio::test]
async fn every_call_gets_the_answers_and_the_defaults() {
    let dir = tempfile::tempdir().unwrap();
    let fake = Fake::start(Script {
        form: form(),
        schema: one_table(),
        ..Script::default()
    })
    .await;
    let mut options = options(&fake, dir.path());
    options.configuration.insert("pin".into(), "12345".into());
    options.configuration.insert("typo".into(), "1".into());
    let outcome = run_with(options.clone()).await.unwrap();
    assert!(outcome.succeeded());
    assert_eq!(outcome.tests.len(), 2);
    assert!(outcome.warnings[0].0.contains("`typo`"));
    {
        let asked = fake.asked.lock().unwrap();
        let names: Vec<_> = asked.tests.iter().map(|test| test.name.as_str()).collect();
        assert_eq!(names, ["reach", "access"]);
        for configuration in [
            &asked.tests[0].configuration,
            &asked.schemas[0].configuration,
            &asked.updates[0].configuration,
        ] {
            assert_eq!(configuration["pin"], "12345");
            assert_eq!(configuration["page_size"], "200");
        }
    }
    options.skip_tests = true;
    assert!(run_with(options).await.unwrap().tests.is_empty());
}

#[tokio::test]
async fn a_failed_test_fails_the_sync_before_it_begins() {
    let dir = tempfile::tempdir().unwrap();
    let fake = Fake::start(Script {
        form: form(),
        failures: [("access".into(), "the key was rejected".into())].into(),
        ..Script::default()
    })
    .await;
    let outcome = run_with(options(&fake, dir.path())).await.unwrap();
    assert_eq!(
        outcome.failure.as_deref(),
        Some("Test access: the key was rejected")
    );
    assert!(fake.asked.lock().unwrap().updates.is_empty());
}

#[tokio::test]
async fn a_task_ends_the_sync_with_its_text_and_keeps_the_progress() {
    let dir = tempfile::tempdir().unwrap();
    let steps = vec![
        row(1, 10, "x"),
        checkpoint("{\"n\":1}"),
        task("give the key access to the workspace"),
        row(2, 20, "never read"),
    ];
    let outcome = sync(dir.path(), one_table(), steps).await;
    assert_eq!(
        outcome.failure.as_deref(),
        Some("give the key access to the workspace")
    );
    assert_eq!(landed(dir.path()), ["1|10|x|false"]);
    assert_eq!(kept(dir.path()).as_deref(), Some("{\"n\":1}"));
}

#[tokio::test]
async fn warnings_are_counted() {
    let dir = tempfile::tempdir().unwrap();
    let steps = vec![
        warning("slow"),
        row(1, 1, "x"),
        warning("odd"),
        warning("slow"),
    ];
    let outcome = sync(dir.path(), one_table(), steps).await;
    assert!(outcome.succeeded());
    assert_eq!(outcome.warnings, [("slow".into(), 2), ("odd".into(), 1)]);
}

#[tokio::test]
async fn secrets_appear_nowhere() {
    const SECRET: &str = "pnu_s3cr3t";
    let echo = || format!("the key {SECRET} is odd");
    let scripts = [
        vec![warning(&echo()), task(&echo())],
        vec![
            warning(&echo()),
            Step::Fail(tonic::Status::internal(echo())),
        ],
    ];
    for update in scripts {
        let dir = tempfile::tempdir().unwrap();
        let fake = Fake::start(Script {
            form: form(),
            schema: one_table(),
            failures: [("reach".into(), echo())].into(),
            update,
        })
        .await;
        for skip_tests in [false, true] {
            let mut options = options(&fake, dir.path());
            options.configuration.insert("pin".into(), SECRET.into());
            options.skip_tests = skip_tests;
            let mut printed = format!("{options:?}").into_bytes();
            let outcome = run_with(options).await.unwrap();
            assert!(!outcome.succeeded());
            report::write(&outcome, report::Style::default(), &mut printed).unwrap();
            printed.extend(format!("{outcome:?}").into_bytes());
            let printed = String::from_utf8(printed).unwrap();
            assert!(!printed.contains(SECRET), "{printed}");
            assert!(printed.contains("the key *** is odd"), "{printed}");
        }
    }
}

#[tokio::test]
async fn a_cancelled_sync_keeps_what_has_come() {
    let dir = tempfile::tempdir().unwrap();
    let fake = Fake::start(Script {
        schema: one_table(),
        update: vec![row(1, 10, "x"), checkpoint("{\"n\":1}"), Step::Hang],
        ..Script::default()
    })
    .await;
    let cancel = CancellationToken::new();
    let run = run(
        options(&fake, dir.path()),
        Arc::new(Hasty::default()),
        cancel.clone(),
    );
    let state = dir.path().join("state.json");
    let watch = async move {
        // The state file is written once the checkpoint has waited long enough, since no further message arrives.
        while !state.exists() {
            tokio::task::yield_now().await;
        }
        cancel.cancel();
    };
    let (outcome, ()) = tokio::join!(run, watch);
    let why = outcome.unwrap().failure.unwrap();
    assert!(why.starts_with("interrupted"), "{why}");
    assert_eq!(landed(dir.path()), ["1|10|x|false"]);
}

#[tokio::test]
async fn an_endpoint_without_a_server_is_an_error_that_names_it() {
    let dir = tempfile::tempdir().unwrap();
    let fake = Fake::start(Script::default()).await;
    let mut options = options(&fake, dir.path());
    // A port that was free a moment ago and has no listener.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    options.endpoint = format!("http://{}", listener.local_addr().unwrap()).into();
    drop(listener);
    let error = run_with(options.clone()).await.unwrap_err();
    assert!(
        error.to_string().contains(&options.endpoint.to_string()),
        "{error}"
    );
}

#[tokio::test]
async fn queries_are_drawn() {
    let dir = tempfile::tempdir().unwrap();
    let db = dir.path().join("warehouse.db");
    let none = query(&db, "SELECT 1").unwrap_err();
    assert!(matches!(none, Error::NoWarehouse { .. }), "{none}");
    sync(dir.path(), one_table(), vec![row(1, 10, "héllo")]).await;
    let drawn = query(&db, "SELECT id, b, NULL AS c FROM tester.t -- all").unwrap();
    for part in ["id", "héllo", "NULL"] {
        assert!(drawn.contains(part), "{drawn}");
    }
    assert!(
        query(&db, " SHOW ALL TABLES ; ")
            .unwrap()
            .contains("tester")
    );
    let described = query(&db, "DESCRIBE tester.t").unwrap();
    assert!(described.contains("_fivetran_synced"), "{described}");
    assert!(matches!(query(&db, "SELEC"), Err(Error::Query { .. })));
    assert!(query(&db, "DROP TABLE tester.t").is_err());
    let many = query(&db, "SELECT * FROM range(5000)").unwrap();
    assert!(many.ends_with("(the first 1,000 rows; --all shows all of them)"));
    let lines = |format, all| {
        let text = crate::query(&db, "FROM range(5000)", format, all).unwrap();
        text.lines().count()
    };
    // A program would not notice that rows are missing.
    assert_eq!(lines(QueryFormat::Csv, false), 5_001);
    assert_eq!(lines(QueryFormat::Json, false), 5_000);
    assert!(lines(QueryFormat::Table, true) > 5_000);

    // The schema of the sync is the default one.
    let tables = query(&db, "SHOW TABLES").unwrap();
    assert!(tables.contains(" t "), "{tables}");
    let commented = "-- why\nSELECT id, b, [1.5] AS list FROM t;\n-- end";
    let json = crate::query(&db, commented, QueryFormat::Json, false).unwrap();
    assert_eq!(json, r#"{"id":1,"b":"héllo","list":[1.5]}"#);
}

#[tokio::test]
async fn views_are_recreated_or_removed() {
    let dir = tempfile::tempdir().unwrap();
    let db = dir.path().join("warehouse.db");
    let none = execute_views(&db, &[]).unwrap_err();
    assert!(matches!(none, Error::NoWarehouse { .. }), "{none}");
    sync(dir.path(), one_table(), vec![row(1, 10, "héllo")]).await;
    let view = |name, sql| View {
        schema: "a schema",
        name,
        description: "It's a view.",
        sql,
    };
    let good = view("good", "SELECT b FROM tester.t -- all");
    let made = execute_views(&db, &[good, view("select", "SELECT 1 AS one")]);
    assert_eq!(made.unwrap(), []);
    for name in ["good", "select"] {
        query(&db, &format!("SELECT * FROM \"a schema\".\"{name}\"")).unwrap();
    }
    let comments = "SELECT DISTINCT comment FROM duckdb_views() WHERE NOT internal";
    assert_eq!(rows(dir.path(), comments), ["It's a view."]);
    // The table of one view is gone; the other view has a new query.
    let bad = view("good", "SELECT b FROM tester.gone");
    let made = execute_views(&db, &[bad, view("select", "SELECT 2 AS two")]);
    let left_out = LeftOut {
        view: "a schema.good".to_owned(),
        reason: "Catalog Error: Table with name gone does not exist!".to_owned(),
    };
    assert_eq!(made.unwrap(), [left_out]);
    assert!(query(&db, "SELECT * FROM \"a schema\".good").is_err());
    let two = query(&db, "SELECT two FROM \"a schema\".\"select\"").unwrap();
    assert!(two.contains('2'), "{two}");
}

#[tokio::test]
async fn a_long_message_of_a_status_is_shown() {
    let dir = tempfile::tempdir().unwrap();
    let text = format!("{} and the cause at the end", "x".repeat(100_000));
    let steps = vec![Step::Fail(Status::internal(text))];
    let outcome = sync(dir.path(), one_table(), steps).await;
    let why = outcome.failure.unwrap();
    assert!(why.contains("and the cause at the end"), "{why}");
}

#[test]
fn an_error_of_a_file_has_its_reason_once() {
    let missing = std::io::Error::from_raw_os_error(2);
    let error = Error::io("read", Path::new("x"), missing);
    assert!(error.to_string().contains("os error 2"), "{error}");
    // Programs print the chain of causes.
    assert!(std::error::Error::source(&error).is_none());
}
