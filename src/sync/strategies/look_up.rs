//! Looking objects up by id, whatever else they are: a complete listing without an object says that it
//! may be gone, and only this says that it is.

use std::collections::HashSet;

use super::{Ask, Rows, collection, full_listing};
use crate::{
    prefect::{AnyOf, Filter, GetRequest, ListRequest},
    rows::Row,
    tables::{self, Strategy, Table},
};

/// Objects to be looked up, a page at a time; never empty.
#[derive(Debug)]
pub(super) struct LookUp {
    ids: Vec<String>,
    /// How many of them the last question was about.
    asked: usize,
}

impl LookUp {
    /// `None` when there is nothing to look up.
    pub(super) fn of(ids: Vec<String>) -> Option<Self> {
        (!ids.is_empty()).then_some(Self { ids, asked: 0 })
    }

    /// The next question: about as many as fit on a page, or one. `None` where objects of the table cannot
    /// be asked for.
    pub(super) fn next(&mut self, table: &'static Table, limit: u32) -> Option<Ask> {
        match way(table) {
            tables::LookUp::Filter => Some(Ask::List(self.by_filter(table, limit))),
            tables::LookUp::Get => {
                self.asked = 1;
                Some(Ask::Get(GetRequest {
                    collection: collection(table),
                    id: self.ids.first()?.clone(),
                }))
            }
            tables::LookUp::None => None,
        }
    }

    fn by_filter(&mut self, table: &'static Table, limit: u32) -> ListRequest {
        self.asked =
            usize::try_from(limit).map_or(self.ids.len(), |limit| limit.min(self.ids.len()));
        ListRequest {
            collection: collection(table),
            sort: full_listing(table).0,
            limit,
            filter: Filter {
                id: Some(AnyOf {
                    any: self.ids[..self.asked].to_vec(),
                }),
                ..Filter::default()
            },
            ..ListRequest::default()
        }
    }

    /// Takes the answer; gives the ids that do not exist, and what is still to be looked up.
    pub(super) fn accept(mut self, page: &Rows) -> (Vec<String>, Option<Self>) {
        if !page.gaps.is_empty() {
            // Which of them cannot be read is not known: none counts as gone.
            let rest = self.ids.split_off(self.asked);
            return (Vec::new(), Self::of(rest));
        }
        let found: HashSet<&str> = page.list.iter().map(Row::id).collect();
        let rest = self.ids.split_off(self.asked);
        self.ids.retain(|id| !found.contains(id.as_str()));
        (self.ids, Self::of(rest))
    }
}

/// How objects of a table are looked up.
pub(super) fn way(table: &Table) -> tables::LookUp {
    match table.strategy {
        Strategy::Snapshot(listing) => listing.look_up,
        Strategy::NewestFirst { .. } | Strategy::Runs => tables::LookUp::Filter,
        Strategy::Tail(_) | Strategy::Part(_) | Strategy::Server => tables::LookUp::None,
    }
}
