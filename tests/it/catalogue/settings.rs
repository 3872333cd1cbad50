//! Settings that change at any moment, even while an earlier change is still being read. The settings are the start
//! date, tables that share a listing, and columns.

use chrono::TimeDelta;
use prefect_fake::{
    changes::{NewRun, NewState},
    model::{StateType, Time},
    versions,
};
use rand::{Rng, SeedableRng, rngs::SmallRng, seq::IndexedRandom};

use super::connection::{Connection, task};

const RUNS: &str = "task_runs";
const PARTS: &str = "task_run_dependencies";

/// Syncs until everything is read. Then the warehouse must have all rows, and a quiet sync follows.
async fn settle(connection: &mut Connection, history: &str) {
    for _ in 0..2 {
        connection.harness.an_hour_later(|_| {});
        connection.sync().await;
    }
    connection.check(history).await;
    connection.harness.an_hour_later(|_| {});
    let sent = connection.sync().await;
    assert_eq!(sent, 0, "a quiet sync sends rows: {history}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_date_moved_earlier_during_an_unfinished_read() {
    for tables in [&["flow_runs"] as &[_], &[RUNS, PARTS], &["logs"]] {
        for release in [&versions::V3_9, &versions::V2_20] {
            for cut in (0..60).step_by(4) {
                let mut connection = Connection::start(release, tables).await;
                connection.start_days_ago(Some(4));
                connection.sync_until(cut).await;
                let is_cut = connection.harness.state.is_some();
                connection.start_days_ago(Some(12));
                connection.sync().await;
                let history = format!("{tables:?}, cut at {cut}");
                settle(&mut connection, &history).await;
                if !is_cut {
                    break;
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_date_moved_later_and_earlier_again_reads_nothing_twice() {
    for tables in [&["flow_runs"] as &[_], &[RUNS, PARTS], &["logs"]] {
        let mut connection = Connection::start(&versions::V3_9, tables).await;
        for days in [Some(12), Some(3), Some(8), None, Some(5), Some(20), None] {
            connection.start_days_ago(days);
            connection.sync().await;
            assert_eq!(connection.unchanged, [], "{tables:?} from {days:?}");
            connection.check(&format!("{tables:?} from {days:?}")).await;
            connection.harness.an_hour_later(|_| {});
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_date_moved_earlier_while_a_table_or_a_column_is_filled() {
    for cut in (0..40).step_by(2) {
        let mut connection = Connection::start(&versions::V3_9, &[RUNS]).await;
        connection.tables.insert(RUNS, ["name"].into());
        connection.start_days_ago(Some(4));
        connection.sync().await;
        connection.harness.an_hour_later(|_| {});
        connection.tables.insert(RUNS, [].into());
        connection.tables.insert(PARTS, [].into());
        connection.sync_until(cut).await;
        connection.start_days_ago(Some(12));
        connection.sync().await;
        settle(&mut connection, &format!("cut at {cut}")).await;
    }
}

/// The next sync reads runs that ended just before the last one again, and knows their fingerprints.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_selected_right_after_runs_ended_has_them() {
    for release in [&versions::V3_9, &versions::V2_20] {
        for (first, later) in [(RUNS, PARTS), (PARTS, RUNS)] {
            let mut connection = Connection::start(release, &[first]).await;
            connection.sync().await;
            connection.harness.an_hour_later(|_| {});
            connection.harness.prefect.with_store(|store| {
                for number in 0..7 {
                    task(store, number, StateType::Completed);
                }
            });
            connection.sync().await;
            connection.tables.insert(later, [].into());
            connection.sync().await;
            connection.check(&format!("{later} is added")).await;
            assert_eq!(connection.unchanged, [], "{first} is sent again");
        }
        let mut connection = Connection::start(release, &[RUNS, PARTS]).await;
        connection.tables.insert(RUNS, ["name"].into());
        connection.sync().await;
        connection.harness.an_hour_later(|_| {});
        connection.harness.prefect.with_store(|store| {
            for number in 0..7 {
                task(store, number, StateType::Completed);
            }
        });
        connection.sync().await;
        connection.tables.insert(RUNS, [].into());
        connection.sync().await;
        connection.check("a column is added").await;
        assert_eq!(connection.unchanged, [], "rows are sent again");
    }
}

/// The table that stayed selected has the newer state and must keep it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_that_returns_does_not_take_back_what_the_other_one_has() {
    for pauses in [PARTS, RUNS] {
        let mut connection = Connection::start(&versions::V3_9, &[RUNS, PARTS]).await;
        connection.sync().await;
        connection.tables.remove(pauses);
        connection.harness.an_hour_later(|_| {});
        // The run is edited while the other table is deselected.
        let old = connection.harness.prefect.with_store(|store| {
            let ended = store.task_runs().filter(|run| run.end_time.is_some());
            let old = ended.max_by_key(|run| run.end_time).expect("one").id;
            store
                .edit_task_run(old, |run| run.name = "edited".to_owned())
                .expect("is there");
            for number in 0..20 {
                task(store, number, StateType::Completed);
            }
            old
        });
        let open = connection.harness.prefect.with_store(|store| {
            (20..25)
                .map(|number| task(store, number, StateType::Running))
                .collect::<Vec<_>>()
        });
        for _ in 0..3 {
            connection.harness.an_hour_later(|_| {});
            connection.sync().await;
        }
        connection.harness.an_hour_later(|store| {
            for id in &open[..3] {
                store.delete_task_run(*id).expect("is there");
            }
        });
        connection.tables.insert(pauses, [].into());
        connection.sync().await;
        // An edited run sends all its dependencies.
        let edited = old.to_string();
        connection
            .unchanged
            .retain(|(_, id)| !id.starts_with(&edited));
        assert_eq!(connection.unchanged, [], "{pauses} returns");
        let beside = connection.check(&format!("{pauses} returns")).await;
        let runs: Vec<_> = beside.iter().filter(|(table, _)| table == RUNS).collect();
        assert_eq!(
            runs,
            Vec::<&(String, String)>::new(),
            "runs that were deleted"
        );
        settle(&mut connection, &format!("{pauses} was away")).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unfinished_fill_of_a_column_outlasts_the_return_of_a_table() {
    for cut in (0..40).step_by(3) {
        let mut connection = Connection::start(&versions::V3_9, &[RUNS, PARTS]).await;
        connection.tables.insert(RUNS, ["name"].into());
        connection.sync().await;
        connection.tables.remove(PARTS);
        connection.harness.an_hour_later(|_| {});
        connection.sync().await;
        connection.tables.insert(RUNS, [].into());
        connection.harness.an_hour_later(|_| {});
        connection.sync_until(cut).await;
        connection.tables.insert(PARTS, [].into());
        connection.harness.an_hour_later(|_| {});
        connection.sync().await;
        settle(&mut connection, &format!("cut at {cut}")).await;
    }
}

/// Creates flow runs that were scheduled for one time and have ended.
fn runs_due_at(connection: &Connection, due: Time, count: usize) {
    connection.harness.prefect.with_store(|store| {
        let flow = store.flows().map(|flow| flow.id).min().expect("a flow");
        for _ in 0..count {
            let mut state = NewState::new(StateType::Scheduled);
            state.scheduled_time = Some(due);
            let new = NewRun {
                state: Some(state),
                ..NewRun::new(flow)
            };
            let (id, _) = store.create_run(new).expect("a run");
            for kind in [StateType::Running, StateType::Completed] {
                store.set_state(id, NewState::new(kind)).expect("is there");
            }
            // Prefect sets the expected start of a run when it starts.
            let mut run = store.run(id).expect("is there").clone();
            run.expected_start_time = due;
            store.put_run(run);
        }
        store.advance(TimeDelta::hours(1));
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_equal_times_than_a_cut_sync_can_read() {
    for release in [&versions::V3_9, &versions::V3_0, &versions::V2_20] {
        let mut connection = Connection::start(release, &["flow_runs"]).await;
        let due = connection.harness.prefect.with_store(|store| store.now());
        runs_due_at(&connection, due, 300);
        // This is so long before the newest row that no fingerprint is remembered: a run that is read again is sent
        // again.
        let later = connection.harness.prefect.with_store(|store| {
            store.advance(TimeDelta::hours(6));
            store.now()
        });
        runs_due_at(&connection, later, 1);
        let mut sent = 0;
        for _ in 0..12 {
            sent += connection.sync_until(25).await;
        }
        sent += connection.sync().await;
        let rows = connection.read_afresh().await.rows().count();
        assert!(sent <= rows + 60, "{sent} rows are sent for {rows}");
        settle(&mut connection, "300 runs were to start at one time").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_is_to_start_at_the_last_microsecond() {
    for release in [&versions::V3_9, &versions::V2_20] {
        let mut connection = Connection::start(release, &["flow_runs"]).await;
        let last: Time = "9999-12-31T23:59:59.999999Z".parse().expect("a time");
        let id = connection.harness.prefect.with_store(|store| {
            let flow = store.flows().map(|flow| flow.id).min().expect("a flow");
            let mut state = NewState::new(StateType::Scheduled);
            state.scheduled_time = Some(last);
            let new = NewRun {
                state: Some(state),
                ..NewRun::new(flow)
            };
            store.create_run(new).expect("a run").0
        });
        connection.sync().await;
        let key = ("flow_runs".to_owned(), id.to_string());
        assert!(
            connection.warehouse.row(&key).is_some(),
            "the run is not listed"
        );
        settle(
            &mut connection,
            "a run that is to start at the last microsecond",
        )
        .await;
    }
}

/// Random histories: after any choices and interruptions, the warehouse must have everything in the end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_order_of_settings_loses_nothing() {
    let seeds = std::env::var("SETTINGS_SEEDS")
        .ok()
        .and_then(|it| it.parse().ok());
    for seed in 0..seeds.unwrap_or(12) {
        history(seed).await;
    }
}

async fn history(seed: u64) {
    let mut rng = SmallRng::seed_from_u64(seed);
    let release = [&versions::V3_9, &versions::V2_20, &versions::V3_0]
        [usize::try_from(seed % 3).expect("small")];
    let all = [
        RUNS,
        PARTS,
        "flow_runs",
        "logs",
        "deployments",
        "deployment_schedules",
    ];
    let mut connection = Connection::start(release, &all).await;
    let mut steps = vec![format!("seed {seed}")];
    for number in 0..14 {
        match rng.random_range(0..6) {
            0 => {
                let days = *[None, Some(2), Some(5), Some(9), Some(15)]
                    .choose(&mut rng)
                    .expect("some");
                connection.start_days_ago(days);
                steps.push(format!("start {days:?}"));
            }
            1 | 2 => {
                let name = *all.choose(&mut rng).expect("some");
                let left = connection.tables.remove(name);
                if left.is_none() {
                    connection.tables.insert(name, [].into());
                }
                steps.push(format!(
                    "{name} {}",
                    if left.is_none() { "on" } else { "off" }
                ));
            }
            3 => {
                let name = *[RUNS, "flow_runs", "deployments"]
                    .choose(&mut rng)
                    .expect("some");
                if let Some(without) = connection.tables.get_mut(name) {
                    if !without.remove("name") {
                        without.insert("name");
                    }
                    steps.push(format!("{name}.name switched: {without:?}"));
                }
            }
            _ => {
                let minutes = *[1, 20, 300].choose(&mut rng).expect("some");
                let open = rng.random_bool(0.5);
                connection.harness.prefect.with_store(|store| {
                    store.advance(TimeDelta::minutes(minutes));
                    let kind = if open {
                        StateType::Running
                    } else {
                        StateType::Completed
                    };
                    task(store, number, kind);
                    let running = store
                        .task_runs()
                        .filter(|run| run.state.kind == StateType::Running);
                    let running = running.map(|run| run.id).min();
                    if let Some(id) = running.filter(|_| minutes == 20) {
                        store
                            .set_task_state(id, NewState::new(StateType::Failed))
                            .expect("is there");
                    }
                });
                steps.push(format!("{minutes} minutes, open: {open}"));
            }
        }
        if connection.tables.is_empty() {
            connection.tables.insert(RUNS, [].into());
        }
        if rng.random_bool(0.6) {
            let cut = if rng.random_bool(0.6) {
                rng.random_range(0..60)
            } else {
                usize::MAX
            };
            let sent = connection.sync_until(cut).await;
            steps.push(format!("sync until {cut}: {sent}"));
        }
    }
    connection.tables = all.iter().map(|name| (*name, [].into())).collect();
    connection.start_days_ago(None);
    settle(&mut connection, &steps.join("; ")).await;
}
