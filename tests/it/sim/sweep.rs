//! A cut after every single operation of a fixed history, and two cuts; the same warehouse each time.

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
    rig::Rig,
    warehouse::Stored,
    world::{Nature, World},
};

/// The fixed history: a first sync, a busy hour, a second one.
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

/// The two syncs that are cut.
const SYNCS: usize = 2;

/// Where the syncs are cut: after so many operations, and resumed at once each time.
type Cuts = [Vec<usize>; SYNCS];

/// Lives through the history; gives how many operations each sync had, and how many each of its
/// resumptions.
async fn live(rig: &mut Rig, cuts: &Cuts) -> Result<[Vec<usize>; SYNCS], Violation> {
    rig.world().grow_up();
    let mut ops: [Vec<usize>; SYNCS] = Default::default();
    for (cuts, ops) in cuts.iter().zip(&mut ops) {
        let then = rig.world().store.now() + TimeDelta::minutes(5);
        for cut in cuts {
            ops.push(rig.sync_until(*cut).await?.ops);
        }
        ops.push(rig.sync().await?.ops);
        // However long the syncs took, life goes on at the same moment.
        rig.world().reach(then);
        busy_hours(&mut rig.world());
    }
    rig.settle().await?;
    Ok(ops)
}

/// The same history with and without cuts; the world depends on none of them.
fn warehouse_after(cuts: &Cuts) -> (Rig, [Vec<usize>; SYNCS]) {
    let mut rig = Rig::new(nature(), 7, true);
    match block_on(live(&mut rig, cuts)) {
        Ok(ops) => (rig, ops),
        Err(violation) => {
            let story = rig.world().story.take().unwrap_or_default();
            let name = format!("sweep-{cuts:?}");
            panic!(
                "cut at {cuts:?}: {}",
                report(&violation, &story, &name, "the sweep")
            );
        }
    }
}

/// The warehouse of the history without a cut, and each sync's operations.
fn never_cut() -> (BTreeMap<Key, Stored>, [usize; SYNCS]) {
    let (whole, [first, second]) = warehouse_after(&Cuts::default());
    let (first, second) = (first[0], second[0]);
    assert!(first > 20 && second > 5, "{first} and {second} operations");
    let rows = whole.warehouse.settled(&whole.selection.tables);
    (rows, [first, second])
}

fn assert_same(want: &BTreeMap<Key, Stored>, rig: &Rig, cuts: &Cuts) {
    let have = rig.warehouse.settled(&rig.selection.tables);
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
            let (rig, _) = warehouse_after(&cuts);
            assert_same(&want, &rig, &cuts);
        }
    }
}

/// Every pair: cut after any operation, resumed, and cut again after any operation of what was resumed.
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
                let (rig, ops) = warehouse_after(&cuts);
                assert_same(&want, &rig, &cuts);
                pairs.fetch_add(1, Ordering::Relaxed);
                // The resumed sync came to its end before it could be cut.
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
