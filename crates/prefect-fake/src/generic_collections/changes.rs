//! Changes of generic objects.

use serde_json::{Map, Value, json};

use super::{GenericCollection, GenericObject};
use crate::{
    id::Id,
    store::{Store, StoreError},
};

impl Store {
    /// Inserts an object as it is, without applying any rule, or replaces the one with its id.
    pub fn put_object(&mut self, collection: GenericCollection, object: GenericObject) {
        self.mirror(collection, &object);
        self.objects.table_mut(collection).insert(object);
    }

    /// Creates an object now.
    pub fn create_object(&mut self, collection: GenericCollection, fields: Value) -> Id {
        let (id, now) = (self.ids.random(), self.now());
        self.put_object(collection, GenericObject::new(id, now, fields));
        id
    }

    /// Changes an object and sets `updated`, even if nothing is different.
    pub fn edit_object(
        &mut self,
        collection: GenericCollection,
        id: Id,
        edit: impl FnOnce(&mut Map<String, Value>),
    ) -> Result<(), StoreError> {
        let stamp = self.stamp();
        self.change_object(collection, id, |object| {
            edit(&mut object.fields);
            object.updated = stamp;
        })
    }

    /// Changes an object like a heartbeat, without setting `updated`.
    pub fn edit_object_quietly(
        &mut self,
        collection: GenericCollection,
        id: Id,
        edit: impl FnOnce(&mut Map<String, Value>),
    ) -> Result<(), StoreError> {
        self.change_object(collection, id, |object| edit(&mut object.fields))
    }

    fn change_object(
        &mut self,
        collection: GenericCollection,
        id: Id,
        change: impl FnOnce(&mut GenericObject),
    ) -> Result<(), StoreError> {
        let after = self.objects.table_mut(collection).update(id, |object| {
            change(object);
            object.clone()
        });
        let after = after.ok_or(Self::no_object(collection, id))?;
        self.mirror(collection, &after);
        Ok(())
    }

    /// Deletes an object, and with a work pool its queues and workers.
    pub fn delete_object(
        &mut self,
        collection: GenericCollection,
        id: Id,
    ) -> Result<(), StoreError> {
        use GenericCollection as C;
        let gone = self.objects.table_mut(collection).remove(id);
        gone.ok_or(Self::no_object(collection, id))?;
        match collection {
            C::WorkPools => {
                for inner in [C::WorkQueues, C::Workers] {
                    self.delete_objects_where(inner, |row| row.id_at("work_pool_id") == Some(id));
                }
            }
            // In releases that list both as one, the two objects are the same limit.
            C::ConcurrencyLimits => drop(self.objects.table_mut(C::ConcurrencyLimitsV2).remove(id)),
            C::ConcurrencyLimitsV2 => drop(self.objects.table_mut(C::ConcurrencyLimits).remove(id)),
            _ => {}
        }
        Ok(())
    }

    pub(crate) fn delete_objects_where(
        &mut self,
        collection: GenericCollection,
        doomed: impl Fn(&GenericObject) -> bool,
    ) {
        let rows = self.objects(collection).filter(|row| doomed(row));
        let ids: Vec<Id> = rows.map(|row| row.id).collect();
        for id in ids {
            self.objects.table_mut(collection).remove(id);
        }
    }

    /// Returns an object.
    pub fn object(&self, collection: GenericCollection, id: Id) -> Option<&GenericObject> {
        self.objects.table(collection).get(id)
    }

    /// Returns all objects of a collection, in no particular order.
    pub fn objects(&self, collection: GenericCollection) -> impl Iterator<Item = &GenericObject> {
        self.objects.table(collection).iter()
    }

    /// Returns the number of objects of a collection.
    pub fn object_count(&self, collection: GenericCollection) -> usize {
        self.objects.table(collection).len()
    }

    fn no_object(collection: GenericCollection, id: Id) -> StoreError {
        let noun = collection.spec().noun;
        StoreError::Nothing { noun, id }
    }

    /// Copies a tag's limit to the named limits or back, if the release lists it as both.
    fn mirror(&mut self, collection: GenericCollection, limit: &GenericObject) {
        if !self.settings().capabilities.tags_are_named_limits {
            return;
        }
        match collection {
            GenericCollection::ConcurrencyLimits => self.mirror_tag(limit),
            GenericCollection::ConcurrencyLimitsV2 => self.mirror_named(limit),
            _ => {}
        }
    }

    /// Copies the limits of tags to the named limits, with the same ids, or removes these copies in older releases.
    /// Prefect's own database migration does the same (`migrate_v1_concurrency_limits_to_v2`, read in 3.9.1).
    pub(crate) fn migrate_limits(&mut self) {
        let (tags, named) = (
            GenericCollection::ConcurrencyLimits,
            GenericCollection::ConcurrencyLimitsV2,
        );
        if self.settings().capabilities.tags_are_named_limits {
            let alone = self
                .objects(tags)
                .filter(|row| self.object(named, row.id).is_none());
            let alone: Vec<GenericObject> = alone.cloned().collect();
            for limit in alone {
                self.mirror_tag(&limit);
            }
        } else {
            self.delete_objects_where(named, |row| {
                row.text("name")
                    .is_some_and(|name| name.starts_with("tag:"))
            });
        }
    }

    /// Copies a named limit to the limit of its tag, unless its new name is not that of a tag.
    fn mirror_named(&mut self, named: &GenericObject) {
        let Some(tag) = named.text("name").and_then(|it| it.strip_prefix("tag:")) else {
            return;
        };
        let tags = self.objects.table_mut(GenericCollection::ConcurrencyLimits);
        tags.update(named.id, |limit| {
            let fields = &mut limit.fields;
            fields.insert("tag".to_owned(), tag.into());
            fields.insert("concurrency_limit".to_owned(), named.at("limit").clone());
            limit.updated = named.updated;
        });
    }

    fn mirror_tag(&mut self, limit: &GenericObject) {
        let slots = limit.at("active_slots").as_array().map_or(0, Vec::len);
        let fields = json!({
            "active": true,
            "name": format!("tag:{}", limit.text("tag").unwrap_or_default()),
            "limit": limit.at("concurrency_limit"),
            "active_slots": slots,
            "slot_decay_per_second": 0.0,
        });
        let twin = GenericObject {
            updated: limit.updated,
            ..GenericObject::new(limit.id, limit.created, fields)
        };
        let named = GenericCollection::ConcurrencyLimitsV2;
        self.objects.table_mut(named).insert(twin);
    }
}
