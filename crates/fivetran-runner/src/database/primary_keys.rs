//! The primary keys of the tables that syncs created, as rows of a table beside the log of syncs.
//!
//! DuckDB's own keys would make replacing rows slow. Earlier versions stored the key as the table's comment, which is
//! now its description: [`prepare`] moves such keys here.

use duckdb::{Connection, OptionalExt as _, Result, params};

use crate::{
    TableDescription,
    comments::{Comment, comments_of},
    sql::{path_of, text_literal},
    table::{SYNCED, Table, TableName},
};

const CREATE: &str = "CREATE SCHEMA IF NOT EXISTS _local_run;
CREATE TABLE _local_run.primary_keys (schema_name VARCHAR, table_name VARCHAR, columns JSON)";

/// The condition under which a row is the one of a table of `duckdb_tables() AS t`.
pub(super) const HAS_KEY: &str = "EXISTS (FROM _local_run.primary_keys AS k \
     WHERE lower(k.schema_name) = lower(t.schema_name) AND lower(k.table_name) = lower(t.table_name))";

/// Returns the comments of the table and its columns.
pub(super) fn comments() -> Vec<Comment> {
    let columns = [
        ("schema_name", "The schema of the table."),
        ("table_name", "The name of the table."),
        ("columns", "The names of the columns of the key."),
    ];
    let columns = columns.map(|(name, text)| (name.to_owned(), text.to_owned()));
    let description = TableDescription {
        table: "primary_keys".to_owned(),
        description: "The primary key of each table that a sync created.".to_owned(),
        columns: columns.to_vec(),
    };
    let name = TableName {
        schema: "_local_run".to_owned(),
        table: description.table.clone(),
    };
    comments_of(&name, Some(&description))
}

/// Creates the table of the keys if it is missing, and moves keys to it that are stored as comments.
pub(super) fn prepare(connection: &mut Connection) -> Result<()> {
    // A query that cannot be prepared is the fastest sign of a missing table.
    if connection.prepare("FROM _local_run.primary_keys").is_ok() {
        return Ok(());
    }
    let open = connection.transaction()?;
    open.execute_batch(CREATE)?;
    for (name, key) in keys_in_comments(&open)? {
        let forget = format!("COMMENT ON TABLE {} IS NULL", path_of(&name));
        open.execute_batch(&format!("{}; {forget}", insert(&name, &key)))?;
    }
    open.commit()
}

/// The tables of syncs whose comments are their keys.
fn keys_in_comments(connection: &Connection) -> Result<Vec<(TableName, Vec<String>)>> {
    let find = "SELECT t.schema_name, t.table_name, t.comment FROM duckdb_tables() AS t \
         WHERE t.database_name = current_database() AND starts_with(t.comment, '[\"') \
         AND EXISTS (FROM duckdb_columns() AS c WHERE c.table_oid = t.table_oid \
         AND c.database_name = current_database() AND c.column_name = ?)";
    let mut statement = connection.prepare(find)?;
    let rows = statement.query_map([SYNCED], |row| {
        let (schema, table) = (row.get(0)?, row.get(1)?);
        let comment: String = row.get(2)?;
        Ok((TableName { schema, table }, parse(&comment)))
    })?;
    let found: Vec<_> = rows.collect::<Result<_>>()?;
    let found = found.into_iter();
    Ok(found.filter_map(|(name, key)| Some((name, key?))).collect())
}

/// Returns the key of a table, or `None` if no sync created the table.
pub(super) fn find(connection: &Connection, name: &TableName) -> Result<Option<Vec<String>>> {
    let find = "SELECT columns FROM _local_run.primary_keys \
         WHERE lower(schema_name) = lower(?) AND lower(table_name) = lower(?)";
    let key = connection.query_row(find, params![name.schema, name.table], |row| {
        row.get::<_, String>(0)
    });
    Ok(key.optional()?.and_then(|key| parse(&key)))
}

/// The statements that store the key of a new table.
pub(super) fn insert_statements(table: &Table) -> String {
    insert(&table.name, table.key())
}

fn insert(name: &TableName, key: &[String]) -> String {
    let schema = text_literal(&name.schema);
    let table = text_literal(&name.table);
    let key = text_literal(&serde_json::Value::from(key).to_string());
    // A table of this name may have existed before.
    format!(
        "DELETE FROM _local_run.primary_keys \
         WHERE lower(schema_name) = lower({schema}) AND lower(table_name) = lower({table}); \
         INSERT INTO _local_run.primary_keys VALUES ({schema}, {table}, {key})"
    )
}

fn parse(key: &str) -> Option<Vec<String>> {
    serde_json::from_str(key).ok()
}
