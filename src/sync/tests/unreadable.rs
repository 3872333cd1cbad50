//! Tests of objects on which the server fails. The others arrive, nothing counts as deleted, and each sync requests the
//! failing objects again.

use serde_json::json;

use super::{
    sync_harness::{SyncHarness, Synced},
    world::{World, text, uuid},
};
use crate::{prefect, sync::Error};

const RUNS: usize = 40;

fn fill(world: &mut World) {
    world.now = 10_000;
    for id in 0..RUNS {
        let at = i64::try_from(id).expect("small");
        world.run(id, 10 * at, 500 + at);
    }
    for id in 100..113 {
        let at = text(i64::try_from(id).expect("small"));
        world.put(
            "/flows",
            json!({"id": uuid(id), "created": at, "updated": at, "name": format!("flow {id}")}),
        );
    }
    for id in 200..212 {
        world.deployment_updated(id, i64::try_from(id).expect("small"));
    }
}

fn harness(poison: &[usize], page_size: u32) -> SyncHarness {
    let mut harness = SyncHarness::new(fill);
    harness.change(|world| world.poison.extend(poison));
    harness.page_size = page_size;
    harness
}

fn upserts(synced: &Synced) -> Vec<String> {
    let mut ids: Vec<_> = synced.upserts.iter().map(|(_, id)| id.clone()).collect();
    ids.sort_unstable();
    ids
}

fn ids(ids: &[usize]) -> Vec<String> {
    ids.iter().map(|id| uuid(*id)).collect()
}

#[tokio::test]
async fn unreadable_objects_are_sent_once_readable_and_the_others_at_once() {
    for poison in [
        vec![7],
        vec![0],
        vec![RUNS - 1],
        vec![6, 7],
        vec![3, 17, 30],
        vec![105, 206],
        vec![19, 112, 200],
        (3..9).chain(100..103).chain(205..212).collect(),
    ] {
        for page_size in [3, 5, 10, 200] {
            let context = format!("{poison:?}, pages of {page_size}");
            let mut harness = harness(&poison, page_size);
            let first = harness.sync().await;
            assert!(first.error.is_none(), "{context}: {:?}", first.error);
            let all = RUNS + 13 + 12;
            assert_eq!(first.upserts.len(), all - poison.len(), "{context}");
            let reported =
                |synced: &Synced| synced.warnings.iter().any(|text| text.contains("500"));
            assert!(reported(&first), "{context}");
            for _ in 0..2 {
                harness.change(|world| world.now += 3_600);
                let quiet = harness.sync().await;
                assert!(quiet.error.is_none(), "{context}: {:?}", quiet.error);
                assert!(reported(&quiet), "{context}");
                assert_eq!(upserts(&quiet), ids(&[]), "{context}");
                assert_eq!(quiet.deletes, [], "{context}");
            }
            harness.change(|world| {
                world.now += 3_600;
                world.poison.clear();
            });
            let healed = harness.sync().await;
            assert_eq!(upserts(&healed), ids(&poison), "{context}");
            harness.assert_equal();
            harness.change(|world| world.now += 3_600);
            let quiet = harness.sync().await;
            assert_eq!(upserts(&quiet), ids(&[]), "{context}");
            assert!(!reported(&quiet), "{context}");
        }
    }
}

/// A known object that cannot be read any more does not count as deleted.
#[tokio::test]
async fn unreadable_objects_are_not_deleted() {
    let mut harness = harness(&[], 10);
    harness.change(|world| {
        // The run is open, so it would be missed in the listing of open runs.
        world.put(
            "/flow_runs",
            json!({
                "id": uuid(50), "updated": text(9_000), "expected_start_time": text(9_000),
                "state_type": "RUNNING", "start_time": text(9_000), "name": "open",
            }),
        );
    });
    harness.sync().await;
    for hours in 1..4 {
        harness.change(|world| {
            world.now += 3_600;
            world.poison.extend([50, 105, 206]);
        });
        let synced = harness.sync().await;
        assert!(synced.error.is_none(), "{:?}", synced.error);
        assert_eq!(synced.deletes, [], "after {hours} h");
    }
    // An object that is really gone is deleted.
    harness.change(|world| {
        world.now += 3_600;
        world.poison.clear();
        world.remove("/flow_runs", 50);
        world.remove("/flows", 105);
        world.remove("/deployments", 206);
    });
    let mut deletes = harness.sync().await.deletes;
    deletes.sort_unstable();
    let want = [("deployments", 206), ("flow_runs", 50), ("flows", 105)];
    assert_eq!(deletes, want.map(|(table, id)| (table, uuid(id))));
}

/// A server that fails on every request has no object to be read around.
#[tokio::test]
async fn objects_of_a_server_that_fails_altogether_are_not_requested_one_by_one() {
    let mut harness = harness(&[], 200);
    harness.change(|world| world.failing = Some("/flow_runs"));
    let synced = harness.sync().await;
    assert!(matches!(
        synced.error,
        Some(Error::Prefect {
            table: "flow_runs",
            source: prefect::Error::Server { status: 500, .. }
        })
    ));
    let asked = harness.server.0.lock().expect("lock");
    let asked = asked.requests.iter();
    let asked = asked.filter(|request| request.collection.0 == "/flow_runs");
    assert!(asked.count() < 25);
}

/// A server that goes down is not mistaken for an unreadable row. Its last request may have been for a row or two.
#[tokio::test]
async fn a_server_that_fails_is_not_treated_as_an_unreadable_object() {
    for after in 1..8 {
        let mut harness = harness(&[], 5);
        harness.in_flight = std::num::NonZeroUsize::MIN.saturating_add(3);
        harness.change(|world| {
            let down: super::world::Change =
                Box::new(|world: &mut World| world.failing = Some("/flow_runs"));
            world.changes.insert(after, vec![down]);
        });
        let synced = harness.sync().await;
        let Some(Error::Prefect { source, .. }) = &synced.error else {
            panic!("{after}: {:?}", synced.error);
        };
        assert!(matches!(source, prefect::Error::Server { status: 500, .. }));
        assert_eq!(synced.warnings, Vec::<String>::new());
        harness.change(|world| world.failing = None);
        let rest = harness.sync().await;
        assert!(rest.error.is_none());
        harness.assert_equal();
        let sent = synced.upserts.len() + rest.upserts.len();
        // The row at which a part resumes may be sent twice.
        assert!((65..70).contains(&sent), "{sent} after {after}");
    }
}
