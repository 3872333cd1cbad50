//! A cut after every single operation of a fixed history, and the same warehouse each time.

use chrono::TimeDelta;

use super::{
    block_on,
    checker::Violation,
    report,
    rig::Rig,
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

/// Lives through the history; `cuts` says after how many operations each sync is cut.
async fn live(rig: &mut Rig, cuts: [usize; 2]) -> Result<[usize; 2], Violation> {
    rig.world().grow_up();
    let mut ops = [0; 2];
    for (cut, ops) in cuts.into_iter().zip(&mut ops) {
        let then = rig.world().store.now() + TimeDelta::minutes(5);
        *ops = rig.sync_until(cut).await?.ops;
        if cut != usize::MAX {
            rig.sync().await?;
        }
        // However long the syncs took, life goes on at the same moment.
        rig.world().reach(then);
        busy_hours(&mut rig.world());
    }
    rig.settle().await?;
    Ok(ops)
}

/// The same history with and without a cut; the world depends on neither.
fn warehouse_after(cuts: [usize; 2]) -> (Rig, [usize; 2]) {
    let mut rig = Rig::new(nature(), 7, true);
    match block_on(live(&mut rig, cuts)) {
        Ok(ops) => (rig, ops),
        Err(violation) => {
            let story = rig.world().story.take().unwrap_or_default();
            panic!(
                "cut at {cuts:?}: {}",
                report(&violation, &story, "sweep", "the sweep")
            );
        }
    }
}

#[test]
fn cut_after_any_operation_and_resumed_ends_the_same() {
    let never = usize::MAX;
    let (whole, [first, second]) = warehouse_after([never, never]);
    assert!(first > 20 && second > 5, "{first} and {second} operations");
    let want = whole.warehouse.settled(&whole.selection.tables);
    let cuts = (0..first).map(|cut| [cut, never]);
    for cuts in cuts.chain((0..second).map(|cut| [never, cut])) {
        let (rig, _) = warehouse_after(cuts);
        let have = rig.warehouse.settled(&rig.selection.tables);
        for (key, row) in &want {
            assert_eq!(have.get(key), Some(row), "cut at {cuts:?}: {key:?}");
        }
        assert_eq!(have.len(), want.len(), "cut at {cuts:?}");
    }
}
