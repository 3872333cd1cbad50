//! Histories written by hand: in each, a change would be lost if the engine did not provide for it.

use chrono::TimeDelta;
use fivetran_source::{
    rows::Value,
    sync::{SelectedTable, Selection},
    tables,
};
use prefect_fake::{
    Capabilities, Id, NewState,
    model::{StateType, Time},
    versions,
};

use super::{
    advance_clock,
    checker::Violation,
    run_history,
    simulation_harness::SimulationHarness,
    world::{Nature, World},
};

/// Returns the parameters of one server for each way in which releases treat runs.
pub(super) fn natures() -> Vec<Nature> {
    [versions::V3_9, versions::V3_0, versions::V2_20]
        .into_iter()
        .map(|capabilities| Nature {
            capabilities,
            ..Nature::calm()
        })
        .collect()
}

pub(super) fn run(world: &mut World, kind: StateType, due: Option<Time>) -> Id {
    let mut state = NewState::new(kind);
    state.scheduled_time = due;
    let id = world.add_run(None, state).expect("there is a flow");
    world.moment();
    id
}

pub(super) fn ended(world: &mut World) -> Id {
    let id = run(world, StateType::Running, None);
    world.set(id, NewState::new(StateType::Completed));
    id
}

async fn sync_after(harness: &mut SimulationHarness, time: TimeDelta) -> Result<(), Violation> {
    advance_clock(&mut harness.world(), time);
    harness.sync().await.map(|_| ())
}

/// Returns the state type of a run in the warehouse, after `deleted` if the row is, or `nothing`.
fn state_in_warehouse(harness: &SimulationHarness, id: Id) -> String {
    let Some(row) = harness.warehouse.row(&("flow_runs", id.to_string())) else {
        return "nothing".to_owned();
    };
    let at = tables::find("flow_runs").and_then(|table| table.position("state_type"));
    let Some(Value::String(kind)) = &row.columns[at.expect("a column")] else {
        panic!("no state");
    };
    if row.deleted {
        format!("deleted {kind}")
    } else {
        kind.clone()
    }
}

#[test]
fn a_run_that_is_created_and_ends_unstarted_between_two_syncs() {
    for nature in natures() {
        run_history("never-started", nature, async |harness| {
            harness.world().new_flow();
            harness.sync().await?;
            advance_clock(&mut harness.world(), TimeDelta::minutes(10));
            let id = run(&mut harness.world(), StateType::Scheduled, None);
            harness.world().set(id, NewState::new(StateType::Cancelled));
            sync_after(harness, TimeDelta::minutes(10)).await?;
            assert_eq!(state_in_warehouse(harness, id), "CANCELLED");
            harness.settle().await
        });
    }
}

/// Tests that the never-started runs read by a cut sync do not count as the open set. The cut sync did not reach the
/// open set.
#[test]
fn a_run_that_was_open_at_a_cut_sync_and_ends_unstarted() {
    for cut in 0..40 {
        for nature in natures() {
            run_history("cut-before-open-set", nature, async |harness| {
                harness.world().new_flow();
                harness.sync().await?;
                sync_after(harness, TimeDelta::hours(1)).await?;
                let id = run(&mut harness.world(), StateType::Scheduled, None);
                // Enough runs of each kind for checkpoints in the middle of the sync.
                for _ in 0..12 {
                    ended(&mut harness.world());
                    run(&mut harness.world(), StateType::Scheduled, None);
                }
                advance_clock(&mut harness.world(), TimeDelta::hours(1));
                harness.sync_until(cut).await?;
                advance_clock(&mut harness.world(), TimeDelta::hours(1));
                harness.world().set(id, NewState::new(StateType::Cancelled));
                sync_after(harness, TimeDelta::hours(1)).await?;
                assert_eq!(
                    state_in_warehouse(harness, id),
                    "CANCELLED",
                    "cut after {cut}"
                );
                harness.settle().await
            });
        }
    }
}

#[test]
fn a_retry_that_ends_within_the_interval() {
    for nature in natures() {
        run_history("retry", nature, async |harness| {
            harness.world().new_flow();
            let id = ended(&mut harness.world());
            sync_after(harness, TimeDelta::minutes(30)).await?;
            advance_clock(&mut harness.world(), TimeDelta::minutes(5));
            for kind in [StateType::Scheduled, StateType::Running, StateType::Failed] {
                harness.world().set(id, NewState::new(kind));
                harness.world().moment();
            }
            sync_after(harness, TimeDelta::minutes(5)).await?;
            assert_eq!(state_in_warehouse(harness, id), "FAILED");
            harness.settle().await
        });
    }
}

#[test]
fn runs_deleted_while_a_backfill_is_interrupted_for_days() {
    for nature in natures() {
        run_history("backfill", nature, async |harness| {
            harness.world().new_flow();
            let now = harness.world().store.now();
            let ids: Vec<Id> = (0..30)
                .map(|hours| {
                    let due = Some(now + TimeDelta::hours(hours));
                    run(&mut harness.world(), StateType::Scheduled, due)
                })
                .collect();
            harness.sync_until(20).await?;
            assert!(harness.is_backfilling(), "the first sync was cut too late");
            let sent = |harness: &SimulationHarness| {
                let is_sent = |id: &&Id| state_in_warehouse(harness, **id) != "nothing";
                ids.iter().filter(is_sent).copied().collect::<Vec<Id>>()
            };
            let before = sent(harness);
            assert!(
                (3..25).contains(&before.len()),
                "{} were sent",
                before.len()
            );
            for id in [before[0], before[1], ids[0], ids[1]] {
                harness.world().store.delete_run(id).expect("is there");
            }
            harness.world().bury("deleted", false);
            advance_clock(&mut harness.world(), TimeDelta::days(2));
            harness.sync_until(28).await?;
            for id in &before[..2] {
                assert_eq!(state_in_warehouse(harness, *id), "deleted SCHEDULED");
            }
            assert!(harness.is_backfilling(), "the second sync was cut too late");
            let third = sent(harness)[2];
            harness.world().store.delete_run(third).expect("is there");
            harness.world().bury("deleted", false);
            sync_after(harness, TimeDelta::days(2)).await?;
            assert!(!harness.is_backfilling());
            assert_eq!(state_in_warehouse(harness, third), "deleted SCHEDULED");
            assert_eq!(state_in_warehouse(harness, ids[0]), "nothing");
            harness.settle().await
        });
    }
}

#[test]
fn a_run_that_takes_three_days() {
    for nature in natures() {
        run_history("three-days", nature, async |harness| {
            harness.world().new_flow();
            let id = run(&mut harness.world(), StateType::Running, None);
            for _ in 0..9 {
                sync_after(harness, TimeDelta::hours(8)).await?;
            }
            harness.world().set(id, NewState::new(StateType::Completed));
            harness.settle().await?;
            assert_eq!(state_in_warehouse(harness, id), "COMPLETED");
            Ok(())
        });
    }
}

/// Runs a history on one release and then on another: the look-back is read once, by the other time field.
fn another_release(name: &str, before: Capabilities, after: &Capabilities) {
    let nature = Nature {
        capabilities: before,
        ..Nature::calm()
    };
    run_history(name, nature, async |harness| {
        harness.world().new_flow();
        let ids: Vec<Id> = (0..12).map(|_| ended(&mut harness.world())).collect();
        sync_after(harness, TimeDelta::hours(3)).await?;
        harness.world().rename(ids[0]);
        sync_after(harness, TimeDelta::hours(3)).await?;
        harness.world().upgrade(after.clone());
        harness.irregular = true;
        for id in &ids[1..6] {
            advance_clock(&mut harness.world(), TimeDelta::hours(7));
            harness.world().rename(*id);
            harness.irregular = true;
            harness.sync().await?;
        }
        harness.settle().await
    });
}

#[test]
fn an_upgrade_brings_another_time_to_read_by() {
    // An upgrade makes labels appear without moving `updated`. This test is not about labels, so both releases have
    // them.
    let old = Capabilities {
        labels: true,
        ..versions::V3_0
    };
    another_release("upgrade", old, &versions::V3_9);
}

#[test]
fn an_older_release_takes_the_time_away() {
    let old = Capabilities {
        labels: true,
        ..versions::V3_0
    };
    another_release("downgrade", versions::V3_9, &old);
}

#[test]
fn more_equal_times_than_a_page_holds_in_any_order() {
    for mut nature in natures() {
        nature.page_size = 3;
        run_history("ties", nature, async |harness| {
            harness.world().new_flow();
            for _ in 0..30 {
                // Flows that share their `updated`.
                harness.world().new_flow();
            }
            let due = harness.world().store.now() + TimeDelta::hours(5);
            let ids: Vec<Id> = (0..23)
                .map(|_| run(&mut harness.world(), StateType::Scheduled, Some(due)))
                .collect();
            harness.sync().await?;
            advance_clock(&mut harness.world(), TimeDelta::hours(6));
            for kind in [StateType::Running, StateType::Completed] {
                for id in &ids {
                    harness.world().set(*id, NewState::new(kind));
                }
                sync_after(harness, TimeDelta::minutes(20)).await?;
            }
            harness.settle().await
        });
    }
}

#[test]
fn a_column_that_is_included_later() {
    run_history("column", Nature::calm(), async |harness| {
        harness.world().new_flow();
        let all = harness.selection.clone();
        let few = |selected: &SelectedTable| {
            let mut selected = selected.clone();
            selected.columns[4] = false;
            selected
        };
        harness.selection = Selection {
            tables: all.tables.iter().map(few).collect(),
        };
        for _ in 0..9 {
            ended(&mut harness.world());
        }
        sync_after(harness, TimeDelta::hours(1)).await?;
        sync_after(harness, TimeDelta::days(3)).await?;
        harness.selection = all;
        harness.irregular = true;
        sync_after(harness, TimeDelta::hours(1)).await?;
        harness.settle().await
    });
}

#[test]
fn a_table_that_is_included_later() {
    for nature in natures() {
        run_history("table", nature, async |harness| {
            harness.world().new_flow();
            harness.switch_table("flow_runs");
            let old = ended(&mut harness.world());
            sync_after(harness, TimeDelta::hours(1)).await?;
            sync_after(harness, TimeDelta::days(3)).await?;
            assert_eq!(state_in_warehouse(harness, old), "nothing");
            harness.switch_table("flow_runs");
            sync_after(harness, TimeDelta::hours(1)).await?;
            assert_eq!(state_in_warehouse(harness, old), "COMPLETED");
            // Deselected again while a run ends, and selected again.
            harness.switch_table("flow_runs");
            let new = ended(&mut harness.world());
            sync_after(harness, TimeDelta::days(1)).await?;
            harness.switch_table("flow_runs");
            sync_after(harness, TimeDelta::hours(1)).await?;
            assert_eq!(state_in_warehouse(harness, new), "COMPLETED");
            harness.settle().await
        });
    }
}

#[test]
fn a_pause_longer_than_the_retention() {
    for nature in natures() {
        run_history("retention", nature, async |harness| {
            harness.world().new_flow();
            let old = ended(&mut harness.world());
            let open = run(&mut harness.world(), StateType::Running, None);
            sync_after(harness, TimeDelta::hours(1)).await?;
            harness
                .world()
                .set(open, NewState::new(StateType::Completed));
            advance_clock(&mut harness.world(), TimeDelta::days(20));
            let now = harness.world().store.now();
            harness.world().store.vacuum(now - TimeDelta::days(14));
            harness.world().bury("aged out", true);
            sync_after(harness, TimeDelta::hours(1)).await?;
            assert_eq!(state_in_warehouse(harness, old), "COMPLETED");
            assert_eq!(state_in_warehouse(harness, open), "RUNNING");
            harness.settle().await
        });
    }
}

#[test]
fn open_runs_that_never_end() {
    for nature in natures() {
        run_history("never-ends", nature, async |harness| {
            harness.world().new_flow();
            let ids: Vec<Id> = (0..7)
                .map(|_| run(&mut harness.world(), StateType::Running, None))
                .collect();
            for _ in 0..30 {
                sync_after(harness, TimeDelta::hours(31)).await?;
            }
            harness
                .world()
                .set(ids[3], NewState::new(StateType::Failed));
            sync_after(harness, TimeDelta::hours(1)).await?;
            assert_eq!(state_in_warehouse(harness, ids[3]), "FAILED");
            harness.settle().await
        });
    }
}

/// Tests that edits of flows are found while responses are dated ahead of the clock that sets `updated`.
#[test]
fn flows_edited_while_answers_are_dated_ahead() {
    for minutes in [4, 30, 300] {
        for nature in natures() {
            run_history("dates-ahead", nature, async |harness| {
                harness.world().ahead = TimeDelta::minutes(minutes);
                harness.world().new_flow();
                harness.sync().await?;
                let mut warnings = Vec::new();
                for _ in 0..3 {
                    advance_clock(&mut harness.world(), TimeDelta::minutes(1));
                    // A new flow would not do: the number of flows would show it, too.
                    harness.world().tag_flow();
                    let synced = harness.sync().await?;
                    assert_eq!(synced.upserts, 1, "{minutes} minutes ahead");
                    warnings.extend(synced.warnings);
                }
                assert!(warnings.iter().all(|text| text.ends_with("[W21]")));
                assert!(!warnings.is_empty(), "{minutes} minutes ahead");
                harness.settle().await
            });
        }
    }
}
