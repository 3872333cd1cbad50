//! Tests of "exactly once" where two readers read the same row: the second one does not send it.

use chrono::TimeDelta;
use prefect_fake::{NewState, model::StateType};

use super::{
    checker::Violation,
    named_histories::{ended, natures, run},
    rest,
    rig::Rig,
    run_history,
};

/// Runs a sync after `time`, and returns the number of unchanged rows that it sent.
async fn again(rig: &mut Rig, time: TimeDelta) -> Result<u32, Violation> {
    rest(&mut rig.world(), time);
    Ok(rig.sync().await?.again)
}

#[test]
fn a_run_that_ended_just_before_a_sync_is_sent_once() {
    for nature in natures() {
        run_history("just-before", nature, async |rig| {
            rig.world().new_flow();
            rig.sync().await?;
            rest(&mut rig.world(), TimeDelta::hours(1));
            ended(&mut rig.world());
            assert_eq!(again(rig, TimeDelta::seconds(150)).await?, 0);
            assert_eq!(again(rig, TimeDelta::hours(1)).await?, 0);
            Ok(())
        });
    }
}

#[test]
fn a_run_that_is_cancelled_before_its_start_is_sent_once() {
    for nature in natures() {
        run_history("cancelled-once", nature, async |rig| {
            rig.world().new_flow();
            let due = rig.world().store.now() + TimeDelta::hours(9);
            let id = run(&mut rig.world(), StateType::Scheduled, Some(due));
            rig.sync().await?;
            rest(&mut rig.world(), TimeDelta::hours(1));
            rig.world().set(id, NewState::of(StateType::Cancelled));
            assert_eq!(again(rig, TimeDelta::minutes(10)).await?, 0);
            Ok(())
        });
    }
}

#[test]
fn open_runs_of_an_interrupted_backfill_are_sent_once() {
    for nature in natures() {
        run_history("backfill-once", nature, async |rig| {
            rig.world().new_flow();
            let now = rig.world().store.now();
            for hours in 0..30 {
                let due = Some(now + TimeDelta::hours(hours));
                run(&mut rig.world(), StateType::Scheduled, due);
            }
            rig.sync_until(20).await?;
            assert!(rig.is_backfilling(), "cut too late");
            assert_eq!(again(rig, TimeDelta::hours(1)).await?, 0);
            Ok(())
        });
    }
}

#[test]
fn open_runs_of_an_interrupted_reading_are_sent_once() {
    for nature in natures() {
        run_history("open-set-once", nature, async |rig| {
            rig.world().new_flow();
            rig.sync().await?;
            rest(&mut rig.world(), TimeDelta::hours(1));
            for hours in 1..30 {
                let due = rig.world().store.now() + TimeDelta::hours(hours);
                run(&mut rig.world(), StateType::Scheduled, Some(due));
            }
            rest(&mut rig.world(), TimeDelta::hours(1));
            rig.sync_until(20).await?;
            // The row at which the cut sync stopped may be sent twice.
            assert!(again(rig, TimeDelta::hours(1)).await? <= 1);
            Ok(())
        });
    }
}
