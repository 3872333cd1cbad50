//! The tables and columns that the user has selected.

use crate::{rows::hash_name, tables::Table};

/// The tables to read, in the order in which they are read.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// The selected tables. A table that is not among them costs no request.
    pub tables: Vec<SelectedTable>,
}

/// A table and the columns of it that are sent.
#[derive(Debug, Clone)]
pub struct SelectedTable {
    /// The table.
    pub table: &'static Table,
    /// One flag for each of the table's columns, true if it is sent. The key is always sent.
    pub columns: Vec<bool>,
}

impl SelectedTable {
    /// Selects a table with all its columns.
    pub fn all(table: &'static Table) -> Self {
        Self {
            table,
            columns: vec![true; table.columns.len()],
        }
    }

    /// Returns the names of the columns that are sent.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.table
            .columns
            .iter()
            .zip(&self.columns)
            .filter_map(|(column, sent)| sent.then_some(column.name))
    }

    /// Returns the columns that are sent as the state contains them: six characters per name, sorted.
    pub(super) fn fingerprint(&self) -> String {
        let mut hashes: Vec<String> = self.names().map(hash_name).collect();
        hashes.sort_unstable();
        hashes.concat()
    }
}

/// Selected tables whose rows are in one listing, so that they are read together.
#[derive(Debug, Clone)]
pub(super) struct Group {
    /// The table whose objects are listed. It is not always selected itself.
    pub(super) source: &'static Table,
    /// The selected tables; the source comes first, if it is one of them.
    pub(super) tables: Vec<SelectedTable>,
}

impl Selection {
    /// Returns the tables that are read together, in the order in which they are read.
    pub(super) fn groups(&self) -> Vec<Group> {
        let mut groups: Vec<Group> = Vec::new();
        for selected in &self.tables {
            let source = selected.table.source();
            let group = groups
                .iter_mut()
                .find(|group| group.source.name == source.name);
            match group {
                None => groups.push(Group {
                    source,
                    tables: vec![selected.clone()],
                }),
                Some(group) if selected.table.name == source.name => {
                    group.tables.insert(0, selected.clone());
                }
                Some(group) => group.tables.push(selected.clone()),
            }
        }
        groups
    }
}

/// Returns true if every column of `now` is among those of `before`, so that nothing has to be sent again. Both are
/// results of [`SelectedTable::fingerprint`].
pub(super) fn is_covered(now: &str, before: &str) -> bool {
    let chunks = |text: &'_ str| -> Vec<String> {
        text.as_bytes()
            .chunks(6)
            .map(|chunk| String::from_utf8_lossy(chunk).into_owned())
            .collect()
    };
    let before = chunks(before);
    chunks(now).iter().all(|hash| before.contains(hash))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables;

    #[test]
    fn fewer_columns_are_covered_and_more_are_not() {
        let mut some = SelectedTable::all(tables::find("flows").expect("a table"));
        let all = some.fingerprint();
        some.columns[4] = false;
        let fewer = some.fingerprint();
        assert_ne!(all, fewer);
        assert!(is_covered(&fewer, &all));
        assert!(is_covered(&all, &all));
        assert!(!is_covered(&all, &fewer));
        assert!(!is_covered(&fewer, ""));
    }
}
