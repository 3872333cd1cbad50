//! The changes in the demo workspace between two syncs.

use chrono::TimeDelta;
use serde_json::json;

use super::{
    changes::{NewRun, NewState, RunEdit},
    id::Id,
    model::{Json, StateType},
    store::Store,
};

/// Simulates an hour: running runs end, pending runs start, new runs are created, and one run is renamed.
///
/// The result depends only on the workspace and on `hour`.
pub fn simulate_hour(store: &mut Store, hour: u32) {
    store.advance(TimeDelta::hours(1));
    let mut open: Vec<(Id, StateType)> = store
        .runs()
        .map(|run| (run.id, run.state.kind))
        .filter(|(_, kind)| !kind.is_terminal())
        .collect();
    open.sort_unstable_by_key(|(id, _)| *id);
    let running = open.iter().filter(|(_, kind)| *kind == StateType::Running);
    for (nth, (id, _)) in running.take(5).enumerate() {
        let end = match nth {
            4 => StateType::Failed,
            _ => StateType::Completed,
        };
        // The run exists, so setting its state cannot fail.
        let _ = store.set_state(*id, NewState::new(end));
    }
    let pending = open.iter().filter(|(_, kind)| *kind == StateType::Pending);
    for (id, _) in pending.take(5) {
        let _ = store.set_state(*id, NewState::new(StateType::Running));
    }
    let mut flows: Vec<Id> = store.flows().map(|flow| flow.id).collect();
    flows.sort_unstable();
    for (nth, flow) in flows.into_iter().take(8).enumerate() {
        let mut run = NewRun::new(flow);
        run.name = Some(format!("hour-{hour}-run-{nth}"));
        run.parameters = Json::from_serialize(&json!({ "hour": hour, "nth": nth }));
        run.state = Some(NewState::new(StateType::Pending));
        if let Ok((id, _)) = store.create_run(run) {
            let _ = store.set_state(id, NewState::new(StateType::Running));
            if nth % 2 == 0 {
                let _ = store.set_state(id, NewState::new(StateType::Completed));
            }
        }
    }
    let ended = store
        .runs()
        .filter(|run| run.state.kind.is_terminal())
        .map(|run| run.id)
        .min();
    if let Some(id) = ended {
        let edit = RunEdit {
            name: Some(format!("renamed-in-hour-{hour}")),
            ..RunEdit::default()
        };
        let _ = store.edit_run(id, edit);
    }
}
