//! Columns: their types, the sources of their values, and the columns that every table has.

/// The type of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnType {
    /// Text, including ids and enumerations.
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

/// The source of a column's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The first of these places whose value is not null. A place is a field (`name`), a field of a flattened
    /// object (`state.type`), or a field of a list's first element (`schedules.0.schedule`).
    Json(&'static [&'static str]),
    /// The workspace's id: from the URL on Prefect Cloud, null on a self-hosted server.
    Workspace,
    /// All fields of the object that no other column took, as one JSON object; null if there are none.
    Unmapped,
}

/// The target of a column that holds keys of another table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reference {
    /// The other table; its `id` is the key.
    pub table: &'static str,
    /// True if Prefect itself keeps ids of deleted objects in the column.
    pub dangles: bool,
}

/// One column.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// The name: lower snake case, no SQL reserved word.
    pub name: &'static str,
    /// The type.
    pub kind: ColumnType,
    /// The source of the value.
    pub source: Source,
    /// True if the value changes on every read or poll. The value is sent with the row, but is never a reason to
    /// send the row.
    pub volatile: bool,
    /// True if Prefect also changes the value without `updated`, in a table whose changes are found by `updated`.
    /// The column then keeps the value that was last sent with the row.
    pub as_sent: bool,
    /// True if Prefect always gives a value.
    pub required: bool,
    /// The table whose `id` the column holds.
    pub references: Option<Reference>,
    /// The releases that have the column; empty for all releases.
    pub releases: &'static str,
    /// The meaning of the value, for users.
    pub doc: &'static str,
}

impl Column {
    /// Creates a column whose value is at the places `from`.
    pub(super) const fn new(
        name: &'static str,
        kind: ColumnType,
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

    /// Marks the column as volatile.
    pub(super) const fn volatile(mut self) -> Self {
        self.volatile = true;
        self
    }

    /// Marks the column as keeping the value that was last sent with the row.
    pub(super) const fn as_sent(mut self) -> Self {
        self.as_sent = true;
        self
    }

    /// Marks the column as never null.
    pub(super) const fn required(mut self) -> Self {
        self.required = true;
        self
    }

    /// Makes the column point to the `id` of `table`, whose rows stay as long as the column points to them.
    pub(super) const fn references(mut self, table: &'static str) -> Self {
        let dangles = false;
        self.references = Some(Reference { table, dangles });
        self
    }

    /// Makes the column point to the `id` of `table`, even if the row is gone.
    pub(super) const fn may_dangle(mut self, table: &'static str) -> Self {
        let dangles = true;
        self.references = Some(Reference { table, dangles });
        self
    }

    /// Limits the column to these releases: `3.2+` or `2.x`.
    pub(super) const fn releases(mut self, releases: &'static str) -> Self {
        self.releases = releases;
        self
    }
}

/// The key of every table.
pub(super) const ID: Column = Column::new(
    "id",
    ColumnType::String,
    &["id"],
    "The object's id, a UUID.",
)
.required();

/// The time at which the object was created.
pub(super) const CREATED: Column = Column::new(
    "created",
    ColumnType::UtcDatetime,
    &["created"],
    "The time at which the object was created.",
)
.required();

/// The time at which Prefect last recorded a change of the object.
pub(super) const UPDATED: Column = Column::new(
    "updated",
    ColumnType::UtcDatetime,
    &["updated"],
    "The time of the last change that Prefect recorded.",
)
.required();

/// The workspace. Every table has this column, so that several workspaces can share a destination.
pub(super) const WORKSPACE_ID: Column = Column {
    name: "workspace_id",
    kind: ColumnType::String,
    source: Source::Workspace,
    volatile: false,
    as_sent: false,
    required: false,
    references: None,
    releases: "",
    doc: "The Prefect Cloud workspace; null for a self-hosted server.",
};

/// The fields without a column. Every table has this column, so that nothing that Prefect sends is lost.
pub(super) const UNMAPPED: Column = Column {
    name: "unmapped",
    kind: ColumnType::Json,
    source: Source::Unmapped,
    volatile: false,
    as_sent: false,
    required: false,
    references: None,
    releases: "",
    doc: "Fields that have no column here, and values that do not fit their column's type; null when there are none.",
};

/// The labels that the user or Prefect itself gave to the object.
pub(super) const LABELS: Column = Column::new(
    "labels",
    ColumnType::Json,
    &["labels"],
    "Labels, an object.",
)
.releases("3.2+");

/// The tags of the object.
pub(super) const TAGS: Column = Column::new(
    "tags",
    ColumnType::Json,
    &["tags"],
    "Tags, a list of strings.",
);
