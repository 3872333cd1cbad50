//! Tests of "exactly once" where two readers read the same row: the second one does not send it.

use chrono::TimeDelta;
use prefect_fake::{NewState, model::StateType};

use super::{
    advance_clock,
    checker::Violation,
    named_histories::{ended, natures, run},
    run_history,
    simulation_harness::SimulationHarness,
};

/// Runs a sync after `time`, and returns the number of unchanged rows that it sent.
async fn count_unchanged_rows(
    harness: &mut SimulationHarness,
    time: TimeDelta,
) -> Result<u32, Violation> {
    advance_clock(&mut harness.world(), time);
    Ok(harness.sync().await?.again)
}

#[test]
fn a_run_that_ended_just_before_a_sync_is_sent_once() {
    for nature in natures() {
        run_history("just-before", nature, async |harness| {
            harness.world().new_flow();
            harness.sync().await?;
            advance_clock(&mut harness.world(), TimeDelta::hours(1));
            ended(&mut harness.world());
            assert_eq!(
                count_unchanged_rows(harness, TimeDelta::seconds(150)).await?,
                0
            );
            assert_eq!(count_unchanged_rows(harness, TimeDelta::hours(1)).await?, 0);
            Ok(())
        });
    }
}

#[test]
fn a_run_that_is_cancelled_before_its_start_is_sent_once() {
    for nature in natures() {
        run_history("cancelled-once", nature, async |harness| {
            harness.world().new_flow();
            let due = harness.world().store.now() + TimeDelta::hours(9);
            let id = run(&mut harness.world(), StateType::Scheduled, Some(due));
            harness.sync().await?;
            advance_clock(&mut harness.world(), TimeDelta::hours(1));
            harness.world().set(id, NewState::new(StateType::Cancelled));
            assert_eq!(
                count_unchanged_rows(harness, TimeDelta::minutes(10)).await?,
                0
            );
            Ok(())
        });
    }
}

#[test]
fn open_runs_of_an_interrupted_backfill_are_sent_once() {
    for nature in natures() {
        run_history("backfill-once", nature, async |harness| {
            harness.world().new_flow();
            let now = harness.world().store.now();
            for hours in 0..30 {
                let due = Some(now + TimeDelta::hours(hours));
                run(&mut harness.world(), StateType::Scheduled, due);
            }
            harness.sync_until(20).await?;
            assert!(harness.is_backfilling(), "cut too late");
            assert_eq!(count_unchanged_rows(harness, TimeDelta::hours(1)).await?, 0);
            Ok(())
        });
    }
}

#[test]
fn open_runs_of_an_interrupted_reading_are_sent_once() {
    for nature in natures() {
        run_history("open-set-once", nature, async |harness| {
            harness.world().new_flow();
            harness.sync().await?;
            advance_clock(&mut harness.world(), TimeDelta::hours(1));
            for hours in 1..30 {
                let due = harness.world().store.now() + TimeDelta::hours(hours);
                run(&mut harness.world(), StateType::Scheduled, Some(due));
            }
            advance_clock(&mut harness.world(), TimeDelta::hours(1));
            harness.sync_until(20).await?;
            // The row at which the cut sync stopped may be sent twice.
            assert!(count_unchanged_rows(harness, TimeDelta::hours(1)).await? <= 1);
            Ok(())
        });
    }
}
