//! Open runs while the user's filter changes, and while the runs are deleted and come back.

use chrono::TimeDelta;
use prefect_fake::{
    Id, NewRun, NewState, Store,
    model::{FlowRun, StateType},
    versions,
};

use super::connection_harness::{ConnectionHarness, Sent};

const TABLE: &str = "flow_runs";
const NARROW: &str = r#"{"flow_runs": {"tags": {"all_": ["narrow"]}}}"#;

/// Creates runs that wait for their scheduled time, half of them with the filter's tag.
fn waiting(store: &mut Store, number: usize) -> Vec<Id> {
    let flow = store.flows().map(|flow| flow.id).min().unwrap();
    let due = store.now() + TimeDelta::days(2);
    let run = |at: usize| {
        let mut new = NewRun::new(flow);
        let tag = if at.is_multiple_of(2) {
            "narrow"
        } else {
            "wide"
        };
        new.tags = vec![tag.to_owned()];
        new.state = Some(NewState::new(StateType::Scheduled).due(due));
        store.create_run(new).unwrap().0
    };
    (0..number).map(run).collect()
}

fn delete(store: &mut Store, ids: &[Id]) {
    for id in ids {
        store.delete_run(*id).unwrap();
    }
}

/// Syncs with this filter and returns the number of deleted runs.
async fn deletes(harness: &mut ConnectionHarness, filter: &str) -> usize {
    let sent = harness.sync_with(&[TABLE], &[("filter", filter)]).await;
    sent.get(TABLE).map_or(0, |counts| counts[1])
}

/// Splits runs into those with the tag and those without.
fn parts(ids: &[Id]) -> (Vec<Id>, Vec<Id>) {
    let pick = |tag: bool| {
        let ids = ids.iter().enumerate();
        ids.filter(|(at, _)| at.is_multiple_of(2) == tag)
            .map(|(_, id)| *id)
            .collect()
    };
    (pick(true), pick(false))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn open_runs_deleted_before_another_filter_are_deleted() {
    for (before, after) in [("", NARROW), (NARROW, "")] {
        let mut harness = ConnectionHarness::start(&versions::V3_9).await;
        let mut ids = Vec::new();
        harness.an_hour_later(|store| ids = waiting(store, 60));
        deletes(&mut harness, before).await;
        let (narrow, wide) = parts(&ids);
        let known = if before.is_empty() { &wide } else { &narrow };
        harness.an_hour_later(|store| delete(store, &known[..20]));
        assert_eq!(
            deletes(&mut harness, after).await,
            20,
            "{before} to {after}"
        );
        harness.an_hour_later(|_| {});
        assert_eq!(deletes(&mut harness, after).await, 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn open_runs_deleted_outside_of_the_filter_are_deleted() {
    let mut harness = ConnectionHarness::start(&versions::V3_9).await;
    let mut ids = Vec::new();
    harness.an_hour_later(|store| ids = waiting(store, 60));
    deletes(&mut harness, "").await;
    harness.an_hour_later(|_| {});
    assert_eq!(deletes(&mut harness, NARROW).await, 0);
    let (_, wide) = parts(&ids);
    harness.an_hour_later(|store| {
        delete(store, &wide[..10]);
        // Runs outside of the filter are not sent.
        store
            .set_state(wide[11], NewState::new(StateType::Running))
            .unwrap();
    });
    let sent = harness.sync_with(&[TABLE], &[("filter", NARROW)]).await;
    assert_eq!(sent, Sent::new(), "they are looked up once a day");
    harness.an_hour_later(|store| store.advance(TimeDelta::days(1)));
    let sent = harness.sync_with(&[TABLE], &[("filter", NARROW)]).await;
    assert_eq!(sent[TABLE], [0, 10, 0]);
    harness.an_hour_later(|store| delete(store, &wide[12..20]));
    assert_eq!(deletes(&mut harness, "").await, 8, "with the filter gone");
    harness.an_hour_later(|store| delete(store, &wide[20..]));
    assert_eq!(deletes(&mut harness, "").await, 10, "known as open again");
}

/// The read that a new filter starts may still be in progress when the filter changes again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn filters_that_change_again_and_again_lose_no_delete() {
    let mut harness = ConnectionHarness::start(&versions::V2_20).await;
    let mut ids = Vec::new();
    harness.an_hour_later(|store| ids = waiting(store, 60));
    deletes(&mut harness, "").await;
    let mut deleted = 0;
    for (at, filter) in [NARROW, "", NARROW, "", NARROW].into_iter().enumerate() {
        harness.an_hour_later(|store| delete(store, &ids[at * 12..at * 12 + 12]));
        deleted += deletes(&mut harness, filter).await;
    }
    assert_eq!(deleted, 60);
}

/// A backup is restored, and the run is back unchanged.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_open_run_that_comes_back_unchanged_is_sent_again() {
    for release in [&versions::V3_9, &versions::V3_0, &versions::V2_20] {
        let mut harness = ConnectionHarness::start(release).await;
        harness.sync(&[TABLE]).await;
        let mut run: Option<FlowRun> = None;
        harness.an_hour_later(|_| {});
        // The run is young enough to be remembered.
        harness.prefect.with_store(|store| {
            let id = waiting(store, 1)[0];
            run = store.run(id).cloned();
        });
        let run = run.unwrap();
        assert_eq!(harness.sync(&[TABLE]).await[TABLE], [1, 0, 0]);
        harness.prefect.with_store(|store| {
            store.advance(TimeDelta::seconds(30));
            store.delete_run(run.id).unwrap();
        });
        assert_eq!(harness.sync(&[TABLE]).await[TABLE], [0, 1, 0]);
        harness.prefect.with_store(|store| {
            store.advance(TimeDelta::seconds(30));
            store.put_run(run.clone());
        });
        assert_eq!(
            harness.sync(&[TABLE]).await[TABLE],
            [1, 0, 0],
            "{}",
            release.release
        );
        harness.an_hour_later(|_| {});
        assert_eq!(harness.sync(&[TABLE]).await, Sent::new());
    }
}

/// Daily syncs do not start at exactly the same second.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_open_run_is_looked_at_by_each_daily_sync() {
    let mut harness = ConnectionHarness::start(&versions::V3_9).await;
    let mut id = None;
    harness.an_hour_later(|store| {
        let old = waiting(store, 1)[0];
        let mut run = store.run(old).unwrap().clone();
        run.expected_start_time = store.now() - TimeDelta::days(10);
        store.put_run(run);
        id = Some(old);
    });
    harness.sync(&[TABLE]).await;
    for kind in [StateType::Pending, StateType::Running] {
        harness.prefect.with_store(|store| {
            store.advance(TimeDelta::days(1) - TimeDelta::minutes(2));
            store.set_state(id.unwrap(), NewState::new(kind)).unwrap();
        });
        let sent = harness.sync(&[TABLE]).await;
        assert_eq!(sent.get(TABLE), Some(&[1, 0, 0]), "{kind:?}");
    }
}

/// An open set that has free places does not necessarily hold all open runs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_open_runs_than_are_remembered_are_sent_once() {
    let mut harness = ConnectionHarness::start(&versions::V3_9).await;
    let mut ids = Vec::new();
    harness.an_hour_later(|store| ids = waiting(store, 60));
    harness.sync(&[TABLE]).await;
    // The set as it is left when the state was too large.
    let mut state: serde_json::Value =
        serde_json::from_str(harness.state.as_deref().unwrap()).unwrap();
    let open = &mut state["tables"][TABLE]["reader"]["runs"]["live"]["open"];
    open["ids"].as_array_mut().unwrap().truncate(20);
    open["most"] = 20.into();
    harness.state = Some(state.to_string());
    harness.an_hour_later(|_| {});
    assert_eq!(harness.sync(&[TABLE]).await, Sent::new());
    for number in [3, 0, 4] {
        harness.an_hour_later(|store| {
            for _ in 0..number {
                let id = ids.pop().unwrap();
                store
                    .set_state(id, NewState::new(StateType::Cancelled))
                    .unwrap();
            }
        });
        let sent = harness.sync(&[TABLE]).await;
        let sent = sent.get(TABLE).copied().unwrap_or_default();
        assert_eq!(sent, [number, 0, 0]);
    }
}
