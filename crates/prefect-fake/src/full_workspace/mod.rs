//! Everything in a workspace except flows, deployments and flow runs, generated from a seed.

mod blocks;
mod builder;
mod settings;
mod tasks;
mod traces;

use rand::{SeedableRng, rngs::SmallRng};

use self::builder::WorkspaceBuilder;
use super::{
    id::Id,
    model::{FlowRun, Queue},
    store::Store,
};

/// The maximum number of flow runs that get task runs.
const MOST_DETAILED: usize = 600;

/// Adds task runs, states, logs, artifacts and events to the runs of `store` that ended last. Also adds objects that
/// users create, such as pools and blocks. From then on, changes of state create events.
pub fn add(store: &mut Store, seed: u64, queues: &[Queue]) {
    let mut builder = WorkspaceBuilder {
        // A seed other than the one from which the runs were generated.
        rng: SmallRng::seed_from_u64(seed ^ 0x0e7e_4711),
        now: store.now(),
    };
    settings::add(&mut builder, store, queues);
    blocks::add(&mut builder, store);
    let mut ended: Vec<&FlowRun> = store.runs().filter(|run| run.end_time.is_some()).collect();
    ended.sort_unstable_by_key(|run| (std::cmp::Reverse(run.end_time), run.id));
    let latest: Vec<Id> = ended.iter().take(MOST_DETAILED).map(|run| run.id).collect();
    for (nth, id) in latest.into_iter().enumerate() {
        if let Some(run) = store.run(id).cloned() {
            let tasks = tasks::add(&mut builder, store, &run);
            traces::add(&mut builder, store, &run, &tasks, nth);
        }
    }
    tasks::add_parents(&mut builder, store);
    // Last, so that a new collection leaves all other objects as they are.
    builder.put_samples(store);
    store.feed_events(true);
}
