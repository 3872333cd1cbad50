//! Comments on tables and columns, also of those of the local run itself. They are written only where they differ, so they cost a quiet sync one query.

use std::{collections::HashMap, fmt::Write as _};

use duckdb::Result;

use super::{connection::DuckDb, log, primary_keys};
use crate::{
    comments::Comment,
    error::Error,
    one_line::one_line,
    sql::{path_of, quote, text_literal},
};

/// A table, or one of its columns: names in lower case, because DuckDB ignores their case.
type Place = (String, String, Option<String>);

impl DuckDb {
    /// Writes the comments that differ from the present ones, in one transaction.
    pub(super) fn write_comments(&mut self, comments: &[Comment]) -> Result<(), Error> {
        self.with_memory(|database| {
            let written = database.try_write_comments(comments);
            if written.is_err() {
                // The first error is the one to report; the transaction may have ended already.
                let _ = database.connection.execute_batch("ROLLBACK");
            }
            written.map_err(|error| Error::Warehouse {
                doing: "write the comments on tables and columns".to_owned(),
                reason: one_line(&error.to_string()),
            })
        })
    }

    fn try_write_comments(&self, comments: &[Comment]) -> Result<()> {
        let present = self.present_comments()?;
        let own = [log::comments(), primary_keys::comments()].concat();
        let mut sql = String::new();
        for comment in comments.iter().chain(&own) {
            let place = place(comment);
            // A column that was not selected does not exist.
            let Some(text) = present.get(&place) else {
                continue;
            };
            if text.as_ref() != Some(&comment.text) {
                // Writing to a String cannot fail.
                let _ = writeln!(sql, "{};", statement(comment));
            }
        }
        if sql.is_empty() {
            return Ok(());
        }
        self.connection
            .execute_batch(&format!("BEGIN; {sql}COMMIT"))
    }

    /// Returns the comments of all tables and columns, with `None` for those that have none.
    fn present_comments(&self) -> Result<HashMap<Place, Option<String>>> {
        let find = "SELECT lower(schema_name), lower(table_name), NULL, comment \
             FROM duckdb_tables() WHERE database_name = current_database() \
             UNION ALL SELECT lower(schema_name), lower(table_name), lower(column_name), comment \
             FROM duckdb_columns() WHERE database_name = current_database() AND NOT internal";
        let mut statement = self.connection.prepare(find)?;
        let rows = statement.query_map([], |row| {
            Ok(((row.get(0)?, row.get(1)?, row.get(2)?), row.get(3)?))
        })?;
        rows.collect()
    }
}

fn place(comment: &Comment) -> Place {
    (
        comment.table.schema.to_lowercase(),
        comment.table.table.to_lowercase(),
        comment.column.as_deref().map(str::to_lowercase),
    )
}

fn statement(comment: &Comment) -> String {
    let (table, text) = (path_of(&comment.table), text_literal(&comment.text));
    match &comment.column {
        None => format!("COMMENT ON TABLE {table} IS {text}"),
        Some(column) => format!("COMMENT ON COLUMN {table}.{} IS {text}", quote(column)),
    }
}
