//! Cuts a fixed history after every single operation, and twice, and expects the same warehouse each time.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use chrono::TimeDelta;

use super::{
    block_on,
    checker::Violation,
    journal::Key,
    report,
    simulation_harness::SimulationHarness,
    warehouse::{Stored, settled},
    world::{Nature, World},
};

/// Returns the parameters of the fixed history: a sync, a busy hour, a second sync, another busy hour.
fn nature() -> Nature {
    Nature {
        late: 0.2,
        runs: 60,
        ..Nature::calm()
    }
}

fn busy_hours(world: &mut World) {
    for _ in 0..6 {
        for _ in 0..8 {
            world.act();
        }
        let later = world.store.now() + TimeDelta::minutes(11);
        world.reach(later);
    }
}

/// The number of syncs that can be cut.
const SYNCS: usize = 2;

/// The cuts of each sync, as numbers of operations. The sync is resumed at once after each cut.
type Cuts = [Vec<usize>; SYNCS];

/// Runs the history. Returns the number of operations of each sync and of each of its resumptions.
async fn live(
    harness: &mut SimulationHarness,
    cuts: &Cuts,
) -> Result<[Vec<usize>; SYNCS], Violation> {
    harness.world().grow_up();
    let mut ops: [Vec<usize>; SYNCS] = Default::default();
    for (cuts, ops) in cuts.iter().zip(&mut ops) {
        let then = harness.world().store.now() + TimeDelta::minutes(5);
        for cut in cuts {
            ops.push(harness.sync_until(*cut).await?.ops);
        }
        ops.push(harness.sync().await?.ops);
        // The changes continue at the same time, regardless of how long the syncs took.
        harness.world().reach(then);
        busy_hours(&mut harness.world());
    }
    harness.settle().await?;
    Ok(ops)
}

/// Returns the connection and the operations of each sync after a history with these cuts. The server state depends on
/// none of the cuts.
fn warehouse_after(cuts: &Cuts) -> (SimulationHarness, [Vec<usize>; SYNCS]) {
    let mut harness = SimulationHarness::new(nature(), 7, true);
    match block_on(live(&mut harness, cuts)) {
        Ok(ops) => (harness, ops),
        Err(violation) => {
            let story = harness.world().story.take().unwrap_or_default();
            let name = format!("sweep-{cuts:?}");
            panic!(
                "cut at {cuts:?}: {}",
                report(&violation, &story, &name, "the sweep")
            );
        }
    }
}

/// Returns the warehouse of the history without a cut, and the number of operations of each sync.
fn never_cut() -> (BTreeMap<Key, Stored>, [usize; SYNCS]) {
    let (whole, [first, second]) = warehouse_after(&Cuts::default());
    let (first, second) = (first[0], second[0]);
    assert!(first > 20 && second > 5, "{first} and {second} operations");
    let rows = settled(&whole.warehouse, &whole.selection.tables);
    (rows, [first, second])
}

fn assert_same(want: &BTreeMap<Key, Stored>, harness: &SimulationHarness, cuts: &Cuts) {
    let have = settled(&harness.warehouse, &harness.selection.tables);
    for (key, row) in want {
        assert_eq!(have.get(key), Some(row), "cut at {cuts:?}: {key:?}");
    }
    assert_eq!(have.len(), want.len(), "cut at {cuts:?}");
}

#[test]
fn cut_after_any_operation_and_resumed_ends_the_same() {
    let (want, ops) = never_cut();
    for (sync, ops) in ops.into_iter().enumerate() {
        for cut in 0..ops {
            let mut cuts = Cuts::default();
            cuts[sync] = vec![cut];
            let (harness, _) = warehouse_after(&cuts);
            assert_same(&want, &harness, &cuts);
        }
    }
}

/// Tests every pair of cuts: one after any operation, and one after any operation of the resumed sync.
#[test]
#[ignore = "many minutes: make nightly"]
fn cut_twice_after_any_operations_ends_the_same() {
    let (want, ops) = never_cut();
    let firsts: Vec<(usize, usize)> = ops
        .into_iter()
        .enumerate()
        .flat_map(|(sync, ops)| (0..ops).map(move |cut| (sync, cut)))
        .collect();
    let next = AtomicUsize::new(0);
    let pairs = AtomicUsize::new(0);
    let work = || {
        while let Some((sync, first)) = firsts.get(next.fetch_add(1, Ordering::Relaxed)) {
            for second in 0.. {
                let mut cuts = Cuts::default();
                cuts[*sync] = vec![*first, second];
                let (harness, ops) = warehouse_after(&cuts);
                assert_same(&want, &harness, &cuts);
                pairs.fetch_add(1, Ordering::Relaxed);
                // The resumed sync ended before it could be cut.
                if ops[*sync][1] < second {
                    break;
                }
            }
        }
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    println!("{} pairs of cuts", pairs.into_inner());
}
