//! Histories with changes outside the workspace: another address, a clock that was wrong, too much for the state.

use chrono::TimeDelta;
use fivetran_source::sync::{Error, STATE_BYTES, StateError};
use prefect_fake::{NewState, model::StateType};

use super::{checker::Violation, rest, rig::Rig, run_history, world::Nature};

/// Creates `number` open runs and as many ended runs.
fn some_runs(rig: &Rig, number: usize) {
    let mut world = rig.world();
    world.new_flow();
    for kind in [StateType::Running, StateType::Completed] {
        for _ in 0..number {
            world.add_run(None, NewState::of(kind));
            world.moment();
        }
    }
}

async fn later(rig: &mut Rig, time: TimeDelta) -> Result<Vec<String>, Violation> {
    rest(&mut rig.world(), time);
    Ok(rig.sync().await?.warnings)
}

#[test]
fn the_same_workspace_under_another_address_goes_on() {
    run_history("address", Nature::calm(), async |rig| {
        some_runs(rig, 5);
        later(rig, TimeDelta::hours(1)).await?;
        rig.address = "sim behind a proxy";
        rig.world().new_flow();
        rest(&mut rig.world(), TimeDelta::hours(1));
        let moved = rig.sync().await?;
        assert_eq!(moved.upserts, 1, "the new flow alone");
        assert!(moved.warnings[0].contains("a new address"), "{moved:?}");
        // The new address is known from now on.
        assert!(later(rig, TimeDelta::hours(1)).await?.is_empty());
        rig.settle().await
    });
}

#[test]
fn another_workspace_is_refused() {
    run_history("foreign", Nature::calm(), async |rig| {
        some_runs(rig, 5);
        later(rig, TimeDelta::hours(1)).await?;
        let mut other = Rig::new(Nature::calm(), 2, true);
        some_runs(&other, 5);
        other.address = "another";
        other.warehouse = std::mem::take(&mut rig.warehouse);
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
        run_history("clock", Nature::calm(), async |rig| {
            some_runs(rig, 5);
            later(rig, TimeDelta::hours(1)).await?;
            rig.world().ahead = TimeDelta::hours(hours);
            some_runs(rig, 3);
            later(rig, TimeDelta::hours(1)).await?;
            rig.world().ahead = TimeDelta::zero();
            rig.irregular = true;
            some_runs(rig, 3);
            rig.world().delete_run(true);
            let warnings = later(rig, TimeDelta::hours(1)).await?;
            assert!(warnings[0].contains("stepped back"), "{warnings:?}");
            rig.settle().await
        });
    }
}

/// Tests that a small step back of the clock has no effect: several servers may respond.
#[test]
fn a_clock_that_steps_back_a_little() {
    run_history("replica", Nature::calm(), async |rig| {
        some_runs(rig, 5);
        rig.world().ahead = TimeDelta::seconds(90);
        later(rig, TimeDelta::hours(1)).await?;
        rig.world().ahead = TimeDelta::zero();
        rig.world().new_flow();
        let synced = rig.sync().await?;
        assert_eq!((synced.upserts, synced.warnings.len()), (1, 0));
        rig.settle().await
    });
}

/// Tests rows with times later than the server's clock: none is lost or sent twice, and the user is warned.
#[test]
fn a_database_clock_that_is_ahead() {
    run_history("database", Nature::calm(), async |rig| {
        rig.world().ahead = -TimeDelta::minutes(10);
        some_runs(rig, 5);
        let warnings = rig.sync().await?.warnings;
        assert!(
            warnings
                .iter()
                .any(|text| text.contains("row(s) were updated later")),
            "{warnings:?}"
        );
        rig.world().ahead = TimeDelta::zero();
        rig.settle().await
    });
}

/// Tests that changes arrive with any limit of the state, and that warnings name what is not tracked any more.
#[test]
fn a_state_that_outgrows_its_bound() {
    for most in [6_000, 7_000, 9_000, STATE_BYTES] {
        run_history("bound", Nature::calm(), async |rig| {
            rig.state_bytes = most;
            rig.promise.deletes = most == STATE_BYTES;
            rig.promise.once = &[];
            rig.promise.once_by_end = &[];
            for _ in 0..60 {
                rig.world().new_flow();
                rig.world().new_deployment();
            }
            some_runs(rig, 60);
            let mut warnings = Vec::new();
            for _ in 0..12 {
                rest(&mut rig.world(), TimeDelta::hours(7));
                for _ in 0..9 {
                    rig.world().act();
                }
                warnings.extend(rig.sync().await?.warnings);
            }
            for table in ["flows", "deployments", "flow_runs"] {
                let is_reported = warnings.iter().any(|text| text.contains(table));
                assert!(is_reported || most > 6_000, "{table}: {warnings:?}");
            }
            assert!(most < STATE_BYTES || warnings.is_empty(), "{warnings:?}");
            rig.settle().await
        });
    }
}
