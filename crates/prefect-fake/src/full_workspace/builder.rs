//! The generator of a workspace's objects.

use rand::{Rng, rngs::SmallRng, seq::IndexedRandom};
use serde_json::Value;

use crate::{
    generic_collections::{GenericCollection, GenericObject},
    id::Id,
    model::Time,
    store::Store,
};

/// Generates the objects of a workspace from random numbers.
pub(super) struct WorkspaceBuilder {
    pub(super) rng: SmallRng,
    pub(super) now: Time,
}

impl WorkspaceBuilder {
    /// Returns true with this probability.
    pub(super) fn chance(&mut self, probability: f64) -> bool {
        self.rng.random_bool(probability)
    }

    /// Returns a number from zero up to `end`, which is excluded.
    pub(super) fn below(&mut self, end: i64) -> i64 {
        self.rng.random_range(0..end.max(1))
    }

    /// Returns one of the items, or `otherwise` if there are none.
    pub(super) fn one_of<T: Copy>(&mut self, items: &[T], otherwise: T) -> T {
        items.choose(&mut self.rng).copied().unwrap_or(otherwise)
    }

    /// Returns a time between two others.
    pub(super) fn between(&mut self, from: Time, to: Time) -> Time {
        let span = (to - from).num_microseconds().unwrap_or(0);
        from + chrono::TimeDelta::microseconds(self.below(span))
    }

    /// Returns a time at most `most` days ago.
    pub(super) fn days_ago(&mut self, most: i64) -> Time {
        let from = self.now - chrono::TimeDelta::days(most);
        self.between(from, self.now)
    }

    /// Inserts the samples of all collections.
    pub(super) fn put_samples(&mut self, store: &mut Store) {
        for collection in GenericCollection::ALL {
            for sample in collection.spec().samples {
                // A test reads all samples.
                let fields = serde_json::from_str(sample).unwrap_or_default();
                self.put(store, collection, fields);
            }
        }
    }

    /// Inserts an object of random age, which may have changed since its creation.
    pub(super) fn put(
        &mut self,
        store: &mut Store,
        collection: GenericCollection,
        fields: Value,
    ) -> Id {
        let id = store.new_id();
        let created = self.days_ago(90);
        let mut object = GenericObject::new(id, created, fields);
        if self.chance(0.3) {
            object.updated = self.between(created, self.now);
        }
        store.put_object(collection, object);
        id
    }
}
