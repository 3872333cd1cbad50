//! Handles the operations of a sync as a destination of the platform does, for any store of rows.
//!
//! Operations are staged and folded in memory (`batch`), and flushed in one transaction: when enough rows are staged,
//! when a checkpoint has waited long enough, and at the end. A checkpoint's state is written only after the flush
//! that holds everything sent before it. So a process that is killed at any moment leaves a state that is never ahead
//! of the rows. Rows ahead of the state are harmless, because the next sync sends them again.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use chrono::{DateTime, TimeDelta, Utc};
use serde::de::IgnoredAny;

use super::{
    Error, Operations, TableDescription, TableOutcome,
    column_type::ColumnType,
    comments::{Comment, comments_of},
    staged::StagedValue,
    state::StateFile,
    table::{Column, Table, TableName},
    wire::Operation,
};
use fivetran_proto::schema_change::Change;

/// The number of staged rows that causes a flush.
const FLUSH_ROWS: usize = 10_000;
/// The number of staged bytes that causes a flush, whatever the number of rows.
const FLUSH_BYTES: usize = 64 << 20;
/// The longest time that a checkpoint may wait for its flush.
pub(super) const FLUSH_AGE: TimeDelta = TimeDelta::seconds(5);

/// Tables as a connector declares them, each with its schema if it has one.
pub(super) type Tables = Vec<(Option<String>, fivetran_proto::Table)>;

/// The reason why the warehouse takes no more operations.
#[derive(Debug)]
pub(super) enum RunFailure {
    /// The connector sent something that a destination rejects. The text is for its developer.
    Connector(String),
    /// The warehouse itself failed.
    Broken(Error),
}

impl From<Error> for RunFailure {
    fn from(error: Error) -> Self {
        Self::Broken(error)
    }
}

/// Stores tables and rows.
pub(super) trait Store {
    /// Describes the table of this name, if it exists.
    fn describe(&mut self, name: &TableName) -> Result<Option<ExistingTable>, Error>;
    /// Creates the table with its columns and the system columns.
    fn create(&mut self, table: &Table) -> Result<(), Error>;
    /// Adds a column, which is null in existing rows.
    fn add_column(&mut self, name: &TableName, column: &Column) -> Result<(), Error>;
    /// Changes a column's type to a wider one.
    fn change_type(
        &mut self,
        name: &TableName,
        column: &Column,
        to: ColumnType,
    ) -> Result<(), Error>;
    /// Returns true if the column has an integer that is not exact as a double.
    fn has_large_integers(&mut self, name: &TableName, column: &str) -> Result<bool, Error>;
    /// Lands all staged operations or none of them, and logs the progress of the sync. Returns for each table the
    /// number of upserts equal to the row that was there.
    fn commit(
        &mut self,
        work: &[(&Table, &StagedValue)],
        landed: &FlushProgress,
    ) -> Result<Vec<u64>, Error>;
    /// Compacts what the sync has landed. Nothing is landed afterwards.
    fn finish(&mut self) {}
    /// Counts the rows of the table: all, and those of them that are marked as deleted.
    fn count(&mut self, name: &TableName) -> Result<(u64, u64), Error>;
    /// Stores the comments that differ from the present ones. Ignores those of columns that do not exist.
    fn comment(&mut self, comments: &[Comment]) -> Result<(), Error>;
    /// Returns true if all versions of a row are kept.
    fn keeps_history(&self) -> bool {
        false
    }
    /// The time at which the last row was landed.
    fn latest(&self) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH
    }
}

/// The progress of a sync at a flush.
#[derive(Debug)]
pub(super) struct FlushProgress {
    /// All operations so far.
    pub(super) operations: Operations,
    /// The arrival time of the last operation.
    pub(super) at: DateTime<Utc>,
}

/// A table from an earlier run.
#[derive(Debug)]
pub(super) struct ExistingTable {
    /// The columns without the system columns, except for the row id.
    pub(super) columns: Vec<(String, ColumnType)>,
    /// The key, or `None` if no sync created the table.
    pub(super) key: Option<Vec<String>>,
    pub(super) comment: Option<String>,
}

/// One table of this run.
#[derive(Debug)]
pub(super) struct TouchedTable {
    pub(super) table: Table,
    pub(super) staged: StagedValue,
    pub(super) operations: Operations,
    /// The number of upserts that changed nothing.
    unchanged: u64,
    pub(super) changed: bool,
}

/// The destination.
pub(super) struct Warehouse<S> {
    pub(super) store: S,
    state: StateFile,
    /// The schema of tables without a schema of their own.
    schema: String,
    /// The descriptions of the connector's tables, for the comments.
    descriptions: Vec<TableDescription>,
    pub(super) entries: BTreeMap<TableName, TouchedTable>,
    /// The declarations of tables that are not selected. They are created only if the connector sends them.
    unselected: BTreeMap<TableName, fivetran_proto::Table>,
    checkpoints: u64,
    /// The last checkpoint that was not flushed, and the time since which one has been waiting.
    pending: Option<(String, DateTime<Utc>)>,
    /// The arrival time of the last operation. It never steps back, whatever the clock does, because it separates
    /// earlier operations from later ones.
    pub(super) latest: DateTime<Utc>,
    pub(super) staged_rows: usize,
    pub(super) staged_bytes: usize,
    pub(super) notes: BTreeSet<String>,
}

impl<S: Store> Warehouse<S> {
    pub(super) fn new(store: S, state: StateFile, schema: String) -> Self {
        Self {
            latest: store.latest(),
            store,
            state,
            schema,
            descriptions: Vec::new(),
            entries: BTreeMap::new(),
            unselected: BTreeMap::new(),
            checkpoints: 0,
            pending: None,
            staged_rows: 0,
            staged_bytes: 0,
            notes: BTreeSet::new(),
        }
    }

    pub(super) fn with_descriptions(mut self, descriptions: Vec<TableDescription>) -> Self {
        self.descriptions = descriptions;
        self
    }

    /// Creates the declared tables, or adapts those of an earlier run.
    pub(super) fn declare(&mut self, tables: Tables) -> Result<(), RunFailure> {
        let mut seen = HashSet::new();
        for (schema, table) in tables {
            let name = self.name(schema.as_deref(), &table.name);
            let is_new = seen.insert((
                name.schema.to_ascii_lowercase(),
                name.table.to_ascii_lowercase(),
            ));
            if table.name.is_empty() || !is_new {
                let text = format!("the schema has table `{name}` twice, or without a name");
                return Err(RunFailure::Connector(text));
            }
            let declared = Table::declared(name, &table).map_err(RunFailure::Connector)?;
            self.adopt(&declared)?;
        }
        Ok(())
    }

    /// Keeps the declarations of tables that are not selected.
    pub(super) fn know_unselected(&mut self, tables: Tables) {
        for (schema, table) in tables {
            let name = self.name(schema.as_deref(), &table.name);
            self.unselected.insert(name, table);
        }
    }

    /// Makes the table of a record part of this run. A table without a declaration has no key.
    pub(super) fn expect(&mut self, name: &TableName) -> Result<(), RunFailure> {
        if self.entries.contains_key(name) {
            return Ok(());
        }
        let declared = match self.unselected.remove(name) {
            Some(table) => Table::declared(name.clone(), &table).map_err(RunFailure::Connector)?,
            None => Table::new(name.clone(), Vec::new()),
        };
        self.adopt(&declared)
    }

    /// Applies one message of the sync. Warnings and tasks are ignored.
    pub(super) fn apply(
        &mut self,
        operation: Operation,
        now: DateTime<Utc>,
    ) -> Result<(), RunFailure> {
        self.latest = self.latest.max(now);
        match operation {
            Operation::Record(record) => self.record(&record)?,
            Operation::Records(records) => {
                for record in &records.records {
                    self.record(record)?;
                }
            }
            Operation::SchemaChange(change) => match change.change {
                Some(change) => self.declare(tables_of(change))?,
                None => {
                    return Err(RunFailure::Connector(
                        "the connector sent an empty schema change".into(),
                    ));
                }
            },
            Operation::Checkpoint(checkpoint) => self.checkpoint(checkpoint.state_json, now)?,
            Operation::Warning(_) | Operation::Task(_) => {}
        }
        self.flush_if_due(now)
    }

    /// Flushes if enough is staged or a checkpoint has waited long enough.
    pub(super) fn flush_if_due(&mut self, now: DateTime<Utc>) -> Result<(), RunFailure> {
        let waited = self
            .pending
            .as_ref()
            .is_some_and(|(_, since)| now - *since >= FLUSH_AGE);
        if waited || self.staged_rows >= FLUSH_ROWS || self.staged_bytes >= FLUSH_BYTES {
            self.flush()?;
        }
        Ok(())
    }

    /// Commits the staged operations, then writes the state of the last checkpoint.
    pub(super) fn flush(&mut self) -> Result<(), Error> {
        let work: Vec<_> = self
            .entries
            .values()
            .filter(|entry| !entry.staged.is_empty())
            .map(|entry| (&entry.table, &entry.staged))
            .collect();
        if !work.is_empty() || self.pending.is_some() {
            let landed = FlushProgress {
                operations: self.operations(),
                at: self.latest,
            };
            let unchanged = self.store.commit(&work, &landed)?;
            let staged = self.entries.values_mut();
            let staged = staged.filter(|entry| !entry.staged.is_empty());
            for (entry, unchanged) in staged.zip(unchanged) {
                entry.unchanged += unchanged;
                entry.staged.clear();
            }
        }
        tracing::debug!(
            rows = self.staged_rows,
            bytes = self.staged_bytes,
            checkpoint = self.pending.is_some(),
            "flushed"
        );
        self.staged_rows = 0;
        self.staged_bytes = 0;
        // Written only now, when the rows before the checkpoint are safe.
        if let Some((state, _)) = self.pending.take() {
            self.state.write(&state)?;
            tracing::trace!("wrote the state");
        }
        Ok(())
    }

    /// Stores the descriptions of the run's tables as comments. A failure is a remark only, because the rows are
    /// complete without comments.
    pub(super) fn write_comments(&mut self) {
        let names = self.entries.keys();
        let comments = names.flat_map(|name| {
            let mut descriptions = self.descriptions.iter();
            let description = descriptions.find(|it| {
                name.schema == self.schema && it.table.eq_ignore_ascii_case(&name.table)
            });
            comments_of(name, description)
        });
        let comments: Vec<_> = comments.collect();
        if let Err(error) = self.store.comment(&comments) {
            self.notes
                .insert(format!("{error}; the rows are not affected"));
        }
    }

    /// The outcome of each table, in the order of their names.
    pub(super) fn landed(&mut self) -> Result<Vec<TableOutcome>, Error> {
        let mut landed = Vec::with_capacity(self.entries.len());
        for (name, entry) in &self.entries {
            let (rows, deleted) = self.store.count(name)?;
            landed.push(TableOutcome {
                table: name.to_string(),
                operations: entry.operations,
                unchanged: entry.unchanged,
                rows,
                deleted,
            });
        }
        Ok(landed)
    }

    /// The sum of all operations of the run.
    pub(super) fn operations(&self) -> Operations {
        let mut sum = Operations {
            checkpoints: self.checkpoints,
            ..Operations::default()
        };
        for entry in self.entries.values() {
            sum.upserts += entry.operations.upserts;
            sum.updates += entry.operations.updates;
            sum.deletes += entry.operations.deletes;
            sum.truncates += entry.operations.truncates;
            sum.schema_changes += u64::from(entry.changed);
        }
        sum
    }

    /// Remarks for the user about the interpretation of operations.
    pub(super) fn notes(&self) -> impl Iterator<Item = &str> {
        self.notes.iter().map(String::as_str)
    }

    pub(super) fn name(&self, schema: Option<&str>, table: &str) -> TableName {
        let schema = match schema {
            Some(source) if !source.is_empty() => format!("{}_{source}", self.schema),
            _ => self.schema.clone(),
        };
        let table = table.to_owned();
        let name = TableName { schema, table };
        if self.entries.contains_key(&name) {
            return name;
        }
        let known = self.entries.keys().find(|known| known.is_same(&name));
        known.cloned().unwrap_or(name)
    }

    fn checkpoint(&mut self, state: String, now: DateTime<Utc>) -> Result<(), RunFailure> {
        if let Err(error) = serde_json::from_str::<IgnoredAny>(&state) {
            let text = format!("the state of a checkpoint is not JSON ({error})");
            return Err(RunFailure::Connector(text));
        }
        self.checkpoints += 1;
        let since = self.pending.take().map_or(now, |(_, since)| since);
        self.pending = Some((state, since));
        Ok(())
    }

    /// Makes `declared` part of this run: creates the table, or adds and widens columns of the existing one.
    pub(super) fn adopt(&mut self, declared: &Table) -> Result<(), RunFailure> {
        let name = &declared.name;
        if !self.entries.contains_key(name) {
            let existing = self.store.describe(name)?;
            let changed = existing.is_none();
            let table = if let Some(existing) = existing {
                continue_table(declared, existing)?
            } else {
                self.store.create(declared)?;
                declared.clone()
            };
            let entry = TouchedTable {
                table,
                staged: StagedValue::new(self.store.keeps_history()),
                operations: Operations::default(),
                unchanged: 0,
                changed,
            };
            self.entries.insert(name.clone(), entry);
        }
        for column in declared.columns() {
            self.merge(declared, column)?;
        }
        Ok(())
    }

    fn merge(&mut self, declared: &Table, column: &Column) -> Result<(), RunFailure> {
        let name = &declared.name;
        let Some(entry) = self.entries.get_mut(name) else {
            return Ok(());
        };
        if !entry.table.has_key(declared.key()) {
            return Err(key_changed(name, entry.table.key(), declared.key()));
        }
        let Some(position) = entry.table.position(&column.name) else {
            self.store.add_column(name, column)?;
            entry.table.add(column.clone());
            entry.changed = true;
            return Ok(());
        };
        let current = entry.table.columns()[position].kind;
        let wide = current.widen(column.kind);
        entry.table.declare(position);
        if wide != current {
            if self.loses_digits(name, position, wide)? {
                self.notes.insert(format!(
                    "table `{name}`, column `{}`: integers beyond 2^53 lose digits, because the column \
                     is declared as a floating point number now",
                    column.name
                ));
            }
            self.retype(name, position, wide)?;
        }
        Ok(())
    }

    /// Returns true if a column has integers that are not exact as values of the type `to`.
    pub(super) fn loses_digits(
        &mut self,
        name: &TableName,
        position: usize,
        to: ColumnType,
    ) -> Result<bool, RunFailure> {
        let column = self.entries.get(name);
        let column = column.and_then(|entry| entry.table.columns().get(position));
        let Some(column) = column.filter(|column| column.kind == ColumnType::BigInt) else {
            return Ok(false);
        };
        if to != ColumnType::Double {
            return Ok(false);
        }
        let column = column.name.clone();
        self.flush()?;
        Ok(self.store.has_large_integers(name, &column)?)
    }

    /// Widens a column. Staged rows were built for the old type, so they are flushed first.
    pub(super) fn retype(
        &mut self,
        name: &TableName,
        position: usize,
        to: ColumnType,
    ) -> Result<(), RunFailure> {
        self.flush()?;
        if let Some(entry) = self.entries.get_mut(name) {
            let column = &entry.table.columns()[position];
            self.store.change_type(name, column, to)?;
            entry.table.retype(position, to);
            entry.changed = true;
        }
        Ok(())
    }
}

/// The tables of a schema or schema change, each with the source's schema.
pub(super) fn tables_of(change: Change) -> Tables {
    match change {
        Change::WithoutSchema(list) => list.tables.into_iter().map(|table| (None, table)).collect(),
        Change::WithSchema(list) => list
            .schemas
            .into_iter()
            .flat_map(|schema| {
                let name = schema.name;
                schema
                    .tables
                    .into_iter()
                    .map(move |table| (Some(name.clone()), table))
            })
            .collect(),
    }
}

fn continue_table(declared: &Table, existing: ExistingTable) -> Result<Table, RunFailure> {
    let key = existing.key.unwrap_or_default();
    if !declared.has_key(&key) {
        return Err(key_changed(&declared.name, &key, declared.key()));
    }
    let keyless = declared.is_keyless();
    let key = if keyless { Vec::new() } else { key };
    let mut table = Table::new(declared.name.clone(), key);
    for (name, kind) in existing.columns {
        if table.position(&name).is_none() {
            let declared = false;
            table.add(Column {
                name,
                kind,
                declared,
            });
        }
    }
    Ok(table)
}

fn key_changed(name: &TableName, from: &[String], to: &[String]) -> RunFailure {
    RunFailure::Connector(format!(
        "table `{name}`: its primary key was ({}) and is now ({}), which cannot be changed in \
         place; run `fivetran_source reset` and sync again",
        from.join(", "),
        to.join(", ")
    ))
}
