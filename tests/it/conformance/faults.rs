//! Connectors with one fault each, which violates one rule.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::ready,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use chrono::{DateTime, Utc};
use fivetran_runner::conformance::{OldVersion, Options, Outcome, Report, render, rules, run};
use fivetran_source::clock::{Clock, SystemClock};
use tokio_util::sync::CancellationToken;

use super::{
    fault::Fault,
    scripted::{SECRET, Scripted},
    upgrades,
};

/// Each fault and the rule that it violates, for all rules that a caller can observe.
const FAULTS: [(Fault, &str); 44] = [
    (Fault::FieldWithoutType, "form-malformed"),
    (Fault::SecretShown, "secret-not-hidden"),
    (Fault::TestEndsInStatus, "test-unanswered"),
    (Fault::ReservedColumn, "name-reserved"),
    (Fault::TableTwice, "name-collision"),
    (Fault::CamelCase, "name-rewritten"),
    (Fault::SqlWord, "name-sql-word"),
    (Fault::TimeOfDay, "type-unsupported"),
    (Fault::NoKey, "table-without-key"),
    (Fault::KeyOrderChanges, "key-unstable"),
    (Fault::KeyRepeated, "key-repeated"),
    (Fault::LargeBatch, "batch-size"),
    (Fault::LargeMessage, "message-size"),
    (Fault::EmptyMessage, "operation-unknown"),
    (Fault::TwoTasks, "task-not-last"),
    (Fault::TruncateLater, "truncate-late"),
    (Fault::TableNotDeclared, "table-undeclared"),
    (Fault::ColumnNotDeclared, "column-undeclared"),
    (Fault::ColumnNeverSent, "column-unsent"),
    (Fault::NullKey, "key-missing"),
    (Fault::NumberAsString, "type-mismatch"),
    (Fault::BrokenJson, "value-malformed"),
    (Fault::DateWithTime, "date-with-time"),
    (Fault::ColumnLeftOut, "upsert-incomplete"),
    (Fault::UpdateOfNothing, "update-without-row"),
    (Fault::NoCheckpoint, "checkpoint-missing"),
    (Fault::StateIsNoJson, "checkpoint-json"),
    (Fault::RowsAtTheEnd, "rows-after-checkpoint"),
    (Fault::SlowCheckpoints, "checkpoint-late"),
    (Fault::FrequentCheckpoints, "checkpoint-frequent"),
    (Fault::StateAhead, "checkpoint-ahead"),
    (Fault::FailsOnResume, "resume-fails"),
    (Fault::OtherValuesOnResume, "resume-differs"),
    (Fault::NothingWithoutState, "state-absent"),
    (Fault::ChangesWhenRunAgain, "rerun-not-idempotent"),
    (Fault::OverlapsWhenRunAgain, "rerun-resends"),
    (Fault::AllWhenRunAgain, "full-refresh"),
    (Fault::TableDespiteSelection, "selection-ignored-table"),
    (Fault::ColumnDespiteSelection, "selection-ignored-column"),
    (Fault::NewTableDespiteSelection, "selection-new-table"),
    (Fault::NewColumnDespiteSelection, "selection-new-column"),
    (Fault::FewerRowsWithSelection, "selection-differs"),
    (Fault::SelectionIgnoredSilently, "selection-unstated"),
    (Fault::SecretInState, "secret-exposed"),
];

/// A clock on which the same time passes between two readings.
struct Steps {
    /// The time between two readings, in seconds.
    step: i64,
    readings: AtomicI64,
}

impl Steps {
    fn of(fault: Fault) -> Self {
        Self {
            // With a checkpoint in every second message: more than one a minute, or one in 80 minutes.
            step: if fault == Fault::FrequentCheckpoints {
                25
            } else {
                40 * 60
            },
            readings: AtomicI64::new(0),
        }
    }
}

impl Clock for Steps {
    fn now(&self) -> DateTime<Utc> {
        let reading = self.readings.fetch_add(1, Ordering::Relaxed);
        DateTime::from_timestamp(reading * self.step, 0).unwrap()
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        SystemClock.sleep(duration)
    }
}

async fn examine(fault: Fault, adapt: impl FnOnce(&mut Options)) -> Report {
    examine_against(fault, None, adapt).await
}

/// Examines the connector with this fault, also beside an old version if there is one.
pub(super) async fn examine_against(
    fault: Fault,
    old: Option<Fault>,
    adapt: impl FnOnce(&mut Options),
) -> Report {
    let connector = Scripted::start(fault).await;
    let old = match old {
        Some(fault) => Some(Scripted::start(fault).await),
        None => None,
    };
    let configuration = [("api_key", SECRET), ("pin", "a pin")];
    let configuration = configuration.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let mut options = Options {
        message_limit: 40_000,
        ..Options::new(connector.endpoint.clone(), configuration.into())
    };
    adapt(&mut options);
    let old = old.as_ref().map(|old| OldVersion {
        endpoint: old.endpoint.clone(),
        restart: None,
    });
    let clock = Arc::new(Steps::of(fault));
    let report = run(options, None, old.as_ref(), clock, CancellationToken::new()).await;
    report.unwrap()
}

pub(super) fn broken(report: &Report) -> BTreeSet<&str> {
    report.findings.iter().map(|it| it.rule).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connector_that_behaves_well_has_no_findings() {
    let report = examine(Fault::None, |_| {}).await;
    assert_eq!(report.findings, []);
    assert_eq!(report.unchecked, []);
    assert_eq!(
        (report.incomplete.as_ref(), report.changed.len()),
        (None, 0)
    );
    assert_eq!(report.outcome(true), Outcome::Passed);
    // The first table has four batches, the second one three.
    assert_eq!(report.checkpoints, (7, 6));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_fault_is_found_out_by_exactly_its_rule() {
    let mut otherwise = Vec::new();
    for (fault, rule) in FAULTS {
        let report = examine(fault, |_| {}).await;
        let mut text = Vec::new();
        render::text(&report, true, &mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        let severity = rules::find(rule).unwrap().severity;
        let is_so = broken(&report) == BTreeSet::from([rule])
            && report.findings.iter().all(|it| it.severity == severity)
            && report.incomplete.is_some() == (fault == Fault::TwoTasks)
            && text.contains(&format!("docs/CONFORMANCE.md#{rule}"))
            && !text.contains(SECRET);
        if !is_so {
            otherwise.push(format!("{fault:?}, {rule}:\n{text}"));
        }
    }
    assert!(otherwise.is_empty(), "{}", otherwise.join("\n"));
}

#[test]
fn no_rule_is_without_a_fault() {
    let faults = FAULTS.iter().chain(&upgrades::FAULTS);
    let mut tried: Vec<&str> = faults.map(|(_, rule)| *rule).collect();
    // The first is about a process's output, the second about the Python SDK; `foreign` checks them.
    tried.extend(["log-line-malformed", "sdk-operation"]);
    tried.sort_unstable();
    let mut all: Vec<&str> = rules::ALL.iter().map(|rule| rule.id).collect();
    all.sort_unstable();
    assert_eq!(tried, all);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn evidence_is_the_row_its_message_and_the_sync() {
    let report = examine(Fault::NumberAsString, |_| {}).await;
    let first = &report.findings[0];
    assert_eq!(first.table.as_deref(), Some("payments"));
    assert_eq!(first.column.as_deref(), Some("amount"));
    assert_eq!(first.key.as_deref(), Some("id=1"));
    assert_eq!(
        (first.seen_in.as_str(), first.message),
        ("full sync", Some(1))
    );
    assert!(first.times > 1);
    let report = examine(Fault::StateAhead, |_| {}).await;
    let first = &report.findings[0];
    assert_eq!(first.seen_in, "resumed from checkpoint 1");
    assert_eq!(first.key.as_deref(), Some("id=4"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sent_column_must_not_get_the_name_of_a_declared_one() {
    let report = examine(Fault::ColumnsDifferInCase, |_| {}).await;
    assert_eq!(
        broken(&report),
        BTreeSet::from(["column-undeclared", "name-collision"])
    );
    let collision = &report.findings[0];
    assert_eq!(
        (collision.rule, collision.column.as_deref()),
        ("name-collision", Some("NAME"))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn repeated_keys_are_counted() {
    let report = examine(Fault::KeyRepeated, |_| {}).await;
    assert_eq!(
        report.findings[0].text,
        "14 different rows land as 7, because keys are repeated; they differ in amount, created, details, name"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rules_can_be_chosen_and_cuts_are_bounded() {
    let report = examine(Fault::StateAhead, |options| {
        options.skip = vec!["checkpoint-ahead".to_owned()];
        options.cuts = 2;
    })
    .await;
    assert_eq!((report.findings.len(), report.checkpoints), (0, (7, 2)));
    let report = examine(Fault::StateAhead, |options| {
        options.rules = vec!["batch-size".to_owned()];
    })
    .await;
    // The other syncs are not run, because only unselected rules need them.
    assert_eq!((report.findings.len(), report.syncs.len()), (0, 2));
    let connector = Scripted::start(Fault::None).await;
    let mut options = Options::new(connector.endpoint.clone(), BTreeMap::new());
    options.rules = vec!["batch-sise".to_owned()];
    let clock = Arc::new(SystemClock);
    let error = run(options, None, None, clock, CancellationToken::new()).await;
    assert!(error.err().unwrap().to_string().contains("batch-sise"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_setup_test_ends_the_run() {
    let report = examine(Fault::None, |options| options.configuration.clear()).await;
    let why = report.incomplete.clone().unwrap();
    assert_eq!(why, "the setup test `reach` failed: Give a key.");
    assert_eq!(report.outcome(true), Outcome::Incomplete);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_interrupted_run_says_so() {
    let connector = Scripted::start(Fault::None).await;
    let options = Options::new(connector.endpoint.clone(), BTreeMap::new());
    let cancel = CancellationToken::new();
    cancel.cancel();
    ready(()).await;
    let report = run(options, None, None, Arc::new(SystemClock), cancel)
        .await
        .unwrap();
    assert_eq!(report.incomplete.as_deref(), Some("it was interrupted"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn log_lines_are_judged_without_being_quoted() {
    let mut report = examine(Fault::None, |_| {}).await;
    report.take_log(None);
    assert_eq!(report.unchecked[0].rule, "log-line-malformed");
    let lines = [
        r#"{"level":"INFO","message":"read","message-origin":"sdk_connector"}"#.to_owned(),
        "row of a customer".to_owned(),
        format!(r#"{{"level":"INFO","message":"{SECRET}","message-origin":"sdk_connector"}}"#),
    ];
    report.take_log(Some(&lines));
    assert_eq!(
        broken(&report),
        BTreeSet::from(["log-line-malformed", "secret-exposed"])
    );
    let mut text = Vec::new();
    render::text(&report, true, &mut text).unwrap();
    let text = String::from_utf8(text).unwrap();
    assert!(
        text.contains("the log, line 2") && text.contains("the log, line 3"),
        "{text}"
    );
    assert!(
        !text.contains("customer") && !text.contains(SECRET),
        "{text}"
    );
}
