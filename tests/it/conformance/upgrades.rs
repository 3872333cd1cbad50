//! `conformance --against`: an old version of the connector, which the new one replaces.

use std::collections::BTreeSet;

use fivetran_runner::conformance::{Outcome, Report, render};

use super::{
    fault::Fault,
    faults::{broken, examine_against},
};

/// Each fault of a new version and the rule that it violates.
pub(super) const FAULTS: [(Fault, &str); 9] = [
    (Fault::TableGone, "upgrade-table-removed"),
    (Fault::ColumnGone, "upgrade-column-removed"),
    (Fault::TypeNarrower, "upgrade-type-changed"),
    (Fault::KeyLonger, "upgrade-key-changed"),
    (Fault::FieldRequired, "upgrade-field-required"),
    (Fault::FieldGone, "upgrade-field-removed"),
    (Fault::OldStateRejected, "upgrade-resume-fails"),
    (Fault::OldStateMisread, "upgrade-differs"),
    (Fault::Additions, "upgrade-column-empty"),
];

/// Examines a new version with this fault, which replaces one without faults.
async fn upgraded(fault: Fault) -> Report {
    examine_against(fault, Some(Fault::None), |_| {}).await
}

fn text(report: &Report) -> String {
    let mut text = Vec::new();
    render::text(report, true, &mut text).unwrap();
    String::from_utf8(text).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_fault_of_an_upgrade_is_found_by_exactly_its_rule() {
    let mut otherwise = Vec::new();
    for (fault, rule) in FAULTS {
        let report = upgraded(fault).await;
        if broken(&report) != BTreeSet::from([rule]) || report.incomplete.is_some() {
            otherwise.push(format!("{fault:?}, {rule}:\n{}", text(&report)));
        }
    }
    assert!(otherwise.is_empty(), "{}", otherwise.join("\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_equal_version_has_no_findings_and_resumes_all_states() {
    let report = upgraded(Fault::None).await;
    let text = text(&report);
    assert_eq!(report.findings, [], "{text}");
    assert_eq!(report.outcome(true), Outcome::Passed);
    assert!(
        text.contains(" 0 failed, 0 known failing, 0 skipped\n"),
        "{text}"
    );
    // Seven checkpoints, of which the last is always resumed; the second sync saves none.
    for at in 1..=7 {
        assert!(
            text.contains(&format!("upgraded after checkpoint {at} ")),
            "{text}"
        );
    }
    assert!(text.contains("full sync of the old version"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fewer_cuts_resume_the_last_state() {
    let report = examine_against(Fault::None, Some(Fault::None), |options| options.cuts = 1).await;
    let text = text(&report);
    assert_eq!(text.matches("upgraded after").count(), 1, "{text}");
    assert!(text.contains("upgraded after checkpoint 7 "), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn additions_are_only_a_note() {
    let report = upgraded(Fault::Additions).await;
    assert_eq!(report.outcome(true), Outcome::Passed, "{}", text(&report));
    let columns: Vec<_> = report
        .findings
        .iter()
        .map(|it| it.column.as_deref())
        .collect();
    assert_eq!(columns, [Some("note"), Some("note")]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn values_that_differ_at_each_read_are_not_compared() {
    let volatile = Fault::VolatileValues;
    let report = examine_against(volatile, Some(volatile), |_| {}).await;
    assert_eq!(report.findings, [], "{}", text(&report));
    let changed: Vec<_> = report.changed.iter().map(|it| &it.columns).collect();
    assert_eq!(changed, [&["name"], &["name"]]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_that_is_missing_after_an_upgrade_is_named() {
    let report = upgraded(Fault::OldStateMisread).await;
    let first = &report.findings[0];
    assert_eq!(first.seen_in, "upgraded after checkpoint 1");
    assert_eq!(
        (first.table.as_deref(), first.key.as_deref()),
        (Some("payments"), Some("id=10"))
    );
    assert!(
        first.text.starts_with("the row is missing"),
        "{}",
        first.text
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_version_that_fails_leaves_the_run_incomplete() {
    let report = examine_against(Fault::None, Some(Fault::TwoTasks), |_| {}).await;
    let why = report.incomplete.as_deref().unwrap_or_default();
    assert!(
        why.starts_with("the full sync of the old version ended with the task"),
        "{why}"
    );
}
