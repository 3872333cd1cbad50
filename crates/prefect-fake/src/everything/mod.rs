//! Everything in a workspace except flows, deployments and flow runs, generated from a seed.

mod blocks;
mod settings;
mod tasks;
mod traces;

use rand::{Rng, SeedableRng, rngs::SmallRng, seq::IndexedRandom};
use serde_json::Value;

use super::{
    id::Id,
    model::{FlowRun, Queue, Time},
    plain::{Plain, PlainCollection},
    store::Store,
};

/// The maximum number of flow runs that get task runs.
const MOST_TOLD: usize = 600;

/// Adds task runs, states, logs, artifacts and events to the runs of `store` that ended last. Also adds objects that
/// users create, such as pools and blocks. From then on, changes of state create events.
pub fn add(store: &mut Store, seed: u64, queues: &[Queue]) {
    let mut teller = Teller {
        // A seed other than the one from which the runs were generated.
        rng: SmallRng::seed_from_u64(seed ^ 0x0e7e_4711),
        now: store.now(),
    };
    settings::add(&mut teller, store, queues);
    blocks::add(&mut teller, store);
    let mut ended: Vec<&FlowRun> = store.runs().filter(|run| run.end_time.is_some()).collect();
    ended.sort_unstable_by_key(|run| (std::cmp::Reverse(run.end_time), run.id));
    let told: Vec<Id> = ended.iter().take(MOST_TOLD).map(|run| run.id).collect();
    for (nth, id) in told.into_iter().enumerate() {
        if let Some(run) = store.run(id).cloned() {
            let tasks = tasks::add(&mut teller, store, &run);
            traces::add(&mut teller, store, &run, &tasks, nth);
        }
    }
    tasks::add_parents(&mut teller, store);
    store.feed_events(true);
}

/// A generator of objects.
struct Teller {
    rng: SmallRng,
    now: Time,
}

impl Teller {
    fn chance(&mut self, probability: f64) -> bool {
        self.rng.random_bool(probability)
    }

    fn below(&mut self, end: i64) -> i64 {
        self.rng.random_range(0..end.max(1))
    }

    fn one_of<T: Copy>(&mut self, items: &[T], otherwise: T) -> T {
        items.choose(&mut self.rng).copied().unwrap_or(otherwise)
    }

    /// Returns a time between two others.
    fn between(&mut self, from: Time, to: Time) -> Time {
        let span = (to - from).num_microseconds().unwrap_or(0);
        from + chrono::TimeDelta::microseconds(self.below(span))
    }

    /// Returns a time at most `most` days ago.
    fn days_ago(&mut self, most: i64) -> Time {
        let from = self.now - chrono::TimeDelta::days(most);
        self.between(from, self.now)
    }

    /// Inserts an object of random age, which may have changed since its creation.
    fn put(&mut self, store: &mut Store, collection: PlainCollection, fields: Value) -> Id {
        let id = store.new_id();
        let created = self.days_ago(90);
        let mut object = Plain::new(id, created, fields);
        if self.chance(0.3) {
            object.updated = self.between(created, self.now);
        }
        store.put_plain(collection, object);
        id
    }
}
