//! The listing of a generic collection.

use std::collections::HashSet;

use serde_json::Value;

use super::{GenericCollection, GenericObject, Get, render, spec::Missing};
use crate::{
    error_response::ErrorResponse,
    filter::Clause,
    form::{self, Request},
    id::Id,
    query::text,
    store::Store,
};

/// The selection of objects for a request.
struct Wanted<'a> {
    collection: GenericCollection,
    own: Option<&'a Clause>,
    pool: Option<Id>,
    /// A flag; objects that have it are hidden.
    hidden: Option<&'static str>,
    /// The objects that Prefect omits from a page by mistake.
    left_out: HashSet<Id>,
}

impl<'a> Wanted<'a> {
    fn by(
        collection: GenericCollection,
        request: &'a Request,
        body: &Value,
        pool: Option<Id>,
    ) -> Self {
        let form = &collection.spec().form;
        let named = |flag: &&str| !body[form.name][*flag].is_null();
        Self {
            collection,
            own: request.clause(form.name).filter(|own| !own.is_open()),
            pool,
            hidden: collection.spec().hidden.filter(|flag| !named(flag)),
            left_out: HashSet::new(),
        }
    }

    fn is_everything(&self) -> bool {
        let is_open = self.own.is_none() && self.pool.is_none() && self.hidden.is_none();
        is_open && self.left_out.is_empty()
    }

    fn has(&self, row: &GenericObject) -> bool {
        let shown = |flag| row.at(flag).as_bool() != Some(true);
        self.pool
            .is_none_or(|pool| row.id_at("work_pool_id") == Some(pool))
            && self.hidden.is_none_or(shown)
            && self.own.is_none_or(|own| own.holds(row))
            && !self.left_out.contains(&row.id)
    }
}

/// Returns the objects of a page, as a JSON array, of the work pool `pool` if one is given.
pub fn list(
    store: &mut Store,
    collection: GenericCollection,
    pool: Option<Id>,
    body: &Value,
) -> Result<String, ErrorResponse> {
    let form = &collection.spec().form;
    let request = form::read(store.settings(), form, body, true)?;
    let page = request.page(form.name, store.tie_seed());
    let mut wanted = Wanted::by(collection, &request, body, pool);
    if collection == GenericCollection::ConcurrencyLimits {
        wanted.left_out = left_out(store, page.offset + page.limit);
    }
    let capabilities = store.settings().capabilities.clone();
    let keep = |row: &GenericObject| wanted.has(row);
    let rows = store.objects.table_mut(wanted.collection).select(
        &page,
        if wanted.is_everything() {
            None
        } else {
            Some(&keep)
        },
    );
    let shown: Vec<Value> = rows
        .into_iter()
        .map(|row| render::object(collection, row, &capabilities))
        .collect();
    text(&shown)
}

/// Returns the limits that a page ending at `read` omits. Prefect cuts the page out of the first `read` of all limits
/// by name, and only then selects the limits of tags.
fn left_out(store: &Store, read: usize) -> HashSet<Id> {
    if !store.settings().capabilities.tags_are_named_limits {
        return HashSet::new();
    }
    let named = store.objects(GenericCollection::ConcurrencyLimitsV2);
    let mut named: Vec<(Option<&str>, Id)> = named.map(|row| (row.text("name"), row.id)).collect();
    named.sort_unstable();
    named.into_iter().skip(read).map(|(_, id)| id).collect()
}

/// Returns the number of objects that pass the filters.
pub fn count(
    store: &Store,
    collection: GenericCollection,
    body: &Value,
) -> Result<usize, ErrorResponse> {
    let form = &collection.spec().form;
    let request = form::read(store.settings(), form, body, false)?;
    let wanted = Wanted::by(collection, &request, body, None);
    Ok(store
        .objects(collection)
        .filter(|row| wanted.has(row))
        .count())
}

/// Returns one object, by the last part of its path.
pub fn get(
    store: &Store,
    collection: GenericCollection,
    name: &str,
) -> Result<String, ErrorResponse> {
    let spec = collection.spec();
    let by_id = || store.object(collection, Id::parse(name)?);
    let by_name = || named(store, collection, name);
    let found = match spec.get {
        Get::No => None,
        Get::Id => by_id(),
        Get::Name => by_name(),
        Get::IdOrName => by_id().or_else(by_name),
    };
    let row = found.ok_or_else(|| missing(collection, name))?;
    text(&render::object(
        collection,
        row,
        &store.settings().capabilities,
    ))
}

/// Returns the object of this name.
pub fn named<'a>(
    store: &'a Store,
    collection: GenericCollection,
    name: &str,
) -> Option<&'a GenericObject> {
    let mut rows = store.objects(collection);
    rows.find(|row| row.text("name") == Some(name))
}

/// Returns the error for an object that does not exist.
pub fn missing(collection: GenericCollection, name: &str) -> ErrorResponse {
    match collection.spec().missing {
        Missing::Detail(text) => ErrorResponse::Detail(404, text.to_owned()),
        Missing::Exception(text) => ErrorResponse::Exception(404, text.to_owned()),
        Missing::Pool => ErrorResponse::Detail(404, format!("Work pool \"{name}\" not found.")),
    }
}
