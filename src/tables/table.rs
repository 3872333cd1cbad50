//! A table, and the strategy by which its changes are found; `docs/SYNC.md` explains each strategy.

use super::column::Column;

/// One table of the warehouse and the Prefect collection it comes from.
#[derive(Debug)]
pub struct Table {
    /// The table's name in the warehouse: Prefect's own name of the collection.
    pub name: &'static str,
    /// A description of a row, in one sentence for users.
    pub doc: &'static str,
    /// The collection's path below the API's root, such as `/flow_runs`.
    pub endpoint: &'static str,
    /// The way in which changes are found.
    pub strategy: Strategy,
    /// All columns; the first is the key.
    pub columns: &'static [Column],
    /// Fields that are not kept anywhere: secrets, and data that another table has.
    pub dropped_fields: &'static [&'static str],
    /// The option of the setup form that includes the table; `None` if the table is always included.
    pub choice: Option<OptIn>,
    /// The releases that have the table, such as `3.x`; empty for all releases.
    pub releases: &'static str,
    /// One object per supported server generation, as the server sends it, newest first. The checks and the
    /// documentation use them.
    pub samples: &'static [&'static str],
}

/// The option for a table that is read only if chosen, because it costs many requests and rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OptIn {
    /// The field of the setup form.
    pub field: &'static str,
    /// The label that the user sees above the field.
    pub label: &'static str,
    /// The cost of the table, in requests and rows.
    pub cost: &'static str,
}

impl Table {
    /// The values that most tables have in common.
    pub(super) const DEFAULT: Self = Self {
        name: "",
        doc: "",
        endpoint: "",
        strategy: Strategy::Server,
        columns: &[],
        dropped_fields: &[],
        choice: None,
        releases: "",
        samples: &[],
    };

    /// The position of the column called `name`.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name == name)
    }

    /// The table whose objects hold the rows: the table itself, unless its rows are parts of others.
    pub fn source(&'static self) -> &'static Self {
        match self.strategy {
            Strategy::Nested(part) => part.parent,
            _ => self,
        }
    }

    /// The deletes that become soft deletes.
    pub fn deletes(&'static self) -> Deletes {
        match self.strategy {
            Strategy::Snapshot(Listing {
                look_up: LookUp::None,
                ..
            })
            | Strategy::Nested(_)
                if matches!(self.source().strategy, Strategy::Snapshot(_)) =>
            {
                Deletes::MissingFromListing
            }
            Strategy::Nested(_) => Deletes::KeptWithParent,
            Strategy::Snapshot(_)
            | Strategy::NewestFirst {
                keeps_history: false,
                ..
            } => Deletes::LookedUp,
            Strategy::Runs => Deletes::OfOpenRuns,
            Strategy::NewestFirst { .. } | Strategy::AppendOnly(_) => Deletes::KeptWithAge,
            Strategy::Server => Deletes::Impossible,
        }
    }
}

/// The deletes of a table that become soft deletes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deletes {
    /// All: an object that is missing from a complete listing counts as deleted.
    MissingFromListing,
    /// All: an object that is missing from a complete listing is looked up.
    LookedUp,
    /// Those of open runs. Ended runs are kept.
    OfOpenRuns,
    /// None: the rows are kept as the history of their parents.
    KeptWithParent,
    /// None: Prefect deletes the objects with age, and the rows are kept as history.
    KeptWithAge,
    /// None: the object cannot be deleted.
    Impossible,
}

/// The way in which a table's changes are found.
#[derive(Debug, Clone, Copy)]
pub enum Strategy {
    /// Every sync reads the whole listing and sends the rows whose fingerprint is new. For small collections, and
    /// for those whose `updated` is not reliable.
    Snapshot(Listing),
    /// Rows are read by `updated`, newest first, down to the last cursor. For collections that the server can sort
    /// by `updated`.
    NewestFirst {
        /// The sort by `updated`, descending.
        sort: &'static str,
        /// True if rows are kept when Prefect deletes the objects with age.
        keeps_history: bool,
    },
    /// Runs are read once in full, then by several readers together. No server can sort or filter runs by
    /// `updated`.
    Runs,
    /// Append-only rows are read by their time, from the last sync on.
    AppendOnly(Feed),
    /// Rows are parts of another table's objects and are read with them, at no request of their own.
    Nested(Nested),
    /// One row describes the server itself.
    Server,
}

/// The complete listing of a collection.
#[derive(Debug, Clone, Copy)]
pub struct Listing {
    /// A sort by a field that cannot change; `None` if the endpoint has no sort.
    pub sort: Option<&'static str>,
    /// The column by which the listing is sorted.
    pub order: &'static str,
    /// The way to look up an object that is missing from the listing.
    pub look_up: LookUp,
    /// Set if the collection has one listing for each object of another collection.
    pub each: Option<PerParent>,
    /// A second listing, if the first one may leave objects out.
    pub second: Option<Second>,
}

/// The way to look up an object by its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LookUp {
    /// By the filter `id.any_`, many objects per request.
    Filter,
    /// By `GET <endpoint>/<id>`, one object per request.
    Get,
    /// No look-up exists: an object that is missing from a complete listing counts as gone.
    None,
}

/// A listing for each object of another collection.
#[derive(Debug, Clone, Copy)]
pub struct PerParent {
    /// The collection whose objects have one listing each.
    pub table: &'static Table,
    /// The column whose value replaces `{}` in the endpoint.
    pub key_column: &'static str,
}

/// A second listing of a table's objects, in which their names have a prefix.
///
/// Columns of the same name and type in both tables have the same values.
#[derive(Debug, Clone, Copy)]
pub struct Second {
    /// The table to which the second listing belongs.
    pub table: &'static Table,
    /// The other table's column with the names.
    pub name: &'static str,
    /// The prefix of the names of this table's objects.
    pub prefix: &'static str,
    /// The column of this table that holds the rest of the name.
    pub column: &'static str,
}

/// The source of an append-only table: a listing by time, latest first.
#[derive(Debug, Clone, Copy)]
pub enum Feed {
    /// `POST <endpoint>/filter`, sorted and filtered by `timestamp`.
    Logs,
    /// `POST /events/filter`, by `occurred`.
    Events(Events),
}

/// The selection of events, and the fields that are taken from them.
#[derive(Debug, Clone, Copy)]
pub struct Events {
    /// Prefixes of event names; an empty list means all events.
    pub names: &'static [&'static str],
    /// Event names to exclude. Ignored if `names` is empty.
    pub exclude: &'static [&'static str],
    /// A column that every row has. An event without a value for this column is not a row of the table.
    pub required_column: Option<&'static str>,
    /// Returns the fields to add to an event, taken from inside the event.
    pub derived: fn(event: &serde_json::Value) -> Vec<(&'static str, serde_json::Value)>,
    /// The flow runs whose states are requested one run at a time if the server has no events.
    pub fallback: Option<&'static Table>,
}

/// Rows that are parts of another table's objects.
#[derive(Debug, Clone, Copy)]
pub struct Nested {
    /// The other table.
    pub parent: &'static Table,
    /// The other table's column that holds the parts, as JSON.
    pub column: &'static str,
    /// Returns the parts as a JSON array of objects, given the object's id and the column's value.
    pub split: fn(id: &str, json: &str) -> Option<String>,
}
