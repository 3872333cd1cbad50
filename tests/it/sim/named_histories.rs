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
    checker::Violation,
    rest,
    rig::Rig,
    run_history,
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
    let mut state = NewState::of(kind);
    state.scheduled_time = due;
    let id = world.add_run(None, state).expect("there is a flow");
    world.moment();
    id
}

pub(super) fn ended(world: &mut World) -> Id {
    let id = run(world, StateType::Running, None);
    world.set(id, NewState::of(StateType::Completed));
    id
}

async fn later(rig: &mut Rig, time: TimeDelta) -> Result<(), Violation> {
    rest(&mut rig.world(), time);
    rig.sync().await.map(|_| ())
}

/// Returns the state type of a run in the warehouse, after `deleted` if the row is, or `nothing`.
fn says(rig: &Rig, id: Id) -> String {
    let Some(row) = rig.warehouse.row(&("flow_runs", id.to_string())) else {
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
        run_history("never-started", nature, async |rig| {
            rig.world().new_flow();
            rig.sync().await?;
            rest(&mut rig.world(), TimeDelta::minutes(10));
            let id = run(&mut rig.world(), StateType::Scheduled, None);
            rig.world().set(id, NewState::of(StateType::Cancelled));
            later(rig, TimeDelta::minutes(10)).await?;
            assert_eq!(says(rig, id), "CANCELLED");
            rig.settle().await
        });
    }
}

/// Tests that the never-started runs read by a cut sync do not count as the open set. The cut sync did not reach the
/// open set.
#[test]
fn a_run_that_was_open_at_a_cut_sync_and_ends_unstarted() {
    for cut in 0..40 {
        for nature in natures() {
            run_history("cut-before-open-set", nature, async |rig| {
                rig.world().new_flow();
                rig.sync().await?;
                later(rig, TimeDelta::hours(1)).await?;
                let id = run(&mut rig.world(), StateType::Scheduled, None);
                // Enough runs of each kind for checkpoints in the middle of the sync.
                for _ in 0..12 {
                    ended(&mut rig.world());
                    run(&mut rig.world(), StateType::Scheduled, None);
                }
                rest(&mut rig.world(), TimeDelta::hours(1));
                rig.sync_until(cut).await?;
                rest(&mut rig.world(), TimeDelta::hours(1));
                rig.world().set(id, NewState::of(StateType::Cancelled));
                later(rig, TimeDelta::hours(1)).await?;
                assert_eq!(says(rig, id), "CANCELLED", "cut after {cut}");
                rig.settle().await
            });
        }
    }
}

#[test]
fn a_retry_that_ends_within_the_interval() {
    for nature in natures() {
        run_history("retry", nature, async |rig| {
            rig.world().new_flow();
            let id = ended(&mut rig.world());
            later(rig, TimeDelta::minutes(30)).await?;
            rest(&mut rig.world(), TimeDelta::minutes(5));
            for kind in [StateType::Scheduled, StateType::Running, StateType::Failed] {
                rig.world().set(id, NewState::of(kind));
                rig.world().moment();
            }
            later(rig, TimeDelta::minutes(5)).await?;
            assert_eq!(says(rig, id), "FAILED");
            rig.settle().await
        });
    }
}

#[test]
fn runs_deleted_while_a_backfill_is_interrupted_for_days() {
    for nature in natures() {
        run_history("backfill", nature, async |rig| {
            rig.world().new_flow();
            let now = rig.world().store.now();
            let ids: Vec<Id> = (0..30)
                .map(|hours| {
                    let due = Some(now + TimeDelta::hours(hours));
                    run(&mut rig.world(), StateType::Scheduled, due)
                })
                .collect();
            rig.sync_until(20).await?;
            assert!(rig.is_backfilling(), "the first sync was cut too late");
            let sent = |rig: &Rig| {
                let is_sent = |id: &&Id| says(rig, **id) != "nothing";
                ids.iter().filter(is_sent).copied().collect::<Vec<Id>>()
            };
            let before = sent(rig);
            assert!(
                (3..25).contains(&before.len()),
                "{} were sent",
                before.len()
            );
            for id in [before[0], before[1], ids[0], ids[1]] {
                rig.world().store.delete_run(id).expect("is there");
            }
            rig.world().bury("deleted", false);
            rest(&mut rig.world(), TimeDelta::days(2));
            rig.sync_until(28).await?;
            for id in &before[..2] {
                assert_eq!(says(rig, *id), "deleted SCHEDULED");
            }
            assert!(rig.is_backfilling(), "the second sync was cut too late");
            let third = sent(rig)[2];
            rig.world().store.delete_run(third).expect("is there");
            rig.world().bury("deleted", false);
            later(rig, TimeDelta::days(2)).await?;
            assert!(!rig.is_backfilling());
            assert_eq!(says(rig, third), "deleted SCHEDULED");
            assert_eq!(says(rig, ids[0]), "nothing");
            rig.settle().await
        });
    }
}

#[test]
fn a_run_that_takes_three_days() {
    for nature in natures() {
        run_history("three-days", nature, async |rig| {
            rig.world().new_flow();
            let id = run(&mut rig.world(), StateType::Running, None);
            for _ in 0..9 {
                later(rig, TimeDelta::hours(8)).await?;
            }
            rig.world().set(id, NewState::of(StateType::Completed));
            rig.settle().await?;
            assert_eq!(says(rig, id), "COMPLETED");
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
    run_history(name, nature, async |rig| {
        rig.world().new_flow();
        let ids: Vec<Id> = (0..12).map(|_| ended(&mut rig.world())).collect();
        later(rig, TimeDelta::hours(3)).await?;
        rig.world().rename(ids[0]);
        later(rig, TimeDelta::hours(3)).await?;
        rig.world().upgrade(after.clone());
        rig.irregular = true;
        for id in &ids[1..6] {
            rest(&mut rig.world(), TimeDelta::hours(7));
            rig.world().rename(*id);
            rig.irregular = true;
            rig.sync().await?;
        }
        rig.settle().await
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
        run_history("ties", nature, async |rig| {
            rig.world().new_flow();
            for _ in 0..30 {
                // Flows that share their `updated`.
                rig.world().new_flow();
            }
            let due = rig.world().store.now() + TimeDelta::hours(5);
            let ids: Vec<Id> = (0..23)
                .map(|_| run(&mut rig.world(), StateType::Scheduled, Some(due)))
                .collect();
            rig.sync().await?;
            rest(&mut rig.world(), TimeDelta::hours(6));
            for kind in [StateType::Running, StateType::Completed] {
                for id in &ids {
                    rig.world().set(*id, NewState::of(kind));
                }
                later(rig, TimeDelta::minutes(20)).await?;
            }
            rig.settle().await
        });
    }
}

#[test]
fn a_column_that_is_included_later() {
    run_history("column", Nature::calm(), async |rig| {
        rig.world().new_flow();
        let all = rig.selection.clone();
        let few = |selected: &SelectedTable| {
            let mut selected = selected.clone();
            selected.columns[4] = false;
            selected
        };
        rig.selection = Selection {
            tables: all.tables.iter().map(few).collect(),
        };
        for _ in 0..9 {
            ended(&mut rig.world());
        }
        later(rig, TimeDelta::hours(1)).await?;
        later(rig, TimeDelta::days(3)).await?;
        rig.selection = all;
        rig.irregular = true;
        later(rig, TimeDelta::hours(1)).await?;
        rig.settle().await
    });
}

#[test]
fn a_table_that_is_included_later() {
    for nature in natures() {
        run_history("table", nature, async |rig| {
            rig.world().new_flow();
            rig.switch_table("flow_runs");
            let old = ended(&mut rig.world());
            later(rig, TimeDelta::hours(1)).await?;
            later(rig, TimeDelta::days(3)).await?;
            assert_eq!(says(rig, old), "nothing");
            rig.switch_table("flow_runs");
            later(rig, TimeDelta::hours(1)).await?;
            assert_eq!(says(rig, old), "COMPLETED");
            // Deselected again while a run ends, and selected again.
            rig.switch_table("flow_runs");
            let new = ended(&mut rig.world());
            later(rig, TimeDelta::days(1)).await?;
            rig.switch_table("flow_runs");
            later(rig, TimeDelta::hours(1)).await?;
            assert_eq!(says(rig, new), "COMPLETED");
            rig.settle().await
        });
    }
}

#[test]
fn a_pause_longer_than_the_retention() {
    for nature in natures() {
        run_history("retention", nature, async |rig| {
            rig.world().new_flow();
            let old = ended(&mut rig.world());
            let open = run(&mut rig.world(), StateType::Running, None);
            later(rig, TimeDelta::hours(1)).await?;
            rig.world().set(open, NewState::of(StateType::Completed));
            rest(&mut rig.world(), TimeDelta::days(20));
            let now = rig.world().store.now();
            rig.world().store.vacuum(now - TimeDelta::days(14));
            rig.world().bury("aged out", true);
            later(rig, TimeDelta::hours(1)).await?;
            assert_eq!(says(rig, old), "COMPLETED");
            assert_eq!(says(rig, open), "RUNNING");
            rig.settle().await
        });
    }
}

#[test]
fn open_runs_that_never_end() {
    for nature in natures() {
        run_history("never-ends", nature, async |rig| {
            rig.world().new_flow();
            let ids: Vec<Id> = (0..7)
                .map(|_| run(&mut rig.world(), StateType::Running, None))
                .collect();
            for _ in 0..30 {
                later(rig, TimeDelta::hours(31)).await?;
            }
            rig.world().set(ids[3], NewState::of(StateType::Failed));
            later(rig, TimeDelta::hours(1)).await?;
            assert_eq!(says(rig, ids[3]), "FAILED");
            rig.settle().await
        });
    }
}

/// Tests that edits of flows are found while responses are dated ahead of the clock that sets `updated`.
#[test]
fn flows_edited_while_answers_are_dated_ahead() {
    for minutes in [4, 30, 300] {
        for nature in natures() {
            run_history("dates-ahead", nature, async |rig| {
                rig.world().ahead = TimeDelta::minutes(minutes);
                rig.world().new_flow();
                rig.sync().await?;
                let mut warnings = Vec::new();
                for _ in 0..3 {
                    rest(&mut rig.world(), TimeDelta::minutes(1));
                    // A new flow would not do: the number of flows would show it, too.
                    rig.world().tag_flow();
                    let synced = rig.sync().await?;
                    assert_eq!(synced.upserts, 1, "{minutes} minutes ahead");
                    warnings.extend(synced.warnings);
                }
                assert!(warnings.iter().all(|text| text.ends_with("[W21]")));
                assert!(!warnings.is_empty(), "{minutes} minutes ahead");
                rig.settle().await
            });
        }
    }
}
