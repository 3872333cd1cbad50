//! Looks objects up by id alone. If a complete listing lacks an object, it may be deleted; a look-up confirms that.

use std::collections::HashSet;

use super::{
    listing::{collection, full_listing},
    request::{FetchedPage, Request},
};
use crate::{
    prefect::{AnyOf, Filter, GetRequest, ListRequest},
    rows::Row,
    tables::{self, Strategy, Table},
};

/// The objects to look up, a page at a time; never empty.
#[derive(Debug)]
pub(super) struct GetById {
    ids: Vec<String>,
    /// The number of ids in the last request.
    requested: usize,
    /// The ids that are requested one by one, because the server could not return all of a page.
    alone: Vec<String>,
    /// Set until the first empty response, which is requested again: a gateway that is starting may have sent it.
    doubts_empty: bool,
}

impl GetById {
    /// Creates a look-up; `None` if there is nothing to look up.
    pub(super) fn new(ids: Vec<String>) -> Option<Self> {
        Self::of_both((ids, Vec::new()), true)
    }

    fn of_both((ids, alone): (Vec<String>, Vec<String>), doubts_empty: bool) -> Option<Self> {
        let is_empty = ids.is_empty() && alone.is_empty();
        (!is_empty).then_some(Self {
            ids,
            requested: 0,
            alone,
            doubts_empty,
        })
    }

    /// Returns the next request, for as many ids as fit on a page, or for one. `None` if objects of the table cannot be
    /// requested by id.
    pub(super) fn next(&mut self, table: &'static Table, limit: u32) -> Option<Request> {
        match way(table) {
            tables::LookUp::Filter if self.ids.is_empty() => {
                let id = self.alone.last()?.clone();
                Some(Request::TryOne(by_filter(table, limit, vec![id])))
            }
            tables::LookUp::Filter => {
                self.requested = usize::try_from(limit)
                    .map_or(self.ids.len(), |limit| limit.min(self.ids.len()));
                let ids = self.ids[..self.requested].to_vec();
                Some(Request::List(by_filter(table, limit, ids)))
            }
            tables::LookUp::Get => {
                self.requested = 1;
                // An object that does not exist is a 404, not an empty page.
                self.doubts_empty = false;
                Some(Request::Get(GetRequest {
                    collection: collection(table),
                    id: self.ids.first()?.clone(),
                }))
            }
            tables::LookUp::None => None,
        }
    }

    /// Returns the object of the last request, if that was for one object and it cannot be read.
    pub(super) fn unreadable(&self, page: &FetchedPage) -> Option<&str> {
        let requested = match self.ids.as_slice() {
            [] => self.alone.last(),
            [id, ..] if self.requested == 1 => Some(id),
            _ => None,
        };
        requested
            .filter(|_| !page.gaps.is_empty())
            .map(String::as_str)
    }

    /// Takes the response. Returns the ids that do not exist, and the look-up of the rest.
    pub(super) fn accept(mut self, page: &FetchedPage) -> (Vec<String>, Option<Self>) {
        let is_empty = page.objects == 0 && page.gaps.is_empty();
        if is_empty && std::mem::take(&mut self.doubts_empty) {
            return (Vec::new(), Some(self));
        }
        let doubts_empty = self.doubts_empty;
        let found: HashSet<&str> = page.list.iter().map(Row::id).collect();
        let rest = self.ids.split_off(self.requested.min(self.ids.len()));
        let mut requested = self.ids;
        if requested.is_empty() {
            requested.extend(self.alone.pop());
        }
        let is_alone = requested.len() == 1;
        requested.retain(|id| !found.contains(id.as_str()));
        if page.gaps.is_empty() {
            return (requested, Self::of_both((rest, self.alone), doubts_empty));
        }
        // It is not known which of the ids cannot be read: none counts as deleted, and each is requested alone.
        if !is_alone {
            self.alone.extend(requested);
        }
        (Vec::new(), Self::of_both((rest, self.alone), doubts_empty))
    }
}

fn by_filter(table: &'static Table, limit: u32, ids: Vec<String>) -> ListRequest {
    ListRequest {
        collection: collection(table),
        sort: full_listing(table).0,
        limit,
        filter: Filter {
            id: Some(AnyOf { any: ids }),
            ..Filter::default()
        },
        ..ListRequest::default()
    }
}

/// Returns the way in which objects of a table are looked up.
pub(super) fn way(table: &Table) -> tables::LookUp {
    match table.strategy {
        Strategy::Snapshot(listing) => listing.look_up,
        Strategy::NewestFirst { .. } | Strategy::Runs => tables::LookUp::Filter,
        Strategy::AppendOnly(_) | Strategy::Nested(_) | Strategy::Server => tables::LookUp::None,
    }
}
