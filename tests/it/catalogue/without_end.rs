//! Runs without an end time and runs that never end. The former are terminal runs that no range of `end_time` finds,
//! the latter task runs that stay open after their flow run has ended.

use chrono::TimeDelta;
use fivetran_source::fivetran::proto::{Record, value_type::Inner};
use prefect_fake::{
    ApiRequest, Id, NewRun, NewState, NewTaskRun, Store, TaskRun, model::StateType, versions,
};
use serde_json::Value;
use test_support::records;

use super::{
    connection_harness::{ConnectionHarness, Sent},
    meanwhile::Once,
};

const RELEASES: [&versions::Capabilities; 3] = [&versions::V3_9, &versions::V3_0, &versions::V2_20];

/// A change between two syncs.
type Act = fn(&mut Store, &[Id]);

fn flow_run(store: &mut Store) -> Id {
    let flow = store.flows().map(|flow| flow.id).min().unwrap();
    let mut new = NewRun::new(flow);
    new.state = Some(NewState::new(StateType::Running));
    store.create_run(new).unwrap().0
}

fn task_run(store: &mut Store, flow_run: Option<Id>, key: &str) -> Id {
    let any = flow_run.unwrap_or_else(|| store.runs().map(|run| run.id).min().unwrap());
    let mut new = NewTaskRun::new(any, key);
    new.flow_run_id = flow_run;
    store.create_task_run(new).unwrap().0
}

fn end(store: &mut Store, flow_run: Id) {
    store
        .set_state(flow_run, NewState::new(StateType::Failed))
        .unwrap();
}

/// Creates a task run that timed out, as old clients leave it.
fn timed_out(store: &mut Store, flow_run: Id, key: &str) -> Id {
    let id = task_run(store, Some(flow_run), key);
    let running = NewState::new(StateType::Running);
    store.set_task_state(id, running).unwrap();
    store.advance(TimeDelta::seconds(1));
    store.time_out_task_run(id).unwrap();
    id
}

/// Creates this number of task runs that wait for a failed one.
fn not_ready(store: &mut Store, flow_run: Id, number: usize) {
    for at in 0..number {
        let id = task_run(store, Some(flow_run), &format!("waits-{at}"));
        let state = NewState::new(StateType::Pending).named("NotReady");
        store.set_task_state(id, state).unwrap();
    }
}

fn open_ids(harness: &ConnectionHarness, table: &str) -> usize {
    let state: Value = serde_json::from_str(harness.state.as_deref().unwrap()).unwrap();
    let live = &state["tables"][table]["reader"]["runs"]["live"];
    let sets = [&live["open"]["ids"], &live["long_open"]["ids"]];
    sets.iter().map(|ids| ids.as_array().unwrap().len()).sum()
}

/// Counts the requests to a listing since the last call.
fn read(harness: &ConnectionHarness, path: &str) -> usize {
    let record = harness.prefect.take_request_log();
    record.iter().filter(|it| it.request.path == path).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_run_that_timed_out_without_an_end_time_comes_with_the_next_sync() {
    for release in RELEASES {
        let mut harness = ConnectionHarness::start(release).await;
        harness.sync(&["task_runs"]).await;
        harness.an_hour_later(|store| {
            let parent = flow_run(store);
            timed_out(store, parent, "slow");
            end(store, parent);
        });
        let sent = harness.sync(&["task_runs"]).await;
        assert_eq!(
            sent.get("task_runs"),
            Some(&[1, 0, 0]),
            "{}",
            release.release
        );
        harness.an_hour_later(|_| {});
        assert_eq!(harness.sync(&["task_runs"]).await, Sent::new());
    }
}

/// Also covers a run that is created late, when its expected start was read long ago.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_without_an_end_time_and_with_an_early_expected_start() {
    for table in ["task_runs", "flow_runs"] {
        let mut harness = ConnectionHarness::start(&versions::V3_9).await;
        harness.sync(&[table]).await;
        harness.an_hour_later(|store| {
            let parent = flow_run(store);
            let early = store.now() - TimeDelta::days(20);
            if table == "task_runs" {
                let id = timed_out(store, parent, "slow");
                let edit = store.edit_task_run(id, |run| run.expected_start_time = early);
                edit.unwrap();
            } else {
                end(store, parent);
                let mut run = store.run(parent).unwrap().clone();
                (run.end_time, run.expected_start_time) = (None, early);
                store.put_run(run);
            }
        });
        assert_eq!(harness.sync(&[table]).await[table], [1, 0, 0]);
        harness.an_hour_later(|_| {});
        assert_eq!(harness.sync(&[table]).await, Sent::new());
    }
}

/// On a server that cannot filter for null end times, rechecks find the runs that were created late.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_run_without_an_end_time_comes_by_five_times_its_delay() {
    let mut harness = ConnectionHarness::start(&versions::V3_0).await;
    harness.sync(&["task_runs"]).await;
    harness.an_hour_later(|store| {
        let parent = flow_run(store);
        let id = timed_out(store, parent, "slow");
        let early = store.now() - TimeDelta::hours(2);
        let edit = store.edit_task_run(id, |run| run.expected_start_time = early);
        edit.unwrap();
    });
    let mut sent = 0;
    for _ in 0..10 {
        let counts = harness.sync(&["task_runs"]).await;
        sent += counts.get("task_runs").map_or(0, |counts| counts[0]);
        harness.an_hour_later(|_| {});
    }
    assert_eq!(sent, 1);
}

/// Such task runs are sent once as they are and then count as history. They are not deleted, not in the open set, and
/// not read again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn task_runs_that_never_end_end_with_their_flow_run() {
    for release in RELEASES {
        let name = release.release;
        let mut harness = ConnectionHarness::start(release).await;
        harness.sync(&["task_runs"]).await;
        let before = open_ids(&harness, "task_runs");
        let (mut parent, mut running) = (None, None);
        harness.an_hour_later(|store| {
            let failed = flow_run(store);
            not_ready(store, failed, 250);
            end(store, failed);
            let other = flow_run(store);
            not_ready(store, other, 30);
            (parent, running) = (Some(failed), Some(other));
        });
        let sent = harness.sync(&["task_runs"]).await;
        assert_eq!(sent.get("task_runs"), Some(&[280, 0, 0]), "{name}");
        assert_eq!(open_ids(&harness, "task_runs"), before + 30, "{name}");
        // Now the other flow run ends, too.
        harness.an_hour_later(|store| end(store, running.unwrap()));
        assert_eq!(harness.sync(&["task_runs"]).await, Sent::new(), "{name}");
        assert_eq!(open_ids(&harness, "task_runs"), before, "{name}");
        harness.prefect.take_request_log();
        harness.an_hour_later(|_| {});
        assert_eq!(harness.sync(&["task_runs"]).await, Sent::new(), "{name}");
        let requests = read(&harness, "/task_runs/filter");
        assert!(requests <= 9, "{name}: {requests} requests");
        harness.an_hour_later(|store| {
            store.delete_run(parent.unwrap()).unwrap();
            store.delete_run(running.unwrap()).unwrap();
        });
        assert_eq!(harness.sync(&["task_runs"]).await, Sent::new(), "{name}");
    }
}

/// The first sync cannot distinguish such task runs from others while it reads everything.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn task_runs_that_never_end_are_history_from_the_first_sync_on() {
    for release in RELEASES {
        for days in [0, 12] {
            let mut harness = ConnectionHarness::start(release).await;
            let mut parent = None;
            harness.an_hour_later(|store| {
                let failed = flow_run(store);
                not_ready(store, failed, 250);
                end(store, failed);
                parent = Some(failed);
                store.advance(TimeDelta::days(days));
            });
            harness.sync(&["task_runs"]).await;
            harness.an_hour_later(|store| store.delete_run(parent.unwrap()).unwrap());
            let sent = harness.sync(&["task_runs"]).await;
            assert_eq!(sent, Sent::new(), "{} {days}", release.release);
        }
    }
}

/// A task run may end after its flow run and is sent then.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_run_that_ends_after_its_flow_run() {
    for release in RELEASES {
        let mut harness = ConnectionHarness::start(release).await;
        harness.sync(&["task_runs"]).await;
        let mut task = None;
        harness.an_hour_later(|store| {
            let parent = flow_run(store);
            let id = task_run(store, Some(parent), "late");
            let running = NewState::new(StateType::Running);
            store.set_task_state(id, running).unwrap();
            end(store, parent);
            task = Some(id);
        });
        assert_eq!(harness.sync(&["task_runs"]).await["task_runs"], [1, 0, 0]);
        harness.an_hour_later(|store| {
            let ended = NewState::new(StateType::Completed);
            store.set_task_state(task.unwrap(), ended).unwrap();
        });
        let sent = harness.sync(&["task_runs"]).await;
        assert_eq!(
            sent.get("task_runs"),
            Some(&[1, 0, 0]),
            "{}",
            release.release
        );
        harness.an_hour_later(|_| {});
        assert_eq!(harness.sync(&["task_runs"]).await, Sent::new());
    }
}

/// A task run without a flow run is open until it ends or is deleted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn task_runs_without_a_flow_run() {
    for release in RELEASES {
        let name = release.release;
        let mut harness = ConnectionHarness::start(release).await;
        harness.sync(&["task_runs"]).await;
        let mut ids = Vec::new();
        harness.an_hour_later(|store| {
            ids = (0..3)
                .map(|at| task_run(store, None, &format!("apart-{at}")))
                .collect();
        });
        let steps: [(Act, [usize; 3]); 5] = [
            (|_, _| {}, [3, 0, 0]),
            (|_, _| {}, [0, 0, 0]),
            (
                |store, ids| {
                    let running = NewState::new(StateType::Running);
                    store.set_task_state(ids[0], running).unwrap();
                },
                [1, 0, 0],
            ),
            (
                |store, ids| store.delete_task_run(ids[1]).unwrap(),
                [0, 1, 0],
            ),
            (
                |store, ids| store.time_out_task_run(ids[0]).unwrap(),
                [1, 0, 0],
            ),
        ];
        for (at, (act, counts)) in steps.into_iter().enumerate() {
            harness.an_hour_later(|store| act(store, &ids));
            let sent = harness.sync(&["task_runs"]).await;
            let sent = sent.get("task_runs").copied().unwrap_or_default();
            assert_eq!(sent, counts, "{name}, step {at}");
        }
    }
}

/// Counts how often the next sync sends a task run.
async fn sent_of(harness: &mut ConnectionHarness, id: Id) -> usize {
    let operations = harness.operations(&["task_runs"], &[]).await;
    let is_meant = |record: &&Record| {
        let value = record.data.get("id").and_then(|value| value.inner.clone());
        value == Some(Inner::String(id.to_string()))
    };
    records(&operations).filter(is_meant).count()
}

/// Also covers a run that is edited before its expected start is read again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edit_of_a_run_without_an_end_time_comes_with_a_later_sync() {
    for release in RELEASES {
        let name = release.release;
        let mut harness = ConnectionHarness::start(release).await;
        harness.sync(&["task_runs"]).await;
        let (mut slow, mut parent) = (None, None);
        harness.an_hour_later(|store| {
            let flow_run = flow_run(store);
            let id = task_run(store, Some(flow_run), "slow");
            let running = NewState::new(StateType::Running);
            store.set_task_state(id, running).unwrap();
            (slow, parent) = (Some(id), Some(flow_run));
        });
        let (slow, parent) = (slow.unwrap(), parent.unwrap());
        assert_eq!(sent_of(&mut harness, slow).await, 1, "{name}");
        // In the meantime other task runs are created.
        let minutes_later =
            |harness: &ConnectionHarness, minutes: i64, act: &dyn Fn(&mut Store)| {
                harness.prefect.with_store(|store| {
                    store.advance(TimeDelta::minutes(minutes));
                    act(store);
                    store.advance(TimeDelta::minutes(5));
                    task_run(store, Some(parent), &format!("at {}", store.now()));
                    store.advance(TimeDelta::seconds(30));
                });
            };
        minutes_later(&harness, 1, &|store| store.time_out_task_run(slow).unwrap());
        assert_eq!(sent_of(&mut harness, slow).await, 1, "{name}, timed out");
        minutes_later(&harness, 1, &|store| {
            let rename = |run: &mut TaskRun| run.name = "renamed".to_owned();
            store.edit_task_run(slow, rename).unwrap();
        });
        let mut sent = 0;
        for _ in 0..5 {
            minutes_later(&harness, 20, &|_| {});
            sent += sent_of(&mut harness, slow).await;
        }
        assert_eq!(sent, 1, "{name}, edited");
    }
}

/// A new filter reads everything again, which must not turn such task runs into open runs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn task_runs_that_never_end_stay_history_when_the_filter_changes() {
    for release in RELEASES {
        let name = release.release;
        let mut harness = ConnectionHarness::start(release).await;
        harness.sync(&["task_runs"]).await;
        let mut parent = None;
        harness.an_hour_later(|store| {
            let failed = flow_run(store);
            not_ready(store, failed, 3);
            end(store, failed);
            parent = Some(failed);
        });
        let sent = harness.sync(&["task_runs"]).await;
        assert_eq!(sent.get("task_runs"), Some(&[3, 0, 0]), "{name}");
        harness.an_hour_later(|_| {});
        let filter = r#"{"flows": {"name": {"like_": ""}}}"#;
        harness.answers.push(("filter", filter));
        harness.sync(&["task_runs"]).await;
        harness.an_hour_later(|store| store.delete_run(parent.unwrap()).unwrap());
        let sent = harness.sync(&["task_runs"]).await;
        assert_eq!(sent, Sent::new(), "{name}");
    }
}

/// Nothing changes for a week, so the clock of the rows is known only to a day. A row that the sync reads makes it
/// known exactly.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_open_task_run_stays_open_when_the_clock_of_the_rows_moves_during_a_sync() {
    let mut harness = ConnectionHarness::start(&versions::V3_9).await;
    harness.sync(&["task_runs"]).await;
    harness.an_hour_later(|store| {
        let parent = flow_run(store);
        task_run(store, Some(parent), "waits");
        store.advance(TimeDelta::days(7) + TimeDelta::hours(12));
    });
    let is_open_listing = |request: &ApiRequest| {
        let body: Value = serde_json::from_str(&request.body).unwrap_or_default();
        request.path == "/task_runs/filter" && !body["flow_runs"]["state"].is_null()
    };
    let begin_another = |store: &mut Store| {
        let parent = store.runs().max_by_key(|run| run.created).unwrap().id;
        task_run(store, Some(parent), "begins");
    };
    harness
        .prefect
        .set_interceptor(Once(Some(begin_another), is_open_listing));
    assert_eq!(harness.sync(&["task_runs"]).await["task_runs"], [2, 0, 0]);
    // Task runs that have been open for long are listed once a day.
    harness.an_hour_later(|store| store.advance(TimeDelta::days(1)));
    assert_eq!(harness.sync(&["task_runs"]).await, Sent::new());
}

/// On servers without a filter by end time only the rechecks find the edit.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edit_of_a_task_run_that_never_ends_comes_with_a_later_sync() {
    for release in [&versions::V3_9, &versions::V3_0] {
        let mut harness = ConnectionHarness::start(release).await;
        harness.sync(&["task_runs"]).await;
        harness.an_hour_later(|store| {
            let parent = flow_run(store);
            not_ready(store, parent, 1);
            end(store, parent);
        });
        assert_eq!(harness.sync(&["task_runs"]).await["task_runs"], [1, 0, 0]);
        // Other task runs are created in the meantime, so this run lies before the listed range of runs without an end
        // time.
        let minutes_later = |harness: &ConnectionHarness, act: &dyn Fn(&mut Store)| {
            harness.prefect.with_store(|store| {
                store.advance(TimeDelta::minutes(6));
                act(store);
                let parent = flow_run(store);
                task_run(store, Some(parent), "begins");
                store.advance(TimeDelta::seconds(30));
            });
        };
        let is_it = |run: &&TaskRun| run.state.name == "NotReady";
        minutes_later(&harness, &|_| {});
        harness.sync(&["task_runs"]).await;
        minutes_later(&harness, &|store| {
            let id = store.task_runs().find(is_it).unwrap().id;
            let rename = |run: &mut TaskRun| run.name = "renamed".to_owned();
            store.edit_task_run(id, rename).unwrap();
        });
        let id = harness
            .prefect
            .with_store(|store| store.task_runs().find(is_it).unwrap().id);
        let mut sent = 0;
        for _ in 0..5 {
            sent += sent_of(&mut harness, id).await;
            minutes_later(&harness, &|_| {});
        }
        assert_eq!(sent, 1, "{}", release.release);
    }
}
