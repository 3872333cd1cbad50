//! A destination in memory, as Fivetran's: rows and state become permanent together, at a checkpoint only.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use fivetran_proto::{Record, RecordType, update_response::Operation, value_type::Inner};

/// The table of a row, and its id.
pub type Key<T = String> = (T, String);

/// The values of a record, by column.
pub type Row = BTreeMap<String, Option<Inner>>;

/// A row of the destination.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored<C = Row> {
    /// The values of the row.
    pub columns: C,
    /// True if the row is marked as deleted.
    pub deleted: bool,
}

/// The values of some columns of a row.
pub trait Columns: Clone {
    /// Returns true if a newer version of the row has another value in any of its columns.
    fn differ_from(&self, newer: &Self) -> bool;

    /// Adds the values of an older version for the columns that this one lacks.
    fn fill(&mut self, older: &Self);
}

impl<V: Clone + PartialEq> Columns for BTreeMap<String, V> {
    fn differ_from(&self, newer: &Self) -> bool {
        newer
            .iter()
            .any(|(name, value)| self.get(name) != Some(value))
    }

    fn fill(&mut self, older: &Self) {
        for (name, value) in older {
            self.entry(name.clone()).or_insert_with(|| value.clone());
        }
    }
}

/// The values by position; `None` if the column was not sent.
impl<V: Clone + PartialEq> Columns for Vec<Option<V>> {
    fn differ_from(&self, newer: &Self) -> bool {
        let mut pairs = self.iter().zip(newer);
        pairs.any(|(old, new)| new.is_some() && old != new)
    }

    fn fill(&mut self, older: &Self) {
        for (new, old) in self.iter_mut().zip(older) {
            if new.is_none() {
                new.clone_from(old);
            }
        }
    }
}

/// The rows and the state of a connection, with the names of tables as `T` and the values of a row as `C`.
#[derive(Debug, Clone)]
pub struct Destination<C = Row, T = String> {
    rows: BTreeMap<Key<T>, Stored<C>>,
    /// The previous values of what was changed since the last checkpoint.
    undo: Vec<(Key<T>, Option<Stored<C>>)>,
    state: Option<String>,
    keeps_absent_columns: bool,
    is_ignored: fn(&str, &str) -> bool,
}

impl<C, T> Default for Destination<C, T> {
    fn default() -> Self {
        Self {
            rows: BTreeMap::new(),
            undo: Vec::new(),
            state: None,
            keeps_absent_columns: false,
            is_ignored: |_, _| false,
        }
    }
}

/// A difference between the same row of two destinations.
#[derive(Debug, Clone, PartialEq)]
pub struct DestinationDifference {
    /// The row.
    pub key: Key,
    /// The kind of the difference.
    pub what: Disagreement,
}

/// The kind of a difference.
#[derive(Debug, Clone, PartialEq)]
pub enum Disagreement {
    /// The other destination has the row, and this one does not.
    Missing,
    /// This destination has the row, and the other one does not.
    Unexpected,
    /// The row is marked as deleted, and nothing was deleted.
    Deleted,
    /// A column has different values; `None` if the column is absent.
    Column {
        /// The name of the column.
        name: String,
        /// The value in this destination.
        have: Option<Option<Inner>>,
        /// The value in the other destination.
        want: Option<Option<Inner>>,
    },
}

impl fmt::Display for DestinationDifference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (table, id) = &self.key;
        write!(f, "{table}: {id} ")?;
        match &self.what {
            Disagreement::Missing => f.write_str("is not there"),
            Disagreement::Unexpected => f.write_str("is there"),
            Disagreement::Deleted => f.write_str("is deleted"),
            Disagreement::Column { name, have, want } => {
                write!(f, "{name}: {have:?}, not {want:?}")
            }
        }
    }
}

/// The effect of a sync's operations on a destination.
#[derive(Debug, Default)]
pub struct Taken {
    /// The number of records.
    pub records: usize,
    /// The rows that were upserted with the values that the destination had already.
    pub unchanged: Vec<Key>,
}

impl<C: Columns, T: AsRef<str> + Ord + Clone> Destination<C, T> {
    /// Keeps the values of columns that an upsert lacks, because they are not selected any more.
    #[must_use]
    pub fn keeping_absent_columns(mut self) -> Self {
        self.keeps_absent_columns = true;
        self
    }

    /// Returns the state of the last checkpoint.
    pub fn state(&self) -> Option<&str> {
        self.state.as_deref()
    }

    /// Sets the state that the next sync uses; the rows stay.
    pub fn set_state(&mut self, state: Option<String>) {
        self.state = state;
    }

    /// Returns a row, which may be deleted.
    pub fn row(&self, key: &Key<T>) -> Option<&Stored<C>> {
        self.rows.get(key)
    }

    /// Returns every row, including deleted ones.
    pub fn rows(&self) -> impl Iterator<Item = (&Key<T>, &Stored<C>)> {
        self.rows.iter()
    }

    /// Returns the rows that are not deleted.
    pub fn existing(&self) -> BTreeMap<&Key<T>, &C> {
        let existing = self.rows.iter().filter(|(_, row)| !row.deleted);
        existing.map(|(key, row)| (key, &row.columns)).collect()
    }

    /// Returns the rows of a table that are not deleted.
    pub fn live(&self, table: &str) -> BTreeMap<&str, &C> {
        let live = self.rows_of(table).filter(|(_, row)| !row.deleted);
        live.map(|(key, row)| (key.1.as_str(), &row.columns))
            .collect()
    }

    /// Returns the ids of a table's deleted rows.
    pub fn gone(&self, table: &str) -> BTreeSet<&str> {
        let gone = self.rows_of(table).filter(|(_, row)| row.deleted);
        gone.map(|(key, _)| key.1.as_str()).collect()
    }

    fn rows_of(&self, table: &str) -> impl Iterator<Item = (&Key<T>, &Stored<C>)> {
        self.rows
            .iter()
            .filter(move |(key, _)| key.0.as_ref() == table)
    }

    /// Stores a row. Returns true if the row is new or changed.
    pub fn upsert(&mut self, key: Key<T>, mut columns: C) -> bool {
        let before = self.rows.get(&key);
        let is_changed = before.is_none_or(|it| it.deleted || it.columns.differ_from(&columns));
        if let Some(before) = before.filter(|_| self.keeps_absent_columns) {
            columns.fill(&before.columns);
        }
        let deleted = false;
        self.put(key, Some(Stored { columns, deleted }));
        is_changed
    }

    /// Marks a row as deleted. Returns false if the row does not exist.
    pub fn delete(&mut self, key: &Key<T>) -> bool {
        let Some(row) = self.rows.get(key) else {
            return false;
        };
        let columns = row.columns.clone();
        let deleted = true;
        self.put(key.clone(), Some(Stored { columns, deleted }));
        true
    }

    /// Marks all rows of a table as deleted.
    pub fn truncate(&mut self, table: &str) {
        let keys: Vec<Key<T>> = self.rows_of(table).map(|(key, _)| key.clone()).collect();
        for key in keys {
            self.delete(&key);
        }
    }

    /// Sets a row to another version, or removes it.
    pub fn put(&mut self, key: Key<T>, row: Option<Stored<C>>) {
        let before = match row {
            Some(row) => self.rows.insert(key.clone(), row),
            None => self.rows.remove(&key),
        };
        self.undo.push((key, before));
    }

    /// Makes everything permanent that was received so far, together with this state.
    pub fn checkpoint(&mut self, state: String) {
        self.undo.clear();
        self.state = Some(state);
    }

    /// Discards what was received after the last checkpoint.
    pub fn roll_back(&mut self) {
        while let Some((key, before)) = self.undo.pop() {
            match before {
                Some(before) => self.rows.insert(key, before),
                None => self.rows.remove(&key),
            };
        }
    }
}

impl Destination {
    /// Ignores the columns of a table for which this function returns true.
    #[must_use]
    pub fn ignoring(mut self, is_ignored: fn(table: &str, column: &str) -> bool) -> Self {
        self.is_ignored = is_ignored;
        self
    }

    /// Applies the operations of a sync, and discards those after its last checkpoint. All upserts of a table must have
    /// the same columns, because a destination sets absent ones to null.
    pub fn apply_operations(&mut self, operations: &[Operation]) -> Taken {
        assert_same_columns(operations);
        let last = operations
            .iter()
            .rposition(|operation| matches!(operation, Operation::Checkpoint(_)));
        let mut taken = Taken::default();
        for operation in &operations[..last.map_or(0, |last| last + 1)] {
            if let Operation::Checkpoint(checkpoint) = operation {
                self.checkpoint(checkpoint.state_json.clone());
            }
            for record in records(std::slice::from_ref(operation)) {
                taken.records += 1;
                taken.unchanged.extend(self.apply(record));
            }
        }
        taken
    }

    /// Applies a record; returns its key if it is an upsert without a change.
    fn apply(&mut self, record: &Record) -> Option<Key> {
        let table = &record.table_name;
        if record.r#type() == RecordType::Truncate {
            self.truncate(table);
            return None;
        }
        let Some(Inner::String(id)) = record.data.get("id").and_then(|id| id.inner.clone()) else {
            panic!("a record of {table} without an id");
        };
        let key = (table.clone(), id);
        match record.r#type() {
            RecordType::Upsert => {
                let columns = record.data.iter();
                let stored = columns.filter(|(name, _)| !(self.is_ignored)(table, name));
                let row = stored.map(|(name, value)| (name.clone(), value.inner.clone()));
                let is_changed = self.upsert(key.clone(), row.collect());
                (!is_changed).then_some(key)
            }
            RecordType::Delete => {
                assert!(self.delete(&key), "a delete of {key:?}, which was not sent");
                None
            }
            other => panic!("{other:?} of {table}"),
        }
    }

    /// Lists the rows and columns of a table that differ from another destination, in both directions.
    pub fn differences(&self, other: &Self, table: &str) -> Vec<DestinationDifference> {
        let (have, want) = (self.live(table), other.live(table));
        let ids: BTreeSet<&str> = have.keys().chain(want.keys()).copied().collect();
        let mut differences = Vec::new();
        for id in ids {
            let mut add = |what| {
                let key = (table.to_owned(), id.to_owned());
                differences.push(DestinationDifference { key, what });
            };
            match (have.get(id), want.get(id)) {
                (Some(have), Some(want)) => {
                    let names: BTreeSet<&String> = have.keys().chain(want.keys()).collect();
                    for name in names {
                        let (have, want) = (have.get(name), want.get(name));
                        if have != want {
                            add(Disagreement::Column {
                                name: name.clone(),
                                have: have.cloned(),
                                want: want.cloned(),
                            });
                        }
                    }
                }
                (Some(_), None) => add(Disagreement::Unexpected),
                (None, _) => add(Disagreement::Missing),
            }
        }
        differences
    }
}

/// Fails if the upserts of a table do not all have the same columns.
fn assert_same_columns(operations: &[Operation]) {
    let mut first: BTreeMap<&str, BTreeSet<&String>> = BTreeMap::new();
    for record in records(operations).filter(|it| it.r#type() == RecordType::Upsert) {
        let columns: BTreeSet<&String> = record.data.keys().collect();
        let expected = first
            .entry(&record.table_name)
            .or_insert_with(|| columns.clone());
        let difference: Vec<_> = expected.symmetric_difference(&columns).collect();
        let table = &record.table_name;
        assert!(
            difference.is_empty(),
            "upserts of {table} with and without {difference:?}"
        );
    }
}

/// Returns the records of all operations, in order.
pub fn records(operations: &[Operation]) -> impl Iterator<Item = &Record> {
    operations.iter().flat_map(|operation| match operation {
        Operation::Records(records) => records.records.as_slice(),
        Operation::Record(record) => std::slice::from_ref(record),
        _ => &[],
    })
}

#[cfg(test)]
mod tests {
    use fivetran_proto::{Checkpoint, ValueType};

    use super::*;

    fn record(kind: RecordType, id: &str, values: &[(&str, &str)]) -> Operation {
        let value = |text: &str| ValueType {
            inner: Some(Inner::String(text.to_owned())),
        };
        let values = [("id", id)].into_iter().chain(values.iter().copied());
        Operation::Record(Record {
            table_name: "t".to_owned(),
            r#type: kind.into(),
            data: values
                .map(|(name, it)| (name.to_owned(), value(it)))
                .collect(),
            ..Record::default()
        })
    }

    fn upsert(id: &str, values: &[(&str, &str)]) -> Operation {
        record(RecordType::Upsert, id, values)
    }

    fn checkpoint(state: &str) -> Operation {
        Operation::Checkpoint(Checkpoint {
            state_json: state.to_owned(),
        })
    }

    #[test]
    fn rows_become_permanent_at_a_checkpoint() {
        let mut destination = Destination::default();
        let taken =
            destination.apply_operations(&[upsert("a", &[]), checkpoint("1"), upsert("b", &[])]);
        assert_eq!(taken.records, 1);
        assert_eq!(destination.live("t").into_keys().collect::<Vec<_>>(), ["a"]);
        assert_eq!(destination.state(), Some("1"));

        let key = |id: &str| ("t".to_owned(), id.to_owned());
        destination.upsert(key("b"), Row::new());
        destination.delete(&key("a"));
        destination.roll_back();
        assert_eq!(destination.live("t").into_keys().collect::<Vec<_>>(), ["a"]);
    }

    #[test]
    fn deletes_and_truncates_mark_rows() {
        let mut destination = Destination::default();
        let rows = ["a", "b"].map(|id| upsert(id, &[]));
        destination.apply_operations(&[&rows[..], &[checkpoint("1")]].concat());
        let delete = record(RecordType::Delete, "a", &[]);
        destination.apply_operations(&[delete, checkpoint("2")]);
        assert_eq!(destination.gone("t"), BTreeSet::from(["a"]));
        let truncate = record(RecordType::Truncate, "", &[]);
        destination.apply_operations(&[truncate, rows[1].clone(), checkpoint("3")]);
        assert_eq!(destination.gone("t"), BTreeSet::from(["a"]));
        assert_eq!(destination.existing().len(), 1);
    }

    #[test]
    #[should_panic(expected = "upserts of t with and without [\"y\"]")]
    fn an_upsert_that_lacks_a_column_of_another_is_a_fault() {
        let rows = [
            upsert("a", &[("x", "1"), ("y", "1")]),
            upsert("b", &[("x", "1")]),
        ];
        Destination::default().apply_operations(&rows);
    }

    #[test]
    fn rows_and_columns_of_either_side_alone_are_differences() {
        let of = |rows: &[Operation]| {
            let mut destination = Destination::default();
            destination.apply_operations(&[rows, &[checkpoint("1")]].concat());
            destination
        };
        let one = of(&[upsert("a", &[("x", "1")]), upsert("b", &[("x", "1")])]);
        let other = of(&[upsert("a", &[("y", "1")]), upsert("c", &[("y", "1")])]);
        let found = one.differences(&other, "t");
        let found: Vec<String> = found.iter().map(DestinationDifference::to_string).collect();
        assert_eq!(
            found,
            [
                "t: a x: Some(Some(String(\"1\"))), not None",
                "t: a y: None, not Some(Some(String(\"1\")))",
                "t: b is there",
                "t: c is not there",
            ]
        );
        assert_eq!(one.differences(&one, "t"), []);
    }

    #[test]
    fn a_row_is_unchanged_if_all_its_columns_are() {
        for keeps in [false, true] {
            let mut destination = Destination::default().ignoring(|_, column| column == "seen");
            destination.keeps_absent_columns = keeps;
            for (values, is_unchanged) in [
                (&[("x", "1"), ("y", "1"), ("seen", "1")] as &[_], false),
                (&[("x", "1"), ("y", "1"), ("seen", "2")], true),
                (&[("x", "2")], false),
                (&[("x", "2"), ("y", "1")], keeps),
            ] {
                let taken = destination.apply_operations(&[upsert("a", values), checkpoint("1")]);
                assert_eq!(
                    taken.unchanged.len(),
                    usize::from(is_unchanged),
                    "{values:?}"
                );
            }
        }
    }
}
