//! Digests of a warehouse's tables, by which two warehouses are compared.

use std::{collections::BTreeMap, path::Path};

use super::{
    Error,
    database::DuckDb,
    sql::quote,
    table::{DELETED, SYNCED},
};

/// By table (`schema.table`), the number of its rows that are not deleted, and a hash of all their values.
pub type Digests = BTreeMap<String, (u64, String)>;

/// The digests of the tables of a DuckDB file. The time of landing does not count.
pub fn digests(db: &Path) -> Result<Digests, Error> {
    let duckdb = DuckDb::open_read_only(db)?;
    let names = duckdb.query(
        &format!(
            "SELECT schema_name, table_name FROM duckdb_columns() \
             WHERE column_name = '{DELETED}' AND NOT internal"
        ),
        usize::MAX >> 1,
    )?;
    let mut digests = Digests::new();
    for name in names.rows {
        let [Some(schema), Some(table)] = &name[..] else {
            continue;
        };
        let answer = duckdb.query(
            &format!(
                "SELECT count(*), bit_xor(hash(r)) FROM \
                 (SELECT * EXCLUDE ({SYNCED}, {DELETED}) FROM {}.{} WHERE {DELETED} IS NOT TRUE) r",
                quote(schema),
                quote(table)
            ),
            1,
        )?;
        let mut row = answer
            .rows
            .into_iter()
            .flatten()
            .map(Option::unwrap_or_default);
        let rows = row
            .next()
            .and_then(|count| count.parse().ok())
            .unwrap_or_default();
        digests.insert(
            format!("{schema}.{table}"),
            (rows, row.collect::<Vec<_>>().join(" ")),
        );
    }
    Ok(digests)
}
