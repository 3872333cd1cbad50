//! Changes of plain objects.

use serde_json::{Map, Value, json};

use super::{Plain, PlainCollection};
use crate::{
    id::Id,
    store::{Store, StoreError},
};

impl Store {
    /// Inserts an object as it is, without applying any rule, or replaces the one with its id.
    pub fn put_plain(&mut self, collection: PlainCollection, object: Plain) {
        self.mirror(collection, &object);
        self.plains.of_mut(collection).insert(object);
    }

    /// Creates an object now.
    pub fn create_plain(&mut self, collection: PlainCollection, fields: Value) -> Id {
        let (id, now) = (self.ids.random(), self.now());
        self.put_plain(collection, Plain::new(id, now, fields));
        id
    }

    /// Changes an object and sets `updated`, even if nothing is different.
    pub fn edit_plain(
        &mut self,
        collection: PlainCollection,
        id: Id,
        edit: impl FnOnce(&mut Map<String, Value>),
    ) -> Result<(), StoreError> {
        let stamp = self.stamp();
        self.change_plain(collection, id, |object| {
            edit(&mut object.fields);
            object.updated = stamp;
        })
    }

    /// Changes an object like a heartbeat, without setting `updated`.
    pub fn edit_plain_quietly(
        &mut self,
        collection: PlainCollection,
        id: Id,
        edit: impl FnOnce(&mut Map<String, Value>),
    ) -> Result<(), StoreError> {
        self.change_plain(collection, id, |object| edit(&mut object.fields))
    }

    fn change_plain(
        &mut self,
        collection: PlainCollection,
        id: Id,
        change: impl FnOnce(&mut Plain),
    ) -> Result<(), StoreError> {
        let after = self.plains.of_mut(collection).update(id, |object| {
            change(object);
            object.clone()
        });
        let after = after.ok_or(Self::no_plain(collection, id))?;
        self.mirror(collection, &after);
        Ok(())
    }

    /// Deletes an object, and with a work pool its queues and workers.
    pub fn delete_plain(&mut self, collection: PlainCollection, id: Id) -> Result<(), StoreError> {
        use PlainCollection as C;
        let gone = self.plains.of_mut(collection).remove(id);
        gone.ok_or(Self::no_plain(collection, id))?;
        match collection {
            C::WorkPools => {
                for inner in [C::WorkQueues, C::Workers] {
                    self.delete_plains_where(inner, |row| row.id_at("work_pool_id") == Some(id));
                }
            }
            // In releases that list both as one, the two objects are the same limit.
            C::ConcurrencyLimits => drop(self.plains.of_mut(C::ConcurrencyLimitsV2).remove(id)),
            C::ConcurrencyLimitsV2 => drop(self.plains.of_mut(C::ConcurrencyLimits).remove(id)),
            _ => {}
        }
        Ok(())
    }

    pub(crate) fn delete_plains_where(
        &mut self,
        collection: PlainCollection,
        doomed: impl Fn(&Plain) -> bool,
    ) {
        let rows = self.plains(collection).filter(|row| doomed(row));
        let ids: Vec<Id> = rows.map(|row| row.id).collect();
        for id in ids {
            self.plains.of_mut(collection).remove(id);
        }
    }

    /// Returns an object.
    pub fn plain(&self, collection: PlainCollection, id: Id) -> Option<&Plain> {
        self.plains.of(collection).get(id)
    }

    /// Returns all objects of a collection, in no particular order.
    pub fn plains(&self, collection: PlainCollection) -> impl Iterator<Item = &Plain> {
        self.plains.of(collection).iter()
    }

    /// Returns the number of objects of a collection.
    pub fn plain_len(&self, collection: PlainCollection) -> usize {
        self.plains.of(collection).len()
    }

    fn no_plain(collection: PlainCollection, id: Id) -> StoreError {
        let noun = collection.spec().noun;
        StoreError::Nothing { noun, id }
    }

    /// Copies a tag's limit to the named limits or back, if the release lists it as both.
    fn mirror(&mut self, collection: PlainCollection, limit: &Plain) {
        if !self.settings().capabilities.tags_are_named_limits {
            return;
        }
        match collection {
            PlainCollection::ConcurrencyLimits => self.mirror_tag(limit),
            PlainCollection::ConcurrencyLimitsV2 => self.mirror_named(limit),
            _ => {}
        }
    }

    /// Copies the limits of tags to the named limits, with the same ids, or removes these copies in older releases.
    /// Prefect's own database migration does the same (`migrate_v1_concurrency_limits_to_v2`, read in 3.9.1).
    pub(crate) fn migrate_limits(&mut self) {
        let (tags, named) = (
            PlainCollection::ConcurrencyLimits,
            PlainCollection::ConcurrencyLimitsV2,
        );
        if self.settings().capabilities.tags_are_named_limits {
            let alone = self
                .plains(tags)
                .filter(|row| self.plain(named, row.id).is_none());
            let alone: Vec<Plain> = alone.cloned().collect();
            for limit in alone {
                self.mirror_tag(&limit);
            }
        } else {
            self.delete_plains_where(named, |row| {
                row.text("name")
                    .is_some_and(|name| name.starts_with("tag:"))
            });
        }
    }

    /// Copies a named limit to the limit of its tag, unless its new name is not that of a tag.
    fn mirror_named(&mut self, named: &Plain) {
        let Some(tag) = named.text("name").and_then(|it| it.strip_prefix("tag:")) else {
            return;
        };
        let tags = self.plains.of_mut(PlainCollection::ConcurrencyLimits);
        tags.update(named.id, |limit| {
            let fields = &mut limit.fields;
            fields.insert("tag".to_owned(), tag.into());
            fields.insert("concurrency_limit".to_owned(), named.at("limit").clone());
            limit.updated = named.updated;
        });
    }

    fn mirror_tag(&mut self, limit: &Plain) {
        let slots = limit.at("active_slots").as_array().map_or(0, Vec::len);
        let fields = json!({
            "active": true,
            "name": format!("tag:{}", limit.text("tag").unwrap_or_default()),
            "limit": limit.at("concurrency_limit"),
            "active_slots": slots,
            "slot_decay_per_second": 0.0,
        });
        let twin = Plain {
            updated: limit.updated,
            ..Plain::new(limit.id, limit.created, fields)
        };
        let named = PlainCollection::ConcurrencyLimitsV2;
        self.plains.of_mut(named).insert(twin);
    }
}
