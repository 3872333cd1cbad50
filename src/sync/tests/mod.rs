//! Tests of the engine and its strategies with a small Prefect in memory. They cover every cut, every order of ties,
//! and changes between pages.

mod sync_harness;
mod unreadable;
mod windows;
mod world;

use serde_json::json;

use self::{
    sync_harness::{SyncHarness, Synced, fill},
    world::{World, text, uuid},
};
use super::Error;

#[tokio::test]
async fn the_first_sync_sends_everything_once_and_a_quiet_one_nothing() {
    let mut harness = SyncHarness::new(fill);
    let first = harness.sync().await;
    assert!(first.error.is_none());
    assert_eq!(first.upserts.len(), 23 + 13 + 7);
    assert!(first.checkpoints >= 5 + 3 + 2);
    harness.assert_equal();
    for _ in 0..2 {
        harness.change(|world| {
            world.now += 3_600;
            // Volatile values change at every read.
            for id in 200..207 {
                world.deployment(id, "0 6 * * *");
            }
        });
        let quiet = harness.sync().await;
        assert_eq!(quiet.upserts, []);
        assert!(quiet.checkpoints > 0);
    }
}

#[tokio::test]
async fn a_change_is_sent_once_also_inside_the_margin() {
    let mut harness = SyncHarness::new(|world| {
        fill(world);
        // Changed just before the sync: the next sync reads these rows again and does not send them.
        world.run(3, 30, 999);
        world.flow(105, 999);
    });
    harness.sync().await;
    assert_eq!(harness.sync().await.upserts, []);
    harness.change(|world| {
        world.now = 1_001;
        world.run(3, 30, 1_001);
        world.run(11, 55, 1_000);
        world.run(500, 1_000_000, 1_001);
        world.flow(105, 1_000);
        world.deployment(203, "0 7 * * *");
    });
    let mut upserts = harness.sync().await.upserts;
    upserts.sort_unstable();
    let want = [
        ("deployments", uuid(203)),
        ("flow_runs", uuid(3)),
        ("flow_runs", uuid(11)),
        ("flow_runs", uuid(500)),
        ("flows", uuid(105)),
    ];
    assert_eq!(upserts, want);
    harness.assert_equal();
    assert_eq!(harness.sync().await.upserts, []);
}

/// No range of time finds a run whose time is null.
#[tokio::test]
async fn a_terminal_run_is_sent_whichever_of_its_times_are_null() {
    for missing in 0..8 {
        let mut harness = SyncHarness::new(fill);
        harness.sync().await;
        harness.change(|world| {
            world.now += 3_600;
            world.run(900, world.now - 120, world.now - 60);
            let runs = world.objects.get_mut("/flow_runs").expect("runs");
            let run = runs.last_mut().expect("the new run");
            let times = ["start_time", "end_time", "expected_start_time"];
            for (at, time) in times.into_iter().enumerate() {
                if missing & (1 << at) != 0 {
                    run[time] = json!(null);
                }
            }
        });
        let upserts = harness.sync().await.upserts;
        assert_eq!(upserts, [("flow_runs", uuid(900))], "without {missing:03b}");
        assert_eq!(
            harness.sync().await.upserts,
            [],
            "again without {missing:03b}"
        );
    }
}

#[tokio::test]
async fn a_sync_interrupted_anywhere_and_resumed_has_the_same_result() {
    let mut whole = SyncHarness::new(fill);
    let operations = whole.sync().await.operations;
    for cut in 0..operations {
        let mut harness = SyncHarness::new(fill);
        harness.sync_until(cut).await;
        // The server changes between the two syncs.
        harness.change(|world| {
            world.now += 10;
            world.run(1, 10, 1_005);
            world.run(600, 5_000, 1_005);
            world.flow(101, 1_005);
        });
        assert!(harness.sync().await.error.is_none());
        harness.assert_equal();
        assert_eq!(harness.sync().await.upserts, [], "cut after {cut}");
    }
}

#[tokio::test]
async fn a_resumed_walk_sends_what_was_committed_only_once() {
    let mut harness = SyncHarness::new(|world| {
        world.now = 100_000;
        for id in 0..100 {
            let at = i64::try_from(id).expect("small");
            world.run(id, at, at);
            world.flow(1_000 + id, at);
        }
    });
    harness.page_size = 10;
    let mut sent = 0;
    for cut in [45, 30, 60, usize::MAX] {
        harness.sync_until(cut).await;
        sent = sent.max(harness.warehouse.existing().len());
    }
    harness.assert_equal();
    assert_eq!(sent, 200);
    // After a cut in the flows (25 operations are two pages), the rest is read, and no more.
    let mut harness2 = SyncHarness::new(|world| {
        world.now = 100_000;
        for id in 0..50 {
            world.flow(id, i64::try_from(id).expect("small"));
        }
    });
    harness2.page_size = 10;
    harness2.sync_until(25).await;
    let committed = harness2.warehouse.existing().len();
    let rest = harness2.sync().await.upserts.len();
    // The row at the cut may be sent twice.
    assert!(
        (50 - committed..=51 - committed).contains(&rest),
        "{committed} + {rest}"
    );
}

#[tokio::test]
async fn changes_between_pages_are_found_by_the_next_sync_at_the_latest() {
    for at in 1..14 {
        let mut harness = SyncHarness::new(|world| {
            fill(world);
            world.changes.insert(
                at,
                vec![Box::new(|world: &mut World| {
                    world.now += 5;
                    world.run(2, 20, 1_003);
                    world.run(700, 9_999, 1_003);
                    world.run(701, -9_999, 1_003);
                    world.remove("/flow_runs", 5);
                    world.remove("/flows", 112);
                    world.remove("/flows", 111);
                    world.flow(100, 1_003);
                    world.flow(900, 1_003);
                    world.remove("/deployments", 206);
                    world.deployment(201, "0 9 * * *");
                })],
            );
        });
        assert!(harness.sync().await.error.is_none());
        harness.change(|world| world.now += 60);
        harness.sync().await;
        harness.assert_equal();
        assert_eq!(
            harness.sync().await.upserts,
            [],
            "changed after request {at}"
        );
    }
}

#[tokio::test]
async fn a_smaller_page_limit_of_the_server_is_respected() {
    let mut harness = SyncHarness::new(fill);
    harness.page_size = 200;
    harness.change(|world| world.limit = 7);
    assert!(harness.sync().await.error.is_none());
    harness.assert_equal();
    let world = harness.server.0.lock().expect("lock");
    assert!(world.requests.iter().all(|request| request.limit == 7));
}

#[tokio::test]
async fn a_missing_table_is_skipped_and_a_wrong_address_is_an_error() {
    let mut harness = SyncHarness::new(fill);
    harness.change(|world| world.missing = vec!["/deployments"]);
    let synced = harness.sync().await;
    assert!(synced.error.is_none());
    assert_eq!(synced.upserts.len(), 23 + 13);
    assert!(
        synced.warnings[0].starts_with("table deployments was skipped: "),
        "{:?}",
        synced.warnings
    );

    let mut harness = SyncHarness::new(fill);
    harness.change(|world| world.missing = vec!["/deployments", "/flows", "/flow_runs"]);
    assert!(matches!(
        harness.sync().await.error,
        Some(Error::NothingThere(_))
    ));
}

#[tokio::test]
async fn a_column_added_later_is_filled_and_one_taken_away_costs_nothing() {
    let mut harness = SyncHarness::new(fill);
    let all = harness.selection.clone();
    for selected in &mut harness.selection.tables {
        let name = selected.table.position("name").expect("a name");
        selected.columns[name] = false;
    }
    harness.sync().await;
    harness.selection = all.clone();
    assert_eq!(harness.sync().await.upserts.len(), 23 + 13 + 7);
    harness.selection.tables[0].columns[3] = false;
    assert_eq!(harness.sync().await.upserts, []);
    // A table that is selected again after a while catches up.
    harness.selection.tables.remove(0);
    harness.change(|world| world.flow(112, 1_500));
    assert_eq!(harness.sync().await.upserts, []);
    harness.selection.tables.insert(0, {
        let mut flows = all.tables[0].clone();
        flows.columns[3] = false;
        flows
    });
    assert_eq!(harness.sync().await.upserts, [("flows", uuid(112))]);
}

#[tokio::test]
async fn a_stopped_sync_ends_after_a_checkpointed_page() {
    let mut harness = SyncHarness::new(fill);
    harness.stop.cancel();
    let synced = harness.sync().await;
    assert!(matches!(synced.error, Some(Error::Stopped)));
    // One page of each table was committed.
    assert_eq!(synced.upserts.len(), 15);
    assert_eq!(harness.warehouse.existing().len(), 15);
}

#[tokio::test]
async fn a_missing_server_time_is_reported_to_the_user() {
    let mut harness = SyncHarness::new(|world| {
        fill(world);
        world.without_date = true;
    });
    let synced = harness.sync().await;
    assert_eq!(synced.warnings.len(), 1);
    assert!(synced.warnings[0].contains("no Date header"));
}

#[tokio::test]
async fn invalid_objects_are_reported_and_valid_ones_are_sent() {
    let mut harness = SyncHarness::new(|world| {
        fill(world);
        let objects = world.objects.entry("/flows").or_default();
        objects.push(json!({"name": "no id", "updated": text(999)}));
        objects.push(json!(7));
        objects.push(json!({"id": uuid(300), "updated": text(999), "name": 7, "colour": "red"}));
    });
    let synced = harness.sync().await;
    assert!(synced.error.is_none());
    assert_eq!(synced.upserts.len(), 23 + 14 + 7);
    let reported = synced.warnings.join("\n");
    for part in [
        "no usable id",
        "not a JSON object",
        "column name",
        "field colour",
    ] {
        assert!(reported.contains(part), "{part}: {reported}");
    }
}

/// A state that cannot hold a table keeps nothing of it: rows are sent when their `updated` moves.
#[tokio::test]
async fn a_snapshot_that_the_state_cannot_hold() {
    let mut harness = SyncHarness::new(fill);
    harness.state_bytes = 0;
    harness.change(|world| world.now += 500);
    let first = harness.sync().await;
    assert_eq!(first.upserts.len(), 23 + 13 + 7);
    assert!(
        first
            .warnings
            .iter()
            .any(|text| text.contains("only if `updated` changes"))
    );
    // No fingerprint is kept of the flows and runs that are as new as the newest. They are sent again, runs by each
    // recheck.
    for again in [13 + 23, 23] {
        harness.change(|world| world.now += 500);
        let synced = harness.sync().await;
        assert_eq!(synced.upserts.len(), again);
        assert!(synced.warnings.iter().all(|text| !text.contains("W21")));
    }
    harness.change(|world| {
        world.now += 1_000;
        world.deployment(201, "0 7 * * *");
        world.deployment_updated(202, 3_000);
        world.remove("/deployments", 203);
    });
    let second = harness.sync().await;
    let upserts = second.upserts.into_iter();
    let of_deployments: Vec<_> = upserts.filter(|(table, _)| *table != "flow_runs").collect();
    assert_eq!(of_deployments, [("deployments", uuid(202))]);
    assert_eq!(second.deletes, []);
}

/// A long backfill is interrupted for the readers of current changes, wherever its partitions are, and continues.
#[tokio::test]
async fn new_runs_are_sent_before_the_end_of_a_long_backfill() {
    for in_flight in [1, 2, 5] {
        let mut harness = SyncHarness::new(|world| {
            world.now = 1_000_000;
            for id in 0..300 {
                let at = 1_000 * i64::try_from(id).expect("small");
                world.run(id, at, at);
            }
            // Each response takes two minutes. A run that is new in this time is sent before the end of the backfill.
            for request in 1..200 {
                world.changes.entry(request).or_default().push(Box::new(
                    move |world: &mut World| {
                        world.now += 120;
                        if request == 20 {
                            world.run(900, world.now, world.now);
                        }
                    },
                ));
            }
        });
        harness.in_flight = std::num::NonZeroUsize::new(in_flight).expect("not zero");
        let first = harness.sync().await;
        assert!(first.error.is_none());
        harness.assert_equal();
        let runs = first
            .upserts
            .iter()
            .filter(|(table, _)| *table == "flow_runs");
        let ids: Vec<&String> = runs.map(|(_, id)| id).collect();
        let mut once = ids.clone();
        once.sort_unstable();
        once.dedup();
        assert_eq!((ids.len(), once.len()), (301, 301), "{in_flight}");
        let new = ids.iter().position(|id| **id == uuid(900));
        assert!(new < Some(250), "{new:?} of 301, {in_flight} at once");
        assert_eq!(harness.sync().await.upserts, []);
    }
}

#[tokio::test]
async fn a_sync_after_too_long_a_pause_warns_the_user() {
    let mut harness = SyncHarness::new(fill);
    let reported = |synced: &Synced| {
        synced
            .warnings
            .iter()
            .filter(|text| text.ends_with("[W17]"))
            .count()
    };
    assert_eq!(reported(&harness.sync().await), 0);
    for (hours, times, what) in [(84, 0, ""), (85, 1, "will be lost"), (24 * 8, 1, "is lost")] {
        harness.change(|world| world.now += hours * 3_600);
        let synced = harness.sync().await;
        assert_eq!(reported(&synced), times, "{hours} h: {:?}", synced.warnings);
        assert!(synced.warnings.iter().any(|text| text.contains(what)) || times == 0);
    }
}
