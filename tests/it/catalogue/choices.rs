//! Settings of the user: tables that share a listing, the start date, the choice of runs, the checkpoint interval.

use chrono::{DateTime, Utc};
use fivetran_source::fivetran::proto::{update_response::Operation, value_type::Inner};
use prefect_fake::{Id, Store, changes::RunEdit, model::StateType, versions};
use serde_json::Value;
use test_support::records;

use super::connection_harness::{ConnectionHarness, Sent, change};
use crate::support::served::task;

const RUNS: &str = "task_runs";
const PARTS: &str = "task_run_dependencies";
/// One request at a time. With several, the response that arrives first decides where a read is split.
const ONE_BY_ONE: [(&str, &str); 1] = [("concurrency", "1")];

fn upserts(sent: &Sent, table: &str) -> usize {
    sent.get(table).map_or(0, |counts| counts[0])
}

/// Counts the requests to a path since the last call.
fn requests(harness: &ConnectionHarness, path: &str) -> usize {
    let record = harness.prefect.take_request_log();
    record.iter().filter(|it| it.request.path == path).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nested_rows_are_sent_with_the_table_that_contains_them() {
    for (whole, parts, path) in [
        (RUNS, PARTS, "/task_runs/filter"),
        ("deployments", "deployment_schedules", "/deployments/filter"),
    ] {
        let mut alone = ConnectionHarness::start(&versions::V3_9).await;
        let first = alone.sync_with(&[whole], &ONE_BY_ONE).await;
        let cost = requests(&alone, path);
        let mut both = ConnectionHarness::start(&versions::V3_9).await;
        let together = both.sync_with(&[whole, parts], &ONE_BY_ONE).await;
        assert_eq!(requests(&both, path), cost, "{parts} cost no request");
        assert_eq!(upserts(&together, whole), upserts(&first, whole));
        assert!(upserts(&together, parts) > 0);
        both.an_hour_later(|store| {
            change(store, whole);
        });
        let second = both.sync(&[whole, parts]).await;
        assert_eq!((upserts(&second, whole), upserts(&second, parts)), (1, 1));
        both.an_hour_later(|_| {});
        assert_eq!(both.sync(&[whole, parts]).await, Sent::new());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_selected_later_is_filled_without_sending_the_others_again() {
    for (whole, parts) in [(RUNS, PARTS), ("deployments", "deployment_schedules")] {
        for (first, later) in [(whole, parts), (parts, whole)] {
            let mut harness = ConnectionHarness::start(&versions::V3_9).await;
            harness.sync(&[first]).await;
            harness.an_hour_later(|_| {});
            let filled = harness.sync(&[whole, parts]).await;
            assert!(upserts(&filled, later) > 0, "{later} is filled");
            assert_eq!(filled.get(first), None, "{first} is not touched by {later}");
            let mut fresh = ConnectionHarness::start(&versions::V3_9).await;
            let all = fresh.sync(&[later]).await;
            assert_eq!(
                upserts(&filled, later),
                upserts(&all, later),
                "all of {later}"
            );
            harness.an_hour_later(|_| {});
            assert_eq!(harness.sync(&[whole, parts]).await, Sent::new());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_that_was_deselected_for_a_while_catches_up() {
    for (whole, parts) in [(RUNS, PARTS), ("deployments", "deployment_schedules")] {
        for (stays, pauses) in [(whole, parts), (parts, whole)] {
            let mut harness = ConnectionHarness::start(&versions::V3_9).await;
            harness.sync(&[whole, parts]).await;
            harness.an_hour_later(|store| {
                change(store, whole);
            });
            let without = harness.sync(&[stays]).await;
            assert_eq!(without.keys().collect::<Vec<_>>(), [stays]);
            harness.an_hour_later(|_| {});
            let back = harness.sync(&[whole, parts]).await;
            assert_eq!(upserts(&back, pauses), 1, "{pauses} catches up");
            harness.an_hour_later(|_| {});
            assert_eq!(harness.sync(&[whole, parts]).await, Sent::new());
        }
    }
}

fn count(harness: &ConnectionHarness, wanted: impl Fn(&Store, Id) -> bool) -> usize {
    harness.prefect.with_store(|store| {
        let store = &*store;
        store.runs().filter(|run| wanted(store, run.id)).count()
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_sync_goes_back_to_the_start_date_and_an_earlier_one_reads_on() {
    let mut harness = ConnectionHarness::start(&versions::V3_9).await;
    let now = harness.prefect.with_store(|store| store.now());
    let since = |days: i64| (now - chrono::TimeDelta::days(days)).date_naive();
    let start =
        |days: i64| -> DateTime<Utc> { since(days).and_time(chrono::NaiveTime::MIN).and_utc() };
    let runs_since = |harness: &ConnectionHarness, days: i64| {
        count(harness, |store, id| {
            store.run(id).unwrap().expected_start_time >= start(days)
        })
    };
    let logs_since = |harness: &ConnectionHarness, days: i64| {
        let start = start(days).to_rfc3339();
        harness.prefect.with_store(|store| {
            let logs = store.objects(prefect_fake::GenericCollection::Logs);
            let at = |it: &&prefect_fake::GenericObject| it.text("timestamp").unwrap().to_owned();
            logs.filter(|it| {
                at(it).parse::<DateTime<Utc>>().unwrap() >= start.parse::<DateTime<Utc>>().unwrap()
            })
            .count()
        })
    };
    let (five, ten) = (since(5).to_string(), since(10).to_string());
    let tables = ["flow_runs", "logs"];
    let first = harness.sync_with(&tables, &[("start_date", &five)]).await;
    assert_eq!(upserts(&first, "flow_runs"), runs_since(&harness, 5));
    assert_eq!(upserts(&first, "logs"), logs_since(&harness, 5));
    assert!(runs_since(&harness, 5) > 0 && runs_since(&harness, 5) < runs_since(&harness, 10));
    let quiet = harness.sync_with(&tables, &[("start_date", &five)]).await;
    assert_eq!(quiet, Sent::new());
    let earlier = harness.sync_with(&tables, &[("start_date", &ten)]).await;
    let between = runs_since(&harness, 10) - runs_since(&harness, 5);
    assert_eq!(
        upserts(&earlier, "flow_runs"),
        between,
        "only what lies between"
    );
    let between = logs_since(&harness, 10) - logs_since(&harness, 5);
    assert!(between > 0);
    assert_eq!(upserts(&earlier, "logs"), between);
    let all = harness.sync(&tables).await;
    let rest = count(&harness, |_, _| true) - runs_since(&harness, 10);
    assert_eq!(upserts(&all, "flow_runs"), rest);
    assert_eq!(
        upserts(&all, "logs"),
        logs_since(&harness, 10_000) - logs_since(&harness, 10)
    );
    assert_eq!(harness.sync(&tables).await, Sent::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scheduled_runs_can_be_left_out_and_come_when_they_are_wanted() {
    let mut harness = ConnectionHarness::start(&versions::V3_9).await;
    let scheduled = |store: &Store, id: Id| {
        let run = store.run(id).unwrap();
        run.state.kind == StateType::Scheduled && run.start_time.is_none()
    };
    let waiting = count(&harness, scheduled);
    let all = count(&harness, |_, _| true);
    assert!(waiting > 0);
    let without = [("include_scheduled_runs", "false")];
    let first = harness.sync_with(&["flow_runs"], &without).await;
    assert_eq!(upserts(&first, "flow_runs"), all - waiting);
    harness.an_hour_later(|_| {});
    assert_eq!(
        harness.sync_with(&["flow_runs"], &without).await,
        Sent::new()
    );
    let with = harness.sync(&["flow_runs"]).await;
    assert_eq!(with["flow_runs"], [waiting, 0, 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_filter_scopes_runs_and_nothing_else_and_another_one_reads_anew() {
    let mut harness = ConnectionHarness::start(&versions::V3_9).await;
    let (tag, tagged) = harness.prefect.with_store(|store| {
        let tag = store
            .runs()
            .flat_map(|run| &run.tags)
            .min()
            .unwrap()
            .clone();
        let tagged = store.runs().filter(|run| run.tags.contains(&tag)).count();
        (tag, tagged)
    });
    let filter = format!(r#"{{"flow_runs": {{"tags": {{"all_": ["{tag}"]}}}}}}"#);
    let tables = ["flows", "flow_runs", "task_runs"];
    let mut whole = ConnectionHarness::start(&versions::V3_9).await;
    let everything = whole.sync(&tables).await;
    let first = harness.sync_with(&tables, &[("filter", &filter)]).await;
    assert_eq!(upserts(&first, "flow_runs"), tagged);
    assert_eq!(first["flows"], everything["flows"]);
    assert!(upserts(&first, "task_runs") < upserts(&everything, "task_runs"));
    for recorded in harness.prefect.take_request_log() {
        let body: Value = serde_json::from_str(&recorded.request.body).unwrap_or_default();
        let runs = &body["flow_runs"];
        let is_look_up = runs["id"].is_object();
        let is_of_runs = recorded.request.path.starts_with("/flow_runs/")
            || recorded.request.path.starts_with("/task_runs/");
        assert_eq!(
            runs["tags"].is_object(),
            is_of_runs && !is_look_up,
            "{body}"
        );
    }
    harness.an_hour_later(|_| {});
    assert_eq!(
        harness.sync_with(&tables, &[("filter", &filter)]).await,
        Sent::new()
    );
    let all = harness.sync(&tables).await;
    assert_eq!(
        upserts(&all, "flow_runs"),
        upserts(&everything, "flow_runs")
    );
    assert_eq!(upserts(&all, "flows"), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn checkpoints_wait_as_long_as_the_user_wants() {
    let checkpoints = |operations: &[Operation]| {
        let of = |it: &&Operation| matches!(it, Operation::Checkpoint(_));
        operations.iter().filter(of).count()
    };
    let small = ("batch_size", "5");
    let mut often = ConnectionHarness::start(&versions::V3_9).await;
    let many = often.operations(&["flow_runs"], &[small]).await;
    let mut seldom = ConnectionHarness::start(&versions::V3_9).await;
    let interval = ("checkpoint_interval_seconds", "600");
    let few = seldom.operations(&["flow_runs"], &[small, interval]).await;
    assert!(checkpoints(&many) > 20, "{}", checkpoints(&many));
    assert!(checkpoints(&few) <= 2, "{}", checkpoints(&few));
    assert!(matches!(few.last(), Some(Operation::Checkpoint(_))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_look_back_loses_and_repeats_nothing() {
    let mut harness = ConnectionHarness::start(&versions::V3_9).await;
    harness.sync(&["flow_runs"]).await;
    for days in ["7", "90", "1"] {
        harness.an_hour_later(|_| {});
        let sent = harness
            .sync_with(&["flow_runs"], &[("look_back_days", days)])
            .await;
        assert!(
            upserts(&sent, "flow_runs") <= edited_after_their_end(&harness),
            "{sent:?}"
        );
    }
    harness.an_hour_later(|store| {
        change(store, "flow_runs");
    });
    let sent = harness
        .sync_with(&["flow_runs"], &[("look_back_days", "1")])
        .await;
    assert_eq!(upserts(&sent, "flow_runs"), 1);
}

/// Counts the runs that changed after they ended: a changed look-back sends these again.
fn edited_after_their_end(harness: &ConnectionHarness) -> usize {
    count(harness, |store, id| {
        let run = store.run(id).unwrap();
        run.end_time
            .is_some_and(|end| run.updated > end + chrono::TimeDelta::minutes(1))
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_filter_is_tested_before_it_is_saved() {
    let mut harness = ConnectionHarness::start(&versions::V3_9).await;
    let good =
        r#"{"flow_runs": {"tags": {"any_": ["prod"]}}, "flows": {"name": {"like_": "etl"}}}"#;
    assert_eq!(
        harness.setup_test("filter", &[("filter", good)]).await,
        None
    );
    assert_eq!(harness.setup_test("filter", &[]).await, None);
    for (bad, says) in [
        (r#"{"flow_runs": {"tagz": {"any_": []}}}"#, "flow_runs.tagz"),
        (
            r#"{"flows": {"name": {"equals": "x"}}}"#,
            "flows.name.equals",
        ),
        (r#"{"flow_runs": {"state": {}}}"#, "flow_runs.state"),
        (
            r#"{"flow_run": {}}"#,
            "`flow_run` is not a supported filter",
        ),
    ] {
        let reported = harness.setup_test("filter", &[("filter", bad)]).await;
        let reported = reported.expect("a failure");
        assert!(
            reported.contains("`filter`") && reported.contains(says),
            "{reported}"
        );
    }
}

/// The task names the unknown field and the field that is probably meant. The setup test is not run here, as if the
/// server was upgraded since.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_field_of_the_filter_is_the_users_to_correct() {
    for (bad, field, closest) in [
        (
            r#"{"flow_runs": {"tagz": {"any_": []}}}"#,
            "`flow_runs.tagz`",
            "`flow_runs.tags`",
        ),
        (
            r#"{"flow_runs": {"tags": {"all": ["x"]}}}"#,
            "`flow_runs.tags.all`",
            "`flow_runs.tags.all_`",
        ),
        (
            r#"{"flows": {"nome": {"any_": ["x"]}}}"#,
            "`flows.nome`",
            "`flows.name`",
        ),
    ] {
        for release in [&versions::V3_9, &versions::V2_20] {
            let mut harness = ConnectionHarness::start(release).await;
            let tables = ["flow_runs", "task_runs"];
            let operations = harness.operations(&tables, &[("filter", bad)]).await;
            let task = task(&operations).expect("a task");
            for part in ["configuration field `filter`", field, closest, "[T01]"] {
                assert!(task.contains(part), "{task}");
            }
        }
    }
}

/// The README must name every field of the setup form.
#[test]
fn the_readme_has_every_field() {
    let readme = include_str!("../../../README.md");
    let fields = fivetran_source::config::FORM.iter().map(|field| field.name);
    let choices = fivetran_source::tables::ALL.iter();
    let choices = choices.filter_map(|table| Some(table.choice?.field));
    for field in fields.chain(choices) {
        assert!(readme.contains(&format!("`{field}`")), "{field}");
    }
    for table in fivetran_source::tables::ALL {
        assert!(
            readme.contains(&format!("`{}`", table.name)),
            "{}",
            table.name
        );
    }
}

/// On a server that cannot filter task runs by time, the first sync reads no further than necessary.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_date_also_ends_a_reading_by_offset() {
    let mut harness = ConnectionHarness::start(&versions::V2_20).await;
    let now = harness.prefect.with_store(|store| store.now());
    let start = (now - chrono::TimeDelta::days(3)).date_naive();
    let since = start.and_time(chrono::NaiveTime::MIN).and_utc();
    let wanted = harness.prefect.with_store(|store| {
        let runs = store.task_runs();
        runs.filter(|run| run.expected_start_time >= since).count()
    });
    let answers = [("start_date", &*start.to_string()), ("batch_size", "10")];
    let some = harness.sync_with(&[RUNS], &answers).await;
    assert_eq!(upserts(&some, RUNS), wanted);
    let cost = requests(&harness, "/task_runs/filter");
    let mut whole = ConnectionHarness::start(&versions::V2_20).await;
    let all = whole.sync_with(&[RUNS], &[("batch_size", "10")]).await;
    assert!(wanted > 0 && upserts(&all, RUNS) > wanted);
    assert!(cost < requests(&whole, "/task_runs/filter"));
    assert_eq!(harness.sync_with(&[RUNS], &answers).await, Sent::new());
    let rest = harness.sync_with(&[RUNS], &[("batch_size", "10")]).await;
    assert_eq!(upserts(&rest, RUNS), upserts(&all, RUNS) - wanted);
}

/// Prefect changes these columns without changing `updated`. By decision, the values that were sent with the row are
/// kept (SYNC.md).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_renamed_queue_sends_no_run_again_and_comes_with_its_next_change() {
    let table = "flow_runs";
    let mut harness = ConnectionHarness::start(&versions::V3_9).await;
    harness.sync(&[table]).await;
    // The next sync compares all columns of the rows that changed right before a sync.
    harness.an_hour_later(|_| {});
    harness.sync(&[table]).await;
    let mut renamed = None;
    harness.an_hour_later(|store| {
        let of_a_queue = store.runs().filter(|run| run.queue.is_some()).cloned();
        let of_a_queue: Vec<_> = of_a_queue.collect();
        for mut run in of_a_queue {
            if let Some(queue) = &mut run.queue {
                queue.name = "renamed".to_owned();
            }
            run.parent_task_run_id = None;
            if run.state.kind == StateType::Running {
                renamed = renamed.or(Some(run.id));
            }
            store.put_run(run);
        }
    });
    assert_eq!(harness.sync(&[table]).await, Sent::new());
    harness.an_hour_later(|store| {
        let edit = RunEdit {
            name: Some("changed".to_owned()),
            ..RunEdit::default()
        };
        store.edit_run(renamed.unwrap(), edit).unwrap();
    });
    let operations = harness.operations(&[table], &[]).await;
    let rows: Vec<_> = records(&operations).collect();
    assert_eq!(rows.len(), 1);
    let name = Some(Inner::String("renamed".to_owned()));
    assert_eq!(rows[0].data["work_queue_name"].inner, name);
}
