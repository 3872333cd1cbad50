//! The comments of the warehouse: descriptions of its tables and their columns.
//!
//! The protocol has no descriptions, so the caller of a run supplies those of the connector's tables. The descriptions
//! of the system columns are the same for every connector.

use super::table::{ACTIVE, DELETED, END, ROW_ID, START, SYNCED, TableName};

/// The descriptions of the system columns. A table has only some of them.
const SYSTEM_COLUMNS: [(&str, &str); 6] = [
    (
        SYNCED,
        "The time at which the row, or this version of it, was last written.",
    ),
    (DELETED, "True if the source deleted the row."),
    (ACTIVE, "True for the current version of the row."),
    (START, "The start of the version."),
    (
        END,
        "The end of the version; 9999-12-31 23:59:59.999 for the current one.",
    ),
    (
        ROW_ID,
        "A hash of the row's values: the key, because the table declares none.",
    ),
];

/// The description of a table and its columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableDescription {
    /// The table's name, as the connector declares it.
    pub table: String,
    /// The description of a row.
    pub description: String,
    /// The names of columns, each with its description.
    pub columns: Vec<(String, String)>,
}

/// The comment that a table or a column of the warehouse should have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Comment {
    pub(super) table: TableName,
    /// The column, or `None` for the table itself.
    pub(super) column: Option<String>,
    pub(super) text: String,
}

/// Returns the comments of a table and its columns, also of columns that it may not have.
pub(super) fn comments_of(
    table: &TableName,
    description: Option<&TableDescription>,
) -> Vec<Comment> {
    let comment = |column: Option<&str>, text: &str| Comment {
        table: table.clone(),
        column: column.map(str::to_owned),
        text: text.to_owned(),
    };
    let system = SYSTEM_COLUMNS.iter();
    let mut comments: Vec<_> = system
        .map(|(column, text)| comment(Some(column), text))
        .collect();
    if let Some(description) = description {
        comments.push(comment(None, &description.description));
        let columns = description.columns.iter();
        comments.extend(columns.map(|(column, text)| comment(Some(column), text)));
    }
    comments
}
