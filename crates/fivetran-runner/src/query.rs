//! Queries of a warehouse, with results in several formats.

use std::path::Path;

use crate::{Error, database::DuckDb, report::grid, terminal, views::tables_lie_in};

/// The most rows that are shown unless all are wanted.
const MOST_ROWS: usize = 1_000;

/// The least number of columns of a terminal for a column of a table with wider values.
const NARROWEST: usize = 12;
/// The columns of a terminal between the values of two columns.
const BETWEEN: usize = 3;

/// The format of a result.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum QueryFormat {
    /// A table of text. On a terminal that is too narrow for it, the vertical format.
    #[default]
    Table,
    /// A line for each value: for rows that are wider than a terminal.
    Vertical,
    /// Comma-separated values with a header, as in RFC 4180. A null is empty.
    Csv,
    /// A JSON object on a line for each row, with values of the types that the warehouse has.
    Json,
}

/// Runs one SQL statement on a DuckDB file, which is opened for reading only, and returns its result as text.
///
/// People see at most 1,000 rows unless `all` is true; CSV and JSON, which programs read, always have all rows. Names of
/// tables need no schema.
pub fn query(db: &Path, sql: &str, format: QueryFormat, all: bool) -> Result<String, Error> {
    if !db.exists() {
        let path = db.to_owned();
        return Err(Error::NoWarehouse { path });
    }
    let sql = statement(sql);
    let schema = tables_lie_in(db)?;
    let database = DuckDb::open_read_only(db)?;
    database.prefer_schema(&schema);
    let all = all || matches!(format, QueryFormat::Csv | QueryFormat::Json);
    // One row more shows that there are more.
    let most = if all { usize::MAX >> 1 } else { MOST_ROWS + 1 };
    let mut answer = match format {
        QueryFormat::Json => database.query_json(sql, most)?,
        _ => database.query(sql, most)?,
    };
    let has_more = !all && answer.rows.len() > MOST_ROWS;
    if has_more {
        answer.rows.truncate(MOST_ROWS);
    }
    let mut text = match format {
        QueryFormat::Table if fits(&answer.columns, &answer.rows, terminal::width()) => {
            grid(answer.columns, answer.rows)
        }
        QueryFormat::Table | QueryFormat::Vertical => vertical(&answer.columns, answer.rows),
        QueryFormat::Csv => csv(&answer.columns, answer.rows)?,
        QueryFormat::Json => answer
            .rows
            .concat()
            .into_iter()
            .flatten()
            .collect::<Vec<_>>()
            .join("\n"),
    };
    if has_more {
        text.push_str("\n(the first 1,000 rows; --all shows all of them)");
    }
    Ok(text)
}

/// Returns the statement without what may follow it: a semicolon and comments.
fn statement(sql: &str) -> &str {
    let mut rest = sql.trim_end();
    loop {
        let line = rest.rfind('\n').map_or(0, |at| at + 1);
        let shorter = if rest[line..].trim_start().starts_with("--") {
            rest[..line].trim_end()
        } else {
            rest.trim_end_matches(';').trim_end()
        };
        if shorter.len() == rest.len() {
            return rest;
        }
        rest = shorter;
    }
}

/// Returns true if a table has enough room for each of its columns. Values may continue on further lines.
fn fits(columns: &[String], rows: &[Vec<Option<String>>], width: Option<usize>) -> bool {
    let widest = |at: usize| {
        let cells = rows.iter().filter_map(|row| row.get(at)?.as_deref());
        let lines = cells.chain(columns.get(at).map(String::as_str));
        lines.map(|text| text.chars().count()).max()
    };
    let needed = (0..columns.len()).map(|at| widest(at).unwrap_or_default().min(NARROWEST));
    let needed: usize = needed.map(|column| column + BETWEEN).sum();
    width.is_none_or(|width| needed < width)
}

/// Draws each row as lines of a name and a value.
fn vertical(columns: &[String], rows: Vec<Vec<Option<String>>>) -> String {
    let width = columns.iter().map(|name| name.chars().count()).max();
    let width = width.unwrap_or_default();
    let row = |(number, row): (usize, Vec<Option<String>>)| {
        let mut lines = vec![format!("-- row {}", number + 1)];
        let cells = columns.iter().zip(row);
        lines.extend(cells.map(|(name, cell)| {
            let cell = cell.unwrap_or_default();
            format!("{name:<width$}  {cell}").trim_end().to_owned()
        }));
        lines.join("\n")
    };
    rows.into_iter()
        .enumerate()
        .map(row)
        .collect::<Vec<_>>()
        .join("\n")
}

fn csv(columns: &[String], rows: Vec<Vec<Option<String>>>) -> Result<String, Error> {
    let failed = |error: &dyn std::fmt::Display| Error::Query {
        reason: error.to_string(),
    };
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer
        .write_record(columns)
        .map_err(|error| failed(&error))?;
    for row in rows {
        let cells = row.into_iter().map(Option::unwrap_or_default);
        writer.write_record(cells).map_err(|error| failed(&error))?;
    }
    let bytes = writer.into_inner().map_err(|error| failed(&error))?;
    let text = String::from_utf8(bytes).map_err(|error| failed(&error))?;
    Ok(text.trim_end_matches('\n').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_ends_before_its_semicolon_and_comments() {
        for (sql, want) in [
            (" SHOW ALL TABLES ; ", " SHOW ALL TABLES"),
            (
                "-- why\nSELECT 1 -- one\n;\n-- end\n--;\n",
                "-- why\nSELECT 1 -- one",
            ),
            ("SELECT ';' AS a", "SELECT ';' AS a"),
            ("-- nothing", ""),
            ("", ""),
        ] {
            assert_eq!(statement(sql), want);
        }
    }

    #[test]
    fn a_table_needs_room_for_its_columns() {
        let columns = |count: usize| vec!["name".to_owned(); count];
        let rows = |count: usize| vec![vec![Some("a value that is wide".to_owned()); count]];
        for (count, width, expected) in [
            (5, Some(80), true),
            (6, Some(80), false),
            (6, Some(120), true),
            (60, None, true),
        ] {
            assert_eq!(
                fits(&columns(count), &rows(count), width),
                expected,
                "{count}"
            );
        }
        // Narrow values need little room.
        assert!(fits(&columns(11), &[], Some(80)));
    }

    #[test]
    fn rows_are_drawn_in_each_format() {
        let columns = ["id".to_owned(), "a name".to_owned()];
        let rows = || {
            vec![
                vec![Some("1".to_owned()), Some("a, \"b\"\nc".to_owned())],
                vec![Some("2".to_owned()), None],
            ]
        };
        let drawn = csv(&columns, rows()).expect("text");
        assert_eq!(drawn, "id,a name\n1,\"a, \"\"b\"\"\nc\"\n2,");
        let drawn = vertical(&columns, rows());
        assert_eq!(
            drawn,
            "-- row 1\nid      1\na name  a, \"b\"\nc\n-- row 2\nid      2\na name"
        );
    }
}
