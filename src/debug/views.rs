//! Views in a DuckDB file.

use std::path::Path;

use super::{
    Error,
    duckdb::DuckDb,
    sql::{path_of, quote},
    table::TableName,
};

/// A view: a name for a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct View<'a> {
    /// The schema it is made in.
    pub schema: &'a str,
    /// Its name.
    pub name: &'a str,
    /// What it selects: one statement, without a semicolon.
    pub sql: &'a str,
}

/// A view that could not be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// Schema and name, such as `views.failed_tasks`.
    pub view: String,
    /// DuckDB's words, such as that a table does not exist.
    pub reason: String,
}

/// Makes the views in a DuckDB file, in the place of those of the same name, and says which could not be made.
///
/// One that could not be made is not there afterwards, also when an earlier one of its name was.
pub fn execute_views(db: &Path, views: &[View<'_>]) -> Result<Vec<LeftOut>, Error> {
    if !db.exists() {
        let path = db.to_owned();
        return Err(Error::NoWarehouse { path });
    }
    let duckdb = DuckDb::open(db)?;
    let mut left_out = Vec::new();
    for view in views {
        let schema = quote(view.schema);
        let path = path_of(&TableName {
            schema: view.schema.to_owned(),
            table: view.name.to_owned(),
        });
        // On its own line, so that a comment at the end swallows nothing.
        let make = format!(
            "CREATE SCHEMA IF NOT EXISTS {schema}; CREATE OR REPLACE VIEW {path} AS\n{}\n",
            view.sql
        );
        if let Err(reason) = duckdb.execute(&make) {
            // Fails where there is something of that name that is no view: it is not ours.
            let _ = duckdb.execute(&format!("DROP VIEW IF EXISTS {path}"));
            left_out.push(LeftOut {
                view: format!("{}.{}", view.schema, view.name),
                reason: reason.lines().next().unwrap_or_default().to_owned(),
            });
        }
    }
    Ok(left_out)
}
