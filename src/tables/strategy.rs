//! How a table's changes are found; `docs/SYNC.md` explains each.

use super::Table;

/// How a table's changes are found.
#[derive(Debug, Clone, Copy)]
pub enum Strategy {
    /// Everything is read at every sync; a row is sent when its fingerprint is new. For small
    /// collections, and for those whose `updated` does not tell the truth.
    Snapshot(Listing),
    /// Read by `updated`, newest first, down to the last cursor. For collections that the server can
    /// sort that way.
    NewestFirst {
        /// The sort by `updated`, descending.
        sort: &'static str,
        /// Rows outlive Prefect's retention: what is gone there is not deleted here.
        keeps_history: bool,
    },
    /// Read once in full, then by several readers together. For runs, which no server can sort or
    /// filter by `updated`.
    Runs,
    /// Only ever added to: read by its time, from the last sync on.
    Tail(Feed),
    /// Rows are parts of another table's objects: read with those, at no request of their own.
    Part(Part),
    /// One row: the server itself.
    Server,
}

/// How a collection is listed in full.
#[derive(Debug, Clone, Copy)]
pub struct Listing {
    /// A sort by what cannot change; `None` where the endpoint has none.
    pub sort: Option<&'static str>,
    /// The column by which the listing is sorted then.
    pub order: &'static str,
    /// How an object that is gone from the listing is looked for.
    pub look_up: LookUp,
    /// The collection has a listing for each object of another one.
    pub each: Option<Each>,
    /// Another listing, where this one may leave objects out.
    pub second: Option<Second>,
}

/// How an object is looked for by its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LookUp {
    /// By the filter `id.any_`, many at once.
    Filter,
    /// One by one, by `GET <endpoint>/<id>`.
    Get,
    /// There is no way: a complete listing without it has to do.
    None,
}

/// A listing for each object of another collection.
#[derive(Debug, Clone, Copy)]
pub struct Each {
    /// The collection whose objects have one each.
    pub of: &'static Table,
    /// The column whose value stands for `{}` in the endpoint.
    pub by: &'static str,
}

/// Another listing with objects of a table, in which they have a prefix before their names.
///
/// Columns of the same name and type in both tables have the same values.
#[derive(Debug, Clone, Copy)]
pub struct Second {
    /// The table whose listing it is.
    pub of: &'static Table,
    /// The other table's column with the names.
    pub name: &'static str,
    /// The beginning of the names of this table's objects.
    pub prefix: &'static str,
    /// The column of this table that has the rest of the name.
    pub column: &'static str,
}

/// A listing by time, latest first.
#[derive(Debug, Clone, Copy)]
pub enum Feed {
    /// `POST <endpoint>/filter`, sorted and filtered by `timestamp`.
    Logs,
    /// `POST /events/filter`, by `occurred`.
    Events(Events),
}

/// Which events, and what is taken out of them.
#[derive(Debug, Clone, Copy)]
pub struct Events {
    /// Beginnings of names; none: all events.
    pub names: &'static [&'static str],
    /// Names that are left out.
    pub but: &'static [&'static str],
    /// A column that every row has: an event without a value for it is none of this table's rows.
    pub needs: Option<&'static str>,
    /// Fields to add to an event, taken from inside it.
    pub more: fn(event: &serde_json::Value) -> Vec<(&'static str, serde_json::Value)>,
    /// Where the server has no events: flow runs, whose states are asked for one by one.
    pub instead: Option<&'static Table>,
}

/// Rows that are parts of another table's objects.
#[derive(Debug, Clone, Copy)]
pub struct Part {
    /// The other table.
    pub of: &'static Table,
    /// Its column that holds them, as JSON.
    pub column: &'static str,
    /// The parts as a JSON array of objects, from the object's id and that column's value.
    pub split: fn(id: &str, json: &str) -> Option<String>,
}
