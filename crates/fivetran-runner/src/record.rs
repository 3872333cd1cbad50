//! Turns one record of a sync into cells at their columns' positions, staged under the row's key.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use prost::Message as _;
use twox_hash::XxHash3_64;

use super::{
    column_type::ColumnType,
    decimal::Decimal,
    number::text_of_double,
    table::{Column, ROW_ID, Table, TableName, is_system},
    value::{Cell, has_time_of_day, invalid_reason},
    warehouse::{RunFailure, Store, Warehouse},
    wire::{InvalidEntry, Record},
};
use fivetran_proto::{RecordType, ValueType, value_type::Inner};

impl<S: Store> Warehouse<S> {
    /// Stages one record.
    pub(super) fn record(&mut self, record: &Record) -> Result<(), RunFailure> {
        let name = self.name(record.schema_name.as_deref(), &record.table_name);
        let kind = RecordType::try_from(record.r#type).map_err(|_| {
            let text = format!("table `{name}`: record type {} is unknown", record.r#type);
            RunFailure::Connector(text)
        })?;
        if record.table_name.is_empty() {
            return Err(RunFailure::Connector("a record has no table name".into()));
        }
        self.expect(&name)?;
        if kind == RecordType::Truncate {
            // The truncate must be later than everything before it, also within the same message.
            self.latest += TimeDelta::microseconds(1);
            if let Some(entry) = self.entries.get_mut(&name) {
                entry.staged.truncate(self.latest);
                entry.operations.truncates += 1;
            }
            return Ok(());
        }
        let cells = self.cells(&name, record)?;
        self.stage(&name, kind, cells)
    }

    fn stage(
        &mut self,
        name: &TableName,
        kind: RecordType,
        cells: Vec<Option<Cell>>,
    ) -> Result<(), RunFailure> {
        let now = self.latest;
        let Some(entry) = self.entries.get_mut(name) else {
            return Ok(());
        };
        let key = encode_key(&entry.table, &cells)?;
        if kind != RecordType::Upsert && entry.table.is_keyless() {
            self.notes.insert(format!(
                "table `{name}` has no primary key: an update or delete finds only a row with \
                 exactly its values"
            ));
        }
        let before = (entry.staged.rows(), entry.staged.bytes());
        match kind {
            RecordType::Upsert => {
                entry.operations.upserts += 1;
                let cells = cells.into_iter().map(|cell| cell.unwrap_or(Cell::Null));
                entry.staged.upsert(key, cells.collect(), now);
            }
            RecordType::Update => {
                entry.operations.updates += 1;
                entry.staged.update(key, cells, now);
            }
            RecordType::Delete | RecordType::Truncate => {
                entry.operations.deletes += 1;
                entry.staged.delete(key, only_key(&entry.table, cells), now);
            }
        }
        self.staged_rows += entry.staged.rows() - before.0;
        self.staged_bytes += entry.staged.bytes() - before.1;
        Ok(())
    }

    /// Returns the record's values at their columns' positions. Adds or widens columns if necessary.
    fn cells(
        &mut self,
        name: &TableName,
        record: &Record,
    ) -> Result<Vec<Option<Cell>>, RunFailure> {
        let Some(entry) = self.entries.get(name) else {
            return Ok(Vec::new());
        };
        let table = &entry.table;
        let mut cells = vec![None; table.columns().len()];
        if table.is_keyless()
            && let Some(position) = table.position(ROW_ID)
        {
            cells[position] = Some(Cell::Text(row_id(name, record)?));
        }
        let mut misfits: Vec<(&str, Inner)> = Vec::new();
        let mut positions = table.in_order();
        let mut with_time = None;
        let mut same_name = None;
        for value in record.values() {
            let (column, value) = value.map_err(|error| invalid(name, &error))?;
            let value = inner(name, column, value)?;
            // If a name occurs twice, the last value counts, as in any map of the protocol.
            misfits.retain(|(earlier, _)| *earlier != column);
            if let Inner::NaiveDate(date) = &value
                && has_time_of_day(date)
            {
                with_time = Some(column);
            }
            let position = positions.position(column);
            let is_twice = match position {
                Some(position) => cells[position].is_some() && column != ROW_ID,
                None => misfits
                    .iter()
                    .any(|(earlier, _)| earlier.eq_ignore_ascii_case(column)),
            };
            if is_twice {
                same_name = Some(column);
            }
            match position {
                Some(position) => match Cell::fit(value, table.columns()[position].kind) {
                    Ok(cell) => cells[position] = Some(cell),
                    Err(value) => misfits.push((column, value)),
                },
                // A column exists only once it has a value.
                None if matches!(value, Inner::Null(_)) => {}
                None => misfits.push((column, value)),
            }
        }
        if let Some(column) = with_time {
            self.notes.insert(format!(
                "table `{name}`, column `{column}`: a NAIVE_DATE has a time of day, which is dropped; a midnight of \
                 another time zone becomes the day before or after"
            ));
        }
        if let Some(column) = same_name {
            self.notes.insert(format!(
                "table `{name}`: a record has column `{column}` in two spellings that differ only in letter case; \
                 destinations ignore it, and only one of the values is kept; rename or leave out one of the columns"
            ));
        }
        // Maps are sent in any order. The order of new columns must not depend on it.
        misfits.sort_by_key(|(column, _)| *column);
        for (column, value) in misfits {
            if let Some(reason) = invalid_reason(&value) {
                return Err(self.invalid_value(name, column, &cells, &reason));
            }
            let (position, cell) = self.make_room(name, column, value)?;
            if cells.len() <= position {
                cells.resize(position + 1, None);
            }
            cells[position] = Some(cell);
        }
        Ok(cells)
    }

    /// Returns the failure of a value that is not valid. It names the row, and not the value.
    fn invalid_value(
        &self,
        name: &TableName,
        column: &str,
        cells: &[Option<Cell>],
        reason: &str,
    ) -> RunFailure {
        let row = self.entries.get(name).map_or_else(String::new, |entry| {
            let key = entry.table.key().iter().map(|column| {
                let cell = cells.get(entry.table.position(column)?)?.as_ref()?;
                Some(format!("{column} = {}", cell.as_id()?))
            });
            let key: Option<Vec<String>> = key.collect();
            let so_far = entry.operations;
            let number = so_far.upserts + so_far.updates + so_far.deletes + 1;
            match key {
                Some(key) if !key.is_empty() && !entry.table.is_keyless() => key.join(", "),
                _ => format!("record {number} of this sync"),
            }
        });
        RunFailure::Connector(format!(
            "table `{name}`, row ({row}), column `{column}`: the value {reason}"
        ))
    }

    /// Adds or widens a column so that `value` fits, unless its declaration forbids that.
    fn make_room(
        &mut self,
        name: &TableName,
        column: &str,
        value: Inner,
    ) -> Result<(usize, Cell), RunFailure> {
        let misfit = |why: &str| {
            RunFailure::Connector(format!(
                "table `{name}`, column `{column}`: a value {why}; send what the schema declares, \
                 or declare a wider type"
            ))
        };
        let Some(natural) = ColumnType::natural(&value) else {
            return Err(misfit("has no type"));
        };
        let Some(entry) = self.entries.get_mut(name) else {
            return Err(misfit("has no table"));
        };
        let position = if let Some(position) = entry.table.position(column) {
            let current = &entry.table.columns()[position];
            if current.declared {
                return Err(misfit(&format!("does not fit {:?}", current.kind)));
            }
            let wide = match current.kind.widen(natural) {
                // The wider type is the same, yet the value does not fit. Text holds anything.
                same if same == current.kind => ColumnType::Varchar,
                wide => wide,
            };
            // Text holds both.
            let wide = if self.loses_digits(name, position, wide)? {
                ColumnType::Varchar
            } else {
                wide
            };
            self.retype(name, position, wide)?;
            position
        } else {
            let new = Column {
                name: column.to_owned(),
                kind: natural,
                declared: false,
            };
            self.store.add_column(name, &new)?;
            entry.changed = true;
            entry.table.add(new)
        };
        let kind = self.entries[name].table.columns()[position].kind;
        let cell = Cell::fit(value, kind)
            .map_err(|_| misfit(&format!("cannot be written as {kind:?}")))?;
        Ok((position, cell))
    }
}

fn inner(name: &TableName, column: &str, value: ValueType) -> Result<Inner, RunFailure> {
    if is_system(column) {
        let text = format!("table `{name}`: a record sets `{column}`, which the platform owns");
        return Err(RunFailure::Connector(text));
    }
    value.inner.ok_or_else(|| {
        RunFailure::Connector(format!(
            "table `{name}`, column `{column}`: a value has no type"
        ))
    })
}

fn encode_key(table: &Table, cells: &[Option<Cell>]) -> Result<Vec<u8>, RunFailure> {
    let mut bytes = Vec::new();
    for column in table.key() {
        let position = table.position(column);
        match position.and_then(|position| cells.get(position)?.as_ref()) {
            Some(cell) if *cell != Cell::Null => cell.encode(&mut bytes),
            _ => {
                return Err(RunFailure::Connector(format!(
                    "table `{}`: a record has no value for key column `{column}`",
                    table.name
                )));
            }
        }
    }
    Ok(bytes)
}

fn only_key(table: &Table, mut cells: Vec<Option<Cell>>) -> Vec<Option<Cell>> {
    for (cell, column) in cells.iter_mut().zip(table.columns()) {
        if !table.key().contains(&column.name) {
            *cell = None;
        }
    }
    cells
}

/// The hash of a row's values as sent, so that the id stays the same when a column widens later. A number counts as the
/// same value in every type.
fn row_id(name: &TableName, record: &Record) -> Result<String, RunFailure> {
    let values: Result<BTreeMap<&str, ValueType>, _> = record.values().collect();
    let values = values.map_err(|error| invalid(name, &error))?;
    let mut bytes = Vec::new();
    for (column, value) in values {
        if matches!(value.inner, None | Some(Inner::Null(_))) {
            continue;
        }
        bytes.extend_from_slice(&column.len().to_le_bytes());
        bytes.extend_from_slice(column.as_bytes());
        let inner = value.inner.map(plain_number);
        let value = ValueType { inner }.encode_length_delimited_to_vec();
        bytes.extend_from_slice(&value);
    }
    // Two seeds, because 64 bits alone would collide within a few billion rows.
    let (high, low) = (
        XxHash3_64::oneshot(&bytes),
        XxHash3_64::oneshot_with_seed(1, &bytes),
    );
    Ok(format!("{high:016x}{low:016x}"))
}

/// Returns a number in the type of all equal numbers: an integer if it is one, otherwise a decimal number.
fn plain_number(value: Inner) -> Inner {
    let text = match value {
        Inner::Short(number) | Inner::Int(number) => return Inner::Long(number.into()),
        Inner::Float(number) => text_of_double(number.into()),
        Inner::Double(number) => text_of_double(number),
        Inner::Decimal(text) => match Decimal::parse(&text) {
            Some(number) => number.to_string(),
            None => text,
        },
        other => return other,
    };
    match text.parse() {
        Ok(number) => Inner::Long(number),
        Err(_) => Inner::Decimal(text),
    }
}

fn invalid(name: &TableName, error: &InvalidEntry) -> RunFailure {
    RunFailure::Connector(format!("table `{name}`: a record is not valid: {error}"))
}
