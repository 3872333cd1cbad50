//! A warehouse in memory: rows by key, as digests of their values. The records of a sync are kept as a journal, so
//! that the rows at any moment can be rebuilt.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fmt,
    hash::Hash,
    sync::Arc,
};

use fivetran_proto::{Record, RecordType, ValueType};

use super::values;

/// A table by the connector's own names.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct TableId {
    pub(super) schema: Option<String>,
    pub(super) table: String,
}

impl fmt::Display for TableId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(schema) = &self.schema {
            write!(f, "{schema}.")?;
        }
        f.write_str(&self.table)
    }
}

/// Assigns a number to each distinct value.
#[derive(Debug)]
pub(super) struct Numbers<T> {
    list: Vec<T>,
    places: HashMap<T, usize>,
}

impl<T> Default for Numbers<T> {
    fn default() -> Self {
        Self {
            list: Vec::new(),
            places: HashMap::new(),
        }
    }
}

impl<T: Clone + Eq + Hash> Numbers<T> {
    pub(super) fn assign(&mut self, value: &T) -> usize {
        if let Some(place) = self.places.get(value) {
            return *place;
        }
        let place = self.list.len();
        self.list.push(value.clone());
        self.places.insert(value.clone(), place);
        place
    }

    pub(super) fn find(&self, value: &T) -> Option<usize> {
        self.places.get(value).copied()
    }

    pub(super) fn get(&self, place: usize) -> &T {
        &self.list[place]
    }
}

/// The numbers of tables and columns, the same for all syncs of a test run.
#[derive(Debug, Default)]
pub(super) struct Catalogue {
    pub(super) tables: Numbers<TableId>,
    pub(super) columns: Numbers<String>,
}

/// The text form of a row's key, such as `id="a1"`.
pub(super) type Key = Arc<str>;
/// The columns of a row that are not null, with their values' digests, in the order of the columns' numbers.
pub(super) type Row = Arc<[(usize, u64)]>;

/// The operation on one row, or on all.
#[derive(Debug, Clone)]
pub(super) enum RowOperation {
    Upsert(Row),
    /// The new digests by column; `None` for null.
    Update(Vec<(usize, Option<u64>)>),
    Delete,
    Truncate,
}

/// One record of a sync.
#[derive(Debug, Clone)]
pub(super) struct Op {
    pub(super) table: usize,
    /// The row's key; empty for a truncate.
    pub(super) key: Key,
    pub(super) operation: RowOperation,
}

/// A checkpoint of a sync.
#[derive(Debug, Clone)]
pub(super) struct CheckpointPosition {
    /// The number of operations before the checkpoint.
    pub(super) ops: usize,
    pub(super) state: String,
}

/// The operations and checkpoints of a sync.
#[derive(Debug, Default)]
pub(super) struct Journal {
    pub(super) ops: Vec<Op>,
    pub(super) checkpoints: Vec<CheckpointPosition>,
}

impl Journal {
    /// The rows after the first `ops` operations, starting without rows.
    pub(super) fn rows(&self, ops: usize) -> Model {
        let mut model = Model::default();
        model.apply(&self.ops[..ops]);
        model
    }

    /// The rows that the operations from `from` on concern, and the tables that these operations truncate.
    pub(super) fn affected(&self, from: usize) -> AffectedRows {
        let mut affected = AffectedRows::default();
        for op in &self.ops[from..] {
            match op.operation {
                RowOperation::Truncate => {
                    affected.tables.insert(op.table);
                }
                _ => {
                    affected.rows.insert((op.table, op.key.clone()));
                }
            }
        }
        affected
    }
}

/// Rows that operations concern.
#[derive(Debug, Default)]
pub(super) struct AffectedRows {
    pub(super) rows: HashSet<(usize, Key)>,
    tables: HashSet<usize>,
}

impl AffectedRows {
    pub(super) fn has(&self, table: usize, key: &Key) -> bool {
        self.tables.contains(&table) || self.rows.contains(&(table, key.clone()))
    }
}

#[derive(Debug, Clone)]
struct Entry {
    row: Row,
    deleted: bool,
}

/// Rows by table and key.
#[derive(Debug, Clone, Default)]
pub(super) struct Model {
    tables: BTreeMap<usize, HashMap<Key, Entry>>,
}

/// A difference between two models.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct ModelDifference {
    pub(super) table: usize,
    pub(super) key: Key,
    pub(super) kind: Kind,
}

/// The kind of a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    /// The row is missing or deleted.
    Missing,
    /// The row exists and should not.
    Extra,
    /// This column has another value.
    Column(usize),
}

impl Model {
    /// Applies the operations.
    pub(super) fn apply(&mut self, ops: &[Op]) {
        for op in ops {
            self.apply_one(op);
        }
    }

    /// Applies one operation. Returns false for an update of a row that does not exist.
    pub(super) fn apply_one(&mut self, op: &Op) -> bool {
        let rows = self.tables.entry(op.table).or_default();
        match &op.operation {
            RowOperation::Upsert(row) => {
                let (row, deleted) = (Arc::clone(row), false);
                rows.insert(op.key.clone(), Entry { row, deleted });
            }
            RowOperation::Update(values) => {
                let Some(entry) = rows.get_mut(&op.key) else {
                    return false;
                };
                let mut row: BTreeMap<usize, u64> = entry.row.iter().copied().collect();
                for (column, value) in values {
                    match value {
                        Some(value) => row.insert(*column, *value),
                        None => row.remove(column),
                    };
                }
                entry.row = row.into_iter().collect();
            }
            RowOperation::Delete => {
                if let Some(entry) = rows.get_mut(&op.key) {
                    entry.deleted = true;
                }
            }
            RowOperation::Truncate => rows.values_mut().for_each(|entry| entry.deleted = true),
        }
        true
    }

    /// The number of the table's rows that are not deleted.
    pub(super) fn live(&self, table: usize) -> usize {
        let rows = self.tables.get(&table);
        rows.map_or(0, |rows| rows.values().filter(|row| !row.deleted).count())
    }

    /// The tables that have rows, each with the columns in which some row is not null.
    pub(super) fn filled(&self) -> BTreeMap<usize, HashSet<usize>> {
        let mut filled = BTreeMap::new();
        for (table, rows) in &self.tables {
            let live = rows.values().filter(|entry| !entry.deleted);
            let columns: HashSet<usize> = live
                .flat_map(|entry| entry.row.iter().map(|(column, _)| *column))
                .collect();
            if self.live(*table) > 0 {
                filled.insert(*table, columns);
            }
        }
        filled
    }

    fn find(&self, table: usize, key: &Key) -> Option<&Row> {
        let entry = self.tables.get(&table)?.get(key)?;
        (!entry.deleted).then_some(&entry.row)
    }

    /// The differences of `self` from the expected rows.
    pub(super) fn differences(&self, should: &Self) -> Vec<ModelDifference> {
        let mut found = Vec::new();
        for (table, rows) in &should.tables {
            for (key, entry) in rows.iter().filter(|(_, entry)| !entry.deleted) {
                let mut note = |kind| {
                    let (table, key) = (*table, key.clone());
                    found.push(ModelDifference { table, key, kind });
                };
                match self.find(*table, key) {
                    None => note(Kind::Missing),
                    Some(row) if *row == entry.row => {}
                    Some(row) => columns(row, &entry.row)
                        .into_iter()
                        .for_each(|column| note(Kind::Column(column))),
                }
            }
        }
        for (table, rows) in &self.tables {
            for (key, _) in rows.iter().filter(|(_, entry)| !entry.deleted) {
                if should.find(*table, key).is_none() {
                    let (table, key, kind) = (*table, key.clone(), Kind::Extra);
                    found.push(ModelDifference { table, key, kind });
                }
            }
        }
        // The first difference becomes the evidence, so the order must be the same each time.
        found.sort_by(|a, b| (a.table, &a.key).cmp(&(b.table, &b.key)));
        found
    }
}

/// The columns in which the rows differ.
pub(super) fn columns(one: &Row, other: &Row) -> Vec<usize> {
    let other: BTreeMap<usize, u64> = other.iter().copied().collect();
    let one: BTreeMap<usize, u64> = one.iter().copied().collect();
    let mut all: Vec<usize> = one.keys().chain(other.keys()).copied().collect();
    all.sort_unstable();
    all.dedup();
    all.retain(|column| one.get(column) != other.get(column));
    all
}

/// Reads a record as an operation. The error is the key column that the record lacks. Values without a type are left
/// out.
pub(super) fn read(
    catalogue: &mut Catalogue,
    table: &TableId,
    key_columns: &[String],
    kind: RecordType,
    record: &Record,
) -> Result<Op, String> {
    let table = catalogue.tables.assign(table);
    if kind == RecordType::Truncate {
        let (key, operation) = (Key::from(""), RowOperation::Truncate);
        return Ok(Op {
            table,
            key,
            operation,
        });
    }
    let inner = |value: &ValueType| value.inner.clone();
    let mut values = Vec::with_capacity(record.data.len());
    for (column, value) in &record.data {
        let value = inner(value).and_then(|value| values::digest(&value));
        values.push((catalogue.columns.assign(column), value));
    }
    values.sort_unstable_by_key(|(column, _)| *column);
    let mut key = String::new();
    for column in key_columns {
        let value = record.data.get(column).and_then(inner);
        let Some(shown) = value.and_then(|value| values::shown(&value)) else {
            return Err(column.clone());
        };
        let comma = if key.is_empty() { "" } else { ", " };
        key = format!("{key}{comma}{column}={shown}");
    }
    if key_columns.is_empty() {
        // The platform does the same: the row's content is its key.
        let text = format!("{values:?}");
        let hash = twox_hash::XxHash3_64::oneshot(text.as_bytes());
        key = format!("hash={hash:016x}");
    }
    let operation = match kind {
        RecordType::Update => RowOperation::Update(values),
        RecordType::Delete => RowOperation::Delete,
        RecordType::Upsert | RecordType::Truncate => {
            let known = values.into_iter();
            let row = known.filter_map(|(column, value)| Some((column, value?)));
            RowOperation::Upsert(row.collect())
        }
    };
    let key = key.into();
    Ok(Op {
        table,
        key,
        operation,
    })
}

/// Operations on the first table, for tests.
#[cfg(test)]
pub(super) mod examples {
    use super::{Op, RowOperation};

    pub(in crate::conformance) fn op(key: &str, operation: RowOperation) -> Op {
        let (table, key) = (0, key.into());
        Op {
            table,
            key,
            operation,
        }
    }

    pub(in crate::conformance) fn upsert(key: &str, value: u64) -> Op {
        op(key, RowOperation::Upsert([(0, 1), (1, value)].into()))
    }
}

#[cfg(test)]
mod tests {
    use super::{
        examples::{op, upsert},
        *,
    };

    fn model(ops: &[Op]) -> Model {
        let mut model = Model::default();
        model.apply(ops);
        model
    }

    fn kinds(is: &Model, should: &Model) -> Vec<(String, Kind)> {
        let list = is.differences(should).into_iter();
        list.map(|it| (it.key.to_string(), it.kind)).collect()
    }

    #[test]
    fn a_deleted_row_counts_as_absent() {
        let never = model(&[upsert("a", 1)]);
        let deleted = model(&[
            upsert("a", 1),
            upsert("b", 1),
            op("b", RowOperation::Delete),
        ]);
        assert_eq!(kinds(&never, &deleted), []);
        let truncated = model(&[
            upsert("b", 1),
            op("", RowOperation::Truncate),
            upsert("a", 1),
        ]);
        assert_eq!(kinds(&truncated, &never), []);
        let revived = model(&[
            upsert("a", 1),
            op("a", RowOperation::Delete),
            upsert("a", 1),
        ]);
        assert_eq!(kinds(&revived, &never), []);
    }

    #[test]
    fn differences_name_rows_and_columns() {
        let should = model(&[upsert("a", 1), upsert("b", 1)]);
        let is = model(&[upsert("b", 2), upsert("c", 1)]);
        let named = |key: &str, kind| (key.to_owned(), kind);
        assert_eq!(
            kinds(&is, &should),
            [
                named("a", Kind::Missing),
                named("b", Kind::Column(1)),
                named("c", Kind::Extra)
            ]
        );
    }

    #[test]
    fn an_update_changes_its_columns_of_a_row_that_is_there() {
        let mut model = model(&[upsert("a", 1)]);
        assert!(model.apply_one(&op(
            "a",
            RowOperation::Update(vec![(0, None), (1, Some(2))])
        )));
        assert!(!model.apply_one(&op("b", RowOperation::Update(vec![(1, Some(2))]))));
        let mut should = Model::default();
        should.apply(&[op("a", RowOperation::Upsert([(1, 2)].into()))]);
        assert_eq!(kinds(&model, &should), []);
    }

    #[test]
    fn the_rows_of_a_checkpoint_are_those_before_it() {
        let journal = Journal {
            ops: vec![upsert("a", 1), upsert("b", 1)],
            checkpoints: Vec::new(),
        };
        assert_eq!(journal.rows(1).live(0), 1);
        assert_eq!(journal.rows(2).live(0), 2);
        let affected = journal.affected(1);
        assert!(affected.has(0, &"b".into()) && !affected.has(0, &"a".into()));
    }
}
