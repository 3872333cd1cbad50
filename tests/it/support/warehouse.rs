//! Reads the DuckDB file that `debug` wrote.

use std::{collections::BTreeMap, path::Path};

use fivetran_runner::duckdb::{AccessMode, Config, Connection, Row};
use fivetran_source::tables::{Column, ColumnType, Table};

/// A value in the warehouse.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Cell {
    Null,
    /// Text, and JSON as text.
    Text(String),
    Boolean(bool),
    Long(i64),
    Double(f64),
    /// A time, in microseconds since 1970.
    Micros(i64),
}

/// The rows of a table that are not deleted, by id, and the ids of the deleted rows.
#[derive(Debug, Default)]
pub(crate) struct Contents {
    pub(crate) rows: BTreeMap<String, Vec<Cell>>,
    pub(crate) deleted: Vec<String>,
}

/// Opens the warehouse for reading.
pub(crate) fn open(path: &Path) -> Connection {
    let config = Config::default().access_mode(AccessMode::ReadOnly).unwrap();
    Connection::open_with_flags(path, config)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Reads the declared columns of a table and checks their types.
pub(crate) fn contents(connection: &Connection, table: &Table) -> Contents {
    check_types(connection, table);
    let columns: Vec<_> = table.columns.iter().map(select).collect();
    let sql = format!(
        "SELECT {}, _fivetran_deleted FROM tester.{} ORDER BY id",
        columns.join(", "),
        table.name
    );
    let mut statement = connection.prepare(&sql).unwrap();
    let mut rows = statement.query([]).unwrap();
    let mut contents = Contents::default();
    while let Some(row) = rows.next().unwrap() {
        let cells: Vec<_> = table
            .columns
            .iter()
            .enumerate()
            .map(|(position, column)| cell(row, position, column.kind))
            .collect();
        let Cell::Text(id) = &cells[0] else {
            panic!("{}: a row without id", table.name);
        };
        if row.get(table.columns.len()).unwrap() {
            contents.deleted.push(id.clone());
        } else {
            let before = contents.rows.insert(id.clone(), cells.clone());
            assert!(before.is_none(), "{}: {id} stands there twice", table.name);
        }
    }
    contents
}

/// Checks that no column is missing or superfluous, and that each has the type of its kind.
fn check_types(connection: &Connection, table: &Table) {
    let mut statement = connection
        .prepare(
            "SELECT column_name, data_type FROM information_schema.columns \
             WHERE table_schema = 'tester' AND table_name = ?",
        )
        .unwrap();
    let have: BTreeMap<String, String> = statement
        .query_map([table.name], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let declared = table
        .columns
        .iter()
        .map(|column| (column.name, data_type(column.kind)));
    let system = [
        ("_fivetran_synced", "TIMESTAMP WITH TIME ZONE"),
        ("_fivetran_deleted", "BOOLEAN"),
    ];
    let want: BTreeMap<String, String> = declared
        .chain(system)
        .map(|(name, kind)| (name.to_owned(), kind.to_owned()))
        .collect();
    assert_eq!(have, want, "the columns of {}", table.name);
}

fn data_type(kind: ColumnType) -> &'static str {
    match kind {
        ColumnType::String => "VARCHAR",
        ColumnType::Boolean => "BOOLEAN",
        ColumnType::Long => "BIGINT",
        ColumnType::Double => "DOUBLE",
        ColumnType::UtcDatetime => "TIMESTAMP WITH TIME ZONE",
        ColumnType::Json => "JSON",
    }
}

fn select(column: &Column) -> String {
    let name = format!("\"{}\"", column.name);
    match column.kind {
        ColumnType::UtcDatetime => format!("epoch_us({name})"),
        ColumnType::Json => format!("{name}::VARCHAR"),
        _ => name,
    }
}

fn cell(row: &Row<'_>, position: usize, kind: ColumnType) -> Cell {
    let value = match kind {
        ColumnType::String | ColumnType::Json => {
            row.get::<_, Option<_>>(position).unwrap().map(Cell::Text)
        }
        ColumnType::Boolean => row
            .get::<_, Option<_>>(position)
            .unwrap()
            .map(Cell::Boolean),
        ColumnType::Long => row.get::<_, Option<_>>(position).unwrap().map(Cell::Long),
        ColumnType::Double => row.get::<_, Option<_>>(position).unwrap().map(Cell::Double),
        ColumnType::UtcDatetime => row.get::<_, Option<_>>(position).unwrap().map(Cell::Micros),
    };
    value.unwrap_or(Cell::Null)
}
