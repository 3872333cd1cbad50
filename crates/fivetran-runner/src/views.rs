//! Views in a DuckDB file.

use std::{fmt::Write as _, path::Path};

use super::{
    DEFAULT_SCHEMA, Error,
    database::DuckDb,
    one_line::one_line,
    sql::{path_of, quote, text_literal},
    table::{ACTIVE, DELETED, END, START, TableName},
    warehouse::Store as _,
};

/// The schema of views that show a warehouse with history as one without.
pub(super) const LATEST: &str = "latest";

/// A view: a name for a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct View<'a> {
    /// The schema in which the view is created.
    pub schema: &'a str,
    /// The view's name.
    pub name: &'a str,
    /// The description, stored as the view's comment.
    pub description: &'a str,
    /// The query: one statement, without a semicolon.
    pub sql: &'a str,
}

/// A view that could not be created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// Schema and name, such as `views.failed_tasks`.
    pub view: String,
    /// DuckDB's message, such as that a table does not exist.
    pub reason: String,
}

/// The schema that queries on tables should use. It is the schema of the last sync, or that of [`make_latest`] in a
/// warehouse with history.
pub fn tables_lie_in(db: &Path) -> Result<String, Error> {
    Ok(match open(db)?.last_checkpointed()? {
        Some((_, true)) => LATEST.to_owned(),
        Some((schema, false)) => schema,
        None => DEFAULT_SCHEMA.to_owned(),
    })
}

/// Creates a view in the schema `latest` for each table of a warehouse with history. The view shows the latest
/// version of each row, with `_fivetran_deleted` for a deleted one, as if no history were kept. Without history
/// nothing happens.
pub fn make_latest(db: &Path) -> Result<(), Error> {
    let mut duckdb = open(db)?;
    let Some((schema, true)) = duckdb.last_checkpointed()? else {
        return Ok(());
    };
    let mut sql = format!("BEGIN; CREATE SCHEMA IF NOT EXISTS {LATEST};\n");
    for table in duckdb.tables_in(&schema)? {
        let name = TableName {
            schema: schema.clone(),
            table,
        };
        let Some(existing) = duckdb.describe(&name)? else {
            continue;
        };
        let Some(key) = existing.key else {
            continue;
        };
        let key: Vec<_> = key.iter().map(|column| quote(column)).collect();
        let view = TableName {
            schema: LATEST.to_owned(),
            table: name.table.clone(),
        };
        // Writing to a String cannot fail.
        let _ = writeln!(
            sql,
            "CREATE OR REPLACE VIEW {} AS SELECT * EXCLUDE ({ACTIVE}, {START}, {END}), \
             NOT {ACTIVE} AS {DELETED} FROM {} \
             QUALIFY row_number() OVER (PARTITION BY {} ORDER BY {START} DESC) = 1; {};",
            path_of(&view),
            path_of(&name),
            key.join(", "),
            comment_statement(&view, &existing.comment.unwrap_or_default())
        );
    }
    sql.push_str("COMMIT");
    let created = duckdb.execute(&sql);
    created.map_err(|reason| cannot_create("the views of the latest versions", &reason))
}

fn cannot_create(what: &str, reason: &str) -> Error {
    Error::Warehouse {
        doing: format!("create {what}"),
        reason: one_line(reason),
    }
}

/// The statement that stores a view's description, which replacing the view has removed.
fn comment_statement(view: &TableName, description: &str) -> String {
    let comment = if description.is_empty() {
        "NULL".to_owned()
    } else {
        text_literal(description)
    };
    format!("COMMENT ON VIEW {} IS {comment}", path_of(view))
}

fn open(db: &Path) -> Result<DuckDb, Error> {
    if !db.exists() {
        let path = db.to_owned();
        return Err(Error::NoWarehouse { path });
    }
    DuckDb::open(db)
}

/// Creates the views in a DuckDB file, replacing those of the same name. Returns those that could not be created.
///
/// A view that could not be created does not exist afterwards, even if an earlier one of its name did.
pub fn execute_views(db: &Path, views: &[View<'_>]) -> Result<Vec<LeftOut>, Error> {
    let duckdb = open(db)?;
    let failed = |reason: String| cannot_create("the views", &reason);
    // One transaction, because each commit waits for the disk. A view that cannot be created does not end it.
    duckdb.execute("BEGIN").map_err(failed)?;
    let mut left_out = Vec::new();
    for view in views {
        let schema = quote(view.schema);
        let name = TableName {
            schema: view.schema.to_owned(),
            table: view.name.to_owned(),
        };
        let path = path_of(&name);
        // The line break ends a comment at the end of the query.
        let make = format!(
            "CREATE SCHEMA IF NOT EXISTS {schema}; CREATE OR REPLACE VIEW {path} AS\n{}\n; {}",
            view.sql,
            comment_statement(&name, view.description)
        );
        if let Err(reason) = duckdb.execute(&make) {
            // Fails if the name belongs to something other than a view, which must stay.
            let _ = duckdb.execute(&format!("DROP VIEW IF EXISTS {path}"));
            left_out.push(LeftOut {
                view: format!("{}.{}", view.schema, view.name),
                reason: reason.lines().next().unwrap_or_default().to_owned(),
            });
        }
    }
    duckdb.execute("COMMIT").map_err(failed)?;
    Ok(left_out)
}
