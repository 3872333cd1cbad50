//! Histories with changes outside the workspace: another address, a clock that was wrong, too much for the state.

use chrono::TimeDelta;
use fivetran_source::sync::{Error, STATE_BYTES, StateError};
use prefect_fake::{NewState, model::StateType};

use super::{
    advance_clock, checker::Violation, run_history, simulation_harness::SimulationHarness,
    world::Nature,
};

/// Creates `number` open runs and as many ended runs.
fn some_runs(harness: &SimulationHarness, number: usize) {
    let mut world = harness.world();
    world.new_flow();
    for kind in [StateType::Running, StateType::Completed] {
        for _ in 0..number {
            world.add_run(None, NewState::new(kind));
            world.moment();
        }
    }
}

async fn sync_after(
    harness: &mut SimulationHarness,
    time: TimeDelta,
) -> Result<Vec<String>, Violation> {
    advance_clock(&mut harness.world(), time);
    Ok(harness.sync().await?.warnings)
}

#[test]
fn the_same_workspace_under_another_address_is_continued() {
    run_history("address", Nature::calm(), async |harness| {
        some_runs(harness, 5);
        sync_after(harness, TimeDelta::hours(1)).await?;
        harness.address = "sim behind a proxy";
        harness.world().new_flow();
        advance_clock(&mut harness.world(), TimeDelta::hours(1));
        let moved = harness.sync().await?;
        assert_eq!(moved.upserts, 1, "the new flow alone");
        assert!(moved.warnings[0].contains("a new address"), "{moved:?}");
        // The new address is known from now on.
        assert!(sync_after(harness, TimeDelta::hours(1)).await?.is_empty());
        harness.settle().await
    });
}

#[test]
fn another_workspace_is_refused() {
    run_history("foreign", Nature::calm(), async |harness| {
        some_runs(harness, 5);
        sync_after(harness, TimeDelta::hours(1)).await?;
        let mut other = SimulationHarness::new(Nature::calm(), 2, true);
        some_runs(&other, 5);
        other.address = "another";
        other.warehouse = std::mem::take(&mut harness.warehouse);
        let synced = other.run(usize::MAX).await?;
        let Some(Error::State(error @ StateError::OtherWorkspace { .. })) = &synced.error else {
            panic!("{synced:?}");
        };
        let text = error.to_string();
        assert!(text.contains("(sim)") && text.contains("Set the API URL back"));
        assert_eq!(synced.ops, 0);
        Ok(())
    });
}

/// Tests that no change is lost that happens until a wrong clock is right again. Cursors follow the wrong clock.
#[test]
fn a_clock_that_was_hours_ahead() {
    for hours in [5, 24 * 40] {
        run_history("clock", Nature::calm(), async |harness| {
            some_runs(harness, 5);
            sync_after(harness, TimeDelta::hours(1)).await?;
            harness.world().ahead = TimeDelta::hours(hours);
            some_runs(harness, 3);
            sync_after(harness, TimeDelta::hours(1)).await?;
            harness.world().ahead = TimeDelta::zero();
            harness.irregular = true;
            some_runs(harness, 3);
            harness.world().delete_run(true);
            let warnings = sync_after(harness, TimeDelta::hours(1)).await?;
            assert!(warnings[0].contains("stepped back"), "{warnings:?}");
            harness.settle().await
        });
    }
}

/// Tests that a small step back of the clock has no effect: several servers may respond.
#[test]
fn a_clock_that_steps_back_a_little() {
    run_history("replica", Nature::calm(), async |harness| {
        some_runs(harness, 5);
        harness.world().ahead = TimeDelta::seconds(90);
        sync_after(harness, TimeDelta::hours(1)).await?;
        harness.world().ahead = TimeDelta::zero();
        harness.world().new_flow();
        let synced = harness.sync().await?;
        assert_eq!((synced.upserts, synced.warnings.len()), (1, 0));
        harness.settle().await
    });
}

/// Tests rows with times later than the server's clock: none is lost or sent twice, and the user is warned.
#[test]
fn a_database_clock_that_is_ahead() {
    run_history("database", Nature::calm(), async |harness| {
        harness.world().ahead = -TimeDelta::minutes(10);
        some_runs(harness, 5);
        let warnings = harness.sync().await?.warnings;
        assert!(
            warnings
                .iter()
                .any(|text| text.contains("row(s) were updated later")),
            "{warnings:?}"
        );
        harness.world().ahead = TimeDelta::zero();
        harness.settle().await
    });
}

/// Tests that changes arrive with any limit of the state, and that warnings name what is not tracked any more.
#[test]
fn a_state_that_outgrows_its_bound() {
    for most in [6_000, 7_000, 9_000, STATE_BYTES] {
        run_history("bound", Nature::calm(), async |harness| {
            harness.state_bytes = most;
            harness.promise.deletes = most == STATE_BYTES;
            harness.promise.once = &[];
            harness.promise.once_by_end = &[];
            for _ in 0..60 {
                harness.world().new_flow();
                harness.world().new_deployment();
            }
            some_runs(harness, 60);
            let mut warnings = Vec::new();
            for _ in 0..12 {
                advance_clock(&mut harness.world(), TimeDelta::hours(7));
                for _ in 0..9 {
                    harness.world().act();
                }
                warnings.extend(harness.sync().await?.warnings);
            }
            for table in ["flows", "deployments", "flow_runs"] {
                let is_reported = warnings.iter().any(|text| text.contains(table));
                assert!(is_reported || most > 6_000, "{table}: {warnings:?}");
            }
            assert!(most < STATE_BYTES || warnings.is_empty(), "{warnings:?}");
            harness.settle().await
        });
    }
}
