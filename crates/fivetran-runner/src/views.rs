//! Views in a DuckDB file.

use std::path::Path;

use super::{
    DEFAULT_SCHEMA, Error,
    database::DuckDb,
    sql::{path_of, quote},
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
    let failed = |reason| Error::Warehouse {
        doing: "create the views of the latest versions".to_owned(),
        reason,
    };
    duckdb
        .execute(&format!("CREATE SCHEMA IF NOT EXISTS {LATEST}"))
        .map_err(failed)?;
    for table in duckdb.tables_in(&schema)? {
        let name = TableName {
            schema: schema.clone(),
            table,
        };
        let Some(key) = duckdb.describe(&name)?.and_then(|existing| existing.key) else {
            continue;
        };
        let key: Vec<_> = key.iter().map(|column| quote(column)).collect();
        let view = TableName {
            schema: LATEST.to_owned(),
            table: name.table.clone(),
        };
        let make = format!(
            "CREATE OR REPLACE VIEW {} AS SELECT * EXCLUDE ({ACTIVE}, {START}, {END}), \
             NOT {ACTIVE} AS {DELETED} FROM {} \
             QUALIFY row_number() OVER (PARTITION BY {} ORDER BY {START} DESC) = 1",
            path_of(&view),
            path_of(&name),
            key.join(", ")
        );
        duckdb.execute(&make).map_err(failed)?;
    }
    Ok(())
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
    let mut left_out = Vec::new();
    for view in views {
        let schema = quote(view.schema);
        let path = path_of(&TableName {
            schema: view.schema.to_owned(),
            table: view.name.to_owned(),
        });
        // The line break ends a comment at the end of the query.
        let make = format!(
            "CREATE SCHEMA IF NOT EXISTS {schema}; CREATE OR REPLACE VIEW {path} AS\n{}\n",
            view.sql
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
    Ok(left_out)
}
