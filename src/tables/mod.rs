//! What a table is: plain data, one file per Prefect collection.
//!
//! A newcomer adds a table by writing one file with one [`Table`] and naming it in [`ALL`]. Schema,
//! setup tests, flattening, planning and the generated `docs/TABLES.md` follow from it; the checks at
//! the end of this file hold for every table.

mod deployments;
mod flow_runs;
mod flows;
mod markdown;

pub use markdown::markdown;

/// Every table, in the order in which a sync reads them.
pub static ALL: &[&Table] = &[&flows::TABLE, &deployments::TABLE, &flow_runs::TABLE];

/// The table called `name`.
pub fn find(name: &str) -> Option<&'static Table> {
    ALL.iter().copied().find(|table| table.name == name)
}

/// One table of the warehouse and the Prefect collection it comes from.
#[derive(Debug)]
pub struct Table {
    /// The table's name in the warehouse: Prefect's own name of the collection.
    pub name: &'static str,
    /// What a row is, in one sentence for users.
    pub doc: &'static str,
    /// The collection's path below the API's root, such as `/flow_runs`.
    pub endpoint: &'static str,
    /// How changes are found.
    pub strategy: Strategy,
    /// All columns; the first is the key.
    pub columns: &'static [Column],
    /// One object as each supported server generation sends it, newest first. The checks and the
    /// documentation use them.
    pub samples: &'static [&'static str],
}

impl Table {
    /// The position of the column called `name`.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name == name)
    }
}

/// How a table's changes are found; `docs/SYNC.md` explains each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strategy {
    /// Everything is read at every sync; a row is sent when its fingerprint is new. For small
    /// collections, and for those whose `updated` does not tell the truth.
    Snapshot {
        /// A sort by what cannot change.
        sort: &'static str,
    },
    /// Read by `updated`, newest first, down to the last cursor. For collections that the server can
    /// sort that way.
    NewestFirst {
        /// The sort by `updated`, descending.
        sort: &'static str,
    },
    /// Read once in full, then by several readers together. For runs, which no server can sort or
    /// filter by `updated`.
    Runs,
}

/// The type of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Text; ids and enumerations too.
    String,
    /// True or false.
    Boolean,
    /// A 64-bit integer: counts and limits.
    Long,
    /// A 64-bit float: durations in seconds.
    Double,
    /// An instant, UTC, to the microsecond.
    UtcDatetime,
    /// Any JSON, byte for byte as Prefect sent it.
    Json,
}

/// Where a column's value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The first of these places that holds something else than null. A place is a field (`name`), a
    /// field of a flattened object (`state.type`), or a field of a list's first element
    /// (`schedules.0.schedule`).
    Json(&'static [&'static str]),
    /// The workspace's id: from the URL on Prefect Cloud, null on a self-hosted server.
    Workspace,
    /// Everything of the object that no other column took, as one JSON object; null when there is
    /// nothing.
    Unmapped,
}

/// One column.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// The name: lower snake case, no SQL reserved word.
    pub name: &'static str,
    /// The type.
    pub kind: Kind,
    /// Where the value comes from.
    pub source: Source,
    /// Changes by itself on every read or poll: sent with the row, but never a reason to send it.
    pub volatile: bool,
    /// What the value means, for users.
    pub doc: &'static str,
}

impl Column {
    /// A column whose value stands at the places `from`.
    const fn new(
        name: &'static str,
        kind: Kind,
        from: &'static [&'static str],
        doc: &'static str,
    ) -> Self {
        Self {
            name,
            kind,
            source: Source::Json(from),
            volatile: false,
            doc,
        }
    }

    /// The same column, marked as changing by itself.
    const fn volatile(mut self) -> Self {
        self.volatile = true;
        self
    }
}

/// The key of every table.
const ID: Column = Column::new("id", Kind::String, &["id"], "The object's id, a UUID.");

/// When the object was made.
const CREATED: Column = Column::new(
    "created",
    Kind::UtcDatetime,
    &["created"],
    "When the object was created.",
);

/// When the object last changed.
const UPDATED: Column = Column::new(
    "updated",
    Kind::UtcDatetime,
    &["updated"],
    "When Prefect last recorded a change of the object.",
);

/// In every table from day one, so that several workspaces can share a destination.
const WORKSPACE_ID: Column = Column {
    name: "workspace_id",
    kind: Kind::String,
    source: Source::Workspace,
    volatile: false,
    doc: "The Prefect Cloud workspace; null for a self-hosted server.",
};

/// In every table: nothing that Prefect sends is lost.
const UNMAPPED: Column = Column {
    name: "unmapped",
    kind: Kind::Json,
    source: Source::Unmapped,
    volatile: false,
    doc: "Fields that have no column here, and values that do not fit their column's type; null when there are none.",
};

/// Labels in the words of the user and of Prefect itself.
const LABELS: Column = Column::new(
    "labels",
    Kind::Json,
    &["labels"],
    "Labels, an object (Prefect 3.2 and later).",
);

/// Tags.
const TAGS: Column = Column::new("tags", Kind::Json, &["tags"], "Tags, a list of strings.");

#[cfg(test)]
mod tests;
