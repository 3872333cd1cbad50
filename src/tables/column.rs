//! Columns: what they are, where their values come from, and those that every table has.

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

/// What a column points to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reference {
    /// The table; the key is its `id`.
    pub table: &'static str,
    /// Prefect itself keeps ids of objects that are gone.
    pub dangles: bool,
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
    /// Prefect also changes it without `updated`, in a table whose changes are found by that: it stays as it was
    /// when the row was last sent.
    pub as_sent: bool,
    /// Whether Prefect always gives a value.
    pub required: bool,
    /// The table whose `id` it holds.
    pub references: Option<Reference>,
    /// Which releases have it; all of them where it says nothing.
    pub releases: &'static str,
    /// What the value means, for users.
    pub doc: &'static str,
}

impl Column {
    /// A column whose value stands at the places `from`.
    pub(super) const fn new(
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
            as_sent: false,
            required: false,
            references: None,
            releases: "",
            doc,
        }
    }

    /// The same column, marked as changing by itself.
    pub(super) const fn volatile(mut self) -> Self {
        self.volatile = true;
        self
    }

    /// The same column, marked as keeping the value that was last sent with the row.
    pub(super) const fn as_sent(mut self) -> Self {
        self.as_sent = true;
        self
    }

    /// The same column, marked as never null.
    pub(super) const fn required(mut self) -> Self {
        self.required = true;
        self
    }

    /// The same column, pointing to the `id` of `table`, whose rows stay as long as it points to them.
    pub(super) const fn references(mut self, table: &'static str) -> Self {
        let dangles = false;
        self.references = Some(Reference { table, dangles });
        self
    }

    /// The same column, pointing to the `id` of `table`, also where that is gone.
    pub(super) const fn may_dangle(mut self, table: &'static str) -> Self {
        let dangles = true;
        self.references = Some(Reference { table, dangles });
        self
    }

    /// The same column, which only these releases have: `3.2+` or `2.x`.
    pub(super) const fn releases(mut self, releases: &'static str) -> Self {
        self.releases = releases;
        self
    }
}

/// The key of every table.
pub(super) const ID: Column =
    Column::new("id", Kind::String, &["id"], "The object's id, a UUID.").required();

/// When the object was made.
pub(super) const CREATED: Column = Column::new(
    "created",
    Kind::UtcDatetime,
    &["created"],
    "When the object was created.",
)
.required();

/// When the object last changed.
pub(super) const UPDATED: Column = Column::new(
    "updated",
    Kind::UtcDatetime,
    &["updated"],
    "When Prefect last recorded a change of the object.",
)
.required();

/// In every table from day one, so that several workspaces can share a destination.
pub(super) const WORKSPACE_ID: Column = Column {
    name: "workspace_id",
    kind: Kind::String,
    source: Source::Workspace,
    volatile: false,
    as_sent: false,
    required: false,
    references: None,
    releases: "",
    doc: "The Prefect Cloud workspace; null for a self-hosted server.",
};

/// In every table: nothing that Prefect sends is lost.
pub(super) const UNMAPPED: Column = Column {
    name: "unmapped",
    kind: Kind::Json,
    source: Source::Unmapped,
    volatile: false,
    as_sent: false,
    required: false,
    references: None,
    releases: "",
    doc: "Fields that have no column here, and values that do not fit their column's type; null when there are none.",
};

/// Labels in the words of the user and of Prefect itself.
pub(super) const LABELS: Column =
    Column::new("labels", Kind::Json, &["labels"], "Labels, an object.").releases("3.2+");

/// Tags.
pub(super) const TAGS: Column =
    Column::new("tags", Kind::Json, &["tags"], "Tags, a list of strings.");
