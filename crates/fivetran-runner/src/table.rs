//! A table of the warehouse: its columns, its key, and its creation from a connector's declaration.

use std::{
    cmp::Ordering,
    collections::{HashMap, HashSet},
    fmt,
};

use super::column_type::ColumnType;

/// The time at which the row was last landed; on every table.
pub(super) const SYNCED: &str = "_fivetran_synced";
/// True if the source deleted the row; on every table, unless all versions of a row are kept.
pub(super) const DELETED: &str = "_fivetran_deleted";
/// True if the version is the current one; only if all versions are kept, like the next two columns.
pub(super) const ACTIVE: &str = "_fivetran_active";
/// The start of the version.
pub(super) const START: &str = "_fivetran_start";
/// The end of the version.
pub(super) const END: &str = "_fivetran_end";
/// The hash of a row's values: the key of a table that declares no key.
pub(super) const ROW_ID: &str = "_fivetran_id";

/// The name of a table in the warehouse.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct TableName {
    /// The schema.
    pub(super) schema: String,
    /// The table.
    pub(super) table: String,
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.schema, self.table)
    }
}

/// A column that exists in the warehouse, or is about to be created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) kind: ColumnType,
    /// True if this run declares the column's type, so that a value that does not fit is the connector's mistake.
    /// Otherwise the column widens.
    pub(super) declared: bool,
}

/// A table as known to this run. System columns other than [`ROW_ID`] are not listed.
#[derive(Debug, Clone)]
pub(super) struct Table {
    pub(super) name: TableName,
    columns: Vec<Column>,
    positions: HashMap<String, usize>,
    /// The columns' positions in the order of their names.
    by_name: Vec<usize>,
    key: Vec<String>,
}

impl TableName {
    /// Returns true if the warehouse takes both names for the same table: it ignores their case.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.schema.eq_ignore_ascii_case(&other.schema)
            && self.table.eq_ignore_ascii_case(&other.table)
    }
}

/// Looks up columns in the order of their names, as in a record, at the cost of one comparison each.
pub(super) struct InOrder<'a> {
    table: &'a Table,
    rest: &'a [usize],
}

impl InOrder<'_> {
    /// The column's position, if the table has it; also if the names are not in order.
    pub(super) fn position(&mut self, column: &str) -> Option<usize> {
        while let Some((next, rest)) = self.rest.split_first() {
            match self.table.columns[*next].name.as_str().cmp(column) {
                Ordering::Less => self.rest = rest,
                Ordering::Equal => {
                    self.rest = rest;
                    return Some(*next);
                }
                Ordering::Greater => break,
            }
        }
        self.table.position(column)
    }
}

impl Table {
    /// A table without columns. An empty `key` means that [`ROW_ID`] is the key.
    pub(super) fn new(name: TableName, key: Vec<String>) -> Self {
        let mut table = Self {
            name,
            columns: Vec::new(),
            positions: HashMap::new(),
            by_name: Vec::new(),
            key,
        };
        if table.key.is_empty() {
            table.key.push(ROW_ID.to_owned());
            table.add(Column {
                name: ROW_ID.to_owned(),
                kind: ColumnType::Varchar,
                declared: true,
            });
        }
        table
    }

    /// Reads a declaration. The error describes the mistake for the connector's developer.
    pub(super) fn declared(name: TableName, table: &fivetran_proto::Table) -> Result<Self, String> {
        let mut seen = HashSet::new();
        for column in &table.columns {
            if is_system(&column.name) {
                return Err(format!(
                    "table `{name}` declares `{}`, a name that is reserved for the platform",
                    column.name
                ));
            }
            if column.name.is_empty() || !seen.insert(column.name.to_ascii_lowercase()) {
                return Err(format!(
                    "table `{name}` declares column `{}` twice, or without a name",
                    column.name
                ));
            }
        }
        let keys = table.columns.iter().filter(|column| column.primary_key);
        let mut declared = Self::new(name, keys.map(|column| column.name.clone()).collect());
        for column in &table.columns {
            if let Some(kind) = ColumnType::declared(column) {
                declared.add(Column {
                    name: column.name.clone(),
                    kind,
                    declared: true,
                });
            }
        }
        Ok(declared)
    }

    /// Adds a new column, and returns its position.
    pub(super) fn add(&mut self, column: Column) -> usize {
        let position = self.columns.len();
        let place = self
            .by_name
            .partition_point(|known| self.columns[*known].name < column.name);
        self.by_name.insert(place, position);
        self.positions.insert(column.name.clone(), position);
        self.columns.push(column);
        position
    }

    /// Changes a column's type.
    pub(super) fn retype(&mut self, position: usize, kind: ColumnType) {
        if let Some(column) = self.columns.get_mut(position) {
            column.kind = kind;
        }
    }

    /// Records that this run declares the column's type.
    pub(super) fn declare(&mut self, position: usize) {
        if let Some(column) = self.columns.get_mut(position) {
            column.declared = true;
        }
    }

    pub(super) fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The column's position. The warehouse ignores the case of names.
    pub(super) fn position(&self, column: &str) -> Option<usize> {
        self.positions.get(column).copied().or_else(|| {
            let mut names = self.columns.iter().map(|known| &known.name);
            names.position(|name| name.eq_ignore_ascii_case(column))
        })
    }

    /// Starts a lookup of a record's columns.
    pub(super) fn in_order(&self) -> InOrder<'_> {
        InOrder {
            table: self,
            rest: &self.by_name,
        }
    }

    /// The names of the key's columns. A column without a type yet is not among [`Self::columns`].
    pub(super) fn key(&self) -> &[String] {
        &self.key
    }

    /// Returns true if the key consists of these columns, in any order. The warehouse ignores the case of names.
    pub(super) fn has_key(&self, columns: &[String]) -> bool {
        let folded = |names: &[String]| {
            let mut names: Vec<_> = names.iter().map(|name| name.to_ascii_lowercase()).collect();
            names.sort_unstable();
            names
        };
        folded(&self.key) == folded(columns)
    }

    /// Returns true if the hash of its values identifies a row.
    pub(super) fn is_keyless(&self) -> bool {
        self.key.iter().any(|column| column == ROW_ID)
    }
}

/// Returns true if the column name belongs to the platform.
pub(super) fn is_system(column: &str) -> bool {
    [SYNCED, DELETED, ACTIVE, START, END, ROW_ID].contains(&column)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_found_in_and_out_of_order() {
        let schema = "s".to_owned();
        let table = "t".to_owned();
        let mut table = Table::new(TableName { schema, table }, vec!["c".to_owned()]);
        for name in ["c", "a", "D", "b"] {
            table.add(Column {
                name: name.to_owned(),
                kind: ColumnType::Varchar,
                declared: true,
            });
        }
        for asked in [
            &["a", "b", "c", "D"][..],
            &["D", "a", "b", "c"],
            &["c", "b", "A", "d"],
            &["b", "b"],
            &["0", "a", "bb", "c", "e"],
        ] {
            let mut columns = table.in_order();
            for column in asked {
                let found = table
                    .columns
                    .iter()
                    .position(|known| known.name.eq_ignore_ascii_case(column));
                assert_eq!(columns.position(column), found, "{column} of {asked:?}");
            }
        }
    }
}
